import { encodeArguments } from '../codec/payload.js';
import { WorkflowContextError } from '../core/errors.js';
import { fingerprint } from '../core/fingerprint.js';
import { unawaited } from '../core/unawaited.js';
import { contextOf } from './context.js';

/**
 * Ends this run and begins the next one of the same workflow id, with new arguments and an empty history. Search fields,
 * entity, parent and signals that were not consumed yet go along; handles follow. Its hooks end. Never returns.
 *
 * @throws {WorkflowContextError} in a hook: only the main function can be continued.
 *
 * @example
 * export async function poll(cursor: number): Promise<void> {
 *   const next = await fetchPage(cursor);
 *   await Durable.workflow.sleep('1 hour');
 *   await Durable.workflow.continueAsNew(next);
 * }
 */
export function continueAsNew(...args: unknown[]): Promise<never> {
  return unawaited(endRun(args));
}

async function endRun(args: unknown[]): Promise<never> {
  const { instance, cancellable } = contextOf('continueAsNew');
  if (instance.info.hookNo !== null) {
    throw new WorkflowContextError(
      'continueAsNew',
      'continueAsNew: called in a hook. Only the main function of a workflow can be continued; signal it to do so',
    );
  }
  const text = encodeArguments(args, 'continueAsNew');
  const counter = instance.tick();
  return instance.end(
    { kind: 'continue', name: '', fingerprint: fingerprint(text), counter, spec: { args: text } },
    { cancellable },
  );
}
