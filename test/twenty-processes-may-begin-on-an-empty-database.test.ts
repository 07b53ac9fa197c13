import pg from 'pg';
import { expect, it } from 'vitest';
import { createDatabase } from './support/database.js';
import { spawnFixture } from './support/process.js';

it('twenty processes begin on an empty database at the same moment', async () => {
  const database = await createDatabase();
  const processes = Array.from({ length: 20 }, (_, n) =>
    spawnFixture('first-process.mjs', { env: { URL: database.url, N: String(n) } }),
  );
  await Promise.all(processes.map((process) => process.waitFor(({ type }) => type === 'loaded', 60_000)));
  for (const process of processes) process.send({ type: 'go' });
  const messages = await Promise.all(
    processes.map((process) => process.waitFor(({ type }) => type !== 'loaded', 60_000)),
  );
  expect(messages.map(({ result, message }) => message ?? result)).toEqual(processes.map((_, n) => n));
  const common = messages.map((message) => message.common);
  expect(common.filter((outcome) => outcome === 'started')).toHaveLength(1);
  expect(common.filter((outcome) => outcome === 'DuplicateJobError')).toHaveLength(19);
  for (const process of processes) {
    expect(await process.exited).toEqual({ code: 0, signal: null });
    expect(process.output).not.toMatch(/error|warn/i);
  }
  const sql = new pg.Client(database.url);
  await sql.connect();
  expect((await sql.query('select * from durable.violations()')).rows).toEqual([]);
  expect((await sql.query(`select from pg_namespace where nspname = 'durable'`)).rowCount).toBe(1);
  await sql.end();
  await database.drop();
});
