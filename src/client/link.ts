/**
 * A client's way to one namespace: connections, batches, the watcher. One per database and namespace and process.
 */

import type { EntityQuery } from '../core/document-engine.js';
import { ConnectionError } from '../core/errors.js';
import type { StoredFilter } from '../core/execution-filter.js';
import type { LifecycleEvents } from '../core/lifecycle-events.js';
import type { Logger } from '../core/logger.js';
import { Batcher, LARGE_ITEM_BYTES } from '../postgres/batcher.js';
import type { CallerTransaction } from '../postgres/caller-transaction.js';
import type { ConnectionOptions, ConnectionsByRole } from '../postgres/connection.js';
import { isReadonly, openDatabase } from '../postgres/connection.js';
import type { Database, Lane, QueryOptions, Row } from '../postgres/database.js';
import { untilFree } from '../postgres/held-row.js';
import { assertMigrated, migrate } from '../postgres/migrate.js';
import { schemaName } from '../postgres/namespace.js';
import { changedRuns, LOST, type Notifier, openNotifier, type SendStarts } from '../postgres/notifications.js';
import {
  createEntityIndex,
  type FoundEntity,
  fetchSearchFields,
  findEntities,
} from '../postgres/protocol/documents.js';
import type { EmissionQuery } from '../postgres/protocol/emissions.js';
import {
  cancelWorkflow,
  type Description,
  descend,
  describeWorkflow,
  type HookAnswer,
  type HookItem,
  openHooks,
  type SignalAnswer,
  type SignalItem,
  type StartAnswer,
  type StartItem,
  sendSignals,
  startExecutions,
  terminateWorkflow,
} from '../postgres/protocol/executions.js';
import {
  type ChildChainRow,
  fetchChildren,
  fetchRecordedThreads,
  fetchThreadsToReplay,
  type HistoryPageSize,
  type RecordedEntryRow,
  type RecordedThreadRow,
  readHistories,
  type ThreadToReplayRow,
} from '../postgres/protocol/exports.js';
import {
  fetchOpenChildren,
  type PauseAnswer,
  type PauseItem,
  pauseWorkflows,
  type ResetAnswer,
  type ResetRequest,
  type ResumeAnswer,
  type ResumeItem,
  resetWorkflow,
  resumeWorkflows,
} from '../postgres/protocol/operations.js';
import { type Marked, makeDue, prune } from '../postgres/protocol/retention.js';
import { answerTask, type TaskAnswer, type TaskAnswerStatus } from '../postgres/protocol/tasks.js';
import { type HistoryRow, loadHistory } from '../postgres/protocol/threads.js';
import {
  countBacklog,
  countExecutions,
  createSearchIndex,
  explainWorkflow,
  fetchChangedRuns,
  type ListedExecution,
  listExecutions,
  type Page,
} from '../postgres/protocol/visibility.js';
import { CallerTransactions } from './caller-transactions.js';
import { EmissionReader } from './emission-reader.js';
import { ResultWatcher } from './result-watcher.js';
import type { DealWith, Subscription } from './subscription.js';

interface Entry {
  readonly database: Database;
  readonly namespace: string;
  /** Opened without making a schema. */
  readonly readonly: boolean;
  readonly opening: AbortController;
  readonly link: Promise<Link>;
  users: number;
}

const entries: Entry[] = [];
const opened = new WeakSet<Promise<Link>>();

/** Whether a link has connected: one that has not waits for the database. */
export function isOpen(link: Promise<Link>): boolean {
  return opened.has(link);
}

/** A use of the link to a namespace; the last one ends its connections. */
export interface LinkUse {
  readonly link: Promise<Link>;
  end(): Promise<void>;
}

