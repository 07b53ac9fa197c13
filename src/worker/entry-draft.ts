/**
 * The history entry in the making: steps since the last commit, and the effects they have in the database.
 *
 * Owns: which effect a step has. Does not own: when it is committed (active-thread.ts).
 */

import { type ActivityDefaults, activityText, encodeSteps, limitsText } from '../codec/entry-text.js';
import { decodePayload } from '../codec/payload.js';
import { registeredSeal, Seal } from '../codec/payload-codec.js';
import { sealCommand, sealEvent } from '../codec/sealed-steps.js';
import type { Failure } from '../core/failure.js';
import type { Command, Event, Step, TraceAttributes } from '../core/history.js';
import { closesThread, decidedAtCommit } from '../core/history.js';
import type { CommitItem, Effect } from '../postgres/protocol/commit.js';
import { randomNumber } from '../postgres/protocol/commit.js';
import type { ProducedCommand } from '../replay/instance.js';
import type { TracedStart } from '../telemetry/spans.js';
import { type Delivery, deliveredAgain } from './mailbox.js';
import { type OpenOperations, openedBy } from './open-operation.js';

/** Past this an entry is committed even though more events wait. */
const MAX_ENTRY_BYTES = 8 * 1_048_576;
const MAX_ENTRY_STEPS = 1_000;

/** Which activities of an entry run in this process as soon as it is durable, instead of as a task row. */
export type EagerChoice = (taskQueue: string, name: string, op: number) => boolean;

/** The traces of what an entry starts. */
export interface ChildTraces {
  /** The trace context of the thread's run, which children carry on. */
  readonly own: string | null;
  /** Begins a child's own span in it; null where nobody traces. */
  begin(child: { workflowId: string; workflowName: string; taskQueue: string }): TracedStart | null;
}

const untraced: ChildTraces = { own: null, begin: () => null };

export interface ArmedTimer {
  readonly op: number;
  readonly ms: number;
}

type Closing = { state: NonNullable<CommitItem['closing']>; result: string | null };

/** Locks the thread: see the locks of sql/functions/commit.sql. */
const OWN: Effect = { kind: 'own', op: -1 };

/** Most lists of most entries stay empty; making them all took a tenth of what a step allocates. */
const NONE: readonly never[] = Object.freeze([]);

function added<T>(list: readonly T[], item: T): readonly T[] {
  if (list === NONE) return [item];
  (list as T[]).push(item);
  return list;
}

/** A step, and what it was delivered as. */
interface DraftStep extends Step {
  readonly delivery: Delivery | null;
}

const plain = new Seal(null);
const startsChild = ({ kind }: Effect) => kind === 'child' || kind === 'child on terms';
const isUnrecorded = (made: ProducedCommand) => made.unrecorded === true;

export class EntryDraft {
  #steps: readonly DraftStep[] = NONE;
  #effects: readonly Effect[] = NONE;
  #resolved: readonly number[] = NONE;
  #consumed: readonly number[] = NONE;
  #skipped: readonly Delivery[] = NONE;
  readonly #open: OpenOperations;
  readonly #chooseEager: EagerChoice;
  eager: readonly number[] = NONE;
  timers: readonly ArmedTimer[] = NONE;
  /** Operations whose outcome comes with the answer of the commit. */
  decided: readonly number[] = NONE;
  /** Spans of children, to be ended once this is durable. */
  begun: readonly { readonly op: number; readonly span: TracedStart }[] = NONE;
  /** What the function, or its attempt, failed with, as it is before any codec. */
  failed: Failure | null = null;
  /** When the failed attempt is repeated. */
  retryInMs = 0;
  /** Spans to be reported once this is durable. */
  spans: readonly TraceAttributes[] = NONE;
  #openedFrom = 0;
  #openedCount = 0;
  #bytes = 0;
  #closing: Closing | null = null;
  #attemptFailed = false;
  readonly #seal: Seal;
  readonly #traces: ChildTraces;
  /** Why the entry cannot be stored: the codec failed. */
  #unsealable: unknown = null;

