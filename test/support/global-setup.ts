/** One database cluster for the whole run, whichever projects take part. */

import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { type Cluster, startCluster } from '../../scripts/postgres.mjs';

export interface TestCluster {
  /** Maintenance database, superuser. */
  readonly url: string;
  /** Every database of this run has a name that starts so: on a lasting server, what is left can be told apart. */
  readonly prefix: string;
}

declare module 'vitest' {
  export interface ProvidedContext {
    cluster: TestCluster;
  }
}

interface Shared {
  users: number;
  readonly opened: Promise<{ cluster: TestCluster; close(): Promise<void> }>;
}

// Vitest calls this once for each project, from a module instance for each. The process is what they share.
const slot = globalThis as { perdureTestCluster?: Shared | undefined };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  slot.perdureTestCluster ??= { users: 0, opened: open() };
  const shared = slot.perdureTestCluster;
  shared.users += 1;
  const { cluster, close } = await shared.opened;
  project.provide('cluster', cluster);
  return async () => {
    shared.users -= 1;
    if (shared.users > 0) return;
    slot.perdureTestCluster = undefined;
    await close();
  };
}

async function open() {
  const prefix = `perdure_test_${randomBytes(4).toString('hex')}`;
  const url = process.env.PERDURE_TEST_URL;
  if (url) return { cluster: { url, prefix }, close: () => dropDatabases(url, prefix) };
  const cluster: Cluster = await startCluster();
  return { cluster: { url: cluster.url, prefix }, close: () => cluster.remove() };
}

/** A server that lasts (PERDURE_TEST_URL) is left as it was found, but for the roles. */
async function dropDatabases(url: string, prefix: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const found = await client.query<{ name: string }>(
      'select datname as name from pg_database where starts_with(datname, $1)',
      [prefix],
    );
    for (const { name } of found.rows)
      await client.query(`drop database ${client.escapeIdentifier(name)} with (force)`);
  } finally {
    await client.end();
  }
}
