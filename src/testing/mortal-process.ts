/**
 * A worker that dies at chosen commits, as a process would: before what it sends arrives, or before it hears the answer. What it
 * had in memory is gone, its activities go on unheard, and the database finds out that it is dead.
 */

import { schemaName } from '../postgres/namespace.js';
import type { Pglite } from '../postgres/pglite-driver.js';
import type { Host } from '../worker/host.js';
import { abandon, hostOf, serve } from '../worker/hosts.js';
import { resolveWorkerOptions, type WorkerOptions } from '../worker/options.js';
import { Serving } from '../worker/serving.js';

/** What becomes of a commit. `before`, `after`: the process dies there. `twice`: it arrives a second time. */
export type Fate = 'before' | 'after' | 'twice';

/** Asked once for each commit, which it counts. */
export type FateOf = () => Fate | null;

const never = new Promise<never>(() => {});

export class MortalProcess {
  readonly host: Host;
  readonly #life: { over: boolean };

  private constructor(host: Host, life: { over: boolean }) {
    this.host = host;
    this.#life = life;
  }

  /** Begins to work. Whatever worked on the database before counts as dead. */
  static async begin(db: Pglite, worker: Omit<WorkerOptions, 'connection'>, fateOf: FateOf): Promise<MortalProcess> {
    const namespace = worker.namespace ?? 'durable';
    const life = { over: false };
    let dies: () => void = () => {};
    const commit = `select * from "${schemaName(namespace)}".commit(`;
    const query: Pglite['query'] = async (text, values, options) => {
      if (life.over) return never;
      const fate = text.replace(/^select \* from (\w+)\./, 'select * from "$1".').startsWith(commit) ? fateOf() : null;
      if (fate === 'before') {
        dies();
        return never;
      }
      const answer = await db.query(text, values, options);
      if (fate === 'after') dies();
      if (life.over) return never;
      return fate === 'twice' ? await db.query(text, values, options) : answer;
    };
    // An object of its own, hence connections of its own to the same database.
    const connection = {
      class: {
        parsers: db.parsers,
        waitReady: db.waitReady,
        query,
        transaction: db.transaction.bind(db),
        listen: db.listen.bind(db),
        execProtocolRaw: () => never,
        close: async () => {},
      },
    };
    const resolved = resolveWorkerOptions('crashTest', { ...worker, connection });
    await serve(resolved, new Serving(resolved));
    const process = new MortalProcess((await hostOf(connection, namespace)) as Host, life);
    dies = () => process.die();
    return process;
  }

  get dead(): boolean {
    return this.#life.over;
  }

  die(): void {
    if (this.#life.over) return;
    this.#life.over = true;
    abandon(this.host);
  }
}
