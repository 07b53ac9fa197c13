/**
 * A worker that dies at chosen calls, as a process would: before what it sends arrives, or before it hears the answer. What it
 * had in memory is gone, its activities go on unheard, and the database finds out that it is dead.
 */

import type { Pglite } from '../postgres/pglite-driver.js';
import type { Host } from '../worker/host.js';
import { abandon, hostOf, serve } from '../worker/hosts.js';
import { resolveWorkerOptions, type WorkerOptions } from '../worker/options.js';
import { Serving } from '../worker/serving.js';
import type { Fate, FaultyCall } from './crash-plan.js';
import { faultyConnection, foundNothing, type Meet, never } from './faulty-connection.js';

/** Asked once for each call, which it counts. */
export type FateOf = (call: FaultyCall) => Fate | null;

/** Of these only those count that found something: a worker looks for work as often as it likes. */
const LOOKS: ReadonlySet<FaultyCall> = new Set(['claim', 'activity claim', 'history reading']);

export class MortalProcess {
  readonly host: Host;
  readonly #life: { over: boolean };

  private constructor(host: Host, life: { over: boolean }) {
    this.host = host;
    this.#life = life;
  }

  /** Begins to work. Whatever worked on the database before counts as dead. */
  static async begin(db: Pglite, worker: Omit<WorkerOptions, 'connection'>, fateOf: FateOf): Promise<MortalProcess> {
    const life = { over: false };
    let dies: () => void = () => {};
    const meet: Meet = async (call, send) => {
      if (life.over) return never;
      const looks = LOOKS.has(call);
      let fate = looks ? null : fateOf(call);
      if (fate === 'before') {
        dies();
        return never;
      }
      const answer = await send();
      if (life.over) return never;
      if (looks && !foundNothing(answer)) fate = fateOf(call);
      if (fate === 'after') dies();
      if (life.over) return never;
      return fate === 'twice' ? await send() : answer;
    };
    const connection = faultyConnection(db, meet, async (send) => {
      if (life.over) return never;
      const answer = await send();
      return life.over ? never : answer;
    });
    const resolved = resolveWorkerOptions('crashTest', { ...worker, connection });
    await serve(resolved, new Serving(resolved));
    const process = new MortalProcess((await hostOf(connection, resolved.namespace)) as Host, life);
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
