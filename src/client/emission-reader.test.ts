import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ArrayParameter, Lane, Query } from '../postgres/database.js';
import { ANYTHING, type Notifier } from '../postgres/notifications.js';
import { EmissionReader } from './emission-reader.js';

/** A database that holds events of one topic each, and remembers what it was asked. */
class FakeDatabase {
  topics: string[] = [];
  /** For each call: the positions it asked behind. */
  readonly asked: number[][] = [];
  failures = 0;
  pageSize = 100;
  hear: (hint: string) => void = () => {};

  readonly lane = {
    query: async ({ values }: Query) => {
      const [after, , topic] = values.map((value) => (value as ArrayParameter).items);
      this.asked.push(after as number[]);
      if (this.failures > 0) {
        this.failures--;
        throw new Error('not now');
      }
      const last = this.topics.length;
      const rows: object[] = [{ item: 0, emission_no: last, topic: null }];
      for (const [index, from] of (after as number[]).entries()) {
        const upTo = Math.min(last, from + this.pageSize);
        for (let no = from + 1; no <= upTo; no++) {
          if (topic?.[index] !== null && topic?.[index] !== this.topics[no - 1]) continue;
          const event = { topic: this.topics[no - 1], payload: `${no}`, workflow_id: 'w', run: 0, emitted_ms: 0 };
          rows.push({ item: index + 1, emission_no: no, ...event });
        }
        rows.push({ item: index + 1, emission_no: upTo, topic: null });
      }
      return rows;
    },
  } as unknown as Lane;

  readonly notifier = {
    subscribe: (heard: (hint: string) => void) => {
      this.hear = heard;
      return () => {};
    },
  } as unknown as Notifier;

  emit(...topics: string[]): void {
    this.topics.push(...topics);
  }
}

describe('a reader of emitted events', () => {
  let database: FakeDatabase;
  let reader: EmissionReader;

  beforeEach(() => {
    vi.useFakeTimers();
    database = new FakeDatabase();
    reader = new EmissionReader(database.lane, 'durable', database.notifier);
  });
  afterEach(() => {
    reader.close();
    vi.useRealTimers();
  });

  const settled = () => vi.advanceTimersByTimeAsync(0);

  async function subscribe(topic: string | null = null, from: number | null = null) {
    const seen: number[] = [];
    const interest = { workflowId: null, topic, pattern: null };
    const subscription = await reader.subscribe(interest, from, (row) => seen.push(row.emission_no), {});
    return { subscription, positions: () => seen };
  }

  it('asks for no subscription while nothing is emitted, however many there are', async () => {
    for (let n = 0; n < 50; n++) await subscribe(`t-${n}`);
    await vi.advanceTimersByTimeAsync(2_000);
    database.asked.length = 0;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(database.asked.length).toBeGreaterThan(10);
    expect(database.asked.length).toBeLessThan(70);
    expect(database.asked.flat()).toEqual([]);
  });

  it('asks every few seconds only, where hints are heard', async () => {
    await subscribe();
    database.hear(ANYTHING);
    await vi.advanceTimersByTimeAsync(60_000);
    database.asked.length = 0;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(database.asked.length).toBeGreaterThanOrEqual(11);
    expect(database.asked.length).toBeLessThanOrEqual(12);
  });

  it('asks at once when it hears of an event', async () => {
    const { positions } = await subscribe();
    await vi.advanceTimersByTimeAsync(60_000);
    database.emit('a');
    database.hear('m');
    await settled();
    expect(positions()).toEqual([1]);
  });

  it('finds events that no hint told of', async () => {
    const { positions } = await subscribe();
    await vi.advanceTimersByTimeAsync(60_000);
    database.emit('a');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(positions()).toEqual([1]);
  });

  it('goes on where it was when a question failed', async () => {
    const { positions } = await subscribe();
    await settled();
    database.emit('a', 'a');
    database.failures = 3;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(positions()).toEqual([1, 2]);
  });

  it('reads page after page without a pause', async () => {
    database.pageSize = 2;
    database.emit('a', 'b', 'a', 'a', 'b', 'b', 'b', 'a');
    const { positions, subscription } = await subscribe('a', 0);
    await vi.advanceTimersByTimeAsync(10);
    expect(positions()).toEqual([1, 3, 4, 8]);
    expect(subscription.position).toBe(8);
  });

  it('passes over what is for others', async () => {
    const { subscription, positions } = await subscribe('a');
    database.emit('b', 'b', 'b');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(positions()).toEqual([]);
    expect(subscription.position).toBe(3);
  });

  it('brings nothing more to one that is still busy, and holds nobody else up', async () => {
    let finish: () => void = () => {};
    const seen: number[] = [];
    const slow = await reader.subscribe(
      { workflowId: null, topic: null, pattern: null },
      null,
      (row) => {
        seen.push(row.emission_no);
        return new Promise<void>((resolve) => {
          finish = resolve;
        });
      },
      {},
    );
    const { positions } = await subscribe();
    database.emit('a');
    await vi.advanceTimersByTimeAsync(1_000);
    database.emit('a');
    database.asked.length = 0;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(positions()).toEqual([1, 2]);
    expect(database.asked.flat()).toEqual([1]); // behind 1, for the other alone
    expect(seen).toEqual([1]);
    expect(slow.position).toBe(0);
    finish();
    await vi.advanceTimersByTimeAsync(1);
    expect(seen).toEqual([1, 2]);
    expect(slow.position).toBe(1);
    finish();
  });

  it('hears what comes after the database has gone back', async () => {
    database.emit('a', 'a', 'a');
    const { positions, subscription } = await subscribe();
    database.topics = ['a']; // a standby that lagged was promoted
    await vi.advanceTimersByTimeAsync(1_000);
    expect(subscription.position).toBe(1);
    database.emit('b');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(positions()).toEqual([2]);
  });

  it('refuses a position that was never given', async () => {
    database.emit('a');
    await expect(subscribe(null, 2)).rejects.toThrow('1 at most; got 2');
  });

  it('asks no more when the last has unsubscribed, or it was closed', async () => {
    const { subscription } = await subscribe();
    subscription.unsubscribe();
    await settled();
    database.asked.length = 0;
    await vi.advanceTimersByTimeAsync(60_000);
    database.hear('m');
    expect(database.asked).toEqual([]);
    const other = await subscribe();
    reader.close();
    await other.subscription.ended;
    await settled();
    database.asked.length = 0;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(database.asked).toEqual([]);
  });
});
