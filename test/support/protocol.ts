/**
 * The protocol in a few words: what a client and a worker say to the database, without either.
 *
 * Owns: names for calls with the arguments a test does not care about filled in, and the bookkeeping that a worker would
 * do for a thread (epoch, next entry, last commit). Does not own: what the functions do, the state of the database.
 *
 * Numbers that calls are recognised by (requests, commits, claims) count up from 1 and start over in every test, so that
 * two runs of the same calls leave the same rows.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from 'vitest';
import type { StoredTerms } from '../../src/core/start-terms.js';
import { SCHEMA_VERSION } from '../../src/postgres/migrate.js';
import { type CommitItem, commit, type Effect } from '../../src/postgres/protocol/commit.js';
import {
  cancelWorkflow,
  descend,
  type HookItem,
  openHooks,
  type SignalAnswer,
  type SignalItem,
  type StartAnswer,
  type StartItem,
  sendSignals,
  startExecutions,
  terminateWorkflow,
} from '../../src/postgres/protocol/executions.js';
import {
  pauseWorkflows,
  type ResetRequest,
  resetWorkflow,
  resumeWorkflows,
} from '../../src/postgres/protocol/operations.js';
import {
  makeDue,
  type Pruned,
  prune,
  pruneArchived,
  setArchiving,
  takeDueRuns,
} from '../../src/postgres/protocol/retention.js';
import {
  answerTask,
  type ClaimedTask,
  claimTasks,
  expireTasks,
  finishTasks,
  type HeartbeatAnswer,
  queueTasks,
  sendHeartbeats,
  type TakenStep,
  type TaskAnswer,
  type TaskAnswerStatus,
  type TaskOutcome,
  type TaskToQueue,
  takeStep,
} from '../../src/postgres/protocol/tasks.js';
import {
  blockThread,
  type ClaimedThread,
  claimThreads,
  fetchMail,
  type Mail,
  parkThreads,
  releaseThreads,
} from '../../src/postgres/protocol/threads.js';
import {
  expireRuns,
  reap,
  registerWorker,
  renewLease,
  retireWorker,
  type Service,
  tidy,
  trySuspect,
} from '../../src/postgres/protocol/workers.js';
import { createMigratedDatabase } from './database.js';
import { openEmbeddedSession, openSession, SCHEMA, type Session } from './protocol-session.js';

export const QUEUE = 'queue';
export const FLOW = 'flow';

const HOUR_MS = 3_600_000;

let lastNumber = 0;

/** For requests, commits and claims. */
export function nextNumber(): number {
  lastNumber += 1;
  return lastNumber;
}

// ---- databases

interface Opened {
  readonly session: Session;
  readonly url: string;
  close(): Promise<void>;
}

let embedded: Promise<Session> | null = null;

/** From here on this process tests on PGlite: see test/protocol/on-pglite.test.ts. */
export function testOnPglite(): void {
  embedded = openEmbeddedSession();
  afterAll(async () => await (await embedded)?.close());
}

/** Tests that one session can do: on Postgres, and again on PGlite. The database is emptied before each of them. */
export function onEveryDatabase(title: string, tests: (session: () => Session) => void): void {
  const shared = embedded;
  if (shared === null) onServer(title, tests);
  else withDatabase(title, async () => ({ session: await shared, url: '', close: async () => {} }), tests);
}

/** Tests that need Postgres. `url` is for further sessions. */
export function onServer(title: string, tests: (session: () => Session, url: () => string) => void): void {
  if (embedded !== null) return;
  const open = async () => {
    const database = await createMigratedDatabase(SCHEMA);
    const session = await openSession(database.url);
    const close = async () => {
      await session.close();
      await database.drop();
    };
    return { session, url: database.url, close };
  };
  withDatabase(title, open, tests);
}

function withDatabase(
  title: string,
  open: () => Promise<Opened>,
  tests: (session: () => Session, url: () => string) => void,
): void {
  describe(title, () => {
    let opened: Opened;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(() => opened.close());
    beforeEach(() => empty(opened.session));
    afterEach(async () => {
      expect(await violations(opened.session)).toEqual([]);
    });
    tests(
      () => opened.session,
      () => opened.url,
    );
  });
}

