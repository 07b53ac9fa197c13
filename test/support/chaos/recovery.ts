/**
 * How long after faults everything that they may have held up goes on.
 *
 * Owns: one look at the database ten times a second, for all faults together. When a fault is over, each thread and each task that is
 * owned or may be claimed is written down with how far it was. It has recovered when it was seen to be further, parked or done; the
 * fault, when the last of them has. Measured twice: amid further faults, which hold up the same threads again, and from the last fault of
 * a burst until all that any of them had held up has recovered. The second is what is promised.
 */
import type { Scene } from './scene.js';

export interface Recovery {
  readonly fault: string;
  readonly ms: number;
}

interface Following {
  readonly fault: string;
  readonly since: number;
  /** How far each was; null before the first look. */
  held: Map<string, string> | null;
}

const LOOK_EVERY_MS = 100;
const GIVE_UP_AFTER_MS = 60_000;

/** A thread's commits, claims and whether it waits for nobody; a task's attempts and who has it. */
const HELD = `
select 't' || t.thread_no as name, concat_ws('/', t.state, t.epoch, h.seq, h.commit_no) as progress
from thread t
left join lateral (
  select seq, commit_no from history where thread_no = t.thread_no order by seq desc limit 1) h on true
where t.state in ('owned', 'ready') or t.state = 'blocked' and t.excluded is null -- a suspect, which waits to be tried
union all
select 'a' || a.thread_no || '/' || a.op, concat_ws('/', a.attempt, a.owner, a.epoch)
from activity_task a where not a.outside and (a.owner is not null or a.ready_at < clock())`;

export class RecoveryWatch {
  readonly #scene: Scene;
  readonly #following = new Set<Following>();
  readonly #amid: Recovery[] = [];
  readonly #inQuiet: Recovery[] = [];
  #looking = false;
  /** When the last of those that held something up had recovered. */
  #lastOver = 0;
  #whenQuiet = () => {};

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  /** Of each fault that held something up, however many came behind it. */
  get amid(): readonly Recovery[] {
    return this.#amid;
  }

  /** Of each burst of faults that held something up. */
  get inQuiet(): readonly Recovery[] {
    return this.#inQuiet;
  }

  /** A fault is over as far as recovery is concerned: it begins now. */
  follow(fault: string): void {
    this.#following.add({ fault, since: Date.now(), held: null });
    if (!this.#looking) void this.#look();
  }

  /**
   * No more faults come for now. Resolves when everything has recovered that the faults had held up.
   *
   * @param since When the last of them was over.
   */
  async burstIsOver(since: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#whenQuiet = resolve;
      if (!this.#looking) resolve();
    });
    if (this.#lastOver > since) this.#inQuiet.push({ fault: 'burst', ms: this.#lastOver - since });
  }

  async #look(): Promise<void> {
    this.#looking = true;
    while (this.#following.size > 0) {
      const progress = new Map((await this.#insist()).map((row) => [row.name, row.progress]));
      for (const following of this.#following) this.#compare(following, progress);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    this.#looking = false;
    this.#whenQuiet();
  }

  #compare(following: Following, progress: ReadonlyMap<string, string>): void {
    const { held, fault, since } = following;
    if (held === null) {
      following.held = new Map(progress);
      if (progress.size > 0) return;
    } else {
      for (const [name, was] of held) if (progress.get(name) !== was) held.delete(name);
      const ms = Date.now() - since;
      if (held.size > 0 && ms < GIVE_UP_AFTER_MS) return;
      this.#amid.push({ fault, ms });
      this.#lastOver = Date.now();
    }
    this.#following.delete(following);
  }

  /** The database may be away again. */
  async #insist(): Promise<{ name: string; progress: string }[]> {
    for (;;) {
      try {
        return await this.#scene.cluster.sql(HELD);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
    }
  }
}
