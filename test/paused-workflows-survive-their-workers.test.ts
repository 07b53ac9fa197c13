/** Seeded: `SEED=<seed> npx vitest run paused-workflows` repeats the plan, though not the scheduling of the processes. */

import { expect, it } from 'vitest';
import { type Node, type ProgramResult, randomFrom, randomProgram } from './fixtures/programs.mjs';
import type { Fixture } from './support/process.js';
import { Engine, kept, pause, until } from './support/worker.js';
import { Fleet, within } from './support/worker-fleet.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

it('workflows that are paused and resumed while their workers are killed end as if nothing had happened', async () => {
  const random = randomFrom(seed);
  const engine = await Engine.withoutWorker(kept);
  const fleet = new Fleet({ url: engine.database.url });
  await Promise.all([fleet.add(), fleet.add()]);
  const { bulk } = engine.client.workflow;
  const programs: Node[] = [];
  const results: Promise<ProgramResult>[] = [];
  let paused = 0;
  for (let round = 0; round < 4; round++) {
    for (let n = 0; n < 3; n++) {
      const node = randomProgram(random, 3, 3);
      programs.push(node);
      const result = fleet.run(engine.client, node);
      result.catch(() => {});
      results.push(result);
    }
    await pause(100 + random() * 200);
    const killed = fleet.kill(fleet.workers[round % 2] as Fixture); // while it is told
    paused += (await bulk.pause({}, { reason: `round ${round}` })).done;
    await killed;
    await fleet.add();
    await until('all that is paused stands', async () => {
      const going = await engine.sql(`select from thread t where t.paused and t.state = 'owned'`);
      return going.length === 0;
    });
    await engine.expectNoViolations();
    await bulk.resume({});
  }
  expect(paused).toBeGreaterThan(0);
  const left = () =>
    engine.sql(`select t.*, e.workflow_id from thread t join execution e using (run_no) where e.state = 'open'`);
  fleet.expectOutcomes(programs, await within(60_000, Promise.all(results), left), seed);
  await fleet.killAll();
  await engine.close();
});
