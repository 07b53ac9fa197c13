/** What workers die with is told from its neighbours, tried apart from them, and quarantined in the end. */

import { expect, it } from 'vitest';
import {
  claim,
  claimOnly,
  complete,
  die,
  keepHouse,
  onEveryDatabase,
  park,
  queue,
  reapDead,
  register,
  resume,
  retire,
  running,
  step,
  takeTasks,
  task,
  taskItem,
  timer,
  tryNext,
  type Worker,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';

const LIMIT = 3;

onEveryDatabase('a thread that workers die with', (session) => {
  const deathsOf = () =>
    session().sql<{ id: string; deaths: number; state: string }>(
      `select e.workflow_id as id, s.deaths, s.state from ${SCHEMA}.suspect s join ${SCHEMA}.execution e on e.run_no = s.thread_no order by 1`,
    );
  const explained = async (id: string): Promise<unknown> => {
    const [row] = await session().sql<{ why: string }>(`select ${SCHEMA}.explain($1::text)::text as why`, id);
    return JSON.parse(row?.why ?? 'null');
  };
  const attempt = async (worker: Worker, survived: number[] = []) =>
    (await tryNext(session(), worker, { survived, quarantineAfter: LIMIT })).map(
      ({ workflow_id, quarantined, deaths }) => ({ id: workflow_id, quarantined, deaths }),
    );

  /** Workers die with all of it, so many times in a row. */
  async function dieWith(ids: readonly string[], times: number): Promise<void> {
    for (let n = 1; n <= times; n++) {
      const worker = await register(session(), `doomed ${ids} ${n}`);
      if (n === 1) for (const id of ids) await running(session(), worker, id);
      else expect((await claim(session(), worker)).map(({ workflow_id }) => workflow_id)).toEqual(ids);
      await die(session(), worker);
    }
  }

  it('once, goes to the next worker at once', async () => {
    await dieWith(['a'], 1);
    expect(await deathsOf()).toEqual([{ id: 'a', deaths: 1, state: 'counted' }]);
    await claimOnly(session(), await register(session()), 'a');
  });

  it('twice in a row, is kept from everybody, and told', async () => {
    await dieWith(['a', 'b'], 2);
    const worker = await register(session());
    expect(await claim(session(), worker)).toEqual([]);
    expect(await explained('a')).toMatchObject({ reason: 'suspect', details: { deaths: 2 } });
    expect(await reapDead(session())).toContain('u');
  });

  it('twice, with an entry in between, begins a new count', async () => {
    await dieWith(['a'], 1);
    const worker = await register(session(), 'w');
    await step(session(), await claimOnly(session(), worker, 'a'));
    await die(session(), worker);
    expect(await deathsOf()).toEqual([{ id: 'a', deaths: 1, state: 'counted' }]);
  });

  it('is tried alone; who survives is above suspicion', async () => {
    await dieWith(['a', 'b'], 2);
    const worker = await register(session());
    expect(await attempt(worker)).toEqual([{ id: 'a', quarantined: false, deaths: 2 }]);
    const a = await claimOnly(session(), worker, 'a');
    expect(await attempt(worker, [a.thread_no])).toEqual([{ id: 'b', quarantined: false, deaths: 2 }]);
    expect(await deathsOf()).toEqual([{ id: 'b', deaths: 2, state: 'tried' }]);
    await complete(session(), a);
  });

  it('takes the blame alone when it is tried, and is quarantined in the end', async () => {
    await dieWith(['a', 'b'], 2);
    const worker = await register(session(), 'trying');
    await running(session(), worker, 'innocent');
    expect(await attempt(worker)).toMatchObject([{ id: 'a' }]);
    await claimOnly(session(), worker, 'a');
    await die(session(), worker);
    expect(await deathsOf()).toEqual([
      { id: 'a', deaths: 3, state: 'waiting' },
      { id: 'b', deaths: 2, state: 'waiting' },
    ]);
    const next = await register(session(), 'next');
    expect(await attempt(next)).toEqual([
      { id: 'a', quarantined: true, deaths: 3 },
      { id: 'b', quarantined: false, deaths: 2 },
    ]);
    expect(await explained('a')).toMatchObject({
      reason: 'quarantined',
      message: '"a" is quarantined: it ended its worker 3 times; handle.resume() tries it again.',
    });
    // Who comes later does not try it either; being resumed it begins anew.
    expect(
      (await claim(session(), await register(session(), 'later'), { limit: 9 })).map((t) => t.workflow_id),
    ).not.toContain('a');
    expect(await resume(session(), ['a'])).toEqual(['resumed']);
    expect((await deathsOf()).map(({ id }) => id)).toEqual(['b']);
    await complete(session(), await claimOnly(session(), await register(session(), 'last'), 'a'));
  });

  it('waits for those that died before it, however often it did, and for no others', async () => {
    await dieWith(['a', 'b'], 2);
    const worker = await register(session(), 'trying');
    expect(await attempt(worker)).toMatchObject([{ id: 'a' }]);
    await claimOnly(session(), worker, 'a');
    await die(session(), worker);
    await dieWith(['c'], 2);
    const order = [];
    for (let n = 0; n < 3; n++) {
      const next = await register(session(), `next ${n}`);
      const [tried] = await tryNext(session(), next, { quarantineAfter: 0 });
      order.push(tried?.workflow_id);
    }
    expect(order).toEqual(['b', 'a', 'c']);
  });

  it('with a task of its own under way leaves the blame to that', async () => {
    for (let n = 1; n <= 3; n++) {
      const worker = await register(session(), `doomed ${n}`);
      if (n === 1) {
        const thread = await running(session(), worker, 'a');
        await step(session(), thread, { opens: 1 });
        await queue(session(), worker, [taskItem(thread, 0)]);
      } else await claimOnly(session(), worker, 'a');
      expect(await takeTasks(session(), worker)).toMatchObject([{ losses: n - 1 }]);
      await die(session(), worker);
    }
    expect(await deathsOf()).toEqual([]);
  });

  it('does not have tasks of others counted as lost', async () => {
    await dieWith(['a'], 2);
    const worker = await register(session(), 'trying');
    const other = await running(session(), worker, 'other');
    await step(session(), other, { opens: 1, effects: [task(0)] });
    await takeTasks(session(), worker);
    await attempt(worker);
    await claimOnly(session(), worker, 'a');
    await die(session(), worker);
    expect(await takeTasks(session(), await register(session(), 'next'))).toMatchObject([{ losses: 0 }]);
  });

  it('is not counted when its worker retires, or comes back and says that it lives', async () => {
    const retiring = await register(session(), 'retiring');
    await running(session(), retiring, 'a');
    await retire(session(), retiring);
    expect(await deathsOf()).toEqual([]);
    const cutOff = await register(session(), 'cut off');
    await claimOnly(session(), cutOff, 'a');
    await die(session(), cutOff);
    await retire(session(), cutOff);
    expect(await deathsOf()).toMatchObject([{ deaths: 0 }]);
  });

  it('is forgotten when it waits for something, or has ended', async () => {
    await dieWith(['a', 'b'], 1);
    const worker = await register(session());
    const [a, b] = await claim(session(), worker);
    if (a === undefined || b === undefined) throw new Error('not claimed');
    await keepHouse(session());
    expect(await deathsOf()).toHaveLength(2);
    await step(session(), a, { opens: 1, effects: [timer(0, 60_000)] });
    await session().sql(`update ${SCHEMA}.suspect set last_seq = 0 where thread_no = $1::bigint`, a.thread_no); // no progress
    await park(session(), a, [0]);
    await complete(session(), b);
    await keepHouse(session());
    expect(await deathsOf()).toEqual([]);
  });
});
