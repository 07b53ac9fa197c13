import { describe, expect, it } from 'vitest';
import { turn, turns } from '../../test/support/simulated-worker.js';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import { defaultRetryPolicy } from '../core/retry-policy.js';
import { nodeReplayPort } from '../worker/replay-port.js';
import { runAs } from '../workflow/context.js';
import { workflow } from '../workflow/workflow.js';
import { conclude } from './conclude.js';
import { Instance } from './instance.js';
import { Recording } from './recording.js';
import { replay } from './replay.js';

type Activities = Record<string, (...args: unknown[]) => Promise<unknown>>;
const act = workflow.proxyActivities<Activities>() as Activities;
const call = (name: string, ...args: unknown[]) => (act[name] as Activities[string])(...args);

/** So many async functions around a call, as interceptors are. */
async function wrapped<T>(depth: number, run: () => Promise<T>): Promise<T> {
  return depth === 0 ? run() : wrapped(depth - 1, run);
}

describe('a replay', () => {
  it.each([
    [0, 0],
    [0, 40],
    [40, 0],
  ])(
    'keeps the order of commands when %i async functions more surround one call and %i the other',
    async (left, right) => {
      const code = (onLeft: number, onRight: number) => () =>
        Promise.all([
          (async () => [await wrapped(onLeft, () => call('left')), await call('behind left')])(),
          (async () => [await wrapped(onRight, () => call('right')), await call('behind right')])(),
        ]);
      const flow = await SimulatedWorkflow.begin(code(20, 20));
      await flow.completeTogether('left', 'right');
      expect(flow.store.rows).toHaveLength(2);
      expect(flow.story.slice(1)).toEqual(['done 0: activity behind left', 'done 1: activity behind right']);
      await flow.crash(code(left, right));
      expect(flow.blocked).toBeNull();
      await flow.complete('behind right', 4);
      await flow.complete('behind left', 3);
      expect(flow.ending?.value).toEqual([
        ['left', 3],
        ['right', 4],
      ]);
    },
  );

  it('gives a race to the one that was first then, not to the one that is ready now', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const first = await Promise.race([
        call('slow', 'slow'),
        (async () => {
          const answer = await call('quick', 'quick');
          return answer;
        })(),
      ]);
      return [first, await call('behind', first)];
    });
    await flow.completeTogether('quick', 'slow');
    await flow.crash();
    await flow.crash();
    await flow.complete('behind', 'B');
    expect(flow.ending?.value).toEqual(['quick', 'B']);
  });

  it('tells the loser of a race that arrives later, in its turn', async () => {
    const seen: string[][] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      const log: string[] = [];
      seen.push(log);
      const racers = ['one', 'two'].map(async (name) => {
        await call(name);
        log.push(name);
        return name;
      });
      const winner = await Promise.race(racers);
      await call('three');
      log.push('three');
      await Promise.all(racers);
      return winner;
    });
    await flow.complete('two');
    await flow.crash();
    await flow.complete('three');
    await flow.crash();
    await flow.complete('one');
    expect(flow.ending?.value).toBe('two');
    expect(seen.at(-1)).toEqual(['two', 'three', 'one']);
  });

  it('takes in the answer of a loser that nobody awaits', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const winner = await Promise.race([call('one', 1), call('two', 2)]);
      return [winner, await call('three')];
    });
    await flow.complete('two', 2);
    await flow.fail('one', new Error('too late'));
    await flow.crash();
    await flow.complete('three', 3);
    expect(flow.ending?.value).toEqual([2, 3]);
  });

  it('leaves the instance as it was: the same operations wait for their events', async () => {
    const flow = await SimulatedWorkflow.begin(() =>
      Promise.all([call('one'), workflow.sleep('1h'), workflow.condition('go', '2h'), call('two')]),
    );
    await flow.complete('one', 1);
    const before = [...(flow.instance?.pending.values() ?? [])].map(({ op, command }) => [op, command.kind]);
    await flow.crash();
    expect([...(flow.instance?.pending.values() ?? [])].map(({ op, command }) => [op, command.kind])).toEqual(before);
    expect(flow.instance?.opened).toBe(4);
    expect(flow.instance?.hasCommands).toBe(false);
  });

  it('tells code whether it runs behind its history', async () => {
    const seen: boolean[] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      for (const name of ['one', 'two', 'three']) {
        seen.push(workflow.workflowInfo().isReplaying);
        await call(name);
      }
    });
    await flow.complete('one');
    seen.length = 0;
    await flow.crash();
    await flow.complete('two');
    expect(seen).toEqual([true, true, false]);
  });

  it('of a thousand steps is quick', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      for (let n = 0; n < 1_000; n++) await call('one', n);
    });
    for (let n = 0; n < 1_000; n++) {
      flow.store.finishTask(n, { ok: true, text: String(n) });
      flow.worker.fetchMail();
      while (!flow.worker.quiet) await turn();
    }
    expect(flow.ending?.state).toBe('completed');
    const started = performance.now();
    await replayOf(flow, async () => {
      for (let n = 0; n < 1_000; n++) await call('one', n);
    });
    // Some 20 ms on a quiet machine; waiting for a timer in each step would take seconds.
    expect(performance.now() - started).toBeLessThan(3_000);
  });
});

