import { describe, expect, it } from 'vitest';
import { parkThreads } from '../../src/postgres/protocol/threads.js';
import {
  claim,
  claimOnly,
  onEveryDatabase,
  park,
  register,
  release,
  running,
  signal,
  start,
  step,
  timer,
  wait,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

onEveryDatabase('park', (session) => {
  it('puts a thread aside until one of the named operations is over', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await step(session(), thread, { opens: 2, effects: [wait(0, 'x'), wait(1, 'y')] });
    expect(await park(session(), thread, [0, 1])).toBe('parked');
    expect(await stateOf(session())).toMatchObject({
      threads: [{ state: 'parked', owner: null, claimable: false, blocked_on: [0, 1], epoch: 1 }],
    });
  });

  it('lets its earliest timer wake it', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await step(session(), thread, { opens: 2, effects: [timer(0, 90_000), timer(1, 60_000)] });
    expect(await park(session(), thread, [0, 1])).toBe('parked');
    const rows = await session().sql(
      `select t.ready_at = m.due_at as same from ${SCHEMA}.thread t join ${SCHEMA}.timer m using (thread_no) where m.op = 1`,
    );
    expect(rows).toEqual([{ same: true }]);
  });

  it('is refused while there is mail', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await step(session(), thread, { opens: 1, effects: [wait(0, 'go')] });
    await signal(session(), 'go');
    expect(await park(session(), thread, [0])).toBe('mail');
    expect(await stateOf(session())).toMatchObject({ threads: [{ state: 'owned', owner: 'worker' }] });
  });

  it('is refused for a thread that was claimed again or given back, or is another worker’s', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    const stale = await running(session(), worker, 'a');
    await step(session(), stale, { opens: 1, effects: [wait(0, 'go')] });
    await release(session(), stale);
    expect(await park(session(), stale, [0])).toBe('fenced');
    const thread = await claimOnly(session(), worker, 'a');
    expect(await park(session(), stale, [0])).toBe('fenced');
    expect(await park(session(), { ...thread, worker: other }, [0])).toBe('fenced');
    expect(await park(session(), thread, [0])).toBe('parked');
  });

  it('refuses one thread of several alone', async () => {
    const worker = await register(session());
    for (const id of ['a', 'b', 'c']) await start(session(), id);
    const threads = await claim(session(), worker);
    for (const thread of threads) await step(session(), thread, { opens: 1, effects: [wait(0, thread.workflow_id)] });
    await signal(session(), 'b');
    const items = threads.map(({ thread_no, epoch }, n) => ({
      threadNo: thread_no,
      epoch: n === 2 ? 9 : epoch,
      blockedOn: [0],
    }));
    const [, b, c] = threads.map(({ thread_no }) => thread_no) as [number, number, number];
    expect(await parkThreads(session(), SCHEMA, worker.no, items)).toEqual(
      new Map([
        [b, 'mail'],
        [c, 'fenced'],
      ]),
    );
    const { threads: rows } = await stateOf(session());
    expect(rows?.map(({ state }) => state)).toEqual(['parked', 'owned', 'owned']);
  });

  it('repeated says so again, and changes nothing, though the thread was woken and claimed since', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1, effects: [wait(0, 'go')] });
    expect(await park(session(), thread, [0])).toBe('parked');
    const parked = await stateOf(session());
    expect(await park(session(), thread, [0])).toBe('parked');
    expect(await stateOf(session())).toEqual(parked);
    await signal(session(), 'go');
    const woken = await stateOf(session());
    expect(await park(session(), thread, [0])).toBe('parked');
    expect(await stateOf(session())).toEqual(woken);
    await claim(session(), worker, { wanted: [thread.thread_no] });
    expect(await park(session(), thread, [0])).toBe('fenced');
    expect(await stateOf(session())).toMatchObject({ threads: [{ state: 'owned', epoch: 2 }] });
  });

  describe('release', () => {
    it('gives a thread to whoever claims it next, at once', async () => {
      const [worker, other] = [await register(session()), await register(session(), 'other')];
      const thread = await running(session(), worker, 'a');
      await step(session(), thread, { opens: 1, effects: [wait(0, 'go')] });
      expect(await release(session(), thread)).toBe(`q${thread.service_no}`);
      expect(await claimOnly(session(), other, 'a')).toMatchObject({ epoch: 2, last_seq: 0 });
    });

    it('leaves alone what is no longer the worker’s', async () => {
      const [worker, other] = [await register(session()), await register(session(), 'other')];
      const thread = await running(session(), worker, 'a');
      expect(await release(session(), { ...thread, epoch: 9 })).toBeNull();
      expect(await release(session(), { ...thread, worker: other })).toBeNull();
      expect(await release(session(), thread)).not.toBeNull();
      await claimOnly(session(), other, 'a');
      expect(await release(session(), thread)).toBeNull();
      expect(await stateOf(session())).toMatchObject({ threads: [{ state: 'owned', owner: 'other' }] });
    });
  });
});
