/** A failure that a user's function describes in full: see {@link ApplicationFailure}. */
import * as v from 'valibot';
import { markErrorClass } from './branded-error.js';
import { duration, flag, parseOptions, text } from './options.js';
import { OutcomeError } from './outcome-errors.js';

/** What {@link ApplicationFailure} is made of. */
export interface ApplicationFailureOptions {
  readonly message?: string;
  /** A word to tell failures apart by, also in `nonRetryableErrorTypes`. */
  readonly type?: string;
  /** Whether it ends the retries at once. Default false. */
  readonly nonRetryable?: boolean;
  /** JSON values for whoever handles it. */
  readonly details?: readonly unknown[];
  /** When the next attempt is made, instead of the policy's delay; `maximumAttempts` still counts. */
  readonly nextRetryDelay?: string | number;
  readonly cause?: unknown;
}

const failureOptions = v.strictObject({
  type: v.optional(text),
  nonRetryable: v.optional(flag),
  details: v.optional(v.array(v.unknown())),
  nextRetryDelay: v.optional(duration),
  cause: v.optional(v.unknown()),
});

/**
 * A failure that says itself how it is retried. Any other error does so too, by its fields `nonRetryable` and
 * `nextRetryDelay`. A workflow finds it as the `cause` of a DurableFatalError.
 *
 * @example
 * throw ApplicationFailure.create({ type: 'RateLimited', nextRetryDelay: '30s' });
 */
export class ApplicationFailure extends OutcomeError {
  declare readonly nonRetryable?: boolean;
  declare readonly nextRetryDelay?: string | number;
  declare readonly details?: readonly unknown[];
  static {
    markErrorClass(this, 'ApplicationFailure');
  }

  /** @throws {InvalidArgumentError} for options that make no sense: a misspelt `nonRetryable` would be retried. */
  constructor(message?: string, options: Omit<ApplicationFailureOptions, 'message'> = {}) {
    parseOptions('ApplicationFailure', failureOptions, options);
    const { cause, ...fields } = options;
    super(message ?? fields.type, cause === undefined ? undefined : { cause });
    for (const key of ['type', 'nonRetryable', 'details', 'nextRetryDelay'] as const) {
      if (fields[key] === undefined) continue;
      Object.defineProperty(this, key, { value: fields[key], enumerable: true, writable: true, configurable: true });
    }
  }

  static create({ message, ...options }: ApplicationFailureOptions = {}): ApplicationFailure {
    return new ApplicationFailure(message, options);
  }

  /** Retried by the policy. */
  static retryable(message?: string, type?: string, ...details: unknown[]): ApplicationFailure {
    return new ApplicationFailure(message, { ...(type !== undefined && { type }), details });
  }

  /** Ends the retries at once. */
  static nonRetryable(message?: string, type?: string, ...details: unknown[]): ApplicationFailure {
    return new ApplicationFailure(message, { ...(type !== undefined && { type }), nonRetryable: true, details });
  }
}
