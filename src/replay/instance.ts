/**
 * One live run of a workflow function: a promise, the operations it awaits, the commands it produced.
 *
 * Owns: pending operations, the order of commands, the durable clock, cancellation inside the function.
 * Does not own: where events come from and where commands go (worker), whether they fit a history (recording.ts).
 *
 * Invariants:
 * 1. Nothing is thrown to suspend. A durable call returns a promise that the matching event settles.
 * 2. A disposed instance records nothing and its promises never settle.
 * 3. Behind the end of the function (or continueAsNew) nothing is recorded.
 * 4. Cancellation is one event: it rejects what is pending and may be cancelled, or else the next such call; once.
 * 5. A scope that the code cancels is a command; what was pending in it is rejected by the event that answers it, when the
 *    command is durable. Calls made in the scope from then on are rejected at once and not recorded.
 */

import { CancelledFailure, type NondeterminismError, SharedPromiseError } from '../core/errors.js';
import { fingerprint } from '../core/fingerprint.js';
import { type Command, closesThread, type Event, opensOperation } from '../core/history.js';
import { type Lineage, seedOf } from '../core/lineage.js';
import type { RetryPolicy } from '../core/retry-policy.js';
import { SmallMap } from '../core/small-map.js';
import { ranUntilNow, type Stalling } from '../core/stall.js';
import { unawaited } from '../core/unawaited.js';
import { drain } from './drain.js';
import {
  type CallScope,
  type Cancellable,
  type OperationOptions,
  PendingOperation,
  type ReadEvent,
} from './pending-operation.js';
import type { Placement, Recording } from './recording.js';

/** What a workflow may know about itself. */
export interface ExecutionInfo {
  readonly workflowId: string;
  readonly workflowName: string;
  readonly taskQueue: string;
  readonly namespace: string;
  /** Null on the main thread; else which of the run's hooks it is, from 0. */
  readonly hookNo: number | null;
  readonly runNo: number;
  readonly run: number;
  readonly seed: string;
  /** Of a run with copied history: whose that was. */
  readonly lineage?: Lineage | null;
  readonly createdMs: number;
  readonly parentWorkflowId: string | null;
  readonly originId: string | null;
  /** The trace context of the run, as it is stored; null where nobody traces. */
  readonly trace: string | null;
  readonly expireS: number | null;
  /** The retry policy of the workflow function; also what its activities inherit. */
  readonly retry: RetryPolicy;
  readonly attempt: number;
}

/** How an operation ended: the event, and the command as recorded, whose ids count. */
export interface Settled {
  readonly event: Event;
  readonly command: Command;
}

/** A command with the operation it opened. */
export interface ProducedCommand {
  readonly op: number | null;
  readonly command: Command;
  /** A side effect that goes out each time the code comes by: it is no part of the history. */
  readonly unrecorded?: boolean;
}

export interface InstanceOptions {
  readonly info: ExecutionInfo;
  /** Runs the user's function inside this instance's context. */
  readonly run: (instance: Instance) => Promise<unknown>;
  /** Turns the outcome of the function into its closing command. */
  readonly conclude: (outcome: Outcome, info: ExecutionInfo) => Command;
  readonly recording: Recording | null;
  /** A command came outside any delivery. */
  readonly onLateCommand: () => void;
}

export type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown };

const DRAWS_PER_DELIVERY = 2 ** 20;

const SCOPE_CANCELLED = 'Cancellation scope cancelled';

/** Fresh each time: reactions of a shared promise that never settles would pile up on it. */
const never = () => new Promise<never>(() => {});

const settled: ReadEvent<Settled> = (event, command) => ({ event, command });

