import { ConnectionError } from '../core/errors.js';
import { SqlError } from './sql-error.js';

/** How long a call whose row is held by somebody's open transaction rests before it is sent again. */
const PAUSE_MS = 20;

/** Whether a call gave up waiting for a row that somebody's transaction holds. */
export function isHeld(error: unknown): boolean {
  return error instanceof SqlError && error.code === '55P03';
}

export function restFromHeldRow(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

/**
 * Sends a single call again and again while a row it needs is held by somebody's open transaction. Each attempt waits
 * 100 ms at most, so that whoever shares the lane gets its turn in between.
 *
 * @throws {ConnectionError} when the row was not let go within `giveUpAfterMs`.
 */
export async function untilFree<T>(call: () => Promise<T>, giveUpAfterMs = Number.POSITIVE_INFINITY): Promise<T> {
  const deadline = performance.now() + giveUpAfterMs;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isHeld(error)) throw error;
      if (performance.now() > deadline) {
        throw new ConnectionError(`a row was held by another transaction for ${giveUpAfterMs} ms`, { cause: error });
      }
      await restFromHeldRow();
    }
  }
}
