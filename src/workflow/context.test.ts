import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { turns } from '../../test/support/simulated-worker.js';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import { SharedPromiseError, WorkflowContextError } from '../core/errors.js';
import { workflowGuid } from './random.js';
import { workflow } from './workflow.js';

type Activities = Record<string, (...args: unknown[]) => Promise<unknown>>;
const act = workflow.proxyActivities<Activities>() as Activities;
const call = (name: string, ...args: unknown[]) => (act[name] as Activities[string])(...args);

describe('a call outside of a workflow', () => {
  it.each<[string, () => unknown]>([
    ['sleep', () => workflow.sleep(1)],
    ['condition', () => workflow.condition('go')],
    ['signal', () => workflow.signal('go')],
    ['executeChild', () => workflow.executeChild({ workflowName: 'w', args: [] })],
    ['startChild', () => workflow.startChild({ workflowName: 'w', args: [] })],
    ['continueAsNew', () => workflow.continueAsNew()],
    ['patched', () => workflow.patched('p')],
    ['charge', () => call('charge')],
    ['random', async () => workflow.random()],
    ['uuid4', async () => workflow.uuid4()],
    ['now', async () => workflow.now()],
    ['workflowInfo', async () => workflow.workflowInfo()],
    ['deprecatePatch', async () => workflow.deprecatePatch('p')],
    ['CancellationScope.nonCancellable', async () => workflow.CancellationScope.nonCancellable(async () => 1)],
  ])('%s rejects with a WorkflowContextError that names it', async (name, code) => {
    const error: unknown = await Promise.resolve()
      .then(code)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(WorkflowContextError);
    expect(error).toMatchObject({
      call: name,
      message: expect.stringContaining(`${name}: called outside of a workflow`),
    });
  });

  it('rejects rather than throws, so that whoever awaits it sees it', () => {
    const promises = [workflow.sleep(1), workflow.condition('go'), workflow.signal('go'), workflow.patched('p')];
    for (const promise of promises) {
      expect(promise).toBeInstanceOf(Promise);
      promise.catch(() => {});
    }
  });

  it('making a proxy is no call', () => {
    expect(() => workflow.proxyActivities()).not.toThrow();
  });

  it('a guid asked for outside is not the workflow kind', () => {
    expect(workflowGuid()).toBeNull();
  });

  it('left unawaited, does not end the process', async () => {
    void workflow.sleep(1);
    void call('charge');
    await turns(3);
  });
});

describe('a call inside finds its workflow', () => {
  it.each<[string, <T>(run: () => Promise<T>) => Promise<T>]>([
    ['in a helper', async (run) => run()],
    [
      'in a closure',
      (run) =>
        (
          () => () =>
            run()
        )()(),
    ],
    ['behind a non-durable await', (run) => turns(2).then(run)],
    ['behind nextTick', (run) => new Promise((resolve) => process.nextTick(() => resolve(run())))],
    [
      'in an async generator',
      async (run) => {
        async function* one() {
          yield await run();
        }
        for await (const value of one()) return value;
        throw new Error('nothing came');
      },
    ],
    ['in a storage of its own', (run) => new AsyncLocalStorage().run({}, run)],
    [
      'in a constructor',
      (run) =>
        new (class {
          readonly answer = run();
        })().answer,
    ],
    [
      'behind a thenable',
      (run) =>
        ({
          // biome-ignore lint/suspicious/noThenProperty: what other libraries' promises are
          then: <T>(resolve: (value: T) => void) => resolve(run() as T),
        }) as unknown as ReturnType<typeof run>,
    ],
  ])('%s', async (_where, around) => {
    const flow = await SimulatedWorkflow.begin(async () => around(() => call('charge')));
    await flow.complete('charge', 7);
    expect(flow.ending?.value).toBe(7);
    expect(flow.commands[0]).toBe('activity charge');
  });
});

