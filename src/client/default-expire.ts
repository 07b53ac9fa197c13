import { maxDurationMs } from '../core/duration.js';
import { InvalidArgumentError } from '../core/errors.js';

/**
 * Seconds that workflows are kept whose start does not say so: those of the environment's `HMSH_EXPIRE_JOB_SECONDS`, as programs
 * written for HotMesh have it; null, which is seven days, without one.
 *
 * @throws {InvalidArgumentError} when it is no number of seconds from 0 to 100 years.
 */
export function defaultExpireS(call: string): number | null {
  const text = process.env.HMSH_EXPIRE_JOB_SECONDS?.trim();
  if (text === undefined || text === '') return null;
  const seconds = Number(text);
  if (seconds >= 0 && seconds <= maxDurationMs / 1000) return seconds;
  throw new InvalidArgumentError(
    `${call}: the environment's HMSH_EXPIRE_JOB_SECONDS must be a number of seconds from 0 to 100 years; got ${JSON.stringify(text)}`,
  );
}
