import { encodePayload } from '../codec/payload.js';
import { fingerprint } from '../core/fingerprint.js';
import type { TraceAttributes } from '../core/history.js';
import { holdsFields } from '../core/holds-fields.js';
import { identifierRuleFor, isIdentifier } from '../core/identifier.js';
import { parseOptions } from '../core/options.js';
import { refusal } from '../core/refusal.js';
import { unawaited } from '../core/unawaited.js';
import { contextOf } from './context.js';
import { type OnceOptions, onceOptions } from './emit.js';

/**
 * Reports an OpenTelemetry span with these attributes, named after the workflow and linked to its trace. The attributes are
 * part of the commit of this step; the span is reported by the process that commits it, once it is durable, and by no
 * replay. A process that dies between the two reports none.
 *
 * Nothing is reported where the program has no `@opentelemetry/api`, or no SDK behind it.
 *
 * @returns true.
 * @throws {InvalidArgumentError} for attributes that are not text, finite numbers or booleans.
 *
 * @example
 * await Durable.workflow.trace({ orderId, 'order.total': 99.5 });
 */
export function trace(attributes: TraceAttributes, options: OnceOptions = {}): Promise<boolean> {
  return unawaited(traceStep(attributes, options));
}

async function traceStep(given: TraceAttributes, options: OnceOptions): Promise<boolean> {
  const { instance } = contextOf('trace');
  const attributes = encodePayload(checkAttributes(given), 'attributes') as string;
  const { once = true } = parseOptions('trace', onceOptions, options);
  const counter = once ? instance.tick() : instance.counter;
  await instance.sideEffect(
    { kind: 'trace', name: '', fingerprint: fingerprint(attributes), counter, spec: { attributes } },
    { once },
  );
  return true;
}

/** A copy: what the workflow changes later is not reported. */
function checkAttributes(given: unknown): TraceAttributes {
  if (!holdsFields(given)) throw refusal('trace', 'attributes', { must: 'an object of attributes by name' }, given);
  return Object.fromEntries(
    Object.entries(given).map(([key, value]: [string, unknown]) => {
      if (!isIdentifier(key)) throw refusal('trace', 'each attribute name', identifierRuleFor(key), key);
      if (typeof value === 'boolean' || Number.isFinite(value)) return [key, value as boolean | number];
      // History is text in Postgres, which cannot hold half a character.
      if (typeof value === 'string') return [key, value.toWellFormed()];
      throw refusal(
        'trace',
        `attributes[${JSON.stringify(key)}]`,
        { must: 'text, a finite number or a boolean' },
        value,
      );
    }),
  );
}
