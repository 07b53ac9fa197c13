import { parseDuration } from '../core/duration.js';
import { unawaited } from '../core/unawaited.js';
import { contextOf } from './context.js';

/**
 * Waits durably: for a second or for a year, through crashes and deploys, without holding anything.
 *
 * @param duration A string in the grammar of `ms` (`'30s'`, `'2 minutes'`, `'7d'`), or a number of **milliseconds**.
 *   Zero and less resolve at once, without a timer.
 * @returns The requested length in seconds. Never early by the database's clock.
 * @throws {InvalidArgumentError} when the duration cannot be read or is longer than 100 years.
 * @throws {CancelledFailure} when the workflow is cancelled meanwhile.
 *
 * @example
 * await Durable.workflow.sleep('1 hour');
 */
export function sleep(duration: string | number): Promise<number> {
  return unawaited(sleepDurably(duration));
}

async function sleepDurably(duration: string | number): Promise<number> {
  const { instance, cancellable } = contextOf('sleep');
  const ms = parseDuration('sleep', duration);
  const counter = instance.tick();
  if (ms > 0) {
    await instance.operation({ kind: 'timer', name: '', fingerprint: ms | 0, counter, spec: { ms } }, { cancellable });
  }
  return ms / 1000;
}
