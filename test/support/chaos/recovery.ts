/**
 * How long after a fault everything that it may have held up goes on.
 *
 * When a fault is over, each thread that is owned or may be claimed is written down with how far it was. It has recovered when it
 * was seen to be further, parked or done; the fault, when the last of its threads has.
 */
import type { Scene } from './scene.js';

interface Held {
  readonly thread_no: string;
  readonly progress: string;
}

const LOOK_EVERY_MS = 100;
const GIVE_UP_AFTER_MS = 60_000;

/** A thread's commits, claims and whether it waits for nobody. */
const HELD = `
select t.thread_no, concat_ws('/', t.state, t.epoch, h.seq, h.commit_no) as progress
from thread t
left join lateral (
  select seq, commit_no from history where thread_no = t.thread_no order by seq desc limit 1) h on true
where t.state in ('owned', 'ready')`;

export class RecoveryWatch {
  readonly #scene: Scene;
  readonly #running = new Set<Promise<void>>();
  readonly #took: { readonly fault: string; readonly ms: number }[] = [];

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  /** Of each fault that held something up, ms. */
  get took(): readonly { readonly fault: string; readonly ms: number }[] {
    return this.#took;
  }

  /** @param since When recovery could begin. */
  follow(fault: string, since: number): void {
    const following = this.#follow(fault, since).finally(() => this.#running.delete(following));
    this.#running.add(following);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #follow(fault: string, since: number): Promise<void> {
    let held = await this.#insist(HELD, []);
    if (held.length === 0) return;
    while (held.length > 0 && Date.now() - since < GIVE_UP_AFTER_MS) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      const rows = await this.#insist(`${HELD} and t.thread_no = any($1::bigint[])`, [
        held.map((row) => row.thread_no),
      ]);
      const progress = new Map(rows.map((row) => [row.thread_no, row.progress]));
      held = held.filter((row) => progress.get(row.thread_no) === row.progress);
    }
    this.#took.push({ fault, ms: Date.now() - since });
  }

  /** The database may be away again. */
  async #insist(text: string, values: unknown[]): Promise<Held[]> {
    for (;;) {
      try {
        return await this.#scene.cluster.sql<Held & Record<string, unknown>>(text, values);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
    }
  }
}
