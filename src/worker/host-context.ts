/** What the parts of a host share: connections, registration, functions, clocks, and where to turn with hints and faults. */

import type { Logger } from '../core/logger.js';
import type { Database, Lane, RunTransaction } from '../postgres/database.js';
import type { ResultRow } from '../postgres/protocol/executions.js';
import type { ClaimNumbers } from './claim-numbers.js';
import type { DueHeap } from './due-heap.js';
import type { Metrics } from './metrics.js';
import type { ResolvedTuning } from './options.js';
import type { Registration } from './registration.js';
import type { Services } from './services.js';
import type { SpanReporter } from './span-reporter.js';

export interface HostLanes {
  /** Commits, one at a time. */
  readonly commit: Lane;
  /** What must not hold up the others: split batches, held rows, rare calls. */
  readonly side: Lane;
  readonly claim: Lane;
  readonly task: Lane;
  /** The lease and the housekeeping. */
  readonly lease: Lane;
}

export interface HostContext {
  readonly namespace: string;
  readonly schema: string;
  readonly lanes: HostLanes;
  readonly tuning: ResolvedTuning;
  readonly logger: Logger;
  readonly registration: Registration;
  readonly services: Services;
  readonly claims: ClaimNumbers;
  readonly due: DueHeap;
  readonly spans: SpanReporter;
  readonly metrics: Metrics;
  readonly closed: boolean;
  readonly kind: Database['kind'];
  /** Runs a user's function in a transaction of the database. */
  readonly transaction: RunTransaction;
  /** Ms; does not jump. */
  monotonic(): number;
  /** Whether hints of other processes arrive: then polling is only a safety net. */
  listening(): boolean;
  /** Passes hints on: to this process, and to others unless only this one can act on them. */
  tell(hints: string | null, options?: { readonly others: boolean }): void;
  /** A chain has ended here, durably: passes its outcome on to whoever waits in this process. */
  ended(ending: ResultRow): void;
  /** A call of the host itself failed. */
  callFailed(call: string, error: unknown): void;
}
