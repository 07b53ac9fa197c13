/**
 * Roles that attack: real ones, on connections of their own. A test's database is its own, roles belong to the cluster, so
 * each has a name of its own and is dropped at the end.
 */

import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { TestDatabase } from './database.js';
import { SCHEMA } from './protocol-session.js';

export interface Attacker {
  readonly name: string;
  readonly password: string;
  /** Of the database, as this role. */
  readonly url: string;
  /** A connection as this role. Ended with {@link Attacker.drop}. */
  connect(): Promise<pg.Client>;
  drop(): Promise<void>;
}

/** What a role may do beside logging in. */
export type Rights = 'nothing' | 'every function';

/** @param admin A superuser's connection to the database. */
export async function createAttacker(database: TestDatabase, admin: pg.Client, rights: Rights): Promise<Attacker> {
  const name = `perdure_attacker_${randomBytes(4).toString('hex')}`;
  const password = randomBytes(12).toString('hex');
  await admin.query(`create role ${name} login password '${password}'`);
  if (rights === 'every function')
    await admin.query(`grant usage on schema ${SCHEMA} to ${name};
      grant execute on all functions in schema ${SCHEMA} to ${name}`);
  const url = new URL(database.url);
  url.username = name;
  url.password = password;
  const clients: pg.Client[] = [];
  return {
    name,
    password,
    url: url.href,
    connect: async () => {
      const client = new pg.Client(url.href);
      client.on('error', () => {});
      await client.connect();
      clients.push(client);
      return client;
    },
    drop: async () => {
      await Promise.all(clients.map((client) => client.end()));
      await admin.query(`drop owned by ${name} cascade; drop role ${name}`);
    },
  };
}

/** The SQLSTATE that each statement fails with; `ok` where it does not. */
export async function answersTo(client: pg.Client, statements: readonly string[]): Promise<Record<string, string>> {
  const answers: Record<string, string> = {};
  for (const statement of statements) {
    answers[statement] = await client.query(statement).then(
      () => 'ok',
      (error: { code?: string }) => error.code ?? String(error),
    );
    await client.query('rollback').catch(() => {});
  }
  return answers;
}

/** All of them answered alike. */
export const all = (statements: readonly string[], answer: string): Record<string, string> =>
  Object.fromEntries(statements.map((statement) => [statement, answer]));

/** What a call throws or rejects with; null when it does neither. */
export async function thrownBy(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return null;
  } catch (error) {
    return error;
  }
}