/** As if just migrated. A test that failed may have left its transaction open. */
export async function empty(session: Session): Promise<void> {
  await session.sql('rollback');
  lastNumber = 0;
  session.patient = false;
  await setClock(session, '0');
  await session.sql(`do $$
    declare
      v_table name;
    begin
      for v_table in select tablename from pg_tables where schemaname = '${SCHEMA}' and tablename not in ('schema_info', 'request_slot', 'emission_counter', 'archiving', 'signal_quota') loop
        execute format('delete from ${SCHEMA}.%I', v_table);
      end loop;
      update ${SCHEMA}.request_slot set slot = 0, since = clock_timestamp();
      update ${SCHEMA}.emission_counter set last = 0;
      update ${SCHEMA}.archiving set is_on = false;
      update ${SCHEMA}.signal_quota set kept = 10000;
      perform setval(oid, 1, false) from pg_class where relkind = 'S' and relnamespace = '${SCHEMA}'::regnamespace;
    end $$`);
}

/** The first twenty: whoever reads of a failed test has to find its reason too. */
export async function violations(session: Session): Promise<string[]> {
  const rows = await session.sql<{ name: string; what: string }>(
    `select name, what from ${SCHEMA}.violations() limit 20`,
  );
  return rows.map(({ name, what }) => `${name}: ${what}`);
}

const movedClocks = new WeakSet<Session>();

/** Moves the database's clock. Calls that are under way may go on by the old one. */
export async function setClock(session: Session, ahead: string): Promise<void> {
  if (ahead === '0' && !movedClocks.delete(session)) return;
  if (ahead !== '0') movedClocks.add(session);
  await session.sql(`create or replace function ${SCHEMA}.clock() returns timestamptz language sql volatile as $$
    select pg_catalog.clock_timestamp() + interval '${ahead}' $$`);
}

// ---- clients

/** A start of the usual workflow. */
export const terms = (given: StoredTerms): string => JSON.stringify(given);

export function startItem(workflowId: string, given: Partial<StartItem> = {}): StartItem {
  return {
    requestNo: nextNumber(),
    workflowId,
    taskQueue: QUEUE,
    workflowName: FLOW,
    args: '[]',
    config: null,
    expireS: null,
    signalIn: true,
    terms: null,
    entity: null,
    search: null,
    parentWorkflowId: null,
    originId: null,
    trace: null,
    ...given,
  };
}

export async function startAll(session: Session, items: readonly StartItem[]): Promise<StartAnswer[]> {
  return (await startExecutions(session, SCHEMA, items)).answers;
}

/** Starts what a worker of the same process takes at once. */
export async function startHere(
  session: Session,
  { no: workerNo, services }: Worker,
  items: readonly StartItem[],
  claimNo = nextNumber(),
): Promise<{ answers: StartAnswer[]; hints: string | null }> {
  return await startExecutions(session, SCHEMA, items, {}, { workerNo, claimNo, services });
}

/** Starts one that must be new. @returns its run's number. */
export async function start(session: Session, workflowId: string, given: Partial<StartItem> = {}): Promise<number> {
  const [answer] = await startAll(session, [startItem(workflowId, given)]);
  expect(answer?.status, `start of ${workflowId}`).toBe('started');
  return answer?.runNo ?? 0;
}

/** A signal to whoever waits longest in the namespace, kept for an hour. */
export function signalItem(signalId: string, given: Partial<SignalItem> = {}): SignalItem {
  return {
    requestNo: nextNumber(),
    signalId,
    workflowId: null,
    chainNo: null,
    payload: null,
    expireMs: HOUR_MS,
    ...given,
  };
}

export async function signalAll(session: Session, items: readonly SignalItem[]): Promise<SignalAnswer[]> {
  return (await sendSignals(session, SCHEMA, items)).answers;
}

