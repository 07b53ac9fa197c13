/**
 * The timeline of `export()`: each durable call with what came of it, by its position. Pure: what a history says goes in,
 * entries come out. Calls that have not ended are there without `au`.
 */

import type { CommandSpec } from '../core/history.js';
import { exportedFailure } from './execution-events.js';
import type { TimelineEntry, TimelineValue } from './export-types.js';
import { keyOf, type Position, positionOf, waitPositionOf } from './positions.js';
import {
  dimensionOf,
  type Happening,
  type Operation,
  type Outcome,
  type RecordedThread,
} from './recorded-operations.js';
import { compact } from './state.js';

interface TimelineOptions {
  readonly workflowId: string;
  /** False: `data` and `$error` are blank. */
  readonly values: boolean;
  /** Whether to add arguments. */
  readonly inputs: boolean;
}

interface Slot {
  readonly thread: RecordedThread;
  readonly position: Position;
  readonly entry: { -readonly [K in keyof TimelineEntry]: TimelineEntry[K] };
}

export class Timeline {
  readonly #options: TimelineOptions;
  readonly #slots: Slot[] = [];
  readonly #waiting = new WeakMap<Operation, Slot>();

  constructor(options: TimelineOptions) {
    this.#options = options;
  }

  happened(happening: Happening): void {
    if (happening.what === 'began') this.#began(happening.operation);
    else if (happening.what === 'ended') this.#ended(happening.operation, happening.outcome, happening.at);
    else {
      const { thread, index } = happening;
      this.#add(thread, { kind: 'cancelled', index }, `-cancelled${dimensionOf(thread)}-`, 1);
    }
  }

  /** In order: the main thread, hooks, later runs; by position. */
  entries(): TimelineEntry[] {
    const order = (a: Slot, b: Slot) =>
      a.thread.generation - b.thread.generation ||
      (a.thread.hookNo ?? -1) - (b.thread.hookNo ?? -1) ||
      a.position.index - b.position.index ||
      rankOf(a.position) - rankOf(b.position);
    return this.#slots.sort(order).map(({ entry }) => entry);
  }

  #began(operation: Operation): void {
    const position = positionOf(operation);
    if (position === null) return;
    const { thread, command } = operation;
    const waitPosition = waitPositionOf(operation) as Position;
    if (command.kind === 'hook') {
      this.#add(thread, position, keyOf(operation, position), 1);
      if (command.spec.signalId === null) return;
    }
    const slot = this.#add(thread, waitPosition, keyOf(operation, waitPosition), this.#begun(operation));
    this.#waiting.set(operation, slot);
  }

  #add(thread: RecordedThread, position: Position, key: string, value: TimelineValue): Slot {
    const dimension = dimensionOf(thread);
    const { index, secondary } = position;
    const entry = {
      key,
      value,
      index,
      ...(secondary !== undefined && { secondary }),
      ...(dimension !== '' && { dimension }),
    };
    const slot = { thread, position, entry };
    this.#slots.push(slot);
    return slot;
  }

  #begun({ thread, command, at }: Operation): TimelineValue {
    const ac = compact(at);
    switch (command.kind) {
      case 'activity': {
        const job_id = `-${this.#options.workflowId}-$${command.name}${dimensionOf(thread)}-${command.counter}`;
        return { ...this.#inputOf(command.spec), ac, job_id };
      }
      case 'child':
        return { ...this.#inputOf(command.spec), ac, job_id: command.spec.workflowId };
      case 'timer':
        return { duration: command.spec.ms / 1000, ac };
      case 'wait':
      case 'hook':
        return { type: 'wait', data: this.#shown({ id: command.spec.signalId }), ac };
      case 'search':
      case 'entity':
        return null; // until its step is durable
      case 'patch':
        return true;
      default:
        return 1;
    }
  }

  #ended(operation: Operation, outcome: Outcome, at: number): void {
    const slot = this.#waiting.get(operation);
    if (slot === undefined) return;
    this.#waiting.delete(operation);
    const { value } = slot.entry;
    const { command } = operation;
    if (command.kind === 'search' || command.kind === 'entity') {
      slot.entry.value = this.#answerOf(command, outcome);
    } else if (typeof value === 'object') {
      slot.entry.value = { ...value, ...this.#outcomeOf(operation, outcome), au: compact(at) };
      if (outcome.how === 'fired' && command.kind !== 'timer') {
        slot.entry.value = { timedOut: true, ac: compact(operation.at), au: compact(at) };
      }
    } else if (outcome.how === 'failed') {
      slot.entry.value = { $error: this.#shown(exportedFailure(outcome.failure)) };
    }
  }

  #outcomeOf({ command }: Operation, outcome: Outcome): Record<string, unknown> {
    if (outcome.how === 'failed') return { $error: this.#shown(exportedFailure(outcome.failure)) };
    if (outcome.how === 'signaled' && (command.kind === 'wait' || command.kind === 'hook'))
      return { data: this.#shown({ id: command.spec.signalId, data: outcome.value }) };
    if (command.kind === 'child' && !command.spec.awaited) return { data: this.#shown(command.spec.workflowId) };
    return outcome.how === 'done' ? { data: this.#shown(outcome.value) } : {};
  }

  /** What a call of a session gave: text or a number as it is, all else as JSON. */
  #answerOf(command: Extract<Operation['command'], { kind: 'search' | 'entity' }>, outcome: Outcome): TimelineValue {
    if (outcome.how === 'failed') return { $error: this.#shown(exportedFailure(outcome.failure)) };
    const value = command.name === 'set' ? answerOfSet(command) : outcome.how === 'done' ? outcome.value : null;
    return typeof value === 'string' || typeof value === 'number' ? value : JSON.stringify(value ?? null);
  }

  #inputOf({ args }: Pick<CommandSpec['activity'], 'args'>): { input?: unknown } {
    return this.#options.inputs ? { input: JSON.parse(args) } : {};
  }

  #shown(value: unknown): unknown {
    return this.#options.values ? value : {};
  }
}

/** Among what shares an index: the calls of a session in their order, then what counts as no call. */
function rankOf({ kind, secondary }: Position): number {
  if (kind === 'patch' || kind === 'cancelled') return Number.MAX_SAFE_INTEGER;
  return secondary ?? -1;
}

/** The database has nothing to tell of what replaces: search.set gives the number of fields, entity.set the document. */
function answerOfSet({ kind, spec }: { kind: 'search' | 'entity'; spec: { args: string } }): unknown {
  const [given] = JSON.parse(spec.args) as [unknown];
  return kind === 'search' && typeof given === 'object' && given !== null ? Object.keys(given).length : given;
}
