import { errorEntry } from './error-table.js';
import { DurableFatalError, DurableMaxedError, DurableRetryError, DurableTimeoutError } from './errors.js';
import type { Failure } from './failure-record.js';

/** Classes of failures that carry a code but no type, as SQL may write them. */
const byCode: Readonly<Record<number, { readonly prototype: Error }>> = {
  596: DurableTimeoutError,
  597: DurableMaxedError,
  598: DurableFatalError,
  599: DurableRetryError,
};

const builtIn = [TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError, AggregateError];

/**
 * A real error for a stored failure: of the engine's or JavaScript's class where it had one, with its name, message, code,
 * remote stack, cause, `job_id` and other fields. An error of a user's own class comes back as an `Error` of that name.
 */
export function errorFromFailure(failure: Failure): Error {
  const { prototype } = classOf(failure);
  const error = new Error(failure.message, failure.cause && { cause: errorFromFailure(failure.cause) });
  // Not made by the class's constructor: each takes other arguments, and would compose its message anew.
  Object.setPrototypeOf(error, prototype);
  hide(error, 'stack', failure.stack);
  if (failure.name !== prototype.name) hide(error, 'name', failure.name);
  if (failure.errors) hide(error, 'errors', failure.errors.map(errorFromFailure));
  for (const [key, value] of Object.entries(failure.details ?? {})) {
    // Stored text may be anybody's: a detail must not shadow what errors inherit.
    if (!(key in Error.prototype) && !Object.hasOwn(error, key)) show(error, key, value);
  }
  if (failure.code !== undefined) show(error, 'code', failure.code);
  if (failure.job_id !== undefined) show(error, 'job_id', failure.job_id);
  return error;
}

function classOf({ type, code, name }: Failure): { readonly prototype: Error } {
  const engineClass =
    (type === undefined ? undefined : errorEntry(type)?.errorClass) ?? (code === undefined ? undefined : byCode[code]);
  return engineClass ?? builtIn.find((errorClass) => errorClass.name === name) ?? Error;
}

function hide(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, writable: true, configurable: true });
}

function show(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, enumerable: true, writable: true, configurable: true });
}
