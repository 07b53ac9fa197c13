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

interface Given {
  readonly mark?: string;
  readonly epoch?: number;
  readonly leaseMs?: number;
}

async function begin(session: Session, mark = 'mark'): Promise<void> {
  await session.sql('begin');
  await session.sql(`select set_config('perdure.activity', $1::text, true)`, mark);
}

async function finishing(session: Session, worker: Worker, thread: Thread, given: Given = {}): Promise<unknown> {
  const { mark = 'mark', epoch = 1, leaseMs = null } = given;
  const call = { mark, workerNo: worker.no, leaseMs, threadNo: thread.thread_no, op: 0, epoch, payload: '{"n":1}' };
  return await session.query(finishInTransaction(SCHEMA, call));
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

  it.each<[string, Given, string]>([
    ['in another transaction than the activity was given', { mark: 'other' }, 'PD006'],
    ['by an attempt that is not the current one', { epoch: 2 }, '40001'],
  ])('raises %s', async (_, given, state) => {
    const { worker, thread } = await claimed();
    const before = await stateOf(session());
    await begin(session());
    expect(await failureOf(finishing(session(), worker, thread, given))).toBe(state);
    await session().sql('rollback');
    expect(await stateOf(session())).toEqual(before);
  });

  it('raises without a transaction, a second time, and for who is dead', async () => {
    const { worker, thread } = await claimed();
    expect(await failureOf(finishing(session(), worker, thread))).toBe('PD006');
    await begin(session());
    await finishing(session(), worker, thread);
    expect(await failureOf(finishing(session(), worker, thread))).toBe('40001');
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
    await finishing(session(), worker, thread, { leaseMs: 10_000 });
    await session().sql('commit');
    expect(await session().sql(`select lease_until > clock_timestamp() as alive from ${SCHEMA}.worker`)).toEqual([
      { alive: true },
    ]);
  });
});
