/** What pause and resume do to the rows; what workflows see of it is in test/a-paused-workflow-stands-still.test.ts. */

import { expect, it } from 'vitest';
import {
  block,
  claim,
  claimOnly,
  die,
  limits,
  mailOf,
  nextNumber,
  onEveryDatabase,
  park,
  pause,
  reapDead,
  register,
  release,
  resume,
  running,
  start,
  step,
  takeTasks,
  task,
  waiting,
} from '../support/protocol.js';
import type { Session } from '../support/protocol-session.js';

const threads = (session: Session) =>
  session.sql(
    `select e.workflow_id as id, e.run, t.state, t.paused, t.ready_at is not null as claimable
     from durable.thread t join durable.execution e using (run_no) order by 1, 2`,
  );

onEveryDatabase('pause', (session) => {
  it('answers for each workflow, in order', async () => {
    const worker = await register(session());
    await waiting(session(), worker, 'parked', 'go');
    await start(session(), 'reserved', { terms: '{"pendingMs":60000}' });
    await start(session(), 'ready');
    const ids = ['ready', 'nobody', 'parked', 'reserved', 'ready'];
    expect(await pause(session(), ids)).toEqual(['paused', 'unknown', 'paused', 'pending', 'again']);
    expect(await pause(session(), ['parked'])).toEqual(['again']);
    expect(await resume(session(), ids)).toEqual(['resumed', 'unknown', 'resumed', 'again', 'resumed']);
    expect(await resume(session(), ['parked'])).toEqual(['again']);
  });

  it('is not done a second time when its answer was lost and somebody has resumed', async () => {
    await start(session(), 'a');
    const requestNo = nextNumber();
    expect(await pause(session(), ['a'], requestNo)).toEqual(['paused']);
    await resume(session(), ['a']);
    expect(await pause(session(), ['a'], requestNo)).toEqual(['paused']);
    expect(await threads(session())).toMatchObject([{ state: 'ready', paused: false }]);
  });

  it('leaves an owned thread to its worker, who is told, and gives it up', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await pause(session(), ['a']);
    expect(await threads(session())).toMatchObject([{ state: 'owned', paused: true }]);
    expect(await mailOf(session(), worker)).toMatchObject([{ kind: 'pause' }]);
    await step(session(), thread, { opens: 1 }); // what was under way
    expect(await park(session(), thread, [0])).toBe('mail');
    expect(await release(session(), thread)).toBeNull(); // nobody is to look
    expect(await threads(session())).toMatchObject([{ state: 'paused', claimable: false }]);
    expect(await claim(session(), worker)).toEqual([]);
    await resume(session(), ['a']);
    expect(await claimOnly(session(), worker, 'a')).toMatchObject({ last_seq: 0, mail: null });
  });

  it('does not matter to an owner when it was resumed before it looked', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await pause(session(), ['a']);
    await resume(session(), ['a']);
    expect(await mailOf(session(), worker)).toEqual([]);
    await step(session(), thread);
    expect(await threads(session())).toMatchObject([{ state: 'owned', paused: false }]);
  });

  it('frees the thread of a dead worker into the same state', async () => {
    const worker = await register(session());
    await running(session(), worker, 'a');
    await pause(session(), ['a']);
    await die(session(), worker);
    expect(await threads(session())).toMatchObject([{ state: 'paused', claimable: false }]);
  });

  it('keeps the moment before which a thread was not to begin', async () => {
    const worker = await register(session());
    await start(session(), 'a');
    await session().sql(`update durable.thread set ready_at = now() + interval '1 hour'`);
    await pause(session(), ['a']);
    await resume(session(), ['a']);
    expect(await claim(session(), worker)).toEqual([]);
    const [row] = await session().sql(`select ready_at > now() + interval '50 minutes' as later from durable.thread`);
    expect(row).toEqual({ later: true });
  });

  it('holds the next run of what continues as new', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await pause(session(), ['a']);
    await step(session(), thread, { closing: 'continued', result: '[]' });
    expect(await threads(session())).toMatchObject([
      { run: 0, state: 'done', paused: false },
      { run: 1, state: 'paused', paused: true, claimable: false },
    ]);
    await resume(session(), ['a']);
    await claimOnly(session(), worker, 'a');
  });

  it('lays tasks aside without using up their time to be taken', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 2, effects: [task(0), limits(0, { scheduleToStart: 60_000 }), task(1)] });
    await pause(session(), ['a']);
    expect(await takeTasks(session(), worker)).toEqual([]);
    const aside = await session().sql(`select ready_at, owner, expires_at from durable.activity_task`);
    expect(aside).toEqual([
      { ready_at: null, owner: null, expires_at: null },
      { ready_at: null, owner: null, expires_at: null },
    ]);
    await resume(session(), ['a']);
    expect(await takeTasks(session(), worker)).toHaveLength(2);
  });

  it('takes what belongs to others beside what is laid aside', async () => {
    const worker = await register(session());
    for (const id of ['a', 'b']) {
      await step(session(), await running(session(), worker, id), { opens: 1, effects: [task(0)] });
    }
    await pause(session(), ['a']);
    expect((await takeTasks(session(), worker)).map((taken) => taken.workflow_id)).toEqual(['b']);
  });
});

onEveryDatabase('resume', (session) => {
  it('has a blocked thread tried once more by whoever tried it', async () => {
    const worker = await register(session());
    expect(await block(session(), await running(session(), worker, 'a'))).toBe('blocked');
    await reapDead(session(), worker);
    expect(await claim(session(), worker)).toEqual([]);
    expect(await resume(session(), ['a'])).toEqual(['resumed']);
    expect(await block(session(), await claimOnly(session(), worker, 'a'))).toBe('blocked');
  });

  it('has a thread tried again that was blocked while it was paused', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await pause(session(), ['a']);
    expect(await block(session(), thread)).toBe('paused');
    expect(await register(session(), 'new')).toBeDefined();
    expect(await threads(session())).toMatchObject([{ state: 'paused', claimable: false }]);
    await resume(session(), ['a']);
    await claimOnly(session(), worker, 'a');
  });
});