/** A hook of the usual function. */
export function hookItem(workflowId: string, given: Partial<HookItem> = {}): HookItem {
  const usual = { taskQueue: QUEUE, workflowName: FLOW, args: '[]', config: null, search: null };
  return { requestNo: nextNumber(), workflowId, ...usual, ...given };
}

/** @returns for each `hooked`, or why not. */
export async function hookAll(session: Session, items: readonly HookItem[]): Promise<string[]> {
  const { answers } = await openHooks(session, SCHEMA, items);
  return answers.map((answer) => (answer.status === 'hooked' ? 'hooked' : answer.reason));
}

export async function signal(
  session: Session,
  signalId: string,
  given: Partial<SignalItem> = {},
): Promise<SignalAnswer> {
  const [answer] = await signalAll(session, [signalItem(signalId, given)]);
  return answer as SignalAnswer;
}

/** @returns whether it was open. */
export async function cancel(session: Session, workflowId: string, chainNo: number | null = null): Promise<boolean> {
  return (await cancelWorkflow(session, SCHEMA, workflowId, chainNo)).found;
}

export async function terminate(
  session: Session,
  workflowId: string,
  {
    requestNo = nextNumber(),
    failure = '"ended"',
    expireS = null as number | null,
    descend = false,
    chainNo = null as number | null,
  } = {},
): Promise<string> {
  return (await terminateWorkflow(session, SCHEMA, { requestNo, workflowId, chainNo, failure, expireS, descend }))
    .status;
}

/** @returns whether there was anything to do. */
export async function endGeneration(session: Session): Promise<boolean> {
  return (await descend(session, SCHEMA)).worked;
}

// ---- operators

/** @returns how each workflow was answered. */
export async function pause(session: Session, workflowIds: readonly string[], requestNo?: number): Promise<string[]> {
  const items = workflowIds.map((workflowId) => ({
    requestNo: requestNo ?? nextNumber(),
    workflowId,
    reason: 'maintenance',
  }));
  return (await pauseWorkflows(session, SCHEMA, items)).answers;
}

/** @returns how each workflow was answered. */
export async function resume(session: Session, workflowIds: readonly string[], requestNo?: number): Promise<string[]> {
  const items = workflowIds.map((workflowId) => ({ requestNo: requestNo ?? nextNumber(), workflowId }));
  return (await resumeWorkflows(session, SCHEMA, items)).answers;
}

/** Goes back to the first `keep` entries of the run, in which nothing is open then. */
export async function reset(
  session: Session,
  runNo: number,
  given: Partial<ResetRequest> = {},
): Promise<{ status: string; runNo: number }> {
  const answer = await resetWorkflow(session, SCHEMA, {
    requestNo: given.requestNo ?? nextNumber(),
    runNo,
    workflowId: null,
    cause: 'reset',
    reason: null,
    keep: 0,
    opened: 0,
    seen: 100,
    cancelled: false,
    timers: [],
    waits: [],
    children: [],
    hooks: [],
    outcomes: [],
    signals: [],
    ...given,
  });
  return { status: answer.status, runNo: answer.run_no ?? 0 };
}

// ---- workers

export interface Worker {
  readonly key: string;
  readonly no: number;
  readonly services: readonly number[];
}

const USUAL_SERVICES: readonly Service[] = [
  { kind: 'workflow', taskQueue: QUEUE, name: FLOW },
  { kind: 'activity', taskQueue: QUEUE, name: '' },
];

/** A worker that serves the usual workflow and the activities of its queue, with a lease of an hour. */
export async function register(
  session: Session,
  key = 'worker',
  { leaseMs = HOUR_MS, services = USUAL_SERVICES }: { leaseMs?: number; services?: readonly Service[] } = {},
): Promise<Worker> {
  const { workerNo, serviceNos } = await registerWorker(session, SCHEMA, {
    key,
    description: 'a test',
    leaseMs,
    services,
    schemaVersion: SCHEMA_VERSION,
  });
  return { key, no: workerNo, services: serviceNos };
}

/** The lease is over from this moment on; nobody has noticed yet. */
export async function expireLease(session: Session, worker: Worker): Promise<void> {
  await session.sql(
    `update ${SCHEMA}.worker set lease_until = clock_timestamp() - interval '1 s' where worker_no = $1::int`,
    worker.no,
  );
}

