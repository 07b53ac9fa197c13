/** What exports read: the threads of a workflow, pages of their histories, which children are its own. */

import { expect, it } from 'vitest';
import {
  fetchChildren,
  fetchRecordedThreads,
  fetchThreadsToReplay,
  readHistories,
} from '../../src/postgres/protocol/exports.js';
import {
  child,
  claimOnly,
  complete,
  onEveryDatabase,
  openHook,
  register,
  running,
  step,
  type Thread,
  terminate,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';

onEveryDatabase('exports', (session) => {
  const threadsOf = (run: Thread) => fetchRecordedThreads(session(), SCHEMA, run.run_no);

  it('find the threads of a run and of those it was continued from, and how far each has come', async () => {
    const worker = await register(session());
    await running(session(), worker, 'other');
    const first = await running(session(), worker, 'a', { args: '["first"]' });
    await step(session(), first, { opens: 1, effects: openHook(0, null) });
    const hook = await claimOnly(session(), worker, 'a');
    await step(session(), hook);
    await step(session(), first, { closing: 'continued', result: '["second"]' });
    const second = await claimOnly(session(), worker, 'a');
    await step(session(), second);
    expect(await threadsOf(second)).toMatchObject([
      { thread_no: first.thread_no, run_no: first.run_no, generation: 0, hook_no: null, entries: 2, args: '["first"]' },
      { thread_no: hook.thread_no, run_no: first.run_no, generation: 0, hook_no: 0, entries: 2, args: null },
      { thread_no: second.thread_no, generation: 1, hook_no: null, entries: 1, args: null },
    ]);
    expect(await threadsOf(first)).toHaveLength(2);

    // What a replay needs is what a claim hands out.
    const runs = [second.run_no, first.run_no, 987_654];
    const claimed = ({
      thread_no,
      run_no,
      run,
      hook_no,
      hook_signal,
      request_no,
      args,
      config,
      created_ms,
    }: Thread) => ({
      ...{ thread_no, run_no, run, hook_no, hook_signal, request_no, args, config, created_ms },
    });
    expect(await fetchThreadsToReplay(session(), SCHEMA, runs)).toMatchObject([first, hook, second].map(claimed));
  });

  it('read pages of several histories at once, each from where it is asked for', async () => {
    const worker = await register(session());
    const a = await running(session(), worker, 'a');
    const b = await running(session(), worker, 'b');
    for (let n = 0; n < 4; n++) await step(session(), a);
    await step(session(), b);
    await complete(session(), b);
    const read = async (entries: number, bytes: number, ...from: [Thread, number][]) => {
      const asked = from.map(([{ thread_no: threadNo }, seq]) => ({ threadNo, seq }));
      const rows = await readHistories(session(), SCHEMA, asked, { entries, bytes });
      return rows.map((row) => [row.thread_no === a.thread_no ? 'a' : 'b', row.seq, row.closes]);
    };
    const ofA = (seq: number) => ['a', seq, false];
    expect(await read(2, 1_000_000, [a, 1], [b, 0])).toEqual([ofA(1), ofA(2), ['b', 0, false], ['b', 1, true]]);
    expect(await read(9, 1, [a, 2])).toEqual([ofA(2)]); // never none, however large
    expect(await read(9, 1_000_000, [a, 9])).toEqual([]);
  });

  it("tell a workflow's children from strangers of the same id", async () => {
    const worker = await register(session());
    const stranger = await running(session(), worker, 'stranger');
    const parent = await running(session(), worker, 'parent');
    await step(session(), parent, { opens: 2, effects: [child(0, 'mine'), child(1, 'started', { awaited: false })] });
    await terminate(session(), 'parent');
    const found = await fetchChildren(session(), SCHEMA, parent.run_no, ['started', 'stranger', 'mine', 'nobody']);
    expect(found.map(({ workflow_id }) => workflow_id)).toEqual(['started', 'mine']);
    expect(found.some(({ chain_no }) => chain_no === stranger.run_no)).toBe(false);
  });
});
