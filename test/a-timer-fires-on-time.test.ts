import { describe, expect, it } from 'vitest';
import { type WorkflowHandle, workflow } from '../src/index.js';
import { spawnFixture } from './support/process.js';
import { describeInBothTempos, Engine, kept, pause, replayed, until } from './support/worker.js';

async function sleeps(ms: number) {
  return await workflow.sleep(ms);
}

async function naps(count: number, ms: number) {
  for (let n = 0; n < count; n++) await workflow.sleep(ms);
  return count;
}

async function timesOut(ms: number) {
  return await workflow.condition('never', ms);
}

/** Milliseconds between the moment each timer was due and the entry that took it in, all by the database's clock. */
async function lateness(engine: Engine, handles: readonly WorkflowHandle[]): Promise<number[]> {
  const rows = await engine.sql<{ late: number }>(
    `select extract(epoch from fired.at - armed.at)::float8 * 1000
       - coalesce(armed.body::json #>> '{0,2,4,ms}', armed.body::json #>> '{0,2,4,timeoutMs}')::float8 as late
     from history fired join history armed on armed.thread_no = fired.thread_no and armed.seq = fired.seq - 1
     join execution e on e.run_no = fired.thread_no
     where e.workflow_id = any($1) and fired.body::json #>> '{0,1,0}' = 'fire'`,
    [handles.map(({ workflowId }) => workflowId)],
  );
  return rows.map(({ late }) => late).sort((a, b) => a - b);
}

describeInBothTempos('a timer', { workflow: { sleeps, naps, timesOut } }, (engine) => {
  it('is never early, and late by milliseconds', async () => {
    const handles = await Promise.all(Array.from({ length: 200 }, (_, n) => engine().start('sleeps', [n * 5 + 1])));
    const results = await Promise.all(handles.map((handle) => engine().result(handle)));
    expect(results).toEqual(handles.map((_, n) => (n * 5 + 1) / 1000));
    const late = await lateness(engine(), handles);
    expect(late).toHaveLength(200);
    expect(late[0]).toBeGreaterThanOrEqual(0);
    // Generous: the machine runs other tests beside.
    expect(late[Math.floor(late.length / 2)]).toBeLessThan(250);
  });

  it('after a timer after a timer is never early', async () => {
    const handle = await engine().start('naps', [20, 7]);
    expect(await engine().result(handle)).toBe(20);
    const late = await lateness(engine(), [handle]);
    expect(late).toHaveLength(20);
    expect(late[0]).toBeGreaterThanOrEqual(0);
  });

  it('of many that are due at the same moment leaves none out', async () => {
    const handles = await Promise.all(Array.from({ length: 500 }, () => engine().start('sleeps', [400])));
    expect(await Promise.all(handles.map((handle) => engine().result(handle)))).toEqual(Array(500).fill(0.4));
  });

  it.each([0, -1, '0s', 0.4])('of %j is no trouble', async (ms) => {
    expect(await engine().run('sleeps', [ms])).toBe(ms === 0.4 ? 0.0004 : 0);
  });
});

describe('a timer nobody keeps in memory', () => {
  it('wakes its workflow, long after it was parked', async () => {
    const engine = await Engine.open({ workflow: { sleeps, timesOut }, tempo: replayed });
    const handles = await Promise.all([
      ...[6_000, 6_200].map((ms) => engine.start('sleeps', [ms])),
      engine.start('timesOut', [6_100]),
    ]);
    await Promise.all(handles.map((handle) => engine.waits(handle))); // parked: due in more than five seconds
    const started = Date.now();
    expect(await Promise.all(handles.map((handle) => engine.result(handle)))).toEqual([6, 6.2, false]);
    expect(Date.now() - started).toBeLessThan(15_000);
    const late = await lateness(engine, handles.slice(0, 2));
    expect(late[0]).toBeGreaterThanOrEqual(0);
    expect(late.at(-1)).toBeLessThan(4_500);
    await engine.close();
  });

  it('that came due while no worker was there fires when one comes', async () => {
    const engine = await Engine.withoutWorker(kept);
    const worker = await engine.addWorker({ workflow: { sleeps }, options: { parkAfter: 0 } });
    const handle = await engine.start('sleeps', [1_000]);
    await until('it sleeps', async () => (await engine.sql('select from timer')).length === 1);
    await worker.stop();
    await pause(1_200);
    const came = Date.now();
    await engine.addWorker({ workflow: { sleeps } });
    expect(await engine.result(handle)).toBe(1);
    expect(Date.now() - came).toBeLessThan(4_500);
    await engine.close();
  });
});

it('the clock of a worker’s machine has no effect: an hour ahead and an hour behind', async () => {
  const engine = await Engine.withoutWorker(kept);
  const fixtures = ['3600000', '-3600000'].map((shift) =>
    spawnFixture('shifted-clock.mjs', { env: { URL: engine.database.url, CLOCK_SHIFT_MS: shift } }),
  );
  await Promise.all(fixtures.map((fixture) => fixture.waitFor(({ type }) => type === 'ready')));
  const handles = await Promise.all(Array.from({ length: 30 }, (_, n) => engine.start('steps', [n * 10])));
  const started = Date.now();
  for (const handle of handles) {
    const { now, machine, order } = await engine.result<{ now: number; machine: number; order: boolean }>(handle);
    expect(Math.abs(now - Date.now())).toBeLessThan(60_000);
    expect(Math.abs(machine - Date.now())).toBeGreaterThan(3_000_000);
    expect(order).toBe(true);
  }
  expect(Date.now() - started).toBeLessThan(15_000);
  const late = await lateness(engine, handles);
  expect(late[0]).toBeGreaterThanOrEqual(0);
  for (const fixture of fixtures) {
    fixture.kill('SIGTERM');
    await fixture.exited;
  }
  await engine.close();
});
