/** What makes no sense is refused at the call, by name, and nothing of it is recorded. */
import { describe, expect, it } from 'vitest';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import { Durable, Errors, type WorkflowInfo, type WorkflowOutboundCallsInterceptor } from '../index.js';
import { workflow } from '../workflow.js';
import { throughInbound } from './interceptors.js';

const child = { workflowName: 'ship', args: [] };
const hook = { taskQueue: 'reviews', workflowName: 'review', args: [] };
const fields = new Map([['state', 'open']]);
const soon = new Date(0);

type Call = [what: string, call: () => unknown, message: string];

async function refusalOf(call: () => unknown): Promise<{ error: unknown; commands: readonly string[] }> {
  let error: unknown = 'accepted';
  const flow = await SimulatedWorkflow.begin(async () => {
    try {
      await call();
    } catch (thrown) {
      error = thrown;
    }
  });
  return { error, commands: flow.commands };
}

/** What every simulated workflow is called. */
async function infoOfOne(): Promise<WorkflowInfo> {
  let info!: WorkflowInfo;
  await SimulatedWorkflow.begin(async () => {
    info = workflow.workflowInfo();
  });
  return info;
}

// To look at, each of them is an object without fields: the call would do as if nothing had been given.
describe('what holds no fields is no options', () => {
  it.each<Call>([
    [
      'a Date to wait for',
      () => workflow.condition('s', soon as never),
      'condition: options must be an object; got a Date',
    ],
    [
      'a Map of options',
      () => workflow.terminate('w', fields as never),
      'terminate: options must be an object; got a Map',
    ],
    [
      'options that were not awaited',
      () => workflow.startChild(Promise.resolve(child) as never),
      'startChild: options must be an object; got a promise',
    ],
    [
      'a Map as config',
      () => workflow.startChild({ ...child, config: new Map([['maximumAttempts', 0]]) as never }),
      'startChild: config must be an object; got a Map',
    ],
    [
      'a Set as retry',
      () => workflow.proxyActivities({ retry: new Set() as never }),
      'proxyActivities: retry must be an object; got a Set',
    ],
    [
      'Headers as headers',
      () => workflow.proxyActivities({ headers: new Headers({ tenant: 't' }) as never }),
      'proxyActivities: headers must be an object; got an object',
    ],
    [
      'an array as headers',
      () => workflow.proxyActivities({ headers: ['tenant'] as never }),
      'proxyActivities: headers must be an object; got an array',
    ],
    [
      'a list of activities',
      () => workflow.proxyActivities({ activities: [soon.valueOf] as never }),
      'proxyActivities: activities must be an object; got an array',
    ],
    [
      'a Map of events',
      () => workflow.emit(fields as never),
      'emit: events must be an object of payloads by topic; got a Map',
    ],
    [
      'a Map of attributes',
      () => workflow.trace(fields as never),
      'trace: attributes must be an object of attributes by name; got a Map',
    ],
    ['a Map of fields', () => workflow.enrich(fields as never), 'enrich: fields must be one object'],
    [
      'a Date of fields',
      async () => (await workflow.search()).set(soon as never),
      'search.set: fields must be one object',
    ],
    [
      'a Map of search data',
      () => workflow.hook({ ...hook, search: { data: fields as never } }),
      'hook: search.data must be an object of text, numbers or booleans by field; got a Map',
    ],
    [
      'a Map of conditions',
      () => Durable.Entity.find('order', fields as never, {} as never),
      'Entity.find: conditions must be an object of conditions by field; got a Map',
    ],
    [
      'a Date as condition',
      () => Durable.Entity.find('order', { at: soon as never }, {} as never),
      'Entity.find: conditions.at must be text, a finite number, a boolean or null, or an object of comparisons',
    ],
  ])('%s', async (_what, call, message) => {
    const { error, commands } = await refusalOf(call);
    expect(error).toBeInstanceOf(Errors.InvalidArgumentError);
    expect((error as Error).message).toContain(message);
    expect(commands).toEqual(['complete']);
  });
});

describe('an option of another type or place', () => {
  it.each<Call>([
    [
      'the retries under both names',
      () => workflow.proxyActivities({ retry: { maximumAttempts: 1 }, retryPolicy: { maximumAttempts: 2 } }),
      'proxyActivities: retryPolicy must be left out beside retry; got an object. It is the older name of retry',
    ],
    [
      'the retries of a step under both names',
      () => workflow.run('x', () => 1, { retry: {}, retryPolicy: {} }),
      'run: retryPolicy must be left out beside retry',
    ],
    [
      'no retries at all',
      () => workflow.proxyActivities({ retry: null as never }),
      'proxyActivities: retry must be an object; got null',
    ],
    [
      'expire',
      () => workflow.proxyActivities({ expire: '1h' as never }),
      'proxyActivities: expire must be a number of seconds',
    ],
    [
      'await',
      () => workflow.startChild({ ...child, await: 'yes' as never }),
      'startChild: await must be true or false',
    ],
    [
      'persistent',
      () => workflow.startChild({ ...child, persistent: 1 as never }),
      'startChild: persistent must be true or false',
    ],
    ['guid', () => workflow.startChild({ ...child, guid: 7 as never }), 'startChild: guid must be text; got 7'],
    [
      'another namespace for a child',
      () => workflow.executeChild({ ...child, namespace: 'elsewhere' }),
      'executeChild: namespace must be "durable", the workflow\'s own; got "elsewhere". Start it with client.workflow.start',
    ],
    [
      'no name for a child',
      () => workflow.startChild({ args: [] }),
      'startChild: workflowName must be given: the name of the function that a worker serves; got undefined',
    ],
  ])('%s', async (_what, call, message) => {
    const { error, commands } = await refusalOf(call);
    expect(error).toBeInstanceOf(Errors.InvalidArgumentError);
    expect((error as Error).message).toContain(message);
    expect(commands).toEqual(['complete']);
  });
});

it('a child takes what start takes, where that makes sense: its namespace and its lineage are those of its parent', async () => {
  const flow = await SimulatedWorkflow.begin(() =>
    workflow.startChild({
      ...child,
      namespace: 'durable',
      parentWorkflowId: 'somebody',
      originJobId: 'else',
      workflowTrace: '0af7651916cd43dd8448eb211c80319c',
      workflowSpan: 'b7ad6b7169203331',
      persistent: true,
      await: false,
      guid: 'g-1',
    }),
  );
  const command = flow.steps[0]?.commands[0]?.command;
  const { workflowId } = await infoOfOne();
  expect(command?.kind === 'child' && command.spec.options).toMatchObject({
    parentWorkflowId: workflowId,
    originId: workflowId,
  });
});

it('an interceptor may give the retries by the newer name where a program gave them by the older one', async () => {
  const fewer: WorkflowOutboundCallsInterceptor = {
    async execute(activity, _workflow, next) {
      activity.options.retry = { maximumAttempts: 2 };
      return await next();
    },
  };
  const { act } = workflow.proxyActivities<{ act(): void }>({ retryPolicy: { maximumAttempts: 9 } });
  const flow = await SimulatedWorkflow.begin(() =>
    throughInbound({ inbound: [], outbound: [fewer], connection: null, service: null }, [], () => act()),
  );
  const command = flow.steps[0]?.commands[0]?.command;
  expect(command?.kind === 'activity' && command.spec.retry.maximumAttempts).toBe(2);
});
