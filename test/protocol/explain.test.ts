/** Each answer to "why is this not moving?", from a situation that the protocol brought about. */

import { expect, it } from 'vitest';
import { readExplanation } from '../../src/client/explain.js';
import { Seal } from '../../src/codec/payload-codec.js';
import type { Explanation } from '../../src/core/explanation.js';
import { explainWorkflow } from '../../src/postgres/protocol/visibility.js';
import {
  block,
  child,
  claimOnly,
  complete,
  die,
  expireLease,
  finish,
  limits,
  onEveryDatabase,
  openHook,
  outcomeOf,
  park,
  pause,
  QUEUE,
  register,
  running,
  type Step,
  setClock,
  signal,
  start,
  step,
  takeTasks,
  task,
  terminate,
  terms,
  timer,
  type Worker,
  wait,
  waiting,
} from '../support/protocol.js';
import { SCHEMA, type Session } from '../support/protocol-session.js';

const plain = new Seal(null);

async function why(session: Session, workflowId: string): Promise<Explanation> {
  const json = await explainWorkflow(session, SCHEMA, workflowId, null);
  expect(json, workflowId).not.toBeNull();
  return readExplanation(json ?? '', plain);
}

/** Starts it, commits one step and parks it until any of these operations is settled. */
async function parked(session: Session, worker: Worker, id: string, given: Step, ops: readonly number[] = [0]) {
  const thread = await running(session, worker, id);
  await step(session, thread, { opens: ops.length, ...given });
  expect(await park(session, thread, ops)).toBe('parked');
  return thread;
}

const failure = JSON.stringify({ name: 'CardDeclined', message: 'no money', stack: '' });
const retries = (most: number) =>
  JSON.stringify({
    args: [{ retry: { maximumAttempts: 99 } }],
    headers: null,
    taskQueue: QUEUE,
    retry: { maximumAttempts: most, backoffCoefficient: 2 },
  });

/** What an entry's body holds of one command. */
const body = (...command: unknown[]) => JSON.stringify([[0, ['start'], command]]);

