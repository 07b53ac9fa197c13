import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkDocumentEngine } from './document-engine.js';
import { checkDocumentValue, documentPath } from './document-path.js';
import { entityCondition, entityConditions } from './entity-conditions.js';
import { InvalidArgumentError, PayloadTooLargeError } from './errors.js';
import { parseOptions } from './options.js';
import { searchOption, searchTexts, storedField } from './search-fields.js';

const refused = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidArgumentError);
    return (error as Error).message;
  }
  return 'nothing was thrown';
};

describe('search fields', () => {
  it('are stored as text', () => {
    expect(searchTexts('start', { a: 'x', b: 1.5, c: true, d: -0, e: 12n, 'ü.$': '' })).toEqual({
      a: 'x',
      b: '1.5',
      c: 'true',
      d: '0',
      e: '12',
      'ü.$': '',
    });
  });

  it('may have any name that JavaScript gives a meaning to', () => {
    const fields = JSON.parse('{"constructor":"1","toString":"2","then":"3"}') as Record<string, string>;
    expect(searchTexts('start', parseOptions('start', searchOption, { data: fields }).data)).toEqual(fields);
  });

  it.each<[unknown, string]>([
    [{ a: null }, 'start: search.data.a must be text, a finite number or a boolean; got null'],
    [{ a: Number.NaN }, 'start: search.data.a must be text, a finite number or a boolean; got NaN'],
    [{ a: new Date(0) }, 'start: search.data.a must be text, a finite number or a boolean; got a Date'],
    [{ 'a b': undefined }, 'start: search.data["a b"] must be text, a finite number or a boolean; got undefined'],
    [{ a: 'x\0' }, 'start: search.data.a must be text without NUL characters and lone surrogates'],
    [{ a: '\ud800' }, 'start: search.data.a must be text without NUL characters and lone surrogates'],
    [{ 'a\0': 'x' }, 'start: search.data must be named by text of 1 to 512 bytes'],
    [{ '': 'x' }, 'start: search.data must be named by text of 1 to 512 bytes'],
    [{ ['x'.repeat(513)]: 'x' }, 'start: search.data must be named by text of 1 to 512 bytes'],
    [JSON.parse('{"__proto__":"x"}'), 'other than __proto__; got "__proto__"'],
    [{ '"___proto__"': 'x' }, 'other than __proto__; got'],
    [{ '""': 'x' }, 'start: search.data must be named by'],
  ])('of %o are refused by name', (data, message) => {
    expect(refused(() => searchTexts('start', data as Record<string, unknown>))).toContain(message);
  });

  it('of more than 1 MiB are refused', () => {
    expect(() => searchTexts('enrich', { a: 'ü'.repeat(524_288) }, '')).toThrow(PayloadTooLargeError);
  });

  it('in double quotes are apart, but for those that HotMesh stores under the same name', () => {
    expect(['a', '"a"', '"_a"', '"', '"_"_"'].map((name) => storedField('get', name))).toEqual([
      'a',
      '"a"',
      'a',
      '"',
      '"_',
    ]);
  });
});

describe('a path', () => {
  it('is keys with dots between them', () => {
    expect(documentPath('get', 'user.tags.0')).toEqual(['user', 'tags', '0']);
  });

  it.each([
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'a.__proto__',
    'a\0',
    '\udc00',
    null,
    5,
    ['a'],
    'x'.repeat(513),
    'a.'.repeat(100),
  ])('of %o is refused', (path) => {
    expect(refused(() => documentPath('entity.get', path))).toMatch(/^entity.get: path must be keys with dots between/);
  });
});

describe('a value of a document', () => {
  const check = (value: unknown, depth = 0) =>
    checkDocumentValue('entity.set', 'document', JSON.stringify(value), depth);

  it('may be anything that jsonb can hold', () => {
    check({ a: ['\\u0000', '\u0001', '😀', '\\ud800'], ['__proto__']: 1 });
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 20 }), (value) => check(value)));
  });

  it.each<[unknown, string]>([
    [{ a: [{ b: 'x\0' }] }, 'entity.set: document.a[0].b must be text without NUL characters and lone surrogates'],
    [{ 'a b': '\ud83d' }, 'entity.set: document["a b"] must be text without NUL'],
    [{ a: { '\udc00': 1 } }, 'entity.set: a key of document.a must be text without NUL'],
  ])('%o is refused by its place', (value, message) => {
    expect(refused(() => check(value))).toContain(message);
  });

  it('is at most 100 levels deep, counted from the root of the document', () => {
    const nested = (levels: number): unknown => (levels === 0 ? 'x' : [nested(levels - 1)]);
    check(nested(100));
    check(nested(60), 40);
    expect(refused(() => check(nested(101)))).toContain('nested deeper than 100 levels');
    expect(refused(() => check(nested(61), 40))).toContain('nested deeper than 100 levels');
  });
});

describe('conditions', () => {
  it('are equalities and comparisons, all by field', () => {
    expect(entityConditions('find', { a: 1, b: { $gt: 1, $lte: 5 }, c: null, d: { $in: ['x', 2, null] } })).toEqual([
      { field: 'a', op: 'eq', value: 1 },
      { field: 'b', op: 'gt', value: 1 },
      { field: 'b', op: 'lte', value: 5 },
      { field: 'c', op: 'eq', value: null },
      { field: 'd', op: 'in', value: ['x', 2, null] },
    ]);
    expect(entityConditions('find', undefined)).toEqual([]);
    expect(entityCondition('findByCondition', 'a', 'LIKE', 'x\\\\%').op).toBe('like');
  });

  it.each<[unknown, string]>([
    [{ a: { $gte2: 1 } }, 'Did you mean $gte?'],
    [{ a: { toString: 1 } }, 'compared by one of $eq'],
    [{ a: { $gt: true } }, 'must be text or a finite number; got true'],
    [{ a: { $gt: Number.NaN } }, 'must be text or a finite number; got NaN'],
    [{ a: ['x'] }, 'conditions.a must be text, a finite number, a boolean or null, or an object of comparisons'],
    [{ a: { $eq: {} } }, 'must be text, a finite number, a boolean or null; got an object'],
    [{ a: { $eq: '\0' } }, 'must be text, a finite number, a boolean or null'],
    [{ a: { $in: 'x' } }, 'must be an array of at most 1000 scalars'],
    [{ a: { $in: [{}] } }, 'must be an array of at most 1000 scalars'],
    [{ '': 1 }, 'field must be text of 1 to 512 bytes'],
    [[], 'conditions must be an object of conditions by field; got an array'],
    ['a', 'conditions must be an object of conditions by field; got "a"'],
    [Object.fromEntries(Array.from({ length: 101 }, (_, n) => [n, n])), 'conditions must be at most 100; got 101'],
  ])('of %o are refused', (conditions, message) => {
    expect(refused(() => entityConditions('Entity.find', conditions))).toContain(message);
  });

  it('LIKE refuses a pattern that Postgres could not read', () => {
    for (const pattern of ['\\', 'a\\', 'a\\\\\\', 5, null])
      expect(refused(() => entityCondition('findByCondition', 'a', 'LIKE', pattern))).toContain('for LIKE');
  });
});

it('an engine is what a client gives', () => {
  for (const engine of [undefined, null, {}, 'durable'])
    expect(refused(() => checkDocumentEngine('Entity.find', engine))).toMatch(
      /engine must be what client.getHotMeshClient/,
    );
});
