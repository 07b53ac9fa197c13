/** The benchmarks fill databases by SQL: what they put there must be what the engine would have left, and go on like it. */

import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { workflow } from '../src/index.js';
import { Engine } from './support/worker.js';

interface Seeds {
  multiply(sql: pg.Client, prefix: string, count: number, progress: (line: string) => void): Promise<void>;
}

const COPIES = 30;

describe('a seeded execution', () => {
  it('breaks no invariant, and goes on when it is signalled', async () => {
    const { multiply } = (await import(new URL('../bench/growth/seed.mjs', import.meta.url).href)) as Seeds;
    const engine = await Engine.open({
      workflow: {
        listener: async (signalId: string) => await workflow.condition(signalId),
        nap: async () => await workflow.sleep('365 days'),
        sequence: async (value: number) => await Promise.resolve(value),
      },
      options: { parkAfter: 0, logLevel: 'silent' },
    });
    const start = (workflowName: string, workflowId: string, args: unknown[]) =>
      engine.client.workflow.start({ taskQueue: engine.taskQueue, workflowName, workflowId, args, expire: 86_400 });
    await start('listener', 'seed-listener-0', ['seed-signal-0']);
    await start('nap', 'seed-nap-0', []);
    await (await start('sequence', 'seed-sequence-0', [7])).result();
    const sql = new pg.Client(engine.database.url);
    await sql.connect();
    try {
      const parked = `select count(*)::int as n from durable.thread where state = 'parked'`;
      await expect.poll(async () => (await sql.query(parked)).rows[0].n, { timeout: 60_000 }).toBe(2);
      for (const prefix of ['seed-listener-', 'seed-nap-', 'seed-sequence-'])
        await multiply(sql, prefix, COPIES, () => {});

      expect((await sql.query('select * from durable.violations()')).rows).toEqual([]);
      const states = `select state, count(*)::int as n from durable.execution group by 1 order by 1`;
      expect((await sql.query(states)).rows).toEqual([
        { state: 'completed', n: COPIES + 1 },
        { state: 'open', n: 2 * COPIES + 2 },
      ]);
      const handle = await engine.client.workflow.getHandle(engine.taskQueue, 'listener', `seed-listener-${COPIES}`);
      expect(await handle.signal(`seed-signal-${COPIES}`, 'heard')).toBe('delivered');
      expect(await handle.result()).toBe('heard');
      const pruned = `select count(distinct r)::int as n from durable.pruning p, unnest(p.runs) r`;
      expect((await sql.query(pruned)).rows[0].n).toBe(COPIES + 2);
      // a number of its own for each, and none behind those that were given out
      const numbers = `select count(distinct run_no) = count(*) and max(run_no) <= (select last_value from durable.run_number) as sound
        from durable.execution`;
      expect((await sql.query(numbers)).rows[0].sound).toBe(true);
    } finally {
      await sql.end();
    }
  });
});
