import { afterAll, beforeAll, expect, it } from 'vitest';
import { Errors, workflow } from '../src/index.js';
import { watchFigures } from './support/telemetry.js';
import { Engine, replayed, retryAtOnce, until } from './support/worker.js';

const activities = {
  async work(fails: number) {
    if (fails-- > 0) throw new Errors.DurableFatalError('no');
    return 'done';
  },
};
const { work } = workflow.proxyActivities<typeof activities>();

async function steps(count: number) {
  for (let step = 0; step < count; step++) await work(0);
}

async function fails() {
  await work(1);
}

async function waits() {
  await workflow.condition('go');
}

let sdk: ReturnType<typeof watchFigures>;
beforeAll(() => {
  sdk = watchFigures();
});
afterAll(() => sdk.end());

it('the figures of a worker count what it did, and are gone with it', async () => {
  const engine = await Engine.withoutWorker(replayed);
  for (let n = 0; n < 3; n++) await engine.start('steps', [4]);
  await engine.addWorker({ workflow: { steps, fails, waits }, activities });
  await engine.failure(await engine.start('fails', [], { config: retryAtOnce }));
  const waiting = await engine.start('waits');
  await engine.awaitsSignal(waiting, 'go');
  await until('all have ended', async () => {
    return (await engine.sql("select from execution where state = 'open'")).length === 1;
  });
  const [entries] = await engine.sql<{ n: number }>(`select count(*)::int as n from history`);
  const figures = await sdk.read();
  const sum = (name: string, where: Record<string, unknown> = {}) => {
    const points = figures.get(name)?.points ?? [];
    const hit = points.filter(({ attributes }) =>
      Object.entries(where).every(([key, value]) => attributes[key] === value),
    );
    return hit.reduce((total, { value, count }) => total + (count ?? value), 0);
  };
  expect([...figures].map(([name, { unit }]) => `${name} ${unit}`).sort()).toEqual([
    'perdure.activity.duration s',
    'perdure.claims {claim}',
    'perdure.commit.batch.size {entry}',
    'perdure.commit.duration s',
    'perdure.commit.entries {entry}',
    'perdure.worker.activities {attempt}',
    'perdure.worker.executions {execution}',
    'perdure.workflow.duration s',
    'perdure.workflow.schedule_to_start s',
  ]);
  expect(sum('perdure.commit.entries')).toBe(entries?.n);
  expect(sum('perdure.commit.batch.size')).toBe(sum('perdure.commit.duration'));
  expect(sum('perdure.commit.batch.size')).toBeLessThanOrEqual(entries?.n ?? 0);
  expect(sum('perdure.claims', { 'claim.kind': 'workflow' })).toBeGreaterThanOrEqual(5);
  expect(sum('perdure.activity.duration', { 'activity.name': 'work', 'activity.outcome': 'done' })).toBe(12);
  expect(sum('perdure.activity.duration', { 'activity.outcome': 'failed' })).toBe(1);
  expect(sum('perdure.workflow.duration', { 'workflow.name': 'steps', 'workflow.outcome': 'completed' })).toBe(3);
  expect(sum('perdure.workflow.duration', { 'workflow.outcome': 'failed' })).toBe(1);
  expect(sum('perdure.workflow.schedule_to_start', { 'workflow.task_queue': 'test' })).toBe(5);
  expect(sum('perdure.worker.activities')).toBe(0);

  await Promise.all(engine.workers.map((worker) => worker.stop()));
  await sdk.end();
  sdk = watchFigures();
  expect([...(await sdk.read())]).toEqual([]);
  await waiting.terminate();
  await engine.close();
});

it('an SDK that is registered later is found, and another one in its place', async () => {
  await sdk.end();
  const engine = await Engine.open({ workflow: { steps, waits }, activities });
  await engine.run('steps', [1]);
  sdk = watchFigures();
  await engine.run('steps', [1]);
  expect((await sdk.read()).get('perdure.workflow.duration')?.points).toMatchObject([{ count: 1 }]);
  await sdk.end();
  sdk = watchFigures();
  const waiting = await engine.start('waits');
  await engine.awaitsSignal(waiting, 'go');
  await engine.run('steps', [2]);
  const figures = await sdk.read();
  expect(figures.get('perdure.workflow.duration')?.points).toMatchObject([{ count: 1 }]);
  expect(
    figures
      .get('perdure.worker.executions')
      ?.points.map(({ value }) => value)
      .sort(),
  ).toEqual([0, 1]);

  // What goes wrong.
  await engine.sql('update worker set died_at = now()');
  await until('the loss is counted', async () => (await sdk.read()).get('perdure.worker.leases.lost') !== undefined);
  await engine.sql(
    `insert into worker (worker_key, description, registered_at, lease_until) values ('k', 'host/77', now(), now() - interval '1 s')`,
  );
  await until('the dead one is counted', async () => (await sdk.read()).get('perdure.worker.reaped') !== undefined);
  await waiting.terminate();
  await engine.close();
});
