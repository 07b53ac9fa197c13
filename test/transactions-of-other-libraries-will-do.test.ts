/** What docs/transactions.md says to write for each library, with the library. */

import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { CompiledQuery, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallerTransaction, Errors, uuid } from '../src/index.js';
import { Engine } from './support/worker.js';

async function greets(name: string) {
  return `hello ${name}`;
}

let engine: Engine;
let pool: pg.Pool;

beforeAll(async () => {
  engine = await Engine.open({ workflow: { greets } });
  pool = new pg.Pool({ connectionString: engine.database.url });
});
afterAll(async () => {
  await pool.end();
  await engine.close();
});

type Transaction = <T>(work: (transaction: CallerTransaction) => Promise<T>) => Promise<T>;

const libraries: Record<string, () => { transaction: Transaction; end?: () => Promise<void> }> = {
  Drizzle: () => {
    const db = drizzle(pool);
    return {
      transaction: (work) =>
        db.transaction((tx) =>
          work({
            query: (text, values) => tx.execute(sql(Object.assign(text.split(/\$\d+/), { raw: [] }), ...values)),
          }),
        ),
    };
  },
  Kysely: () => {
    const db = new Kysely<object>({ dialect: new PostgresDialect({ pool }) });
    return {
      transaction: (work) =>
        db
          .transaction()
          .execute((trx) =>
            work({ query: (text, values) => trx.executeQuery(CompiledQuery.raw(text, values as unknown[])) as never }),
          ),
    };
  },
  'postgres.js': () => {
    const client = postgres(engine.database.url, { max: 1 });
    return {
      transaction: (work) =>
        client.begin((tx) =>
          work({ query: async (text, values) => ({ rows: await tx.unsafe(text, values as never[]) }) }),
        ) as never,
      end: () => client.end(),
    };
  },
};

describe.each(Object.entries(libraries))('%s', (_name, open) => {
  it('starts, signals and refuses in its transaction, and takes all of it back', async () => {
    const { transaction, end } = open();
    const [kept, dropped] = [uuid(), uuid()];
    const handle = await transaction(async (within) => {
      const made = await engine.start('greets', ['Ada'], { workflowId: kept, transaction: within });
      await expect(engine.start('greets', ['Bea'], { workflowId: kept, transaction: within })).rejects.toThrow(
        Errors.DuplicateJobError,
      );
      expect(await engine.client.workflow.signal(`to ${kept}`, { n: 1 }, undefined, { transaction: within })).toBe(
        'buffered',
      );
      return made;
    });
    expect(await handle.result()).toBe('hello Ada');
    const failed = transaction(async (within) => {
      await engine.start('greets', ['Cy'], { workflowId: dropped, transaction: within });
      throw new Error('changed my mind');
    });
    await expect(failed).rejects.toThrow('changed my mind');
    const { executions } = await engine.client.workflow.list({ workflowId: dropped });
    expect(executions).toEqual([]);
    await end?.();
  });
});
