import { describe, expect, it } from 'vitest';
import { turns } from '../../test/support/simulated-worker.js';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import { CancelledFailure, DuplicateJobError, DurableFatalError, DurableMaxedError } from '../core/errors.js';
import type { CommandSpec } from '../core/history.js';
import { workflowGuid } from './random.js';
import { workflow } from './workflow.js';

type Activities = Record<string, (...args: unknown[]) => Promise<unknown>>;
const act = workflow.proxyActivities<Activities>() as Activities;
const call = (name: string, ...args: unknown[]) => (act[name] as Activities[string])(...args);

const caught = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => new Error('nothing was thrown'),
    (error: Error) => error,
  );

/** What the only command of a kind carries. */
function specOf<K extends keyof CommandSpec>(flow: SimulatedWorkflow, kind: K): CommandSpec[K] {
  const found = flow.steps.flatMap((step) => step.commands).find(({ command }) => command.kind === kind);
  return found?.command.spec as CommandSpec[K];
}

describe('an activity', () => {
  it('is called with its arguments and gives its result', async () => {
    const flow = await SimulatedWorkflow.begin(() => call('charge', 'o-1', { sum: 3 }, undefined));
    expect(JSON.parse(specOf(flow, 'activity').args)).toEqual(['o-1', { sum: 3 }, null]);
    await flow.complete('charge', { paid: true });
    expect(flow.ending?.value).toEqual({ paid: true });
  });

  it('may give nothing', async () => {
    const flow = await SimulatedWorkflow.begin(async () => [(await call('charge')) === undefined]);
    await flow.complete('charge');
    expect(flow.ending?.value).toEqual([true]);
  });

  it('that failed for good throws its failure, live and in a replay', async () => {
    const seen: string[] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      const error = await caught(call('charge'));
      seen.push(`${error.name}: ${error.message} (${String((error as { code?: number }).code)})`);
      expect(error).toBeInstanceOf(DurableFatalError);
      await call('note');
    });
    await flow.fail('charge', new RangeError('too much'));
    await flow.crash();
    expect(seen).toEqual(['DurableFatalError: too much (598)', 'DurableFatalError: too much (598)']);
  });

  it('returns its failure with throwOnError: false', async () => {
    const { charge } = workflow.proxyActivities<Activities>({ retry: { throwOnError: false } }) as Activities;
    const flow = await SimulatedWorkflow.begin(async () => {
      const answer = (await (charge as Activities[string])()) as Error;
      return [answer instanceof Error, answer.message];
    });
    await flow.fail('charge', new Error('no'));
    expect(flow.ending?.value).toEqual([true, 'no']);
  });

  it('inherits the retry policy of its workflow, but for what its proxy says', async () => {
    const proxy = workflow.proxyActivities<Activities>({
      retry: { maximumAttempts: 7 },
      taskQueue: 'elsewhere',
      startToCloseTimeout: '3s',
      headers: { tenant: 't' },
    }) as Activities;
    const flow = await SimulatedWorkflow.begin(async () => (proxy.charge as Activities[string])(), {
      retry: { maximumAttempts: 1, initialIntervalMs: 11, backoffCoefficient: 2 },
    });
    expect(specOf(flow, 'activity')).toMatchObject({
      taskQueue: 'elsewhere',
      startToCloseMs: 3_000,
      headers: '{"tenant":"t"}',
      retry: { maximumAttempts: 7, initialIntervalMs: 11, backoffCoefficient: 2 },
    });
  });

  it('brings its function along when the proxy has it', async () => {
    const charge = async () => 1;
    const proxy = workflow.proxyActivities({ activities: { charge } });
    const flow = await SimulatedWorkflow.begin(() => proxy.charge());
    expect(flow.instance?.pending.get(0)?.implementation).toBe(charge);
    await flow.crash();
    expect(flow.instance?.pending.get(0)?.implementation).toBe(charge);
  });

  it('refuses arguments that cannot be stored at the call, which records nothing and can be caught', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const error = await caught(call('charge', 1n));
      return [error.name, await call('note')];
    });
    await flow.complete('note', 'noted');
    expect(flow.commands).toEqual(['activity note', 'complete']);
    expect(flow.ending?.value).toEqual(['PayloadError', 'noted']);
  });

  it.each(['then', 'constructor', 'toString', '__proto__', 'catch'])('may be called %s, but for then', async (name) => {
    const proxy = workflow.proxyActivities<Activities>() as Activities;
    if (name === 'then') expect(proxy.then).toBeUndefined();
    else expect(typeof proxy[name]).toBe('function');
  });

  it('of one name is the same function each time', () => {
    expect(act.charge).toBe(act.charge);
  });
});

