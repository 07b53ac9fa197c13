/** Whoever waits in `result()` shares one watcher: many callers cost what one costs, with hints and without. */

import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Client, workflow } from '../src/index.js';
import { watchedClient } from './support/watched-driver.js';
import { Engine } from './support/worker.js';

const WORKFLOWS = 200;
const CALLERS_OF_EACH = 10;

async function waits(n: number) {
  await workflow.condition('go');
  return n;
}

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open({ workflow: waits });
});
afterAll(() => engine?.close());

it.each(['hints come from the workers', 'none comes, for want of a connection that listens'])(
  'each of thousands of callers has its result, and they ask as one, when %s',
  async (how) => {
    let asked = 0;
    const options = { connectionString: engine.database.url };
    const Watched = watchedClient(({ text, values: [chains] }) => {
      if (text.includes('.results(')) asked += itemsOf(chains);
    });
    // Of two connections it takes none to listen.
    const pool = how.startsWith('none') ? new pg.Pool({ ...options, max: 2, Client: Watched } as pg.PoolConfig) : null;
    const client = new Client({ connection: { class: pool ?? Watched, options } });
    try {
      const began = performance.now();
      const handles = await Promise.all(
        Array.from({ length: WORKFLOWS }, (_, n) =>
          client.workflow.start({ taskQueue: engine.taskQueue, workflowName: 'waits', args: [n] }),
        ),
      );
      const results = handles.flatMap((handle) =>
        Array.from({ length: CALLERS_OF_EACH }, () => handle.result<number>()),
      );
      await Promise.all(handles.map((handle) => handle.signal('go')));
      expect(await Promise.all(results)).toEqual(
        Array.from({ length: WORKFLOWS * CALLERS_OF_EACH }, (_, at) => Math.floor(at / CALLERS_OF_EACH)),
      );
      // Of each workflow: once when it is named or comes to its turn, five times soon after its start, then every 800 ms.
      const turns = 7 + (performance.now() - began) / 800;
      expect(asked).toBeGreaterThanOrEqual(WORKFLOWS);
      expect(asked).toBeLessThan(WORKFLOWS * turns);
    } finally {
      await client.close();
      await pool?.end();
    }
  },
);

/** How many items an array parameter has as the driver gets it: binary, with 12 bytes for each bigint behind 20. */
function itemsOf(array: unknown): number {
  return ((array as Buffer).length - 20) / 12;
}
