import * as v from 'valibot';
import { flag, interval, parseOptions } from '../core/options.js';
import type { Link } from './link.js';

/** Options of `client.prune`. */
export interface PruneOptions {
  /** A duration, e.g. `'30 days'`, or milliseconds: what ended longer ago is pruned. */
  readonly olderThan: string | number;
  /** Only counts. Default false. */
  readonly dryRun?: boolean;
  /** Default: the client's. */
  readonly namespace?: string;
}

const pruneShape = v.strictObject({
  olderThan: interval,
  dryRun: v.optional(flag),
  namespace: v.optional(v.string('text')),
});

/** See {@link Client.prune}. */
export async function prune(
  reach: (namespace?: string) => Promise<Link>,
  options: PruneOptions,
): Promise<{ readonly executions: number }> {
  const { olderThan, dryRun = false, namespace } = parseOptions('prune', pruneShape, options);
  return { executions: await (await reach(namespace)).prune(olderThan / 1000, dryRun) };
}
