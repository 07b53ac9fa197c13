import { expect, it } from 'vitest';
import { fetchUnserved, reap } from '../../src/postgres/protocol/workers.js';
import {
  child,
  claimOnly,
  expireLease,
  FLOW,
  onEveryDatabase,
  QUEUE,
  register,
  running,
  setClock,
  start,
  startAll,
  startItem,
  step,
  takeTasks,
  task,
} from '../support/protocol.js';
import { SCHEMA } from '../support/protocol-session.js';

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

onEveryDatabase('a trace context', (session) => {
  it('stays with a run: whoever claims it or its activities gets it, and the next run of its chain', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a', { trace: TRACE });
    expect(thread.trace).toBe(TRACE);
    await step(session(), thread, { opens: 1, effects: [task(0)] });
    expect(await takeTasks(session(), worker)).toMatchObject([{ trace: TRACE }]);
    await step(session(), thread, { closing: 'continued', result: '[]' });
    expect(await claimOnly(session(), worker, 'a')).toMatchObject({ run: 1, trace: TRACE });
  });

  it('of a child is what its commit says', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent', { trace: TRACE });
    await step(session(), parent, { opens: 2, effects: [child(0, 'with', { trace: 'own' }), child(1, 'without')] });
    const rows = await session().sql(`select workflow_id, trace from ${SCHEMA}.execution order by workflow_id`);
    expect(rows).toEqual([
      { workflow_id: 'parent', trace: TRACE },
      { workflow_id: 'with', trace: 'own' },
      { workflow_id: 'without', trace: null },
    ]);
  });

  it('is of the start in whose call it stands', async () => {
    await startAll(session(), [startItem('a'), startItem('b', { trace: TRACE }), startItem('c')]);
    const rows = await session().sql(`select workflow_id, trace from ${SCHEMA}.execution order by workflow_id`);
    expect(rows.map(({ trace }) => trace)).toEqual([null, TRACE, null]);
  });
});

onEveryDatabase('a function that nobody serves', (session) => {
  const unserved = (worker: { no: number }) => fetchUnserved(session(), SCHEMA, worker.no);
  const other = (name: string) => ({ services: [{ kind: 'workflow' as const, taskQueue: QUEUE, name }] });

  it('is told of to workers of its queue while workflows have waited for it for seconds', async () => {
    const worker = await register(session());
    const stranger = await register(session(), 'stranger', {
      services: [{ kind: 'workflow' as const, taskQueue: 'elsewhere', name: FLOW }],
    });
    await start(session(), 'served');
    for (const id of ['a', 'b']) await start(session(), id, { workflowName: 'flwo' });
    await start(session(), 'c', { workflowName: 'flwo', taskQueue: 'of-nobody' });
    expect(await unserved(worker)).toEqual([]);
    await setClock(session(), '4 seconds');
    expect(await unserved(worker)).toEqual([{ task_queue: QUEUE, workflow_name: 'flwo', waiting: 2 }]);
    expect(await unserved(stranger)).toEqual([]);

    await register(session(), 'late', other('flwo'));
    expect(await unserved(worker)).toEqual([]);
  });

  it('is one again when the last worker that served it is dead; it is the reaper who says so', async () => {
    const worker = await register(session());
    const last = await register(session(), 'last', other('rare'));
    await start(session(), 'a', { workflowName: 'rare' });
    await setClock(session(), '4 seconds');
    expect(await unserved(worker)).toEqual([]);
    await expireLease(session(), last);
    const { reaped } = await reap(session(), SCHEMA, worker.no);
    expect(reaped).toEqual([{ workerNo: last.no, description: expect.any(String) }]);
    expect((await reap(session(), SCHEMA, worker.no)).reaped).toEqual([]);
    expect(await unserved(worker)).toEqual([{ task_queue: QUEUE, workflow_name: 'rare', waiting: 1 }]);
  });
});
