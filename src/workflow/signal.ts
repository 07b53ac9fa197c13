import { encodePayload } from '../codec/payload.js';
import { parseDuration } from '../core/duration.js';
import { SignalQuotaError } from '../core/errors.js';
import { fingerprint } from '../core/fingerprint.js';
import { checkSignalId } from '../core/identifier.js';
import { unawaited } from '../core/unawaited.js';
import { contextOf } from './context.js';

/** How long a signal that nobody awaits yet is kept, unless `expire` says otherwise. */
const SIGNAL_EXPIRE_MS = 10 * 60 * 1000;

/**
 * Sends a signal to whoever has waited longest for `signalId` in the namespace; keeps it for the first waiter when there
 * is none. Part of the commit of this step: sent exactly once, also when the call is not awaited.
 *
 * @param expire How long it is kept when nobody waits. Default 10 minutes.
 * @returns `'delivered'` or `'buffered'`.
 * @throws {SignalQuotaError} when as many are kept under the id as may be: see docs/overload.md.
 */
export function signal(signalId: string, data?: unknown, expire?: string | number): Promise<string> {
  return unawaited(sendSignal(signalId, data, expire));
}

async function sendSignal(signalId: string, data?: unknown, expire?: string | number): Promise<string> {
  const { instance } = contextOf('signal');
  checkSignalId('signal', signalId);
  const payload = encodePayload(data, 'data');
  const expireMs = expire === undefined ? SIGNAL_EXPIRE_MS : parseDuration('signal', expire, 'expire');
  const counter = instance.tick();
  const { event } = await instance.operation(
    { kind: 'signal', name: '', fingerprint: fingerprint(signalId), counter, spec: { signalId, payload, expireMs } },
    { cancellable: false },
  );
  const what = event.kind === 'decided' ? event.decision.what : 'usual';
  if (what === 'full') throw new SignalQuotaError(signalId);
  return what === 'buffered' ? 'buffered' : 'delivered';
}
