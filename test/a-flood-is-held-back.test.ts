/** More work than workers can do: memory of worker and client stays bounded, and starts are held back where that is asked for. */

import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { Client, Durable, Errors } from '../src/index.js';
import { describeInBothTempos, Engine, kept, until } from './support/worker.js';

describe('starts beyond what may wait', () => {
  it('are refused, and taken again when workers have made room', async () => {
    const engine = await Engine.withoutWorker(kept);
    const client = new Client({ connection: engine.connection, options: { maxBacklog: 20 } });
    const start = () => client.workflow.start({ taskQueue: 'test', workflowName: 'done', args: [] });
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, start));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused).toHaveLength(10);
    for (const { reason } of refused) expect(reason).toBeInstanceOf(Errors.QueueFullError);
    expect(await engine.client.workflow.count({})).toBe(20);
    await engine.addWorker({ workflow: { done: async () => 'done' } });
    await until('there is room', async () => (await start().catch(() => null)) !== null);
    await client.close();
    await engine.close();
  });

  it('wait for room, however many they are, and all come in', async () => {
    const engine = await Engine.open({ workflow: { done: async () => 'done' } });
    const client = new Client({ connection: engine.connection, options: { maxBacklog: 50, onFull: 'wait' } });
    let most = 0;
    const watch = setInterval(() => {
      engine.sql<{ n: number }>(`select durable.backlog('test', 1000) as n`).then(
        ([row]) => {
          most = Math.max(most, row?.n ?? 0);
        },
        () => {},
      );
    }, 20);
    const handles = await Promise.all(
      Array.from({ length: 300 }, () => client.workflow.start({ taskQueue: 'test', workflowName: 'done', args: [] })),
    );
    clearInterval(watch);
    expect(await Promise.all(handles.map((handle) => handle.result()))).toEqual(handles.map(() => 'done'));
    expect(most).toBeLessThanOrEqual(50);
    await client.close();
    await engine.close();
  });

  it('count tasks of activities, and not what is to begin later', async () => {
    const engine = await Engine.withoutWorker(kept);
    await engine.start('done', [], { startDelay: '1 hour' });
    const client = new Client({ connection: engine.connection, options: { maxBacklog: 1 } });
    const start = () => client.workflow.start({ taskQueue: 'test', workflowName: 'done', args: [] });
    await start();
    await expect(start()).rejects.toThrow(Errors.QueueFullError);
    await client.close();
    await engine.close();
  });

  it('are not limited by a limit that is none', () => {
    const connection = { class: pg.Client, options: {} };
    expect(() => new Client({ connection, options: { maxBacklog: 0 } })).toThrow('options.maxBacklog must be');
    expect(() => new Client({ connection, options: { onFull: 'drop' as 'wait' } })).toThrow('options.onFull must be');
    expect(() => new Client({ connection, options: { maxBaklog: 1 } as object })).toThrow(
      'did you mean "options.maxBacklog"',
    );
  });
});

const { workflow } = Durable;

async function takes(signalId: string, count: number): Promise<unknown[]> {
  const taken = [];
  for (let n = 0; n < count; n++) taken.push(await workflow.condition(signalId));
  return taken;
}

/** Sends until it is refused, goes on, and says what it saw. */
async function sends(signalId: string): Promise<string> {
  const outcomes = [];
  for (let n = 0; n < 4; n++)
    outcomes.push(
      await workflow
        .signal(signalId, n)
        .catch((error) => (error instanceof Errors.SignalQuotaError ? error.signalId : error)),
    );
  await workflow.sleep(1); // read back from its history, in one of the tempos
  return outcomes.join();
}

describeInBothTempos('signals that nobody waits for', { workflow: { takes, sends } }, (engine) => {
  const quota = (most: number | null) => engine().sql(`select durable.limit_kept_signals($1)`, [most]);

  // One test: the limit is the namespace's.
  it('are kept up to a limit, for each id and for each workflow, and taken again when some were taken', async () => {
    const { client } = engine();
    await quota(3);
    const outcomes = await Promise.allSettled([0, 1, 2, 3, 4].map((n) => client.workflow.signal('many', n)));
    expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual([true, true, true, false, false]);
    await expect(client.workflow.signal('many')).rejects.toMatchObject({
      name: 'SignalQuotaError',
      code: 429,
      signalId: 'many',
    });
    expect(await client.workflow.signal('another')).toBe('buffered');

    // what is sent to a workflow counts for that one, whatever the ids
    const [one, two] = [await engine().start('takes', ['none', 1]), await engine().start('takes', ['none', 1])];
    for (const handle of [one, two]) await engine().awaitsSignal(handle, 'none');
    for (const id of ['a', 'b', 'c']) await one.signal(id);
    await expect(one.signal('d')).rejects.toBeInstanceOf(Errors.SignalQuotaError);
    expect(await two.signal('a')).toBe('buffered');
    expect(await one.signal('none')).toBe('delivered'); // it waits for that one
    await one.result();

    // nothing is started with a signal that is not accepted
    const withSignal = { taskQueue: 'test', workflowName: 'takes', args: ['none', 1], workflowId: two.workflowId };
    for (const signalId of ['b', 'c']) await two.signal(signalId);
    await expect(client.workflow.signalWithStart({ ...withSignal, signalId: 'd' })).rejects.toBeInstanceOf(
      Errors.SignalQuotaError,
    );

    // by the other ways
    await expect(engine().sql(`select durable.signal_workflow('many')`)).rejects.toMatchObject({ code: 'PD429' });
    expect(await engine().run('sends', ['of a workflow'])).toBe('buffered,buffered,buffered,of a workflow');

    // until some were taken; or for ever
    expect(await engine().run('takes', ['many', 2])).toEqual([0, 1]);
    expect(await client.workflow.signal('many', 5)).toBe('buffered');
    await expect(quota(0)).rejects.toMatchObject({ code: 'PD003' });
    await quota(null);
    for (let n = 6; n < 20; n++) expect(await client.workflow.signal('many', n)).toBe('buffered');
  });
});
