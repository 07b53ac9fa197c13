import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type ActivityCall,
  type ActivityInboundCallsInterceptor,
  activity,
  Durable,
  Errors,
  proxyActivities,
  uuid,
  type Worker,
  type WorkerInterceptors,
  type WorkflowInboundCallsInterceptor,
  type WorkflowInterceptor,
  type WorkflowOutboundCallsInterceptor,
  workflow,
} from '../src/index.js';
import { describeInBothTempos, Engine, Journal, kept, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();

const activities = {
  async add(a: number, b: number) {
    return a + b;
  },
  async headers() {
    return activity.getContext().headers;
  },
  async fails() {
    throw new Errors.DurableFatalError('no');
  },
  async audit(key: string, entry: string) {
    journal.note(key, entry);
    return 'audited';
  },
};
type Activities = typeof activities;

const { add, fails } = proxyActivities<Activities>();
const pool = proxyActivities<Pick<Activities, 'audit'>>({ taskQueue: 'shared' });
const withHeaders = proxyActivities<Pick<Activities, 'headers'>>({ headers: { own: 1 } });

const workflows = {
  async adds(_key: string, a: number, b: number) {
    return await add(a, b);
  },
  async addsWaits(key: string, a: number, b: number) {
    const first = await add(a, b);
    await workflow.condition(`go-${key}`);
    return first + (await add(first, 1));
  },
  async branches(key: string) {
    const [sum, slept, raced] = await Promise.all([
      add(1, 2),
      workflow.sleep(20),
      Promise.race([add(3, 4), workflow.sleep('1 hour')]),
    ]);
    await workflow.condition(`go-${key}`);
    const both = await Promise.allSettled([fails(), add(sum, slept), workflow.sleep(1)]);
    return [sum, slept, raced, both.map(({ status }) => status)];
  },
  async headersOf(_key: string) {
    return await withHeaders.headers();
  },
  async hooks(key: string) {
    return await workflow.execHook({ taskQueue: 'test', workflowName: 'hooked', args: [key] });
  },
  async hooked(key: string, { signal }: { signal: string }) {
    journal.note(key, `hooked ${workflow.workflowInfo().workflowDimension}`);
    await workflow.signal(signal, await workflow.run('inline', () => 7));
  },
  async failsTwice(key: string) {
    journal.note(`${key} runs`);
    if (workflow.workflowInfo().attempt <= 2) throw new Error('again');
    return await add(1, 1);
  },
};

/** Notes when it is entered and left, under the workflow's key, its first argument. */
const traces = (name: string): WorkflowInboundCallsInterceptor => ({
  async execute(ctx, next) {
    const key = ctx.get('arguments')[0] as string;
    journal.note(key, `+${name}`);
    const result: unknown = await next();
    journal.note(key, `-${name}`);
    return result;
  },
});

const outboundTraces = (name: string): WorkflowOutboundCallsInterceptor => ({
  async execute(call, ctx, next) {
    const key = ctx.get('arguments')[0] as string;
    journal.note(key, `+${name} ${call.activityName}`);
    const result: unknown = await next();
    journal.note(key, `-${name}`);
    return result;
  },
});

const unchanged: WorkerInterceptors = {
  inbound: [{ execute: async (_ctx, next) => await next() }],
  outbound: [{ execute: async (_call, _ctx, next) => await next() }, { execute: async (_call, _ctx, next) => next() }],
  activityInbound: [{ execute: async (_name, _args, next) => await next() }],
};

const all = { workflow: workflows, activities };

describeInBothTempos(
  'interceptors of a worker',
  {
    ...all,
    interceptors: {
      inbound: [traces('in1'), traces('in2')],
      outbound: [outboundTraces('out1'), outboundTraces('out2')],
      activityInbound: ['act1', 'act2'].map(
        (name): ActivityInboundCallsInterceptor => ({
          async execute(activityName, args, next) {
            const { workflowId } = activity.getContext();
            journal.note(workflowId, `+${name} ${activityName} ${JSON.stringify(args)}`);
            const result: unknown = await next();
            journal.note(workflowId, `-${name}`);
            return result;
          },
        }),
      ),
    },
  },
  (engine) => {
    it('lie around workflow, call and body like an onion', async () => {
      const key = uuid();
      expect(await engine().run('adds', [key, 1, 2], { workflowId: key })).toBe(3);
      // biome-ignore format: one layer a line
      expect(journal.of(key)).toEqual([
        '+in1', '+in2',
        '+out1 add', '+out2 add',
        '+act1 add [1,2]', '+act2 add [1,2]', '-act2', '-act1',
        '-out2', '-out1',
        '-in2', '-in1',
      ]);
    });

    it('lie around hooks and inline steps too', async () => {
      const key = uuid();
      expect(await engine().run('hooks', [key])).toBe(7);
      const entries = journal.of(key).filter((entry, index, list) => list.indexOf(entry) === index); // replays repeat some
      expect(entries.slice(0, 3)).toEqual(['+in1', '+in2', 'hooked ,0,0']);
      expect(entries).toContain('+out1 inline');
      expect(journal.of(key).filter((entry) => entry === '+in1').length).toBeGreaterThanOrEqual(2);
    });

    it('run once for each attempt of the function', async () => {
      const key = uuid();
      expect(await engine().run('failsTwice', [key], { config: retryAtOnce })).toBe(2);
      expect(journal.of(key).filter((entry) => entry === '+in1').length).toBeGreaterThanOrEqual(3);
      expect(journal.of(key).filter((entry) => entry === '-in1')).toHaveLength(1);
    });
  },
);

describeInBothTempos(
  'interceptors may change',
  {
    ...all,
    interceptors: {
      inbound: [
        {
          async execute(ctx, next) {
            const args = ctx.get('arguments');
            if (ctx.get('workflowName') === 'adds') args[1] = (args[1] as number) * 10;
            const result: unknown = await next();
            return ctx.get('workflowName') === 'adds' ? { result } : result;
          },
        },
      ],
      outbound: [
        {
          async execute(call, _ctx, next) {
            if (call.activityName === 'add') call.args[1] = (call.args[1] as number) * 10;
            call.options.headers.tenant = 'acme';
            const result: unknown = await next();
            return typeof result === 'number' ? result + 1_000 : result;
          },
        },
      ],
      activityInbound: [
        {
          async execute(name, args, next) {
            if (name === 'add') args[0] = (args[0] as number) + 0.5;
            const result: unknown = await next();
            return typeof result === 'number' ? result + 100_000 : result;
          },
        },
      ],
    },
  },
  (engine) => {
    it('arguments and results, each for what it wraps', async () => {
      expect(await engine().run('adds', ['k', 1, 2])).toEqual({ result: 10.5 + 20 + 100_000 + 1_000 });
    });

    it('the headers of a call, beside its own, and of no other call', async () => {
      expect(await engine().run('headersOf', ['k'])).toEqual({ own: 1, tenant: 'acme' });
      expect(await engine().run('headersOf', ['k'])).toEqual({ own: 1, tenant: 'acme' });
    });
  },
);

describeInBothTempos(
  'interceptors may call durable functions',
  {
    ...all,
    interceptors: {
      inbound: [
        {
          async execute(ctx, next) {
            const [key] = ctx.get('arguments') as [string];
            await workflow.sleep(5);
            await pool.audit(key, 'begins');
            try {
              return await next();
            } finally {
              await pool.audit(key, 'ends');
            }
          },
        },
      ],
      outbound: ['a', 'b'].map(
        (name): WorkflowOutboundCallsInterceptor => ({
          async execute(call, ctx, next) {
            const [key] = ctx.get('arguments') as [string];
            const result: unknown = await next();
            await pool.audit(key, `${name} saw ${call.activityName}`);
            return result;
          },
        }),
      ),
    },
  },
  (engine) => {
    beforeAll(async () => {
      await engine().addActivityWorker('shared', { audit: activities.audit });
    });

    it('also activities of shared pools, and no interceptor meets its own calls', async () => {
      const key = uuid();
      expect(await engine().run('adds', [key, 1, 2])).toBe(3);
      // The calls of `a` pass `b`, which is further in; those of `b` pass nobody.
      expect(journal.of(key)).toEqual([
        ...['begins', 'b saw audit', 'a saw audit', 'b saw audit'],
        ...['b saw add', 'a saw add', 'b saw audit'],
        ...['ends', 'b saw audit', 'a saw audit', 'b saw audit'],
      ]);
    });

    it('in every branch, with the same outcome', async () => {
      const key = uuid();
      const handle = await engine().start('branches', [key]);
      await engine().awaitsSignal(handle, `go-${key}`);
      await handle.signal(`go-${key}`);
      expect(await engine().result(handle)).toEqual([3, 0.02, 7, ['rejected', 'fulfilled', 'fulfilled']]);
    });
  },
);

describeInBothTempos(
  'what an interceptor throws',
  {
    ...all,
    interceptors: {
      inbound: [
        {
          async execute(ctx, next) {
            try {
              return await next();
            } catch (error) {
              return { caught: (error as Error).message, of: ctx.get('workflowName') };
            }
          },
        },
      ],
      outbound: [
        {
          // No async function: what it throws at once is a rejection too.
          execute(call, _ctx, next) {
            if (call.activityName === 'add' && call.args[0] === -1) throw new Errors.DurableFatalError('refused');
            return next().catch((error: Error) =>
              Promise.reject(new Errors.DurableFatalError(`seen: ${error.message}`)),
            );
          },
        },
      ],
      activityInbound: [
        {
          async execute(_name, args, next) {
            if (args[0] === -2) throw new Errors.DurableFatalError('body refused');
            return await next();
          },
        },
      ],
    },
  },
  (engine) => {
    it.each([
      [-1, 'refused'],
      [-2, 'seen: body refused'],
    ])('is what the call or the attempt fails with (%d)', async (a, caught) => {
      expect(await engine().run('adds', ['k', a, 0])).toEqual({ caught, of: 'adds' });
    });
  },
);

/** What is added to or taken from workers while executions run. */
describe.concurrent('an execution that runs', () => {
  const patchedSleep: WorkerInterceptors = {
    outbound: [
      {
        async execute(_call, _ctx, next) {
          if (await workflow.patched('wait-first')) await workflow.sleep(1);
          return await next();
        },
      },
    ],
  };
  const unpatchedSleep: WorkerInterceptors = {
    inbound: [
      {
        async execute(_ctx, next) {
          await workflow.sleep(1);
          return await next();
        },
      },
    ],
  };

  /** Begins under one worker, goes on under another. */
  async function handedOver(
    from: WorkerInterceptors | undefined,
    to: WorkerInterceptors | undefined,
    [name, ...args]: readonly [string, ...unknown[]],
    then: (engine: Engine, finish: () => Promise<unknown>, second: Worker) => Promise<void>,
  ) {
    const engine = await Engine.withoutWorker();
    try {
      const key = uuid();
      const first = await engine.addWorker({ ...all, ...(from && { interceptors: from }) });
      const handle = await engine.start(name, [key, ...args], { workflowId: key });
      await engine.awaitsSignal(handle, `go-${key}`);
      await first.stop();
      const second = await engine.addWorker({ ...all, ...(to && { interceptors: to }) });
      await handle.signal(`go-${key}`);
      await then(engine, () => engine.result(handle), second);
    } finally {
      await engine.close();
    }
  }

  const branches = [3, 0.02, 7, ['rejected', 'fulfilled', 'fulfilled']];

  it.each<[string, WorkerInterceptors | undefined, WorkerInterceptors | undefined]>([
    ['gets', undefined, unchanged],
    ['loses', unchanged, undefined],
  ])('%s interceptors that make no durable calls, in any branch', async (_what, from, to) => {
    await handedOver(from, to, ['branches'], async (_engine, finish) => expect(await finish()).toEqual(branches));
  });

  it('gets an interceptor with durable calls behind patched()', async () => {
    await handedOver(undefined, patchedSleep, ['addsWaits', 1, 2], async (_engine, finish) => {
      expect(await finish()).toBe(7);
    });
  });

  it('is blocked, not harmed, by an interceptor whose durable calls its history does not know', async () => {
    await handedOver(undefined, unpatchedSleep, ['addsWaits', 1, 2], async (engine, finish, second) => {
      await until('it is blocked', async () => {
        const [row] = await engine.sql<{ blocked_reason: string | null }>('select blocked_reason from thread');
        return row?.blocked_reason?.includes('NondeterminismError') === true;
      });
      await second.stop();
      await engine.addWorker(all); // as a fixed deploy does
      expect(await finish()).toBe(7);
    });
  });
});

describe('interceptors of the process', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.open({
      ...all,
      tempo: kept,
      interceptors: { inbound: [traces('worker')], outbound: [outboundTraces('worker')] },
    });
  });
  afterAll(async () => {
    Durable.clearInterceptors();
    await engine.close();
  });
  beforeEach(() => Durable.clearInterceptors());

  it('lie around those of a worker', async () => {
    const old: WorkflowInterceptor = traces('process');
    Durable.registerInterceptor(old);
    Durable.registerOutboundInterceptor(outboundTraces('process'));
    const key = uuid();
    await engine.run('adds', [key, 1, 2]);
    expect(journal.of(key)).toEqual([
      ...['+process', '+worker', '+process add', '+worker add'],
      ...['-worker', '-process', '-worker', '-process'],
    ]);
  });

  it('are dropped kind by kind, or all at once', async () => {
    const seen: string[] = [];
    const notes = (name: string) => ({
      execute: async (...args: unknown[]) => {
        seen.push(name);
        return await (args.at(-1) as () => Promise<unknown>)();
      },
    });
    const registerAll = () => {
      Durable.registerInboundInterceptor(notes('in'));
      Durable.registerOutboundInterceptor(notes('out'));
      Durable.registerActivityInboundInterceptor(notes('act'));
    };
    const run = async () => {
      seen.length = 0;
      await engine.run('adds', [uuid(), 1, 2]);
      return [...seen];
    };
    registerAll();
    expect(await run()).toEqual(['in', 'out', 'act']);
    Durable.clearOutboundInterceptors();
    expect(await run()).toEqual(['in', 'act']);
    Durable.clearActivityInboundInterceptors();
    expect(await run()).toEqual(['in']);
    registerAll();
    Durable.clearInterceptors();
    expect(await run()).toEqual([]);
    const service = Durable.getInterceptorService();
    expect([service.inbound, service.outbound, service.activityInbound]).toEqual([[], [], []]);
  });

  it('find in the context what is documented', async () => {
    let found: Map<string, unknown> | undefined;
    let call: ActivityCall | undefined;
    Durable.registerOutboundInterceptor({
      execute: async (activityCall, ctx, next) => {
        [call, found] = [activityCall, ctx];
        return await next();
      },
    });
    const key = uuid();
    await engine.run('headersOf', [key], { workflowId: key });
    expect(Object.fromEntries(found ?? [])).toMatchObject({
      workflowId: key,
      workflowName: 'headersOf',
      workflowTopic: 'test-headersOf',
      taskQueue: 'test',
      namespace: 'durable',
      workflowDimension: '',
      canRetry: true,
      counter: 0,
      replay: {},
      raw: { data: { workflowId: key, arguments: [key] } },
      connection: engine.connection,
      arguments: [key],
    });
    const others = [
      'originJobId',
      'expire',
      'cursor',
      'workflowTrace',
      'workflowSpan',
      'interruptionRegistry',
      'patchMarkers',
    ];
    for (const name of [...others, 'COUNTER', 'isReplaying']) expect(found?.has(name), name).toBe(true);
    expect(found?.get('activityInterceptorService')).toBe(Durable.getInterceptorService());
    expect(call).toMatchObject({ activityName: 'headers', args: [], options: { headers: { own: 1 } } });
  });

  it.each([undefined, null, 'x', {}, { execute: 1 }])('%o is refused', (interceptor) => {
    for (const register of [
      Durable.registerInboundInterceptor,
      Durable.registerOutboundInterceptor,
      Durable.registerActivityInboundInterceptor,
    ]) {
      expect(() => register(interceptor as never)).toThrow(Errors.InvalidArgumentError);
      expect(() => register(interceptor as never)).toThrow('must be an object with an execute function');
    }
  });
});

it('a worker refuses what cannot intercept, and unknown kinds', async () => {
  const options = { connection: {} as never, taskQueue: 'q', workflow: workflows };
  const create = (interceptors: unknown) => Durable.Worker.create({ ...options, interceptors } as never);
  await expect(create({ inbond: [] })).rejects.toThrow(
    'Worker.create: unknown option "interceptors.inbond"; did you mean "interceptors.inbound"?',
  );
  await expect(create({ inbound: {} })).rejects.toThrow('Worker.create: interceptors.inbound must be an array');
  await expect(create({ outbound: [{}] })).rejects.toThrow(
    'Worker.create: interceptors.outbound[0] must be an object with an execute function',
  );
});
