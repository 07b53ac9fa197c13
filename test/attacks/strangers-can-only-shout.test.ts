/** S15, S16: everybody who can connect can LISTEN and NOTIFY on our channel. */

import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Durable } from '../../src/index.js';
import { type Attacker, createAttacker } from '../support/attacker.js';
import { engineForAll, pause } from '../support/worker.js';

const MARK = 'sesame-4711';

async function tells(value: string) {
  await Durable.workflow.emit({ [`topic-${MARK}`]: value });
  await Durable.workflow.signal(`later-${MARK}`, value);
  return await Durable.workflow.condition(`go-${MARK}`);
}

const engine = engineForAll({ workflow: { tells } });
let admin: pg.Client;
let stranger: Attacker;

beforeAll(async () => {
  admin = new pg.Client(engine().database.url);
  await admin.connect();
  stranger = await createAttacker(engine().database, admin, 'nothing');
});
afterAll(async () => {
  await stranger.drop();
  await admin.end();
});

it('S16: who listens learns that something happened, not what', async () => {
  const listener = await stranger.connect();
  const heard: string[] = [];
  listener.on('notification', ({ payload }) => void heard.push(payload ?? ''));
  await listener.query('listen perdure_durable');
  const handle = await engine().start('tells', [MARK], {
    workflowId: `id-${MARK}`,
    search: { data: { secret: MARK } },
  });
  await engine().client.workflow.signal(`go-${MARK}`, MARK);
  expect(await engine().result(handle)).toBe(MARK);
  // From a caller's transaction the hint is part of the commit.
  await engine().sql(`select durable.signal_workflow('x-${MARK}', '"${MARK}"')`);
  await engine().sql(`select durable.start_workflow('tells', 'test', workflow_id => 'y-${MARK}')`);
  while (!heard.some((payload) => !payload.includes(':'))) await pause(10);
  expect(heard.length).toBeGreaterThan(0);
  for (const payload of heard) expect(payload).toMatch(/^([0-9a-f]{12}:)?[a-z]{1,8}\d{0,16}(,[a-z]{1,8}\d{0,16})*$/);
  await (await engine().client.workflow.getHandle('test', 'tells', `y-${MARK}`)).terminate();
});

it('S15: who shouts makes us look a little more often, and harms nobody', async () => {
  const shouter = await stranger.connect();
  const { client } = engine();
  await admin.query(`alter database ${engine().database.name} set track_functions to 'all'`);
  // Its connections are made behind the setting. The other worker stops: what is counted is this one's.
  await engine().workers[0]?.stop();
  await engine().addWorker({ workflow: { tells } });
  const [service] = await engine().sql<{ no: number }>(`select service_no as no from service where kind = 'workflow'`);
  const words = [
    ...[`q${service?.no}`, 'a', 'm', 't', 'e', 'd', 'w1', 'w2', 'r1'],
    ...['q999999', '', ':', '*', 'aaaaaaaaaaaaaaaaaaaa:a', `${'q1,'.repeat(2_000)}q1`, '\u0001', '{"a":1}'],
    ...[`q${'9'.repeat(400)}`, `'; drop schema durable cascade; --`, 'x'.repeat(7_900)],
  ];
  const began = Date.now();
  let shouts = 0;
  for (; shouts < 100 || Date.now() - began < 1_500; shouts++)
    await shouter.query(`select pg_notify('perdure_durable', $1)`, [words[shouts % words.length]]);
  const handle = await engine().start('tells', ['x']);
  await client.workflow.signal(`go-${MARK}`, 'through');
  expect(await engine().result(handle)).toBe('through');
  const seconds = (Date.now() - began) / 1_000;
  await engine().workers.at(-1)?.stop(); // its statistics are complete when its connections have ended
  const looks = async () => {
    const { rows } = await admin.query<{ name: string; calls: number }>(
      `select funcname as name, calls::int from pg_stat_user_functions where funcname in ('claim', 'claim_tasks', 'mail', 'reap', 'tidy', 'descend', 'expire_tasks', 'results', 'emissions')`,
    );
    return Object.fromEntries(rows.map(({ name, calls }) => [name, calls]));
  };
  while ((await looks()).claim === undefined) await pause(50);
  const counted = await looks();
  // Of each kind at most one look per shout that names it, however much it says: three in twenty of them name queues.
  for (const calls of Object.values(counted))
    expect(calls, JSON.stringify({ shouts, seconds, counted })).toBeLessThan(shouts / 5 + seconds * 20);
});
