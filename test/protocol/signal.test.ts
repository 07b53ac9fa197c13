import { describe, expect, it } from 'vitest';
import {
  claimOnly,
  commitOne,
  complete,
  entry,
  fire,
  keepHouse,
  mailOf,
  onEveryDatabase,
  park,
  register,
  running,
  send,
  setClock,
  signal,
  signalAll,
  signalItem,
  start,
  step,
  type Thread,
  timer,
  unwait,
  wait,
  waiting,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

onEveryDatabase('signal', (session) => {
  /** Registers for a signal id with a new operation. @returns what was there already. */
  const awaits = (thread: Thread, signalId: string) =>
    step(session(), thread, { opens: 1, effects: [wait(thread.nextOp, signalId)] });

  const meetingPlaces = () => session().sql(`select signal_id from ${SCHEMA}.rendezvous order by 1`);

  it('reaches a parked waiter, wakes it, and says whom to tell', async () => {
    const worker = await register(session());
    const thread = await waiting(session(), worker, 'a', 'go');
    expect(await signal(session(), 'go', { payload: '{"n":1}' })).toBe('delivered');
    expect(session().rows.find(({ item }) => item === 0)).toMatchObject({ status: `q${thread.service_no}` });
    const woken = await claimOnly(session(), worker, 'a');
    expect(JSON.parse(woken.mail ?? '')).toMatchObject([[expect.any(Number), 'signal', 0, '{"n":1}']]);
    expect(await stateOf(session())).toMatchObject({ waits: [], signals: [] });
  });

  it('reaches a running waiter by mail, and tells its owner', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await awaits(thread, 'go');
    expect(await signal(session(), 'go', { payload: '1' })).toBe('delivered');
    expect(session().rows.find(({ item }) => item === 0)).toMatchObject({ status: `w${worker.no}` });
    const mail = await mailOf(session(), worker);
    expect(mail).toMatchObject([{ thread_no: thread.thread_no, kind: 'signal', op: 0, payload: '1' }]);
    expect(await mailOf(session(), worker, [mail[0]?.inbox_no ?? 0])).toEqual([]);
    await step(session(), thread, { resolves: [0], consumes: [mail[0]?.inbox_no ?? 0] });
    expect(await mailOf(session(), worker)).toEqual([]);
  });

  it('that nobody awaits is kept for the first who does', async () => {
    const worker = await register(session());
    expect(await signal(session(), 'go', { payload: '"early"' })).toBe('buffered');
    const [first, second] = [await running(session(), worker, 'a'), await running(session(), worker, 'b')];
    expect(await awaits(first, 'go')).toEqual([[0, 'signal', 'early']]);
    expect(await awaits(second, 'go')).toEqual([]);
    expect(await stateOf(session())).toMatchObject({
      waits: [{ signal: 'go', thread: 'b/0' }],
      signals: [],
      inbox: [],
    });
  });

  it('without a payload is delivered without one', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await signal(session(), 'go');
    expect(await awaits(thread, 'go')).toEqual([[0, 'signal']]);
  });

  it('keeps its place among several under one id', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await signalAll(
      session(),
      [1, 2].map((n) => signalItem('go', { payload: `${n}` })),
    );
    await signal(session(), 'go', { payload: '3' });
    const effects = [wait(0, 'go'), wait(1, 'go'), wait(2, 'go'), wait(3, 'go')];
    expect(await step(session(), thread, { opens: 4, effects })).toEqual([
      [0, 'signal', 1],
      [1, 'signal', 2],
      [2, 'signal', 3],
    ]);
    expect(await signal(session(), 'go', { payload: '4' })).toBe('delivered');
  });

  it('goes to the one that waits longest, and only to it', async () => {
    const worker = await register(session());
    for (const id of ['c', 'a', 'b']) await waiting(session(), worker, id, 'go');
    const sent = await signalAll(
      session(),
      [1, 2].map((n) => signalItem('go', { payload: `${n}` })),
    );
    expect(sent).toEqual(['delivered', 'delivered']);
    const { inbox, waits } = await stateOf(session());
    expect(inbox?.map(({ thread, payload }) => [thread, payload])).toEqual([
      ['a/0', '2'],
      ['c/0', '1'],
    ]);
    expect(waits).toMatchObject([{ thread: 'b/0' }]);
  });

  it('to a workflow reaches that workflow only, though another waits longer', async () => {
    const worker = await register(session());
    await waiting(session(), worker, 'longer', 'go');
    await waiting(session(), worker, 'a', 'go');
    expect(await signal(session(), 'go', { workflowId: 'a', payload: '1' })).toBe('delivered');
    expect(await signal(session(), 'go', { workflowId: 'a', payload: '2' })).toBe('buffered');
    expect(await stateOf(session())).toMatchObject({
      inbox: [{ thread: 'a/0', payload: '1' }],
      waits: [{ thread: 'longer/0' }],
      signals: [{ chain: 'a/0', payload: '2' }],
    });
    const other = await running(session(), worker, 'other').catch(() => null);
    expect(other).toBeNull(); // `a` was woken and is claimed with it
  });

  it('to a workflow that is not there, or no more, says so and harms no other of the call', async () => {
    const worker = await register(session());
    await complete(session(), await running(session(), worker, 'finished'));
    await start(session(), 'open');
    const sent = await signalAll(
      session(),
      ['nowhere', 'open', 'finished'].map((workflowId) => signalItem('go', { workflowId })),
    );
    expect(sent).toEqual(['unknown', 'buffered', 'inactive']);
    expect(await stateOf(session())).toMatchObject({ signals: [{ chain: 'open/0' }] });
  });

  it('that has expired is not delivered, and is swept away', async () => {
    const worker = await register(session());
    await signal(session(), 'go', { payload: '"short"', expireMs: 60_000 });
    await signal(session(), 'go', { payload: '"long"', expireMs: 3_600_000 });
    await setClock(session(), '2 minutes');
    const [first, second] = [await running(session(), worker, 'a'), await running(session(), worker, 'b')];
    expect(await awaits(first, 'go')).toEqual([[0, 'signal', 'long']]);
    expect(await awaits(second, 'go')).toEqual([]);
    await keepHouse(session());
    expect(await stateOf(session())).toMatchObject({ signals: [] });
  });

  it('sent again by the same request gets the same answer and is delivered once, also after it was consumed', async () => {
    const worker = await register(session());
    await waiting(session(), worker, 'a', 'go');
    await waiting(session(), worker, 'b', 'go');
    const items = [
      signalItem('go', { payload: '1' }),
      signalItem('other'),
      signalItem('go', { workflowId: 'nowhere' }),
    ];
    const answers = ['delivered', 'buffered', 'unknown'];
    expect(await signalAll(session(), items)).toEqual(answers);
    const before = await stateOf(session());
    expect(await signalAll(session(), items)).toEqual(answers);
    expect(await stateOf(session())).toEqual(before);

    const thread = await claimOnly(session(), worker, 'a');
    const [[inboxNo]] = JSON.parse(thread.mail ?? '') as [[number]];
    await step(session(), thread, { resolves: [0], consumes: [inboxNo] });
    const consumed = await stateOf(session());
    expect(await signalAll(session(), items)).toEqual(answers);
    expect(await stateOf(session())).toEqual(consumed);
  });

  it('new beside a repeated one is delivered', async () => {
    const worker = await register(session());
    await waiting(session(), worker, 'a', 'go');
    await waiting(session(), worker, 'b', 'go');
    const first = signalItem('go', { payload: '1' });
    await signalAll(session(), [first]);
    expect(await signalAll(session(), [first, signalItem('go', { payload: '2' })])).toEqual(['delivered', 'delivered']);
    const { inbox } = await stateOf(session());
    expect(inbox?.map(({ payload }) => payload)).toEqual(['1', '2']);
  });

  it('leaves no meeting place behind when nobody waits and nothing is kept', async () => {
    const worker = await register(session());
    const thread = await waiting(session(), worker, 'a', 'go');
    expect(await meetingPlaces()).toEqual([{ signal_id: 'go' }]);
    await signal(session(), 'go');
    expect(await meetingPlaces()).toEqual([]);

    const woken = await claimOnly(session(), worker, 'a');
    woken.nextOp = thread.nextOp;
    const [[inboxNo]] = JSON.parse(woken.mail ?? '') as [[number]];
    await step(session(), woken, {
      opens: 2,
      resolves: [0],
      consumes: [inboxNo],
      effects: [timer(1, 0), wait(2, 'late')],
    });
    expect(await meetingPlaces()).toEqual([{ signal_id: 'late' }]);
    await step(session(), woken, { resolves: [1, 2], effects: [fire(1), unwait(2)] });
    expect(await meetingPlaces()).toEqual([]);
  });

  it('leaves no meeting place behind when it was there before its waiter', async () => {
    const thread = await running(session(), await register(session()), 'a');
    await signal(session(), 'go');
    expect(await awaits(thread, 'go')).toEqual([[0, 'signal']]);
    expect(await meetingPlaces()).toEqual([]);
  });

  it('leaves no meeting place behind when it expires', async () => {
    await signal(session(), 'go', { expireMs: 1_000 });
    await setClock(session(), '2 seconds');
    await keepHouse(session());
    expect(await meetingPlaces()).toEqual([]);
  });

  it('leaves no meeting place behind when it was put back', async () => {
    const worker = await register(session());
    const ended = await running(session(), worker, 'ended');
    await awaits(ended, 'go');
    await signal(session(), 'go');
    await waiting(session(), worker, 'next', 'go');
    await complete(session(), ended);
    await keepHouse(session());
    expect(await stateOf(session())).toMatchObject({ waits: [], signals: [], inbox: [{ thread: 'next/0' }] });
    expect(await meetingPlaces()).toEqual([]);
  });

  describe('from a workflow', () => {
    it('is sent with the commit, whose repetition sends nothing', async () => {
      const worker = await register(session());
      await waiting(session(), worker, 'waiter', 'go');
      const thread = await running(session(), worker, 'a');
      const item = entry(thread, { opens: 2, effects: [send(0, 'go', '1'), send(1, 'go', '2')] });
      const outcome = '[[1,"buffered"]]';
      expect(await commitOne(session(), thread, item)).toEqual({ status: 'decided', detail: outcome });
      const before = await stateOf(session());
      expect(before).toMatchObject({ inbox: [{ thread: 'waiter/0', payload: '1' }], signals: [{ payload: '2' }] });
      expect(await commitOne(session(), thread, item)).toEqual({ status: 'again', detail: outcome });
      expect(await stateOf(session())).toEqual(before);
      expect(before.history?.find((row) => row.thread === 'a/0')).toMatchObject({ outcome });
    });

    it('reaches a wait of the same entry', async () => {
      const thread = await running(session(), await register(session()), 'a');
      const outcome = await step(session(), thread, { opens: 2, effects: [wait(0, 'go'), send(1, 'go', '1')] });
      expect(new Map(outcome.map(([op, ...what]) => [op, what]))).toEqual(
        new Map([
          [1, ['buffered']],
          [0, ['signal', 1]],
        ]),
      );
      expect(await stateOf(session())).toMatchObject({ waits: [], signals: [], inbox: [] });
    });

    it('reaches an earlier wait of its own', async () => {
      const worker = await register(session());
      const thread = await running(session(), worker, 'a');
      await awaits(thread, 'go');
      expect(await step(session(), thread, { opens: 1, effects: [send(1, 'go', '1')] })).toEqual([]);
      expect(await park(session(), thread, [0])).toBe('mail');
      expect(await mailOf(session(), worker)).toMatchObject([{ op: 0, payload: '1' }]);
    });
  });
});
