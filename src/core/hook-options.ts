/** What clients and workflows say alike to open a hook: the function to run, in which workflow, with what. */
import * as v from 'valibot';
import { GetStateError, HookRefusedError, InactiveJobError, PayloadTooLargeError } from './errors.js';
import type { HookRefusal } from './history.js';
import { identifier } from './options.js';
import type { RetryOptions } from './retry-policy.js';
import { type SearchOptions, searchOption } from './search-fields.js';

/** Options of a hook: the function by queue and name, the workflow by its id. */
export interface HookOptions {
  /** Spread as the function's arguments. JSON values, as those of `start`. */
  readonly args: readonly unknown[];
  /** The queue whose workers serve the function; it may differ from the workflow's. Default: `entity`. */
  readonly taskQueue?: string;
  /** The function's name. An `entity` comes before it. */
  readonly workflowName?: string;
  /** Queue and name in one; beside `taskQueue` the name alone. */
  readonly entity?: string;
  /** The workflow to run in. Default inside a workflow: that one. */
  readonly workflowId?: string;
  readonly namespace?: string;
  /** Fields of the workflow, written with the hook: both or neither. */
  readonly search?: SearchOptions;
  /** Retries of the hook's function. Default: the workflow's own `config`. */
  readonly config?: RetryOptions;
}

/** Fields of {@link HookOptions}, to be made into the shape of a call. */
export const hookFields = {
  args: v.array(v.unknown(), 'an array of arguments'),
  taskQueue: v.optional(identifier),
  workflowName: v.optional(identifier),
  entity: v.optional(identifier),
  workflowId: v.optional(identifier),
  namespace: v.optional(v.string('text')),
  search: v.optional(searchOption),
  config: v.optional(v.unknown()),
} as const;

/** The function that the options name, as far as they do: the entity is the queue, where none is given, and the name. */
export function hookFunction({
  taskQueue,
  entity,
  workflowName,
}: {
  readonly taskQueue?: string | undefined;
  readonly entity?: string | undefined;
  readonly workflowName?: string | undefined;
}): { taskQueue: string | undefined; workflowName: string | undefined } {
  return { taskQueue: taskQueue ?? entity, workflowName: entity ?? workflowName };
}

/** The error for a hook that its workflow did not take. */
export function hookRefused(workflowId: string, reason: HookRefusal): Error {
  switch (reason) {
    case 'unknown':
      return new GetStateError(workflowId);
    case 'inactive':
      return new InactiveJobError(workflowId);
    case 'pending':
      return new HookRefusedError(workflowId, `Job ${workflowId} takes no hooks yet: its id is only reserved`);
    case 'closed':
      return new HookRefusedError(workflowId);
    case 'full':
      return new PayloadTooLargeError(
        `hook: search.data would make the search fields of ${workflowId} grow beyond their limit; store large values elsewhere`,
        { path: 'search.data' },
      );
  }
}
