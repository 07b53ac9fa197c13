/** One database cluster for the whole run, whichever projects take part, and a place for the image of a new PGlite. */

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { type Cluster, startCluster } from '../../scripts/postgres.mjs';

export interface TestCluster {
  /** Maintenance database, superuser. */
  readonly url: string;
  /** Every database of this run has a name that starts so: on a lasting server, what is left can be told apart. */
  readonly prefix: string;
  /** Where the server writes down errors, each with its SQLSTATE and database; null for one that is not of this run. */
  readonly logFile: string | null;
}

declare module 'vitest' {
  export interface ProvidedContext {
    cluster: TestCluster;
  }
}

/** Small, as it may be in memory. Each database dropped forces a checkpoint, behind which every page would go to the WAL whole. */
const SETTINGS = {
  max_wal_size: '256MB',
  full_page_writes: 'off',
  log_line_prefix: '%m [%p] %a %e %d ',
  max_prepared_transactions: 4, // what a worker role prepares holds its locks beyond its sessions
};

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
  const removeImage = placeForImage();
  if (url) {
    const close = async () => {
      removeImage();
      await dropDatabases(url, prefix);
    };
    return { cluster: { url, prefix, logFile: null }, close };
  }
  const cluster: Cluster = await startCluster({ inMemory: true, settings: SETTINGS });
  const close = async () => {
    removeImage();
    await cluster.remove();
  };
  return { cluster: { url: cluster.url, prefix, logFile: cluster.logFile }, close };
}

/** The environment reaches test files and the processes that they start. The first that needs the image makes it. */
function placeForImage(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-pglite-image-'));
  process.env.PERDURE_PGLITE_IMAGE = join(folder, 'data.tar');
  return () => rmSync(folder, { recursive: true, force: true });
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
