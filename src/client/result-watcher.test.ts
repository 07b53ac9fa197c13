import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Lane, Query } from '../postgres/database.js';
import { ANYTHING, type Notifier } from '../postgres/notifications.js';
import type { ResultRow } from '../postgres/protocol/executions.js';
import { ResultWatcher } from './result-watcher.js';

const ended = new Map<number, string>();
const asked: number[][] = [];
let fails = 0;
let hearEnd: (ending: ResultRow) => void;
let hear: (hint: string) => void;
let watcher: ResultWatcher;

const lane = {
  async query({ values }: Query) {
    const { items } = values[0] as unknown as { items: number[] };
    asked.push([...items]);
    if (fails-- > 0) throw new Error('no connection');
    return items
      .filter((chain) => ended.has(chain))
      .map((chain) => ({ chain_no: chain, run_no: chain, state: 'completed', result: ended.get(chain) }));
  },
} as unknown as Lane;

const notifier = {
  subscribe(heard: (hint: string) => void) {
    hear = heard;
    return () => {};
  },
  onEnded(heard: (ending: ResultRow) => void) {
    hearEnd = heard;
    return () => {};
  },
} as unknown as Notifier;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'performance'] });
  ended.clear();
  asked.length = 0;
  fails = 0;
  watcher = new ResultWatcher(lane, 'durable', notifier);
});
afterEach(() => {
  watcher.close();
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
/** Those that nobody answers are rejected when the watcher is closed behind each test. */
const outcomeOf = (chain: number, fresh = false) => {
  const outcome = watcher.outcome(chain, fresh);
  outcome.catch(() => {});
  return outcome;
};
const resultOf = async (outcome: Promise<{ result: string | null }>) => (await outcome).result;

it('asks at once, for all that came in the same turn together', async () => {
  ended.set(1, 'a').set(2, 'b');
  const both = Promise.all([watcher.outcome(1), watcher.outcome(2), watcher.outcome(1)].map(resultOf));
  await pass(1);
  expect(await both).toEqual(['a', 'b', 'a']);
  expect(asked).toEqual([[1, 2]]);
});

it('asks only for what a hint names', async () => {
  const outcomes = [1, 2, 3].map((chain) => outcomeOf(chain, true));
  ended.set(2, 'b');
  hear('r2');
  hear('q7');
  await pass(1);
  expect(await resultOf(outcomes[1] as (typeof outcomes)[number])).toBe('b');
  expect(asked).toEqual([[2]]);
});

it('asks for nothing that ended in this process, with its outcome', async () => {
  const outcomes = [1, 2].map((chain) => outcomeOf(chain, true));
  hearEnd({ chain_no: 2, run_no: 2, state: 'completed', result: 'here' });
  hear('r2');
  await pass(1);
  expect(await resultOf(outcomes[1] as (typeof outcomes)[number])).toBe('here');
  expect(asked).toEqual([]);
});

it('remembers an end that was heard of before anybody waited', async () => {
  ended.set(4, 'd');
  hear('r4');
  const outcome = watcher.outcome(4, true);
  await pass(1);
  expect(await resultOf(outcome)).toBe('d');
});

it('asks by itself for what no hint names, less and less often, and stops when it is answered', async () => {
  const outcome = outcomeOf(5, true);
  await pass(10_000);
  const before = asked.length;
  expect(before).toBeGreaterThan(5);
  expect(before).toBeLessThan(20);
  ended.set(5, 'e');
  await pass(1_000);
  expect(await resultOf(outcome)).toBe('e');
  const after = asked.length;
  await pass(60_000);
  expect(asked.length).toBe(after);
});

it('asks less often still when hints come from other processes, and for everything when they were away', async () => {
  void outcomeOf(6, true);
  hear(ANYTHING);
  await pass(60_000);
  expect(asked.length).toBeLessThan(22);
  const outcome = watcher.outcome(6);
  ended.set(6, 'f');
  hear(ANYTHING);
  await pass(1);
  expect(await resultOf(outcome)).toBe('f');
});

it('polls a new one soon, though an old one is not due for long', async () => {
  void outcomeOf(7, true);
  hear(ANYTHING);
  await pass(30_000);
  const outcome = watcher.outcome(8, true);
  ended.set(8, 'h');
  await pass(25);
  expect(await resultOf(outcome)).toBe('h');
});

it('asks again after a call that failed', async () => {
  fails = 1;
  ended.set(9, 'i');
  const outcome = watcher.outcome(9);
  await pass(25);
  expect(await resultOf(outcome)).toBe('i');
  expect(asked).toEqual([[9], [9]]);
});

it('asks for at most a thousand at a time', async () => {
  for (let chain = 0; chain < 2_500; chain++) void outcomeOf(chain);
  await pass(1);
  expect(asked.map((chains) => chains.length)).toEqual([1_000, 1_000, 500]);
});

describe('waiting for what does not end costs', () => {
  /** How many chains are asked for in a minute, when so many have waited for long. */
  async function askedInAMinute(waiters: number, hints: boolean): Promise<number> {
    for (let chain = 0; chain < waiters; chain++) void outcomeOf(chain, true);
    if (hints) hear(ANYTHING);
    await pass(60_000);
    asked.length = 0;
    await pass(60_000);
    return asked.flat().length;
  }

  it('the same for 20,000 waiters as for 60,000, where hints come from other processes', async () => {
    const few = await askedInAMinute(20_000, true);
    watcher.close();
    watcher = new ResultWatcher(lane, 'durable', notifier);
    const many = await askedInAMinute(60_000, true);
    expect(few).toBeGreaterThan(50_000);
    expect(few).toBeLessThan(62_000);
    expect(Math.abs(many - few)).toBeLessThan(2_000);
  });

  it('ten times as much where no hint comes, and no more for more of them', async () => {
    const asks = await askedInAMinute(30_000, false);
    expect(asks).toBeGreaterThan(400_000);
    expect(asks).toBeLessThan(620_000);
  });

  it('so that each of them has its turn, and ends that were named wait for none', async () => {
    await askedInAMinute(20_000, true);
    const seen = new Set(asked.flat());
    expect(seen.size).toBe(20_000);
    asked.length = 0;
    ended.set(17, 'a').set(19_999, 'b');
    const both = Promise.all([watcher.outcome(17, true), watcher.outcome(19_999, true)].map(resultOf));
    hear('r17');
    hear('r19999');
    await pass(1);
    expect(await both).toEqual(['a', 'b']);
    expect(asked).toEqual([[17, 19_999]]);
  });
});

it('rejects what waits when it is closed, and what comes behind', async () => {
  const waiting = watcher.outcome(10);
  watcher.close();
  await expect(waiting).rejects.toThrow('the client was shut down');
  await expect(watcher.outcome(11)).rejects.toThrow('the client was shut down');
});
