/** Time limits, heartbeats, answers from outside and bound activities, call by call. */

import { expect, it } from 'vitest';
import { retryDelayMs } from '../../src/core/retry-policy.js';
import { expireTasks } from '../../src/postgres/protocol/tasks.js';
import {
  answer,
  answerItem,
  beat,
  claimOnly,
  complete,
  die,
  expire,
  finish,
  type Limits,
  limits,
  limitsJson,
  mailOf,
  onEveryDatabase,
  outcomeOf,
  park,
  queue,
  register,
  release,
  running,
  setClock,
  step,
  type Thread,
  take,
  takeTasks,
  task,
  taskItem,
  untask,
  untimer,
  type Worker,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

onEveryDatabase('a time limit', (session) => {
  const tasks = async () => (await stateOf(session())).tasks;

  /** A workflow whose operation 0 is a task with these limits. */
  async function limited(worker: Worker, given: Limits, retry: Parameters<typeof limits>[2] = {}): Promise<Thread> {
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1, effects: [task(0), limits(0, given, retry)] });
    return thread;
  }

  const failureOf = async (worker: Worker) => {
    const [mail] = await mailOf(session(), worker);
    return JSON.parse(mail?.payload ?? 'null') as Record<string, unknown> | null;
  };

  it.each([
    [{ scheduleToStart: 60_000 }, 'SCHEDULE_TO_START', "Activity 'act' exceeded scheduleToStartTimeout of 60s"],
    [{ scheduleToClose: 1_500 }, 'SCHEDULE_TO_CLOSE', "Activity 'act' exceeded scheduleToCloseTimeout of 1.5s"],
    [{ scheduleToClose: 90_000, scheduleToStart: 90_000 }, 'SCHEDULE_TO_CLOSE', expect.anything()],
  ])('that nobody met fails the call: %j', async (given, timeoutType, message) => {
    const worker = await register(session());
    const thread = await limited(worker, given);
    expect(await park(session(), thread, [0])).toBe('parked');
    expect(await expire(session())).toBe('');
    await setClock(session(), '91 seconds');
    expect(await expire(session())).toBe(`q${thread.service_no}`);
    const again = await claimOnly(session(), worker, 'a');
    const [[, kind, op, payload]] = JSON.parse(again.mail ?? '[]') as [[number, string, number, string]];
    expect([kind, op]).toEqual(['fail', 0]);
    expect(JSON.parse(payload)).toEqual({
      name: 'DurableTimeoutError',
      type: 'DurableTimeoutError',
      message,
      stack: '',
      code: 596,
      nonRetryable: true,
      details: { timeoutType },
    });
    expect(await tasks()).toEqual([]);
  });

  it.each([
    [{ startToClose: 60_000 }, 'START_TO_CLOSE', '61 seconds'],
    [{ heartbeat: 60_000 }, 'HEARTBEAT', '61 seconds'],
  ])('of an attempt is followed by the next: %j', async (given, timeoutType, later) => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    await limited(worker, given);
    const [first] = await takeTasks(session(), worker);
    await setClock(session(), '59 seconds');
    await expire(session());
    expect(await tasks()).toMatchObject([{ owner: 'worker', attempt: 1 }]);
    await setClock(session(), later);
    await expire(session());
    expect(await tasks()).toMatchObject([{ owner: null, attempt: 2, claimable: true, losses: 0 }]);
    expect(await finish(session(), worker, [outcomeOf(first!, 'done', '"late"')])).toBeNull();
    expect(await beat(session(), worker, first!)).toBe('gone');
    await setClock(session(), '63 seconds'); // the retry was due in a second
    const [second] = await takeTasks(session(), other);
    expect(JSON.parse(second?.last_failure ?? 'null')).toMatchObject({ details: { timeoutType } });
  });

  it('of the last attempt fails the call, and tells what failed before', async () => {
    const worker = await register(session());
    await limited(worker, { startToClose: 1_000 }, { maximumAttempts: 1, initialIntervalMs: 0 });
    const [first] = await takeTasks(session(), worker);
    await finish(session(), worker, [outcomeOf(first!, 'retry', '{"name":"Error","message":"before"}')]);
    await takeTasks(session(), worker);
    await setClock(session(), '2 seconds');
    expect(await expire(session())).toBe(`w${worker.no}`);
    expect(await failureOf(worker)).toMatchObject({
      message: expect.stringContaining('startToCloseTimeout of 1s'),
      cause: { message: 'before' },
    });
  });

  it.each(['{"perdure:sealed":"x"}', 'sealed otherwise'])(
    'does not look into a failure that a codec sealed: %s',
    async (sealed) => {
      const worker = await register(session());
      await limited(worker, { scheduleToClose: 60_000 });
      const [first] = await takeTasks(session(), worker);
      await finish(session(), worker, [outcomeOf(first!, 'retry', sealed)]);
      await setClock(session(), '61 seconds');
      await expire(session());
      expect(await failureOf(worker)).not.toHaveProperty('cause');
    },
  );

  it('of the whole call lets no retry come behind it', async () => {
    const worker = await register(session());
    await limited(worker, { scheduleToClose: 10_000, startToClose: 5_000 }, { initialIntervalMs: 60_000 });
    await takeTasks(session(), worker);
    await setClock(session(), '6 seconds');
    await expire(session());
    expect(await failureOf(worker)).toMatchObject({ details: { timeoutType: 'START_TO_CLOSE' } });
  });

  it('of the whole call makes a failure final whose retry would come too late', async () => {
    const worker = await register(session());
    await limited(worker, { scheduleToClose: 10_000 });
    const [taken] = await takeTasks(session(), worker);
    await finish(session(), worker, [outcomeOf(taken!, 'retry', '{"message":"x"}', 60_000)]);
    expect(await mailOf(session(), worker)).toMatchObject([{ kind: 'fail', payload: '{"message":"x"}' }]);
  });

  it('of silence is put off by a heartbeat', async () => {
    const worker = await register(session());
    await limited(worker, { heartbeat: 60_000 });
    const [taken] = await takeTasks(session(), worker);
    await setClock(session(), '50 seconds');
    expect(await beat(session(), worker, taken!, '{"n":1}')).toBe('ok');
    await setClock(session(), '70 seconds');
    await expire(session());
    expect(await tasks()).toMatchObject([{ owner: 'worker', attempt: 1, details: '{"n":1}' }]);
    await setClock(session(), '112 seconds');
    await expire(session());
    expect(await tasks()).toMatchObject([{ owner: null, attempt: 2, details: '{"n":1}' }]);
  });

  it('that has passed keeps a task from being claimed', async () => {
    const worker = await register(session());
    await limited(worker, { scheduleToStart: 60_000 });
    await setClock(session(), '61 seconds');
    expect(await takeTasks(session(), worker)).toEqual([]);
    await expire(session());
    expect(await tasks()).toEqual([]);
  });

  it('begins anew for a task whose worker died, but not that of the whole call', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    await limited(other, { scheduleToStart: 60_000, startToClose: 30_000, scheduleToClose: 200_000 });
    await takeTasks(session(), worker);
    await setClock(session(), '20 seconds');
    await die(session(), worker);
    await setClock(session(), '70 seconds'); // behind startToClose of the lost attempt, before scheduleToStart from its loss
    await expire(session());
    expect(await tasks()).toMatchObject([{ attempt: 1, losses: 1, claimable: true }]);
    await setClock(session(), '81 seconds');
    await expire(session());
    expect(await tasks()).toEqual([]);
  });

  it('of the whole call counts from its commit, however late it becomes a task', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1 });
    await setClock(session(), '50 seconds');
    await queue(session(), worker, [taskItem(thread, 0, { limits: limitsJson({ scheduleToClose: 60_000 }) })]);
    await setClock(session(), '61 seconds');
    await expire(session());
    expect(await tasks()).toEqual([]);
  });

  it('says when it is due', async () => {
    const worker = await register(session());
    expect((await expireTasks(session(), SCHEMA)).dueInMs).toBeNull();
    await limited(worker, { scheduleToStart: 60_000 });
    const { dueInMs } = await expireTasks(session(), SCHEMA);
    expect(dueInMs).toBeGreaterThan(50_000);
    expect(dueInMs).toBeLessThanOrEqual(60_000);
  });

  it('is retried after the delays that TypeScript computes', async () => {
    const policies = [
      { maximumAttempts: 50, initialIntervalMs: 1_000, backoffCoefficient: 5, maximumIntervalMs: 120_000 },
      { maximumAttempts: 9_999, initialIntervalMs: 1.5, backoffCoefficient: 1.1, maximumIntervalMs: 1e12 },
      { maximumAttempts: 3, initialIntervalMs: 0, backoffCoefficient: 1e300, maximumIntervalMs: 0 },
      { maximumAttempts: 9_999, initialIntervalMs: 10, backoffCoefficient: 1e300, maximumIntervalMs: 5_000 },
    ];
    for (const policy of policies) {
      for (const attempt of [1, 2, 3, 4, 9, 60, 9_999]) {
        const [row] = await session().sql<{ ms: number | null }>(
          `select ${SCHEMA}.retry_delay_ms($1::json, $2::int) as ms`,
          JSON.stringify(policy),
          attempt,
        );
        const expected = retryDelayMs({ ...policy, throwOnError: true }, attempt);
        if (attempt > policy.maximumAttempts) expect(row?.ms).toBeNull();
        else expect(row?.ms).toBeCloseTo(expected, 3);
      }
    }
  });
});

