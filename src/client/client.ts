import * as v from 'valibot';
import { encodeArguments, encodePayload } from '../codec/payload.js';
import { Seal } from '../codec/payload-codec.js';
import { DuplicateJobError, InvalidArgumentError, SignalQuotaError } from '../core/errors.js';
import { type HookOptions, hookFields, hookFunction, hookRefused } from '../core/hook-options.js';
import {
  checkSignalId,
  checkTaskQueue,
  checkWorkflowId,
  checkWorkflowName,
  guid,
  newWorkflowId,
} from '../core/identifier.js';
import { type EventsConfig, eventsOption, LifecycleEvents } from '../core/lifecycle-events.js';
import type { Logger } from '../core/logger.js';
import { nameOfError } from '../core/name-of-error.js';
import { identifier, parseOptions, wholeNumber } from '../core/options.js';
import { type RetryOptions, resolveRetryPolicy } from '../core/retry-policy.js';
import { searchTexts } from '../core/search-fields.js';
import { shownValue } from '../core/shown-value.js';
import type { StoredTerms } from '../core/start-terms.js';
import type { WorkflowResult } from '../core/workflow-types.js';
import type { CallerTransaction } from '../postgres/caller-transaction.js';
import {
  assertReachable,
  type ConnectionOptions,
  type ConnectionsByRole,
  codecOf,
  isReadonly,
  watchConnection,
} from '../postgres/connection.js';
import { SCHEMA_VERSION } from '../postgres/migrate.js';
import { schemaName } from '../postgres/namespace.js';
import { randomNumber } from '../postgres/protocol/commit.js';
import type { StartAnswer, StartItem } from '../postgres/protocol/executions.js';
import { givenTrace } from '../telemetry/carrier.js';
import { logLevel, resolveLogger } from '../telemetry/logger.js';
import { beginStart, startAttributes } from '../telemetry/spans.js';
import { ActivityCompletion } from './activity-completion.js';
import { Backlog, type BacklogLimit, type CountWaiting } from './backlog.js';
import { bulkCalls } from './bulk.js';
import { transactionOf } from './caller-transactions.js';
import { defaultExpireS } from './default-expire.js';
import { Engine } from './engine.js';
import { WorkflowHandle } from './handle.js';
import { isOpen, type Link, type LinkUse, useLink } from './link.js';
import { type PruneOptions, prune } from './prune.js';
import { resolveSignalOptions, type SignalOptions } from './signal-options.js';
import {
  type GivenStart,
  resolveSignalWithStart,
  resolveStart,
  type SignalWithStartOptions,
  type StartOptions,
} from './start-options.js';
import { type SubscribeOptions, subscribe } from './subscribe.js';
import type { EmissionCallback, Subscription } from './subscription.js';
import { visibilityCalls } from './visibility.js';

/** Options of `client.workflow.hook`. */
export interface ClientHookOptions extends HookOptions {
  readonly workflowId: string;
}

const hookShape = v.strictObject({ ...hookFields, workflowId: identifier });

export interface ClientOptions {
  /** How to reach the database: `{ class, options }` with `pg`'s Client or Pool, or PGlite. */
  readonly connection: ConnectionOptions | ConnectionsByRole;
  /** Default of the calls. Default `'durable'`. */
  readonly namespace?: string;
  /** Where it tells of connections that are lost and found: pino, or alike. Default: lines on stderr. */
  readonly logger?: Logger;
  /** Is told of the namespaces it reaches, and of workflows it terminates: see docs/lifecycle-events.md. */
  readonly events?: EventsConfig;
  readonly options?: {
    /** As that of workers: `silent`, `error`, `warn`, `info`, `debug`, `trace`. */
    readonly logLevel?: string;
    /**
     * So much may wait on a task queue (workflows that may go on, and tasks of activities) before its workflows are not started
     * any more: see `onFull`. Counted at most every 250 ms; a start in a `transaction` of yours is not held up. Default: no limit.
     */
    readonly maxBacklog?: number;
    /**
     * What `start` and `signalWithStart` do then: `'reject'` throws a QueueFullError at once, `'wait'` waits for room, for at
     * most 30 s. Default `'reject'`.
     */
    readonly onFull?: 'reject' | 'wait';
  };
}

const clientShape = v.strictObject({
  connection: v.unknown(),
  namespace: v.optional(v.string('text')),
  events: v.optional(eventsOption),
  logger: v.optional(v.unknown()),
  options: v.optional(
    v.strictObject({
      logLevel: v.optional(logLevel),
      maxBacklog: v.optional(wholeNumber(1, 1_000_000)),
      onFull: v.optional(v.picklist(['reject', 'wait'], "'reject' or 'wait'")),
    }),
  ),
});

