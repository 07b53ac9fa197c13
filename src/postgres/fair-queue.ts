/**
 * What waits for a batch, by group: each group that waits is in the next batch, however many wait in the others.
 *
 * In one line ten thousand items of one workflow would stand before the single one of another.
 */

/** Something that waits, and how large it is. */
export interface Sized {
  readonly bytes: number;
}

export class FairQueue<Item extends Sized> {
  /** Those that were served last stand last. */
  readonly #groups = new Map<number, Item[]>();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: Item, group: number): void {
    this.#length++;
    const waiting = this.#groups.get(group);
    if (waiting === undefined) this.#groups.set(group, [item]);
    else waiting.push(item);
  }

  /** As many as fit. A group has at least one of them, as long as there are no more groups than items fit. */
  take(maxItems: number, maxBytes: number): Item[] {
    const groups = [...this.#groups].slice(0, maxItems);
    // What the short ones leave goes to the long ones.
    if (groups.length > 1) groups.sort(([, some], [, others]) => some.length - others.length);
    const batch: Item[] = [];
    let bytesLeft = maxBytes;
    for (const [index, [group, waiting]] of groups.entries()) {
      const sharers = groups.length - index;
      const { count, bytes } = fitting(waiting, Math.ceil((maxItems - batch.length) / sharers), bytesLeft / sharers);
      bytesLeft -= bytes;
      this.#groups.delete(group);
      if (count === waiting.length) {
        if (sharers === 1 && batch.length === 0) {
          this.#length -= count;
          return waiting;
        }
        for (const item of waiting) batch.push(item);
      } else {
        for (const item of waiting.splice(0, count)) batch.push(item);
        this.#groups.set(group, waiting);
      }
    }
    this.#length -= batch.length;
    return batch;
  }
}

/** How many of the first are within both limits: at least one. */
function fitting(waiting: readonly Sized[], maxItems: number, maxBytes: number): { count: number; bytes: number } {
  let bytes = 0;
  let count = 0;
  for (const item of waiting) {
    if (count > 0 && (count >= maxItems || bytes + item.bytes > maxBytes)) break;
    bytes += item.bytes;
    count++;
  }
  return { count, bytes };
}
