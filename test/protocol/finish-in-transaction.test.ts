/** The last statement of a transactional activity: completes it, or raises so that everything before it is rolled back. */

import { expect, it } from 'vitest';
import { finishInTransaction } from '../../src/postgres/protocol/tasks.js';
import {
  die,
  mailOf,
  onEveryDatabase,
  register,
  running,
  step,
  type Thread,
  takeTasks,
  task,
  type Worker,
} from '../support/protocol.js';
import { failureOf, SCHEMA, type Session } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

async function begin(session: Session, mark = 'mark'): Promise<void> {
  await session.sql('begin');
  await session.sql(`select set_config('perdure.activity', $1::text, true)`, mark);
}

async function finishing(
  session: Session,
  worker: Worker,
  thread: Thread,
  leaseMs: number | null = null,
): Promise<unknown> {
  const whose = { workerNo: worker.no, leaseMs, threadNo: thread.thread_no, op: 0, epoch: 1 };
  const call = { ...whose, mark: 'mark', payload: '{"n":1}' };
  return await session.query(finishInTransaction(SCHEMA, call));
}

/** Whether it raises 40001, upon which a session on PGlite would send it again. */
async function isRefused(session: Session, worker: Worker, thread: Thread, epoch = 1): Promise<boolean> {
  await session.sql(`do $do$ begin
    perform set_config('test.refused', 'no', true);
    perform ${SCHEMA}.finish_in_transaction('mark', ${worker.no}, null, ${thread.thread_no}, 0, ${epoch}, null);
  exception when serialization_failure then
    perform set_config('test.refused', 'yes', true);
  end $do$`);
  const [row] = await session.sql<{ refused: string }>(`select current_setting('test.refused') as refused`);
  return row?.refused === 'yes';
}

onEveryDatabase('finish_in_transaction', (session) => {
  async function claimed(): Promise<{ worker: Worker; thread: Thread }> {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1, effects: [task(0)] });
    await takeTasks(session(), worker);
    return { worker, thread };
  }

  it('takes the row away and tells the thread, with the commit', async () => {
    const { worker, thread } = await claimed();
    const before = await stateOf(session());
    await begin(session());
    expect(await finishing(session(), worker, thread)).toEqual([{ finish_in_transaction: `w${worker.no}` }]);
    await session().sql('rollback');
    expect(await stateOf(session()), 'rolled back').toEqual(before);
    await begin(session());
    await finishing(session(), worker, thread);
    await session().sql('commit');
    expect(await mailOf(session(), worker)).toMatchObject([{ kind: 'done', op: 0, payload: '{"n":1}' }]);
    expect(await session().sql(`select from ${SCHEMA}.activity_task`)).toEqual([]);
  });

  it('raises for an attempt that is not the current one, and a second time', async () => {
    const { worker, thread } = await claimed();
    const before = await stateOf(session());
    await begin(session());
    expect(await isRefused(session(), worker, thread, 2)).toBe(true);
    await session().sql('rollback');
    expect(await stateOf(session())).toEqual(before);
    await begin(session());
    expect(await isRefused(session(), worker, thread)).toBe(false);
    expect(await isRefused(session(), worker, thread)).toBe(true);
    await session().sql('commit');
    expect((await mailOf(session(), worker)).length).toBe(1);
  });

  it('raises in another transaction than the activity was given, in none, and for who is dead', async () => {
    const { worker, thread } = await claimed();
    expect(await failureOf(finishing(session(), worker, thread))).toBe('PD006');
    await begin(session(), 'another');
    expect(await failureOf(finishing(session(), worker, thread))).toBe('PD006');
    await session().sql('rollback');
    await die(session(), worker);
    await begin(session());
    expect(await failureOf(finishing(session(), worker, thread))).toBe('PD002');
    await session().sql('rollback');
  });

  it('prolongs a lease that the transaction kept from being prolonged, unless the worker is dead', async () => {
    const { worker, thread } = await claimed();
    await session().sql(`update ${SCHEMA}.worker set lease_until = clock_timestamp() - interval '1 s'`);
    await begin(session());
    expect(await failureOf(finishing(session(), worker, thread))).toBe('PD002');
    await session().sql('rollback');
    await begin(session());
    await finishing(session(), worker, thread, 10_000);
    await session().sql('commit');
    expect(await session().sql(`select lease_until > clock_timestamp() as alive from ${SCHEMA}.worker`)).toEqual([
      { alive: true },
    ]);
  });
});
