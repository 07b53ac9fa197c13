import { performance } from 'node:perf_hooks';
import * as v from 'valibot';
import { decodeFailure, encodeFailure } from '../codec/failure-text.js';
import { decodePayload, encodePayload } from '../codec/payload.js';
import type { Seal } from '../codec/payload-codec.js';
import { GetStateError, InactiveJobError, SignalQuotaError } from '../core/errors.js';
import type { ExecutionHistory } from '../core/execution-history.js';
import type { Explanation } from '../core/explanation.js';
import { errorFromFailure } from '../core/failure.js';
import { checkSignalId } from '../core/identifier.js';
import type { LifecycleEvents } from '../core/lifecycle-events.js';
import { flag, parseOptions } from '../core/options.js';
import { refusal } from '../core/refusal.js';
import { storedField } from '../core/search-fields.js';
import { resolveTermination, type TerminateOptions, terminationError } from '../core/termination.js';
import type { CallerTransaction } from '../postgres/caller-transaction.js';
import { randomNumber } from '../postgres/protocol/commit.js';
import type { Description, ResultRow } from '../postgres/protocol/executions.js';
import { transactionOf, transactionOption } from './caller-transactions.js';
import type { Engine } from './engine.js';
import { readExplanation } from './explain.js';
import type {
  DurableJobExport,
  ExecutionExportOptions,
  ExportOptions,
  WorkflowExecution,
  WorkflowExecutionEvent,
} from './export-types.js';
import { type Exported, Exporter } from './exporter.js';
import type { Link } from './link.js';
import { type PauseOptions, pauseWorkflow, type ResumeOptions, resumeWorkflow } from './pause.js';
import {
  type ResetOptions,
  type ResetResult,
  type ResetTarget,
  type RetryWorkflowOptions,
  resetRun,
  retryRun,
} from './reset.js';
import { resolveSignalOptions, type SignalOptions } from './signal-options.js';
import { metadataOf, stateOf, statusOf, type WorkflowState, type WorkflowStateMetadata } from './state.js';

/** Asked for at once behind its start, a result would hardly be there; its end is heard of. */
const FRESH_MS = 1_000;

const resultOptions = v.strictObject({ state: v.optional(flag), throwOnError: v.optional(flag) });
const cancelOptions = v.strictObject({ transaction: transactionOption });

/** What a handle asks of the client it is from. */
export interface HandlePort {
  /** @param transaction What the call is part of. */
  reach(transaction?: CallerTransaction): Promise<Link>;
  engine(): Engine;
  /** Who is told of what the handle did; null: nobody. */
  events(): LifecycleEvents | null;
}

/**
 * A workflow as its caller sees it. One from `start` follows the chain of runs it started (continueAsNew); one from
 * `getHandle` whatever carries the id when it is asked. `R` is the type of its result, as far as its caller said so.
 */
export class WorkflowHandle<R = unknown> {
  readonly workflowId: string;
  readonly workflowTopic: string;
  readonly #port: HandlePort;
  readonly #chainNo: number | null;
  readonly #seal: Seal;
  readonly #startedAt: number;

  /** @internal `chainNo`: of the run that was just started. */
  constructor(port: HandlePort, workflowId: string, workflowTopic: string, chainNo: number | null, seal: Seal) {
    this.#port = port;
    this.workflowId = workflowId;
    this.workflowTopic = workflowTopic;
    this.#chainNo = chainNo;
    this.#seal = seal;
    this.#startedAt = chainNo === null ? -Infinity : performance.now();
  }

  /** The engine of its namespace, for programs written for HotMesh: what `client.getHotMeshClient` gives. */
  get hotMesh(): Engine {
    return this.#port.engine();
  }