onEveryDatabase('an answer from outside', (session) => {
  async function outside(worker: Worker, effects = [task(0)]): Promise<Thread> {
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1, effects });
    const [taken] = await takeTasks(session(), worker);
    await finish(session(), worker, [outcomeOf(taken!, 'outside')]);
    return thread;
  }

  it('goes to the thread, parked or not, once', async () => {
    const worker = await register(session());
    const thread = await outside(worker);
    expect(await takeTasks(session(), worker)).toEqual([]);
    expect(await park(session(), thread, [0])).toBe('parked');
    const item = answerItem(thread, 0);
    expect(await answer(session(), item)).toBe('done');
    expect(await answer(session(), item)).toBe('done'); // the same call
    expect(await answer(session(), answerItem(thread, 0))).toBe('finished');
    expect(await stateOf(session())).toMatchObject({
      threads: [{ state: 'ready' }],
      inbox: [{ kind: 'done', op: 0, payload: '"answer"' }],
      tasks: [],
    });
  });

  it('names run, operation and attempt', async () => {
    const worker = await register(session());
    const thread = await outside(worker);
    const wrong = [{ runRequest: 987_654 }, { threadNo: 9_999 }, { op: 5 }, { attempt: 2 }];
    for (const given of wrong) expect(await answer(session(), answerItem(thread, 0, given))).toBe('unknown');
    expect(await answer(session(), answerItem(thread, 0, { kind: 'retry', delayMs: 0 }))).toBe('done');
    expect(await answer(session(), answerItem(thread, 0))).toBe('superseded');
    expect(await stateOf(session())).toMatchObject({ tasks: [{ attempt: 2, outside: false, claimable: true }] });
  });

  it('ends with its workflow', async () => {
    const worker = await register(session());
    const thread = await outside(worker);
    await complete(session(), thread);
    expect(await answer(session(), answerItem(thread, 0))).toBe('finished');
    expect((await stateOf(session())).inbox).toEqual([]);
  });

  it('to an eager activity is taken at once, and no task is made behind it', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1 });
    expect(await answer(session(), answerItem(thread, 0, { kind: 'heartbeat' }))).toBe('early');
    expect(await answer(session(), answerItem(thread, 0, { kind: 'retry' }))).toBe('early');
    expect(await answer(session(), answerItem(thread, 0))).toBe('done');
    expect(await queue(session(), worker, [taskItem(thread, 0)])).toEqual([]);
    const { tasks, inbox } = await stateOf(session());
    expect(tasks).toEqual([]);
    expect(inbox).toMatchObject([{ kind: 'done' }]);
  });

  it('is asked for again under the number of the call that came early', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1 });
    const item = answerItem(thread, 0, { kind: 'retry', payload: '{"message":"x"}' });
    expect(await answer(session(), item)).toBe('early');
    await queue(session(), worker, [taskItem(thread, 0)]);
    expect(await answer(session(), item)).toBe('done');
    expect((await stateOf(session())).tasks).toMatchObject([{ attempt: 2, failure: '{"message":"x"}' }]);
  });

  it('that is a heartbeat counts for the limits', async () => {
    const worker = await register(session());
    const thread = await outside(worker, [task(0), limits(0, { heartbeat: 60_000 })]);
    await setClock(session(), '50 seconds');
    expect(await answer(session(), answerItem(thread, 0, { kind: 'heartbeat', payload: '7' }))).toBe('done');
    await setClock(session(), '70 seconds');
    await expire(session());
    expect((await stateOf(session())).tasks).toMatchObject([{ attempt: 1, outside: true, details: '7' }]);
    await setClock(session(), '112 seconds');
    await expire(session());
    expect((await stateOf(session())).tasks).toMatchObject([{ attempt: 2, outside: false, details: '7' }]);
  });
});

