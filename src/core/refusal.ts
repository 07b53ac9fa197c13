import { InvalidArgumentError } from './misuse-errors.js';
import { shownValue } from './shown-value.js';

/** A condition on an argument, in words that complete "<argument> must be ...". */
export interface Rule {
  /** The rule, e.g. `a whole number from 0`. */
  readonly must: string;
  /** What to do about it, a sentence without its full stop. */
  readonly todo?: string;
}

/**
 * The error for a refused argument: `<call>: <path> must be <rule>; got <value>. <what to do>`.
 *
 * @param call The function as the user wrote it, e.g. `start`.
 * @param path The argument or option, e.g. `config.maximumAttempts`.
 * @param shown How the message shows the value.
 */
export function refusal(
  call: string,
  path: string,
  rule: Rule,
  value: unknown,
  shown = shownValue(value),
): InvalidArgumentError {
  const todo = rule.todo === undefined ? '' : `. ${rule.todo}`;
  return new InvalidArgumentError(`${call}: ${path} must be ${rule.must}; got ${shown}${todo}`);
}
