/**
 * Makes the calls of a simulated run once more, on a database, and compares each answer with the model's, and in the end all
 * rows. The database's clock is the model's: see {@link followClock}.
 *
 * Runs, threads and workers have the same numbers on both sides, since the model counts as the sequences do. Inbox rows are
 * matched by their order within a thread, services by their names.
 */

import { isDeepStrictEqual } from 'node:util';
import { SCHEMA_VERSION } from '../../src/postgres/migrate.js';
import type { CommitAnswer, CommitItem } from '../../src/postgres/protocol/commit.js';
import { commit } from '../../src/postgres/protocol/commit.js';
import { claimTasks, finishTasks, queueTasks } from '../../src/postgres/protocol/tasks.js';
import {
  type ClaimedThread,
  claimThreads,
  fetchMail,
  fetchOwned,
  parkThreads,
  releaseThreads,
} from '../../src/postgres/protocol/threads.js';
import { registerWorker, renewLease } from '../../src/postgres/protocol/workers.js';
import { LEASE_MS, type ModelRows } from './model-rows.js';
import type { ModelCall, ModelCalls, ModelStore } from './model-store.js';
import { QUEUE } from './model-store.js';
import {
  cancel,
  empty,
  endGeneration,
  hookAll,
  keepHouse,
  pause,
  reapDead,
  resume,
  signalAll,
  startAll,
  startItem,
  terminate,
  violations,
} from './protocol.js';
import { SCHEMA, type Session } from './protocol-session.js';

/** From here on the database of this session has the clock that the session says. */
export async function followClock(session: Session): Promise<void> {
  await session.sql(`create or replace function ${SCHEMA}.clock() returns timestamptz language sql volatile as $$
    select pg_catalog.to_timestamp(pg_catalog.current_setting('perdure_test.now')::double precision / 1000) $$`);
}

/** From here on no thread is held back because workers died with it: the model counts no deaths (sql/functions/hold_suspects.sql). */
export async function suspectNobody(session: Session): Promise<void> {
  await session.sql(
    `create or replace function ${SCHEMA}.hold_suspects(p_threads bigint[]) returns void language sql as ''`,
  );
}

/** @returns where the database differs from the model; null when it does not. */
export async function differenceOf(session: Session, store: ModelStore): Promise<string | null> {
  await setNow(session, store.calls[0]?.now ?? 0);
  await empty(session);
  const database = new CheckedDatabase(session);
  let now = 0;
  for (const [index, one] of store.calls.entries()) {
    if (one.now !== now) await setNow(session, one.now);
    now = one.now;
    const answer = await database.answerTo(one);
    const expected = told(one.call, one.answer);
    if (!isDeepStrictEqual(answer, expected)) {
      const words = [`call ${index}: ${one.call}(${JSON.stringify(one.args)})`];
      return [...words, `database: ${JSON.stringify(answer)}`, `model:    ${JSON.stringify(expected)}`].join('\n');
    }
  }
  await setNow(session, store.rows.now);
  const [actual, expected] = [await rowsOf(session), rowsOfModel(store.rows)];
  for (const [table, rows] of Object.entries(expected))
    if (!isDeepStrictEqual(actual[table], rows))
      return `rows of ${table}:\ndatabase: ${JSON.stringify(actual[table])}\nmodel:    ${JSON.stringify(rows)}`;
  // Deaths are dated: when the clock is set back, commits from before have later dates.
  const dated = store.rows.skew < 0 || store.calls.some(({ now }, index) => now < (store.calls[index - 1]?.now ?? 0));
  const broken = (await violations(session)).filter((what) => !dated || !what.startsWith('I10'));
  return broken.length > 0 ? `violations: ${broken.join('; ')}` : null;
}

const setNow = (session: Session, now: number) =>
  session.sql(`select set_config('perdure_test.now', $1::text, false)`, String(now));

type Args<K extends keyof ModelCalls> = Parameters<ModelCalls[K]>;
type Handlers = { [K in keyof ModelCalls]: (args: Args<K>, call: ModelCall) => Promise<unknown> };

class CheckedDatabase {
  readonly #session: Session;
  /** Numbers of services and of inbox rows: of the model's, the database's. */
  readonly #services = new Map<number, number>();
  readonly #inbox = new Map<number, number>();

