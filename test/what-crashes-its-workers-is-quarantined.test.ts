/** Poison: workflows that end the process that runs them. Their neighbours end as if nothing had been. */

import { expect, it } from 'vitest';
import { type Fixture, type Message, spawnFixture } from './support/process.js';
import { Engine, kept, until } from './support/worker.js';

const LIMIT = 3;

/** Worker processes one after the other, as a supervisor starts them, until `done`. */
class Supervisor {
  readonly messages: Message[] = [];
  deaths = 0;
  #stopped = false;
  #worker: Fixture | null = null;
  #watch: Promise<void> = Promise.resolve();

  start(env: Record<string, string>): void {
    this.#stopped = false;
    this.#watch = this.#run(env);
  }

  async #run(env: Record<string, string>): Promise<void> {
    while (!this.#stopped) {
      this.#worker = spawnFixture('crashing-worker.mjs', { env, execArgv: ['--max-old-space-size=48'] });
      await this.#worker.exited;
      this.messages.push(...this.#worker.messages);
      if (!this.#stopped) this.deaths++;
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#worker?.kill();
    await this.#watch;
  }
}

it('workflows that end their process are quarantined, and nobody else is', async () => {
  const engine = await Engine.withoutWorker(kept);
  const env = { URL: engine.database.url, TUNING: JSON.stringify({ quarantineAfter: LIMIT }) };
  const poisons = await Promise.all(
    ['exit', 'heap'].map((way) => engine.start('poison', [way], { workflowId: `poison-${way}` })),
  );
  const innocents = await Promise.all(Array.from({ length: 20 }, () => engine.start('innocent', [10])));
  const supervisor = new Supervisor();
  supervisor.start(env);

  const results = await Promise.all(innocents.map((handle) => handle.result()));
  expect(results).toEqual(innocents.map(() => 10));
  const quarantined = () => engine.client.workflow.list({ quarantined: true });
  await until('both are quarantined', async () => (await quarantined()).executions.length === 2, 60_000);
  expect((await engine.client.workflow.list({ blocked: true })).executions).toHaveLength(2);
  for (const handle of poisons) {
    expect(await handle.explain()).toMatchObject({ reason: 'quarantined', details: { deaths: LIMIT } });
  }
  await supervisor.stop();
  // Twice with both, which are told apart from then on.
  expect(supervisor.deaths).toBeLessThanOrEqual(2 * LIMIT);
  const ids = poisons.map(({ workflowId }) => workflowId).sort();
  const told = (type: string) => supervisor.messages.filter((message) => message.type === type);
  expect(
    told('log')
      .map(({ level, workflowId, deaths }) => ({ level, workflowId, deaths }))
      .sort((one, other) => String(one.workflowId).localeCompare(String(other.workflowId))),
  ).toEqual(ids.map((workflowId) => ({ level: 'error', workflowId, deaths: LIMIT })));
  expect(
    told('event')
      .map(({ event }) => event)
      .sort(),
  ).toEqual(ids.map((id) => `system.workflow.${id}.quarantined`));

  const mended = new Supervisor();
  mended.start({ ...env, MENDED: 'yes' });
  await until('a mended worker is there', async () => (await engine.sql('select from workers where alive')).length > 0);
  expect((await quarantined()).executions).toHaveLength(2);
  expect(await engine.client.workflow.bulk.resume({ quarantined: true })).toMatchObject({ done: 2 });
  expect(await Promise.all(poisons.map((handle) => handle.result()))).toEqual([2, 2]);
  expect(mended.deaths).toBe(0);
  await mended.stop();
  await until('leases are over', async () => {
    await engine.sql('select reap()');
    return (await engine.sql('select from worker where released_at is null')).length === 0;
  });
  await engine.close();
}, 120_000);
