/**
 * The embedded database: one PGlite object, one process.
 *
 * All lanes share the object; it queues queries and keeps transactions apart. (Several `pg` clients over one PGlite do not:
 * one's query ran inside the other's transaction.)
 */
import { ConnectionError } from '../core/errors.js';
import type { Lane, Listener } from './database.js';
import { connectionError } from './patience.js';
import { PgliteLane } from './pglite-lane.js';
import type { Opened, PgliteSource } from './pglite-source.js';
import { SharedDatabase } from './shared-database.js';

export class PgliteDatabase extends SharedDatabase {
  readonly kind = 'pglite';
  readonly #source: PgliteSource;
  readonly #lanes = new Set<PgliteLane>();
  readonly #listeners = new Set<Listener>();
  #opening: Promise<Opened> | null = null;

  constructor(source: PgliteSource, closed: () => void = () => {}) {
    super(closed);
    this.#source = source;
  }

  lane(_purpose: string): Lane {
    this.assertOpen();
    const lane: PgliteLane = new PgliteLane(
      () => this.#open(),
      () => this.#lanes.delete(lane),
    );
    this.#lanes.add(lane);
    return lane;
  }

  async listen(channel: string, heard: (payload: string) => void, reconnected: () => void): Promise<Listener> {
    this.assertOpen();
    const { db } = await this.#open();
    const unlisten = await db.listen(`"${channel}"`, heard);
    const listener: Listener = {
      close: async () => {
        if (this.#listeners.delete(listener)) await unlisten();
      },
    };
    this.#listeners.add(listener);
    reconnected();
    return listener;
  }

  protected async close(): Promise<void> {
    await Promise.all([...this.#lanes, ...this.#listeners].map((open) => open.close()));
    await this.#opening?.catch(() => {});
    await this.#source.close();
  }

  /** A failure is not kept: the folder may be free at the next call. */
  #open(): Promise<Opened> {
    this.#opening ??= this.#source.open().catch((error: unknown) => {
      this.#opening = null;
      throw error instanceof ConnectionError ? error : connectionError(error);
    });
    return this.#opening;
  }
}
