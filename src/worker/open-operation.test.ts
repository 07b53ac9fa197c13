import { describe, expect, it } from 'vitest';
import type { Command, Event, RecordedStep } from '../core/history.js';
import { failedAttempts, openedBy, replayOpen, resolvedBy } from './open-operation.js';

const command = (kind: Command['kind'], spec: object = {}): Command =>
  ({ kind, name: '', fingerprint: 0, counter: 0, spec }) as Command;
const step = (event: Event, ...commands: [op: number | null, command: Command][]): RecordedStep => ({
  entry: 0,
  now: 0,
  event,
  commands: commands.map(([op, one]) => ({ op, command: one })),
});

describe('what is open', () => {
  it('is what was opened and is not resolved', () => {
    const open = new Map();
    replayOpen(open, [
      step({ kind: 'start' }, [0, command('timer')], [1, command('wait', { timeoutMs: 5 })], [2, command('signal')]),
      step({ kind: 'fire', op: 0 }, [3, command('child', { awaited: true })], [null, command('patch')]),
      step({ kind: 'decided', op: 2, decision: { what: 'usual' } }),
      step({ kind: 'done', op: 3, value: 1, text: '1' }, [4, command('retry')]),
    ]);
    expect([...open]).toEqual([
      [1, { kind: 'wait', timeoutMs: 5 }],
      [4, { kind: 'retry' }],
    ]);
  });

  it('is resolved by a cancel as far as it rejected it', () => {
    const open = new Map();
    replayOpen(open, [
      step({ kind: 'start' }, [0, command('timer')], [1, command('timer')], [2, command('timer')]),
      step({ kind: 'cancel', ops: [0, 2] }),
    ]);
    expect([...open.keys()]).toEqual([1]);
  });

  it('is told of an activity with all that a task row needs', () => {
    const spec = { taskQueue: 'q', args: '[]' };
    const activity = { ...command('activity', spec), name: 'charge' } as Command;
    expect(openedBy({ op: 0, command: activity })).toEqual({
      kind: 'activity',
      spec,
      name: 'charge',
      hasTask: false,
      rests: false,
    });
  });
});

describe('an event resolves', () => {
  it.each<[Event, number[]]>([
    [{ kind: 'start' }, []],
    [{ kind: 'late', delayMs: 1 }, []],
    [{ kind: 'cancel', ops: [3, 4] }, [3, 4]],
    [{ kind: 'cancel', ops: [] }, []],
    [{ kind: 'fire', op: 2 }, [2]],
    [{ kind: 'retry', op: 2 }, [2]],
    [{ kind: 'signal', op: 0, value: 1, text: '1' }, [0]],
  ])('%o: %j', (event, ops) => {
    expect(resolvedBy(event)).toEqual(ops);
  });
});

it('attempts that failed are counted over steps as they are made and as they are read', () => {
  const made = { event: { kind: 'start' } as const, now: 0, commands: [command('timer'), command('retry')] };
  expect(failedAttempts([])).toBe(0);
  expect(failedAttempts([step({ kind: 'start' }, [0, command('retry')]), made])).toBe(2);
});
