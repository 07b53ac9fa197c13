/**
 * What a history says about each durable call: when it was made, when it ended, and how. Pure: recorded steps in, happenings
 * out, in the order of the steps; holds only the calls that have not ended.
 */

import { CancelledFailure, DuplicateJobError, SignalQuotaError } from '../core/errors.js';
import { childError, type Failure, failureFromError, finalActivityError } from '../core/failure.js';
import type { Command, Decision, Event, RecordedStep } from '../core/history.js';
import { hookRefused } from '../core/hook-options.js';

/** A thread whose steps are told. */
export interface RecordedThread {
  readonly threadNo: number;
  /** 0, and one more with each continueAsNew. */
  readonly generation: number;
  /** Null: the main thread of its run. */
  readonly hookNo: number | null;
  readonly workflowName: string;
}

/** A durable call. */
export interface Operation {
  readonly thread: RecordedThread;
  readonly command: Command;
  /** When it was made, ms since the epoch. */
  readonly at: number;
  /** The entry of its thread's history that it was recorded in. */
  readonly entry: number;
}

export type Outcome =
  | { readonly how: 'done'; readonly value: unknown }
  | { readonly how: 'failed'; readonly failure: Failure }
  /** A timer fired. */
  | { readonly how: 'fired' }
  | { readonly how: 'signaled'; readonly value: unknown };

export type Happening =
  | { readonly what: 'began'; readonly operation: Operation }
  | {
      readonly what: 'ended';
      readonly operation: Operation;
      readonly outcome: Outcome;
      readonly at: number;
      readonly entry: number;
    }
  /** The thread learned of a cancel request. `index`: how many calls it had made. */
  | { readonly what: 'cancelled'; readonly thread: RecordedThread; readonly index: number; readonly at: number };

/** Address of a thread: `''` for the main one of the first run, `,0,{n}` for hooks, behind `${n}` for later runs. */
export function dimensionOf({ generation, hookNo }: RecordedThread): string {
  return `${generation === 0 ? '' : `$${generation}`}${hookNo === null ? '' : `,0,${hookNo}`}`;
}

interface Line {
  readonly open: Map<number, Operation>;
  /** The highest position of its calls. */
  index: number;
}

export class RecordedOperations {
  readonly #lines = new Map<number, Line>();

  /** What one step of a thread says. Steps of a thread come in their order. */
  *happenings(thread: RecordedThread, step: RecordedStep): Generator<Happening> {
    const { event, now: at, entry } = step;
    const line = this.#line(thread.threadNo);
    if (event.kind === 'cancel') yield { what: 'cancelled', thread, index: line.index, at };
    for (const op of endedBy(event)) {
      const operation = line.open.get(op);
      if (operation === undefined) continue;
      line.open.delete(op);
      yield { what: 'ended', operation, outcome: outcomeOf(operation.command, event), at, entry };
    }
    for (const { op, command } of step.commands) {
      const operation = { thread, command, at, entry };
      line.index = Math.max(line.index, command.counter);
      if (op !== null) line.open.set(op, operation);
      yield { what: 'began', operation };
    }
  }

  /** Nothing more comes of the thread. */
  forget({ threadNo }: RecordedThread): void {
    this.#lines.delete(threadNo);
  }

  #line(threadNo: number): Line {
    const known = this.#lines.get(threadNo);
    if (known !== undefined) return known;
    const line = { open: new Map(), index: 0 };
    this.#lines.set(threadNo, line);
    return line;
  }
}

function endedBy(event: Event): readonly number[] {
  if (event.kind === 'cancel') return event.ops;
  if (event.kind === 'cancelled') return [event.op, ...event.ops];
  return 'op' in event ? [event.op] : [];
}

function outcomeOf(command: Command, event: Event): Outcome {
  switch (event.kind) {
    case 'done':
      return { how: 'done', value: event.value };
    case 'fail':
      return { how: 'failed', failure: failureAsSeen(command, event.failure) };
    case 'fire':
      return { how: 'fired' };
    case 'signal':
      return { how: 'signaled', value: event.value };
    case 'decided':
      return decided(command, event.decision);
    case 'cancel':
    case 'cancelled':
      // The scope whose cancelling the code asked for is done with it; what was pending in it is not.
      return command.kind === 'cancel'
        ? { how: 'done', value: undefined }
        : { how: 'failed', failure: failureFromError(new CancelledFailure()) };
    default:
      return { how: 'done', value: undefined };
  }
}

/** As the code got it: with the class and code that say what became of the retries, and the stack of where it happened. */
function failureAsSeen(command: Command, failure: Failure): Failure {
  const error = command.kind === 'activity' ? finalActivityError(failure) : childError(failure);
  return { ...failureFromError(error), stack: failure.stack };
}

function decided(command: Command, decision: Decision): Outcome {
  switch (decision.what) {
    case 'signal':
      return { how: 'signaled', value: decision.value };
    case 'duplicate':
      return { how: 'failed', failure: failureFromError(new DuplicateJobError(decision.id)) };
    case 'unhooked': {
      const workflowId = (command.kind === 'hook' ? command.spec.workflowId : null) ?? '';
      return { how: 'failed', failure: failureFromError(hookRefused(workflowId, decision.reason)) };
    }
    case 'full':
      return {
        how: 'failed',
        failure: failureFromError(new SignalQuotaError(command.kind === 'signal' ? command.spec.signalId : null)),
      };
    case 'refused': {
      const at = decision.at.length === 0 ? '' : ` at ${decision.at.join('.')}`;
      const message = `${command.kind}.${command.name}: refused (${decision.why})${at}`;
      return { how: 'failed', failure: { name: 'DocumentError', type: 'DocumentError', message, stack: '' } };
    }
    case 'value':
      return { how: 'done', value: decision.value };
    case 'hooked':
      return { how: 'done', value: decision.id };
    default:
      return { how: 'done', value: undefined };
  }
}
