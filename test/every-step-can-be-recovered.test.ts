/**
 * Random programs, whose outcome is known, in every way the engine can run them. Whatever fails here is told with its
 * seed: `SEED=<seed> npx vitest run every-step`.
 */

import { describe, expect, it } from 'vitest';
import { Durable } from '../src/index.js';
import {
  faultsOf,
  type LedgerLine,
  makeProgram,
  type Node,
  outcomeOf,
  type ProgramResult,
  randomFrom,
  randomProgram,
  repeatsIn,
  signalsOf,
} from './fixtures/programs.mjs';
import { Engine, kept, pause, replayed, type Tempo } from './support/worker.js';
import { replaysFrom, type StoredRun, storedRuns } from './support/worker-replay.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

async function setUp(tempo: Tempo) {
  const ledger: LedgerLine[] = [];
  const { workflows, activities } = makeProgram(Durable, (line) => ledger.push(line));
  const engine = await Engine.open({ workflow: workflows, activities, tempo });
  return { engine, ledger, workflows };
}

async function runAll(engine: Engine, programs: readonly Node[]): Promise<ProgramResult[]> {
  return await Promise.all(
    programs.map(async (node) => {
      const handle = await engine.start('program', [node]);
      for (const id of signalsOf(node)) await engine.client.workflow.signal(`${handle.workflowId} ${id}`, id);
      return await engine.result<ProgramResult>(handle);
    }),
  );
}

function expectOutcomes(
  programs: readonly Node[],
  results: readonly ProgramResult[],
  ledger: readonly LedgerLine[],
): void {
  for (const [n, node] of programs.entries()) {
    expect(results[n]?.value, `seed ${seed}, program ${n}: ${JSON.stringify(node)}`).toEqual(outcomeOf(node));
  }
  expect(faultsOf(ledger, results), `seed ${seed}`).toEqual([]);
}

const programsOf = (count: number, from: number, depth = 3, pace = 1) => {
  const random = randomFrom(from);
  return Array.from({ length: count }, () => randomProgram(random, depth, pace));
};

describe.each([
  kept,
  replayed,
  { ...replayed, name: 'parked when idle, cached', tuning: { ...replayed.tuning, maxCachedWorkflows: 3 } },
])('programs ($name)', (tempo) => {
  it('give what they give in plain JavaScript, with each activity run once', async () => {
    const { engine, ledger } = await setUp(tempo);
    const programs = programsOf(200, seed);
    expectOutcomes(programs, await runAll(engine, programs), ledger);
    expect(repeatsIn(ledger)).toBe(0);
    expect(await engine.sql('select from signal')).toEqual([]);
    await engine.close();
  });
});

describe('programs (their worker declared dead over and over)', () => {
  it('give what they give in plain JavaScript, and every result is recorded once', async () => {
    const { engine, ledger } = await setUp({ ...kept, tuning: { ...kept.tuning, leaseDuration: '1s' } });
    const programs = programsOf(60, seed + 1, 4, 3);
    let running = true;
    let deaths = 0;
    const entries = async () => (await engine.sql<{ n: number }>('select count(*)::int as n from history'))[0]?.n ?? 0;
    // An activity that is lost with its process five times fails, as it should: that is not what is asked here.
    const oftenLost = async () => (await engine.sql('select from activity_task where losses >= 3')).length > 0;
    const reaping = (async () => {
      const random = randomFrom(seed + 2);
      // Not for ever: on a busy machine a worker might die before it has read what its predecessor left.
      while (running && deaths < 20) {
        // However slow the machine: something was recorded since the last death.
        const before = await entries();
        while (running && ((await entries()) === before || (await oftenLost()))) await pause(10);
        await pause(random() * 200);
        // As the reaper does it: behind the locks of commits that are under way.
        const dead = await engine.sql(
          `update worker set died_at = clock_timestamp() where worker_no in
             (select worker_no from worker where died_at is null for update) returning worker_no`,
        );
        deaths += dead.length;
        await engine.sql('select reap()');
      }
    })();
    const results = await runAll(engine, programs).finally(() => {
      running = false;
    });
    await reaping;
    expectOutcomes(programs, results, ledger);
    expect(deaths).toBeGreaterThan(1);
    await engine.close();
  });
});

describe('every stored history', () => {
  it('replays from any of its entries, giving the same commands', async () => {
    const { engine, workflows } = await setUp(kept);
    const programs = programsOf(60, seed + 3);
    await runAll(engine, programs);
    const runs = await storedRuns(engine);
    expect(runs.length).toBeGreaterThanOrEqual(programs.length);
    let prefixes = 0;
    const differences: string[] = [];
    await Promise.all(
      runs.map(async (run: StoredRun) => {
        for (const length of prefixesOf(run)) {
          prefixes++;
          const difference = await replaysFrom(run, length, workflows);
          if (difference !== null)
            differences.push(`seed ${seed}, ${run.workflowName}(${run.args}), first ${length}: ${difference}`);
        }
      }),
    );
    expect(differences).toEqual([]);
    expect(prefixes).toBeGreaterThan(runs.length);
    await engine.close();
  });
});

/** All lengths of a short history, some of a long one. */
function prefixesOf({ entries }: StoredRun): number[] {
  const lengths = entries.map((_, n) => n + 1);
  return lengths.filter((length) => length > entries.length - 3 || length % Math.ceil(entries.length / 12) === 0);
}