  /**
   * Waits for the end of the workflow, however long it takes.
   *
   * @param options `throwOnError: false` resolves to the error instead of rejecting with it. `state` is accepted: the
   *   stored state is always what counts.
   * @throws what the workflow failed with: an `Error` with its class, name, message, `code`, stack and cause.
   * @throws {CancelledFailure} when it let its cancellation pass.
   * @throws {TerminatedError} when it was terminated.
   * @throws {GetStateError} (404) when there is no such workflow.
   * @throws {PayloadCodecError} when its outcome was stored with a codec or key that is not registered here.
   */
  async result<T = R>(options: { readonly state?: boolean; readonly throwOnError?: boolean } = {}): Promise<T> {
    const { throwOnError = true } = parseOptions('result', resultOptions, options);
    const link = await this.#port.reach();
    const chainNo = this.#chainNo ?? (await this.#describe()).chain_no;
    const row = await link.watcher.outcome(chainNo, performance.now() - this.#startedAt < FRESH_MS);
    const error = this.#errorOf(row);
    if (error === null) return (row.state === 'completed' ? decodePayload(row.result, this.#seal) : undefined) as T;
    if (throwOnError) throw error;
    return error as T;
  }

  #errorOf(row: ResultRow): Error | null {
    if (row.state === 'unknown') return new GetStateError(this.workflowId);
    if (row.state === 'completed' || row.result === null) return null;
    const failure = decodeFailure(row.result, this.#seal);
    // One that ended with its ancestor carries the ancestor's reason, and its own id.
    return errorFromFailure(row.state === 'terminated' ? { ...failure, job_id: this.workflowId } : failure);
  }

  /**
   * 0: ended, with a result or a failure. Above 0: not ended. -1: reserved (`pending`). Below -1,000,000: terminated.
   * @throws when there is no such workflow: `Job <id> not found`.
   */
  async status(): Promise<number> {
    const found = await (await this.#port.reach()).describe(this.workflowId, this.#chainNo);
    if (found === null) throw new GetStateError(this.workflowId, `Job ${this.workflowId} not found`);
    return statusOf(found);
  }

  /**
   * The workflow as it is stored.
   * @param metadata Whether to answer `{ data, metadata }`.
   * @throws {GetStateError} (404) when there is no such workflow.
   */
  state(metadata?: false): Promise<WorkflowState>;
  state(metadata: true): Promise<{ data: WorkflowState; metadata: WorkflowStateMetadata }>;
  async state(metadata = false): Promise<WorkflowState | { data: WorkflowState; metadata: WorkflowStateMetadata }> {
    if (typeof metadata !== 'boolean') throw refusal('state', 'metadata', { must: 'true or false' }, metadata);
    const found = await this.#describe();
    const data = stateOf(this.workflowId, found, this.#seal);
    if (!metadata) return data;
    const { namespace } = await this.#port.reach();
    return { data, metadata: metadataOf(this.workflowId, found, namespace, this.#seal) };
  }

  /**
   * Search fields of the workflow by name; null for those it does not have, and for all of an unknown workflow. A name in double
   * quotes is literal: a field apart from the user data.
   */
  async queryState(fields: readonly string[]): Promise<Record<string, string | null>> {
    if (!Array.isArray(fields)) throw refusal('queryState', 'fields', { must: 'an array of names' }, fields);
    const stored = fields.map((field) => storedField('queryState', field));
    const found = (await (await this.#port.reach()).searchFields(this.workflowId, this.#chainNo)) ?? {};
    return Object.fromEntries(
      fields.map((field, index) => {
        const name = stored[index] as string;
        return [field, Object.hasOwn(found, name) ? (found[name] as string) : null];
      }),
    );
  }

  /**
   * Sends a signal to this workflow. Kept in order when it does not wait for it yet, also across continueAsNew.
   *
   * @param options How long it is kept when the workflow does not wait (default 10 minutes), or {@link SignalOptions}: in a
   *   transaction of yours it is sent with its commit.
   * @returns `'delivered'` to a waiting `condition`, or `'buffered'`.
   * @throws {GetStateError} (404) when there is no such workflow.
   * @throws {InactiveJobError} when it has ended.
   * @throws {SignalQuotaError} (429) when as many are kept for it as may be: see docs/overload.md.
   * @throws {IsolationLevelError}, {TransactionError} when it cannot be part of `transaction`.
   */
  async signal(
    signalId: string,
    data?: unknown,
    options?: string | number | SignalOptions,
  ): Promise<'delivered' | 'buffered'> {
    checkSignalId('signal', signalId);
    const payload = this.#seal.seal(encodePayload(data, 'data'));
    const { expireMs, transaction } = resolveSignalOptions(options);
    const link = await this.#port.reach(transaction);
    const item = {
      requestNo: randomNumber(),
      signalId,
      workflowId: this.workflowId,
      chainNo: this.#chainNo,
      payload,
      expireMs,
    };
    const answer = await link.signal(item, transaction);
    if (answer === 'unknown') throw new GetStateError(this.workflowId);
    if (answer === 'inactive') throw new InactiveJobError(this.workflowId);
    if (answer === 'full') throw new SignalQuotaError(signalId);
    return answer;
  }

  /**
   * Asks the workflow to cancel. It is woken at once, wherever it waits: what it waits for rejects with
   * `CancelledFailure`, once. Silent when there is no such workflow or it has ended. Idempotent.
   *
   * @param options `transaction`: your own open transaction; it is asked when that commits.
   * @throws {IsolationLevelError}, {TransactionError} when it cannot be part of `transaction`.
   */
  async cancel(options: { readonly transaction?: CallerTransaction } = {}): Promise<void> {
    const transaction = transactionOf('cancel', parseOptions('cancel', cancelOptions, options).transaction);
    await (await this.#port.reach(transaction)).cancel(this.workflowId, this.#chainNo, transaction);
  }

  /**
   * Ends the workflow at once, from outside. Its code learns nothing. With `descend` its children end too, and theirs,
   * through all generations, before this resolves; if this process dies meanwhile, the workers go on with it.
   *
   * @param options See {@link TerminateOptions}.
   * @throws {GetStateError} `Job <id> not found`, unless `suppress`.
   * @throws {InactiveJobError} `Job <id> already completed`, unless `suppress`.
   */
  async terminate(options: TerminateOptions = {}): Promise<void> {
    const { failure, expireS, descend, suppress } = resolveTermination('terminate', this.workflowId, options);
    const link = await this.#port.reach();
    const events = this.#port.events();
    const request = {
      requestNo: randomNumber(),
      workflowId: this.workflowId,
      chainNo: this.#chainNo,
      failure: failure === null ? null : encodeFailure(failure, this.#seal),
      expireS,
      descend,
    };
    const status = await link.terminate(request, events);
    if (descend) await link.descend(events);
    if (!suppress && (status === 'unknown' || status === 'completed')) throw terminationError(this.workflowId, status);
  }

  /**
   * Pauses the workflow, hooks included: nothing of it goes on until `resume`. What is under way on a worker is finished
   * first; activities that run may end, and their results are kept; none begins. Signals, timers, ends of children and
   * cancel requests wait. Children go on, unless `descend`; `terminate` ends a paused workflow as any other. Idempotent: the first
   * reason stays.
   *
   * Resolves when it is durable: a worker may be finishing a step for a moment longer.
   *
   * @param options `reason`: for people, shown by `explain()`. `descend`: its open children too, and theirs.
   * @throws {GetStateError} (404) when there is no such workflow. @throws {InactiveJobError} when it has ended.
   * @throws {OperationRefusedError} (`pending`) when its id is only reserved.
   */
  async pause(options: PauseOptions = {}): Promise<void> {
    await pauseWorkflow(await this.#port.reach(), this.workflowId, options);
  }

  /**
   * Lets a paused workflow go on, with what came meanwhile: timers that have become due fire at once. A blocked one, paused
   * or not, is tried once more by every worker. Has no effect on others. Idempotent.
   *
   * @param options `descend`: its open children too, and theirs.
   * @throws {GetStateError} (404) when there is no such workflow. @throws {InactiveJobError} when it has ended.
   */
  async resume(options: ResumeOptions = {}): Promise<void> {
    await resumeWorkflow(await this.#port.reach(), this.workflowId, options);
  }

  /**
   * The workflow in five sections: `data` (its arguments as `arguments`, beside its search fields), `state` (as `state(true)`),
   * `status`, `timeline` (each durable call by its position) and `transitions`. At any time, also while it runs.
   *
   * The timeline is made in memory; leave it out (`block: ['timeline', 'transitions']`) where it is not needed, then no history is read.
   *
   * @throws {GetStateError} (404) when there is no such workflow.
   * @throws {InvalidArgumentError} for unknown options and sections.
   * @throws {PayloadCodecError} when something was stored with a codec or key that is not registered here.
   *
   * @example
   * const { data, timeline } = await handle.export({ allow: ['data', 'timeline'] });
   */
  export(options?: ExportOptions): Promise<DurableJobExport> {
    return this.exporter.job('export', this.#exported, options);
  }

  /**
   * What happened in the workflow, as events in order: its start and end, and the same of activities, children, sleeps and waits,
   * also of those under way, in hooks, and in all its runs (continueAsNew). An end names its start: `scheduled_event_id` of
   * activities, `initiated_event_id` of all else.
   *
   * @param options See {@link ExecutionExportOptions}.
   * @throws as {@link export}.
   *
   * @example
   * const { status, summary, events } = await handle.exportExecution({ mode: 'verbose', enrich_inputs: true });
   */
  exportExecution(options?: ExecutionExportOptions): Promise<WorkflowExecution> {
    return this.exporter.execution('exportExecution', this.#exported, options);
  }

  /**
   * The events of {@link exportExecution} one by one, read a page of the history at a time: for histories of any length. Ends
   * where the workflow stands now; it does not wait for more.
   *
   * @throws as {@link export}, when the first event is asked for.
   *
   * @example
   * for await (const event of handle.exportEvents()) file.write(`${JSON.stringify(event)}\n`);
   */
  exportEvents(options?: ExecutionExportOptions): AsyncGenerator<WorkflowExecutionEvent, void> {
    return this.exporter.events('exportEvents', this.#exported, options);
  }

  /**
   * The recorded history of the workflow as it is stored, with all its runs and hooks: plain data for a JSON file, which
   * `assertReplays` of `perdure/testing` replays on the code of tomorrow. At any time, also while it runs; up to where it stands now.
   *
   * What passed a codec stays sealed. All of it is held in memory.
   *
   * @throws {GetStateError} (404) when there is no such workflow.
   *
   * @example
   * await writeFile(`histories/${handle.workflowId}.json`, JSON.stringify(await handle.exportHistory(), null, 1));
   */
  exportHistory(): Promise<ExecutionHistory> {
    return this.exporter.history('exportHistory', this.#exported);
  }

  /** Exports any workflow of the namespace, by its id. */
  get exporter(): Exporter {
    return new Exporter(() => this.#port.reach(), this.#seal);
  }

  get #exported(): Exported {
    return { workflowId: this.workflowId, chainNo: this.#chainNo };
  }

  /**
   * Goes back to an entry of the history: a new run that has the entries up to it and goes on live from there. Under its own id
   * the workflow's present run, when it is open, ends as `continued`; whoever awaits the result gets that of the new one.
   * With `workflowId` it is forked: a workflow of its own, the original is left alone.
   *
   * Activities that were under way at that point run again, under the idempotency key they had; timers keep their moment; signals
   * taken since are put back; children awaited there report to the new run. See docs/operations.md for all of it.
   *
   * @returns A handle of the new run.
   * @throws {GetStateError} (404) when there is no such workflow. @throws {DuplicateJobError} when the other id is taken.
   * @throws {OperationRefusedError} when it cannot go back there; `reason` says why.
   */
  async reset(options: ResetOptions): Promise<WorkflowHandle> {
    return this.#handleOf(await resetRun(await this.#port.reach(), this.#seal, this.#target, options));
  }

  /**
   * Tries a failed workflow again from the step that failed: a new run in which its completed steps are not repeated, the failed
   * activity runs anew, and the failed child is retried likewise. A hook that was awaited begins anew, with all its steps. Where the function failed by itself, it goes on behind its last
   * outcome: deploy the fix before.
   *
   * @returns A handle of the new run.
   * @throws {GetStateError} (404) when there is no such workflow.
   * @throws {OperationRefusedError} (`not failed`) when it has not failed; (`superseded`) when a newer run has its id.
   * @throws {PayloadCodecError} when its failure was stored with a codec or key that is not registered here.
   */
  async retry(options: RetryWorkflowOptions = {}): Promise<WorkflowHandle> {
    return this.#handleOf(await retryRun(await this.#port.reach(), this.#seal, this.#target, options));
  }

  get #target(): ResetTarget {
    return { workflowId: this.workflowId, chainNo: this.#chainNo, events: this.#port.events() };
  }

  #handleOf({ workflowId, chainNo }: ResetResult): WorkflowHandle {
    return new WorkflowHandle(this.#port, workflowId, this.workflowTopic, chainNo, this.#seal);
  }

  /**
   * Why it is not moving: one answer, from the database alone. Each wait that it has (an activity, a signal, a timer, a child, a
   * hook) is explained, children and hooks with reasons of their own, five deep. Changes nothing.
   *
   * @throws {GetStateError} (404) when there is no such workflow.
   *
   * @example
   * const { reason, message } = await handle.explain();
   * // 'no-worker', '"order-1" is ready to go on, but no live worker serves workflow "order" on queue "orders"; ...'
   */
  async explain(): Promise<Explanation> {
    const json = await (await this.#port.reach()).explain(this.workflowId, this.#chainNo);
    if (json === null) throw new GetStateError(this.workflowId);
    return readExplanation(json, this.#seal);
  }

  async #describe(): Promise<Description> {
    const found = await (await this.#port.reach()).describe(this.workflowId, this.#chainNo);
    if (found === null) throw new GetStateError(this.workflowId);
    return found;
  }
}