const open = new Set<Client>();

/**
 * Starts and reaches workflows. Making one does no I/O; the first call connects, and makes or upgrades the schema.
 *
 * @example
 * const client = new Durable.Client({ connection: { class: Pool, options: { connectionString } } });
 * const handle = await client.workflow.start({ taskQueue: 'orders', workflowName: 'order', args: ['o-1'] });
 * const receipt = await handle.result();
 */
export class Client {
  readonly connection: ClientOptions['connection'];
  readonly #namespace: string;
  readonly #logger: Logger;
  readonly #seal: Seal;
  readonly #links = new Map<string, LinkUse>();
  /** Null: whatever waits, more is started. */
  readonly #limit: BacklogLimit | null;
  readonly #backlogs = new Map<string, Backlog>();
  /** What the user gave, also to be read. */
  readonly events: EventsConfig | undefined;
  readonly #guid = guid();
  /** Of starts that do not say. */
  readonly #expireS = defaultExpireS('Client');

  constructor(options: ClientOptions) {
    const given = parseOptions('Client', clientShape, options);
    if (given.connection === undefined)
      throw new InvalidArgumentError('Client: connection must be { class, options }; got nothing');
    this.connection = options.connection;
    this.events = options.events;
    this.#logger = resolveLogger('Client', given.logger, given.options?.logLevel);
    this.#seal = new Seal(codecOf(options.connection));
    const { maxBacklog, onFull = 'reject' } = given.options ?? {};
    this.#limit = maxBacklog === undefined ? null : { maxBacklog, onFull };
    watchConnection(options.connection);
    this.activity = new ActivityCompletion((namespace) => this.#link(namespace), this.#seal);
    this.#namespace = given.namespace ?? 'durable';
    schemaName(this.#namespace);
    open.add(this);
  }

  /** Answers activities from outside, by their task tokens. */
  readonly activity: ActivityCompletion;

  readonly workflow = {
    /**
     * Starts a workflow, or reserves its id (`pending`). Resolves once it is durable; a worker need not be there yet.
     * Many calls at once go out together.
     *
     * `start<typeof order>({ ... })` checks `args` by the function, and the handle's `result()` is its own.
     *
     * With `transaction` it is part of your own: durable when that commits, and so is what the handle is good for. An error
     * leaves your transaction as it was.
     *
     * @returns A handle of the workflow that was started, or of the one that runs (`workflowIdConflictPolicy: 'USE_EXISTING'`);
     *   bound to it, also when the id later carries another.
     * @throws {DuplicateJobError} when the id is taken, as far as the policies do not allow it: by a workflow that runs
     *   (`workflowIdConflictPolicy`) or has ended (`workflowIdReusePolicy`).
     * @throws {IsolationLevelError}, {TransactionError} when it cannot be part of `transaction`.
     * @throws {QueueFullError} (429) when as much waits on the task queue as `maxBacklog` of the client allows.
     * @throws {InvalidArgumentError}, {PayloadError}, {PayloadTooLargeError} before anything is sent.
     * @throws {ConnectionError} when the database did not answer for 30 s; the start may have happened.
     */
    start: <W = unknown>(options: StartOptions<W>): Promise<WorkflowHandle<WorkflowResult<W>>> =>
      this.#start(options as StartOptions),

    /**
     * Starts a workflow, or finds the one that runs under the id, and sends it a signal: in one transaction, so there is no
     * moment in which it has ended in between, and no two callers start it twice.
     *
     * @returns A handle of the workflow that got the signal.
     * @throws what `start` throws; {SignalQuotaError} (429) when as many signals are kept for it as may be; {DuplicateJobError} only
     *   where `workflowIdReusePolicy` forbids a new one. Then nothing is sent.
     *
     * @example
     * await client.workflow.signalWithStart({
     *   workflowId: `cart-${user}`, taskQueue: 'shop', workflowName: 'cart', args: [user],
     *   signalId: `cart-${user}-add`, data: { item: 'book' },
     * });
     */
    signalWithStart: <W = unknown>(options: SignalWithStartOptions<W>): Promise<WorkflowHandle<WorkflowResult<W>>> =>
      this.#signalWithStart(options as SignalWithStartOptions),

    /**
     * Sends a signal to whoever has waited longest for the id in the namespace; exactly one receives it. Kept for the
     * first waiter when nobody waits.
     *
     * @param options How long it is kept (default 10 minutes), or {@link SignalOptions}: in a transaction of yours it is sent
     *   with its commit.
     * @returns `'delivered'` or `'buffered'`.
     * @throws {SignalQuotaError} (429) when as many are kept under the id as may be: see docs/overload.md.
     * @throws {IsolationLevelError}, {TransactionError} when it cannot be part of `transaction`.
     */
    signal: (
      signalId: string,
      data?: unknown,
      namespace?: string,
      options?: string | number | SignalOptions,
    ): Promise<'delivered' | 'buffered'> => this.#signal(signalId, data, namespace, options),

    /**
     * Calls `callback` with events that workflows emit (`Durable.workflow.emit`): those of one workflow in the order in which
     * it emitted them, one after the other, the next when the callback's promise has resolved.
     *
     * Resolves once everything emitted from now on will be delivered. Each event is delivered at least once: keep
     * `position` with what you make of the events, and begin `from` there in the next process. Lost connections are made again,
     * and nothing is lost meanwhile.
     *
     * @throws {InvalidArgumentError} for options it does not know, or a position that was never given here.
     * @throws {ConnectionError} when the database did not answer for 30 s.
     *
     * @example
     * const subscription = await client.workflow.subscribe({ topic: 'order.packed', from: stored }, async (event) => {
     *   await show(event.workflowId, event.data);
     *   stored = event.position;
     * });
     * subscription.unsubscribe();
     */
    subscribe: (options: SubscribeOptions, callback: EmissionCallback): Promise<Subscription> =>
      subscribe((namespace) => this.#link(namespace), options, callback, this.#seal),

    /**
     * Opens a hook in a workflow: runs another function inside it, beside its main function, on whichever worker serves it.
     * Resolves once it is durable, with `search.data` written; repeated safely by the engine when an answer is lost.
     *
     * @returns An id of the hook, unique in the namespace.
     * @throws {GetStateError} (404) when the workflow is unknown, {InactiveJobError} when it has ended, {HookRefusedError}
     *   when it takes none: started with `signalIn: false`, or reserved only.
     * @throws {InvalidArgumentError}, {PayloadError}, {PayloadTooLargeError} before anything is sent.
     */
    hook: (options: ClientHookOptions): Promise<string> => this.#hook(options),

    ...visibilityCalls((namespace) => this.#link(namespace)),

    /**
     * `pause`, `resume`, `cancel`, `terminate`, `reset` and `retry` for all workflows that a filter selects, with a dry run. See
     * {@link BulkOptions}.
     */
    bulk: bulkCalls({
      reach: (namespace) => this.#link(namespace),
      seal: () => this.#seal,
      events: (namespace) => this.#eventsOf(namespace),
    }),

    /** A handle of a workflow by its id, typed by its function as that of `start`. Does not check that it exists. */
    getHandle: async <W = unknown>(
      taskQueue: string,
      workflowName: string,
      workflowId: string,
      namespace?: string,
    ): Promise<WorkflowHandle<WorkflowResult<W>>> => {
      checkTaskQueue('getHandle', taskQueue);
      checkWorkflowName('getHandle', workflowName);
      checkWorkflowId('getHandle', workflowId);
      return this.#handle(this.#link(namespace), namespace, workflowId, `${taskQueue}-${workflowName}`, null);
    },
  };

  async #start<R>(options: StartOptions): Promise<WorkflowHandle<R>> {
    const { given, terms } = resolveStart(options);
    return await this.#begin('start', given, terms);
  }

  async #signalWithStart<R>(options: SignalWithStartOptions): Promise<WorkflowHandle<R>> {
    const { given, terms } = resolveSignalWithStart(options, this.#seal);
    return await this.#begin('signalWithStart', given, terms);
  }

  /** Starts what was asked for, on its terms. */
  async #begin<R>(call: string, given: GivenStart, terms: StoredTerms | null): Promise<WorkflowHandle<R>> {
    const taskQueue = given.taskQueue ?? given.entity;
    if (taskQueue === undefined)
      throw new InvalidArgumentError(`${call}: taskQueue must be given (or entity, which then is queue and name)`);
    const workflowName = given.taskQueue === undefined ? given.entity : (given.workflowName ?? given.entity);
    if (workflowName === undefined)
      throw new InvalidArgumentError(
        `${call}: workflowName must be given: the name of the function that a worker serves`,
      );
    const config =
      given.config === undefined ? null : resolveRetryPolicy(call, given.config as RetryOptions, undefined, 'config');
    const workflowId = given.workflowId || newWorkflowId();
    const continued = givenTrace(call, given);
    const transaction = transactionOf(call, given.transaction);
    const link = this.#link(given.namespace, transaction);
    const traced = beginStart(
      `WORKFLOW/START/${workflowName}`,
      startAttributes(workflowId, workflowName, taskQueue),
      continued,
    );
    const item = {
      requestNo: randomNumber(),
      workflowId,
      taskQueue,
      workflowName,
      args: this.#seal.seal(encodeArguments(given.args, call)),
      config: config === null ? null : JSON.stringify(config),
      expireS: given.expire ?? this.#expireS,
      signalIn: given.signalIn ?? true,
      terms: terms === null ? null : JSON.stringify(terms),
      entity: given.entity ?? null,
      search: given.search === undefined ? null : JSON.stringify(searchTexts(call, given.search.data)),
      parentWorkflowId: given.parentWorkflowId ?? null,
      originId: given.originJobId ?? null,
      trace: traced?.trace ?? continued,
    };
    const started =
      this.#limit === null || transaction !== undefined
        ? link.then((open) => open.start(item, this.#eventsOf(open.namespace), transaction))
        : this.#startWithin(this.#limit, link, item, given.namespace);
    const answer = await started.catch((error: unknown) => {
      traced?.end(nameOfError(error));
      throw error;
    });
    traced?.end(answer.status === 'duplicate' ? 'DuplicateJobError' : undefined);
    if (answer.status === 'duplicate') throw new DuplicateJobError(workflowId);
    return this.#handle(link, given.namespace, workflowId, `${taskQueue}-${workflowName}`, answer.runNo);
  }

  /** @throws {QueueFullError} */
  async #startWithin(
    limit: BacklogLimit,
    link: Promise<Link>,
    item: StartItem,
    namespace = this.#namespace,
  ): Promise<StartAnswer> {
    let backlog = this.#backlogs.get(namespace);
    if (backlog === undefined) {
      const count: CountWaiting = async (queue, most) => (await this.#link(namespace)).backlog(queue, most);
      backlog = new Backlog(limit, count);
      this.#backlogs.set(namespace, backlog);
    }
    const answered = await backlog.admit(item.taskQueue);
    try {
      return await (await link).start(item, this.#eventsOf(namespace));
    } finally {
      answered();
    }
  }

  async #hook(options: ClientHookOptions): Promise<string> {
    const given = parseOptions('hook', hookShape, options);
    const { taskQueue, workflowName } = hookFunction(given);
    if (taskQueue === undefined)
      throw new InvalidArgumentError('hook: taskQueue must be given (or entity, which then is queue and name)');
    if (workflowName === undefined)
      throw new InvalidArgumentError('hook: workflowName must be given: the name of the function that a worker serves');
    const config =
      given.config === undefined
        ? null
        : JSON.stringify(resolveRetryPolicy('hook', given.config as RetryOptions, undefined, 'config'));
    const args = this.#seal.seal(encodeArguments(given.args, 'hook'));
    const search = given.search === undefined ? null : JSON.stringify(searchTexts('hook', given.search.data));
    const { workflowId } = given;
    const link = await this.#link(given.namespace);
    const item = { requestNo: randomNumber(), workflowId, taskQueue, workflowName, args, config, search };
    const answer = await link.hook(item);
    if (answer.status === 'unhooked') throw hookRefused(workflowId, answer.reason);
    return answer.id;
  }

  async #signal(
    signalId: string,
    data: unknown,
    namespace?: string,
    options?: string | number | SignalOptions,
  ): Promise<'delivered' | 'buffered'> {
    checkSignalId('signal', signalId);
    const payload = this.#seal.seal(encodePayload(data, 'data'));
    const { expireMs, transaction } = resolveSignalOptions(options);
    const link = await this.#link(namespace, transaction);
    const item = { requestNo: randomNumber(), signalId, workflowId: null, chainNo: null, payload, expireMs };
    const answer = await link.signal(item, transaction);
    if (answer === 'full') throw new SignalQuotaError(signalId);
    return answer as 'delivered' | 'buffered';
  }

  /**
   * Makes the schema of a namespace, or upgrades it, ahead of the first use, which does the same. Repeatable.
   *
   * @param version Kept for programs that give one. It must be a number; the schema is always that of this library or newer.
   * @throws {InvalidArgumentError} `Invalid version number`; for a readonly client.
   * @throws {SchemaVersionError} when the schema needs a newer library.
   * @throws {ConnectionError} when the database did not answer for 30 s.
   */
  async deployAndActivate(namespace = this.#namespace, version: string | number = SCHEMA_VERSION): Promise<void> {
    if ((typeof version !== 'string' && typeof version !== 'number') || !/^\d+(\.\d+)?$/.test(String(version)))
      throw new InvalidArgumentError(`deployAndActivate: Invalid version number ${shownValue(version)}`);
    if (isReadonly(this.connection))
      throw new InvalidArgumentError(
        'deployAndActivate: the connection must not be readonly; such a client makes no schema',
      );
    await this.#link(namespace);
  }

  /**
   * Prunes now what ended more than `olderThan` ago, however long it was to be kept: executions that are kept for ever
   * (`expire: 0`) too, but none that ended less than ten minutes ago. Workers prune by themselves what is due; this is for
   * administrators. Reads all executions of the namespace. May be repeated.
   *
   * With `dryRun` nothing happens. Where executions are archived first (`archive` of workers), the workers do it, soon.
   *
   * @returns how many executions that are, or would be.
   * @throws {InvalidArgumentError} for options it does not know.
   *
   * @example
   * const { executions } = await client.prune({ olderThan: '30 days', dryRun: true });
   */
  async prune(options: PruneOptions): Promise<{ readonly executions: number }> {
    return await prune((namespace) => this.#link(namespace), options);
  }

  /**
   * The engine of a namespace, for the static finders of `Search` and `Entity` and for programs written for HotMesh. Connects.
   *
   * @param _taskQueue Kept for programs that give one; null otherwise. It has no effect.
   */
  async getHotMeshClient(_taskQueue: string | null = null, namespace = this.#namespace): Promise<Engine> {
    await this.#link(namespace);
    return this.engine(namespace);
  }

  /** @internal Connects when it is used. */
  engine(namespace: string): Engine {
    return this.#engine(namespace, () => this.#link(namespace));
  }

  #engine(namespace: string, reach: () => Promise<Link>): Engine {
    return new Engine(namespace, {
      reach,
      subscribe: (options, callback) => this.workflow.subscribe({ ...options, namespace }, callback),
      signal: (signalId, data) => this.#signal(signalId, data, namespace),
      handle: (workflowId) => this.#handle(reach(), namespace, workflowId, '', null),
    });
  }

  #handle(
    link: Promise<Link>,
    namespace: string | undefined,
    workflowId: string,
    topic: string,
    chainNo: number | null,
  ): WorkflowHandle {
    const reach = (transaction?: CallerTransaction) => {
      this.#assertReachable(link, transaction);
      return link;
    };
    const engine = () => this.#engine(namespace ?? this.#namespace, reach);
    const events = () => this.#eventsOf(namespace ?? this.#namespace);
    return new WorkflowHandle({ reach, engine, events }, workflowId, topic, chainNo, this.#seal);
  }

  /**
   * Connects on first use; a failure is not kept.
   * @throws {InsideTransactionError}
   */
  #link(namespace = this.#namespace, transaction?: CallerTransaction): Promise<Link> {
    const known = this.#links.get(namespace);
    this.#assertReachable(known?.link, transaction);
    if (known !== undefined) return known.link;
    schemaName(namespace);
    open.add(this);
    const use = useLink(this.connection, namespace, this.#logger);
    this.#links.set(namespace, use);
    use.link.catch(() => this.#links.delete(namespace));
    if (this.events !== undefined) void use.link.then((link) => this.#tellReached(link)).catch(() => {});
    return use.link;
  }

  #tellReached(link: Link): void {
    const events = this.#eventsOf(link.namespace);
    if (link.takeDeployed()) events?.engine('deployed', this.#guid);
    events?.engine('started', this.#guid);
  }

  #eventsOf(namespace: string): LifecycleEvents | null {
    return this.events === undefined ? null : new LifecycleEvents(this.events, namespace, this.#logger);
  }

  /** A call that is part of the transaction it is made in waits for nothing else, once the link is open. */
  #assertReachable(link: Promise<Link> | undefined, transaction: CallerTransaction | undefined): void {
    if (transaction === undefined || link === undefined || !isOpen(link)) assertReachable(this.connection);
  }

  /** Ends this client's connections. Calls made later connect again. */
  async close(): Promise<void> {
    open.delete(this);
    const links = [...this.#links];
    this.#links.clear();
    await Promise.all(
      links.map(async ([namespace, use]) => {
        await use.end();
        if (isOpen(use.link)) this.#eventsOf(namespace)?.engine('stopped', this.#guid);
      }),
    );
  }

  /** Ends the connections of all clients of this process. */
  static async shutdown(): Promise<void> {
    await Promise.all([...open].map((client) => client.close()));
  }
}