/** The link to a namespace: clients of one process with the same connection share it. */
export function useLink(connection: ConnectionOptions | ConnectionsByRole, namespace: string, logger: Logger): LinkUse {
  const readonly = isReadonly(connection);
  const database = openDatabase(connection, { logger });
  let entry = entries.find(
    (known) => known.database === database && known.namespace === namespace && known.readonly === readonly,
  );
  if (entry === undefined) {
    const opening = new AbortController();
    const link = Link.open(database, namespace, { readonly, signal: opening.signal, logger });
    entry = { database, namespace, readonly, opening, link, users: 0 };
    entries.push(entry);
  } else {
    void database.release(); // the link holds its own use
  }
  const mine = entry;
  mine.users++;
  const forget = () => {
    const index = entries.indexOf(mine);
    if (index >= 0) entries.splice(index, 1);
  };
  // A failure is not kept: the next use connects again.
  mine.link.then(() => opened.add(mine.link), forget);
  const end = async () => {
    mine.users--;
    if (mine.users > 0) return;
    forget();
    // Has no effect once it is open.
    mine.opening.abort(new ConnectionError('the client was shut down while it connected'));
    await (await mine.link.catch(() => null))?.close();
  };
  return { link: mine.link, end };
}

/** A client gives up with `ConnectionError` when the database does not answer for this long. */
const GIVE_UP_AFTER_MS = 30_000;
/** Of a statement of the user's. */
const SEARCH_DEADLINE_MS = 60_000;
/** Of building an index over all that is stored. */
const BUILD_DEADLINE_MS = 30 * 60_000;
/** How often a client looks whether the generation that somebody else is ending has ended. */
const DESCENT_POLL_MS = 20;
const patience: QueryOptions & { giveUpAfterMs: number } = { giveUpAfterMs: GIVE_UP_AFTER_MS };

export class Link {
  readonly namespace: string;
  readonly schema: string;
  readonly #database: Database;
  readonly #notifier: Notifier;
  readonly #lanes: { start: Lane; side: Lane; read: Lane };
  readonly #starts: Batcher<StartItem, StartAnswer>;
  readonly #startsOnTerms: Batcher<StartItem, StartAnswer>;
  readonly #signals: Batcher<SignalItem, SignalAnswer>;
  readonly #hooks: Batcher<HookItem, HookAnswer>;
  readonly #pauses: Batcher<PauseItem, PauseAnswer>;
  readonly #resumes: Batcher<ResumeItem, ResumeAnswer>;
  readonly #callers: CallerTransactions;
  readonly #logger: Logger;
  readonly watcher: ResultWatcher;
  readonly #toldOfStarts = new WeakMap<StartItem, LifecycleEvents>();
  #deployed = false;
  #userQueries: Lane | null = null;
  #pageLane: Lane | null = null;
  #emissions: EmissionReader | null = null;

