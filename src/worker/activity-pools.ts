/**
 * The activity workers of this process. Registered again, one is not made a second time: what comes anew is added to it.
 */

import { isDeepStrictEqual } from 'node:util';
import { codecOf, isReadonly, openDatabase } from '../postgres/connection.js';
import type { Database } from '../postgres/database.js';
import type { ResolvedWorker, UserFunction } from './options.js';

interface Pool<W> {
  readonly database: Database;
  readonly of: ResolvedWorker;
  /** What it runs; read at each attempt. */
  readonly functions: Map<string, UserFunction>;
  readonly worker: Promise<W>;
}

export class ActivityPools<W> {
  #pools: Pool<W>[] = [];

  /**
   * The worker of the same database, namespace and queue, with the functions added; `make` makes one where there is none, or
   * none that may take them: it runs another function under one of the names, or has other options.
   *
   * @param functions Those of the worker to be made.
   */
  register(worker: ResolvedWorker, functions: Map<string, UserFunction>, make: () => Promise<W>): Promise<W> {
    // Held while it is asked for: a database is the same as long as somebody uses it.
    const database = openDatabase(worker.connection);
    const known = this.#pools.find((pool) => pool.database === database && isAlike(pool, worker));
    if (known !== undefined) {
      for (const [name, run] of functions) known.functions.set(name, run);
      void database.release();
      return known.worker;
    }
    const pool = { database, of: worker, functions, worker: make() };
    this.#pools.push(pool);
    pool.worker.then(
      () => database.release(), // the worker holds its own use
      () => {
        this.#forget(pool);
        return database.release();
      },
    );
    return pool.worker;
  }

  /** The worker stops: whoever registers from now on gets another one. */
  leave(functions: Map<string, UserFunction>): void {
    const pool = this.#pools.find((known) => known.functions === functions);
    if (pool !== undefined) this.#forget(pool);
  }

  #forget(pool: Pool<W>): void {
    this.#pools = this.#pools.filter((known) => known !== pool);
  }
}

function isAlike<W>({ of, functions }: Pool<W>, worker: ResolvedWorker): boolean {
  if (of.namespace !== worker.namespace || of.taskQueue !== worker.taskQueue) return false;
  if (of.ownLogger !== worker.ownLogger) return false;
  if (isReadonly(of.connection) !== isReadonly(worker.connection)) return false;
  if (codecOf(of.connection) !== codecOf(worker.connection)) return false;
  if (!isDeepStrictEqual(of.tuning, worker.tuning)) return false;
  if (!isSame(of.interceptors.activityInbound, worker.interceptors.activityInbound)) return false;
  return [...worker.activities].every(([name, run]) => (functions.get(name) ?? run) === run);
}

function isSame(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.length === other.length && one.every((member, index) => member === other[index]);
}
