import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../core/errors.js';
import { type ConnectionOptions, openDatabase } from './connection.js';

const options = { host: '127.0.0.1', port: 1, user: 'u', password: 'gehe1m', database: 'd' };

describe('a connection', () => {
  it.each([
    ['the Client class', { class: pg.Client, options }, 'pg'],
    ['the Pool class', { class: pg.Pool, options }, 'pg'],
    ['a Pool', { class: new pg.Pool(options) }, 'pg'],
    ['the PGlite class', { class: PGlite }, 'pglite'],
    ['the long form', { store: { class: pg.Client, options, provider: 'postgres' }, stream: {}, sub: {} }, 'pg'],
  ])('may be given as %s', async (_what, connection, kind) => {
    const database = openDatabase(connection);
    expect(database.kind).toBe(kind);
    await database.release();
  });

  it.each([
    undefined,
    null,
    {},
    { class: 'pg' },
    { class: class Redis {} },
    { class: new pg.Client(options) },
    { class: {} },
  ])('is refused as %s', (connection) => {
    const open = () => openDatabase(connection as unknown as ConnectionOptions);
    expect(open).toThrow(InvalidArgumentError);
    expect(open).toThrow('Unable to identify provider type');
  });

  it('says that a class was meant when it gets a client', () => {
    expect(() => openDatabase({ class: new pg.Client(options) })).toThrow('an instance of Client; pass the class');
  });
});

describe('one database is shared', () => {
  it.each<[string, ConnectionOptions, ConnectionOptions]>([
    ['equal options', { class: pg.Client, options }, { class: pg.Client, options: { ...options } }],
    ...sameTwice('one Pool', { class: new pg.Pool(options) }),
    ...sameTwice('one PGlite in memory', { class: PGlite, options: {} }),
    ...sameTwice('one PGlite in memory without options', { class: PGlite }),
    [
      'two spellings of a folder',
      { class: PGlite, options: { dataDir: 'nowhere/data' } },
      { class: PGlite, options: { dataDir: `file://${process.cwd()}/nowhere/../nowhere/data` } },
    ],
  ])('by %s', async (_what, one, other) => {
    const [first, second] = [openDatabase(one), openDatabase(other)];
    expect(second).toBe(first);
    await first.release();
    await second.release();
    const third = openDatabase(one);
    expect(third).not.toBe(first);
    await third.release();
  });

  it.each<[string, ConnectionOptions, ConnectionOptions]>([
    ['two passwords', { class: pg.Client, options }, { class: pg.Client, options: { ...options, password: 'x' } }],
    ['a pooler in between', { class: pg.Client, options }, { class: pg.Client, options, pooler: 'transaction' }],
    ['two Pools', { class: new pg.Pool(options) }, { class: new pg.Pool(options) }],
    ['two databases in memory', { class: PGlite, options: {} }, { class: PGlite, options: {} }],
  ])('but not by %s', async (_what, one, other) => {
    const [first, second] = [openDatabase(one), openDatabase(other)];
    expect(second).not.toBe(first);
    await first.release();
    await second.release();
  });
});

describe('when the server is not there', () => {
  it("a caller that gives up sees the contract's message, the cause and no password", async () => {
    const database = openDatabase({ class: pg.Client, options });
    const failure = await database
      .lane('test')
      .query({ text: 'select 1', values: [] }, { giveUpAfterMs: 100 })
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({
      name: 'ConnectionError',
      message: 'postgres-provider-connection-failed: connect ECONNREFUSED 127.0.0.1:1',
      cause: { code: 'ECONNREFUSED' },
    });
    const { inspect } = await import('node:util');
    expect(inspect(failure, { depth: 10, showHidden: true })).not.toContain(options.password);
    await database.release();
  });

  it('a caller that aborts sees its own reason', async () => {
    const database = openDatabase({ class: pg.Client, options });
    const query = database.lane('test').query({ text: 'select 1', values: [] }, { signal: AbortSignal.timeout(50) });
    await expect(query).rejects.toMatchObject({ name: 'TimeoutError' });
    await database.release();
  });

  it('closing ends a call that waits for it', async () => {
    const database = openDatabase({ class: pg.Client, options });
    const query = database.lane('test').query({ text: 'select 1', values: [] });
    const refused = expect(query).rejects.toMatchObject({ name: 'ConnectionError' });
    await database.release();
    await refused;
  });
});

function sameTwice(what: string, connection: ConnectionOptions): [string, ConnectionOptions, ConnectionOptions][] {
  return [[what, connection, connection]];
}
