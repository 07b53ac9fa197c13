/**
 * A database reached through `pg`.
 *
 * Owns: how many connections are taken and which lane uses which. A user's Pool must keep one client for the user: of `max`
 * we take at most `max - 1`, one of them for LISTEN where there are 3 or more. When no more are left, lanes share. Of a Pool
 * of one nothing is kept: its client is checked out when there is something to do and destroyed after it.
 */
import type { ClientSource } from './client-source.js';
import { classSource, poolSource } from './client-source.js';
import { ConnectPacer } from './connect-pacer.js';
import type { DatabaseLogger, Lane, Listener, Row, TransactionJob, TransactionOptions } from './database.js';
import { serversOf, writableSource } from './host-list.js';
import { PgConnection } from './pg-connection.js';
import type { PgClientClass, PgPool, PgPoolClass } from './pg-driver.js';
import { PgLane } from './pg-lane.js';
import { PgListener } from './pg-listener.js';
import { PgTransactions } from './pg-transactions.js';
import { SharedDatabase } from './shared-database.js';
import { StatementNames } from './statement-names.js';

export interface PgDatabaseOptions {
  /** A pooler in transaction mode is in between: no named statements, no session settings, no LISTEN. */
  readonly pooled?: boolean;
  readonly logger?: DatabaseLogger | undefined;
  /** Told when the last user has gone. */
  readonly closed?: () => void;
}

/** How many clients the source can give, and what ends it. */
interface Supply {
  readonly source: ClientSource;
  readonly max: number;
  close(): Promise<void>;
}

const LISTEN_FROM = 3;

export function supplyFromClass(Client: PgClientClass, options: Record<string, unknown>): Supply {
  const servers = serversOf(options)?.map((server) => classSource(Client, server));
  const source = servers === undefined ? classSource(Client, options) : writableSource(servers);
  return { source, max: Number.POSITIVE_INFINITY, async close() {} };
}

/** A Pool of ours. Of several servers each has its own, of which that of the primary is used. */
export function supplyFromPoolClass(Pool: PgPoolClass, options: Record<string, unknown>): Supply {
  const servers = serversOf(options)?.map((server) => supplyFromPool(new Pool(server), true));
  const [first] = servers ?? [];
  if (servers === undefined || first === undefined) return supplyFromPool(new Pool(options), true);
  return {
    source: writableSource(servers.map(({ source }) => source)),
    max: first.max,
    async close() {
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

/** @param ours Whether we made the Pool, so it is ours to end. */
export function supplyFromPool(pool: PgPool, ours = false): Supply {
  // An idle client that breaks makes the pool emit an error, and without a listener that ends the user's process.
  const ignore = () => {};
  pool.on('error', ignore);
  return {
    source: poolSource(pool),
    max: pool.options?.max ?? 10,
    async close() {
      if (ours) await pool.end();
      pool.removeListener('error', ignore);
    },
  };
}

export class PgDatabase extends SharedDatabase {
  readonly kind = 'pg';
  readonly #supply: Supply;
  readonly #pooled: boolean;
  readonly #pacer: ConnectPacer;
  readonly #names: StatementNames;
  readonly #laneConnections: number;
  /** With the number of lanes on each. */
  readonly #connections = new Map<PgConnection, number>();
  readonly #transactions: PgTransactions;
  readonly #lanes = new Set<PgLane>();
  readonly #listeners = new Set<PgListener>();

  constructor(supply: Supply, { pooled = false, logger, closed = () => {} }: PgDatabaseOptions = {}) {
    super(closed);
    this.#supply = supply;
    this.#transactions = new PgTransactions(supply.source);
    this.#pooled = pooled;
    this.#pacer = new ConnectPacer(logger);
    this.#names = new StatementNames(!pooled, logger);
    this.#laneConnections = Math.max(1, supply.max - (this.#canListen ? 2 : 1));
  }

  get #canListen(): boolean {
    return !this.#pooled && this.#supply.max >= LISTEN_FROM;
  }

  lane(purpose: string, repeated?: () => void): Lane {
    this.assertOpen();
    const connection = this.#connectionFor(purpose);
    this.#connections.set(connection, (this.#connections.get(connection) ?? 0) + 1);
    const leave = async () => {
      this.#lanes.delete(lane);
      await this.#leave(connection);
    };
    const lane: PgLane = new PgLane(connection, this.#names, leave, this.#supply.max === 1, repeated);
    this.#lanes.add(lane);
    return lane;
  }

  transaction(options: TransactionOptions, job: TransactionJob): Promise<Row[]> {
    this.assertOpen();
    return this.#transactions.run(options, job);
  }

  async listen(channel: string, heard: (payload: string) => void, reconnected: () => void): Promise<Listener | null> {
    this.assertOpen();
    if (!this.#canListen) return null;
    const listener = new PgListener(this.#supply.source, this.#pacer, channel, heard, reconnected);
    this.#listeners.add(listener);
    return {
      close: async () => {
        this.#listeners.delete(listener);
        await listener.close();
      },
    };
  }

  protected async close(): Promise<void> {
    await Promise.all([...this.#lanes, ...this.#listeners, this.#transactions].map((open) => open.close()));
    await this.#supply.close();
  }

  /** A connection of the lane's own, or else the one that the fewest lanes share. */
  #connectionFor(purpose: string): PgConnection {
    if (this.#connections.size < this.#laneConnections) {
      return new PgConnection(this.#supply.source, this.#pacer, purpose, !this.#pooled);
    }
    const [least] = [...this.#connections].sort(([, lanes], [, others]) => lanes - others);
    return (least as [PgConnection, number])[0];
  }

  async #leave(connection: PgConnection): Promise<void> {
    const lanes = (this.#connections.get(connection) ?? 1) - 1;
    this.#connections.set(connection, lanes);
    if (lanes > 0) return;
    this.#connections.delete(connection);
    await connection.close();
  }
}