  private constructor(database: Database, namespace: string, logger: Logger) {
    this.namespace = namespace;
    this.schema = schemaName(namespace);
    this.#database = database;
    this.#logger = logger;
    this.#notifier = openNotifier(database, this.schema, { logger });
    const repeated = () => this.#notifier.notify(LOST);
    this.#lanes = {
      start: database.lane('client', repeated),
      side: database.lane('client side', repeated),
      read: database.lane('client read'),
    };
    const { start: main, side } = this.#lanes;
    const starts = () =>
      new Batcher<StartItem, StartAnswer>({
        main,
        side,
        bytes: (item) => 200 + item.args.length + (item.search?.length ?? 0) + (item.terms?.length ?? 0),
        asideBytes: LARGE_ITEM_BYTES,
        send: (lane, items) => this.#sendStarts(lane, items),
      });
    this.#starts = starts();
    this.#startsOnTerms = starts();
    this.#signals = new Batcher({
      main,
      side,
      bytes: (item) => 100 + (item.payload?.length ?? 0),
      send: async (lane, items) => this.#told(await sendSignals(lane, this.schema, items, patience)),
    });
    this.#hooks = new Batcher({
      main,
      side,
      bytes: (item) => 150 + item.args.length + (item.search?.length ?? 0),
      send: async (lane, items) => this.#told(await openHooks(lane, this.schema, items, patience)),
    });
    this.#pauses = new Batcher({
      main: side,
      side,
      bytes: (item) => 50 + (item.reason?.length ?? 0),
      send: async (lane, items) => this.#told(await pauseWorkflows(lane, this.schema, items, patience)),
    });
    this.#resumes = new Batcher({
      main: side,
      side,
      bytes: () => 50,
      send: async (lane, items) => this.#told(await resumeWorkflows(lane, this.schema, items, patience)),
    });
    this.#callers = new CallerTransactions({ kind: database.kind, schema: this.schema, lane: side, patience });
    this.watcher = new ResultWatcher(this.#lanes.read, this.schema, this.#notifier);
  }

  /** Takes over the caller's use of the database. */
  static async open(
    database: Database,
    namespace: string,
    { readonly, signal, logger }: { readonly readonly: boolean; readonly signal: AbortSignal; readonly logger: Logger },
  ): Promise<Link> {
    let deployed = false;
    try {
      const given = { giveUpAfterMs: GIVE_UP_AFTER_MS, signal };
      if (readonly) await assertMigrated(database, namespace, given);
      else deployed = await migrate(database, namespace, given);
    } catch (error) {
      await database.release();
      throw error;
    }
    const link = new Link(database, namespace, logger);
    link.#deployed = deployed;
    await link.#callers.prepare();
    return link;
  }

  /** Whether opening it made or upgraded the schema; told once. */
  takeDeployed(): boolean {
    const deployed = this.#deployed;
    this.#deployed = false;
    return deployed;
  }

  #sendStarts(lane: Lane, items: readonly StartItem[]): Promise<StartAnswer[]> {
    const send: SendStarts = async (here) => {
      const { answers, hints } = await startExecutions(lane, this.schema, items, patience, here);
      this.#tell(hints);
      if (items.some((item) => this.#toldOfStarts.has(item))) {
        const started = new Map(items.map((item) => [item.workflowId, item]));
        await this.#tellChanges(hints, (id) => this.#toldOfStarts.get(started.get(id) as StartItem) ?? null);
      }
      return answers;
    };
    return this.#notifier.startsHere?.start(items, send) ?? send(null);
  }

  /**
   * Starts on terms go out apart: one among them would send a whole batch the longer way.
   * @param transaction Of the user's, to be part of.
   * @param events Who is told of a run that had to make room; nobody is where the transaction is the user's.
   */
  start(item: StartItem, events: LifecycleEvents | null, transaction?: CallerTransaction): Promise<StartAnswer> {
    if (transaction !== undefined) return this.#callers.start(item, transaction);
    if (events !== null && item.terms !== null) this.#toldOfStarts.set(item, events);
    return (item.terms === null ? this.#starts : this.#startsOnTerms).submit(item);
  }

  signal(item: SignalItem, transaction?: CallerTransaction): Promise<SignalAnswer> {
    return transaction === undefined ? this.#signals.submit(item) : this.#callers.signal(item, transaction);
  }

  hook(item: HookItem): Promise<HookAnswer> {
    return this.#hooks.submit(item);
  }

  pause(item: PauseItem): Promise<PauseAnswer> {
    return this.#pauses.submit(item);
  }

  resume(item: ResumeItem): Promise<ResumeAnswer> {
    return this.#resumes.submit(item);
  }

  /** The whole history of a thread. */
  history(threadNo: number): Promise<HistoryRow[]> {
    return loadHistory(this.#lanes.read, this.schema, threadNo);
  }

  /** @param events Who is told of runs that this ends and begins. */
  async reset(request: ResetRequest, events: LifecycleEvents | null): Promise<ResetAnswer> {
    return await this.#beside((lane) => resetWorkflow(lane, this.schema, request, patience), events);
  }

  openChildren(workflowIds: readonly string[]): Promise<string[]> {
    return fetchOpenChildren(this.#lanes.read, this.schema, workflowIds, patience);
  }

  async cancel(workflowId: string, chainNo: number | null, transaction?: CallerTransaction): Promise<boolean> {
    if (transaction !== undefined) return this.#callers.cancel(workflowId, chainNo, transaction);
    const send = (lane: Lane) => cancelWorkflow(lane, this.schema, workflowId, chainNo, patience);
    return (await this.#beside(send)).found;
  }

  /** @param events Who is told that it has ended. */
  async terminate(request: Parameters<typeof terminateWorkflow>[2], events: LifecycleEvents | null) {
    return (await this.#beside((lane) => terminateWorkflow(lane, this.schema, request, patience), events)).status;
  }

  async answerTask(answer: TaskAnswer): Promise<TaskAnswerStatus> {
    return (await this.#beside((lane) => answerTask(lane, this.schema, answer, patience))).status;
  }

  /** Ends the descendants of terminated runs, with whoever else is at it. Resolves when none are left. */
  async descend(events: LifecycleEvents | null): Promise<void> {
    for (;;) {
      const { worked, more } = await this.#beside((lane) => descend(lane, this.schema, patience), events);
      if (!more) return;
      if (!worked) await new Promise((resolve) => setTimeout(resolve, DESCENT_POLL_MS));
    }
  }

  /**
   * Makes due, and prunes, what ended more than `olderS` seconds ago; what is archived first is left to workers.
   * @returns how many executions.
   */
  async prune(olderS: number, dryRun: boolean): Promise<number> {
    const { side } = this.#lanes;
    let ended = 0;
    for (let afterRun: number | null = 0; afterRun !== null; ) {
      const request: Parameters<typeof makeDue>[2] = { afterRun, olderS, dryRun };
      const page: Marked = await untilFree(() => makeDue(side, this.schema, request, patience), GIVE_UP_AFTER_MS);
      ended += page.ended;
      afterRun = page.lastRun;
    }
    if (dryRun) return ended;
    this.#tell('p');
    for (let more = true; more; )
      ({ more } = await untilFree(() => prune(side, this.schema, patience), GIVE_UP_AFTER_MS));
    return ended;
  }

  describe(workflowId: string, chainNo: number | null): Promise<Description | null> {
    return describeWorkflow(this.#lanes.read, this.schema, workflowId, chainNo, patience);
  }

  subscribe(interest: Omit<EmissionQuery, 'after'>, from: number | null, dealWith: DealWith): Promise<Subscription> {
    this.#emissions ??= new EmissionReader(this.#pages, this.schema, this.#notifier);
    return this.#emissions.subscribe(interest, from, dealWith, patience);
  }

  recordedThreads(runNo: number): Promise<RecordedThreadRow[]> {
    return fetchRecordedThreads(this.#pages, this.schema, runNo, patience);
  }

  threadsToReplay(runs: readonly number[]): Promise<ThreadToReplayRow[]> {
    return fetchThreadsToReplay(this.#pages, this.schema, runs, patience);
  }

  readHistories(
    from: readonly { readonly threadNo: number; readonly seq: number }[],
    page: HistoryPageSize,
  ): Promise<RecordedEntryRow[]> {
    return readHistories(this.#pages, this.schema, from, page, patience);
  }

  childrenOf(chainNo: number, workflowIds: readonly string[]): Promise<ChildChainRow[]> {
    return fetchChildren(this.#pages, this.schema, chainNo, workflowIds, patience);
  }

  /** A connection of its own, made when it is needed: a page of events or of a history must not hold up a result. */
  get #pages(): Lane {
    this.#pageLane ??= this.#database.lane('client pages');
    return this.#pageLane;
  }

  searchFields(workflowId: string, chainNo: number | null): Promise<Record<string, string> | null> {
    return fetchSearchFields(this.#lanes.read, this.schema, workflowId, chainNo, patience);
  }

  explain(workflowId: string, chainNo: number | null): Promise<string | null> {
    return explainWorkflow(this.#lanes.read, this.schema, workflowId, chainNo, patience);
  }

  /** How much waits on a task queue; `limit` stands for more. */
  backlog(taskQueue: string, limit: number): Promise<number> {
    return countBacklog(this.#lanes.read, this.schema, taskQueue, limit, patience);
  }

  /** On a connection of its own: it may take long, and what it asks is the user's. */
  async readOnly(text: string, values: readonly unknown[]): Promise<Row[]> {
    this.#userQueries ??= this.#database.lane('client search');
    return await this.#userQueries.readOnly(text, values, {
      deadlineMs: SEARCH_DEADLINE_MS,
      giveUpAfterMs: SEARCH_DEADLINE_MS,
    });
  }

  listExecutions(filter: StoredFilter, page: Page): Promise<ListedExecution[]> {
    return listExecutions(this.#lanes.read, this.schema, filter, page, patience);
  }

  countExecutions(filter: StoredFilter): Promise<number> {
    return countExecutions(this.#lanes.read, this.schema, filter, patience);
  }

  findEntities(query: EntityQuery): Promise<FoundEntity[]> {
    return findEntities(this.#lanes.read, this.schema, query, patience);
  }

  createEntityIndex(field: string): Promise<void> {
    return this.#building((lane, options) => createEntityIndex(lane, this.schema, field, options));
  }

  createSearchIndex(field: string): Promise<void> {
    return this.#building((lane, options) => createSearchIndex(lane, this.schema, field, options));
  }

  /** On a connection of its own, since it takes as long as there is much: a second for each 200,000 documents. */
  async #building(build: (lane: Lane, options: QueryOptions) => Promise<void>): Promise<void> {
    const lane = this.#database.lane('client index');
    try {
      await untilFree(
        () => build(lane, { deadlineMs: BUILD_DEADLINE_MS, giveUpAfterMs: BUILD_DEADLINE_MS }),
        GIVE_UP_AFTER_MS,
      );
    } finally {
      await lane.close();
    }
  }

  async close(): Promise<void> {
    this.watcher.close();
    this.#emissions?.close();
    await this.#notifier.close();
    const further = [this.#pageLane, this.#userQueries].filter((lane) => lane !== null);
    const lanes = [...Object.values(this.#lanes), ...further];
    await Promise.all(lanes.map((lane) => lane.close()));
    await this.#database.release();
  }

  /** A call of its own on the side lane, sent again while it meets a held row; its hints are passed on. */
  async #beside<A extends { readonly hints: string | null }>(
    send: (lane: Lane) => Promise<A>,
    events: LifecycleEvents | null = null,
  ): Promise<A> {
    const answer = await untilFree(() => send(this.#lanes.side), GIVE_UP_AFTER_MS);
    this.#tell(answer.hints);
    if (events !== null) await this.#tellChanges(answer.hints, () => events);
    return answer;
  }

  /** Tells of runs that a call ended or began, as its answer names them. What goes wrong is logged: the call was made. */
  async #tellChanges(hints: string | null, eventsOf: (workflowId: string) => LifecycleEvents | null): Promise<void> {
    const { runs } = changedRuns(hints);
    if (runs.length === 0) return;
    try {
      for (const run of await fetchChangedRuns(this.#lanes.read, this.schema, runs, patience))
        eventsOf(run.workflowId)?.workflow(run.verb, run);
    } catch (err) {
      this.#logger.warn({ namespace: this.namespace, err }, 'lifecycle events could not be told');
    }
  }

  #told<A>({ answers, hints }: { answers: A[]; hints: string | null }): A[] {
    this.#tell(hints);
    return answers;
  }

  #tell(hints: string | null): void {
    for (const hint of changedRuns(hints).hints) this.#notifier.notify(hint);
  }
}
