/** Databases for tests: one of its own for each file (or test), on the cluster of the run. */

import { createHash, randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import type { TestCluster } from './global-setup.js';

export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  drop(): Promise<void>;
}

/** An empty database. */
export async function createDatabase(): Promise<TestDatabase> {
  return await asAdmin((admin, cluster) => cloneOf('template0', admin, cluster));
}

/** A database that holds the schema of `namespace`, cloned from one that was migrated once in this run (40 ms). */
export async function createMigratedDatabase(namespace = 'durable'): Promise<TestDatabase> {
  return await asAdmin(async (admin, cluster) => {
    // Digested: the name of a database ends after 63 bytes, and so may that of a namespace.
    const template = `${cluster.prefix}_template_${createHash('sha1').update(namespace).digest('hex').slice(0, 8)}`;
    await ensureTemplate(template, namespace, admin, cluster);
    return await cloneOf(template, admin, cluster);
  });
}

/** The strategy stays Postgres' own (`wal_log`): `file_copy` is no faster here and forces two checkpoints on everyone. */
async function cloneOf(template: string, admin: pg.Client, cluster: TestCluster): Promise<TestDatabase> {
  const name = `${cluster.prefix}_${randomBytes(4).toString('hex')}`;
  await admin.query(`create database ${name} template ${template}`);
  return {
    name,
    url: urlOf(name, cluster),
    drop: () => asAdmin(async (later) => void (await later.query(`drop database if exists ${name} with (force)`))),
  };
}

/** Test files run in several processes: the first that needs the template makes it, the others wait for the lock. */
async function ensureTemplate(
  template: string,
  namespace: string,
  admin: pg.Client,
  cluster: TestCluster,
): Promise<void> {
  await admin.query('select pg_advisory_lock(hashtext($1))', [template]);
  try {
    const found = await admin.query('select from pg_database where datname = $1', [template]);
    if (found.rowCount === 1) return;
    // Renamed when complete, so that a migration that failed is not taken for a template.
    const unfinished = `${template}_unfinished`;
    await admin.query(`drop database if exists ${unfinished} with (force)`);
    await admin.query(`create database ${unfinished} template template0`);
    await migrateAt(urlOf(unfinished, cluster), namespace);
    await admin.query(`alter database ${unfinished} rename to ${template}`);
  } finally {
    await admin.query('select pg_advisory_unlock(hashtext($1))', [template]);
  }
}

async function migrateAt(url: string, namespace: string): Promise<void> {
  // Loaded on demand: a test that needs an empty database only does not need the engine to load.
  const { openDatabase } = await import('../../src/postgres/connection.js');
  const { migrate } = await import('../../src/postgres/migrate.js');
  const database = openDatabase({ class: pg.Client, options: { connectionString: url } });
  try {
    await migrate(database, namespace);
  } finally {
    await database.release();
  }
}

async function asAdmin<T>(work: (admin: pg.Client, cluster: TestCluster) => Promise<T>): Promise<T> {
  const cluster = inject('cluster') as TestCluster | undefined;
  if (cluster === undefined) {
    throw new Error('Unit tests (src/**/*.test.ts) have no database: put this test under test/protocol or test/.');
  }
  const admin = new pg.Client(cluster.url);
  await admin.connect();
  try {
    return await work(admin, cluster);
  } finally {
    await admin.end();
  }
}

function urlOf(name: string, cluster: TestCluster): string {
  const url = new URL(cluster.url);
  url.pathname = `/${name}`;
  return url.href;
}
