/** More work than workers can do: memory of worker and client stays bounded, and starts are held back where that is asked for. */

import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { Client, Errors } from '../src/index.js';
import { Engine, kept, until } from './support/worker.js';

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
