/**
 * Stalls: stretches in which the event loop of this process does not turn, because code computes without awaiting anything.
 *
 * Owns: noticing them, the thread that keeps leases meanwhile. Does not own: what that does (stall-thread.ts), whose code it
 * was (core/stall.ts), what a host has to do with it (lease-keeper.ts).
 *
 * There is one loop, so there is one of these for all hosts, and one thread: 8 MB and 40 ms of a CPU, 5 MB more once it had
 * to connect.
 */

// Not the globals: others put theirs in place of those.
import { clearInterval, clearTimeout, setInterval, setTimeout } from 'node:timers';
import { Worker } from 'node:worker_threads';
import { STALLED, stallCells, TURNS, takeStalling } from '../core/stall.js';
import { type LeaseToKeep, type ThreadData, watchFromThread } from './stall-thread.js';

/** Taken before anybody puts something in its place. */
const monotonicMs = performance.now.bind(performance);

const TURN_MS = 100;
/** Whose code it was is looked for from here on. */
const FLAG_MS = 250;
/** What is shorter is not worth a word, however short a lease is. */
const TELL_FROM_MS = 1_000;
/** A host that is opened again soon, as in tests, finds the thread there. */
const LINGER_MS = 10_000;

export interface Stall {
  readonly ms: number;
  /** What was seen to run; null: nothing of the engine's. */
  readonly by: Record<string, unknown> | null;
  /** The process ran, and its loop did not; false: it may have been stopped as a whole. */
  readonly computing: boolean;
}

/** What a host has to do with it. */
export interface StallWatcher {
  /** The loop turns again. */
  turned(stall: Stall): void;
  /** The thread could not be started, or ended: leases are not kept. */
  failed(error: unknown): void;
}

/** What a watcher may do until it leaves. */
export interface Watching {
  /** Has a lease kept, and none before it; null: none. */
  keep(lease: LeaseToKeep['lease']): void;
  leave(): void;
}

class Stalls {
  readonly #watchers = new Set<StallWatcher>();
  #ticker: NodeJS.Timeout | null = null;
  #turnedAt = 0;
  #thread: Worker | null = null;
  #ending: NodeJS.Timeout | null = null;
  #keys = 0;

  watch(watcher: StallWatcher): Watching {
    const key = this.#keys++;
    this.#watchers.add(watcher);
    if (this.#ticker === null) {
      this.#turnedAt = monotonicMs();
      this.#ticker = setInterval(() => this.#turn(), TURN_MS).unref();
    }
    return {
      keep: (lease) => this.#keep({ key, lease }),
      leave: () => {
        this.#keep({ key, lease: null });
        this.#leave(watcher);
      },
    };
  }

  #turn(): void {
    const now = monotonicMs();
    const ms = now - this.#turnedAt;
    this.#turnedAt = now;
    Atomics.add(stallCells, TURNS, 1);
    const computing = Atomics.exchange(stallCells, STALLED, 0) === 1;
    const by = takeStalling();
    if (ms < TELL_FROM_MS) return;
    for (const watch of this.#watchers)
      watch.turned({ ms, by: by?.whoRuns() ?? null, computing: computing || this.#thread === null });
  }

  #keep(lease: LeaseToKeep): void {
    if (lease.lease !== null) this.#start();
    this.#thread?.postMessage(lease);
  }

  #start(): void {
    if (this.#ending !== null) clearTimeout(this.#ending);
    this.#ending = null;
    if (this.#thread !== null) return;
    try {
      this.#thread = this.#newThread();
    } catch (error) {
      this.#failed(error); // Node may have been told to allow none
    }
  }

  #newThread(): Worker {
    const data: ThreadData = { cells: stallCells, turnMs: TURN_MS, flagMs: FLAG_MS };
    const thread = new Worker(`(${watchFromThread})(require)`, {
      eval: true,
      name: 'perdure-stalls',
      workerData: data,
      // What a program loads before its own code (hooks, instrumentation) is not for this thread.
      execArgv: [],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    thread.unref();
    thread.on('error', (error) => this.#failed(error));
    thread.on('exit', () => {
      if (this.#thread === thread) this.#thread = null;
    });
    return thread;
  }

  #failed(error: unknown): void {
    for (const watcher of this.#watchers) watcher.failed(error);
  }

  #leave(watcher: StallWatcher): void {
    if (!this.#watchers.delete(watcher) || this.#watchers.size > 0) return;
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#ticker = null;
    this.#ending ??= setTimeout(() => {
      this.#ending = null;
      void this.#thread?.terminate();
      this.#thread = null;
    }, LINGER_MS).unref();
  }
}

export const stalls = new Stalls();
