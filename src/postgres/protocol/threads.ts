/** Calls that claim, load, park and give back threads. */

import type { Lane } from '../database.js';
import { bigint, bigints, boolean, call, int, ints, text, texts } from './call.js';

export interface ClaimedThread {
  readonly thread_no: number;
  readonly run_no: number;
  readonly chain_no: number;
  readonly request_no: number;
  readonly epoch: number;
  readonly service_no: number;
  readonly last_seq: number | null;
  readonly last_commit_no: number | null;
  readonly created_ms: number;
  readonly clock_ms: number;
  readonly workflow_id: string;
  readonly run: number;
  readonly args: string;
  readonly config: string | null;
  readonly expire_s: number | null;
  readonly cancel_requested: boolean;
  readonly parent_workflow_id: string | null;
  readonly origin_id: string | null;
  /** The trace context of its run; null where nobody traces. */
  readonly trace: string | null;
  /** Of a run with copied history, see core/lineage.ts. */
  readonly lineage: string | null;
  /** Null: the main thread. Of a hook, `args` and `config` are its own. */
  readonly hook_no: number | null;
  /** The signal that whoever opened the hook awaits: its function's last argument. */
  readonly hook_signal: string | null;
  /** `[[op, ms until due], ...]` */
  readonly timers: string | null;
  /** `[op, ...]` that have a task row */
  readonly tasks: string | null;
  /** `[[inbox number, kind, op, payload text], ...]`, as {@link ClaimedMail} */
  readonly mail: string | null;
}

export interface Claim<T> {
  readonly rows: T[];
  /** When the next timer of these services is due; null when none is known or the claim was full. */
  readonly dueInMs: number | null;
}

export async function claimThreads(
  lane: Lane,
  schema: string,
  request: {
    workerNo: number;
    claimNo: number;
    services: readonly number[];
    limit: number;
    wanted?: readonly number[];
  },
): Promise<Claim<ClaimedThread>> {
  const rows = await lane.query<ClaimedThread & { due_in_ms: number | null }>(
    call(
      schema,
      'claim',
      [
        int(request.workerNo),
        bigint(request.claimNo),
        ints(request.services),
        int(request.limit),
        bigints(request.wanted ?? []),
      ],
      { prepare: true },
    ),
  );
  return splitClaim(rows);
}

/** The last row of a claim may say only when to look again. */
export function splitClaim<T extends { thread_no: number | null; due_in_ms: number | null }>(rows: T[]): Claim<T> {
  const last = rows.at(-1);
  if (last !== undefined && last.thread_no === null)
    return { rows: rows.slice(0, -1), dueInMs: Math.max(0, last.due_in_ms ?? 0) };
  return { rows, dueInMs: null };
}

export interface HistoryRow {
  readonly seq: number;
  readonly commit_no: number;
  readonly at_ms: number;
  readonly body: string;
  readonly outcome: string | null;
  readonly closes: boolean;
}

/** The whole history of a thread that this worker owns; empty where it does not. */
export async function loadOwnHistory(
  lane: Lane,
  schema: string,
  workerNo: number,
  threadNo: number,
): Promise<HistoryRow[]> {
  const rows: HistoryRow[] = [];
  for (;;) {
    const args = [int(workerNo), bigint(threadNo), int(rows.length)];
    const page = await lane.query<HistoryRow>(call(schema, 'load_own_history', args, { prepare: true }));
    if (page.length === 0) return rows;
    rows.push(...page);
  }
}

/** The whole history of a thread, page by page. */
export async function loadHistory(lane: Lane, schema: string, threadNo: number): Promise<HistoryRow[]> {
  const rows: HistoryRow[] = [];
  for await (const page of historyPages(lane, schema, threadNo)) rows.push(...page);
  return rows;
}

/** The same, for a reader that keeps no more than a page of about 8 MiB. */
export async function* historyPages(lane: Lane, schema: string, threadNo: number): AsyncGenerator<HistoryRow[]> {
  for (let from = 0; ; ) {
    const page = await lane.query<HistoryRow>(
      call(schema, 'load_history', [bigint(threadNo), int(from)], { prepare: true }),
    );
    if (page.length === 0) return;
    from += page.length;
    yield page;
  }
}

