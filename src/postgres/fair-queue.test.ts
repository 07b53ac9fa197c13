import { describe, expect, it } from 'vitest';
import { FairQueue } from './fair-queue.js';

interface Item {
  readonly name: string;
  readonly bytes: number;
}

function queueOf(counts: Record<number, number>, bytes = 1): FairQueue<Item> {
  const queue = new FairQueue<Item>();
  for (const [group, count] of Object.entries(counts))
    for (let n = 0; n < count; n++) queue.push({ name: `${group}.${n}`, bytes }, Number(group));
  return queue;
}

const names = (items: readonly Item[]) => items.map(({ name }) => name);
/** How many of each group. */
function tally(items: readonly Item[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { name } of items) {
    const [group = ''] = name.split('.');
    counts[group] = (counts[group] ?? 0) + 1;
  }
  return counts;
}

describe('a fair queue', () => {
  it('gives all when all fit, each group in the order in which it came', () => {
    const queue = queueOf({ 1: 3, 2: 1 });
    expect(names(queue.take(10, 100))).toEqual(['2.0', '1.0', '1.1', '1.2']);
    expect(queue.length).toBe(0);
    expect(queue.take(10, 100)).toEqual([]);
  });

  it('has the few in the next batch, and fills it with the many', () => {
    const queue = queueOf({ 1: 10_000, 2: 1, 3: 40 });
    expect(tally(queue.take(500, 1e6))).toEqual({ 2: 1, 3: 40, 1: 459 });
    expect(queue.length).toBe(10_041 - 500);
  });

  it('shares between those that have many', () => {
    const queue = queueOf({ 1: 1_000, 2: 1_000 });
    expect(tally(queue.take(500, 1e6))).toEqual({ 1: 250, 2: 250 });
  });

  it('keeps a batch within its bytes, but for one of each group', () => {
    expect(queueOf({ 1: 5 }, 40).take(500, 100)).toHaveLength(2);
    expect(queueOf({ 1: 5 }, 400).take(500, 100)).toHaveLength(1);
    expect(tally(queueOf({ 1: 50, 2: 50 }, 10).take(500, 100))).toEqual({ 1: 5, 2: 5 });
    expect(tally(queueOf({ 1: 5, 2: 5 }, 400).take(500, 100))).toEqual({ 1: 1, 2: 1 });
  });

  it('lets nobody wait for ever where there are more groups than a batch has items', () => {
    const queue = queueOf({ 1: 9, 2: 9, 3: 9, 4: 9, 5: 9 });
    const served = new Set<string>();
    for (let batch = 0; batch < 3; batch++) {
      const items = queue.take(2, 1e6);
      expect(items).toHaveLength(2);
      for (const group of Object.keys(tally(items))) served.add(group);
    }
    expect(served.size).toBe(5);
  });

  it('gives each item once', () => {
    const queue = queueOf({ 1: 137, 2: 29, 3: 1 });
    const seen: string[] = [];
    for (let items = queue.take(10, 25); items.length > 0; items = queue.take(10, 25)) seen.push(...names(items));
    expect(seen).toHaveLength(167);
    expect(new Set(seen).size).toBe(167);
    expect(queue.length).toBe(0);
  });
});