  constructor(session: Session) {
    this.#session = session;
  }

  async answerTo(one: ModelCall): Promise<unknown> {
    const handler = this.#handlers[one.call] as (args: readonly unknown[], call: ModelCall) => Promise<unknown>;
    try {
      return told(one.call, await handler(one.args, one));
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === undefined) throw error;
      return { error: code };
    }
  }

  readonly #handlers: Handlers = {
    register: async ([key, names], { answer }) => {
      const { workerNo, serviceNos } = await registerWorker(this.#session, SCHEMA, {
        key,
        description: 'simulated',
        leaseMs: LEASE_MS,
        schemaVersion: SCHEMA_VERSION,
        services: [
          ...names.map((name) => ({ kind: 'workflow' as const, taskQueue: QUEUE, name })),
          { kind: 'activity' as const, taskQueue: QUEUE, name: '' },
        ],
      });
      const { services } = answer as { services: number[] };
      for (const [index, no] of services.entries()) this.#services.set(no, serviceNos[index] as number);
      return { workerNo, services };
    },
    renew: ([no]) => renewLease(this.#session, SCHEMA, no, LEASE_MS),
    expireLease: async ([no]) => {
      const text = `update ${SCHEMA}.worker set lease_until = ${SCHEMA}.clock() - interval '1 s' where worker_no = $1::int`;
      await this.#session.sql(text, no);
    },
    reap: async () => void (await reapDead(this.#session)),
    start: async ([requestNo, workflowId, workflowName, args, config]) => {
      const item = startItem(workflowId, { requestNo, workflowName, args, config, taskQueue: QUEUE });
      return (await startAll(this.#session, [item]))[0]?.status;
    },
    signal: async ([requestNo, signalId, workflowId, payload, expireMs]) =>
      (await signalAll(this.#session, [{ requestNo, signalId, workflowId, payload, expireMs, chainNo: null }]))[0],
    cancel: ([id]) => cancel(this.#session, id),
    terminate: ([requestNo, id, failure, descend]) =>
      terminate(this.#session, id, { requestNo, failure: failure ?? 'null', descend }),
    hook: async ([requestNo, workflowId, workflowName, args]) => {
      const item = { requestNo, workflowId, taskQueue: QUEUE, workflowName, args, config: null, search: null };
      return (await hookAll(this.#session, [item]))[0];
    },
    pause: async ([requestNo, id]) => (await pause(this.#session, [id], requestNo))[0],
    resume: async ([requestNo, id]) => (await resume(this.#session, [id], requestNo))[0],
    tidy: async () => void (await keepHouse(this.#session)),
    descend: () => endGeneration(this.#session),
    claim: async ([workerNo, claimNo, services, wanted], { answer }) => {
      const ours = services.map((no) => this.#services.get(no) as number);
      const request = { workerNo, claimNo, services: ours, limit: 1_000, wanted };
      const { rows } = await claimThreads(this.#session, SCHEMA, request);
      const back = new Map([...this.#services].map(([model, no]) => [no, model]));
      const expected = new Map(
        Array.isArray(answer) ? (answer as ClaimedThread[]).map((row) => [row.thread_no, row]) : [],
      );
      return rows
        .map((row) => {
          const model = expected.get(row.thread_no);
          this.#learn(mailOf(model?.mail ?? null), mailOf(row.mail));
          // Numbers that are drawn at random.
          const drawn = (mine: number, given: number | null | undefined) => (given === -1 ? -1 : mine);
          return {
            ...row,
            service_no: back.get(row.service_no) as number,
            request_no: drawn(row.request_no, model?.request_no),
            last_commit_no: row.last_commit_no === null ? null : drawn(row.last_commit_no, model?.last_commit_no),
          };
        })
        .sort((a, b) => a.thread_no - b.thread_no);
    },
    commit: async ([workerNo, items], { inboxes }) => {
      for (const { threadNo } of items) {
        const rows = await this.#session.sql<{ inbox_no: number }>(
          `select inbox_no from ${SCHEMA}.inbox where thread_no = $1::bigint order by inbox_no`,
          threadNo,
        );
        const numbers = rows.map((row) => Number(row.inbox_no));
        this.#learn(inboxes?.[threadNo] ?? [], numbers);
      }
      const mapped: CommitItem[] = items.map((item) => ({
        ...item,
        consumed: item.consumed.map((no) => this.#inbox.get(no) ?? -1),
      }));
      return (await commit(this.#session, SCHEMA, workerNo, mapped)).answers;
    },
    park: async ([workerNo, threadNo, epoch, blockedOn]) =>
      (await parkThreads(this.#session, SCHEMA, workerNo, [{ threadNo, epoch, blockedOn }])).get(threadNo) ?? 'parked',
    release: async ([workerNo, threadNo, epoch]) =>
      void (await releaseThreads(this.#session, SCHEMA, workerNo, [{ threadNo, epoch }])),
    mail: async ([workerNo, known], { answer }) => {
      const mail = await fetchMail(
        this.#session,
        SCHEMA,
        workerNo,
        known.map((no) => this.#inbox.get(no) ?? -1),
      );
      const expected = answer as typeof mail;
      for (const no of new Set(mail.map(({ thread_no }) => thread_no))) {
        const of = (rows: typeof mail) => rows.filter((row) => row.thread_no === no).map((row) => row.inbox_no);
        this.#learn(of(expected), of(mail));
      }
      return mail;
    },
    owned: async ([workerNo, before]) => {
      const { threads, tasks } = await fetchOwned(this.#session, SCHEMA, workerNo, before);
      return {
        threads: threads.map(({ threadNo, epoch }) => [threadNo, epoch]),
        tasks: tasks.map(({ threadNo, op, epoch }) => [threadNo, op, epoch]),
      };
    },
    claimTasks: async ([workerNo, claimNo]) => {
      const services = [...this.#services.values()];
      const { rows } = await claimTasks(this.#session, SCHEMA, { workerNo, claimNo, services, limit: 1_000 });
      return rows.map(({ thread_no, op, epoch, losses, name, input }) => ({
        thread_no,
        op,
        epoch,
        losses,
        name,
        input,
      }));
    },
    finishTasks: async ([workerNo, outcomes]) => {
      const items = outcomes.map((outcome) => ({ ...outcome, delayMs: 0, details: null }));
      await finishTasks(this.#session, SCHEMA, workerNo, items);
    },
    queueTask: async ([workerNo, , item]) => {
      const rest = {
        taskQueue: QUEUE,
        attempt: 1,
        delayMs: 0,
        lastFailure: null,
        limits: null,
        details: null,
        outside: false,
      };
      return (await queueTasks(this.#session, SCHEMA, workerNo, [{ ...item, ...rest }])).length === 0;
    },
  };

  #learn(model: readonly number[], database: readonly number[]): void {
    for (const [index, no] of model.entries()) this.#inbox.set(no, database[index] ?? -1);
  }
}

function mailOf(mail: string | null): number[] {
  return (JSON.parse(mail ?? '[]') as [number][]).map(([no]) => no);
}

/** An answer as it can be compared: without numbers of inbox rows, in one order. */
function told(call: keyof ModelCalls, answer: unknown): unknown {
  if (answer === null || typeof answer !== 'object' || 'error' in answer) return answer ?? null;
  switch (call) {
    case 'claim':
      return (answer as (ClaimedThread & { due_in_ms?: unknown })[]).map(({ due_in_ms: _, ...row }) => ({
        ...row,
        created_ms: Math.round(row.created_ms),
        clock_ms: Math.round(row.clock_ms),
        timers: sorted(row.timers).map(([op, ms]) => [op, Math.round(ms as number)]),
        tasks: sorted(row.tasks),
        mail: (JSON.parse(row.mail ?? '[]') as unknown[][]).map(([, ...rest]) => rest),
      }));
    case 'mail':
      return (answer as { thread_no: number; kind: string; op: number | null; payload: string | null }[])
        .map(({ thread_no, kind, op, payload }) => ({ thread_no, kind, op, payload }))
        .sort((a, b) => a.thread_no - b.thread_no);
    case 'commit':
      return (answer as CommitAnswer[]).map((one) => {
        if (one.status === 'early') return { ...one, waitMs: Math.round(one.waitMs) };
        return one.status === 'done' ? { ...one, outcome: sorted(one.outcome) } : one;
      });
    case 'owned': {
      const { threads, tasks } = answer as { threads: unknown[]; tasks: unknown[] };
      return { threads: threads.map(String).sort(), tasks: tasks.map(String).sort() };
    }
    case 'claimTasks':
      return (answer as { thread_no: number; op: number }[]).sort((a, b) => a.thread_no - b.thread_no || a.op - b.op);
    default:
      return answer;
  }
}

function sorted(list: string | null): unknown[][] {
  return (JSON.parse(list ?? '[]') as unknown[][]).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

type Tables = Record<string, readonly (readonly unknown[])[]>;

/** Columns of a table, and the order of its rows. */
const COLUMNS: Record<string, readonly [columns: string, order: string]> = {
  execution: ['run_no, workflow_id, run, state, cancel_requested, paused_at is not null', 'run_no'],
  thread: ['thread_no, state, owner, epoch, paused', 'thread_no'],
  hook: ['thread_no, hook_no, state, opener_thread, opener_op', 'thread_no'],
  history: ['thread_no, seq, closes, worker_no', 'thread_no, seq'],
  inbox: ['thread_no, kind, op, payload', 'thread_no, inbox_no'],
  timer: ['thread_no, op, round(extract(epoch from due_at) * 1000)', 'thread_no, op'],
  wait: ['thread_no, op, signal_id', 'wait_no'],
  signal: ['signal_no, signal_id, chain_no, payload, returned', 'signal_no'],
  activity_task: ['thread_no, op, owner, epoch, losses, ready_at is not null', 'thread_no, op'],
  termination: ['chain_no, whole', 'chain_no'],
  'document where search is not null': ['run_no, search', 'run_no'],
  emission: ['run_no, topic', 'emission_no'],
};

async function rowsOf(session: Session): Promise<Tables> {
  const tables: Record<string, unknown[][]> = {};
  for (const [table, [columns, order]] of Object.entries(COLUMNS)) {
    const listed = `json_agg(json_build_array(${columns}) order by ${order})`;
    const rows = await session.sql<{ rows: string | null }>(`select ${listed}::text as rows from ${SCHEMA}.${table}`);
    tables[table] = JSON.parse(rows[0]?.rows ?? '[]') as unknown[][];
  }
  return tables;
}

function rowsOfModel(rows: ModelRows): Tables {
  const byNumber = <T>(map: ReadonlyMap<number, T>) => [...map].sort(([a], [b]) => a - b).map(([, value]) => value);
  const threads = byNumber(rows.threads);
  return {
    execution: byNumber(rows.runs).map((one) => [
      one.no,
      one.workflowId,
      one.run,
      one.state,
      one.cancelRequested,
      one.paused,
    ]),
    thread: threads.map(({ no, state, owner, epoch, paused }) => [no, state, owner, epoch, paused]),
    hook: byNumber(rows.hooks).map((one) => [one.thread, one.hookNo, one.state, one.openerThread, one.openerOp]),
    history: threads.flatMap(({ no, history }) => history.map(({ seq, closes, worker }) => [no, seq, closes, worker])),
    inbox: [...rows.inbox.values()]
      .sort((a, b) => a.thread - b.thread || a.no - b.no)
      .map(({ thread, kind, op, payload }) => [thread, kind, op, payload]),
    timer: threads.flatMap(({ no, timers }) =>
      [...timers].sort(([a], [b]) => a - b).map(([op, dueAt]) => [no, op, dueAt]),
    ),
    wait: byNumber(rows.waits).map(({ thread, op, signalId }) => [thread, op, signalId]),
    signal: byNumber(rows.signals).map(({ no, id, chain, payload, returned }) => [no, id, chain, payload, returned]),
    activity_task: [...rows.tasks.values()]
      .sort((a, b) => a.thread - b.thread || a.op - b.op)
      .map(({ thread, op, owner, epoch, losses, readyAt }) => [thread, op, owner, epoch, losses, readyAt !== null]),
    termination: byNumber(rows.terminations).map(({ chain, whole }) => [chain, whole]),
    'document where search is not null': byNumber(rows.runs)
      .filter(({ documents }) => documents.search !== undefined)
      .map(({ no, documents }) => [no, documents.search]),
    emission: rows.emissions.map(({ thread, topic }) => [rows.thread(thread).run, topic]),
  };
}
