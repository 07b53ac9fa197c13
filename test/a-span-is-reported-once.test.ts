import { expect, it } from 'vitest';
import { type Fixture, spawnFixture } from './support/process.js';
import { Engine, replayed, retryAtOnce, until } from './support/worker.js';

const spansOf = (worker: Fixture) => worker.messages.filter(({ type, name }) => type === 'span' && name === 'traces');
const partsOf = (worker: Fixture) => spansOf(worker).map(({ attributes }) => (attributes as { part: string }).part);

async function addWorker(url: string): Promise<Fixture> {
  const worker = spawnFixture('traced-worker.mjs', { env: { URL: url } });
  await worker.waitFor(({ type }) => type === 'ready', 60_000);
  return worker;
}

it('a span is reported by the process that commits it, by no replay, no retry, and no other process', async () => {
  const engine = await Engine.withoutWorker(replayed);
  const first = await addWorker(engine.database.url);
  const handle = await engine.start('traces', [], { config: retryAtOnce });
  await engine.awaitsSignal(handle, 'go');
  first.kill('SIGKILL');
  await first.exited;
  expect(partsOf(first).filter((part) => part === 'first')).toEqual(['first']);
  expect(partsOf(first).filter((part) => part === 'each attempt').length).toBeGreaterThanOrEqual(2);
  expect(spansOf(first)[0]).toMatchObject({
    library: 'perdure',
    name: 'traces',
    attributes: { weight: 1.5, fragile: true, 'workflow.id': handle.workflowId, 'workflow.run': 0 },
    isRemote: true,
  });

  const second = await addWorker(engine.database.url);
  await handle.signal('go');
  expect(await engine.result(handle)).toBe(true);
  await until('the last span', () => partsOf(second).includes('second'));
  expect(partsOf(second).filter((part) => part !== 'each attempt')).toEqual(['second']);
  // One trace for all of them, whoever reports.
  expect(new Set([...spansOf(first), ...spansOf(second)].map(({ traceId }) => traceId)).size).toBe(1);
  second.kill('SIGKILL');
  await second.exited;
  await until('its lease is over', async () => {
    await engine.sql('select reap()');
    return (await engine.sql('select from worker where released_at is null')).length === 0;
  });
  await engine.close();
});
