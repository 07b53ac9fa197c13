/** One workflow in four versions: before its patch, with it, with the patch deprecated, and without any trace of it. */

import { describe, expect, it } from 'vitest';
import { uuid, type WorkflowHandle, workflow } from '../src/index.js';
import { Engine, kept, replayed } from './support/worker.js';
import { replaysFrom, type StoredRun, storedRuns } from './support/worker-replay.js';

type Version = 'before' | 'with' | 'deprecated' | 'behind';

const activities = {
  async formerly(place: string) {
    return `formerly ${place}`;
  },
  async newly(place: string) {
    return `newly ${place}`;
  },
};
const { formerly, newly } = workflow.proxyActivities<typeof activities>();

/** Where the run waits for a signal each time, so that a deploy can meet it there. */
const STOPS = ['start', 'middle', 'loop', 'branch', 'hook', 'end'];

function versionOf(version: Version) {
  /** What the change is about: another activity. */
  const step = async (place: string): Promise<string> => {
    if (version === 'before') return await formerly(place);
    if (version === 'with') return (await workflow.patched('newly')) ? await newly(place) : await formerly(place);
    if (version === 'deprecated') workflow.deprecatePatch('newly');
    return await newly(place);
  };
  const stop = (name: string) => workflow.condition(`${workflow.workflowInfo().workflowId} ${name}`);

  async function flow(id: string) {
    const seen = [await step('at the start')];
    await stop('start');
    seen.push(await step('in the middle'));
    await stop('middle');
    for (let round = 0; round < 3; round++) {
      seen.push(await step(`in round ${round}`));
      if (round === 1) await stop('loop');
    }
    seen.push(
      ...(await Promise.all([
        step('in one branch'),
        workflow.sleep(2).then(() => 'beside it'),
        (async () => {
          await stop('branch');
          return await step('in another branch');
        })(),
      ])),
    );
    try {
      await workflow.CancellationScope.withTimeout('1 hour', async () => {
        seen.push(await step('in time'));
      });
      await stop('hook');
    } finally {
      seen.push(await step('finally'));
    }
    seen.push(await workflow.execHook<string>({ taskQueue: 'test', workflowName: 'aside', args: [id] }));
    await stop('end');
    return seen;
  }

  async function aside(_id: string, { signal }: { signal: string }) {
    await workflow.sleep(1);
    await workflow.signal(signal, await step('in a hook'));
  }

  return { flow, aside };
}

const PLACES = [
  'at the start',
  'in the middle',
  'in round 0',
  'in round 1',
  'in round 2',
  'in one branch',
  'in another branch',
  'in time',
  'finally',
  'in a hook',
];

/** How many places the old code has been at when a run waits at this stop. */
const PASSED: Record<string, number> = { start: 1, middle: 2, loop: 4, branch: 6, hook: 8, end: 10 };

/** What a run sees that went past `old` places before the deploy; the branch behind the stop comes later than its sibling. */
function expected(old: number): string[] {
  const seen = PLACES.map((place, n) => `${n < old ? 'formerly' : 'newly'} ${place}`);
  return [...seen.slice(0, 6), 'beside it', ...seen.slice(6)];
}

async function go(engine: Engine, handle: WorkflowHandle, stops: readonly string[]): Promise<void> {
  for (const stop of stops) {
    await engine.awaitsSignal(handle, `${handle.workflowId} ${stop}`);
    await handle.signal(`${handle.workflowId} ${stop}`);
  }
}

async function misfits(runs: readonly StoredRun[], version: Version): Promise<string[]> {
  const found: string[] = [];
  for (const run of runs)
    for (let length = 1; length <= run.entries.length; length++) {
      const wrong = await replaysFrom(run, length, versionOf(version));
      if (wrong !== null) found.push(`${run.workflowId}, first ${length}: ${wrong}`);
    }
  return found;
}

describe.concurrent.each([kept, replayed])('code behind patched() ($name)', (tempo) => {
  it('fits every history of the code before it and of its own; without it only its own fit', async () => {
    const engine = await Engine.withoutWorker(tempo);
    const old = await engine.addWorker({ workflow: versionOf('before'), activities });
    const met = await Promise.all(
      STOPS.map(async (stop) => {
        const handle = await engine.start('flow', [uuid()]);
        await go(engine, handle, STOPS.slice(0, STOPS.indexOf(stop)));
        await engine.awaitsSignal(handle, `${handle.workflowId} ${stop}`);
        return { stop, handle };
      }),
    );
    const finished = await engine.start('flow', [uuid()]);
    await go(engine, finished, STOPS);
    expect(await engine.result(finished)).toEqual(expected(10));
    await old.stop();

    await engine.addWorker({ workflow: versionOf('with'), activities });
    await Promise.all(
      met.map(async ({ stop, handle }) => {
        await go(engine, handle, STOPS.slice(STOPS.indexOf(stop)));
        expect([stop, await engine.result(handle)]).toEqual([stop, expected(PASSED[stop] as number)]);
      }),
    );
    const fresh = await engine.start('flow', [uuid()]);
    await go(engine, fresh, STOPS);
    expect(await engine.result(fresh)).toEqual(expected(0));

    const runs = (await storedRuns(engine)).filter(({ workflowName }) => workflowName === 'flow');
    expect(runs).toHaveLength(STOPS.length + 2);
    expect(await misfits(runs, 'with')).toEqual([]);
    const ofNewCode = runs.filter(({ workflowId }) => workflowId === fresh.workflowId);
    expect(await misfits(ofNewCode, 'deprecated')).toEqual([]);
    expect(await misfits(ofNewCode, 'behind')).toEqual([]);
    const ofOldCode = runs.filter(({ workflowId }) => workflowId === finished.workflowId);
    expect(await misfits(ofOldCode, 'before')).toEqual([]);
    expect((await misfits(ofOldCode, 'behind')).length).toBeGreaterThan(0);
    await engine.close();
  });
});
