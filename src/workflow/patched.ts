import { checkIdentifier } from '../core/identifier.js';
import { contextOf } from './context.js';

/**
 * Guards changed code, so that runs begun with the old code keep to it and everything new takes the new way.
 *
 * True when the code at this point has never run before, or ran with this patch; false when this run's history shows
 * that the old code ran here. Correct at every position, in loops and in parallel branches.
 *
 * @example
 * if (await Durable.workflow.patched('notify-by-sms')) await sms(order);
 * else await email(order);
 */
export async function patched(changeId: string): Promise<boolean> {
  return mark('patched', changeId);
}

/** Stands where `patched(changeId)` stood once no run begun before the change is open any more; keeps newer runs replayable. */
export function deprecatePatch(changeId: string): void {
  mark('deprecatePatch', changeId);
}

function mark(call: string, changeId: string): boolean {
  const { instance } = contextOf(call);
  checkIdentifier(call, 'changeId', changeId);
  return instance.patched({ kind: 'patch', name: changeId, fingerprint: 0, counter: instance.counter, spec: {} });
}
