import { describe, expect, it, vi } from 'vitest';
import { Batcher } from './batcher.js';
import type { Lane } from './database.js';
import { SqlError } from './sql-error.js';

/** Lanes are only told apart; calls are answered by hand. */
function batcher(options: { maxBytes?: number; asideBytes?: number } = {}) {
  const main = { name: 'main' } as unknown as Lane;
  const side = { name: 'side' } as unknown as Lane;
  const calls: { lane: 'main' | 'side'; items: number[]; answer: () => void; fail: (error: unknown) => void }[] = [];
  const made = new Batcher<number, number>({
    main,
    side,
    bytes: (item) => item,
    ...options,
    send: (lane, items) =>
      new Promise((resolve, reject) => {
        const answer = () => resolve([...items]);
        calls.push({ lane: lane === main ? 'main' : 'side', items: [...items], answer, fail: reject });
      }),
  });
  const turns = async () => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  return { made, calls, turns, sent: () => calls.map(({ lane, items }) => ({ lane, items })) };
}

describe('a batcher', () => {
  it('sends large items aside, one at a time, while small ones go on', async () => {
    const { made, calls, turns, sent } = batcher({ maxBytes: 100, asideBytes: 10 });
    const large = [made.submit(50), made.submit(60)];
    const small = [made.submit(1), made.submit(10)];
    await turns();
    expect(sent()).toEqual([
      { lane: 'side', items: [50] },
      { lane: 'main', items: [1, 10] },
    ]);
    calls[1]?.answer();
    expect(await Promise.all(small)).toEqual([1, 10]);
    expect(calls).toHaveLength(2);
    calls[0]?.answer();
    await turns();
    expect(sent().at(-1)).toEqual({ lane: 'side', items: [60] });
    calls[2]?.answer();
    expect(await Promise.all(large)).toEqual([50, 60]);
  });

  it('keeps the order of all that fit into a batch, unless told that they need none', async () => {
    const { made, calls, turns, sent } = batcher({ maxBytes: 100 });
    const items = [90, 20, 101].map((item) => made.submit(item));
    await turns();
    expect(sent()).toEqual([
      { lane: 'side', items: [101] },
      { lane: 'main', items: [90] },
    ]);
    for (const call of calls) call.answer();
    await turns();
    expect(sent().at(-1)).toEqual({ lane: 'main', items: [20] });
    calls.at(-1)?.answer();
    expect(await Promise.all(items)).toEqual([90, 20, 101]);
  });

  it('splits a call that fails until the culprit stands alone: all others are sent again, once', async () => {
    const { made, calls, turns } = batcher();
    const items = [1, 2, 3, 4, 5].map((item) => made.submit(item));
    const outcomes = Promise.allSettled(items);
    const answered: number[] = [];
    for (let n = 0; ; n++) {
      await turns();
      const call = calls[n];
      if (call === undefined) break;
      if (call.items.includes(4)) {
        call.fail(new Error(`not ${call.items}`));
      } else {
        answered.push(...call.items);
        call.answer();
      }
    }
    expect(answered).toEqual([1, 2, 3, 5]);
    expect(calls.filter(({ lane }) => lane === 'main')).toHaveLength(1);
    const [, , , culprit] = await outcomes;
    expect(culprit).toMatchObject({ status: 'rejected', reason: new Error('not 4') });
  });

  it('sends what the server failed at again and again, aside, while the others go on; then it tells the caller', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    try {
      const { made, calls, turns } = batcher();
      const fault = new SqlError(Object.assign(new Error('invalid page'), { code: 'XX001', severity: 'ERROR' }));
      const failed = made.submit(1).catch((error: unknown) => error);
      for (let attempt = 1; attempt <= 8; attempt++) {
        await vi.advanceTimersByTimeAsync(2_000);
        await turns();
        const tried = calls.filter(({ items }) => items[0] === 1);
        expect(tried).toHaveLength(attempt);
        expect(tried.at(-1)?.lane).toBe(attempt === 1 ? 'main' : 'side');
        tried.at(-1)?.fail(fault);
        await turns();
        const other = made.submit(100 + attempt);
        await turns();
        calls.at(-1)?.answer();
        expect(await other).toBe(100 + attempt);
      }
      expect(await failed).toBe(fault);
    } finally {
      vi.useRealTimers();
    }
  });

  it('is done with it when the server no longer fails', async () => {
    const { made, calls, turns } = batcher();
    const submitted = made.submit(1);
    await turns();
    calls[0]?.fail(new SqlError(Object.assign(new Error('no such file'), { code: '58P01', severity: 'ERROR' })));
    await expect.poll(() => calls.length).toBe(2);
    calls[1]?.answer();
    expect(await submitted).toBe(1);
  });
});
