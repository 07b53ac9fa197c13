import { expect, it } from 'vitest';
import { Errors, uuid, workflow } from '../src/index.js';
import { engineForAll, Journal, kept, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();
const mended = new Set<string>();

const activities = {
  async step(id: string) {
    journal.note(id, 'step');
  },
  async fails(id: string) {
    if (!mended.has(id)) throw new Error('out of order');
  },
};
const { step } = workflow.proxyActivities<typeof activities>();
const { fails } = workflow.proxyActivities<typeof activities>({ retry: { maximumAttempts: 1, ...retryAtOnce } });

async function waits(id: string) {
  await step(id);
  return await workflow.condition(`${id} go`);
}

async function failing(id: string) {
  await step(id);
  await fails(id);
  return 'mended';
}

async function goesOn() {
  try {
    await workflow.sleep(1);
  } catch {
    return 'cancelled';
  }
  return await workflow.continueAsNew();
}

const engine = engineForAll({ workflow: { waits, failing, goesOn }, activities, tempo: kept });

/** Three that wait, found by a field of their own. */
async function three(name = 'waits') {
  const fleet = uuid();
  const handles = await Promise.all(
    [1, 2, 3].map((n) =>
      engine().start(name, [`${fleet} ${n}`], { workflowId: `${fleet} ${n}`, search: { data: { fleet } } }),
    ),
  );
  if (name === 'waits') {
    for (const handle of handles) await engine().awaitsSignal(handle, `${handle.workflowId} go`);
  }
  const ids = handles.map((handle) => handle.workflowId);
  return { ids, handles, filter: { search: { fleet } } };
}

const bulk = () => engine().client.workflow.bulk;
const sorted = (ids: readonly string[]) => [...ids].sort();

it('a dry run says what would be selected, and changes nothing', async () => {
  const { ids, filter } = await three();
  const result = await bulk().pause(filter, { dryRun: true });
  expect(result).toMatchObject({ matched: 3, done: 0, unchanged: 0, failed: 0, cursor: null });
  expect(sorted(result.ids)).toEqual(ids);
  expect(await engine().client.workflow.count({ ...filter, paused: true })).toBe(0);
});

it('pauses and resumes those that a filter selects, once', async () => {
  const { ids, handles, filter } = await three();
  const others = await three();
  const paused = await bulk().pause(filter, { reason: 'maintenance' });
  expect(paused).toMatchObject({ matched: 3, done: 3, unchanged: 0, failed: 0 });
  expect(sorted(paused.ids)).toEqual(ids);
  expect(await engine().client.workflow.count({ ...filter, paused: true })).toBe(3);
  expect(await engine().client.workflow.count({ ...others.filter, paused: true })).toBe(0);
  expect(await bulk().pause(filter)).toMatchObject({ matched: 0 });
  await handles[0]?.signal(`${ids[0]} go`, 'on');
  expect(await bulk().resume(filter)).toMatchObject({ matched: 3, done: 3 });
  expect(await engine().result(handles[0]!)).toBe('on');
  expect(await bulk().resume(filter)).toMatchObject({ matched: 0 });
});

it('cancels, and terminates with a reason', async () => {
  const cancelled = await three();
  expect(await bulk().cancel(cancelled.filter)).toMatchObject({ matched: 3, done: 3 });
  for (const handle of cancelled.handles) {
    expect(await engine().failure(handle)).toBeInstanceOf(Errors.CancelledFailure);
  }
  const terminated = await three();
  expect(await bulk().terminate(terminated.filter, { reason: 'enough' })).toMatchObject({ matched: 3, done: 3 });
  for (const handle of terminated.handles) {
    expect(await engine().failure(handle)).toMatchObject({ message: 'enough', job_id: handle.workflowId });
  }
});

it('resets to an entry, and tells which it could not', async () => {
  const { ids, handles, filter } = await three();
  expect(await bulk().reset(filter, { toEntry: 0, reason: 'again' })).toMatchObject({ matched: 3, done: 3 });
  await until('all did it again', () => ids.every((id) => journal.count(id) === 2));
  const refused = await bulk().reset(filter, { toEntry: 99 });
  expect(refused).toMatchObject({ matched: 3, done: 0, failed: 3 });
  expect(refused.failures[0]?.error).toMatchObject({ name: 'OperationRefusedError', reason: 'entry' });
  for (const handle of handles) await handle.signal(`${handle.workflowId} go`, 'end');
  for (const handle of handles) expect(await engine().result(handle)).toBe('end');
});

it('resets once under a name, and anew under another', async () => {
  const { handles, filter } = await three();
  const named = { toEntry: 0, requestId: 'wrong address' };
  expect(await bulk().reset(filter, { ...named, limit: 2 })).toMatchObject({ matched: 2, done: 2 });
  expect(await bulk().reset(filter, named)).toMatchObject({ matched: 3, done: 1, unchanged: 2 });
  expect(await bulk().reset(filter, named)).toMatchObject({ matched: 3, done: 0, unchanged: 3 });
  expect(await bulk().reset(filter, { ...named, requestId: 'another' })).toMatchObject({ matched: 3, done: 3 });
  expect(await bulk().reset(filter, named)).toMatchObject({ matched: 3, done: 0, unchanged: 3 });
  for (const handle of handles) await handle.terminate();
});

it('retries what failed, and goes on where it broke off', async () => {
  const { ids, handles, filter } = await three('failing');
  for (const handle of handles) await engine().failure(handle);
  for (const id of ids) mended.add(id);
  let cursor: string | null = null;
  const first = await bulk().retry(filter, {
    limit: 2,
    onPage: (progress) => {
      cursor = progress.cursor;
    },
  });
  expect(first).toMatchObject({ matched: 2, done: 2 });
  const second = await bulk().retry(filter, { cursor });
  expect(second).toMatchObject({ matched: 1, done: 1 });
  expect(sorted([...first.ids, ...second.ids])).toEqual(ids);
  for (const handle of handles) expect(await engine().result(handle)).toBe('mended');
  expect(ids.map((id) => journal.count(id))).toEqual([1, 1, 1]);
  // From the start: their newest runs have not failed.
  expect(await bulk().retry(filter)).toMatchObject({ matched: 3, done: 0, unchanged: 3, failed: 0 });
});

it('goes through more than one page', async () => {
  const fleet = uuid();
  const all = Array.from({ length: 230 }, (_, n) => `${fleet} ${n}`);
  await Promise.all(
    all.map((workflowId) => engine().start('waits', [workflowId], { workflowId, taskQueue: `${fleet} nobody` })),
  );
  const pages: number[] = [];
  const filter = { workflowId: { prefix: fleet } };
  const result = await bulk().pause(filter, { onPage: ({ done }) => pages.push(done) });
  expect(result).toMatchObject({ matched: 230, done: 230, unchanged: 0, failed: 0 });
  expect(pages).toEqual([100, 200, 230]);
  expect(sorted(result.ids)).toEqual(sorted(all));
  expect(await bulk().terminate({ ...filter, paused: true })).toMatchObject({ matched: 230, done: 230 });
});

it.each(['cancel', 'terminate', 'pause'] as const)(
  '%s reaches workflows that go on as new all the while',
  async (what) => {
    const fleet = uuid();
    const restless = Array.from({ length: 8 }, (_, n) => `${fleet} ${n}`);
    for (const workflowId of restless) await engine().start('goesOn', [], { workflowId });
    const idle = Array.from({ length: 100 }, (_, n) => `${fleet} idle ${n}`);
    await Promise.all(
      idle.map((workflowId) => engine().start('waits', [workflowId], { workflowId, taskQueue: `${fleet} nobody` })),
    );
    const filter = { workflowId: { prefix: fleet } };
    expect(await bulk()[what](filter)).toMatchObject({ matched: 108, done: 108, failed: 0, cursor: null });
    if (what === 'pause') {
      expect(await engine().client.workflow.count({ ...filter, paused: true })).toBe(108);
      await bulk().terminate(filter);
    } else if (what === 'terminate') {
      expect(await engine().client.workflow.count({ ...filter, status: 'open' })).toBe(0);
    } else {
      for (const workflowId of restless)
        expect(await (await engine().client.workflow.getHandle('test', 'goesOn', workflowId)).result()).toBe(
          'cancelled',
        );
      await bulk().terminate(filter);
    }
  },
);

it('refuses filters and options that make no sense', async () => {
  // @ts-expect-error a condition it does not have
  await expect(bulk().pause({ statuss: 'open' })).rejects.toThrow(/status/);
  await expect(bulk().retry({ status: 'open' })).rejects.toThrow(
    `bulk.retry: status must be 'failed' or left out; got open`,
  );
  // @ts-expect-error an option it does not have
  await expect(bulk().cancel({}, { dryrun: true })).rejects.toThrow(/dryRun/);
  await expect(bulk().terminate({}, { expire: -1 })).rejects.toThrow(/expire/);
  await expect(bulk().reset({}, { toEntry: 0, requestId: '' })).rejects.toThrow(/requestId/);
  // @ts-expect-error toEntry is missing
  await expect(bulk().reset({}, {})).rejects.toThrow(/toEntry/);
});
