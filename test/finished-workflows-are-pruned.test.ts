import { randomUUID } from 'node:crypto';
import { describe, expect, it, type TestContext } from 'vitest';
import { type ArchivedExecution, Errors, workflow } from '../src/index.js';
import { Engine, until } from './support/worker.js';

const activities = {
  async note(text: string) {
    return `noted ${text}`;
  },
};
const { note } = workflow.proxyActivities<typeof activities>();

async function notes(...texts: string[]) {
  const found: string[] = [];
  for (const text of texts) found.push(await note(text));
  return found;
}

async function waits() {
  return await workflow.condition('go');
}

async function fails() {
  throw new Errors.ApplicationFailure('it was no use', { nonRetryable: true });
}

async function hooked(n: number) {
  const { search } = workflow;
  await (await search()).set({ n: String(n) });
  return await workflow.execHook({ workflowName: 'answers', taskQueue: 'test', args: ['x'] });
}

async function answers(text: string, { signal }: { signal: string }) {
  await workflow.signal(signal, `${text}!`);
}

async function goesOn(n: number) {
  await note(String(n));
  if (n > 0) await workflow.continueAsNew(n - 1);
  return 'at the end';
}

const functions = { notes, waits, fails, hooked, answers, goesOn };

/** As if calls could be sent again for no time at all: else nothing is pruned for ten minutes. */
const forgetAtOnce = (engine: Engine) =>
  engine.sql(
    `create or replace function request_window() returns interval language sql stable as $$ select interval '0' $$`,
  );