/** Replays a history that is closed. */
async function replayOf(flow: SimulatedWorkflow, code: () => unknown): Promise<Instance> {
  const recording = new Recording(flow.steps);
  const instance = new Instance({
    info: {
      workflowId: 'w-1',
      workflowName: 'w',
      taskQueue: 'test',
      namespace: 'durable',
      hookNo: null,
      runNo: 1,
      run: 0,
      seed: '1',
      createdMs: 0,
      parentWorkflowId: null,
      originId: null,
      trace: null,
      expireS: null,
      retry: defaultRetryPolicy,
      attempt: 1,
    },
    run: (made) => runAs(made, async () => code()),
    conclude: (outcome, info) => conclude(outcome, info, (value) => JSON.stringify(value) ?? null),
    recording,
    onLateCommand: () => {},
  });
  await replay(instance, recording, nodeReplayPort, 50);
  return instance;
}

describe('a finished history', () => {
  const code = async () => {
    const seen: unknown[] = [await call('one', 1)];
    seen.push(await Promise.all([call('two'), workflow.sleep(10)]));
    await turns(2);
    seen.push(await call('three'));
    return seen;
  };
  const finished = async () => {
    const flow = await SimulatedWorkflow.begin(code);
    await flow.complete('one', 1);
    await flow.complete('two', 2);
    await flow.fire();
    await flow.complete('three', 3);
    expect(flow.ending).toEqual({ state: 'completed', value: [1, [2, 0.01], 3] });
    return flow;
  };

  it('is replayed without a command more or less', async () => {
    const instance = await replayOf(await finished(), code);
    expect(instance.ended).toBe(true);
    expect(instance.hasCommands).toBe(false);
    expect(instance.pending.size).toBe(0);
  });

  it('tells that the code goes on where it ended', async () => {
    const flow = await finished();
    const replayed = replayOf(flow, async () => {
      await code();
      await call('four');
    });
    await expect(replayed).rejects.toMatchObject({ recorded: 'the end of the workflow', produced: 'activity "four"' });
  });

  it('tells that the code waits where it ended', async () => {
    const flow = await finished();
    const replayed = replayOf(flow, async () => {
      await code();
      await new Promise(() => {});
    });
    await expect(replayed).rejects.toMatchObject({ recorded: 'the end of the workflow', produced: null });
  });

  it('tells that the code ends before it ended', async () => {
    const flow = await finished();
    const replayed = replayOf(flow, async () => call('one', 1));
    await expect(replayed).rejects.toMatchObject({ produced: 'the end of the workflow' });
  });
});
