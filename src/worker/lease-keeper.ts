/**
 * What a host has to do with stalls: the lease that the thread keeps for it, and what is said when one is over.
 *
 * Owns: how long the lease holds that the thread renewed. Does not own: the lease itself (registration.ts), the thread (stalls.ts).
 */

import type { Database } from '../postgres/database.js';
import { quoteIdentifier } from '../postgres/quoting.js';
import { type ThreadTarget, threadTarget } from '../postgres/thread-target.js';
import { consoleLine } from '../telemetry/logger.js';
import type { HostContext } from './host-context.js';
import type { ResolvedTuning, ResolvedWorker } from './options.js';
import type { RunningActivities } from './running-activities.js';
import { type Stall, type StallWatcher, stalls } from './stalls.js';

/** Taken before anybody puts something in its place. */
const processNs = process.hrtime.bigint;

/** Said by the thread. */
const BEYOND_LIMIT =
  'code has held up the event loop for longer than stallLimit; the lease is renewed no more, and others take over';

/** Of the activities that may have done it. */
const NAMED_AT_MOST = 5;

/** How long a lease is. Nobody else could take over an embedded database, and who opens it next waits for no lease. */
export function leaseMsFor(kind: Database['kind'], { leaseMs, stallLimitMs }: ResolvedTuning): number {
  return kind === 'pglite' ? leaseMs + stallLimitMs : leaseMs;
}

export class LeaseKeeper implements StallWatcher {
  readonly #host: HostContext;
  readonly #running: () => RunningActivities;
  readonly #target: ThreadTarget | null;
  /** Why the thread cannot renew the lease; null: it can, or need not. */
  readonly #unkept: string | null;
  readonly #watching = stalls.watch(this);
  /** By the process's own clock, in ns. */
  #until: BigInt64Array = new BigInt64Array(1);

  constructor(host: HostContext, connection: ResolvedWorker['connection'], running: () => RunningActivities) {
    this.#host = host;
    this.#running = running;
    const target = host.kind === 'pglite' || host.tuning.stallLimitMs === 0 ? null : threadTarget(connection);
    this.#target = typeof target === 'string' ? null : target;
    this.#unkept = typeof target === 'string' ? `the connection ${target}` : null;
  }

  /** Has the lease of a worker kept from now on, and none before it. */
  keep(workerNo: number): void {
    if (this.#target === null) return;
    const { namespace, schema, tuning } = this.#host;
    const { leaseMs, stallLimitMs: limitMs, logLevel } = tuning;
    const renewal = `select ${quoteIdentifier(schema)}.renew_lease(${workerNo}, ${Math.ceil(leaseMs)}) as alive`;
    this.#until = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));
    // Not by the logger of the user: that needs the loop.
    const fields = { namespace, workerNo, pid: process.pid, stallLimitMs: limitMs };
    const lastWords = logLevel === 'silent' ? null : consoleLine('error', BEYOND_LIMIT, fields);
    this.#watching.keep({ target: this.#target, renewal, leaseMs, limitMs, lastWords, until: this.#until });
  }

  /** Keeps none until it is told of the next. */
  drop(): void {
    this.#until = new BigInt64Array(1);
    this.#watching.keep(null);
  }

  /** Whether the thread has renewed the lease, and it is not over. Asked where it seems to be. */
  get holds(): boolean {
    return Atomics.load(this.#until, 0) > processNs();
  }

  turned({ ms, by, computing }: Stall): void {
    const { namespace, tuning, registration, logger, metrics } = this.#host;
    if (ms < tuning.leaseMs / 4) return;
    const leaseKept = registration.alive;
    const fields = { namespace, stalledMs: Math.round(ms), leaseKept };
    if (!computing) {
      logger.warn(fields, 'the process stood still');
      return;
    }
    const who = by ?? { activities: this.#running().names(NAMED_AT_MOST) };
    logger.warn(
      { ...fields, ...who, ...(!leaseKept && this.#unkept !== null && { unkept: this.#unkept }) },
      'code held up the event loop',
    );
    metrics.stalled(ms);
  }

  failed(error: unknown): void {
    this.#host.callFailed('the thread that keeps the lease', error);
  }

  close(): void {
    this.drop();
    this.#watching.leave();
  }
}