export interface Mail {
  readonly thread_no: number;
  readonly inbox_no: number;
  /** `again`: the row of a bound activity was changed by somebody else. `pause`: the run is paused, give the thread up. */
  readonly kind: 'done' | 'fail' | 'signal' | 'cancel' | 'again' | 'pause';
  readonly op: number | null;
  readonly payload: string | null;
}

/** Mail in a claim. `later`: it is to be fetched with {@link fetchRestOfMail}. */
export type ClaimedMail =
  | [inboxNo: number, kind: Mail['kind'], op: number | null, payload: string | null]
  | [inboxNo: number, kind: 'later', op: number | null];

/** A page of what lies in a thread's inbox behind `after`, but for what is known. */
export function fetchRestOfMail(
  lane: Lane,
  schema: string,
  workerNo: number,
  { threadNo, after, known }: { threadNo: number; after: number; known: readonly number[] },
): Promise<Mail[]> {
  const args = [int(workerNo), bigint(threadNo), bigint(after), bigints(known)];
  return lane.query<Mail>(call(schema, 'rest_of_mail', args, { prepare: true }));
}

export function fetchMail(lane: Lane, schema: string, workerNo: number, known: readonly number[]): Promise<Mail[]> {
  return lane.query<Mail>(call(schema, 'mail', [int(workerNo), bigints(known)], { prepare: true }));
}

export interface ThreadToPark {
  readonly threadNo: number;
  readonly epoch: number;
  readonly blockedOn: readonly number[];
}

/** @returns why threads were not parked; those not named are. */
export async function parkThreads(
  lane: Lane,
  schema: string,
  workerNo: number,
  threads: readonly ThreadToPark[],
): Promise<Map<number, 'mail' | 'fenced'>> {
  const rows = await lane.query<{ thread_no: number; status: 'mail' | 'fenced' }>(
    call(
      schema,
      'park',
      [
        int(workerNo),
        boolean(false),
        bigints(threads.map((thread) => thread.threadNo)),
        ints(threads.map((thread) => thread.epoch)),
        texts(threads.map((thread) => `{${thread.blockedOn.join(',')}}`)),
      ],
      { prepare: true },
    ),
  );
  return new Map(rows.map((row) => [row.thread_no, row.status]));
}

/** Gives threads back to be claimed by anyone. @returns hints. */
export async function releaseThreads(
  lane: Lane,
  schema: string,
  workerNo: number,
  threads: readonly { threadNo: number; epoch: number }[],
): Promise<string | null> {
  const rows = await lane.query<{ release: string | null }>(
    call(schema, 'release', [
      int(workerNo),
      boolean(false),
      bigints(threads.map((thread) => thread.threadNo)),
      ints(threads.map((thread) => thread.epoch)),
    ]),
  );
  return rows[0]?.release ?? null;
}

/** This worker's code cannot run the thread. @returns `ready` while others may try, else `blocked` (or `paused`); null when it is not ours. */
export async function blockThread(
  lane: Lane,
  schema: string,
  workerNo: number,
  thread: { threadNo: number; epoch: number },
  reason: string,
): Promise<'ready' | 'blocked' | 'paused' | null> {
  const rows = await lane.query<{ block: 'ready' | 'blocked' | 'paused' | null }>(
    call(schema, 'block', [int(workerNo), boolean(false), bigint(thread.threadNo), int(thread.epoch), text(reason)]),
  );
  return rows[0]?.block ?? null;
}

export interface Owned {
  readonly threads: { threadNo: number; epoch: number }[];
  readonly tasks: { threadNo: number; op: number; epoch: number }[];
}

/** What the database says the worker owns, of claims older than `claimsBefore`. */
export async function fetchOwned(lane: Lane, schema: string, workerNo: number, claimsBefore: number): Promise<Owned> {
  const rows = await lane.query<{ threads: string | null; tasks: string | null }>(
    call(schema, 'owned', [int(workerNo), bigint(claimsBefore)]),
  );
  const threads = JSON.parse(rows[0]?.threads ?? '[]') as [number, number][];
  const tasks = JSON.parse(rows[0]?.tasks ?? '[]') as [number, number, number][];
  return {
    threads: threads.map(([threadNo, epoch]) => ({ threadNo, epoch })),
    tasks: tasks.map(([threadNo, op, epoch]) => ({ threadNo, op, epoch })),
  };
}
