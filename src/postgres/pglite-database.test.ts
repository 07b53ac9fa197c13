import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from './connection.js';
import type { Database, Lane } from './database.js';
import { PgliteDatabase } from './pglite-database.js';
import type { Opened } from './pglite-source.js';

const VALUES = `select now() as at, '{"a":1}'::json as json, array[1, 2] as list, 3::int8 as big, true as yes,
  1.5::float8 as float, '\\x01'::bytea as bytes, null as nothing, $1::int8[]::text as numbers, $2::text[]::text as texts, $3::boolean as no`;
const PARAMETERS = [
  { type: 'int8', items: [1, null, -(2 ** 52)] },
  { type: 'text', items: ['a"\\', null, '😀'] },
  false,
] as const;

describe.each([
  ['made by us', () => ({ class: PGlite, options: {} })],
  ["the user's", () => ({ class: new PGlite() })],
])('a PGlite that is %s', (_whose, connection) => {
  let database: Database;
  let lane: Lane;
  beforeAll(() => {
    database = openDatabase(connection());
    lane = database.lane('test');
  });
  afterAll(() => database.release());
  const run = (text: string) => lane.query({ text, values: [] });

  it('answers with the same rows as pg', async () => {
    const [row] = await lane.query({ text: VALUES, values: PARAMETERS });
    expect(row).toEqual({
      at: expect.stringMatching(/^\d{4}-\d\d-\d\d /),
      json: '{"a":1}',
      list: '{1,2}',
      big: 3,
      yes: true,
      float: 1.5,
      bytes: '\\x01',
      nothing: null,
      numbers: '{1,NULL,-4503599627370496}',
      texts: '{"a\\"\\\\",NULL,😀}',
      no: false,
    });
  });

  it('refuses the values that pg refuses', async () => {
    const lone = { type: 'text', items: ['\ud800'] } as const;
    await expect(lane.query({ text: 'select $1::text[]', values: [lone] })).rejects.toThrow('half of a surrogate pair');
    await expect(lane.query({ text: 'select $1::text', values: ['\0'] })).rejects.toThrow('parameter $1');
  });

  it('gives errors the SQLSTATE and keeps parameters out of them', async () => {
    const failure = await lane.query({ text: 'select 1 / $1::int', values: [0] }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: 'SqlError', code: '22012' });
    expect((failure as Error).cause).not.toHaveProperty('params');
  });

  it('lets timers fire in a loop of queries', async () => {
    let ticks = 0;
    const interval = setInterval(() => ticks++, 1);
    for (let n = 0; n < 100; n++) await run('select 1');
    clearInterval(interval);
    expect(ticks).toBeGreaterThan(10);
  });

  it('runs a script whole or not at all', async () => {
    await lane.script('create table one (n int); insert into one values (1)');
    await expect(lane.script('insert into one values (2); select 1 / 0')).rejects.toMatchObject({ code: '22012' });
    expect(await run('select n from one')).toEqual([{ n: 1 }]);
  });

  it('listens', async () => {
    const heard: string[] = [];
    const listener = await database.listen(
      'perdure_x',
      (payload) => heard.push(payload),
      () => heard.push('*'),
    );
    await run("select pg_notify('perdure_x', 'q1')");
    await listener?.close();
    await run("select pg_notify('perdure_x', 'q2')");
    expect(heard).toEqual(['*', 'q1']);
  });

  it('does not run what its caller left before its turn', async () => {
    const aborted = AbortSignal.abort(new Error('left'));
    await expect(lane.query({ text: 'create table never ()', values: [] }, { signal: aborted })).rejects.toThrow(
      'left',
    );
    expect(await run("select to_regclass('never')::text as name")).toEqual([{ name: null }]);
  });
});

describe('a PGlite that takes long to start', () => {
  const SHORT_MS = 20;

  /** The start ends, or fails, when the test says so. */
  function starting() {
    const start = { end: () => {}, fail: (_error: Error) => {} };
    const query = (text: string) => (text === 'stuck' ? new Promise(() => {}) : Promise.resolve({ rows: [{ text }] }));
    const opened = new Promise<Opened>((resolve, reject) => {
      start.end = () => resolve({ db: { query } as unknown as Opened['db'], options: {} });
      start.fail = reject;
    });
    const lane = new PgliteDatabase({ open: () => opened, close: async () => {} }).lane('test');
    const ask = (text: string, signal?: AbortSignal) =>
      lane.query({ text, values: [] }, { giveUpAfterMs: SHORT_MS, ...(signal && { signal }) });
    return { start, ask };
  }

  it('uses up nobody’s limit, which runs from then on', async () => {
    const { start, ask } = starting();
    const answers = Promise.all([ask('first'), ask('second')]);
    await new Promise((resolve) => setTimeout(resolve, 3 * SHORT_MS));
    start.end();
    expect(await answers).toEqual([[{ text: 'first' }], [{ text: 'second' }]]);
    await expect(ask('stuck')).rejects.toThrow(`no answer within ${SHORT_MS} ms`);
  });

  it('is not waited for by who has left, and its failure is what callers see', async () => {
    const { start, ask } = starting();
    await expect(ask('first', AbortSignal.timeout(1))).rejects.toThrow('timeout');
    const second = ask('second');
    start.fail(new Error('no memory'));
    await expect(second).rejects.toThrow('postgres-provider-connection-failed: no memory');
  });
});
