/**
 * Feeds a recorded history to a fresh instance, event by event, one macrotask turn after each.
 *
 * Events delivered together would let one more async wrapper (an interceptor) turn the order of commands round; with a
 * turn between them it cannot. Replay has no clock and no I/O of its own: turns and patience come through a port.
 */

import type { Instance } from './instance.js';
import type { Recording } from './recording.js';

export interface ReplayPort {
  /** Resolves when all microtasks of the delivery have run: what comes later is late. */
  drained(): Promise<void>;
  /** Resolves after one macrotask turn. */
  turn(): Promise<void>;
  /** Resolves with false when `ms` passed before `until` did. */
  patience(until: Promise<void>, ms: number): Promise<boolean>;
}

/** How long a recorded command that has not come yet is waited for. */
const LATE_COMMAND_MS = 10_000;

/**
 * Leaves the instance as it was after its last recorded step.
 * @throws {NondeterminismError} when the code does something else than the history records.
 */
export async function replay(
  instance: Instance,
  recording: Recording,
  port: ReplayPort,
  lateCommandMs = LATE_COMMAND_MS,
): Promise<void> {
  for (const [index, step] of recording.steps.entries()) {
    recording.enter(index);
    instance.enter(step.entry);
    // Asked for before the function does anything, as live: code that takes one turn comes behind what is delivered next.
    const turn = port.turn();
    instance.deliver(step.event, step.now);
    await port.drained();
    instance.endTurn();
    recording.endTurn();
    await turn;
    if (!recording.complete && !instance.ended && !recording.hopeless) {
      const delay = step.event.kind === 'late' ? step.event.delayMs : 0;
      if (!(await port.patience(recording.completed(), Math.max(lateCommandMs, 3 * delay)))) recording.pairHeld();
      // Live, the code had the rest of its turn before anything else was delivered.
      await port.turn();
    }
    recording.leave();
  }
  // A late command that was under way when the last process died may have come already: it is new, and stays taken.
  recording.finish();
  instance.enter(Number.POSITIVE_INFINITY);
}
