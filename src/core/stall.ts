/**
 * A *stall*: a stretch in which the event loop of the process does not turn, because code computes without awaiting anything.
 *
 * Whose code it was is seen at its end. A thread sets a flag while the loop stands still; the code that comes back calls the
 * engine next (it ends, or makes a durable call), and that finds the flag set before anything else has run. So an ordinary
 * step pays for a look at a number. Keeping who runs in a variable would cost the same and name the wrong one: of ten
 * workflows that go on in one turn the last to be given something, not the one that computes.
 */

/** Code that may stall the loop. */
export interface Stalling {
  /** Who it is, for the log. Asked for only when it did. */
  whoRuns(): Record<string, unknown>;
}

/** How often the loop has turned. Written by the loop. */
export const TURNS = 0;
/** 1 while it stands still. Set by the thread that watches it, cleared by the loop. */
export const STALLED = 1;

/** Shared with the thread. */
export const stallCells = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));

let by: Stalling | null = null;

/** `who` has run up to this moment. The first to say so behind a stall was it. */
export function ranUntilNow(who: Stalling): void {
  if (stallCells[STALLED] !== 0) by ??= who;
}

/** Who was it, told once. */
export function takeStalling(): Stalling | null {
  const found = by;
  by = null;
  return found;
}