describe('sleep', () => {
  it('gives its length in seconds when its timer fired, not before', async () => {
    const flow = await SimulatedWorkflow.begin(() => workflow.sleep('2 minutes'));
    flow.store.now += 119_999;
    flow.worker.fireDue();
    await flow.settle();
    expect(flow.ending).toBeNull();
    await flow.fire();
    expect(flow.ending?.value).toBe(120);
  });

  it.each([0, -5, '0s'])('of %o needs no timer', async (none) => {
    const flow = await SimulatedWorkflow.begin(() => workflow.sleep(none));
    expect(flow.commands).toEqual(['complete']);
    expect(flow.ending?.value).toBe(0);
  });

  it.each(['soon', Number.NaN, Infinity, '101 years'])('refuses %o', async (length) => {
    const flow = await SimulatedWorkflow.begin(() => workflow.sleep(length));
    expect(flow.ending).toMatchObject({ state: 'failed', value: { name: 'InvalidArgumentError' } });
  });
});

describe('condition', () => {
  it('gives what it was signalled', async () => {
    const flow = await SimulatedWorkflow.begin(() => workflow.condition('go'));
    await flow.signal('go', { by: 'me' });
    expect(flow.ending?.value).toEqual({ by: 'me' });
  });

  it('gives nothing for a signal without data', async () => {
    const flow = await SimulatedWorkflow.begin(async () => [(await workflow.condition('go')) === undefined]);
    await flow.signal('go');
    expect(flow.ending?.value).toEqual([true]);
  });

  it('finds a signal that came before it, also after a crash', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      await call('first');
      return [await workflow.condition('go'), await call('behind')];
    });
    await flow.signal('go', 1);
    await flow.complete('first');
    expect(flow.story.at(-1)).toBe('decided 1: activity behind');
    await flow.crash();
    await flow.complete('behind', 2);
    expect(flow.ending?.value).toEqual([1, 2]);
  });

  it('finds an early signal without data', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      await call('first');
      const early = (await workflow.condition('go')) === undefined;
      return [early, await call('behind')];
    });
    await flow.signal('go');
    await flow.complete('first');
    await flow.crash();
    await flow.complete('behind', 2);
    expect(flow.ending?.value).toEqual([true, 2]);
  });

  it('takes several signals of one id in their order, one each', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      await call('first');
      return [await workflow.condition('go'), await workflow.condition('go'), await workflow.condition('go')];
    });
    for (const n of [1, 2, 3]) await flow.signal('go', n);
    await flow.complete('first');
    expect(flow.ending?.value).toEqual([1, 2, 3]);
  });

  it('gives false when its time is over, and a later signal is kept for the next', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const late = await workflow.condition('go', '1s');
      return [late, await workflow.condition('go', { timeout: '1 day' })];
    });
    await flow.fire();
    await flow.signal('go', 'late');
    expect(flow.ending?.value).toEqual([false, 'late']);
  });

  it('disarms its timer when the signal comes first', async () => {
    const flow = await SimulatedWorkflow.begin(async () => [
      await workflow.condition('go', '1s'),
      await call('behind'),
    ]);
    await flow.signal('go', 1);
    expect(flow.store.timers.size).toBe(0);
    await flow.complete('behind', 2);
    expect(flow.ending?.value).toEqual([1, 2]);
  });

  it('takes the signal that came before the timeout was stored', async () => {
    const flow = await SimulatedWorkflow.begin(() => workflow.condition('go', '1s'));
    // In the store, while the worker still believes that nobody signalled.
    flow.store.signal('go', '"just in time"');
    await flow.fire();
    expect(flow.store.answered.stale).toBe(1);
    expect(flow.ending?.value).toBe('just in time');
  });

  it.each([null, 'soon', { timeout: null }, { unknown: 1 }])('refuses %o as its timeout', async (timeout) => {
    const flow = await SimulatedWorkflow.begin(() => workflow.condition('go', timeout as unknown as string));
    expect(flow.ending).toMatchObject({ state: 'failed', value: { name: 'InvalidArgumentError' } });
  });
});

