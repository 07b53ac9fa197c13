/**
 * The words of a history: events go into a workflow, commands come out of it.
 *
 * A thread's history is a list of *entries*, one per commit. An entry is a list of *steps*. A step is one event and
 * the commands that came out of it before anything else was delivered. Replay feeds the events in order and compares
 * kind and name of each command.
 */

import type { Failure } from './failure.js';
import type { StoredTerms } from './start-terms.js';

/** What can reach a workflow. `op` is the number of the operation it settles. */
export type Event =
  /** The first activation. */
  | { readonly kind: 'start' }
  /** An activity or a child completed. */
  | { readonly kind: 'done'; readonly op: number; readonly value: unknown; readonly text: string | null }
  /** An activity, a child or a hook failed for good. */
  | { readonly kind: 'fail'; readonly op: number; readonly failure: Failure }
  /** A timer fired: a sleep is over, a condition timed out. */
  | { readonly kind: 'fire'; readonly op: number }
  | { readonly kind: 'signal'; readonly op: number; readonly value: unknown; readonly text: string | null }
  /** What the database decided when it committed the command (its value stands in that entry's row, not here). */
  | { readonly kind: 'decided'; readonly op: number; readonly decision: Decision }
  /** Somebody asked to cancel: rejects all that is pending (`ops`), or else the next cancellable call. */
  | { readonly kind: 'cancel'; readonly ops: readonly number[] }
  /** What the code itself cancelled (a scope, by operation `op`) is rejected: `ops`, as far as nothing else settled them. */
  | { readonly kind: 'cancelled'; readonly op: number; readonly ops: readonly number[] }
  /** Not an event: commands that came outside any delivery, `delayMs` after the last one. */
  | { readonly kind: 'late'; readonly delayMs: number }
  /** The function failed before and runs anew, behind the same history. */
  | { readonly kind: 'retry'; readonly op: number };

/** Why a workflow took no hook. */
export type HookRefusal =
  /** There is no such workflow, */
  | 'unknown'
  /** its id is reserved only, */
  | 'pending'
  /** it has ended, */
  | 'inactive'
  /** it was started with `signalIn: false`, */
  | 'closed'
  /** its search fields would grow too large. */
  | 'full';

/** The outcome of a command that the database decides. `usual`: child started, signal delivered. */
export type Decision =
  | { readonly what: 'usual' }
  | { readonly what: 'buffered' }
  /** Of a signal: as many are kept as may be. */
  | { readonly what: 'full' }
  | { readonly what: 'duplicate'; readonly id: string }
  | { readonly what: 'hooked'; readonly id: string }
  | { readonly what: 'unhooked'; readonly reason: HookRefusal }
  | { readonly what: 'signal'; readonly value: unknown }
  /** Of terminate: there is no such workflow; it has ended already; it was this very run, which ends here. */
  | { readonly what: 'unknown' | 'completed' | 'ended' }
  /** What a call of a search or entity session gave; undefined where nothing was. `digest`: of a large one. */
  | { readonly what: 'value'; readonly value: unknown; readonly digest?: string }
  /** A reading call gave what the one before it, of operation `as`, gave; stored once. */
  | { readonly what: 'same'; readonly as: number }
  /** The document does not hold what such a call works on; nothing was changed. */
  | { readonly what: 'refused'; readonly why: DocumentRefusal; readonly at: readonly string[] };

/** Why a search or entity call was refused: what the path should have led to, or what was too large. */
export type DocumentRefusal = 'object' | 'array' | 'number' | 'boolean' | 'index' | 'range' | 'size' | 'answers';

export type CommandKind =
  | 'activity'
  | 'timer'
  | 'wait'
  | 'child'
  | 'hook'
  | 'signal'
  | 'cancel'
  | 'terminate'
  | 'marker'
  | 'search'
  | 'entity'
  | 'patch'
  | 'emit'
  | 'trace'
  | 'retry'
  | 'complete'
  | 'fail'
  | 'continue';

