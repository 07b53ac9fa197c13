/**
 * One physical connection that is used serially and replaced when it breaks.
 *
 * Owns: the client, its session settings, one attempt of a query with its deadline, the queue.
 * Does not own: what to do about a failure (pg-lane.ts), the pace of connecting (connect-pacer.ts).
 *
 * 1. Queries never overlap: `inTurn` is the only way to the client.
 * 2. A client that missed a deadline is never used again: its late answer would be taken for the next query's.
 */
import { ConnectionError } from '../core/errors.js';
import { applicationName, type ClientSource } from './client-source.js';
import type { ConnectPacer } from './connect-pacer.js';
import type { Row } from './database.js';
import type { Patience } from './patience.js';
import type { PgClient, PgQuery, PgUserQuery } from './pg-driver.js';

/**
 * Parking is sound only in READ COMMITTED. A role's statement_timeout would end calls that are bounded by our deadline
 * already, and they would be repeated for ever. The server looks every 2 s whether the client is still there: a call that was
 * given up at its deadline would otherwise go on and hold its locks against its own repetition (not offered on every platform).
 */
function sessionSettings(purpose: string): string {
  return `set default_transaction_isolation to 'read committed';
set application_name to '${applicationName(purpose).replaceAll("'", "''")}';
set statement_timeout to 0;
do $$ begin
  set client_connection_check_interval to '2s';
exception when others then null;
end $$;`;
}

/** Raised as a warning when the wait for a synchronous replica is cancelled. The name is never translated, the text is. */
const SYNC_REP_WAIT = 'SyncRepWaitForLSN';

/**
 * Commits behind everything committed so far, and waits for the synchronous replica if there is to be one. `set_config` in the
 * statement counts for its commit, even over a session's `off`; the message gives the transaction something to wait for.
 */
const REPLICATION_BARRIER = `
select
  set_config('synchronous_commit', 'on', true),
  case when current_setting('synchronous_standby_names') <> '' and not pg_is_in_recovery()
    then pg_logical_emit_message(true, 'perdure', '')
  end`;

export class PgConnection {
  readonly #source: ClientSource;
  readonly #pacer: ConnectPacer;
  readonly #purpose: string;
  readonly #setsSession: boolean;
  #client: PgClient | null = null;
  #opening: Promise<PgClient> | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #queued = 0;
  #maybeUnreplicated = false;
  #closed = false;

  constructor(source: ClientSource, pacer: ConnectPacer, purpose: string, setsSession: boolean) {
    this.#source = source;
    this.#pacer = pacer;
    this.#purpose = purpose;
    this.#setsSession = setsSession;
  }

  /** Runs `job` after all jobs before it. */
  inTurn<T>(job: () => Promise<T>): Promise<T> {
    this.#queued++;
    const turn = this.#last.then(job).finally(() => this.#queued--);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** The client, connected if need be. One attempt: rejects with the driver's error, or when the patience ran out. */
  async connected(deadlineMs: number, patience: Patience): Promise<PgClient> {
    if (this.#client !== null) return this.#client;
    if (this.#opening === null) {
      await this.#pacer.turn(patience);
      this.#opening = this.#connect(deadlineMs).finally(() => {
        this.#opening = null;
      });
    }
    // An attempt that its caller left goes on; the next caller waits for the same one.
    return patience.until(this.#opening);
  }

  /**
   * One attempt of a query.
   *
   * @param isRepeated Whether an earlier attempt was sent and never answered, so that its effect may be there already.
   */
  async send(client: PgClient, query: PgQuery | string, deadlineMs: number, isRepeated = false): Promise<Row[]> {
    this.#maybeUnreplicated = false;
    const { rows } = await this.#answer(client, query, deadlineMs);
    if (isRepeated || this.#maybeUnreplicated) await this.#untilReplicated(client, deadlineMs);
    return rows;
  }

  /** One attempt of a statement of the user's, in a transaction that can write nothing. It is rolled back in any case. */
  async sendReadOnly(client: PgClient, query: PgUserQuery, deadlineMs: number): Promise<Row[]> {
    await this.#answer(client, 'begin transaction isolation level read committed read only', deadlineMs);
    try {
      return (await this.#answer(client, query, deadlineMs)).rows;
    } finally {
      // A connection that broke, or missed the deadline, is gone with its transaction.
      if (this.#client === client) await this.#answer(client, 'rollback', deadlineMs);
    }
  }

  /** Gives the client up, broken or not. The next query connects anew. */
  drop(): void {
    if (this.#client === null) return;
    const client = this.#client;
    this.#client = null;
    this.#source.destroy(client);
  }

  /** Called at the end of a turn: gives the client back in good order unless somebody waits for the next turn. */
  async restIfLast(): Promise<void> {
    if (this.#queued === 1) await this.#rest();
  }

  /** Ends the connection after the queue. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.inTurn(() => this.#rest());
  }

  async #rest(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    if (client !== null) await this.#source.end(client);
  }

  async #connect(deadlineMs: number): Promise<PgClient> {
    const client = await this.#pacer.attempt(() => this.#open(deadlineMs));
    if (this.#closed) {
      void this.#source.end(client);
      throw new ConnectionError('the connection was closed');
    }
    this.#client = client;
    return client;
  }

  async #open(deadlineMs: number): Promise<PgClient> {
    const client = await this.#source.open(this.#purpose, deadlineMs);
    client.on('error', () => this.#lost(client));
    client.on('end', () => this.#lost(client));
    client.on('notice', ({ routine }) => {
      if (routine === SYNC_REP_WAIT) this.#maybeUnreplicated = true;
    });
    try {
      if (this.#setsSession) await this.#answer(client, sessionSettings(this.#purpose), deadlineMs);
      return client;
    } catch (error) {
      this.#source.destroy(client);
      throw error;
    }
  }

  /** Broke while idle, or the query under way is about to hear of it. */
  #lost(client: PgClient): void {
    if (this.#client === client) this.drop();
  }

  #answer(client: PgClient, query: PgQuery | PgUserQuery | string, deadlineMs: number): Promise<{ rows: Row[] }> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        if (this.#client === client) this.drop();
        else this.#source.destroy(client);
        reject(new Error(`no answer within ${deadlineMs} ms`));
      }, deadlineMs);
      client
        .query(query)
        .then(resolve, reject)
        .finally(() => clearTimeout(timer));
    });
  }

  /**
   * The answer came, but what it reports may be committed on this server alone: the wait for the replica was cancelled, or the
   * connection broke during it. Sending the query again proves nothing: it finds its own effect and writes nothing, and a
   * transaction that writes nothing waits for no replica. (Seen: a backend ended in that wait, the same call answered at once,
   * with no replica there.) A later commit that did wait proves all before it.
   */
  async #untilReplicated(client: PgClient, deadlineMs: number): Promise<void> {
    do {
      this.#maybeUnreplicated = false;
      await this.#answer(client, REPLICATION_BARRIER, deadlineMs);
    } while (this.#maybeUnreplicated);
  }
}
