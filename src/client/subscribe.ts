/** Subscribing to emitted events: what may be asked for, and how it reads to the database. */

import * as v from 'valibot';
import { decodePayload } from '../codec/payload.js';
import type { Seal } from '../codec/payload-codec.js';
import { InvalidArgumentError } from '../core/errors.js';
import { callback, identifier, parseOptions, wholeNumber } from '../core/options.js';
import type { EmissionRow } from '../postgres/protocol/emissions.js';
import type { Link } from './link.js';
import type { Emission, EmissionCallback, Subscription } from './subscription.js';

/** Options of `client.workflow.subscribe`. Without any of the first three: all events of the namespace. */
export interface SubscribeOptions {
  /** Events of this workflow only, over all runs of its chain. It need not exist yet. */
  readonly workflowId?: string;
  /** Events of this topic only. */
  readonly topic?: string;
  /** Events of topics like this, where `*` stands for any characters: `'order.*'`. Not together with `topic`. */
  readonly pattern?: string;
  /**
   * Begins behind this position: that of the last event that was dealt with, or 0 for all that are still kept. Default:
   * only what is emitted from now on.
   */
  readonly from?: number;
  /** Default: the client's, else `'durable'`. */
  readonly namespace?: string;
}

const subscribeShape = v.strictObject({
  workflowId: v.optional(identifier),
  topic: v.optional(identifier),
  pattern: v.optional(identifier),
  from: v.optional(wholeNumber(0)),
  namespace: v.optional(v.string('text')),
});

/** @param linkTo The client's way to a namespace. */
export async function subscribe(
  linkTo: (namespace?: string) => Promise<Link>,
  options: SubscribeOptions,
  heard: EmissionCallback,
  seal: Seal,
): Promise<Subscription> {
  const {
    workflowId = null,
    topic = null,
    pattern = null,
    from = null,
    namespace,
  } = parseOptions('subscribe', subscribeShape, options);
  parseOptions('subscribe', v.strictObject({ callback }), { callback: heard });
  if (topic !== null && pattern !== null)
    throw new InvalidArgumentError('subscribe: topic must not be given together with pattern. Leave one out');
  const link = await linkTo(namespace);
  return link.subscribe({ workflowId, topic, pattern: pattern === null ? null : likeText(pattern) }, from, (row) =>
    heard(emissionOf(row, seal)),
  );
}

function likeText(pattern: string): string {
  return pattern.replaceAll(/[\\%_]/g, '\\$&').replaceAll('*', '%');
}

function emissionOf(row: EmissionRow, seal: Seal): Emission {
  return {
    position: row.emission_no,
    topic: row.topic,
    data: decodePayload(row.payload, seal),
    workflowId: row.workflow_id,
    run: row.run,
    emittedAt: new Date(row.emitted_ms),
  };
}
