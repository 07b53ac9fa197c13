/** Races that need a third party, and what a caller's open transaction does to others (R16). */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { outcomeOf, PausableDatabase, untilAnswered } from '../support/pause.js';
import {
  cancel,
  child,
  claim,
  claimOnly,
  commitAll,
  commitOne,
  entry,
  finish,
  keepHouse,
  mailOf,
  outcomeOf as outcomeOfTask,
  park,
  register,
  release,
  running,
  signal,
  signalAll,
  signalItem,
  start,
  startAll,
  startItem,
  step,
  type Thread,
  takeTasks,
  task,
  terminate,
  uncall,
  violations,
  wait,
  waiting,
} from '../support/protocol.js';
import { failureOf, type Session } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

const LOCK_NOT_AVAILABLE = '55P03';

describe('several at once', () => {
  let database: PausableDatabase;
  let control: Session;
  let sessions: readonly [Session, Session, Session];

  beforeAll(async () => {
    database = await PausableDatabase.open();
    control = database.control;
    sessions = [await database.session(), await database.session(), await database.session()];
  });
  afterAll(() => database.close());
  beforeEach(() => database.reset());

  it('a cancel reaches the next run of a child that was given up while it continued as new', async () => {
    const [continuing, givingUp, parking] = sessions;
    const [w1, w2] = [await register(control, 'w1'), await register(control, 'w2')];
    const parent = await running(control, w1, 'parent');
    await step(control, parent, { opens: 1, effects: [child(0, 'child')] });
    const kid = await claimOnly(control, w2, 'child');
    const beside = await running(control, w1, 'beside');

    // The parent gives the child up, and waits for it, as it is just going on to its next run ...
    const next = entry(kid, { closing: 'continued', result: '[]' });
    const continued = await database.park(continuing, 'end', () => commitOne(continuing, kid, next));
    const items = [
      entry(parent, { resolves: [0], effects: [uncall(0)] }),
      entry(beside, { opens: 1, effects: [wait(0, 'go')] }),
    ];
    const up = await database.park(givingUp, 'commit.done', () => untilAnswered(() => commitAll(givingUp, w1, items)));
    // ... and then for a thread that somebody else holds, while the next run is about to park.
    await control.sql('begin');
    await cancel(control, 'beside');
    await continued.release();
    const second = await claimOnly(parking, w2, 'child');
    await step(parking, second, { opens: 1, effects: [wait(0, 'elsewhere')] });
    const parked = await database.park(parking, 'park.locked', () => park(parking, second, [0]));
    await control.sql('commit');
    await database.untilStopped(givingUp, up.outcome);
    await parked.release();
    await up.release();
    expect(await violations(control)).toEqual([]);
    const { inbox } = await stateOf(control);
    expect(inbox?.filter(({ thread }) => thread === 'child/1')).toMatchObject([{ kind: 'cancel' }]);
  });

  it('a signal that was put back finds who begins to wait, though another of its id is sent meanwhile', async () => {
    const [beginning, sending] = sessions;
    const worker = await register(control);
    const ended = await running(control, worker, 'ended');
    await step(control, ended, { opens: 1, effects: [wait(0, 'go')] });
    await signal(control, 'go', { payload: '1' });
    await running(control, worker, 'bystander');
    const thread = await running(control, worker, 'waits');

    // It has looked for kept signals, and found none.
    const item = entry(thread, { opens: 1, effects: [wait(0, 'go')] });
    const begun = await database.park(beginning, 'commit.done', () => commitOne(beginning, thread, item));
    await step(control, ended, { closing: 'completed', result: '1' });
    const sent = outcomeOf(untilAnswered(() => signal(sending, 'go', { workflowId: 'bystander', payload: '2' })));
    await database.untilStopped(sending, sent);
    await begun.release();
    expect(await sent).toEqual({ answer: 'buffered' });
    await keepHouse(control);
    expect(await violations(control)).toEqual([]);
    expect(await stateOf(control)).toMatchObject({
      inbox: [{ thread: 'waits/0', payload: '1' }],
      signals: [{ chain: 'bystander/0', payload: '2' }],
    });
  });

  it('one claim sent twice takes each thread once, and all of them can be given back', async () => {
    const [first, second] = sessions;
    const worker = await register(control);
    for (const id of ['a', 'b', 'c']) await start(control, id);
    const call = (session: Session) => claim(session, worker, { claimNo: 1, limit: 2 });
    const original = await database.park(first, 'claim.picked', () => call(first));
    const repeated = await call(second);
    await original.release();
    const all = await call(control); // by now all are under that number
    expect(all.map(({ workflow_id }) => workflow_id)).toEqual(['a', 'b', 'c']);
    expect(all.map(({ epoch }) => epoch)).toEqual([1, 1, 1]);
    for (const thread of [...all, ...repeated]) await release(control, thread);
    expect(await claim(control, worker)).toHaveLength(3);
    expect(await violations(control)).toEqual([]);
  });

  it('a commit that waits for its worker’s row beyond the lease is refused', async () => {
    const [session] = sessions;
    const worker = await register(control, 'worker', { leaseMs: 400 });
    const thread = await running(control, worker, 'a');
    await control.sql('begin');
    await control.sql('select from durable.worker where worker_no = $1::int for update', worker.no);
    const call = outcomeOf(commitOne(session, thread, entry(thread)));
    expect(await database.untilStopped(session, call)).toBe(true);
    await control.sql(
      `select pg_sleep(extract(epoch from lease_until - clock_timestamp()) + 0.01) from durable.worker where worker_no = $1::int`,
      worker.no,
    );
    await control.sql('rollback');
    expect(await call).toEqual({ error: 'PD002' });
  });

  describe('while a caller’s transaction is open', () => {
    interface Held {
      /** What the caller did and has not committed. */
      readonly hold: (caller: Session) => Promise<unknown>;
      /** A call that meets it. */
      readonly meet: (session: Session) => Promise<unknown>;
      /** The same without what is held. */
      readonly rest: (session: Session) => Promise<unknown>;
    }

    const cases: Record<string, () => Promise<Held>> = {
      'start of an id that it starts': async () => {
        await register(control); // or else the service would be new too, and held as well
        const [a, b] = [startItem('a'), startItem('b')];
        return {
          hold: (caller) => start(caller, 'a'),
          meet: async (session) => (await startAll(session, [b, a])).map(({ status }) => status),
          rest: (session) => startAll(session, [b]),
        };
      },
      'a signal to a workflow that it signals': async () => {
        const worker = await register(control);
        for (const id of ['a', 'b']) await waiting(control, worker, id, 'go');
        const [a, b] = ['a', 'b'].map((workflowId) => signalItem('go', { workflowId, payload: '2' }));
        return {
          hold: (caller) => signal(caller, 'go', { workflowId: 'a', payload: '1' }),
          meet: (session) => signalAll(session, [b!, a!]),
          rest: (session) => signalAll(session, [b!]),
        };
      },
      'a signal under an id that it signals': async () => {
        const worker = await register(control);
        for (const id of ['a', 'b']) await waiting(control, worker, id, id);
        const [a, b] = ['a', 'b'].map((id) => signalItem(id, { payload: '2' }));
        return {
          hold: (caller) => signal(caller, 'a', { payload: '1' }),
          meet: (session) => signalAll(session, [b!, a!]),
          rest: (session) => signalAll(session, [b!]),
        };
      },
      'a commit that begins to wait, in a workflow that it signals': async () => {
        const threads = await owned('a', 'b');
        const items = threads.map((thread) => entry(thread, { opens: 1, effects: [wait(0, 'go')] }));
        return {
          hold: (caller) => signal(caller, 'go', { workflowId: 'a', payload: '1' }),
          meet: (session) => commitAll(session, threads[0]!.worker, items),
          rest: (session) => commitAll(session, threads[0]!.worker, [items[1]!]),
        };
      },
      'a commit that ends a run that it cancels': async () => {
        const threads = await owned('a', 'b');
        const items = threads.map((thread) => entry(thread, { closing: 'completed', result: '1' }));
        return {
          hold: (caller) => cancel(caller, 'a'),
          meet: (session) => commitAll(session, threads[0]!.worker, items),
          rest: (session) => commitAll(session, threads[0]!.worker, [items[1]!]),
        };
      },
      'a commit that starts a child whose id it starts': async () => {
        const threads = await owned('a', 'b');
        const items = threads.map((thread) =>
          entry(thread, { opens: 1, effects: [child(0, `child-${thread.workflow_id}`)] }),
        );
        return {
          hold: (caller) => start(caller, 'child-a'),
          meet: (session) => commitAll(session, threads[0]!.worker, items),
          rest: (session) => commitAll(session, threads[0]!.worker, [items[1]!]),
        };
      },
      'parking a thread that it cancels': async () => {
        const threads = await owned('a', 'b');
        for (const thread of threads) await step(control, thread, { opens: 1, effects: [wait(0, 'go')] });
        return {
          hold: (caller) => cancel(caller, 'a'),
          meet: (session) => park(session, threads[0]!, [0]),
          rest: (session) => park(session, threads[1]!, [0]),
        };
      },
      'the end of a task of a workflow that it cancels': async () => {
        const threads = await owned('a', 'b');
        for (const thread of threads) await step(control, thread, { opens: 1, effects: [task(0)] });
        const { worker } = threads[0]!;
        const taken = await takeTasks(control, worker);
        const outcome = (id: string) => outcomeOfTask(taken.find((each) => each.workflow_id === id)!, 'done');
        return {
          hold: (caller) => cancel(caller, 'a'),
          meet: (session) => finish(session, worker, [outcome('b'), outcome('a')]),
          rest: (session) => finish(session, worker, [outcome('b')]),
        };
      },
    };

    async function owned(...ids: string[]): Promise<Thread[]> {
      const worker = await register(control);
      for (const id of ids) await start(control, id);
      return await claim(control, worker);
    }

    it.each(Object.keys(cases))('%s: is held up alone, soon told so, and done when asked patiently', async (name) => {
      const [caller, impatient, patient] = sessions;
      const { hold, meet, rest } = await cases[name]!();
      const held = await database.park(caller, 'end', () => hold(caller));
      expect(held.reached).toBe(true);

      impatient.patient = false;
      const before = await stateOf(control);
      const asked = performance.now();
      expect(await failureOf(meet(impatient))).toBe(LOCK_NOT_AVAILABLE);
      expect(performance.now() - asked).toBeLessThan(5_000);
      expect(await stateOf(control)).toEqual(before);
      expect(await failureOf(rest(impatient))).toBeNull();
      impatient.patient = true;

      const call = outcomeOf(untilAnswered(() => meet(patient)));
      expect(await database.untilStopped(patient, call)).toBe(true);
      await held.release();
      expect(await call).toHaveProperty('answer');
      expect(await violations(control)).toEqual([]);
    });

    it('claim passes over what it holds, and takes the rest', async () => {
      const [caller, worker_] = sessions;
      const worker = await register(control);
      for (const id of ['a', 'b']) await start(control, id);
      const held = await database.park(caller, 'end', () => terminate(caller, 'a'));
      expect((await claim(worker_, worker)).map(({ workflow_id }) => workflow_id)).toEqual(['b']);
      await held.release();
      expect(await claim(worker_, worker)).toEqual([]);
    });

    it('what it did is not there before its commit, and never after its rollback', async () => {
      const [caller, session] = sessions;
      const worker = await register(control);
      const thread = await waiting(control, worker, 'waits', 'go');
      await caller.sql('begin');
      await start(caller, 'a');
      await signal(caller, 'go', { payload: '1' });
      expect(await claim(session, worker)).toEqual([]);
      await caller.sql('rollback');
      expect(await claim(session, worker)).toEqual([]);
      expect(await signal(session, 'go', { payload: '2' })).toBe('delivered');
      const [woken] = await claim(session, worker);
      expect(woken?.thread_no).toBe(thread.thread_no);
      expect(JSON.parse(woken?.mail ?? '')).toMatchObject([[expect.any(Number), 'signal', 0, '2']]);
      expect(await mailOf(session, worker)).toEqual([]);
    });

    it('its own settings stay as they were', async () => {
      const [caller] = sessions;
      await caller.sql('begin');
      await caller.sql(`set local lock_timeout = '7s'`);
      await start(caller, 'a');
      await signal(caller, 'go');
      await cancel(caller, 'a');
      const [row] = await caller.sql(
        `select current_setting('lock_timeout') as timeout, current_setting('search_path') as path,
          current_setting('enable_seqscan') as seqscan`,
      );
      await caller.sql('rollback');
      expect(row).toMatchObject({ timeout: '7s', seqscan: 'on' });
    });
  });
});