/** Its lease ran out and the reaper has seen it. */
export async function die(session: Session, worker: Worker): Promise<void> {
  await expireLease(session, worker);
  await reapDead(session);
}

export const renew = (session: Session, worker: Worker) => renewLease(session, SCHEMA, worker.no, HOUR_MS);
export const retire = (session: Session, worker: Worker) => retireWorker(session, SCHEMA, worker.no);
/** `by` has nothing to do with the dead: threads that are blocked are offered to it. */
export const reapDead = async (session: Session, by?: Worker) => (await reap(session, SCHEMA, by?.no ?? 0)).hints;
/** Takes the next suspect, or quarantines those that died `quarantineAfter` times. */
export const tryNext = (
  session: Session,
  { no: workerNo, services }: Worker,
  { survived = [], quarantineAfter = 3 }: { survived?: readonly number[]; quarantineAfter?: number } = {},
) => trySuspect(session, SCHEMA, { workerNo, services, survived, quarantineAfter });
/** Ends what is due. @returns hints. */
export const endDue = async (session: Session): Promise<string | null> => (await expireRuns(session, SCHEMA)).hints;

/** One call. */
export const pruneSome = (session: Session): Promise<Pruned> => prune(session, SCHEMA);
/** Calls until nothing is due. @returns how many runs went. */
export async function pruneAll(session: Session): Promise<number> {
  for (let pruned = 0; ; ) {
    const step = await pruneSome(session);
    pruned += step.pruned;
    if (!step.more) return pruned;
  }
}
export const takeDue = (session: Session, limit = 10, againS = 60) => takeDueRuns(session, SCHEMA, limit, againS);
export const prunedArchived = (session: Session, runNos: readonly number[]) => pruneArchived(session, SCHEMA, runNos);
export const archive = (session: Session, on: boolean) => setArchiving(session, SCHEMA, on);
export const expireOlder = (session: Session, olderS: number, dryRun = false) =>
  makeDue(session, SCHEMA, { afterRun: 0, olderS, dryRun });
export const keepHouse = (session: Session) => tidy(session, SCHEMA);

// ---- threads

/** A thread as its worker knows it. */
export interface Thread extends ClaimedThread {
  readonly worker: Worker;
  /** Of the entry to commit next. */
  seq: number;
  /** Of the entry before it. */
  lastCommitNo: number | null;
  /** The next operation to be opened. */
  nextOp: number;
}

export interface ClaimOptions {
  readonly claimNo?: number;
  readonly limit?: number;
  readonly wanted?: readonly number[];
}

/** In the order of their workflow ids: which of two ready threads comes first in a claim's answer is not promised. */
export async function claim(
  session: Session,
  worker: Worker,
  { claimNo = nextNumber(), limit = 100, wanted = [] }: ClaimOptions = {},
): Promise<Thread[]> {
  const request = { workerNo: worker.no, claimNo, services: worker.services, limit, wanted };
  const { rows } = await claimThreads(session, SCHEMA, request);
  const threads = rows.map((row) => ({
    ...row,
    worker,
    seq: (row.last_seq ?? -1) + 1,
    lastCommitNo: row.last_commit_no,
    nextOp: 0,
  }));
  return threads.sort((one, other) => (one.workflow_id < other.workflow_id ? -1 : 1));
}

/** Claims what is ready, which must be this workflow alone. */
export async function claimOnly(session: Session, worker: Worker, workflowId: string): Promise<Thread> {
  const threads = await claim(session, worker);
  expect(threads.map((thread) => thread.workflow_id)).toEqual([workflowId]);
  return threads[0] as Thread;
}

/** Starts and claims. */
export async function running(
  session: Session,
  worker: Worker,
  workflowId: string,
  given: Partial<StartItem> = {},
): Promise<Thread> {
  await start(session, workflowId, given);
  return await claimOnly(session, worker, workflowId);
}