  constructor(
    open: OpenOperations,
    chooseEager: EagerChoice,
    seal: Seal = registeredSeal,
    traces: ChildTraces = untraced,
  ) {
    this.#traces = traces;
    this.#open = open;
    this.#chooseEager = chooseEager;
    this.#seal = seal;
  }

  get empty(): boolean {
    return this.#steps.length === 0 && this.#consumed.length === 0;
  }

  get full(): boolean {
    return this.#bytes >= MAX_ENTRY_BYTES || this.#steps.length >= MAX_ENTRY_STEPS;
  }

  get opens(): boolean {
    return this.#openedCount > 0;
  }

  /** Whether it holds what settles the operation. */
  resolves(op: number): boolean {
    return this.#resolved.includes(op);
  }

  get closes(): boolean {
    return this.#closing !== null;
  }

  get attemptFailed(): boolean {
    return this.#attemptFailed;
  }

  /** An inbox row that this entry takes in. */
  consume(inboxNo: number): void {
    this.#consumed = added(this.#consumed, inboxNo);
  }

  /** What came for an operation that this entry, or one before it, settled. */
  skip(delivery: Delivery): void {
    if (delivery.inboxNo === null) return;
    this.consume(delivery.inboxNo);
    this.#skipped = added(this.#skipped, delivery);
  }

