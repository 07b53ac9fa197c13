/** Where a lane's client comes from: a new one of the user's `Client` class, or one of the user's Pool. */
import { ConnectionError } from '../core/errors.js';
import type { PgClient, PgClientClass, PgPool, PooledClient } from './pg-driver.js';

export interface ClientSource {
  /** A connected client of our own. Rejects with the driver's error, or after `deadlineMs`. */
  open(purpose: string, deadlineMs: number): Promise<PgClient>;
  /** Ends a client after its last query. */
  end(client: PgClient): Promise<void>;
  /** Gives a client back to where others take theirs, as it was; absent where there is no such place. */
  giveBack?(client: PgClient): void;
  /** Ends a client at once: its connection is broken, or has not answered in time. */
  destroy(client: PgClient): void;
}

const END_WITHIN_MS = 1_000;

export function classSource(Client: PgClientClass, options: Record<string, unknown>): ClientSource {
  return {
    async open(purpose, deadlineMs) {
      const client = new Client({ keepAlive: true, ...options, application_name: applicationName(purpose) });
      // Without a listener an error on an idle client ends the process. Whoever asks next finds the client broken.
      client.on('error', () => {});
      try {
        await within(deadlineMs, client.connect());
        return client;
      } catch (error) {
        destroySocket(client);
        throw error;
      }
    },
    async end(client) {
      await within(END_WITHIN_MS, client.end()).catch(() => destroySocket(client));
    },
    destroy(client) {
      destroySocket(client);
    },
  };
}

/**
 * A client of a Pool is checked out for good and never returned, but destroyed: the settings of our session must not
 * reach the user's queries.
 */
export function poolSource(pool: PgPool): ClientSource {
  const released = new WeakSet<PgClient>();
  const release = (client: PgClient) => {
    if (released.has(client)) return;
    released.add(client);
    (client as PooledClient).release(true);
  };
  return {
    async open(_purpose, deadlineMs) {
      if (pool.ending === true)
        throw new ConnectionError('the Pool of this connection was ended. End it after Perdure is shut down');
      const checkout = pool.connect();
      try {
        const client = await within(deadlineMs, checkout);
        client.on('error', ignore);
        return client;
      } catch (error) {
        // It may still come, when the user gives a client back. Untouched, so it goes back as it is.
        checkout.then((late) => late.release()).catch(() => {});
        throw error;
      }
    },
    async end(client) {
      // Until the socket is closed an error on it is emitted by the pool, and this database is who listens to that.
      const ended = new Promise<void>((resolve) => client.on('end', resolve));
      release(client);
      await within(END_WITHIN_MS, ended).catch(() => destroySocket(client));
    },
    giveBack(client) {
      if (released.has(client)) return;
      client.removeListener('error', ignore);
      (client as PooledClient).release();
    },
    destroy(client) {
      // Before the release: the pool says goodbye politely, which never ends on a connection that swallows everything.
      destroySocket(client);
      release(client);
    },
  };
}

/** Of errors on a client of a Pool whoever asks next hears. */
const ignore = () => {};

export function applicationName(purpose: string): string {
  return `perdure ${purpose}`;
}

function destroySocket(client: PgClient): void {
  const stream = client.connection?.stream;
  if (stream !== undefined) stream.destroy();
  else void client.end().catch(() => {});
}

/** The promise's outcome, or an error after `ms`. */
export function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
