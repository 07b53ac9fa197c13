import { kindOf } from './holds-fields.js';

const maxShown = 80;

/** What does not print as itself: control characters, invisible ones, and those that turn the direction of a line round. */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/**
 * A refused value as it stands in an error message: numbers and the like as they are, text quoted, escaped and cut at 80
 * characters, anything larger only by its kind (it may be a payload, and messages end up in logs).
 */
export function shownValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return shownText(value);
    case 'bigint':
      return 'a BigInt';
    case 'object':
      return value === null ? 'null' : isArray(value) ? 'an array' : (kindOf(value) ?? 'an object');
    case 'function':
      return 'a function';
    case 'symbol':
      return 'a symbol';
    default:
      return String(value);
  }
}

/** Only the kind of a value: for secrets. */
export function shownKind(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value === '' ? 'empty text' : 'text';
    case 'number':
      return 'a number';
    case 'boolean':
      return 'a boolean';
    default:
      return shownValue(value);
  }
}

function isArray(value: object): boolean {
  try {
    return Array.isArray(value);
  } catch {
    return false; // a revoked Proxy
  }
}

function shownText(text: string): string {
  const start = text.slice(0, maxShown);
  const quoted = JSON.stringify(start).replace(
    unprintable,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
  return text.length > maxShown ? `${quoted}... (${text.length} characters)` : quoted;
}