export class Instance implements Stalling {
  readonly info: ExecutionInfo;
  /** Operations that wait for an event. */
  readonly pending = new SmallMap<number, PendingOperation>();
  now: number;
  /** What random values come from. */
  seed: string;
  #counter = 0;
  #deliveries = 0;
  #draws = 0;
  #lateDraws = 0;
  #nextOp = 0;
  #commands: ProducedCommand[] = [];
  #repeated: ProducedCommand[] = [];
  #state: 'running' | 'ended' | 'disposed' = 'running';
  #cancelNext = false;
  #cancelRequested = false;
  /** How the code cancelled its own workflow. */
  #cancelledByItself: PendingOperation<unknown> | null = null;
  readonly #onCancel: (() => void)[] = [];
  #beforeNextCall: (() => void)[] | null = null;
  #delivering = false;
  readonly #options: InstanceOptions;

  constructor(options: InstanceOptions) {
    this.#options = options;
    this.info = options.info;
    this.now = options.info.createdMs;
    this.seed = options.info.seed;
    this.enter(0);
  }

  /** Goes on with an entry: those that were copied draw as in the run that recorded them. */
  enter(entry: number): void {
    const { seed, lineage } = this.info;
    if (lineage) this.seed = seedOf(lineage, seed, entry);
  }

  get ended(): boolean {
    return this.#state !== 'running';
  }

  /**
   * Whether the code goes on because of another execution: nothing was delivered to this one. What that gave it stands in no
   * history, so a replay would wait for it in vain.
   */
  get wokenByAnother(): boolean {
    return drain.running && !this.#delivering && !this.replaying;
  }

  /** How many operations the thread has opened. */
  get opened(): number {
    return this.#nextOp;
  }

  set opened(count: number) {
    this.#nextOp = count;
  }

  get counter(): number {
    return this.#counter;
  }

  /** Whether the code runs behind its history. */
  get replaying(): boolean {
    return this.#options.recording?.replaying ?? false;
  }

  get failure(): NondeterminismError | null {
    return this.#options.recording?.failure ?? null;
  }

