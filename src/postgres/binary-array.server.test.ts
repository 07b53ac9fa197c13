/** Needs a server. */
import fc from 'fast-check';
import pg from 'pg';
import { describe, expect, inject, it } from 'vitest';
import { createDatabase } from '../../test/support/database.js';
import { openDatabase } from './connection.js';
import type { ArrayParameter } from './database.js';

const hasServer = (inject('cluster') as unknown) !== undefined;

const nullable = <T>(items: fc.Arbitrary<T>) => fc.array(fc.option(items, { freq: 4 }), { maxLength: 30 });
const typed = (
  type: ArrayParameter['type'],
  items: fc.Arbitrary<boolean | number | string>,
): fc.Arbitrary<ArrayParameter> => nullable(items).map((values) => ({ type, items: values }));

describe.skipIf(!hasServer)('an array sent in binary format', () => {
  it('arrives as the values it was made of', async () => {
    const test = await createDatabase();
    const database = openDatabase({ class: pg.Client, options: { connectionString: test.url } });
    const lane = database.lane('test');
    const parameters = fc.oneof(
      typed('bool', fc.boolean()),
      typed('int2', fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 })),
      typed('int4', fc.integer()),
      typed('int8', fc.maxSafeInteger()),
      typed('float8', fc.double()),
      typed(
        'text',
        fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0')),
      ),
    );
    const arrives = async (parameter: ArrayParameter) => {
      const text = `select item from unnest($1::${parameter.type}[]) with ordinality as list (item, place) order by place`;
      const rows = await lane.query<{ item: unknown }>({ text, values: [parameter] });
      expect(rows.map(({ item }) => item)).toEqual(parameter.items);
    };
    await fc.assert(fc.asyncProperty(parameters, arrives), { numRuns: 500 });
    await database.release();
    await test.drop();
  });
});