describe('cancel and signal that cross', () => {
  const waits = async () => {
    try {
      return ['signalled', await workflow.condition('go')];
    } catch (error) {
      return [error instanceof CancelledFailure, await workflow.condition('go')];
    }
  };

  it('a signal behind the cancel in the inbox is not lost, and nothing is reloaded for ever', async () => {
    const flow = await SimulatedWorkflow.begin(async () => [await waits(), await caught(call('next'))]);
    flow.store.cancel();
    flow.store.signal('go', '1');
    await flow.look();
    expect(flow.store.answered.stale).toBe(0);
    // What was given to the wait counts; the cancel reaches what comes next.
    expect(flow.ending?.value).toMatchObject([['signalled', 1], { message: 'Workflow cancelled' }]);
  });

  it('a signal that comes while the cancel is being stored goes to the wait', async () => {
    const flow = await SimulatedWorkflow.begin(waits);
    flow.store.cancel();
    flow.worker.fetchMail();
    flow.store.signal('go', '1');
    await flow.settle();
    expect(flow.store.answered.stale).toBe(1);
    expect(flow.ending?.value).toEqual(['signalled', 1]);
  });

  it('a signal behind a cancel that was stored is kept for the next wait', async () => {
    const flow = await SimulatedWorkflow.begin(waits);
    await flow.cancel();
    await flow.signal('go', 2);
    expect(flow.ending?.value).toEqual([true, 2]);
  });

  it('a signal between a cancelled attempt and its retry is not lost', async () => {
    const flow = await SimulatedWorkflow.begin(
      async ({ info }) => {
        await call('one');
        if (info.attempt === 1) throw new Error('not yet');
        return waits();
      },
      { retry: { maximumAttempts: 1 } },
    );
    await flow.complete('one');
    await flow.cancel();
    // The retry comes at once, and is cancelled like any attempt.
    expect(flow.story.slice(2)).toEqual(['retry 1: wait', 'cancel [2]: wait']);
    await flow.signal('go', 3);
    expect(flow.ending?.value).toEqual([true, 3]);
  });
});

describe('signal', () => {
  it('tells whether somebody waited', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const waiting = workflow.condition('mine');
      await call('first');
      return [await workflow.signal('mine', 1), await workflow.signal('other', 2), await waiting];
    });
    await flow.complete('first');
    await flow.look();
    expect(flow.ending?.value).toEqual(['delivered', 'buffered', 1]);
    expect(flow.store.buffered).toEqual([{ id: 'other', payload: '2' }]);
  });

  it('tells the same after a crash between its commit and the answer', async () => {
    const flow = await SimulatedWorkflow.begin(async () => [await workflow.signal('other', 2), await call('behind')]);
    await flow.crash();
    await flow.complete('behind', 1);
    expect(flow.ending?.value).toEqual(['buffered', 1]);
  });

  it('sent in one turn with the wait for it, waits for the store', async () => {
    const flow = await SimulatedWorkflow.begin(() => Promise.all([workflow.condition('me'), workflow.signal('me', 1)]));
    expect(flow.ending?.value).toEqual([1, 'buffered']);
  });
});

