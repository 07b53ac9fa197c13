/** Calls about worker processes: registering, the lease, the dead. */

import type { Lane } from '../database.js';
import { bigints, call, int, ints, text, texts } from './call.js';

export interface Service {
  readonly kind: 'workflow' | 'activity';
  readonly taskQueue: string;
  /** The workflow's name; '' for activities. */
  readonly name: string;
}

export async function registerWorker(
  lane: Lane,
  schema: string,
  worker: { key: string; description: string; leaseMs: number; services: readonly Service[]; schemaVersion: number },
): Promise<{ workerNo: number; serviceNos: number[] }> {
  const rows = await lane.query<{ worker_no: number; services: string }>(
    call(schema, 'register_worker', [
      text(worker.key),
      text(worker.description),
      int(worker.leaseMs),
      texts(worker.services.map((service) => service.kind)),
      texts(worker.services.map((service) => service.taskQueue)),
      texts(worker.services.map((service) => service.name)),
      int(worker.schemaVersion),
    ]),
  );
  const row = rows[0];
  if (row === undefined) throw new TypeError('register_worker answered nothing');
  return { workerNo: row.worker_no, serviceNos: JSON.parse(row.services) as number[] };
}

/** @returns false when the worker was declared dead. */
export async function renewLease(lane: Lane, schema: string, workerNo: number, leaseMs: number): Promise<boolean> {
  const rows = await lane.query<{ renew_lease: boolean }>(call(schema, 'renew_lease', [int(workerNo), int(leaseMs)]), {
    deadlineMs: Math.max(100, leaseMs / 4),
  });
  return rows[0]?.renew_lease ?? false;
}

export async function retireWorker(lane: Lane, schema: string, workerNo: number): Promise<void> {
  await lane.query(call(schema, 'retire_worker', [int(workerNo)]));
}

/** Declares all workers dead: for an embedded database, which one process holds. */
export async function takeOver(lane: Lane, schema: string): Promise<void> {
  await lane.query(call(schema, 'take_over', []));
}

/** A worker that was declared dead. */
export interface DeadWorker {
  readonly workerNo: number;
  /** Host and process. */
  readonly description: string;
}

/** Declares dead workers dead. */
export async function reap(
  lane: Lane,
  schema: string,
  workerNo: number,
): Promise<{ hints: string | null; reaped: DeadWorker[] }> {
  const [row] = await lane.query<{ hints: string | null; reaped: string }>(call(schema, 'reap', [int(workerNo)]));
  const reaped = JSON.parse(row?.reaped ?? '[]') as [number, string][];
  return { hints: row?.hints ?? null, reaped: reaped.map(([no, description]) => ({ workerNo: no, description })) };
}

/** A thread that workers died with. */
export interface Suspect {
  readonly thread_no: number;
  /** It died too often, and is not tried any more; false: it is this worker's to try. */
  readonly quarantined: boolean;
  readonly deaths: number;
  readonly workflow_id: string;
  readonly run: number;
  readonly hook_no: number | null;
  readonly service_no: number;
  readonly parent_workflow_id: string | null;
  readonly origin_id: string | null;
  /** Of the last entry of its history; null: it has none. */
  readonly last_commit_no: number | null;
}

/** Takes the next suspect to be tried, and says which ones are quarantined now. */
export function trySuspect(
  lane: Lane,
  schema: string,
  request: {
    workerNo: number;
    services: readonly number[];
    /** Tried, and alive. */
    survived: readonly number[];
    /** 0: never. */
    quarantineAfter: number;
  },
): Promise<Suspect[]> {
  const { workerNo, services, survived, quarantineAfter } = request;
  return lane.query<Suspect>(
    call(schema, 'try_suspect', [int(workerNo), ints(services), bigints(survived), int(quarantineAfter)]),
  );
}

/** A workflow function that no live worker serves, though threads wait for it. */
export interface UnservedWorkflow {
  readonly task_queue: string;
  readonly workflow_name: string;
  /** 1,000 stand for more. */
  readonly waiting: number;
}

/** Those on the queues of a worker. */
export function fetchUnserved(lane: Lane, schema: string, workerNo: number): Promise<UnservedWorkflow[]> {
  return lane.query<UnservedWorkflow>(call(schema, 'unserved', [int(workerNo)]));
}

/** Keeps house. @returns hints. */
export async function tidy(lane: Lane, schema: string): Promise<string | null> {
  return (await lane.query<{ tidy: string | null }>(call(schema, 'tidy', [])))[0]?.tidy ?? null;
}

/** Ends runs whose timeout is over, and reservations that nobody filled. */
export async function expireRuns(
  lane: Lane,
  schema: string,
): Promise<{ hints: string | null; dueInMs: number | null }> {
  const [row] = await lane.query<{ hints: string | null; due_in_ms: number | null }>(call(schema, 'expire_runs', []));
  return { hints: row?.hints ?? null, dueInMs: row?.due_in_ms ?? null };
}
