/** What `client.workflow.start` and `signalWithStart` take, and what of it is not ordinary. */
import * as v from 'valibot';
import { encodePayload } from '../codec/payload.js';
import type { Seal } from '../codec/payload-codec.js';
import { choice, duration, flag, identifier, identifierOrNone, parseOptions, seconds, text } from '../core/options.js';
import { refusal } from '../core/refusal.js';
import type { RetryOptions } from '../core/retry-policy.js';
import { type SearchOptions, searchOption } from '../core/search-fields.js';
import {
  type StartTerms,
  type StoredTerms,
  storedTerms,
  termFields,
  type WorkflowIdConflictPolicy,
  type WorkflowIdReusePolicy,
} from '../core/start-terms.js';
import type { WorkflowArguments } from '../core/workflow-types.js';
import type { CallerTransaction } from '../postgres/caller-transaction.js';
import { transactionOption } from './caller-transactions.js';
import { SIGNAL_EXPIRE_MS } from './signal-options.js';

/** Options of `client.workflow.start`. */
export interface StartOptions<W = unknown> extends StartTerms {
  /** Spread as the function's arguments. JSON values: a `Date` arrives as ISO text, `undefined` as `null`. */
  readonly args: WorkflowArguments<W>;
  /** The queue whose workers serve the function. Default: `entity`. */
  readonly taskQueue?: string;
  /** The function's name. With only `entity` given, the entity is queue and name. */
  readonly workflowName?: string;
  /** Carries one workflow at a time; `workflowIdReusePolicy` says whether one after the other. Default: generated. */
  readonly workflowId?: string;
  /** Default: the client's, else `'durable'`. */
  readonly namespace?: string;
  /** A label to find the workflow by. */
  readonly entity?: string;
  /** Fields to find the workflow by, there before its first line runs. Values are stored as text. */
  readonly search?: SearchOptions;
  /** Seconds it stays readable once finished; 0 keeps it for ever. Default env `HMSH_EXPIRE_JOB_SECONDS`, else 7 days. */
  readonly expire?: number;
  /** Whether it accepts hooks. Default true. */
  readonly signalIn?: boolean;
  /**
   * Reserves the id for this many seconds without running; a later `start` of the id fills it. Only search fields are written.
   * Nobody came: the reservation, with signals it got, is forgotten and the id free again.
   */
  readonly pending?: number;
  /** Retries of the function itself; its activities inherit it. Default: 50 retries after 1 s, 5 s, 25 s, then every 120 s. */
  readonly config?: RetryOptions;
  readonly parentWorkflowId?: string;
  readonly originJobId?: string;
  /**
   * Continues an OpenTelemetry trace: its id, 32 hexadecimal digits. Default: the trace of the caller's active span, where the
   * program has an SDK.
   */
  readonly workflowTrace?: string;
  /** The span in it that the workflow belongs to: 16 hexadecimal digits. Only with `workflowTrace`. */
  readonly workflowSpan?: string;
  /** Accepted for compatibility, without effect: a parent always hears of its child's end. */
  readonly persistent?: boolean;
  /** Accepted for compatibility, without effect. */
  readonly guid?: string;
  readonly await?: boolean;
  /**
   * Your own open transaction, READ COMMITTED, in the database of this client: the workflow is started when it commits, and
   * never was when it is rolled back. See docs/transactions.md.
   */
  readonly transaction?: CallerTransaction;
}

const startShape = v.strictObject({
  args: v.array(v.unknown(), 'an array of arguments'),
  taskQueue: v.optional(identifier),
  workflowName: v.optional(identifier),
  workflowId: v.optional(identifierOrNone),
  namespace: v.optional(v.string('text')),
  entity: v.optional(identifier),
  search: v.optional(searchOption),
  expire: v.optional(seconds),
  signalIn: v.optional(flag),
  pending: v.optional(seconds),
  config: v.optional(v.unknown()),
  parentWorkflowId: v.optional(identifier),
  originJobId: v.optional(identifier),
  workflowTrace: v.optional(v.unknown()),
  workflowSpan: v.optional(v.unknown()),
  guid: v.optional(text),
  persistent: v.optional(flag),
  await: v.optional(flag),
  transaction: transactionOption,
  ...termFields,
});

/** Options of `client.workflow.signalWithStart`: those of `start`, and the signal. */
export interface SignalWithStartOptions<W = unknown>
  extends Omit<StartOptions<W>, 'pending' | 'workflowIdConflictPolicy'> {
  readonly workflowId: string;
  readonly signalId: string;
  /** What the signal carries. Any JSON value; default: nothing. */
  readonly data?: unknown;
  /** How long the signal is kept until the workflow waits for it. Default 10 minutes. */
  readonly signalExpire?: string | number;
  /** As in `start`; `'FAIL'` makes no sense here. Default `'USE_EXISTING'`. */
  readonly workflowIdConflictPolicy?: Exclude<WorkflowIdConflictPolicy, 'FAIL'>;
  /** As in `start`. Default `'ALLOW_DUPLICATE'`: a signal behind the end begins a new workflow. */
  readonly workflowIdReusePolicy?: WorkflowIdReusePolicy;
}

const { pending: _, ...startableFields } = startShape.entries;
const signalWithStartShape = v.strictObject({
  ...startableFields,
  workflowId: identifier,
  signalId: identifier,
  data: v.optional(v.unknown()),
  signalExpire: v.optional(duration),
  workflowIdConflictPolicy: v.optional(choice(['USE_EXISTING', 'TERMINATE_EXISTING'])),
});

/** The options of a start, checked. */
export type GivenStart = Omit<v.InferOutput<typeof startShape>, 'pending'>;

export interface ResolvedStart {
  readonly given: GivenStart;
  /** What is not ordinary about it; null: nothing. */
  readonly terms: StoredTerms | null;
}

/** Terms that mean nothing to a reservation. */
const OF_WHAT_RUNS = ['startDelay', 'workflowExecutionTimeout', 'workflowRunTimeout'] as const;

/** @throws {InvalidArgumentError} */
export function resolveStart(options: StartOptions): ResolvedStart {
  const given = parseOptions('start', startShape, options);
  const pending = given.pending === undefined ? {} : { pendingMs: given.pending * 1000 };
  const early = given.pending === undefined ? undefined : OF_WHAT_RUNS.find((name) => given[name] !== undefined);
  if (early !== undefined) {
    const todo = 'A reservation does not run: give it to the start that fills it';
    throw refusal('start', early, { must: 'left out with pending', todo }, options[early]);
  }
  return { given, terms: storedTerms('start', given, pending) };
}

/** @throws {InvalidArgumentError}, {PayloadError}, {PayloadTooLargeError} */
export function resolveSignalWithStart(options: SignalWithStartOptions, seal: Seal): ResolvedStart {
  const call = 'signalWithStart';
  const { signalId, data, signalExpire, ...given } = parseOptions(call, signalWithStartShape, options);
  const payload = seal.seal(encodePayload(data, 'data'));
  const signal = { signalId, ...(payload !== null && { payload }), expireMs: signalExpire ?? SIGNAL_EXPIRE_MS };
  const { workflowIdConflictPolicy = 'USE_EXISTING', workflowIdReusePolicy = 'ALLOW_DUPLICATE' } = given;
  return { given, terms: storedTerms(call, { ...given, workflowIdConflictPolicy, workflowIdReusePolicy }, signal) };
}
