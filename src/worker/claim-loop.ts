/**
 * Looks for work when there may be some: when told, when something is due, and every now and then.
 *
 * Without notifications it looks often after success and ever more seldom after none; with them every few seconds.
 */

export interface ClaimLoopOptions {
  /** Takes up to `limit` pieces of work. */
  readonly take: (limit: number) => Promise<Taken>;
  readonly capacity: () => number;
  /** Whether hints reach this process: then polling is only a safety net. */
  readonly listening: () => boolean;
  readonly failed: (error: unknown) => void;
}

export interface Taken {
  readonly count: number;
  /** When the next is known to be due. */
  readonly dueInMs: number | null;
  /** Not all kinds of work were asked for: that there is nothing means little. */
  readonly partial?: boolean;
}

/** At most this many in one call. */
const BATCH = 500;
const FIRST_BATCH = 16;
const BUSY_POLL_MS = 20;
const REFUSED_PAUSE_MS = 10;
const POLL_WITHOUT_HINTS_MS = 1_000;
const POLL_WITH_HINTS_MS = 5_000;

export class ClaimLoop {
  readonly #options: ClaimLoopOptions;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  #again = false;
  #batch = FIRST_BATCH;
  #stopped = false;
  #pollMs = BUSY_POLL_MS;

  constructor(options: ClaimLoopOptions) {
    this.#options = options;
  }

  /** There may be work. */
  poke(): void {
    if (this.#stopped) return;
    if (this.#running !== null) {
      this.#again = true;
      return;
    }
    this.#running = this.#run().finally(() => {
      this.#running = null;
      if (this.#again) this.poke();
    });
  }

  /** Takes nothing any more. Resolves when what was under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    let dueInMs: number | null = null;
    await null; // one answer may free many places
    if (this.#stopped) return;
    try {
      do {
        this.#again = false;
        const limit = Math.min(this.#batch, this.#options.capacity());
        if (limit <= 0) break; // whoever frees capacity pokes
        const taken = await this.#options.take(limit);
        // What is due and was not given is held by somebody, or left to whoever has it cached: no reason to spin.
        dueInMs = taken.dueInMs === null || taken.count > 0 ? taken.dueInMs : Math.max(taken.dueInMs, REFUSED_PAUSE_MS);
        if (taken.count > 0) this.#pollMs = BUSY_POLL_MS;
        // A claim under way holds what it asks for: ask for little until there is much.
        if (taken.count === 0 && taken.partial !== true) this.#batch = FIRST_BATCH;
        if (taken.count === limit) {
          this.#again = true;
          this.#batch = Math.min(BATCH, 2 * this.#batch);
        }
      } while (this.#again && !this.#stopped);
    } catch (error) {
      this.#options.failed(error);
    }
    this.#schedule(dueInMs);
  }

  #schedule(dueInMs: number | null): void {
    if (this.#stopped) return;
    const most = this.#options.listening() ? POLL_WITH_HINTS_MS : POLL_WITHOUT_HINTS_MS;
    this.#pollMs = this.#options.listening() ? POLL_WITH_HINTS_MS : Math.min(most, this.#pollMs * 1.5);
    const wait = Math.min(this.#pollMs, Math.ceil(dueInMs ?? Infinity));
    this.#timer = setTimeout(() => this.poke(), Math.max(1, wait));
  }
}
