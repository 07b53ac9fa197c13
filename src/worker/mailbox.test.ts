import { describe, expect, it } from 'vitest';
import type { Event } from '../core/history.js';
import { SmallMap } from '../core/small-map.js';
import { Mailbox } from './mailbox.js';
import type { OpenOperation } from './open-operation.js';

const done = (op: number): Event => ({ kind: 'done', op, value: op, text: String(op) });

function mailbox(): Mailbox {
  return new Mailbox(new SmallMap<number, OpenOperation>());
}

/** What is left, taken out. */
function rest(box: Mailbox): (number | undefined)[] {
  const ops: (number | undefined)[] = [];
  for (let next = box.take(false); next !== undefined; next = box.take(false))
    ops.push('op' in next.event ? next.event.op : undefined);
  return ops;
}

describe('a mailbox', () => {
  it.each([3, 999, 1_000, 5_000])('gives %d deliveries in the order in which they came', (count) => {
    const box = mailbox();
    for (let op = 0; op < count; op++) box.add({ event: done(op), inboxNo: op });
    expect(rest(box)).toEqual([...Array(count).keys()]);
    expect(box.empty).toBe(true);
    expect(box.take(false)).toBeUndefined();
  });

  it('of many of which some are gone knows what is left, in every respect', () => {
    const box = mailbox();
    for (let op = 0; op < 2_000; op++) box.add({ event: done(op), inboxNo: op < 1_999 ? op : null });
    for (let n = 0; n < 700; n++) box.take(false);
    expect([box.has(699), box.has(700)]).toEqual([false, true]);
    box.take(false);
    expect(box.ops.size).toBe(1_299);
    box.take(false);
    box.addFirst({ event: { kind: 'decided', op: 5_000, decision: { what: 'usual' } }, inboxNo: null });
    expect([box.beginsWithDecision, box.holdsOutcome, box.hasTimer(702)]).toEqual([true, true, false]);
    box.take(false);
    box.take(false);
    box.keepUnstored();
    box.add({ event: done(7), inboxNo: 7 });
    expect(rest(box)).toEqual([1_999, 7]);
  });

  it('takes more in while it gives out', () => {
    const box = mailbox();
    const ops: number[] = [];
    for (let op = 0; op < 4_000; op++) {
      box.add({ event: done(2 * op), inboxNo: null });
      box.add({ event: done(2 * op + 1), inboxNo: null });
      const next = box.take(false)?.event;
      if (next !== undefined && 'op' in next) ops.push(next.op);
    }
    expect([...ops, ...rest(box)]).toEqual([...Array(8_000).keys()]);
  });

  it('cleared, is empty', () => {
    const box = mailbox();
    for (let op = 0; op < 2_000; op++) box.add({ event: done(op), inboxNo: null });
    box.take(false);
    box.clear();
    expect([box.empty, box.take(false)]).toEqual([true, undefined]);
  });
});
