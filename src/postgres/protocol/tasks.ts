/** Calls that queue, claim and finish activity tasks. */

import type { Lane } from '../database.js';
import { bigint, bigints, boolean, call, doubles, int, ints, texts } from './call.js';
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
  readonly workflow_name: string;
  readonly workflow_queue: string;
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
  /** `release`: given back unharmed. */
  readonly kind: 'done' | 'fail' | 'retry' | 'release';
  readonly payload: string | null;
  readonly delayMs: number;
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
      ],
      { prepare: true },
    ),
  );
  return rows[0]?.finish_tasks ?? null;
}

export interface TaskToQueue {
  readonly threadNo: number;
  readonly epoch: number;
  readonly op: number;
  readonly taskQueue: string;
  readonly name: string;
  readonly input: string;
  readonly attempt: number;
  readonly delayMs: number;
  /** Set when it still runs in this process: claimed by this worker under this number. */
  readonly claimNo: number | null;
  readonly lastFailure: string | null;
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
    ]),
  );
  const refused = JSON.parse(rows[0]?.queue_tasks ?? '[]') as [number, number][];
  return refused.map(([threadNo, op]) => ({ threadNo, op }));
}
