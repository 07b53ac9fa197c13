/** Every name of the API is there, under both generations of names, or says by itself what to use instead. */

import { describe, expect, it } from 'vitest';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import * as root from '../index.js';
import { Durable } from '../index.js';
import { workflow } from '../workflow.js';

/** The newer name, and the older one where there is one. */
const IN_A_WORKFLOW: readonly { readonly newer: keyof typeof workflow; readonly older?: keyof typeof workflow }[] = [
  { newer: 'workflowInfo', older: 'getContext' },
  { newer: 'proxyActivities' },
  { newer: 'sleep', older: 'sleepFor' },
  { newer: 'condition', older: 'waitFor' },
  { newer: 'signal' },
  { newer: 'executeChild', older: 'execChild' },
  { newer: 'startChild' },
  { newer: 'terminate', older: 'interrupt' },
  { newer: 'hook' },
  { newer: 'execHook' },
  { newer: 'execHookBatch' },
  { newer: 'run' },
  { newer: 'getHotMesh' },
  { newer: 'emit' },
  { newer: 'trace' },
  { newer: 'enrich' },
  { newer: 'search' },
  { newer: 'entity' },
  { newer: 'random' },
  { newer: 'uuid4' },
  { newer: 'now' },
  { newer: 'all' },
  { newer: 'didInterrupt' },
  { newer: 'didRun' },
  { newer: 'isSideEffectAllowed' },
  { newer: 'continueAsNew' },
  { newer: 'patched' },
  { newer: 'deprecatePatch' },
  { newer: 'CancellationScope' },
  { newer: 'CancelledFailure' },
  { newer: 'isCancellation' },
];

/** What is beside it on `Durable`. */
const ON_DURABLE = [
  'Client',
  'Connection',
  'Worker',
  'Handle',
  'Search',
  'Entity',
  'registerActivityWorker',
  'didInterrupt',
  'registerInboundInterceptor',
  'registerInterceptor',
  'registerOutboundInterceptor',
  'registerActivityInboundInterceptor',
  'clearInterceptors',
  'clearOutboundInterceptors',
  'clearActivityInboundInterceptors',
  'getInterceptorService',
  'registerCodec',
  'guid',
  'uuid',
  'shutdown',
  'provisionWorkerRole',
  'rotateWorkerPassword',
  'revokeWorkerRole',
  'listWorkerRoles',
] as const;

describe('Durable', () => {
  it.each(ON_DURABLE)('has %s', (name) => {
    expect(Durable[name]).toBeTypeOf('function');
  });
});

describe('Durable.workflow', () => {
  it.each(IN_A_WORKFLOW)('has $newer, and its older name $older for the same', ({ newer, older }) => {
    expect(workflow[newer]).toBeTypeOf('function');
    if (older !== undefined) expect(workflow[older]).toBe(workflow[newer]);
  });

  it('has no other name that nobody has looked at', () => {
    const known = [...IN_A_WORKFLOW.flatMap(({ newer, older }) => [newer, older]), 'log'];
    expect(Object.keys(workflow).filter((name) => !known.includes(name as never))).toEqual([]);
  });

  it('is what the package exports by itself', () => {
    expect(Durable.workflow).toBe(workflow);
    expect(root.workflow).toBe(workflow);
    expect(root.proxyActivities).toBe(workflow.proxyActivities);
    expect(root.didInterrupt).toBe(workflow.didInterrupt);
    expect(Durable.didInterrupt).toBe(workflow.didInterrupt);
  });

  it.each(['retry', 'retryPolicy'])('takes the retries of activities as %s', async (name) => {
    const options = { [name]: { maximumAttempts: 7 } };
    const flow = await SimulatedWorkflow.begin(async () => {
      const { charge } = workflow.proxyActivities<{ charge(): Promise<void> }>(options);
      await charge();
    });
    const command = flow.steps[0]?.commands[0]?.command;
    expect(command?.kind === 'activity' && command.spec.retry.maximumAttempts).toBe(7);
  });

  it('all() takes its promises one by one', async () => {
    const flow = await SimulatedWorkflow.begin(() => workflow.all(Promise.resolve(1), 2, workflow.sleep(0)));
    expect(flow.ending?.value).toEqual([1, 2, 0]);
  });

  it.each([
    ['a cancellation', new workflow.CancelledFailure(), true],
    ['a final failure of an activity', new root.Errors.DurableFatalError('x'), false],
    ['retries that are used up', new root.Errors.DurableMaxedError('x'), false],
    ['any other error', new Error('x'), false],
    ['no error', undefined, false],
  ])('didInterrupt of %s', (_what, error, answer) => {
    expect(workflow.didInterrupt(error)).toBe(answer);
  });

  it.each(['role', 'type', 'priority', 'metadata'])(
    'condition with an escalation (%s) says that it comes later',
    async (field) => {
      const flow = await SimulatedWorkflow.begin(() =>
        workflow
          .condition('go', { timeout: '1 day', [field]: 'x' } as never)
          .catch((error: Error) => `${error.name}: ${error.message}`),
      );
      expect(flow.commands).toEqual(['complete']);
      expect(flow.ending?.value).toMatch(
        new RegExp(`^InvalidArgumentError: condition: an escalation \\(${field}\\).*later version`),
      );
    },
  );
});
