/** Calls about worker processes: registering, the lease, the dead. */

import type { Lane } from '../database.js';
import { call, int, text, texts } from './call.js';

export interface Service {
  readonly kind: 'workflow' | 'activity';
  readonly taskQueue: string;
  /** The workflow's name; '' for activities. */
  readonly name: string;
}

export async function registerWorker(
  lane: Lane,
  schema: string,
  worker: { key: string; description: string; leaseMs: number; services: readonly Service[] },
): Promise<{ workerNo: number; serviceNos: number[] }> {
  const rows = await lane.query<{ worker_no: number; services: string }>(
    call(schema, 'register_worker', [
      text(worker.key),
      text(worker.description),
      int(worker.leaseMs),
      texts(worker.services.map((service) => service.kind)),
      texts(worker.services.map((service) => service.taskQueue)),
      texts(worker.services.map((service) => service.name)),
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

/** Declares dead workers dead. @returns hints. */
export async function reap(lane: Lane, schema: string, workerNo: number): Promise<string | null> {
  return (await lane.query<{ reap: string | null }>(call(schema, 'reap', [int(workerNo)])))[0]?.reap ?? null;
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
