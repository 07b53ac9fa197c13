/** Seeded: `SEED=<seed> npx vitest run a-crashed` repeats the plan, though not the scheduling of the processes. */

import { expect, it } from 'vitest';
import { type Node, type ProgramResult, randomFrom, randomProgram } from './fixtures/programs.mjs';
import type { Fixture } from './support/process.js';
import { type Moment, startProxy } from './support/proxy.js';
import { Engine, kept, pause, until } from './support/worker.js';
import { Fleet, within } from './support/worker-fleet.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

/** Who runs what, for a failure's report. */
const openThreads = (engine: Engine) => () =>
  engine.sql(
    `select e.workflow_id, s.name, e.args, t.*, (select json_agg(i) from inbox i where i.thread_no = t.thread_no) as inbox,
       (select json_agg(a) from activity_task a where a.thread_no = t.thread_no) as tasks,
       (select json_agg(m) from timer m where m.thread_no = t.thread_no) as timers
     from thread t join execution e using (run_no) join service s on s.service_no = t.service_no where e.state = 'open'`,
  );

it('SIGKILL at random moments: every program ends as if nothing had happened', async () => {
  const random = randomFrom(seed);
  const engine = await Engine.withoutWorker(kept);
  const fleet = new Fleet({ url: engine.database.url });
  await Promise.all([fleet.add(), fleet.add(), fleet.add()]);
  const programs: Node[] = [];
  const results: Promise<ProgramResult>[] = [];
  let kills = 0;
  const killing = (async () => {
    while (kills < 8) {
      await pause(50 + random() * 400);
      const { workers } = fleet;
      await fleet.kill(workers[Math.floor(random() * workers.length)] as Fixture);
      kills++;
      await fleet.add();
    }
  })();
  // So that the last kill still meets some.
  while (kills < 8) {
    const node = randomProgram(random, 3, 3);
    programs.push(node);
    const result = fleet.run(engine.client, node);
    result.catch(() => {});
    results.push(result);
    await pause(150);
  }
  await killing;
  fleet.expectOutcomes(programs, await within(60_000, Promise.all(results), openThreads(engine)), seed);
  await fleet.killAll();
  await endsClean(engine);
});

it('SIGKILL around each call: before it is sent, when it is done but not answered', async () => {
  const random = randomFrom(seed + 1);
  const engine = await Engine.withoutWorker(kept);
  const fleet = new Fleet({ url: engine.database.url });
  const programs: Node[] = [];
  const results: Promise<ProgramResult>[] = [];
  const hits: string[] = [];
  for (const call of ['commit', 'claim', 'park', 'queue_tasks', 'claim_tasks', 'finish_tasks', 'renew_lease', 'mail']) {
    for (const moment of ['before-forward', 'at-answer'] as const satisfies Moment[]) {
      const proxy = await startProxy(engine.database.url);
      // The name of a function, as text or as the name of its statement: nothing else in a request looks like that.
      const name = new RegExp(`durable"?[._]${call}\\b`);
      let seen = 0;
      const nth = Math.floor(random() * 2);
      const cut = proxy.cutNextQuery(moment, (request) => name.test(request.toString('latin1')) && seen++ === nth);
      const worker = await fleet.add(proxy.url(engine.database.url));
      for (let n = 0; n < 3; n++) {
        // A failed attempt, a long one and a signal: what makes every call be sent.
        const node: Node = ['seq', ['flaky', 'a', 1], ['slow', 'b', 400], ['wait', 'c'], randomProgram(random, 2)];
        programs.push(node);
        const result = fleet.run(engine.client, node);
        result.catch(() => {});
        results.push(result);
      }
      const hit = await Promise.race([cut.then(() => true), pause(2_000).then(() => false)]);
      await fleet.kill(worker);
      if (hit) hits.push(`${call} ${moment}`);
    }
  }
  await fleet.add();
  fleet.expectOutcomes(programs, await within(60_000, Promise.all(results), openThreads(engine)), seed);
  expect(hits.length, hits.join(', ')).toBeGreaterThanOrEqual(12);
  await fleet.killAll();
  await endsClean(engine);
});

it('an activity that was running is run again by another; one that had ended is not', async () => {
  const engine = await Engine.withoutWorker(kept);
  const fleet = new Fleet({ url: engine.database.url });
  const first = await fleet.add();
  const program = fleet.run(engine.client, ['seq', ['step', 'ended'], ['slow', 'running', 1_000], ['step', 'later']]);
  await until('the slow one runs', () => fleet.ledger.some(({ tag }) => tag === 'running'));
  await fleet.kill(first);
  const killedAt = Date.now();
  await fleet.add();
  const { value } = await within(60_000, program, openThreads(engine));
  expect(value).toEqual(['ended', 'running', 'later']);
  expect(fleet.ledger.map(({ tag }) => tag)).toEqual(['ended', 'running', 'running', 'later']);
  expect(Date.now() - killedAt).toBeLessThan(30_000);
  await fleet.killAll();
  await endsClean(engine);
});

/** All processes are dead: what they owned is given back, and nothing is left that should not be. */
async function endsClean(engine: Engine): Promise<void> {
  await until('their leases are over', async () => {
    await engine.sql('select reap()');
    return (await engine.sql('select from worker where released_at is null')).length === 0;
  });
  await engine.close();
}
