/** Seeded: `SEED=<seed>` repeats the plan, though not the scheduling of the processes. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { randomFrom } from './fixtures/programs.mjs';
import { Heard } from './support/heard.js';
import { whenTestFinished } from './support/lifetime.js';
import { type Fixture, spawnFixture } from './support/process.js';
import { startProxy } from './support/proxy.js';
import { Engine, pause, until } from './support/worker.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

async function addWorker(url: string): Promise<Fixture> {
  const worker = spawnFixture('emitting-worker.mjs', { env: { URL: url } });
  await worker.waitFor(({ type }) => type === 'ready', 60_000);
  return worker;
}

async function kill(process: Fixture): Promise<void> {
  process.kill('SIGKILL');
  await process.exited;
}

/** The names of functions as text or as the name of their statement. */
const isCommit = (request: Buffer) => /durable"?[._]commit\b/.test(request.toString('latin1'));

it.each(['before-forward', 'at-answer'] as const)(
  'SIGKILL around the commit of an event (%s): it comes once, whether it was told of or not',
  async (moment) => {
    const engine = await Engine.withoutWorker();
    const heard = await Heard.on(engine.client, { from: 0 });
    const proxy = await startProxy(engine.database.url);
    const handle = await engine.start('emits', [10]);
    // The third of its commits: the answer never comes, so nobody was told of the event by its worker.
    let commits = 0;
    const cut = proxy.cutNextQuery(moment, (request) => isCommit(request) && ++commits === 3);
    const first = await addWorker(proxy.url(engine.database.url));
    await cut;
    await kill(first);
    await addWorker(engine.database.url);
    expect(await engine.result(handle)).toBe(10);
    expect((await heard.all(engine.client)).said).toEqual(Array.from({ length: 10 }, (_, n) => ['tick', n]));
    await engine.close();
  },
);

it('workers and a subscriber die and lose their connections: each event comes once, those of a workflow in order', async () => {
  const random = randomFrom(seed);
  const engine = await Engine.withoutWorker();
  const dir = mkdtempSync(join(tmpdir(), 'perdure-events-'));
  whenTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const FILE = join(dir, 'heard.jsonl');
  const proxy = await startProxy(engine.database.url);
  const url = proxy.url(engine.database.url);
  const workers = await Promise.all([addWorker(url), addWorker(url), addWorker(url)]);
  const subscribe = async () => {
    const subscriber = spawnFixture('subscriber.mjs', { env: { URL: url, FILE } });
    await subscriber.waitFor(({ type }) => type === 'ready', 60_000);
    return subscriber;
  };
  let subscriber = await subscribe();
  const handles = await Promise.all(
    Array.from({ length: 12 }, (_, n) => engine.start('emits', [40], { workflowId: `w-${n}` })),
  );
  const results = Promise.all(handles.map((handle) => handle.result()));
  for (let n = 0; n < 6; n++) {
    await pause(random() * 300);
    const chosen = Math.floor(random() * workers.length);
    await kill(workers[chosen] as Fixture);
    proxy.cut();
    workers[chosen] = await addWorker(url);
    await kill(subscriber);
    subscriber = await subscribe();
  }
  await results;

  const read = () =>
    readFileSync(FILE, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line) as { position: number; workflowId: string; n: number });
  await until(`seed ${seed}: all events were heard`, () => read().length >= 12 * 40, 60_000);
  const heard = read();
  const positions = heard.map(({ position }) => position);
  expect(positions, `seed ${seed}`).toEqual([...new Set(positions)].sort((a, b) => a - b));
  for (let n = 0; n < 12; n++) {
    const own = heard.filter(({ workflowId }) => workflowId === `w-${n}`).map((line) => line.n);
    expect(own, `seed ${seed}, w-${n}`).toEqual(Array.from({ length: 40 }, (_, i) => i));
  }
  await Promise.all([...workers, subscriber].map(kill));
  await engine.close();
});
