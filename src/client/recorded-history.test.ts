import { describe, expect, it } from 'vitest';
import { encodeSteps } from '../codec/entry-text.js';
import { Seal } from '../codec/payload-codec.js';
import type { Command, Event } from '../core/history.js';
import { defaultRetryPolicy } from '../core/retry-policy.js';
import type { HistoryPageSize, RecordedEntryRow, RecordedThreadRow } from '../postgres/protocol/exports.js';
import { type HistorySource, type RecordedMoment, readSteps } from './recorded-history.js';

const defaults = { taskQueue: 'q', retry: defaultRetryPolicy };

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** Histories of threads, an entry of one step each, at the given times. */
class Histories {
  readonly rows = new Map<number, RecordedEntryRow[]>();
  /** What was asked for: threads and entries from which on. */
  readonly asked: (readonly [threadNo: number, seq: number])[][] = [];
  bytesAsked = 0;
  /** The most entries of a thread that a page of the test has. */
  pageEntries = 2;

  add(threadNo: number, times: readonly number[], commands: readonly Command[] = [], outcome: string | null = null) {
    const rows = times.map((now, seq) => {
      const event: Event = seq === 0 ? { kind: 'start' } : { kind: 'late', delayMs: 0 };
      const body = encodeSteps([{ event, now, commands: seq === times.length - 1 ? commands : [] }], defaults);
      const last = seq === times.length - 1;
      return { thread_no: threadNo, seq, at_ms: now + 1, body, outcome: last ? outcome : null, closes: false };
    });
    this.rows.set(threadNo, rows);
  }

  source(): HistorySource {
    return {
      seal: new Seal(null),
      link: {
        readHistories: async (from, page: HistoryPageSize) => {
          this.bytesAsked = page.bytes;
          this.asked.push(from.map(({ threadNo, seq }) => [threadNo, seq]));
          return from.flatMap(({ threadNo, seq }) =>
            (this.rows.get(threadNo) ?? []).slice(seq, seq + Math.min(this.pageEntries, page.entries)),
          );
        },
      },
    };
  }

  read(...threads: readonly RecordedThreadRow[]): Promise<RecordedMoment[]> {
    return all(readSteps('w', threads, this.source()));
  }
}

function thread(threadNo: number, entries: number, of: Partial<RecordedThreadRow> = {}): RecordedThreadRow {
  return {
    thread_no: threadNo,
    run_no: 1,
    generation: 0,
    hook_no: threadNo === 1 ? null : threadNo,
    task_queue: 'q',
    workflow_name: 'flow',
    created_ms: 0,
    entries,
    args: null,
    ...of,
  };
}

const told = (moments: readonly RecordedMoment[]) =>
  moments.map(({ thread: { threadNo }, step: { now } }) => [threadNo, now]);

describe('the recorded steps of a workflow', () => {
  it('come in the order of their times, whichever thread they are of, page by page', async () => {
    const histories = new Histories();
    histories.add(1, [10, 20, 50, 60]);
    histories.add(2, [30, 40]);
    histories.add(3, [15]);
    expect(told(await histories.read(thread(1, 4), thread(2, 2), thread(3, 1)))).toEqual([
      [1, 10],
      [3, 15],
      [1, 20],
      [2, 30],
      [2, 40],
      [1, 50],
      [1, 60],
    ]);
    expect(histories.asked).toEqual([
      [
        [1, 0],
        [2, 0],
        [3, 0],
      ],
      [[1, 2]],
    ]);
  });

  it('come run after run, though clocks differ, and a later run is not read before it is its turn', async () => {
    const histories = new Histories();
    histories.add(1, [10, 20]);
    histories.add(9, [19]);
    const steps = readSteps(
      'w',
      [thread(1, 2), thread(9, 1, { run_no: 9, generation: 1, hook_no: null })],
      histories.source(),
    );
    expect((await steps.next()).value?.step.now).toBe(10);
    expect(histories.asked).toEqual([[[1, 0]]]);
    expect(told(await all(steps))).toEqual([
      [1, 20],
      [9, 19],
    ]);
  });

  it('are none of a thread that was ended before it began, nor of a run that is gone as a whole', async () => {
    const histories = new Histories();
    histories.add(1, [10]);
    histories.rows.set(2, [{ thread_no: 2, seq: 0, at_ms: 5, body: '{"ended":true}', outcome: null, closes: true }]);
    expect(told(await histories.read(thread(1, 1), thread(2, 1)))).toEqual([[1, 10]]);
    histories.add(9, [40]);
    const gone = thread(3, 2, { hook_no: null });
    expect(told(await histories.read(gone, thread(9, 1, { run_no: 9, hook_no: null })))).toEqual([[9, 40]]);
  });

  it('end where the histories went when the reading began', async () => {
    const histories = new Histories();
    histories.add(1, [10, 20, 30]);
    expect(told(await histories.read(thread(1, 2), thread(2, 0)))).toEqual([
      [1, 10],
      [1, 20],
    ]);
  });

  it('have what the database decided about the last entry, though nobody was told yet', async () => {
    const histories = new Histories();
    const signal = {
      kind: 'signal',
      name: '',
      fingerprint: 0,
      counter: 1,
      spec: { signalId: 's', payload: null, expireMs: 1 },
    };
    const wait = { kind: 'wait', name: '', fingerprint: 0, counter: 2, spec: { signalId: 's', timeoutMs: null } };
    histories.add(1, [10], [signal, wait] as Command[], '[[1,"signal",5]]');
    const moments = await histories.read(thread(1, 1));
    expect(moments.slice(1).map(({ step: { event, now } }) => [event, now])).toEqual([
      [{ kind: 'decided', op: 0, decision: { what: 'usual' } }, 11],
      [{ kind: 'decided', op: 1, decision: { what: 'signal', value: 5 } }, 11],
    ]);
  });

  it('are not found when they were pruned meanwhile, but for runs that others continued', async () => {
    const histories = new Histories();
    histories.add(1, [10, 20, 30]);
    await expect(histories.read(thread(1, 5))).rejects.toMatchObject({ name: 'GetStateError', code: 404 });
    await expect(histories.read(thread(2, 1))).rejects.toMatchObject({ name: 'GetStateError' });
    histories.add(9, [40]);
    const newest = thread(9, 1, { run_no: 9, generation: 1, hook_no: null });
    expect(told(await histories.read(thread(1, 5), newest))).toEqual([
      [1, 10],
      [1, 20],
      [1, 30],
      [9, 40],
    ]);
  });

  it('of many hooks begin with a hundred pages at a time', async () => {
    const histories = new Histories();
    const hooks = Array.from({ length: 250 }, (_, at) => at + 2);
    for (const hook of hooks) histories.add(hook, [hook]);
    const moments = await histories.read(...hooks.map((hook) => thread(hook, 1)));
    expect(moments).toHaveLength(250);
    expect(histories.asked.map(({ length }) => length)).toEqual([100, 100, 50]);
    expect(histories.bytesAsked).toBeLessThanOrEqual(16_777_216 / 250 + 1); // together they hold no more than a few
  });
});
