/** What a reset answers, and what it is recognised by; what workflows see of it is in test/a-workflow-goes-back-to-a-point.test.ts. */

import { expect, it } from 'vitest';
import {
  claimOnly,
  complete,
  nextNumber,
  onEveryDatabase,
  register,
  reset,
  running,
  start,
  step,
  terms,
  wait,
} from '../support/protocol.js';

onEveryDatabase('reset', (session) => {
  it('is done once, whoever lost its answer', async () => {
    const a = await running(session(), await register(session()), 'a');
    await step(session(), a);
    const requestNo = nextNumber();
    const first = await reset(session(), a.run_no, { requestNo, keep: 1 });
    expect(first.status).toBe('reset');
    expect(await reset(session(), a.run_no, { requestNo, keep: 1 })).toEqual({ status: 'again', runNo: first.runNo });
    const newest = await reset(session(), first.runNo, { requestNo, keep: 1 });
    expect(newest, 'also when it is asked of the new run').toEqual({ status: 'again', runNo: first.runNo });
    expect(await reset(session(), a.run_no, { keep: 1 })).toEqual({ status: 'superseded', runNo: 0 });
  });

  it('is done once also as a fork, whose id is refused to others', async () => {
    const a = await running(session(), await register(session()), 'a');
    await step(session(), a);
    const fork = { requestNo: nextNumber(), keep: 1, workflowId: 'b' };
    const first = await reset(session(), a.run_no, fork);
    expect(first.status).toBe('reset');
    expect(await reset(session(), a.run_no, fork)).toEqual({ status: 'again', runNo: first.runNo });
    expect(await reset(session(), a.run_no, { ...fork, requestNo: nextNumber() })).toMatchObject({
      status: 'duplicate',
    });
  });

  it('changes nothing when signals were taken that the caller has not seen', async () => {
    const worker = await register(session());
    const a = await running(session(), worker, 'a');
    await step(session(), a, { opens: 1, effects: [wait(0, 'go')] });
    await step(session(), a, { body: '[[0,["signal",0,1]]]' });
    expect(await reset(session(), a.run_no, { keep: 1, opened: 1, seen: 0 })).toEqual({ status: 'moved', runNo: 0 });
    await complete(session(), a); // it is still its owner's
  });

  it('fences the owner of the run it ends', async () => {
    const worker = await register(session());
    const a = await running(session(), worker, 'a');
    await step(session(), a);
    await reset(session(), a.run_no, { keep: 1 });
    await expect(step(session(), a)).rejects.toThrow();
    const again = await claimOnly(session(), worker, 'a');
    expect(again).toMatchObject({ run: 1, last_seq: 0, last_commit_no: a.lastCommitNo });
    await complete(session(), again);
  });

  it('refuses what is unknown, only reserved, or did not fail', async () => {
    const a = await running(session(), await register(session()), 'a');
    expect(await reset(session(), 999)).toMatchObject({ status: 'unknown' });
    expect(await reset(session(), a.run_no, { cause: 'retried' })).toMatchObject({ status: 'not failed' });
    const reserved = await start(session(), 'reserved', { terms: terms({ pendingMs: 60_000 }) });
    expect(await reset(session(), reserved)).toMatchObject({ status: 'pending' });
  });
});