/** Starts, claims, and parks until the signal comes. */
export async function waiting(session: Session, worker: Worker, workflowId: string, signalId: string): Promise<Thread> {
  const thread = await running(session, worker, workflowId);
  await step(session, thread, { opens: 1, effects: [wait(0, signalId)] });
  expect(await park(session, thread, [0])).toBe('parked');
  return thread;
}

/** A hook of the run that is under way, whatever opened it. */
export async function hookOf(
  session: Session,
  main: Thread,
  state: 'owned' | 'parked',
  worker = main.worker,
): Promise<Thread> {
  const owned = state === 'owned';
  const [row] = await session.sql<{ thread_no: number; hook_no: number }>(
    `with made as (
       insert into ${SCHEMA}.thread (thread_no, run_no, service_no, state, owner, claim_no, epoch, blocked_on)
       values (nextval('${SCHEMA}.run_number'), $1::bigint, $2::int, $3, $4::int, $5::bigint, 1, $6::int[]) returning *)
     insert into ${SCHEMA}.hook (thread_no, run_no, hook_no, state, args)
     select m.thread_no, m.run_no, (select count(*) from ${SCHEMA}.hook k where k.run_no = m.run_no), 'open', '[]' from made m
     returning thread_no, hook_no`,
    main.run_no,
    main.service_no,
    state,
    owned ? worker.no : null,
    owned ? nextNumber() : null,
    owned ? null : '{0}',
  );
  const { thread_no = 0, hook_no = 0 } = row ?? {};
  return { ...main, thread_no, hook_no, epoch: 1, worker, seq: 0, lastCommitNo: null, nextOp: 0 };
}

/** @returns `parked`, or why not. */
export async function park(
  session: Session,
  thread: Thread,
  blockedOn: readonly number[],
): Promise<'parked' | 'mail' | 'fenced'> {
  const refused = await parkThreads(session, SCHEMA, thread.worker.no, [
    { threadNo: thread.thread_no, epoch: thread.epoch, blockedOn },
  ]);
  return refused.get(thread.thread_no) ?? 'parked';
}

export const release = (session: Session, thread: Thread) =>
  releaseThreads(session, SCHEMA, thread.worker.no, [{ threadNo: thread.thread_no, epoch: thread.epoch }]);

export const block = (session: Session, thread: Thread, reason = 'the code differs') =>
  blockThread(session, SCHEMA, thread.worker.no, { threadNo: thread.thread_no, epoch: thread.epoch }, reason);

export const mailOf = (session: Session, worker: Worker, known: readonly number[] = []): Promise<Mail[]> =>
  fetchMail(session, SCHEMA, worker.no, known);

// ---- commits

export interface Step {
  /** How many operations, numbered from `nextOp` on. */
  readonly opens?: number;
  readonly resolves?: readonly number[];
  readonly effects?: readonly Effect[];
  /** Inbox numbers. */
  readonly consumes?: readonly number[];
  readonly closing?: CommitItem['closing'];
  readonly result?: string | null;
  readonly body?: string;
}

/** The thread's next entry. It stays the next one until `advance`. A hook's locks its thread, as a worker's does. */
export function entry(thread: Thread, given: Step = {}): CommitItem {
  return {
    threadNo: thread.thread_no,
    epoch: thread.epoch,
    seq: thread.seq,
    commitNo: nextNumber(),
    previousCommitNo: thread.lastCommitNo,
    openedFrom: thread.nextOp,
    openedCount: given.opens ?? 0,
    resolved: given.resolves ?? [],
    body: given.body ?? '{}',
    closing: given.closing ?? null,
    result: given.result ?? null,
    consumed: given.consumes ?? [],
    effects: [...(given.effects ?? []), ...(thread.hook_no === null ? [] : [{ kind: 'own', op: -1 } as const])],
  };
}

export interface ItemAnswer {
  readonly status: 'done' | 'decided' | 'again' | 'early' | 'stale' | 'fenced';
  readonly detail: string | null;
}

