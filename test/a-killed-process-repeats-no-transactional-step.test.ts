/** Worker processes end around the commits of transactional steps, again and again. Each step leaves one row. */

import { afterEach, beforeEach, expect, it } from 'vitest';
import type { WorkflowHandle } from '../src/index.js';
import { type Fixture, spawnFixture } from './support/process.js';
import { Engine, kept, until } from './support/worker.js';

const STEPS = ['far', 'inline', 'near', 'one', 'other'];

let engine: Engine;
beforeEach(async () => {
  engine = await Engine.withoutWorker(kept);
  await engine.sql('create table public.effects (workflow text, step text)');
});
afterEach(() => engine.close());

function spawnWorker(env: Record<string, string>): Fixture {
  return spawnFixture('transactional-worker.mjs', { env: { URL: engine.database.url, ...env } });
}

async function startAll(count: number): Promise<WorkflowHandle[]> {
  return await Promise.all(
    Array.from({ length: count }, (_, n) => engine.start('steps', [`w${n}`], { workflowId: `w${n}` })),
  );
}

/** Nobody waits for the next look of a worker: what a dead one had is free when its lease is over. */
async function reapUntil(done: Promise<unknown>): Promise<void> {
  let isDone = false;
  const finished = done.finally(() => {
    isDone = true;
  });
  await until(
    'done',
    async () => {
      await engine.sql('select reap()');
      return isDone;
    },
    60_000,
  );
  await finished;
}

async function expectOneEach(handles: readonly WorkflowHandle[]): Promise<void> {
  for (const handle of handles) expect(await handle.result()).toEqual(['far', 'near', 'inline', 'one', 'other']);
  const rows = await engine.sql<{ workflow: string; steps: string[] }>(
    'select workflow, array_agg(step order by step) as steps from public.effects group by 1',
  );
  expect(rows.length).toBe(handles.length);
  for (const { workflow, steps } of rows) expect(steps, workflow).toEqual(STEPS);
}

async function workersAreGone(): Promise<void> {
  await until('leases are over', async () => {
    await engine.sql('select reap()');
    return (await engine.sql('select from worker where released_at is null')).length === 0;
  });
}

it('killed before and behind each point of the commit', async () => {
  const handles = await startAll(24);
  const all = Promise.all(handles.map((handle) => handle.result()));
  const points = ['begun', 'written', 'sending', 'sent', 'committed'];
  const reached: unknown[] = [];
  for (const wave of [points.slice(0, 3), points.slice(3), ['sent', 'committed', 'sending']]) {
    const workers = wave.map((POINT, n) => spawnWorker({ POINT, NTH: String(1 + n) }));
    await reapUntil(Promise.all(workers.map((worker) => worker.exited)));
    for (const worker of workers)
      reached.push(...worker.messages.filter(({ type }) => type === 'reached').map(({ point }) => point));
  }
  expect(new Set(reached)).toEqual(new Set(points));
  const last = spawnWorker({});
  await reapUntil(all);
  await expectOneEach(handles);
  last.kill();
  await last.exited;
  await workersAreGone();
});

it('stopped before its commit, and going on when others have done its step', async () => {
  const handles = await startAll(1);
  const all = Promise.all(handles.map((handle) => handle.result()));
  const stopped = spawnWorker({ POINT: 'sending', HOW: 'SIGSTOP' });
  await stopped.waitFor(({ type }) => type === 'reached');
  const other = spawnWorker({});
  await reapUntil(all);
  stopped.kill('SIGCONT');
  await until('its transaction is gone', async () => {
    const open = await engine.sql(
      `select from pg_stat_activity where datname = current_database() and application_name = 'perdure transaction' and state <> 'idle'`,
    );
    return open.length === 0;
  });
  await expectOneEach(handles);
  for (const worker of [stopped, other]) {
    worker.kill();
    await worker.exited;
  }
  await workersAreGone();
});