describe('a child', () => {
  it('gives its result', async () => {
    const flow = await SimulatedWorkflow.begin(() => workflow.executeChild({ workflowName: 'ship', args: [1] }));
    await flow.complete('ship', { sent: true });
    expect(flow.ending?.value).toEqual({ sent: true });
  });

  it('that fails throws, or returns with throwOnError: false', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const thrown = await caught(workflow.executeChild({ workflowName: 'ship', args: [] }));
      const given = await workflow.executeChild<Error>({
        workflowName: 'ship',
        args: [],
        config: { throwOnError: false },
      });
      return [thrown instanceof DurableMaxedError, thrown.message, given instanceof DurableFatalError, given.message];
    });
    await flow.fail('ship', new DurableMaxedError('used up'));
    await flow.fail('ship', new Error('no'));
    expect(flow.ending?.value).toEqual([true, 'used up', true, 'no']);
  });

  it.each([true, false])('whose id is taken throws a DuplicateJobError (awaited: %s)', async (awaited) => {
    const start = awaited ? workflow.executeChild : workflow.startChild;
    const taken = await SimulatedWorkflow.begin(async () => {
      await call('first');
      const error = await caught(start({ workflowName: 'ship', args: [], workflowId: 'taken' }));
      return [error instanceof DuplicateJobError, (error as DuplicateJobError).jobId, await call('behind')];
    });
    taken.store.takenIds.add('taken');
    await taken.complete('first');
    await taken.crash();
    await taken.complete('behind', 1);
    expect(taken.ending?.value).toEqual([true, 'taken', 1]);
  });

  it('that is started only gives its id, once it is durable', async () => {
    const flow = await SimulatedWorkflow.begin(() =>
      workflow.startChild({ workflowName: 'ship', args: [], workflowId: 'c-1' }),
    );
    expect(flow.ending?.value).toBe('c-1');
  });

  it('has ids of its own where none is given, the same in each replay', async () => {
    const seen: string[][] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      const ids = [await workflow.startChild({ workflowName: 'a', args: [] })];
      ids.push(await workflow.startChild({ workflowName: 'a', args: [] }));
      seen.push(ids);
      await call('behind');
    });
    await flow.crash();
    expect(seen).toHaveLength(2);
    expect(seen[1]).toEqual(seen[0]);
    expect(new Set(seen[0]).size).toBe(2);
  });

  it('that is awaited is asked to cancel with its parent, one that is started only is not', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      await workflow.startChild({ workflowName: 'free', args: [] });
      await caught(workflow.executeChild({ workflowName: 'awaited', args: [] }));
      await call('cleanup');
    });
    await flow.cancel();
    const asked = [...flow.store.children.values()].filter((child) => child.cancelRequested).map(({ name }) => name);
    expect(asked).toEqual(['awaited']);
  });

  it('needs a name', async () => {
    const flow = await SimulatedWorkflow.begin(() => workflow.executeChild({ args: [] }));
    expect(flow.ending).toMatchObject({ state: 'failed', value: { name: 'InvalidArgumentError' } });
  });
});

describe('continueAsNew', () => {
  it('ends the run with the arguments of the next', async () => {
    const flow = await SimulatedWorkflow.begin(() => workflow.continueAsNew(1, { two: 2 }));
    expect(flow.ending).toEqual({ state: 'continued', value: [1, { two: 2 }] });
  });

  it('with arguments that cannot be stored fails where it stands, and the run goes on', async () => {
    const flow = await SimulatedWorkflow.begin(async () => (await caught(workflow.continueAsNew(() => {}))).name);
    expect(flow.ending).toEqual({ state: 'completed', value: 'PayloadError' });
  });
});