/** What the database says to each item; `done` where it says nothing. */
export async function commitAll(session: Session, worker: Worker, items: readonly CommitItem[]): Promise<ItemAnswer[]> {
  await commit(session, SCHEMA, worker.no, items);
  const answers: ItemAnswer[] = items.map(() => ({ status: 'done', detail: null }));
  for (const { item, status, detail } of session.rows as unknown as ({ item: number } & ItemAnswer)[]) {
    if (item > 0) answers[item - 1] = { status, detail };
  }
  return answers;
}

export async function commitOne(session: Session, thread: Thread, item: CommitItem): Promise<ItemAnswer> {
  const [answer] = await commitAll(session, thread.worker, [item]);
  return answer as ItemAnswer;
}

/** Commits the next entry, which must be accepted. @returns what the database decided, by operation. */
export async function step(session: Session, thread: Thread, given: Step = {}): Promise<unknown[][]> {
  const item = entry(thread, given);
  const { status, detail } = await commitOne(session, thread, item);
  expect(['done', 'decided'], `commit of ${thread.workflow_id}`).toContain(status);
  advance(thread, item);
  return JSON.parse(detail ?? '[]') as unknown[][];
}

/** The entry was accepted. */
export function advance(thread: Thread, item: CommitItem): void {
  thread.seq = item.seq + 1;
  thread.lastCommitNo = item.commitNo;
  thread.nextOp += item.openedCount;
}

export const complete = (session: Session, thread: Thread, result = '"done"') =>
  step(session, thread, { closing: 'completed', result });

export const timer = (op: number, ms: number): Effect => ({ kind: 'timer', op, number: ms });
export const untimer = (op: number): Effect => ({ kind: 'untimer', op });
export const fire = (op: number): Effect => ({ kind: 'fire', op });
export const wait = (op: number, signalId: string): Effect => ({ kind: 'wait', op, key: signalId });
export const unwait = (op: number): Effect => ({ kind: 'unwait', op });
export const untask = (op: number): Effect => ({ kind: 'untask', op });
export const uncall = (op: number): Effect => ({ kind: 'uncall', op });

export const task = (op: number, name = 'act', taskQueue = QUEUE): Effect => ({
  kind: 'task',
  op,
  key: taskQueue,
  extra: name,
  value: '[]',
});

/** Of a task of the same step, in ms. */
export interface Limits {
  readonly scheduleToClose?: number;
  readonly scheduleToStart?: number;
  readonly startToClose?: number;
  readonly heartbeat?: number;
}

const RETRY = { maximumAttempts: 3, initialIntervalMs: 1_000, backoffCoefficient: 2, maximumIntervalMs: 60_000 };

export const limitsJson = (given: Limits, retry: Partial<typeof RETRY> = {}): string =>
  JSON.stringify({ ...given, retry: { ...RETRY, ...retry } });

export const limits = (op: number, given: Limits, retry: Partial<typeof RETRY> = {}): Effect => ({
  kind: 'limits',
  op,
  extra: limitsJson(given, retry),
});

export const send = (op: number, signalId: string, payload: string | null = null, ms = HOUR_MS): Effect => ({
  kind: 'signal',
  op,
  key: signalId,
  value: payload,
  number: ms,
});

export const emit = (topic: string, payload: string | null = null): Effect => ({
  kind: 'emit',
  op: 0,
  key: topic,
  value: payload,
});

/** A call of a search session. `args` as search_call.sql has them. */
export const search = (op: number, method: string, args: unknown): Effect => documentCall('search', op, method, args);
/** A call of an entity session. `args` as entity_call.sql has them. */
export const entity = (op: number, method: string, args: unknown): Effect => documentCall('entity', op, method, args);

function documentCall(kind: 'search' | 'entity', op: number, method: string, args: unknown): Effect {
  return { kind, op, key: method, value: JSON.stringify(args) };
}

/** A child that the parent awaits, unless told otherwise. */
/** What whoever waits for it gets is `"ended from inside"`. */
export const end = (op: number, workflowId: string, descend = false): Effect => ({
  kind: 'terminate',
  op,
  key: workflowId,
  value: '"ended from inside"',
  extra: descend ? 'descend' : '',
});

