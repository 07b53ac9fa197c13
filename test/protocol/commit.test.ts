import { describe, expect, it } from 'vitest';
import { fetchResults } from '../../src/postgres/protocol/executions.js';
import { loadHistory } from '../../src/postgres/protocol/threads.js';
import {
  advance,
  child,
  claim,
  claimOnly,
  commitAll,
  commitOne,
  complete,
  entry,
  fire,
  mailOf,
  onEveryDatabase,
  register,
  release,
  running,
  send,
  setClock,
  signal,
  start,
  step,
  type Thread,
  task,
  timer,
  uncall,
  untask,
  untimer,
  unwait,
  type Worker,
  wait,
  waiting,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

const DONE = { status: 'done', detail: null };
const FENCED = { status: 'fenced', detail: null };

onEveryDatabase('commit', (session) => {
  const history = (thread: Thread) => loadHistory(session(), SCHEMA, thread.thread_no);

  /** Two or more threads of one worker. */
  async function several(worker: Worker, ...ids: string[]): Promise<Thread[]> {
    for (const id of ids) await start(session(), id);
    return await claim(session(), worker);
  }

  it('appends entries, each naming its predecessor', async () => {
    const thread = await running(session(), await register(session()), 'a');
    for (const body of ['"one"', '"two"', '"three"']) await step(session(), thread, { body });
    const rows = await history(thread);
    expect(rows.map(({ seq, body, closes }) => [seq, body, closes])).toEqual([
      [0, '"one"', false],
      [1, '"two"', false],
      [2, '"three"', false],
    ]);
    expect(rows.at(-1)?.commit_no).toBe(thread.lastCommitNo);
    expect(rows.map(({ at_ms }) => at_ms)).toEqual(rows.map(({ at_ms }) => at_ms).sort());
    await release(session(), thread);
    const again = await claimOnly(session(), thread.worker, 'a');
    expect(again).toMatchObject({ last_seq: 2, last_commit_no: thread.lastCommitNo });
  });

  it('reads a long history page by page', async () => {
    const thread = await running(session(), await register(session()), 'a');
    const body = JSON.stringify('x'.repeat(3_000_000));
    for (let n = 0; n < 4; n++) await step(session(), thread, { body });
    const [page] = await session().sql<{ entries: number }>(
      `select count(*)::int as entries from ${SCHEMA}.load_history($1::bigint, 0)`,
      thread.thread_no,
    );
    expect(page?.entries).toBe(2);
    expect((await history(thread)).map(({ seq, body: { length } }) => [seq, length])).toEqual(
      [0, 1, 2, 3].map((seq) => [seq, body.length]),
    );
  });

  describe('is refused', () => {
    it('when the history has another entry in its place', async () => {
      const thread = await running(session(), await register(session()), 'a');
      const rival = entry(thread, { body: '"rival"' });
      await step(session(), thread, { body: '"first"' });
      expect(await commitOne(session(), thread, rival)).toEqual(FENCED);
      expect(await history(thread)).toMatchObject([{ body: '"first"' }]);
    });

    it('when it would leave a gap', async () => {
      const thread = await running(session(), await register(session()), 'a');
      await step(session(), thread);
      const ahead = { ...entry(thread), seq: 2, previousCommitNo: 77 };
      expect(await commitOne(session(), thread, ahead)).toEqual(FENCED);
      expect(await history(thread)).toHaveLength(1);
    });

    it('when the entry before it is not the one it builds on', async () => {
      const thread = await running(session(), await register(session()), 'a');
      await step(session(), thread);
      const foreign = { ...entry(thread), previousCommitNo: 77 };
      expect(await commitOne(session(), thread, foreign)).toEqual(FENCED);
      expect(await history(thread)).toHaveLength(1);
    });

    it('when the thread was claimed again since', async () => {
      const worker = await register(session());
      const stale = await running(session(), worker, 'a');
      await release(session(), stale);
      const thread = await claimOnly(session(), worker, 'a');
      expect(thread.epoch).toBe(stale.epoch + 1);
      expect(await commitOne(session(), stale, entry(stale))).toEqual(FENCED);
      expect(await commitOne(session(), thread, entry(thread))).toEqual(DONE);
    });

    it('when the thread belongs to another worker, or to none', async () => {
      const [owner, other] = [await register(session(), 'owner'), await register(session(), 'other')];
      const thread = await running(session(), owner, 'a');
      const item = entry(thread);
      expect(await commitAll(session(), other, [item])).toEqual([FENCED]);
      await release(session(), thread);
      expect(await commitAll(session(), owner, [item])).toEqual([FENCED]);
      expect(await history(thread)).toEqual([]);
    });

    it('behind the closing entry', async () => {
      const thread = await running(session(), await register(session()), 'a');
      await complete(session(), thread);
      expect(await commitOne(session(), thread, entry(thread))).toEqual(FENCED);
    });

    it('alone, and changes nothing', async () => {
      const worker = await register(session());
      await signal(session(), 'kept', { payload: '1' });
      const [a, b, c] = (await several(worker, 'a', 'b', 'c')) as [Thread, Thread, Thread];
      await step(session(), b, { opens: 2, effects: [wait(0, 'mine'), timer(1, 60_000)] });
      await signal(session(), 'mine', { payload: '2' });
      const [mail] = await mailOf(session(), worker);
      const before = await stateOf(session());

      const refused = {
        ...entry(b, {
          opens: 5,
          resolves: [0, 1],
          consumes: [mail?.inbox_no ?? 0],
          effects: [wait(2, 'kept'), timer(3, 0), task(4), child(5, 'child'), send(6, 'sent'), untimer(1)],
          closing: 'completed',
        }),
        previousCommitNo: 77,
      };
      const accepted = [a, c].map((thread) => entry(thread, { opens: 2, effects: [timer(0, 60_000), task(1)] }));
      expect(await commitAll(session(), worker, [accepted[0]!, refused, accepted[1]!])).toEqual([DONE, FENCED, DONE]);

      const after = await stateOf(session());
      for (const unchanged of ['executions', 'inbox', 'waits', 'signals', 'requests'])
        expect(after[unchanged], unchanged).toEqual(before[unchanged]);
      expect(after.timers).toEqual([
        { thread: 'a/0', op: 0 },
        { thread: 'b/0', op: 1 },
        { thread: 'c/0', op: 0 },
      ]);
      expect(after.tasks?.map((row) => row.thread)).toEqual(['a/0', 'c/0']);
      expect(after.history?.map((row) => row.thread)).toEqual(['a/0', 'b/0', 'c/0']);
    });
  });

  it('repeated by the same number is recognised, and has its effects once', async () => {
    const worker = await register(session());
    await signal(session(), 'early', { payload: '"x"' });
    await start(session(), 'taken');
    await claim(session(), worker);
    const thread = await running(session(), worker, 'a');
    const effects = [
      timer(0, 0),
      wait(1, 'early'),
      wait(2, 'later'),
      task(3),
      child(4, 'new'),
      child(5, 'taken'),
      send(6, 's', '1'),
    ];
    const item = entry(thread, { opens: 7, effects });
    const first = await commitOne(session(), thread, item);
    expect(first.status).toBe('decided');
    expect(new Set(JSON.parse(first.detail ?? ''))).toEqual(
      new Set([
        [1, 'signal', 'x'],
        [5, 'duplicate', 'taken'],
        [6, 'buffered'],
      ]),
    );
    const before = await stateOf(session());
    expect(await commitOne(session(), thread, item)).toEqual({ status: 'again', detail: first.detail });
    expect(await stateOf(session())).toEqual(before);
    // ... also when the thread has gone on since.
    advance(thread, item);
    await step(session(), thread, { resolves: [0], effects: [fire(0)] });
    expect(await commitOne(session(), thread, item)).toEqual({ status: 'again', detail: first.detail });
  });

  it('repeated is recognised though its timers have fired and its waits are over', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await step(session(), thread, { opens: 2, effects: [timer(0, 0), wait(1, 'go')] });
    const item = entry(thread, { resolves: [0, 1], effects: [fire(0), unwait(1)] });
    expect(await commitOne(session(), thread, item)).toEqual(DONE);
    expect(await commitOne(session(), thread, item)).toEqual({ status: 'again', detail: null });
  });

  it('that closed the thread is recognised when it is repeated', async () => {
    const thread = await running(session(), await register(session()), 'a');
    const item = entry(thread, { closing: 'completed', result: '1' });
    expect(await commitOne(session(), thread, item)).toEqual(DONE);
    expect(await commitOne(session(), thread, item)).toEqual({ status: 'again', detail: null });
  });

  describe('with a timer that is not due', () => {
    it('is refused alone, and told how long to wait', async () => {
      const worker = await register(session());
      const [a, b] = (await several(worker, 'a', 'b')) as [Thread, Thread];
      await step(session(), a, { opens: 1, effects: [timer(0, 60_000)] });
      await step(session(), b, { opens: 1, effects: [timer(0, 0)] });
      const items = [a, b].map((thread) => entry(thread, { resolves: [0], effects: [fire(0)] }));
      const [early, due] = await commitAll(session(), worker, items);
      expect(early?.status).toBe('early');
      expect(Number(early?.detail)).toBeGreaterThan(50_000);
      expect(Number(early?.detail)).toBeLessThanOrEqual(60_000);
      expect(due).toEqual(DONE);
      expect(await stateOf(session())).toMatchObject({ timers: [{ thread: 'a/0', op: 0 }] });
    });

    it('is accepted once it is due, by the clock of the database', async () => {
      const thread = await running(session(), await register(session()), 'a');
      await step(session(), thread, { opens: 1, effects: [timer(0, 60_000)] });
      const item = entry(thread, { resolves: [0], effects: [fire(0)] });
      await setClock(session(), '59 seconds');
      expect(await commitOne(session(), thread, item)).toMatchObject({ status: 'early' });
      await setClock(session(), '61 seconds');
      expect(await commitOne(session(), thread, item)).toEqual(DONE);
      expect(await stateOf(session())).toMatchObject({ timers: [] });
    });

    it('may be disarmed at any time', async () => {
      const thread = await running(session(), await register(session()), 'a');
      await step(session(), thread, { opens: 1, effects: [timer(0, 60_000)] });
      await step(session(), thread, { resolves: [0], effects: [untimer(0)] });
      expect(await stateOf(session())).toMatchObject({ timers: [] });
    });
  });

  describe('of a wait that timed out', () => {
    it('is stale when the signal came first, and refused alone', async () => {
      const worker = await register(session());
      const [a, b] = (await several(worker, 'a', 'b')) as [Thread, Thread];
      for (const thread of [a, b])
        await step(session(), thread, { opens: 2, effects: [timer(0, 0), wait(1, `go-${thread.workflow_id}`)] });
      expect(await signal(session(), 'go-a', { payload: '1' })).toBe('delivered');
      const items = [a, b].map((thread) => entry(thread, { resolves: [0, 1], effects: [fire(0), unwait(1)] }));
      expect(await commitAll(session(), worker, items)).toEqual([{ status: 'stale', detail: null }, DONE]);
      expect(await stateOf(session())).toMatchObject({
        timers: [{ thread: 'a/0', op: 0 }],
        waits: [],
        inbox: [{ thread: 'a/0' }],
      });
      expect(await signal(session(), 'go-b')).toBe('buffered');
    });

    it('ends the wait, and the next signal goes to the next waiter', async () => {
      const worker = await register(session());
      const a = await running(session(), worker, 'a');
      await step(session(), a, { opens: 2, effects: [timer(0, 0), wait(1, 'go')] });
      await waiting(session(), worker, 'b', 'go');
      await step(session(), a, { resolves: [0, 1], effects: [fire(0), unwait(1)] });
      expect(await signal(session(), 'go', { payload: '1' })).toBe('delivered');
      expect(await stateOf(session())).toMatchObject({ inbox: [{ thread: 'b/0' }] });
    });
  });

  it('takes out of the inbox what it has seen, and no more', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 2, effects: [wait(0, 'go'), wait(1, 'go')] });
    await signal(session(), 'go', { payload: '1' });
    await signal(session(), 'go', { payload: '2' });
    const mail = await mailOf(session(), worker);
    expect(mail.map(({ op, payload }) => [op, payload])).toEqual([
      [0, '1'],
      [1, '2'],
    ]);
    await step(session(), thread, { resolves: [0], consumes: [mail[0]!.inbox_no] });
    expect(await stateOf(session())).toMatchObject({ inbox: [{ op: 1, payload: '2' }] });
  });

  it('withdraws the task of an activity', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await step(session(), thread, { opens: 2, effects: [task(0), task(1)] });
    await step(session(), thread, { resolves: [0], effects: [untask(0)] });
    expect(await stateOf(session())).toMatchObject({ tasks: [{ op: 1 }] });
  });

  it.each(['completed', 'failed', 'cancelled'] as const)(
    'ends the run as %s, and leaves nothing behind',
    async (closing) => {
      const worker = await register(session());
      const thread = await running(session(), worker, 'a');
      await step(session(), thread, { opens: 4, effects: [timer(0, 60_000), wait(1, 'x'), wait(2, 'go'), task(3)] });
      await signal(session(), 'go', { workflowId: 'a' });
      const effects = [timer(4, 60_000), wait(5, 'y'), task(6), untask(3), uncall(99)];
      await step(session(), thread, { opens: 3, effects, closing, result: '{"r":1}' });
      expect(await stateOf(session())).toMatchObject({
        executions: [{ state: closing }],
        threads: [{ state: 'done', owner: null, claimable: false, blocked_on: null }],
        timers: [],
        waits: [],
        tasks: [],
        inbox: [],
        signals: [],
      });
      expect(await fetchResults(session(), SCHEMA, [thread.chain_no])).toMatchObject([
        { state: closing, result: '{"r":1}' },
      ]);
      expect(await claim(session(), worker)).toEqual([]);
    },
  );
});
