/**
 * A connection on which protocol functions are called one by one. Unlike a lane of the engine it never sends anything
 * again: what the database answered first is what a test sees.
 */

import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { openDatabase } from '../../src/postgres/connection.js';
import type { Lane, Parameter, Query, Row } from '../../src/postgres/database.js';
import { migrate } from '../../src/postgres/migrate.js';
import { parserOf, pgParameters } from '../../src/postgres/values.js';

export const SCHEMA = 'durable';

const types = { getTypeParser: parserOf };

export interface Session extends Lane {
  /** What the last query answered, row by row: the typed callers of src/postgres/protocol fold some of it away. */
  readonly rows: readonly Row[];
  /**
   * Calls wait 5 s for a lock instead of 100 ms, as they do in the engine's slow lane. Every function that can be told so
   * has it as its first boolean.
   */
  patient: boolean;
  /** Any SQL, with values cast in the text. `durable` is on the path of no session: names need it. */
  sql<R extends object = Row>(text: string, ...values: Parameter[]): Promise<R[]>;
}

abstract class SessionBase implements Session {
  rows: readonly Row[] = [];
  patient = false;

  async query<R extends object = Row>(query: Query): Promise<R[]> {
    this.rows = await this.send(this.patient ? patiently(query) : query);
    return this.rows as R[];
  }

  sql<R extends object = Row>(text: string, ...values: Parameter[]): Promise<R[]> {
    return this.send({ text, values }) as Promise<R[]>;
  }

  async script(sql: string): Promise<void> {
    await this.send({ text: sql, values: [] });
  }

  async readOnly(text: string, values: readonly unknown[]): Promise<Row[]> {
    await this.script('begin read only');
    try {
      return await this.sql(text, ...(values as Parameter[]));
    } finally {
      await this.script('rollback');
    }
  }

  abstract close(): Promise<void>;
  protected abstract send(query: Query): Promise<Row[]>;
}

class ServerSession extends SessionBase {
  readonly #client: pg.Client;

  constructor(client: pg.Client) {
    super();
    this.#client = client;
  }

  async close(): Promise<void> {
    await this.#client.end();
  }

  protected async send({ text, values }: Query): Promise<Row[]> {
    const { rows } = await this.#client.query<Row>({
      text,
      types,
      ...(values.length > 0 && { values: pgParameters(values) }),
    });
    return rows ?? []; // undefined for several statements at once
  }
}

/** `release` is called when the session closes. */
class EmbeddedSession extends SessionBase {
  readonly #lane: Lane;
  readonly #release: () => Promise<void>;

  constructor(lane: Lane, release: () => Promise<void>) {
    super();
    this.#lane = lane;
    this.#release = release;
  }

  async close(): Promise<void> {
    await this.#lane.close();
    await this.#release();
  }

  protected send(query: Query): Promise<Row[]> {
    return this.#lane.query(query);
  }
}

export async function openSession(url: string): Promise<Session> {
  // Compiling the large queries that look at everything takes 60 times as long as running them on a test's few rows.
  const client = new pg.Client({ connectionString: url, options: '-c jit=off' });
  client.on('error', () => {}); // its database may be dropped with force
  await client.connect();
  return new ServerSession(client);
}

/** A migrated PGlite in memory, gone when the session closes. */
export async function openEmbeddedSession(): Promise<Session> {
  const database = openDatabase({ class: PGlite, options: {} });
  await migrate(database, SCHEMA);
  return new EmbeddedSession(database.lane('test'), () => database.release());
}

function patiently(query: Query): Query {
  const patience = /\$(\d+)::boolean(?!\[)/.exec(query.text)?.[1];
  if (patience === undefined) return query;
  const values = query.values.map((value, index) => (index === Number(patience) - 1 ? true : value));
  return { ...query, values };
}

/**
 * What a call would send, to be sent several times: so an engine that heard no answer repeats it, with the numbers that
 * the first attempt was given.
 */
export async function queryOf(call: (session: Session) => Promise<unknown>): Promise<Query> {
  const recorder = new Recorder();
  await call(recorder).catch(() => {}); // it got no answer
  if (recorder.recorded === null) throw new Error('the call sent nothing');
  return recorder.recorded;
}

class Recorder extends SessionBase {
  recorded: Query | null = null;

  async close(): Promise<void> {}

  protected async send(query: Query): Promise<Row[]> {
    this.recorded = query;
    return [];
  }
}

/** The SQLSTATE that a call fails with, or null. */
export async function failureOf(call: Promise<unknown>): Promise<string | null> {
  return await call.then(
    () => null,
    (error: unknown) => codeOf(error),
  );
}

export function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  if (typeof code !== 'string') throw error;
  return code;
}
