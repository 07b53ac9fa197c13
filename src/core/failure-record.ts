import type { JsonObject } from './plain-data.js';

/**
 * An error as it is stored: plain JSON, bounded in size. It outlives process, class and code version, so everything that
 * decides anything is a word in it, not a class.
 */
export interface Failure {
  /** Name of the error's class as the user knows it, e.g. `CardDeclined`. */
  readonly name: string;
  readonly message: string;
  /** Stack of the process it happened in; empty when there is none. */
  readonly stack: string;
  /** The engine's class, where the error belongs to one: see the error table. */
  readonly type?: string;
  /** The engine's code. A `code` of a foreign error (of a driver, of Node) is never one, and stands in `details`. */
  readonly code?: number;
  /** True for an error that ends retries at once. */
  readonly nonRetryable?: true;
  readonly cause?: Failure;
  /** Members of an AggregateError. */
  readonly errors?: readonly Failure[];
  /** Id of the workflow it speaks of. */
  readonly job_id?: string;
  /** The error's other own enumerable fields, as far as they are plain data. */
  readonly details?: JsonObject;
}
