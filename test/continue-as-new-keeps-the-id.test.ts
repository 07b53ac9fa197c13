import { expect, it } from 'vitest';
import { Errors, uuid, workflow } from '../src/index.js';
import { describeInBothTempos, Journal, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();

const activities = {
  async add(key: string, n: number) {
    journal.note(key, n);
    return n + 1;
  },
};
const { add } = workflow.proxyActivities<typeof activities>();

async function counts(key: string, n: number, to: number): Promise<unknown> {
  const next = await add(key, n);
  const { workflowId, run, counter } = workflow.workflowInfo();
  if (next < to) {
    await workflow.continueAsNew(key, next, to);
    journal.note(key, 'behind continueAsNew');
    await add(key, -1);
  }
  return { n: next, workflowId, run, counter, random: workflow.random() };
}

async function collects(signalId: string, received: unknown[], total: number): Promise<unknown[]> {
  received.push(await workflow.condition(signalId));
  if (received.length === total) return received;
  return await workflow.continueAsNew(signalId, received, total);
}

async function waitsOften(ids: string[], round: number, seen: unknown[][]): Promise<unknown[][]> {
  seen.push(await Promise.all(ids.map((id) => workflow.condition(`${id} ${round}`))));
  if (round === 3) return seen;
  return await workflow.continueAsNew(ids, round + 1, seen);
}

async function leavesPending(key: string, round: number): Promise<unknown> {
  void workflow.sleep('1 hour');
  void workflow.condition(`${key} never`);
  await add(key, round);
  if (round === 2) return 'ended';
  return await workflow.continueAsNew(key, round + 1);
}

async function swallows(round: number): Promise<unknown> {
  if (round === 1) return 'second run';
  try {
    await workflow.continueAsNew(1);
  } catch {
    return 'swallowed';
  } finally {
    journal.note('finally of continueAsNew');
  }
  return 'went on';
}

async function unawaited(round: number): Promise<unknown> {
  if (round === 1) return 'second run';
  void workflow.continueAsNew(1);
  return 'first run';
}

async function parent(key: string) {
  return await workflow.executeChild({ workflowName: 'counts', args: [key, 0, 4] });
}

async function failsInNextRun(round: number) {
  if (round === 0) await workflow.continueAsNew(1);
  if (workflow.workflowInfo().attempt <= 1) throw new Error('first attempt');
  return workflow.workflowInfo().run;
}

async function badArguments() {
  try {
    await workflow.continueAsNew(() => 1);
    return 'continued';
  } catch (error) {
    return (error as Error).message;
  }
}

async function cancellable(round: number): Promise<unknown> {
  try {
    await workflow.condition('never', round === 0 ? 30 : '1 hour');
  } catch (error) {
    return { cancelledInRun: workflow.workflowInfo().run, name: (error as Error).name };
  }
  return await workflow.continueAsNew(round + 1);
}

const workflows = {
  counts,
  collects,
  waitsOften,
  leavesPending,
  swallows,
  unawaited,
  parent,
  failsInNextRun,
  badArguments,
  cancellable,
};

describeInBothTempos('continueAsNew', { workflow: workflows, activities }, (engine, tempo) => {
  it('begins a run with new arguments and an empty history under the same id; the handle follows', async () => {
    const key = `${tempo.name} counts`;
    const handle = await engine().start('counts', [key, 0, 5]);
    const result = await engine().result<Record<string, unknown>>(handle);
    expect(result).toMatchObject({ n: 5, workflowId: handle.workflowId, run: 4, counter: 1 });
    expect(journal.of(key)).toEqual([0, 1, 2, 3, 4]);
    expect(await handle.status()).toBe(0);
    expect(await handle.state()).toMatchObject({ done: true, response: result });
    const byId = await engine().client.workflow.getHandle('test', 'counts', handle.workflowId);
    expect(await byId.result()).toEqual(result);
    const entries = await engine().sql<{ run: number; n: number }>(
      `select e.run, count(*)::int as n from history h join execution e on e.run_no = h.thread_no
       where e.workflow_id = $1 group by e.run order by e.run`,
      [handle.workflowId],
    );
    expect(new Set(entries.map(({ n }) => n)).size).toBe(1);
  });

  it('keeps the id taken all along', async () => {
    const workflowId = uuid();
    const handle = await engine().start('counts', [uuid(), 0, 20], { workflowId });
    const again = await Promise.allSettled(
      Array.from({ length: 20 }, () => engine().start('swallows', [1], { workflowId })),
    );
    for (const outcome of again) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(Errors.DuplicateJobError) });
    }
    expect(await engine().result(handle)).toMatchObject({ n: 20 });
  });

  it('carries signals that were not consumed yet, in order', async () => {
    const id = uuid();
    const handle = await engine().start('collects', [id, [], 30]);
    for (let n = 0; n < 30; n++) await handle.signal(id, n);
    expect(await engine().result(handle)).toEqual(Array.from({ length: 30 }, (_, n) => n));
  });

  it('carries signals that arrive while runs change', async () => {
    const id = uuid();
    const handle = await engine().start('collects', [id, [], 200]);
    await Promise.all(Array.from({ length: 200 }, (_, n) => handle.signal(id, n)));
    expect(await engine().result(handle)).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });

  it('carries namespace signals, too', async () => {
    const id = uuid();
    const sent = Array.from({ length: 40 }, (_, n) => engine().client.workflow.signal(id, n));
    const handle = await engine().start('collects', [id, [], 40]);
    await Promise.all(sent);
    expect(await engine().result(handle)).toEqual(Array.from({ length: 40 }, (_, n) => n));
  });

  it('may wait for several signals in each run', async () => {
    const ids = [uuid(), uuid()] as const;
    const handle = await engine().start('waitsOften', [ids, 1, []]);
    for (const round of [1, 2, 3]) {
      for (const id of [ids[1], ids[0]]) await handle.signal(`${id} ${round}`, `${ids.indexOf(id)} ${round}`);
    }
    expect(await engine().result(handle)).toEqual([1, 2, 3].map((round) => [`0 ${round}`, `1 ${round}`]));
  });

  it('drops what was pending', async () => {
    const key = `${tempo.name} pending`;
    expect(await engine().run('leavesPending', [key, 0])).toBe('ended');
    expect(journal.of(key)).toEqual([0, 1, 2]);
  });

  it('is not thrown: nothing can swallow it, and finally does not run', async () => {
    expect(await engine().run('swallows', [0])).toBe('second run');
    expect(journal.count('finally of continueAsNew')).toBe(0);
  });

  it('ends the run where it is called, awaited or not', async () => {
    expect(await engine().run('unawaited', [0])).toBe('second run');
  });

  it('goes unnoticed by a parent that waits', async () => {
    expect(await engine().run('parent', [`${tempo.name} child`])).toMatchObject({ n: 4, run: 3 });
  });

  it('keeps the retry policy of the workflow', async () => {
    expect(await engine().run('failsInNextRun', [0], { config: retryAtOnce })).toBe(1);
    const handle = await engine().start('failsInNextRun', [0], { config: { maximumAttempts: 0 } });
    expect(await engine().failure(handle)).toMatchObject({ message: 'first attempt', code: 597 });
  });

  it('refuses arguments that cannot be stored, and the run goes on', async () => {
    expect(await engine().run('badArguments')).toContain('args[0] is a function');
  });

  it('hands a cancellation to the run that is there', async () => {
    const handle = await engine().start('cancellable', [0]);
    await until('the next run is there', async () => {
      const rows = await engine().sql('select from execution where workflow_id = $1', [handle.workflowId]);
      return rows.length > 1;
    });
    await handle.cancel();
    expect(await engine().result(handle)).toEqual({ cancelledInRun: 1, name: 'CancelledFailure' });
  });

  it('loses no cancellation that comes while runs change', async () => {
    const handles = await Promise.all(
      Array.from({ length: 20 }, () => engine().start('counts', [uuid(), 0, 1_000_000])),
    );
    await Promise.all(
      handles.map(async (handle, n) => {
        await new Promise((resolve) => setTimeout(resolve, 5 * n));
        await handle.cancel();
      }),
    );
    for (const handle of handles) expect(await engine().failure(handle)).toMatchObject({ name: 'CancelledFailure' });
  });

  it('can be terminated in whatever run it is', async () => {
    const handles = await Promise.all(
      Array.from({ length: 10 }, () => engine().start('counts', [uuid(), 0, 1_000_000])),
    );
    await Promise.all(
      handles.map(async (handle, n) => {
        await new Promise((resolve) => setTimeout(resolve, 10 * n));
        await handle.terminate({ reason: 'stop' });
        expect(await engine().failure(handle)).toMatchObject({ message: 'stop' });
      }),
    );
  });
});
