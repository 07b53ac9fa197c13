/** What is due when: a binary heap with one timer for the earliest entry. Entries that no longer matter are skipped by their owner. */

export interface DueEntry {
  readonly dueAt: number;
  run(): void;
}

/** Longest span a Node timer can be armed for without overflowing; later entries are looked at again then. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class DueHeap {
  readonly #heap: DueEntry[] = [];
  readonly #now: () => number;
  #timer: NodeJS.Timeout | null = null;
  #armedFor = Infinity;

  /** @param now A monotonic clock, in ms. */
  constructor(now: () => number) {
    this.#now = now;
  }

  add(entry: DueEntry): void {
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if ((heap[parent] as DueEntry).dueAt <= entry.dueAt) break;
      heap[index] = heap[parent] as DueEntry;
      index = parent;
    }
    heap[index] = entry;
    if (entry.dueAt < this.#armedFor) this.#arm();
  }

  /** Runs what is due: the clock may have been moved. */
  look(): void {
    this.#fire();
  }

  close(): void {
    this.#heap.length = 0;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const first = this.#heap[0];
    this.#timer = null;
    this.#armedFor = first?.dueAt ?? Infinity;
    if (first === undefined) return;
    const ms = Math.min(MAX_TIMER_MS, Math.max(0, Math.ceil(first.dueAt - this.#now())));
    this.#timer = setTimeout(() => this.#fire(), ms);
  }

  #fire(): void {
    const now = this.#now();
    for (let first = this.#heap[0]; first !== undefined && first.dueAt <= now; first = this.#heap[0]) {
      this.#removeFirst();
      first.run();
    }
    this.#armedFor = Infinity;
    this.#arm();
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as DueEntry;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && right.dueAt < (heap[child] as DueEntry).dueAt) child++;
      if ((heap[child] as DueEntry).dueAt >= last.dueAt) break;
      heap[index] = heap[child] as DueEntry;
      index = child;
    }
    heap[index] = last;
  }
}
