import { fingerprint } from '../core/fingerprint.js';
import { checkIdentifier } from '../core/identifier.js';
import { resolveTermination, type TerminateOptions, terminationError } from '../core/termination.js';
import { unawaited } from '../core/unawaited.js';
import { contextOf } from './context.js';

/**
 * Ends a workflow at once: another one, or this one itself. Its code learns nothing. Part of the commit of this step: it
 * happens exactly once, also when the call is not awaited. Code behind the end of the own workflow never executes.
 *
 * @param workflowId Whose newest run is to end.
 * @param options See {@link TerminateOptions}; `descend` takes its children along, through all generations.
 * @throws {GetStateError} `Job <id> not found`, unless `suppress`.
 * @throws {InactiveJobError} `Job <id> already completed`, unless `suppress`.
 * @throws {InvalidArgumentError} for options that make no sense.
 *
 * @example
 * await Durable.workflow.terminate(`trial-${customer}`, { reason: 'the customer has bought', descend: true });
 */
export function terminate(workflowId: string, options: TerminateOptions = {}): Promise<void> {
  return unawaited(endWorkflow(workflowId, options));
}

async function endWorkflow(workflowId: string, options: TerminateOptions): Promise<void> {
  const { instance } = contextOf('terminate');
  checkIdentifier('terminate', 'workflowId', workflowId);
  const { failure, expireS, descend, suppress } = resolveTermination('terminate', workflowId, options);
  const spec = { workflowId, failure: failure === null ? null : JSON.stringify(failure), expireS, descend };
  const { event } = await instance.operation(
    { kind: 'terminate', name: '', fingerprint: fingerprint(workflowId), counter: instance.tick(), spec },
    { cancellable: false },
  );
  const what = event.kind === 'decided' ? event.decision.what : 'usual';
  if (!suppress && (what === 'unknown' || what === 'completed')) throw terminationError(workflowId, what);
}
