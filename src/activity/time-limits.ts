/**
 * The time limits of one attempt, as the process it runs in watches them. Measured from when the attempt began here, which
 * is behind what the database counts from: never early.
 */

import { type ActivityTimeoutType, DurableTimeoutError } from '../core/errors.js';
import type { LazyAbort } from './lazy-abort.js';

export interface AttemptLimits {
  readonly startToCloseMs: number | null;
  readonly heartbeatMs: number | null;
  readonly scheduleToCloseMs: number | null;
  /** What is left of scheduleToClose when the attempt begins. */
  readonly closeInMs: number | null;
}

/** Longest span a Node timer can be armed for without overflowing. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const words: Readonly<Record<ActivityTimeoutType, string>> = {
  START_TO_CLOSE: 'startToCloseTimeout',
  SCHEDULE_TO_CLOSE: 'scheduleToCloseTimeout',
  SCHEDULE_TO_START: 'scheduleToStartTimeout',
  HEARTBEAT: 'heartbeatTimeout',
};

function timeoutError(activityName: string, timeoutType: ActivityTimeoutType, ms: number): DurableTimeoutError {
  const message = `Activity '${activityName}' exceeded ${words[timeoutType]} of ${ms / 1000}s`;
  return Object.assign(new DurableTimeoutError(message), { timeoutType });
}

export class TimeLimits {
  /** Rejects when a limit is exceeded; the signal is aborted then, with the same error. */
  readonly reached: Promise<never>;
  readonly #activityName: string;
  readonly #limits: AttemptLimits;
  readonly #abort: LazyAbort;
  readonly #startedAt = performance.now();
  #reject: (error: Error) => void = () => {};
  #beatAt = this.#startedAt;
  #timer: NodeJS.Timeout | undefined;
  #error: DurableTimeoutError | null = null;

  constructor(activityName: string, limits: AttemptLimits, abort: LazyAbort) {
    this.#activityName = activityName;
    this.#limits = limits;
    this.#abort = abort;
    this.reached = new Promise<never>((_, reject) => {
      this.#reject = reject;
    });
    this.reached.catch(() => {});
    this.#look();
  }

  /** The error of the limit that was exceeded. */
  get error(): DurableTimeoutError | null {
    return this.#error;
  }

  /** Another attempt may keep it. */
  get retryable(): boolean {
    return this.#error?.timeoutType !== 'SCHEDULE_TO_CLOSE';
  }

  beat(): void {
    this.#beatAt = performance.now();
  }

  clear(): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    const [dueAt, type, ms] = this.#earliest();
    const left = dueAt - performance.now();
    // A Node timer may fire a fraction of a millisecond early.
    if (left > 0) this.#timer = setTimeout(() => this.#look(), Math.min(MAX_TIMER_MS, Math.ceil(left)));
    else this.#exceeded(timeoutError(this.#activityName, type, ms));
  }

  #earliest(): [number, ActivityTimeoutType, number] {
    const { startToCloseMs, heartbeatMs, scheduleToCloseMs, closeInMs } = this.#limits;
    let earliest: [number, ActivityTimeoutType, number] = [Infinity, 'START_TO_CLOSE', Infinity];
    const consider = (since: number, span: number | null, type: ActivityTimeoutType, ms = span) => {
      if (span !== null && since + span < earliest[0]) earliest = [since + span, type, ms ?? span];
    };
    consider(this.#startedAt, closeInMs, 'SCHEDULE_TO_CLOSE', scheduleToCloseMs);
    consider(this.#startedAt, startToCloseMs, 'START_TO_CLOSE');
    consider(this.#beatAt, heartbeatMs, 'HEARTBEAT');
    return earliest;
  }

  #exceeded(error: DurableTimeoutError): void {
    this.#error = error;
    this.#reject(error);
    this.#abort.abort(error);
  }
}
