/**
 * What a worker's messages say of workflows, activities and errors: names and numbers, never payloads.
 *
 * The message of a user's error is the user's text. It is said only where payloads are stored as they are: a codec hides them.
 */

import type { Seal } from '../codec/payload-codec.js';
import type { Failure } from '../core/failure.js';
import { nameOfError } from '../core/name-of-error.js';
import { messageOf } from '../postgres/patience.js';
import type { ExecutionInfo } from '../replay/instance.js';

type Fields = Record<string, unknown>;
type Identity = Pick<ExecutionInfo, 'workflowId' | 'runNo' | 'workflowName' | 'taskQueue' | 'hookNo'>;

export function workflowFields({ workflowId, runNo, workflowName, taskQueue, hookNo }: Identity): Fields {
  return { workflowId, runNo, workflowName, taskQueue, ...(hookNo !== null && { hookNo }) };
}

/** Of what user code failed with. */
export function failureFields(failure: Failure | null, seal: Seal): Fields {
  if (failure === null) return {};
  const { name, code, message } = failure;
  return {
    errorName: name,
    ...(code !== undefined && { errorCode: code }),
    ...(!seal.active && { errorMessage: message }),
  };
}

/** Of an error of the engine, the database or a driver. Not the error itself: those of drivers hold rows and queries. */
export function errorFields(error: unknown): Fields {
  const code = typeof error === 'object' && error !== null && 'code' in error ? { errorCode: error.code } : {};
  return { errorName: nameOfError(error), ...code, errorMessage: messageOf(error) };
}
