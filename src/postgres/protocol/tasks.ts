/** Calls that queue, claim and finish activity tasks. */

import type { Lane, Query, QueryOptions } from '../database.js';
import { bigint, bigints, boolean, booleans, call, double, doubles, int, ints, text, texts } from './call.js';
import { randomNumber } from './commit.js';
import { type Claim, splitClaim } from './threads.js';

export interface ClaimedTask {
  readonly thread_no: number;
  readonly op: number;
  readonly epoch: number;
  readonly service_no: number;
  readonly attempt: number;
  readonly losses: number;
  readonly name: string;
  readonly input: string;
  readonly last_failure: string | null;
  readonly workflow_id: string;
  readonly run_no: number;
  readonly request_no: number;
  /** Of a run with copied history, see core/lineage.ts. */
  readonly lineage: string | null;
  readonly workflow_name: string;
  readonly workflow_queue: string;
  /** What the last heartbeat of an earlier attempt said. */
  readonly details: string | null;
  /** What is left of its scheduleToCloseTimeout. */
  readonly close_in_ms: number | null;
  /** The trace context of its run; null where nobody traces. */
  readonly trace: string | null;
}

export async function claimTasks(
  lane: Lane,
  schema: string,
  request: { workerNo: number; claimNo: number; services: readonly number[]; limit: number },
): Promise<Claim<ClaimedTask>> {
  const rows = await lane.query<ClaimedTask & { due_in_ms: number | null }>(
    call(
      schema,
      'claim_tasks',
      [int(request.workerNo), bigint(request.claimNo), ints(request.services), int(request.limit)],
      { prepare: true },
    ),
  );
  return splitClaim(rows);
}

export interface TaskOutcome {
  readonly threadNo: number;
  readonly op: number;
  readonly epoch: number;
  /** `release`: given back unharmed. `outside`: its outcome comes by task token. */
  readonly kind: 'done' | 'fail' | 'retry' | 'release' | 'outside';
  readonly payload: string | null;
  readonly delayMs: number;
  /** What its last heartbeat said, where that was not sent yet. */
  readonly details: string | null;
}

/** @returns hints. A task that is no longer this worker's is left alone. */
export async function finishTasks(
  lane: Lane,
  schema: string,
  workerNo: number,
  outcomes: readonly TaskOutcome[],
): Promise<string | null> {
  const rows = await lane.query<{ finish_tasks: string | null }>(
    call(
      schema,
      'finish_tasks',
      [
        int(workerNo),
        boolean(false),
        bigints(outcomes.map((outcome) => outcome.threadNo)),
        ints(outcomes.map((outcome) => outcome.op)),
        ints(outcomes.map((outcome) => outcome.epoch)),
        texts(outcomes.map((outcome) => outcome.kind)),
        texts(outcomes.map((outcome) => outcome.payload)),
        doubles(outcomes.map((outcome) => outcome.delayMs)),
        texts(outcomes.map((outcome) => outcome.details)),
      ],
      { prepare: true },
    ),
  );
  return rows[0]?.finish_tasks ?? null;
}

/** The last statement of a transactional activity; its row answers hints. */
export function finishInTransaction(
  schema: string,
  done: {
    mark: string;
    workerNo: number;
    /** Prolongs the lease too; null: not. */
    leaseMs: number | null;
    threadNo: number;
    op: number;
    epoch: number;
    payload: string | null;
  },
): Query {
  return call(schema, 'finish_in_transaction', [
    text(done.mark),
    int(done.workerNo),
    { cast: 'int', value: done.leaseMs },
    bigint(done.threadNo),
    int(done.op),
    int(done.epoch),
    text(done.payload),
  ]);
}

export interface TaskToQueue {
  readonly threadNo: number;
  readonly epoch: number;
  readonly op: number;
  /** Null: bound to its thread. */
  readonly taskQueue: string | null;
  readonly name: string;
  readonly input: string;
  readonly attempt: number;
  readonly delayMs: number;
  /** Set when it still runs in this process: claimed by this worker under this number. */
  readonly claimNo: number | null;
  readonly lastFailure: string | null;
  /** Time limits that the database keeps, as JSON. */
  readonly limits: string | null;
  readonly details: string | null;
  /** Its function has ended: the outcome comes by task token. */
  readonly outside: boolean;
}

