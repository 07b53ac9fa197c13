import { describe, expect, it } from 'vitest';
import { encodeSteps } from '../codec/entry-text.js';
import { PayloadCodecError } from '../core/errors.js';
import type { Command, Event, Step } from '../core/history.js';
import { defaultRetryPolicy } from '../core/retry-policy.js';
import type { HistoryRow } from '../postgres/protocol/threads.js';
import { decisions, eventOf, readHistory } from './thread-history.js';

const workflow = { taskQueue: 'orders', retry: defaultRetryPolicy, workflowId: 'w-1' };
const signal = {
  kind: 'signal',
  name: '',
  fingerprint: 0,
  counter: 0,
  spec: { signalId: 'go', payload: '1', expireMs: 1 },
} as Command;
const timer = { kind: 'timer', name: '', fingerprint: 0, counter: 0, spec: { ms: 1 } } as Command;

const step = (event: Event, ...commands: Command[]): Step => ({ event, now: 5, commands });
const rows = (...entries: [outcome: string | null, ...Step[]][]): HistoryRow[] =>
  entries.map(([outcome, ...steps], seq) => ({
    seq,
    commit_no: 100 + seq,
    at_ms: 0,
    body: encodeSteps(steps, workflow),
    outcome,
    closes: false,
  }));

describe('what follows from a history alone', () => {
  it('of nothing, is nothing', () => {
    expect(readHistory(workflow, [])).toMatchObject({
      steps: [],
      opened: 0,
      seq: 0,
      lastCommitNo: null,
      attempt: 1,
      decided: [],
    });
  });

  it('is where the next entry goes, and which operations are open', () => {
    const history = readHistory(
      workflow,
      rows([null, step({ kind: 'start' }, timer, timer)], [null, step({ kind: 'fire', op: 0 }, timer)]),
    );
    expect(history).toMatchObject({ opened: 3, seq: 2, lastCommitNo: 101, now: 5 });
    expect([...history.open.keys()]).toEqual([1, 2]);
  });

  it('is what happened, in the recorded order', () => {
    const { steps } = readHistory(
      workflow,
      rows(
        [null, step({ kind: 'start' }, timer, timer, timer)],
        [null, step({ kind: 'fire', op: 2 }), step({ kind: 'fire', op: 0 })],
        [null, step({ kind: 'fire', op: 1 })],
      ),
    );
    expect(steps.map(({ event }) => ('op' in event ? event.op : event.kind))).toEqual(['start', 2, 0, 1]);
  });

  it('is what the database decided about the last entry: what it says, and the usual for the rest', () => {
    const { decided } = readHistory(
      workflow,
      rows(['[[1,"buffered"]]', step({ kind: 'start' }, signal, signal, timer)]),
    );
    expect(decided).toEqual([
      { kind: 'decided', op: 0, decision: { what: 'usual' } },
      { kind: 'decided', op: 1, decision: { what: 'buffered' } },
    ]);
  });

  it('is not what was told already, nor what an older entry was told', () => {
    const told = step({ kind: 'decided', op: 0, decision: { what: 'usual' } });
    expect(
      readHistory(workflow, rows(['[[0,"buffered"]]', step({ kind: 'start' }, signal)], [null, told])).decided,
    ).toEqual([]);
  });

  it('cannot be told from what is not ours: the message does not quote it', () => {
    const [row] = rows([null, step({ kind: 'start' })]) as [HistoryRow];
    const secret = { ...row, body: 'v1:c2VjcmV0' };
    expect(() => readHistory(workflow, [secret])).toThrow(PayloadCodecError);
    expect(() => readHistory(workflow, [secret])).not.toThrow(/c2VjcmV0/);
  });
});

describe('the event in an inbox row', () => {
  const mail = { thread_no: 7, inbox_no: 1 };

  it('is what happened, with its value', () => {
    expect(eventOf({ ...mail, kind: 'done', op: 3, payload: '{"a":1}' })).toEqual({
      kind: 'done',
      op: 3,
      value: { a: 1 },
      text: '{"a":1}',
    });
    expect(eventOf({ ...mail, kind: 'signal', op: 3, payload: null })).toEqual({
      kind: 'signal',
      op: 3,
      value: undefined,
      text: null,
    });
    expect(eventOf({ ...mail, kind: 'cancel', op: null, payload: null })).toEqual({ kind: 'cancel', ops: [] });
    expect(
      eventOf({ ...mail, kind: 'fail', op: 3, payload: '{"name":"Error","message":"x","stack":""}' }),
    ).toMatchObject({
      kind: 'fail',
      op: 3,
      failure: { message: 'x' },
    });
  });
});

it('decisions come in the order of their operations, each once', () => {
  const decided = decisions([5, 2, 5], new Map([[2, { what: 'buffered' }]]));
  expect(decided.map((event) => ('op' in event ? event.op : -1))).toEqual([2, 5]);
});
