import { InvalidArgumentError } from './errors.js';

/**
 * Search fields as they are stored: text. SQL computes on them, as jsonb, which can hold neither NUL nor lone surrogates.
 *
 * @throws {InvalidArgumentError} for those, at the call, so that they never reach a batch.
 */
export function searchTexts(
  call: string,
  data: Readonly<Record<string, string | number | boolean>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [checked(call, key), checked(call, String(value))]),
  );
}

function checked(call: string, text: string): string {
  if (!text.includes('\0') && text.isWellFormed()) return text;
  throw new InvalidArgumentError(
    `${call}: search.data must be text without NUL and lone surrogates. Encode it, or leave it out`,
  );
}
