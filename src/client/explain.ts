/** `handle.explain()`: SQL says it, this makes it typed. */
import { decodeFailure } from '../codec/failure-text.js';
import type { Seal } from '../codec/payload-codec.js';
import type { ErrorSeen, Explanation } from '../core/explanation.js';

/** The answer of `explain`, with times as `Date` and failures opened. */
export function readExplanation(json: string, seal: Seal): Explanation {
  return read(JSON.parse(json), seal) as Explanation;
}

function read(value: unknown, seal: Seal): unknown {
  if (Array.isArray(value)) return value.map((item) => read(item, seal));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, of]) => {
      if (key === 'lastFailure') return ['lastError', errorSeen(of as string, seal)];
      if (key.endsWith('At')) return [key, new Date(of as string)];
      return [key, read(of, seal)];
    }),
  );
}

/** Null where it cannot be opened: the rest of the answer is worth having. */
function errorSeen(text: string, seal: Seal): ErrorSeen | null {
  try {
    const { name, message } = decodeFailure(text, seal);
    return { name, message };
  } catch {
    return null;
  }
}