/** Turns eager activities into task rows. @returns those refused because the thread is no longer ours. */
export async function queueTasks(
  lane: Lane,
  schema: string,
  workerNo: number,
  tasks: readonly TaskToQueue[],
): Promise<{ threadNo: number; op: number }[]> {
  const rows = await lane.query<{ queue_tasks: string }>(
    call(schema, 'queue_tasks', [
      int(workerNo),
      boolean(false),
      bigint(randomNumber()),
      bigints(tasks.map((task) => task.threadNo)),
      ints(tasks.map((task) => task.epoch)),
      ints(tasks.map((task) => task.op)),
      texts(tasks.map((task) => task.taskQueue)),
      texts(tasks.map((task) => task.name)),
      texts(tasks.map((task) => task.input)),
      ints(tasks.map((task) => task.attempt)),
      doubles(tasks.map((task) => task.delayMs)),
      bigints(tasks.map((task) => task.claimNo)),
      texts(tasks.map((task) => task.lastFailure)),
      texts(tasks.map((task) => task.limits)),
      texts(tasks.map((task) => task.details)),
      booleans(tasks.map((task) => task.outside)),
    ]),
  );
  const refused = JSON.parse(rows[0]?.queue_tasks ?? '[]') as [number, number][];
  return refused.map(([threadNo, op]) => ({ threadNo, op }));
}

export interface Heartbeat {
  readonly threadNo: number;
  readonly op: number;
  readonly epoch: number;
  readonly details: string | null;
}

/** `gone`: the task is no longer this worker's. `held`: somebody is at it, nothing was noted. */
export type HeartbeatAnswer = 'ok' | 'gone' | 'held';

export async function sendHeartbeats(
  lane: Lane,
  schema: string,
  workerNo: number,
  beats: readonly Heartbeat[],
): Promise<HeartbeatAnswer[]> {
  const rows = await lane.query<{ heartbeat_tasks: string }>(
    call(
      schema,
      'heartbeat_tasks',
      [
        int(workerNo),
        bigints(beats.map((beat) => beat.threadNo)),
        ints(beats.map((beat) => beat.op)),
        ints(beats.map((beat) => beat.epoch)),
        texts(beats.map((beat) => beat.details)),
      ],
      { prepare: true },
    ),
  );
  return (rows[0]?.heartbeat_tasks ?? '').split(',') as HeartbeatAnswer[];
}

/** A bound activity's next attempt, or how long it has to wait for it. */
export type TakenStep =
  | { readonly waitMs: number }
  | {
      readonly waitMs: null;
      readonly epoch: number;
      readonly attempt: number;
      readonly losses: number;
      readonly details: string | null;
      readonly closeInMs: number | null;
    };

/** @returns null when there is nothing to run. */
export async function takeStep(
  lane: Lane,
  schema: string,
  workerNo: number,
  step: { claimNo: number; threadNo: number; epoch: number; op: number },
): Promise<TakenStep | null> {
  const [row] = await lane.query<{
    epoch: number;
    attempt: number;
    losses: number;
    details: string | null;
    close_in_ms: number | null;
    wait_ms: number | null;
  }>(
    call(schema, 'take_step', [
      int(workerNo),
      bigint(step.claimNo),
      bigint(step.threadNo),
      int(step.epoch),
      int(step.op),
    ]),
  );
  if (row === undefined) return null;
  const { epoch, attempt, losses, details, close_in_ms: closeInMs, wait_ms: waitMs } = row;
  return waitMs === null ? { waitMs, epoch, attempt, losses, details, closeInMs } : { waitMs };
}

/** Ends what exceeded its time limit. @returns hints, and when the next limit is due. */
export async function expireTasks(
  lane: Lane,
  schema: string,
): Promise<{ hints: string | null; dueInMs: number | null }> {
  const [row] = await lane.query<{ hints: string | null; due_in_ms: number | null }>(call(schema, 'expire_tasks', []));
  return { hints: row?.hints ?? null, dueInMs: row?.due_in_ms ?? null };
}

/** What is said under a task token. */
export interface TaskAnswer {
  readonly requestNo: number;
  readonly threadNo: number;
  readonly op: number;
  readonly attempt: number;
  /** The run's, as in its idempotency keys. */
  readonly runRequest: number;
  readonly kind: 'done' | 'fail' | 'retry' | 'heartbeat';
  readonly payload: string | null;
  readonly delayMs: number;
}

export type TaskAnswerStatus = 'done' | 'unknown' | 'superseded' | 'finished' | 'early';

export async function answerTask(
  lane: Lane,
  schema: string,
  answer: TaskAnswer,
  options?: QueryOptions,
): Promise<{ status: TaskAnswerStatus; hints: string | null }> {
  const rows = await lane.query<{ status: TaskAnswerStatus; hints: string | null }>(
    call(schema, 'answer_task', [
      boolean(false),
      bigint(answer.requestNo),
      bigint(answer.threadNo),
      int(answer.op),
      int(answer.attempt),
      bigint(answer.runRequest),
      text(answer.kind),
      text(answer.payload),
      double(answer.delayMs),
    ]),
    options,
  );
  if (rows[0] === undefined) throw new TypeError('answer_task answered nothing');
  return rows[0];
}
