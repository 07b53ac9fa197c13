/** The hosts of this process, one per database and namespace, made with the first worker and closed behind the last. */

import { assertReachable, openDatabase, watchConnection } from '../postgres/connection.js';
import type { Database } from '../postgres/database.js';
import { Host } from './host.js';
import type { ResolvedWorker } from './options.js';
import type { Serving } from './serving.js';

interface Entry {
  readonly database: Database;
  readonly namespace: string;
  readonly host: Promise<Host>;
  users: number;
}

const entries: Entry[] = [];

/** @internal The host of a database and namespace, if there is one. */
export async function hostOf(connection: ResolvedWorker['connection'], namespace: string): Promise<Host | null> {
  const database = openDatabase(connection);
  const entry = entries.find((known) => known.database === database && known.namespace === namespace);
  await database.release();
  return entry === undefined ? null : await entry.host;
}

/** @internal As if the process of the host had died. */
export function abandon(host: Host): void {
  host.abandon();
  for (const entry of entries) {
    void entry.host.then((opened) => {
      if (opened === host) entries.splice(entries.indexOf(entry), 1);
    });
  }
}

/** Serves through the host of the worker's database and namespace. @returns what ends it. */
export async function serve(worker: ResolvedWorker, serving: Serving): Promise<() => Promise<void>> {
  assertReachable(worker.connection);
  watchConnection(worker.connection);
  const database = openDatabase(worker.connection, { logger: worker.logger });
  let entry = entries.find((known) => known.database === database && known.namespace === worker.namespace);
  if (entry === undefined) {
    entry = {
      database,
      namespace: worker.namespace,
      host: Host.open(database, worker),
      users: 0,
    };
    entries.push(entry);
  } else {
    await database.release(); // the host holds its own use
  }
  const { host } = entry;
  const mine = entry;
  mine.users++;
  const leave = async (opened: Host | null) => {
    await opened?.leave(serving);
    mine.users--;
    if (mine.users > 0) return;
    entries.splice(entries.indexOf(mine), 1);
    await opened?.close();
  };
  let opened: Host | null = null;
  try {
    opened = await host;
    await opened.serve(serving);
    if (worker.events !== null && opened.takeDeployed()) worker.events.engine('deployed', worker.guid);
  } catch (error) {
    await leave(opened);
    throw error;
  }
  let left: Promise<void> | null = null;
  return () => {
    left ??= leave(opened);
    return left;
  };
}