  /** @param delivery What brought the event; null for what the code did by itself. */
  add(event: Event, now: number, produced: readonly ProducedCommand[], delivery: Delivery | null = null): void {
    const recorded = produced.some(isUnrecorded) ? produced.filter((made) => !isUnrecorded(made)) : produced;
    const commands = recorded.map(({ command }) => command);
    const stored = this.#seal.active ? this.#sealed(event, commands) : null;
    this.#steps = added(this.#steps, {
      event: stored?.event ?? event,
      now,
      commands: stored?.commands ?? commands,
      delivery,
    });
    if ('text' in event) this.#bytes += event.text?.length ?? 0;
    if ('op' in event) this.#resolve(event.op, event);
    if ('ops' in event) for (const op of event.ops) this.#resolve(op, event);
    let index = 0;
    for (const made of produced) {
      if (isUnrecorded(made)) this.#sideEffect(made.command);
      else this.#produce(made, (stored?.commands ?? commands)[index++] as Command);
    }
  }

  /** As they are stored. A codec that fails is told of when the entry is asked for: what was delivered stays delivered. */
  #sealed(event: Event, commands: readonly Command[]): { event: Event; commands: readonly Command[] } {
    try {
      return {
        event: sealEvent(event, this.#seal),
        commands: commands.map((command) => sealCommand(command, this.#seal)),
      };
    } catch (error) {
      this.#unsealable ??= error;
      return { event, commands };
    }
  }

  /** Side effects that a replay repeated: they go out with the next entry, whatever that holds. */
  repeat(produced: readonly ProducedCommand[]): void {
    for (const { command } of produced) this.#sideEffect(command);
  }

  /** Refused: what it was made of, to be delivered again, and the rows it would have taken in besides. */
  putBack(seal: Seal): { deliveries: Delivery[]; consumed: number[] } {
    const held = this.#steps.flatMap(({ delivery }) => delivery ?? []);
    const deliveries = [...held, ...this.#skipped].flatMap((delivery) => deliveredAgain(delivery, seal));
    const carried = new Set(deliveries.map(({ inboxNo }) => inboxNo));
    return { deliveries, consumed: this.#consumed.filter((inboxNo) => !carried.has(inboxNo)) };
  }

  /** Activities whose rows it would have taken away. */
  get withoutTask(): number[] {
    return this.#effects.filter(({ kind }) => kind === 'untask').map(({ op }) => op);
  }

  /** @throws {PayloadCodecError} when the codec failed. */
  item(
    thread: { threadNo: number; epoch: number; seq: number; lastCommitNo: number | null; isHook: boolean },
    defaults: ActivityDefaults,
  ): CommitItem {
    if (this.#unsealable !== null) throw this.#unsealable;
    if (thread.isHook) this.#effects = added(this.#effects, OWN);
    return {
      threadNo: thread.threadNo,
      epoch: thread.epoch,
      seq: thread.seq,
      commitNo: randomNumber(),
      previousCommitNo: thread.lastCommitNo,
      openedFrom: this.#openedFrom,
      openedCount: this.#openedCount,
      resolved: this.#resolved,
      body: encodeSteps(this.#steps, defaults),
      closing: this.#closing?.state ?? null,
      result: this.#closing?.result ?? null,
      consumed: this.#consumed,
      effects: this.#effects,
    };
  }

  #resolve(op: number, event: Event): void {
    const operation = this.#open.get(op);
    if (operation === undefined) return;
    this.#open.delete(op);
    this.#resolved = added(this.#resolved, op);
    const fired = event.kind === 'fire';
    const cancelled = event.kind === 'cancel' || event.kind === 'cancelled';
    switch (operation.kind) {
      case 'timer':
        this.#effects = added(this.#effects, { kind: fired ? 'fire' : 'untimer', op });
        break;
      case 'retry': // may come early: a cancel request does not wait for it
        this.#effects = added(this.#effects, { kind: 'untimer', op });
        break;
      case 'wait':
        if (operation.timeoutMs !== null)
          this.#effects = added(this.#effects, { kind: fired ? 'fire' : 'untimer', op });
        if (fired || cancelled) this.#effects = added(this.#effects, { kind: 'unwait', op });
        break;
      case 'activity':
        if (operation.hasTask) this.#effects = added(this.#effects, { kind: 'untask', op });
        if (operation.spec.bound) this.#effects = added(this.#effects, { kind: 'untimer', op }); // its retry
        break;
      case 'child':
        if (cancelled && operation.awaited) this.#effects = added(this.#effects, { kind: 'uncall', op });
        break;
      case 'hook':
        if (cancelled && !operation.failed) this.#effects = added(this.#effects, { kind: 'unwait', op });
        break;
    }
  }

  /** @param command As it is stored. */
  #produce(produced: ProducedCommand, command: Command): void {
    const { op } = produced;
    if (closesThread(command.kind)) {
      if (produced.command.kind === 'fail') this.failed = produced.command.spec.failure;
      this.#close(command);
      return;
    }
    const operation = openedBy(produced);
    if (op === null || operation === null) {
      this.#sideEffect(produced.command);
      return;
    }
    if (this.#openedCount === 0) this.#openedFrom = op;
    this.#openedCount++;
    this.#open.set(op, operation);
    if (decidedAtCommit(command)) this.decided = added(this.decided, op);
    switch (command.kind) {
      case 'timer':
        this.#timer(op, command.spec.ms);
        break;
      case 'retry':
        this.#attemptFailed = true;
        this.retryInMs = command.spec.delayMs;
        if (produced.command.kind === 'retry') this.failed = produced.command.spec.failure;
        this.#timer(op, command.spec.delayMs);
        break;
      case 'wait':
        this.#effects = added(this.#effects, { kind: 'wait', op, key: command.spec.signalId });
        if (command.spec.timeoutMs !== null) this.#timer(op, command.spec.timeoutMs);
        break;
      case 'activity':
        this.#bytes += command.spec.args.length;
        if (
          command.spec.bound ||
          // one that is completed by a transaction of its own has a row that is taken away in it
          (!command.spec.transactional && this.#chooseEager(command.spec.taskQueue, command.name, op))
        ) {
          this.eager = added(this.eager, op);
        } else {
          if (operation.kind === 'activity') operation.hasTask = true;
          const limits = limitsText(command.spec);
          if (limits !== null) this.#effects = added(this.#effects, { kind: 'limits', op, extra: limits });
          this.#effects = added(this.#effects, {
            kind: 'task',
            op,
            key: command.spec.taskQueue,
            value: activityText(command.spec),
            extra: command.name,
          });
        }
        break;
      case 'child': {
        const { workflowId, taskQueue, args, awaited, options } = command.spec;
        const span = this.#traces.begin({ workflowId, workflowName: command.name, taskQueue });
        if (span !== null) this.begun = added(this.begun, { op, span });
        const trace = span?.trace ?? this.#traces.own ?? undefined;
        const extra = JSON.stringify({ taskQueue, workflowName: command.name, awaited, ...options, trace });
        const kind = options.terms === undefined ? 'child' : 'child on terms';
        this.#effects = added(this.#effects, { kind, op, key: workflowId, value: args, extra });
        break;
      }
      case 'hook': {
        const { workflowId, taskQueue, args, signalId, config, search } = command.spec;
        const hook = { taskQueue, workflowName: command.name, signalId, config, search };
        const target = workflowId === null ? {} : { key: workflowId };
        this.#effects = added(this.#effects, { kind: 'hook', op, ...target, value: args, extra: JSON.stringify(hook) });
        if (signalId !== null) this.#effects = added(this.#effects, { kind: 'wait', op, key: signalId });
        break;
      }
      case 'signal':
        this.#effects = added(this.#effects, {
          kind: 'signal',
          op,
          key: command.spec.signalId,
          value: command.spec.payload,
          number: command.spec.expireMs,
        });
        break;
      case 'cancel':
        this.#doNotStart(command.spec.ops);
        break;
      case 'terminate':
        this.#effects = added(this.#effects, {
          kind: 'terminate',
          op,
          key: command.spec.workflowId,
          value: command.spec.failure,
          ...(command.spec.expireS !== null && { number: command.spec.expireS }),
          extra: command.spec.descend ? 'descend' : '',
        });
        break;
      case 'search':
      case 'entity': {
        const { args, seen } = command.spec;
        this.#bytes += args.length;
        const extra = seen === undefined ? {} : { extra: `${seen.op}:${seen.digest}` };
        this.#effects = added(this.#effects, { kind: command.kind, op, key: command.name, value: args, ...extra });
        break;
      }
    }
  }

  /** @param command As the code produced it. */
  #sideEffect(command: Command): void {
    if (command.kind === 'emit') {
      for (const { topic, payload } of command.spec.events) {
        this.#bytes += payload?.length ?? 0;
        const value = this.#sealedText(payload);
        this.#effects = added(this.#effects, { kind: 'emit', op: 0, key: topic, value });
      }
    } else if (command.kind === 'trace') {
      this.spans = added(this.spans, decodePayload(command.spec.attributes, plain) as TraceAttributes);
    }
  }

  /** As {@link #sealed}, for one text. */
  #sealedText(payload: string | null): string | null {
    try {
      return this.#seal.seal(payload);
    } catch (error) {
      this.#unsealable ??= error;
      return null;
    }
  }

  #timer(op: number, ms: number): void {
    this.#effects = added(this.#effects, { kind: 'timer', op, number: ms });
    this.timers = added(this.timers, { op, ms });
  }

  /** Activities that are given up in the entry that schedules them are not begun. */
  #doNotStart(ops: readonly number[]): void {
    this.eager = this.eager.filter((op) => !ops.includes(op));
  }

  /**
   * What the code gave up is settled by the event that answers it. When the run ends before that, its children must hear
   * of it all the same; those that this very entry would start are not started.
   */
  #abandon(ops: readonly number[]): void {
    for (const op of ops) {
      const operation = this.#open.get(op);
      if (operation?.kind !== 'child' || !operation.awaited) continue;
      const others = this.#effects.filter((effect) => !startsChild(effect) || effect.op !== op);
      this.#effects = others.length < this.#effects.length ? others : added(this.#effects, { kind: 'uncall', op });
    }
  }

  #close(command: Command): void {
    for (const operation of this.#open.values()) if (operation.kind === 'cancel') this.#abandon(operation.ops);
    if (command.kind === 'complete') this.#closing = { state: 'completed', result: command.spec.result };
    if (command.kind === 'continue') this.#closing = { state: 'continued', result: command.spec.args };
    if (command.kind === 'fail') {
      this.#closing = {
        state: command.spec.cancelled ? 'cancelled' : 'failed',
        result: JSON.stringify(command.spec.failure),
      };
    }
  }
}