export const child = (op: number, workflowId: string, given: Record<string, unknown> = {}): Effect => ({
  kind: 'child',
  op,
  key: workflowId,
  value: '[]',
  extra: JSON.stringify({ taskQueue: QUEUE, workflowName: FLOW, awaited: true, ...given }),
});

/** A child that says more than what to run. */
export const childOn = (
  op: number,
  workflowId: string,
  given: StoredTerms,
  more: Record<string, unknown> = {},
): Effect => ({ ...child(op, workflowId, { ...more, terms: given }), kind: 'child on terms' });

/** A hook of the workflow, or of its own (null); awaited under `awaits`. */
export const openHook = (
  op: number,
  workflowId: string | null = null,
  { awaits, args = '[]', ...given }: { awaits?: string; args?: string } & Record<string, unknown> = {},
): Effect[] => [
  {
    kind: 'hook',
    op,
    ...(workflowId !== null && { key: workflowId }),
    value: args,
    extra: JSON.stringify({ taskQueue: QUEUE, workflowName: FLOW, signalId: awaits ?? null, ...given }),
  },
  ...(awaits === undefined ? [] : [wait(op, awaits)]),
];

// ---- tasks

export async function takeTasks(
  session: Session,
  worker: Worker,
  { claimNo = nextNumber(), limit = 100 }: { claimNo?: number; limit?: number } = {},
): Promise<ClaimedTask[]> {
  return (await claimTasks(session, SCHEMA, { workerNo: worker.no, claimNo, services: worker.services, limit })).rows;
}

export function outcomeOf(
  taken: ClaimedTask,
  kind: TaskOutcome['kind'],
  payload: string | null = null,
  delayMs = 0,
  details: string | null = null,
): TaskOutcome {
  return { threadNo: taken.thread_no, op: taken.op, epoch: taken.epoch, kind, payload, delayMs, details };
}

export const finish = (session: Session, worker: Worker, outcomes: readonly TaskOutcome[]) =>
  finishTasks(session, SCHEMA, worker.no, outcomes);

/** An activity that ran in the thread's own worker so far. */
export function taskItem(thread: Thread, op: number, given: Partial<TaskToQueue> = {}): TaskToQueue {
  return {
    threadNo: thread.thread_no,
    epoch: thread.epoch,
    op,
    taskQueue: QUEUE,
    name: 'act',
    input: '[]',
    attempt: 1,
    delayMs: 0,
    claimNo: null,
    lastFailure: null,
    limits: null,
    details: null,
    outside: false,
    ...given,
  };
}

export const queue = (session: Session, worker: Worker, items: readonly TaskToQueue[]) =>
  queueTasks(session, SCHEMA, worker.no, items);

export async function beat(
  session: Session,
  worker: Worker,
  taken: Pick<ClaimedTask, 'thread_no' | 'op' | 'epoch'>,
  details: string | null = null,
): Promise<HeartbeatAnswer | undefined> {
  const heartbeat = { threadNo: taken.thread_no, op: taken.op, epoch: taken.epoch, details };
  return (await sendHeartbeats(session, SCHEMA, worker.no, [heartbeat]))[0];
}

/** Looks at the limits. @returns hints. */
export const expire = async (session: Session): Promise<string | null> => (await expireTasks(session, SCHEMA)).hints;

/** Under the token of the thread's operation `op`. */
export function answerItem(thread: Thread, op: number, given: Partial<TaskAnswer> = {}): TaskAnswer {
  return {
    requestNo: nextNumber(),
    threadNo: thread.thread_no,
    op,
    attempt: 1,
    runRequest: thread.request_no,
    kind: 'done',
    payload: '"answer"',
    delayMs: 0,
    ...given,
  };
}

export const answer = async (session: Session, item: TaskAnswer): Promise<TaskAnswerStatus> =>
  (await answerTask(session, SCHEMA, item)).status;

export const take = (
  session: Session,
  thread: Thread,
  op: number,
  claimNo = nextNumber(),
  worker = thread.worker,
): Promise<TakenStep | null> =>
  takeStep(session, SCHEMA, worker.no, { claimNo, threadNo: thread.thread_no, epoch: thread.epoch, op });