  /**
   * A position for a seeded draw: by delivery, and by the order within its turn. What follows a delivery thus draws the
   * same however many late calls came before it; late code draws from positions of its own.
   */
  draw(): number {
    if (this.#delivering) return this.#deliveries * DRAWS_PER_DELIVERY + this.#draws++;
    return this.#deliveries * DRAWS_PER_DELIVERY + DRAWS_PER_DELIVERY / 2 + this.#lateDraws++;
  }

  /** Counts a call of the thread (and those that open no operation: random, sessions). */
  tick(by = 1): number {
    this.#counter += by;
    return this.#counter;
  }

  /**
   * Hands an event to the function. What it does in the following turn belongs to this event.
   * @returns the operations that a cancel event rejected.
   */
  deliver(event: Event, now: number): number[] {
    if (this.#state === 'disposed') return [];
    // Late code reads the time of the last delivery, live and here.
    if (event.kind !== 'late') {
      this.now = Math.max(this.now, now);
      this.#deliveries++;
      this.#draws = 0;
    }
    this.#delivering = true;
    switch (event.kind) {
      case 'start':
        this.#begin();
        break;
      case 'cancel':
        return this.#cancel(event.ops);
      case 'cancelled':
        this.pending.delete(event.op);
        this.#reject(event.ops, event.op === this.#cancelledByItself?.op ? undefined : SCOPE_CANCELLED);
        break;
      case 'late':
      case 'retry':
        break;
      default: {
        const pending = this.pending.get(event.op);
        this.pending.delete(event.op);
        pending?.settle(event); // an operation that was cancelled meanwhile has nobody left to tell
      }
    }
    return [];
  }

  /** The turn of the last delivery is over: what comes now comes late. */
  endTurn(): void {
    this.#delivering = false;
  }

  get hasCommands(): boolean {
    return this.#commands.length > 0;
  }

  /** The commands produced since the last call. */
  takeCommands(): ProducedCommand[] {
    if (this.#commands.length === 0) return [];
    const commands = this.#commands;
    this.#commands = [];
    return commands;
  }

  /** A durable call whose caller looks at the event itself. */
  operation(command: Command, options: OperationOptions): Promise<Settled> {
    return this.call(command, options, settled);
  }

  /**
   * A durable call. Settles with what `read` makes of its event; rejects with `CancelledFailure` when the workflow is
   * cancelled while it is pending.
   */
  call<T>(command: Command, options: OperationOptions, read: ReadEvent<T>): Promise<T> {
    if (this.#state !== 'running') return never();
    if (options.cancellable) {
      const cancelled = this.#cancelledBy(options.cancellable);
      if (cancelled !== null) return unawaited(Promise.reject(cancelled));
    }
    if (this.#beforeNextCall !== null) this.#catchUp();
    const pending = new PendingOperation(command, options, read);
    this.#record(command, pending as PendingOperation);
    return pending.promise;
  }

  /** A marker: true when the code at this point never ran before, or ran with this marker. */
  patched(command: Command): boolean {
    if (this.#state !== 'running') return false;
    const marked = this.#options.recording?.patched(command.name) ?? 'new';
    if (marked === 'new') this.#produce({ op: null, command });
    return marked !== false;
  }

  /**
   * What goes out with the commit of its step and has no outcome. Recorded (`once`), so that neither a replay nor a retry
   * of the function repeats it; else it is repeated by both.
   */
  sideEffect(command: Command, { once }: { once: boolean }): Promise<void> {
    if (this.#state !== 'running') return never();
    if (once) return new Promise((placed) => this.#record(command, null, placed));
    const made: ProducedCommand = { op: null, command, unrecorded: true };
    // Behind a history it is no work of its own: it waits for the next commit.
    if (this.replaying) this.#repeated.push(made);
    else this.#produce(made);
    return Promise.resolve();
  }

  /** The unrecorded side effects that a replay has repeated. */
  takeRepeated(): readonly ProducedCommand[] {
    return this.#repeated.splice(0);
  }

  /** Ends the run from inside (continueAsNew). The caller's code behind it never executes. */
  end(command: Command, { cancellable }: { cancellable: Cancellable }): Promise<never> {
    if (this.#state !== 'running') return never();
    if (cancellable) {
      const cancelled = this.#cancelledBy(cancellable);
      if (cancelled !== null) return unawaited(Promise.reject(cancelled));
    }
    this.#record(command, null);
    this.#state = 'ended';
    return never();
  }

  // ---- cancellation by the code itself

  /** Whether the workflow was asked to cancel, from outside or by the code. */
  get cancelRequested(): boolean {
    return this.#cancelRequested;
  }

  /** Calls `then` when the workflow is asked to cancel. */
  onCancel(then: () => void): void {
    this.#onCancel.push(then);
  }

  /** The code gives up the pending calls that `reaches` names. @returns null where nothing is recorded any more. */
  giveUp(reaches: (pending: PendingOperation) => boolean): PendingOperation<unknown> | null {
    if (this.#state !== 'running') return null;
    const ops = [...this.pending.values()].filter(reaches).map(({ op }) => op);
    const command: Command = {
      kind: 'cancel',
      name: '',
      fingerprint: fingerprint(ops.join()),
      counter: this.#counter,
      spec: { ops },
    };
    const asked = new PendingOperation<unknown>(command, { cancellable: false }, () => undefined);
    this.#record(command, asked);
    return asked;
  }

  /** Does something as part of the next call that is recorded, if there is one. */
  beforeNextCall(then: () => void): void {
    this.#beforeNextCall = [...(this.#beforeNextCall ?? []), then];
  }

  #catchUp(): void {
    const first = this.#beforeNextCall ?? [];
    this.#beforeNextCall = null;
    for (const then of first) then();
  }

  /** The code cancels its workflow: like a request from outside, once. */
  cancelAll(): void {
    if (this.#cancelRequested || this.#state !== 'running') return;
    const asked = this.giveUp(({ cancellable }) => isReached(cancellable));
    this.#cancelledByItself = asked;
    if (asked?.command.kind === 'cancel' && asked.command.spec.ops.length === 0) this.#cancelNext = true;
    this.#tellOfCancel();
  }

  /** Drops the run: its promises never settle, its calls record nothing. */
  dispose(): void {
    this.#state = 'disposed';
    this.pending.clear();
    this.#commands = [];
    this.#repeated = [];
  }

  whoRuns(): Record<string, unknown> {
    const { workflowName, workflowId, runNo, taskQueue } = this.info;
    return { workflowName, workflowId, runNo, taskQueue };
  }

  #begin(): void {
    const { run, conclude } = this.#options;
    const finish = (outcome: Outcome) => {
      if (this.#state !== 'running') return;
      this.#record(conclude(outcome, this.info), null);
      this.#state = 'ended';
    };
    run(this).then(
      (value) =>
        finish(
          this.wokenByAnother ? { ok: false, error: new SharedPromiseError('return', 'woken') } : { ok: true, value },
        ),
      (error: unknown) => finish({ ok: false, error }),
    );
  }

  #cancelledBy(scope: CallScope): CancelledFailure | null {
    if (scope.cancelled) return new CancelledFailure(SCOPE_CANCELLED);
    if (!this.#cancelNext || !scope.reached) return null;
    this.#cancelNext = false;
    return new CancelledFailure();
  }

  #tellOfCancel(): void {
    this.#cancelRequested = true;
    for (const then of this.#onCancel.splice(0)) then();
  }

  /** Behind a history it reaches what it reached live: a late call may be pending earlier or later here. */
  #cancel(recorded: readonly number[]): number[] {
    const hit = [...this.pending.values()].filter((pending) =>
      this.replaying ? recorded.includes(pending.op) : isReached(pending.cancellable),
    );
    if (hit.length === 0) this.#cancelNext = true;
    this.#tellOfCancel();
    const ops = hit.map(({ op }) => op);
    this.#reject(ops);
    return ops;
  }

  #reject(ops: readonly number[], message?: string): void {
    for (const op of ops) {
      const pending = this.pending.get(op);
      this.pending.delete(op);
      pending?.reject(new CancelledFailure(message));
    }
  }

  /**
   * Gives the command its place: now, or in a replay when that is certain. Never when it does not fit the history: then
   * nothing may go on.
   */
  #record(produced: Command, pending: PendingOperation | null, placed?: () => void): void {
    ranUntilNow(this);
    const { recording } = this.#options;
    if (recording === null) {
      this.#place(produced, 'new', pending, placed);
      return;
    }
    const placement = recording.place(produced, sourceLine, (later) => {
      if (this.#state === 'running') this.#place(produced, later, pending, placed);
    });
    if (recording.failure) this.dispose();
    else if (placement !== null && placement !== 'held') this.#place(produced, placement, pending, placed);
  }

  #place(produced: Command, placement: Placement, pending: PendingOperation | null, placed?: () => void): void {
    let op: number | null;
    let command = produced;
    if (placement === 'new') {
      op = opensOperation(produced.kind) ? this.#nextOp++ : null;
      this.#produce({ op, command });
    } else {
      op = placement.op;
      // The engine keeps what was decided then: a child's id, a signal's id.
      if (op !== null && !closesThread(produced.kind)) command = placement.command;
    }
    placed?.();
    if (pending === null) return;
    if (op === null) throw new TypeError(`${produced.kind} opens no operation`);
    pending.open(op, command);
    this.pending.set(op, pending);
  }

  #produce(made: ProducedCommand): ProducedCommand {
    this.#commands.push(made);
    if (!this.#delivering && !this.replaying) this.#options.onLateCommand();
    return made;
  }
}

/** Whether cancelling the workflow reaches a call. */
function isReached(cancellable: Cancellable): boolean {
  return cancellable !== false && cancellable.reached;
}

/** The engine's own folder, as stack traces name it. */
const ENGINE = decodeURIComponent(new URL('..', import.meta.url).pathname);

/** The first line of the stack that is not the engine's own, or null. */
function sourceLine(): string | null {
  const frames = (new Error().stack ?? '').split('\n').slice(1);
  const own = frames.find((line) => (!line.includes(ENGINE) || /\.test\.[jt]s/.test(line)) && /[/\\].*:\d+/.test(line));
  return own?.includes('node:') === false ? own.trim().replace(/^at /, '') : null;
}
