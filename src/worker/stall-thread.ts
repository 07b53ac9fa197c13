/**
 * What runs in the thread beside the event loop: it renews the leases of a process whose loop stands still.
 *
 * Owns: noticing that the loop does not turn, a connection for each lease while that lasts, and what is said of a stall that may have no
 * end. Does not own: what is said of one behind it (stalls.ts).
 *
 * The function below is handed to the thread as its own text, so that it runs wherever the engine runs: from a bundle, and
 * from the sources. It must name nothing that stands outside of it; types do no harm.
 *
 * 1. Nobody's clock is compared with another's: the loop counts its turns, and the time is measured here.
 * 2. A process that was stopped as a whole has not stalled: time in which this thread did not run either does not count, so
 *    a process that comes back behind its lease finds out as it always did.
 * 3. A renewal counts from before it was sent.
 * 4. What is said here is written to the descriptor: everything else of this thread goes by the loop that stands still.
 */

import type { ThreadTarget } from '../postgres/thread-target.js';

/** A lease to keep. The next one of the same key takes its place; null: no more. */
export interface LeaseToKeep {
  readonly key: number;
  readonly lease: {
    readonly target: ThreadTarget;
    /** One statement that renews it, and answers `alive`. */
    readonly renewal: string;
    readonly leaseMs: number;
    /** A stall that lasts longer is not survived. */
    readonly limitMs: number;
    /** What is written to stderr when a stall has reached that: nobody else of this process may ever tell. null: nothing. */
    readonly lastWords: string | null;
    /** Until when it was renewed here, by the process's own clock in ns. */
    readonly until: BigInt64Array;
  } | null;
}

export interface ThreadData {
  /** How often the loop has turned, and whether it stands still: the first is written there, the second here. */
  readonly cells: Int32Array;
  readonly turnMs: number;
  /** From when on it counts as standing still. */
  readonly flagMs: number;
}

/** @param load Loads a module. */
export function watchFromThread(load: NodeJS.Require): void {
  const { parentPort, workerData } = load('node:worker_threads') as typeof import('node:worker_threads');
  const { writeSync } = load('node:fs') as typeof import('node:fs');
  const { cells, turnMs, flagMs } = workerData as ThreadData;

  interface Connection {
    connect(): Promise<unknown>;
    query(text: string): Promise<unknown>;
    end(): Promise<unknown>;
    on(event: 'error', heard: () => void): unknown;
    readonly connection?: { readonly stream?: { destroy(): void } };
  }
  interface Kept {
    readonly is: NonNullable<LeaseToKeep['lease']>;
    connection: Connection | null;
    busy: boolean;
    /** How long the loop has to stand still before it is renewed again. */
    nextAtMs: number;
    /** Which server is asked: the one that answered last. */
    server: number;
    /** Another worker has declared it dead. */
    lost: boolean;
    /** That this stall has reached its limit was said. */
    told: boolean;
  }

  const STDERR = 2;
  const leases = new Map<number, Kept>();
  let turns = -1;
  let lookedAt = process.hrtime.bigint();
  let stalledMs = 0;

  parentPort?.on('message', ({ key, lease }: LeaseToKeep) => {
    const before = leases.get(key);
    if (before !== undefined) leave(before);
    if (lease === null) leases.delete(key);
    else
      leases.set(key, { is: lease, connection: null, busy: false, nextAtMs: 0, server: 0, lost: false, told: false });
  });
  setInterval(look, turnMs);

  function look(): void {
    const now = process.hrtime.bigint();
    const passedMs = Number(now - lookedAt) / 1e6;
    lookedAt = now;
    const counted = Atomics.load(cells, 0);
    if (counted !== turns) {
      turns = counted;
      if (stalledMs > 0) for (const kept of leases.values()) rest(kept);
      stalledMs = 0;
      return;
    }
    stalledMs += Math.min(passedMs, 2 * turnMs);
    if (stalledMs >= flagMs) Atomics.store(cells, 1, 1);
    for (const kept of leases.values()) {
      const { leaseMs, limitMs } = kept.is;
      if (stalledMs > limitMs) tell(kept);
      if (stalledMs < leaseMs / 4) continue;
      if (kept.busy || kept.lost || stalledMs < kept.nextAtMs || stalledMs > limitMs) continue;
      kept.nextAtMs = stalledMs + leaseMs / 4;
      kept.busy = true;
      renew(kept)
        .catch(() => {
          leave(kept);
          if (stalledMs === 0) return; // over: the connection was closed under it
          kept.server++;
          kept.nextAtMs = stalledMs + leaseMs / 16;
        })
        .finally(() => {
          kept.busy = false;
        });
    }
  }

  async function renew(kept: Kept): Promise<void> {
    const { leaseMs, renewal, until } = kept.is;
    const connection = kept.connection ?? (await connect(kept));
    const sentAt = process.hrtime.bigint();
    // The role's own default may be another level, and a pooler may be in between.
    const answers = await connection.query(`begin isolation level read committed; ${renewal}; commit`);
    const [, answer] = answers as { rows: { alive: boolean }[] }[];
    if (answer?.rows[0]?.alive === true) Atomics.store(until, 0, sentAt + BigInt(Math.floor(leaseMs * 1e6)));
    else kept.lost = true;
  }

  async function connect(kept: Kept): Promise<Connection> {
    const { target, leaseMs } = kept.is;
    const { Client, defaults } = load(target.module) as {
      Client: new (options: Record<string, unknown>) => Connection;
      defaults: object;
    };
    Object.assign(defaults, target.defaults);
    const connection = new Client({
      keepAlive: true,
      ...target.servers[kept.server % target.servers.length],
      application_name: 'perdure stall',
      connectionTimeoutMillis: leaseMs / 4,
      query_timeout: leaseMs / 4,
    });
    connection.on('error', () => {});
    kept.connection = connection;
    await connection.connect();
    return connection;
  }

  function tell(kept: Kept): void {
    const { lastWords } = kept.is;
    if (kept.told || lastWords === null) return;
    kept.told = true;
    try {
      writeSync(STDERR, lastWords);
    } catch {
      // closed, or a pipe that is full because its reader is this very loop
    }
  }

  /** The loop turns again, and renews its leases itself. */
  function rest(kept: Kept): void {
    leave(kept);
    kept.nextAtMs = 0;
    kept.told = false;
  }

  function leave(kept: Kept): void {
    const { connection, busy } = kept;
    kept.connection = null;
    if (connection === null) return;
    if (busy) connection.connection?.stream?.destroy();
    else connection.end().catch(() => connection.connection?.stream?.destroy());
  }
}