/** What each kind of command carries into its commit and its history. Texts are encoded payloads. */
export interface CommandSpec {
  activity: {
    readonly taskQueue: string;
    readonly args: string;
    readonly headers: string | null;
    readonly retry: RetrySpec;
    /** Of one attempt. */
    readonly startToCloseMs: number | null;
    readonly limits?: ActivityLimits;
    /** The call brought its function along: it runs where its thread is, and nowhere else. */
    readonly bound?: true;
    /** It runs in a transaction of the engine's database, which records its completion too. */
    readonly transactional?: true;
  };
  timer: { readonly ms: number };
  wait: { readonly signalId: string; readonly timeoutMs: number | null };
  child: {
    readonly workflowId: string;
    readonly taskQueue: string;
    readonly args: string;
    readonly awaited: boolean;
    /** `expire`, `entity`, `search`, `signalIn`, `config`: as the start call would take them. */
    readonly options: ChildOptions;
  };
  hook: {
    /** Null: the workflow of this thread. */
    readonly workflowId: string | null;
    readonly taskQueue: string;
    readonly args: string;
    /** What the caller waits for, if it does. The wait is the same operation: the hook's failure ends it too. */
    readonly signalId: string | null;
    readonly config: string | null;
    readonly search: Readonly<Record<string, string>> | null;
  };
  signal: { readonly signalId: string; readonly payload: string | null; readonly expireMs: number };
  /** A scope is cancelled by the code: gives up `ops`, which are pending in it. */
  cancel: { readonly ops: readonly number[] };
  terminate: {
    readonly workflowId: string;
    /** What whoever waits for it gets; null: nothing is stored. */
    readonly failure: string | null;
    readonly expireS: number | null;
    readonly descend: boolean;
  };
  /** Remembers that the code came here. */
  marker: Record<string, never>;
  /** A call of a session on what the threads of the run share. The command's name is the method. */
  search: DocumentCall;
  entity: DocumentCall;
  patch: Record<string, never>;
  /** Payloads by topic, in the order they were given. They stand with the emitted events only: a replay needs none. */
  emit: { readonly events: readonly EmittedEvent[] };
  trace: { readonly attributes: string };
  retry: { readonly attempt: number; readonly delayMs: number; readonly failure: Failure };
  complete: { readonly result: string | null };
  fail: { readonly failure: Failure; readonly cancelled: boolean };
  continue: { readonly args: string };
}

export interface EmittedEvent {
  readonly topic: string;
  readonly payload: string | null;
}

export type TraceAttributes = Readonly<Record<string, string | number | boolean>>;

export interface DocumentCall {
  /** 1, 2, ... among the calls of the session, whose position is the command's counter. */
  readonly n: number;
  /** Its arguments, a JSON array. Plain: SQL computes on them. */
  readonly args: string;
  /** What the same reading call gave before, when that was large: its operation and digest. Not stored. */
  readonly seen?: { readonly op: number; readonly digest: string } | undefined;
}

export interface RetrySpec {
  readonly maximumAttempts: number;
  readonly backoffCoefficient: number;
  readonly initialIntervalMs: number;
  readonly maximumIntervalMs: number;
  readonly nonRetryableErrorTypes?: readonly string[];
}

/** Rarer limits of an activity; only those that were given. */
export interface ActivityLimits {
  /** Of the call, with all its attempts. */
  readonly scheduleToCloseMs?: number;
  /** Until a worker takes it. */
  readonly scheduleToStartMs?: number;
  /** Between two heartbeats. */
  readonly heartbeatMs?: number;
}

export interface ChildOptions {
  readonly expire: number | null;
  readonly entity: string | null;
  readonly signalIn: boolean;
  readonly config: string | null;
  readonly search: Readonly<Record<string, string>> | null;
  readonly parentWorkflowId: string;
  readonly originId: string;
  /** What is not ordinary about it. */
  readonly terms?: StoredTerms;
}

/**
 * One command. `name` is compared on replay (activity, child workflow, patch id; '' for what code may compute freely);
 * `fingerprint` of its arguments only pairs same-named commands whose order changed.
 */
export type Command = {
  [K in CommandKind]: {
    readonly kind: K;
    readonly name: string;
    readonly fingerprint: number;
    /** Position among the calls of the thread, as `export()` shows it. */
    readonly counter: number;
    readonly spec: CommandSpec[K];
  };
}[CommandKind];

/** Kinds that open an operation, which an event settles later. Operations are numbered densely per thread, from 0. */
export function opensOperation(kind: CommandKind): boolean {
  return !isSideEffect(kind) && kind !== 'patch' && !closesThread(kind);
}

/** Kinds that go out with the commit of their step and have no outcome. */
function isSideEffect(kind: CommandKind): boolean {
  return kind === 'emit' || kind === 'trace';
}

/** Kinds that end the thread. */
export function closesThread(kind: CommandKind): boolean {
  return kind === 'complete' || kind === 'fail' || kind === 'continue';
}

/** Kinds whose outcome comes back with the commit itself. */
export function decidedAtCommit(command: Command): boolean {
  switch (command.kind) {
    case 'signal':
    case 'cancel':
    case 'terminate':
    case 'marker':
    case 'search':
    case 'entity':
      return true;
    case 'child':
      return !command.spec.awaited;
    case 'hook':
      return command.spec.signalId === null;
    default:
      return false;
  }
}

export interface Step {
  readonly event: Event;
  /** The durable clock, ms since the epoch; never goes back. */
  readonly now: number;
  readonly commands: readonly Command[];
}

/** A step as history holds it: commands know the operation they opened. */
export interface RecordedStep {
  readonly entry: number;
  readonly event: Event;
  readonly now: number;
  readonly commands: readonly RecordedCommand[];
}

export interface RecordedCommand {
  readonly op: number | null;
  readonly command: Command;
}