describe.concurrent('what has ended', () => {
  type Finish = Pick<TestContext, 'onTestFinished'>;

  async function open(
    { onTestFinished }: Finish,
    archive?: (execution: ArchivedExecution) => unknown,
    workers = 1,
  ): Promise<Engine> {
    const engine = await Engine.withoutWorker();
    onTestFinished(() => engine.close());
    await forgetAtOnce(engine);
    for (let n = 0; n < workers; n++)
      await engine.addWorker({ workflow: functions, activities, ...(archive !== undefined && { archive }) });
    return engine;
  }
  const rows = async (engine: Engine, id?: string) => {
    const [row] = await engine.sql<{ n: number }>(
      `select count(*)::int as n from execution where $1::text is null or workflow_id = $1`,
      [id ?? null],
    );
    return row?.n;
  };

  it('is pruned by the workers when `expire` is over: unknown from then on, its id free', async (context) => {
    const engine = await open(context);
    const handle = await engine.start('notes', ['a', 'b'], { workflowId: 'once', expire: 0.001 });
    expect(await engine.result(handle)).toEqual(['noted a', 'noted b']);
    const kept = await engine.start('notes', ['c']);
    await engine.result(kept);
    await until('it is pruned', async () => (await rows(engine, 'once')) === 0);
    await expect(handle.result()).rejects.toThrow(Errors.GetStateError);
    await expect(handle.state()).rejects.toThrow('once Not Found');
    await expect(handle.status()).rejects.toThrow('Job once not found');
    await expect(handle.signal('go')).rejects.toThrow(Errors.GetStateError);
    await expect(handle.terminate()).rejects.toThrow('Job once not found');
    await handle.cancel();
    expect(await engine.run('notes', ['d'], { workflowId: 'once' })).toEqual(['noted d']);
    expect(await kept.result()).toEqual(['noted c']);
  });

  it('is pruned when an administrator asks, and counted before', async (context) => {
    const engine = await open(context);
    for (let n = 0; n < 3; n++) await engine.run('notes', ['x'], { expire: n === 0 ? 0 : 3_600 });
    const waiting = await engine.start('waits');
    await until(
      'they have ended',
      async () => (await engine.client.prune({ olderThan: 0, dryRun: true })).executions === 3,
    );
    expect(await rows(engine)).toBe(4);
    expect(await engine.client.prune({ olderThan: '1 hour' })).toEqual({ executions: 0 });
    expect(await engine.client.prune({ olderThan: 0 })).toEqual({ executions: 3 });
    await until('they are pruned', async () => (await rows(engine)) === 1);
    await waiting.signal('go', 1);
    expect(await engine.result(waiting)).toBe(1);
    await expect(engine.client.prune({ olderThan: 'soon' })).rejects.toThrow(/prune: olderThan must be/);
    await expect(engine.client.prune({ olderThen: 1 } as never)).rejects.toThrow(/olderThan/);
  });

  it('is archived first, as it is, hooks and continued runs too', async (context) => {
    const archived = new Map<string, { execution: ArchivedExecution; entries: unknown[] }>();
    const engine = await open(context, async (execution) => {
      const entries: unknown[] = [];
      for await (const entry of execution.history()) entries.push(entry);
      archived.set(`${execution.workflowId}/${execution.run}`, { execution, entries });
    });
    await engine.run('hooked', [7], { workflowId: 'h', search: { data: { by: 'me' } }, entity: 'thing' });
    await engine.failure(await engine.start('fails', [], { workflowId: 'f' }));
    await engine.run('goesOn', [1], { workflowId: 'c' });
    await engine.client.prune({ olderThan: 0 });
    await until('all are pruned', async () => (await rows(engine)) === 0);
    expect([...archived.keys()].sort()).toEqual(['c/0', 'c/1', 'f/0', 'h/0']);
    const hook = archived.get('h/0');
    expect(hook?.execution).toMatchObject({
      namespace: 'durable',
      workflowName: 'hooked',
      taskQueue: 'test',
      state: 'completed',
      cause: 'start',
      args: [7],
      result: 'x!',
      entity: 'thing',
      search: { by: 'me', n: '7' },
    });
    expect(Number(hook?.execution.closedAt)).toBeGreaterThanOrEqual(Number(hook?.execution.createdAt));
    const threads = ((hook?.entries ?? []) as { thread: number }[]).map(({ thread }) => thread);
    expect([...new Set(threads)]).toEqual([0, 1]);
    expect(JSON.stringify(hook?.entries)).toContain('"name":"answers"');
    expect(archived.get('f/0')?.execution).toMatchObject({ state: 'failed', error: { message: 'it was no use' } });
    expect(archived.get('c/0')?.execution).toMatchObject({ state: 'continued', args: [1] });
    expect(archived.get('c/1')?.execution).toMatchObject({ state: 'completed', args: [0], result: 'at the end' });
  });

  it('stays when it cannot be archived, until it can', async (context) => {
    let works = false;
    const calls: string[] = [];
    const engine = await open(context, ({ workflowId }) => {
      calls.push(workflowId);
      if (!works) throw new Error('the store is away');
    });
    const handle = await engine.start('notes', ['a']);
    await engine.result(handle);
    await engine.client.prune({ olderThan: 0 });
    await until('it was tried', () => calls.length > 0);
    expect(await handle.result()).toEqual(['noted a']);
    works = true;
    await engine.client.prune({ olderThan: 0 }); // else it is tried again in five minutes
    await until('it is pruned', async () => (await rows(engine)) === 0);
    expect(new Set(calls)).toEqual(new Set([handle.workflowId]));
  });

  it('is pruned by nobody who cannot archive, once somebody can; until that is ended', async (context) => {
    const engine = await open(context, () => Promise.reject(new Error('never')));
    await engine.addWorker({ workflow: functions, activities });
    const handle = await engine.start('notes', ['a']);
    await engine.result(handle);
    await engine.workers[0]?.stop();
    await engine.client.prune({ olderThan: 0 });
    await engine.sql('select * from prune()');
    expect(await rows(engine)).toBe(1);
    await engine.addWorker({ workflow: functions, archive: false });
    await engine.client.prune({ olderThan: 0 });
    await until('it is pruned', async () => (await rows(engine)) === 0);
  });

  it('is pruned once, by several at a time, while others begin under the same ids', async (context) => {
    const engine = await open(context, undefined, 2);
    const ids = Array.from({ length: 20 }, () => randomUUID());
    for (let round = 0; round < 3; round++) {
      const started = ids.map((workflowId) =>
        engine.start('notes', [workflowId], { workflowId, expire: 0.001 }).catch((error: Error) => error),
      );
      const pruning = [engine.client.prune({ olderThan: 0 }), engine.sql('select * from prune()')];
      for (const handle of await Promise.all(started)) {
        if (handle instanceof Error) expect(handle).toBeInstanceOf(Errors.DuplicateJobError);
        else await engine.result(handle).catch((error: unknown) => expect(error).toBeInstanceOf(Errors.GetStateError));
      }
      await Promise.all(pruning);
      await until('all are pruned', async () => {
        await engine.client.prune({ olderThan: 0 });
        return (await rows(engine)) === 0;
      });
    }
  });
});