onEveryDatabase('a workflow that does not move', (session) => {
  it('is not there', async () => {
    expect(await explainWorkflow(session(), SCHEMA, 'nobody', null)).toBeNull();
  });

  it('has ended, with what it failed with', async () => {
    const worker = await register(session());
    await complete(session(), await running(session(), worker, 'done'));
    await step(session(), await running(session(), worker, 'failed'), { closing: 'failed', result: failure });
    await start(session(), 'ended');
    await terminate(session(), 'ended', { failure });
    expect(await why(session(), 'done')).toMatchObject({
      workflowId: 'done',
      status: 'completed',
      reason: 'finished',
      message: expect.stringMatching(/^"done" completed \d+ m?s ago\.$/),
      details: { closedAt: expect.any(Date) },
    });
    expect(await why(session(), 'failed')).toMatchObject({
      message: expect.stringMatching(
        /^"failed" failed \d+ m?s ago: no money; handle\.retry\(\) tries it again from the step that failed\.$/,
      ),
      details: { lastError: { name: 'CardDeclined', message: 'no money' } },
    });
    expect((await why(session(), 'ended')).message).toMatch(/^"ended" was terminated .* ago: no money\.$/);
  });

  it('is only reserved', async () => {
    await start(session(), 'a', { terms: terms({ pendingMs: 90_000 }) });
    const found = await why(session(), 'a');
    expect(found).toMatchObject({ reason: 'reserved', details: { reservedUntilAt: expect.any(Date) } });
    expect(found.message).toMatch(/is only reserved, for another 1 min \d+ s/);
  });

  it('has nobody who serves it: none at all, others, or one that is gone', async () => {
    await start(session(), 'a');
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'no-worker',
      message: '"a" is ready to go on, but no live worker serves workflow "flow" on queue "queue"; no worker is alive.',
      details: { taskQueue: 'queue', workflowName: 'flow', workers: [] },
    });
    await die(session(), await register(session(), 'first'));
    await register(session(), 'other', { services: [{ kind: 'workflow', taskQueue: 'queue', name: 'flaw' }] });
    const found = await why(session(), 'a');
    expect(found.message).toMatch(
      /; the last one that did, worker \d+ \(a test\), was there until .* ago; worker \d+ \(a test\) serves workflow "flaw" on "queue"\.$/,
    );
    expect(found.details).toMatchObject({
      workers: [
        { alive: true, taskQueues: ['queue'], workflows: ['flaw'], servesActivities: false },
        { alive: false, workflows: ['flow'], servesActivities: true },
      ],
    });
  });

  it('waits for room in a worker', async () => {
    await start(session(), 'a');
    await register(session());
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'ready',
      message: expect.stringMatching(/is ready since .* and waits for room in the worker that serves it\.$/),
      details: { workers: 1 },
    });
  });

  it('runs: on whom, since when, and what is under way there', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'running',
      message: `"a" runs on worker ${worker.no} (a test), without a step so far.`,
      details: { worker: worker.no, description: 'a test' },
      waitsFor: [],
    });
    await step(session(), thread, { opens: 1, body: body('activity', 'charge', 1, 1, []) });
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'running',
      message: expect.stringMatching(
        /its last step was .* ago; it waits for activity "charge", which runs in the same process\.$/,
      ),
      waitsFor: [{ reason: 'activity-running', details: { activity: 'charge' } }],
    });
    await step(session(), thread, { resolves: [0] });
    await setClock(session(), '1 minute');
    expect((await why(session(), 'a')).message).toMatch(/nothing durable is under way: its code awaits something else/);
  });

  it('is paused, with the reason; its worker may not have given it up yet', async () => {
    const worker = await register(session());
    await waiting(session(), worker, 'a', 'go');
    await running(session(), worker, 'b');
    await pause(session(), ['a', 'b']);
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'paused',
      message: expect.stringMatching(
        /^"a" has been paused for \d+ m?s: maintenance; handle\.resume\(\) lets it go on\.$/,
      ),
      details: { pausedAt: expect.any(Date), pauseReason: 'maintenance' },
    });
    expect((await why(session(), 'b')).message).toMatch(/; worker \d+ \(a test\) still finishes what was under way\.$/);
  });

  it('is not to begin yet', async () => {
    await register(session());
    await start(session(), 'a');
    await session().sql(`update ${SCHEMA}.thread set ready_at = ready_at + interval '1 hour'`);
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'delayed',
      message: expect.stringMatching(/^"a" is not to begin before [-0-9T:.]+Z \(in 59 min \d+ s\)\.$/),
      details: { startsAt: expect.any(Date) },
    });
  });

  it('belongs to a worker that is not heard of any more', async () => {
    const worker = await register(session());
    await running(session(), worker, 'a');
    await expireLease(session(), worker);
    const found = await why(session(), 'a');
    expect(found).toMatchObject({
      reason: 'lease-expired',
      details: { worker: worker.no, workers: [{ alive: false }] },
    });
    expect(found.message).toMatch(/its lease ended 1 s ago; nobody takes it over: no live worker serves/);
    await register(session(), 'second');
    expect((await why(session(), 'a')).message).toMatch(/another worker takes it over within seconds\.$/);
  });

  it('is blocked, at an entry of its history', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await block(session(), thread, 'NondeterminismError: history entry 7 records a, but this code produced b');
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'blocked',
      message:
        '"a" is blocked: NondeterminismError: history entry 7 records a, but this code produced b; each newly started worker tries it once, and all do after handle.resume().',
      details: { entry: 7, triedBy: [worker.no] },
    });
  });

  it('waits for a signal that nobody sent, or that was sent under another name', async () => {
    const worker = await register(session());
    await parked(session(), worker, 'a', { effects: [wait(0, 'order-approved'), timer(0, 3_600_000)] });
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'signal',
      message: expect.stringMatching(
        /^"a" waits for signal "order-approved", which nobody has sent \(times out in 59 min \d+ s\)\.$/,
      ),
      details: { signalId: 'order-approved', timesOutAt: expect.any(Date), similar: [] },
    });
    for (const sent of ['orderApproved', 'orderApproved', 'order_approve', 'unlike it']) await signal(session(), sent);
    await start(session(), 'b');
    await signal(session(), 'order-approved', { workflowId: 'b' });
    const found = await why(session(), 'a');
    expect(found.details).toMatchObject({
      similar: [
        { signalId: 'orderApproved', count: 2, sentTo: 'anyone' },
        { signalId: 'order-approved', count: 1, sentTo: 'another workflow' },
        { signalId: 'order_approve', count: 1, sentTo: 'anyone' },
      ],
    });
    expect(found.message).toContain('kept signals of similar name: "orderApproved" (2, sent to anyone), ');
  });

  it('sleeps; or its timer is due, and nobody is there', async () => {
    const worker = await register(session());
    await parked(session(), worker, 'a', { effects: [timer(0, 7_200_000)] });
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'timer',
      message: expect.stringMatching(/^"a" waits for a timer, due in 1 h 59 min\.$/),
      details: { dueAt: expect.any(Date) },
    });
    await setClock(session(), '3 hours');
    expect((await why(session(), 'a')).reason).toBe('no-worker');
    await setClock(session(), '0'); // what is overdue for hours is a violation
  });

  it('failed and is tried again', async () => {
    const worker = await register(session());
    await parked(session(), worker, 'a', {
      effects: [timer(0, 60_000)],
      body: body('retry', '', 0, 1, { attempt: 2, delayMs: 60_000, failure: JSON.parse(failure) }),
    });
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'retry',
      message: expect.stringMatching(
        /^"a" failed in attempt 2 and tries again in \d+ s|1 min.*; last error: no money\.$/,
      ),
      details: { attempt: 2, dueAt: expect.any(Date), lastError: { name: 'CardDeclined', message: 'no money' } },
    });
  });

  it('waits for an activity: for room, a worker, its attempt, the next one, an answer from outside', async () => {
    const worker = await register(session());
    await parked(session(), worker, 'a', {
      effects: [{ ...task(0, 'charge'), value: retries(4) }, limits(0, { heartbeat: 60_000 })],
    });
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'activity-queued',
      message: expect.stringMatching(
        /waits for activity "charge", attempt 1 of 5, which waits for room in a worker since/,
      ),
      details: { activity: 'charge', attempt: 1, attempts: 5, taskQueue: QUEUE },
    });
    const [taken] = await takeTasks(session(), worker);
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'activity-running',
      message: expect.stringMatching(
        new RegExp(`attempt 1 of 5, which runs on worker ${worker.no} \\(a test\\) since`),
      ),
      details: { worker: worker.no, startedAt: expect.any(Date) },
    });
    if (taken === undefined) throw new Error('no task was taken');
    await finish(session(), worker, [outcomeOf(taken, 'retry', failure, 12_000)]);
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'activity-retry',
      message: expect.stringMatching(/activity "charge", attempt 2 of 5, due in 1[12] s; last error: no money\.$/),
      details: { attempt: 2, dueAt: expect.any(Date), lastError: { message: 'no money' } },
    });
    await setClock(session(), '20 seconds');
    const [again] = await takeTasks(session(), worker);
    if (again === undefined) throw new Error('no task was taken');
    await finish(session(), worker, [outcomeOf(again, 'outside')]);
    expect(await why(session(), 'a')).toMatchObject({
      reason: 'activity-outside',
      message: expect.stringMatching(/attempt 2 of 5 to be completed from outside, by its task token\.$/),
    });
  });

  it('waits for an activity whose queue nobody serves, or whose worker is not heard of', async () => {
    const worker = await register(session());
    await parked(session(), worker, 'a', { effects: [task(0, 'charge', 'cards')] });
    const found = await why(session(), 'a');
    expect(found.reason).toBe('no-worker');
    expect(found.message).toMatch(
      /waits for activity "charge", attempt 1, but no live worker serves the activities of queue "cards"; worker \d+ \(a test\) serves workflow "flow" on "queue", activities of "queue"\.$/,
    );
    expect(found.details).toMatchObject({
      activity: 'charge',
      taskQueue: 'cards',
      workers: [{ taskQueues: ['queue'] }],
    });

    await parked(session(), worker, 'b', { effects: [task(0, 'charge')] });
    const other = await register(session(), 'other');
    await takeTasks(session(), other);
    await expireLease(session(), other);
    expect(await why(session(), 'b')).toMatchObject({
      reason: 'lease-expired',
      message: expect.stringMatching(/its lease ended 1 s ago, and the attempt is given to another worker\.$/),
      details: { activity: 'charge', worker: other.no },
    });
  });

  it('waits for a child, which has a reason of its own, which has one of its own', async () => {
    const worker = await register(session());
    await parked(session(), worker, 'a', { effects: [child(0, 'b')] });
    const b = await claimOnly(session(), worker, 'b');
    await step(session(), b, { opens: 1, effects: [child(0, 'c')] });
    await park(session(), b, [0]);
    const c = await claimOnly(session(), worker, 'c');
    await step(session(), c, { opens: 1, effects: [wait(0, 'go')] });
    await park(session(), c, [0]);
    const found = await why(session(), 'a');
    expect(found).toMatchObject({
      reason: 'child',
      message:
        '"a" waits for child "b", which waits for child "c", which waits for signal "go", which nobody has sent.',
      details: { workflowId: 'b' },
      waitsFor: [{ of: { workflowId: 'b', waitsFor: [{ of: { workflowId: 'c', reason: 'signal' } }] } }],
    });
    const [shallow] = await session().sql<{ message: string }>(
      `select ${SCHEMA}.explain('a', null, 1) ->> 'message' as message`,
    );
    expect(shallow?.message).toBe('"a" waits for child "b", which waits for child "c".');
  });

  it('has hooks, which have reasons of their own; one of them is awaited', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 2, effects: [...openHook(0, null, { awaits: 'ready' }), ...openHook(1)] });
    await step(session(), thread, { resolves: [1] });
    await park(session(), thread, [0]);
    await expireLease(session(), worker);
    const found = await why(session(), 'a');
    expect(found).toMatchObject({
      reason: 'hook',
      details: { hook: 0, signalId: 'ready', state: 'open' },
      waitsFor: [{ of: { reason: 'no-worker' } }],
      hooks: [
        { hook: 0, workflowName: 'flow', reason: 'no-worker' },
        { hook: 1, workflowName: 'flow', reason: 'no-worker' },
      ],
    });
    expect(found.message).toMatch(
      /^"a" waits for hook 0 to send "ready", which is ready to go on, but no live worker .* Its hook 0 \("flow"\) is ready/,
    );
  });

  it('waits for several things: the most telling comes first', async () => {
    const worker = await register(session());
    await parked(
      session(),
      worker,
      'a',
      { effects: [timer(0, 60_000), wait(1, 'go'), task(2, 'charge', 'cards')] },
      [0, 1, 2],
    );
    const found = await why(session(), 'a');
    expect(found.reason).toBe('no-worker');
    expect(found.waitsFor.map(({ reason }) => reason)).toEqual(['no-worker', 'signal', 'timer']);
    expect(found.message).toMatch(/, and waits for signal "go", which nobody has sent, and waits for a timer, due in/);
  });

  it('is explained whatever stands in its texts', async () => {
    const worker = await register(session());
    const thread = await waiting(session(), worker, 'a', 'go');
    expect(thread.workflow_id).toBe('a');
    await parked(session(), worker, 'b', {
      effects: [
        { ...task(0, 'charge'), value: '{"args":["\\u0000"],"retry":{"maximumAttempts":4,"backoffCoefficient":2}}' },
      ],
    });
    const [taken] = await takeTasks(session(), worker);
    if (taken === undefined) throw new Error('no task was taken');
    await finish(session(), worker, [outcomeOf(taken, 'retry', '{"name":"E","message":"\\u0000","stack":""}', 12_000)]);
    const found = await why(session(), 'b');
    expect(found.message).toMatch(/attempt 2 of 5, due in 1[12] s\.$/);
    expect(found.details).toMatchObject({ lastError: { message: '\0' } });
    const broken = await running(session(), worker, 'c');
    await step(session(), broken, { opens: 1, body: body('activity', 'a', 1, 1, ['\0']) });
    expect(await why(session(), 'c')).toMatchObject({ reason: 'running' });
  });
});
