import { describe, expect, it, vi } from 'vitest';
import { QueueFullError } from '../core/errors.js';
import { Backlog } from './backlog.js';

function backlogOf(maxBacklog: number, onFull: 'reject' | 'wait' = 'reject') {
  const state = { now: 0, waiting: 0, counts: 0 };
  const count = async () => {
    state.counts++;
    return state.waiting;
  };
  return { state, backlog: new Backlog({ maxBacklog, onFull }, count, () => state.now) };
}

describe('a backlog', () => {
  it('takes as many as may wait, and refuses the next by name', async () => {
    const { backlog, state } = backlogOf(3);
    state.waiting = 1;
    await backlog.admit('q');
    await backlog.admit('q');
    const refused = await backlog.admit('q').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(QueueFullError);
    expect(refused).toMatchObject({ code: 429, taskQueue: 'q', waiting: 3, maxBacklog: 3 });
    await backlog.admit('another');
  });

  it('counts once for a thousand starts, and again after a while', async () => {
    const { backlog, state } = backlogOf(2_000);
    await Promise.all(Array.from({ length: 1_000 }, () => backlog.admit('q')));
    expect(state.counts).toBe(1);
    state.now = 250;
    await backlog.admit('q');
    expect(state.counts).toBe(2);
  });

  it('takes more when some of it was taken by workers', async () => {
    const { backlog, state } = backlogOf(2);
    state.waiting = 2;
    await expect(backlog.admit('q')).rejects.toThrow(QueueFullError);
    state.waiting = 1;
    state.now = 250;
    await backlog.admit('q');
    await expect(backlog.admit('q')).rejects.toThrow('2 workflows and activities wait on task queue "q", and 2 may');
  });

  it('counts what is on its way to the database besides what is there, and once it is there only once', async () => {
    const { backlog, state } = backlogOf(2);
    const answered = await backlog.admit('q');
    state.now = 250;
    await backlog.admit('q');
    await expect(backlog.admit('q')).rejects.toThrow(QueueFullError);
    answered();
    state.now = 500;
    await backlog.admit('q');
  });

  it('waits for room, if that is asked for, and not for ever', async () => {
    vi.useFakeTimers();
    try {
      const { backlog, state } = backlogOf(1, 'wait');
      state.waiting = 1;
      let admitted = false;
      const waiting = backlog.admit('q').then(() => {
        admitted = true;
      });
      state.now = 250;
      await vi.advanceTimersByTimeAsync(250);
      expect(admitted).toBe(false);
      state.waiting = 0;
      state.now = 500;
      await vi.advanceTimersByTimeAsync(250);
      await waiting;
      state.waiting = 1;
      state.now = 1_000;
      const late = backlog.admit('q').catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(0);
      state.now = 31_001;
      await vi.advanceTimersByTimeAsync(250);
      expect(await late).toBeInstanceOf(QueueFullError);
    } finally {
      vi.useRealTimers();
    }
  });

  it('lets the error of a count through, and counts anew for the next', async () => {
    let fails = true;
    const backlog = new Backlog({ maxBacklog: 1, onFull: 'reject' }, async () => {
      if (fails) throw new Error('down');
      return 0;
    });
    await expect(backlog.admit('q')).rejects.toThrow('down');
    fails = false;
    await backlog.admit('q');
  });
});