onEveryDatabase('a bound activity', (session) => {
  async function bound(worker: Worker, delayMs = 0): Promise<Thread> {
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1 });
    expect(await queue(session(), worker, [taskItem(thread, 0, { taskQueue: null, attempt: 2, delayMs })])).toEqual([]);
    return thread;
  }

  const tasks = async () => (await stateOf(session())).tasks;

  it('is claimed by nobody, and taken by the owner of its thread', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    const thread = await bound(worker);
    expect(await takeTasks(session(), worker)).toEqual([]);
    expect(await takeTasks(session(), other)).toEqual([]);
    expect(await take(session(), thread, 0, 7, other)).toBeNull();
    expect(await take(session(), thread, 0, 7)).toMatchObject({ waitMs: null, attempt: 2, losses: 0, epoch: 2 });
    expect(await take(session(), thread, 0, 7)).toMatchObject({ waitMs: null, attempt: 2, losses: 0, epoch: 2 });
    expect((await stateOf(session())).timers).toEqual([]);
  });

  it('wakes its parked thread when its retry is due, not earlier', async () => {
    const worker = await register(session());
    const thread = await bound(worker, 60_000);
    expect(await take(session(), thread, 0)).toMatchObject({ waitMs: expect.any(Number) });
    expect(await park(session(), thread, [0])).toBe('parked');
    await setClock(session(), '61 seconds');
    const again = await claimOnly(session(), worker, 'a');
    expect(await take(session(), again, 0)).toMatchObject({ attempt: 2 });
  });

  it('goes with its thread, and counts deaths, not moves', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    const thread = await bound(worker);
    const first = await take(session(), thread, 0);
    await release(session(), thread);
    const moved = await claimOnly(session(), other, 'a');
    expect(await take(session(), moved, 0)).toMatchObject({ losses: 0 });
    const late = { threadNo: thread.thread_no, op: 0, kind: 'done', payload: '1', delayMs: 0, details: null } as const;
    expect(await finish(session(), worker, [{ ...late, epoch: (first as { epoch: number }).epoch }])).toBeNull();
    await die(session(), other);
    expect(await tasks()).toMatchObject([{ losses: 1, claimable: false, owner: null }]);
    expect(await take(session(), await claimOnly(session(), worker, 'a'), 0)).toMatchObject({ losses: 1, attempt: 2 });
  });

  it('that failed in another way than by its process is told to its thread', async () => {
    const worker = await register(session());
    const thread = await bound(worker);
    const item = answerItem(thread, 0, { attempt: 2, kind: 'retry', payload: '{"message":"x"}', delayMs: 60_000 });
    expect(await answer(session(), item)).toBe('done');
    expect(await mailOf(session(), worker)).toMatchObject([{ kind: 'again', op: 0 }]);
    expect(await tasks()).toMatchObject([{ attempt: 3, claimable: false }]);
    expect((await stateOf(session())).timers).toHaveLength(1);
  });

  it('is gone with its timer when the workflow does not wait for it any more', async () => {
    const worker = await register(session());
    const thread = await bound(worker, 60_000);
    await step(session(), thread, { resolves: [0], effects: [untask(0), untimer(0)] });
    expect(await stateOf(session())).toMatchObject({ tasks: [], timers: [] });
    expect(await take(session(), thread, 0)).toBeNull();
  });
});
