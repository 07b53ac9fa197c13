import { refusal } from '../core/refusal.js';
import type { ExecutionInfo } from '../replay/instance.js';

/**
 * What a workflow starts is part of its commit, so it is in its namespace.
 *
 * @param path Where the option stands in the call.
 * @param todo What to do for another namespace.
 * @throws {InvalidArgumentError} for any other namespace.
 */
export function checkOwnNamespace(
  call: string,
  path: string,
  given: string | undefined,
  { namespace }: ExecutionInfo,
  todo: string,
): void {
  if (given === undefined || given === namespace) return;
  throw refusal(call, path, { must: `"${namespace}", the workflow's own`, todo }, given);
}
