/**
 * A durable call that waits for its event.
 *
 * One promise per call, read from its event when that comes: a promise costs a worker an allocation and, with async
 * context, a hook; a chain of five of them was a third of a step's CPU.
 */

import type { Command, Event } from '../core/history.js';

export type ActivityFunction = (...args: never[]) => unknown;

/** The cancellation scope in which a call was made. */
export interface CallScope {
  /** Whether cancelling the workflow reaches it: no scope around it is shielded. */
  readonly reached: boolean;
  /** Whether the code has cancelled it, or one around it that reaches it. */
  readonly cancelled: boolean;
}

/** By which scope a call may be cancelled; false: by none. (Not `true`, which `cancellable && x` would make of a scope.) */
export type Cancellable = false | CallScope;

/** The scope that is a workflow itself. */
export const WORKFLOW_SCOPE: CallScope = { reached: true, cancelled: false };

export interface OperationOptions {
  /** What may cancel it; see {@link Cancellable}. */
  readonly cancellable: Cancellable;
  readonly implementation?: ActivityFunction | null;
}

/** What an event means to the caller; may throw. The command is the recorded one, whose ids count. */
export type ReadEvent<T> = (event: Event, command: Command) => T;

export class PendingOperation<T = unknown> {
  /** Set when the call has its place; see {@link open}. */
  op = -1;
  /** As recorded: after a replay its ids are the recorded ones. */
  command: Command;
  readonly cancellable: Cancellable;
  /** The function of an activity, where the call itself brought it along. */
  readonly implementation: ActivityFunction | null;
  readonly promise: Promise<T>;
  readonly #read: ReadEvent<T>;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;

  constructor(command: Command, options: OperationOptions, read: ReadEvent<T>) {
    this.command = command;
    this.cancellable = options.cancellable;
    this.implementation = options.implementation ?? null;
    this.#read = read;
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** It has its place in the history. */
  open(op: number, command: Command): void {
    this.op = op;
    this.command = command;
  }

  settle(event: Event): void {
    let value: T;
    try {
      value = this.#read(event, this.command);
    } catch (error) {
      this.reject(error);
      return;
    }
    this.#resolve(value);
  }

  /** A workflow may leave a call unawaited; its rejection must not end the process. */
  reject(error: unknown): void {
    this.promise.catch(() => {});
    this.#reject(error);
  }
}