describe('what was made for one workflow and is used in another', () => {
  it('a proxy gives a SharedPromiseError that points to AsyncResource.bind', async () => {
    let shared: Activities | undefined;
    const code = async () => {
      shared ??= workflow.proxyActivities<Activities>() as Activities;
      return (shared.charge as Activities[string])();
    };
    const first = await SimulatedWorkflow.begin(code);
    const second = await SimulatedWorkflow.begin(code);
    expect(second.ending).toMatchObject({
      state: 'failed',
      value: { type: 'DurableFatalError', message: expect.stringContaining('AsyncResource.bind') },
    });
    expect(second.commands).toEqual(['fail']);
    await first.complete('charge', 1);
    expect(first.ending).toEqual({ state: 'completed', value: 1 });
  });

  it('is an error of the call, to be caught like any other', async () => {
    let shared: Activities | undefined;
    await SimulatedWorkflow.begin(async () => {
      shared = workflow.proxyActivities<Activities>() as Activities;
      await call('wait');
    });
    const second = await SimulatedWorkflow.begin(async () => {
      const error: unknown = await (shared!.charge as Activities[string])().catch((thrown: unknown) => thrown);
      return [error instanceof SharedPromiseError, (error as SharedPromiseError).call];
    });
    expect(second.ending?.value).toEqual([true, 'charge']);
  });

  it('a loader whose callback runs for whoever came first calls in that one, unless it is bound', async () => {
    // A batching loader: the first one to ask in a turn starts the batch.
    const waiting: (() => void)[] = [];
    const batched = (run: () => void) => {
      waiting.push(run);
      if (waiting.length === 1)
        setImmediate(() => {
          for (const next of waiting.splice(0)) next();
        });
    };
    const load = (bind: boolean) => async () => {
      const { charge } = workflow.proxyActivities<Activities>() as Activities;
      return new Promise((resolve) => {
        const ask = () => resolve((charge as Activities[string])().catch((error: Error) => error.constructor.name));
        batched(bind ? AsyncResource.bind(ask) : ask);
      });
    };
    const [first, second] = await Promise.all([
      SimulatedWorkflow.begin(load(false)),
      SimulatedWorkflow.begin(load(false)),
    ]);
    expect(first.commands).toEqual(['activity charge']);
    expect(second.ending?.value).toBe('SharedPromiseError');

    const bound = await Promise.all([SimulatedWorkflow.begin(load(true)), SimulatedWorkflow.begin(load(true))]);
    for (const flow of bound) {
      await flow.complete('charge', 'mine');
      expect(flow.ending?.value).toBe('mine');
    }
  });

  it.each<[string, () => { run(): unknown }]>([
    [
      'a scope',
      () => ({
        run: (
          (scope) => () =>
            scope.run(async () => 1)
        )(new workflow.CancellationScope()),
      }),
    ],
    [
      'the cancelling of a scope',
      () => ({
        run: (
          (scope) => () =>
            scope.cancel()
        )(new workflow.CancellationScope()),
      }),
    ],
  ])('%s gives a SharedPromiseError too', async (_what, make) => {
    let shared: { run(): unknown } | undefined;
    await SimulatedWorkflow.begin(async () => {
      shared = make();
      await call('wait');
    });
    const second = await SimulatedWorkflow.begin(async () => {
      try {
        await shared?.run();
        return 'it passed';
      } catch (error) {
        return [error instanceof SharedPromiseError, (error as Error).message.includes('AsyncResource.bind')];
      }
    });
    expect(second.ending?.value).toEqual([true, true]);
  });

  it('the callback of an event emitter belongs to nobody, and says how to bind it', async () => {
    const emitter = new EventEmitter();
    const asked = (bind: boolean) => async () => {
      const answer = new Promise<unknown>((resolve) => {
        const ask = () => resolve(call('charge').catch((error: Error) => error.message));
        emitter.once('go', bind ? AsyncResource.bind(ask) : ask);
      });
      return await answer;
    };
    const [loose, bound] = await Promise.all([
      SimulatedWorkflow.begin(asked(false)),
      SimulatedWorkflow.begin(asked(true)),
    ]);
    emitter.emit('go'); // from outside of any workflow
    await Promise.all([loose.settle(), bound.settle()]);
    expect(loose.ending?.value).toMatch(/charge: called outside of a workflow.*AsyncResource\.bind/);
    await bound.complete('charge', 'mine');
    expect(bound.ending?.value).toBe('mine');
  });

  it('a proxy made at module level belongs to nobody', async () => {
    const flows = await Promise.all([1, 2].map(() => SimulatedWorkflow.begin(() => call('charge'))));
    for (const flow of flows) {
      await flow.complete('charge', 1);
      expect(flow.ending?.value).toBe(1);
    }
  });

  it('a proxy kept from a run that has ended may be used by the next', async () => {
    let kept: Activities | undefined;
    const code = async () => {
      kept ??= workflow.proxyActivities<Activities>() as Activities;
      return (kept.charge as Activities[string])();
    };
    const first = await SimulatedWorkflow.begin(code);
    await first.complete('charge', 1);
    const second = await SimulatedWorkflow.begin(code);
    await second.complete('charge', 2);
    expect(second.ending?.value).toBe(2);
  });

  it('a proxy kept from an attempt that failed, or that was dropped, may be used by the next', async () => {
    let kept: Activities | undefined;
    const flow = await SimulatedWorkflow.begin(
      async ({ info }) => {
        kept ??= workflow.proxyActivities<Activities>() as Activities;
        const answer = await (kept.charge as Activities[string])();
        if (info.attempt === 1) throw new Error('not yet');
        return answer;
      },
      { retry: { maximumAttempts: 1 } },
    );
    await flow.crash();
    await flow.complete('charge', 1);
    await flow.fire();
    expect(flow.ending?.value).toBe(1);
  });
});
