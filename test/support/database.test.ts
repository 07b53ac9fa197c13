import pg from 'pg';
import { expect, it } from 'vitest';
import { createDatabase, createMigratedDatabase } from './database.js';

it('a fresh database is empty, and gone when dropped', async () => {
  const database = await createDatabase();
  expect(await tablesIn(database.url, 'durable')).toBe(0);
  await database.drop();
  await expect(tablesIn(database.url, 'durable')).rejects.toThrow('does not exist');
});

it('migrated databases are made at once, each from one template, and share nothing', async () => {
  const [one, other] = await Promise.all([createMigratedDatabase(), createMigratedDatabase()]);
  expect(await tablesIn(one.url, 'durable')).toBeGreaterThan(0);
  await query(one.url, 'drop schema durable cascade');
  expect(await tablesIn(other.url, 'durable')).toBeGreaterThan(0);
});

it('a migrated database holds the schema that was asked for', async () => {
  const database = await createMigratedDatabase('another');
  expect(await tablesIn(database.url, 'another')).toBeGreaterThan(0);
  expect(await tablesIn(database.url, 'durable')).toBe(0);
});

async function tablesIn(url: string, schema: string): Promise<number> {
  const sql = 'select count(*)::int as tables from pg_tables where schemaname = $1';
  const [row] = (await query(url, sql, [schema])) as { tables: number }[];
  return row?.tables ?? 0;
}

async function query(url: string, sql: string, values: unknown[] = []): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql, values)).rows;
  } finally {
    await client.end();
  }
}