describe('what is drawn', () => {
  const draws = () => [workflow.random(), workflow.uuid4(), workflowGuid(), workflow.now().getTime()];

  it('is the same in each replay, and never the same twice', async () => {
    const seen: unknown[][] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      const mine: unknown[] = [...draws(), ...draws()];
      seen.push(mine);
      await call('one');
      mine.push(...draws());
      await Promise.all([
        call('two').then(() => mine.push(...draws())),
        call('three').then(() => mine.push(...draws())),
      ]);
    });
    await flow.complete('one');
    await flow.complete('three');
    await flow.crash();
    expect(seen[1]).toEqual(seen[0]);
    const values = (seen[0] ?? []).filter((_, index) => index % 4 !== 3);
    expect(new Set(values).size).toBe(values.length);
  });

  it('does not depend on when late code makes its calls', async () => {
    const seen: unknown[][] = [];
    let late: Promise<void> = turns(2);
    const flow = await SimulatedWorkflow.begin(async () => {
      const mine: unknown[] = [];
      seen.push(mine);
      await Promise.all([
        (async () => {
          await late;
          await call('late');
        })(),
        (async () => {
          await call('one');
          mine.push(...draws());
          await call('two');
          mine.push(...draws());
        })(),
      ]);
    });
    expect(flow.commands).toEqual(['activity one', 'activity late']);
    await flow.complete('one');
    await flow.complete('two');
    for (const again of [0, 1, 9]) {
      late = turns(again);
      await flow.crash();
    }
    expect(seen).toHaveLength(4);
    for (const other of seen.slice(1)) expect(other).toEqual(seen[0]);
  });

  it('does not depend on calls that were under way behind an import when the process died', async () => {
    const seen: unknown[][] = [];
    let late: Promise<void> = new Promise(() => {});
    const flow = await SimulatedWorkflow.begin(async () => {
      const mine: unknown[] = [];
      seen.push(mine);
      await Promise.all([
        (async () => {
          await late;
          await call('late');
        })(),
        (async () => {
          await call('one');
          mine.push(...draws());
          await call('two');
        })(),
      ]);
    });
    await flow.complete('one');
    late = turns(1);
    await flow.crash();
    expect(flow.blocked).toBeNull();
    expect(seen[1]).toEqual(seen[0]);
  });
});

describe('what a workflow knows about itself', () => {
  it('is its run and its attempt', async () => {
    const flow = await SimulatedWorkflow.begin(
      async () => {
        const info = workflow.workflowInfo();
        if (info.attempt === 1) throw new Error('not yet');
        return info;
      },
      { retry: { maximumAttempts: 1 } },
    );
    await flow.fire();
    expect(flow.ending?.value).toMatchObject({
      workflowId: 'w-1',
      workflowName: 'simulated',
      workflowTopic: 'test-simulated',
      taskQueue: 'test',
      attempt: 2,
      canRetry: false,
      run: 0,
      parentWorkflowId: null,
    });
  });

  it('has what programs of HotMesh look at, which is no part of what they return', async () => {
    const counted: number[] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      const { COUNTER, raw, replay, cursor, interruptionRegistry, counter } = workflow.getContext();
      counted.push(counter, COUNTER.counter);
      await workflow.sleep(0);
      counted.push(counter, COUNTER.counter);
      return [raw, replay, cursor, interruptionRegistry, Object.keys(workflow.workflowInfo()).includes('COUNTER')];
    });
    expect(counted).toEqual([0, 0, 0, 1]);
    const raw = { data: { workflowId: 'w-1', workflowTopic: 'test-simulated' } };
    expect(flow.ending?.value).toEqual([raw, {}, '', [], false]);
  });
});

describe('a call that nobody awaits', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['activity', () => call('one')],
    ['sleep', () => workflow.sleep('1h')],
    ['condition', () => workflow.condition('go')],
    ['child', () => workflow.executeChild({ workflowName: 'one', args: [] })],
  ])('%s may be rejected without harm', async (_what, unawaited) => {
    const flow = await SimulatedWorkflow.begin(async () => {
      void unawaited();
      await workflow.CancellationScope.nonCancellable(() => call('shielded'));
      return 'done';
    });
    await flow.cancel();
    await turns(3);
    await flow.complete('shielded');
    expect(flow.ending).toEqual({ state: 'completed', value: 'done' });
  });

  it('awaited later than it failed still throws there', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const one = call('one');
      await call('two');
      return (await caught(one)).message;
    });
    await flow.fail('one', new Error('early'));
    await turns(3);
    await flow.complete('two');
    expect(flow.ending?.value).toBe('early');
  });
});
