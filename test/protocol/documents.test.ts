/** What the threads of a run share: search fields and the entity document. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeOutcome } from '../../src/codec/entry-text.js';
import type { Effect } from '../../src/postgres/protocol/commit.js';
import { callDocument, type Json, type ModelDocuments } from '../support/document-model.js';
import {
  child,
  claimOnly,
  commitAll,
  commitOne,
  complete,
  entity,
  entry,
  hookOf,
  onEveryDatabase,
  onServer,
  register,
  running,
  search,
  start,
  step,
  type Thread,
  terminate,
} from '../support/protocol.js';
import { SCHEMA, type Session } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

/** What is stored for a run, as JavaScript reads it. */
async function documentsOf(session: Session, runNo: number): Promise<{ search: unknown; entity: unknown } | null> {
  const [row] = await session.sql<{ search: string | null; entity: string | null }>(
    `select search::text, entity::text from ${SCHEMA}.document where run_no = $1::bigint`,
    runNo,
  );
  if (row === undefined) return null;
  return { search: JSON.parse(row.search ?? 'null'), entity: JSON.parse(row.entity ?? 'null') };
}

/** Makes the calls in one commit. @returns what came of each. */
async function calls(session: Session, thread: Thread, ...effects: readonly Effect[]): Promise<unknown[]> {
  const facts = await step(session, thread, { opens: effects.length, effects });
  const outcome = decodeOutcome(JSON.stringify(facts));
  return effects.map(({ op }) => {
    const decision = outcome.get(op) ?? { what: 'usual' };
    return decision.what === 'value' ? decision.value : decision;
  });
}

onEveryDatabase('search fields', (session) => {
  const begin = async () => await running(session(), await register(session()), 'a');

  it('are counted exactly, and kept as text', async () => {
    const thread = await begin();
    const effects = [0, 1, 2].map((op) => search(op, 'incr', ['sum', 0.1]));
    expect(await calls(session(), thread, ...effects, search(3, 'get', ['sum']))).toEqual([0.1, 0.2, 0.3, '0.3']);
    expect(await calls(session(), thread, search(4, 'incr', ['sum', -0.3]), search(5, 'mult', ['product', 3]))).toEqual(
      [0, 3],
    );
    expect(
      await calls(session(), thread, search(6, 'mult', ['product', 4]), search(7, 'mget', ['product', 'none', 'sum'])),
    ).toEqual([12, ['12', '', '0']]);
  });

  it('keep more digits than a number of JavaScript has', async () => {
    const thread = await begin();
    const effects = [
      search(0, 'set', [{ n: '9007199254740993' }]),
      search(1, 'incr', ['n', 1e-5]),
      search(2, 'get', ['n']),
    ];
    expect(await calls(session(), thread, ...effects)).toEqual([
      { what: 'usual' },
      9007199254740994,
      '9007199254740993.00001',
    ]);
  });

  it.each([
    ['red', 1, 'number'],
    ['', 1, 'number'],
    ['Infinity', 1, 'number'],
    ['NaN', 1, 'number'],
    ['0x10', 1, 'number'],
    ['1e99999', 1, 'number'],
    ['9'.repeat(1_001), 1, 'number'],
    ['1e308', 1.7e308, 'range'],
  ])('that hold %s are not counted with', async (text, by, why) => {
    const thread = await begin();
    const effects = [
      search(0, 'set', [{ n: text, m: '1' }]),
      search(1, 'incr', ['n', by]),
      search(2, 'incr', ['m', 1]),
    ];
    expect(await calls(session(), thread, ...effects)).toEqual([
      { what: 'usual' },
      { what: 'refused', why, at: ['n'] },
      2,
    ]);
    expect(await documentsOf(session(), thread.run_no)).toMatchObject({ search: { n: text, m: '2' } });
  });

  it('are multiplied until their digits are too many, and no further', async () => {
    const thread = await begin();
    const tiny = [search(0, 'mult', ['n', 1e-300]), search(1, 'mult', ['n', 1e-300])];
    expect(await calls(session(), thread, ...tiny)).toEqual([1e-300, { what: 'refused', why: 'range', at: ['n'] }]);
  });

  it('together are bounded', async () => {
    const thread = await begin();
    const large = 'x'.repeat(600_000);
    const effects = [
      search(0, 'set', [{ a: large }]),
      search(1, 'set', [{ b: large }]),
      search(2, 'del', ['a', 'a', 'c']),
    ];
    expect(await calls(session(), thread, ...effects)).toEqual([
      { what: 'usual' },
      { what: 'refused', why: 'size', at: [] },
      1,
    ]);
    expect(await documentsOf(session(), thread.run_no)).toEqual({ search: {}, entity: null });
  });

  it('of two threads in one call change in the order of the call', async () => {
    const thread = await begin();
    const hook = await hookOf(session(), thread, 'owned');
    const items = [
      entry(hook, { opens: 1, effects: [search(0, 'mult', ['n', 2])] }),
      entry(thread, { opens: 2, effects: [search(0, 'incr', ['n', 1]), search(1, 'mult', ['n', 10])] }),
    ];
    expect((await commitAll(session(), thread.worker, items)).map(({ detail }) => JSON.parse(detail ?? ''))).toEqual([
      [[0, 'value', 2]],
      [
        [0, 'value', 3],
        [1, 'value', 30],
      ],
    ]);
  });

  it('reading makes none', async () => {
    const thread = await begin();
    expect(
      await calls(session(), thread, search(0, 'get', ['x']), search(1, 'del', ['x']), entity(2, 'get', [[]])),
    ).toEqual(['', 0, {}]);
    expect(await documentsOf(session(), thread.run_no)).toEqual({ search: null, entity: null });
  });
});

onEveryDatabase('documents', (session) => {
  it('a commit whose answer was lost gives the same outcome again, and counts once', async () => {
    const thread = await running(session(), await register(session()), 'a');
    const item = entry(thread, { opens: 1, effects: [search(0, 'incr', ['n', 1])] });
    const first = await commitOne(session(), thread, item);
    expect(first).toEqual({ status: 'decided', detail: '[[0,"value",1]]' });
    expect(await commitOne(session(), thread, item)).toEqual({ status: 'again', detail: first.detail });
    expect(await documentsOf(session(), thread.run_no)).toEqual({ search: { n: '1' }, entity: null });
  });

  it('a refused entry touches none, and makes none', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    const effects = [search(0, 'incr', ['n', 1])];
    const fine = await running(session(), worker, 'b');
    const answers = await commitAll(session(), worker, [
      entry({ ...thread, epoch: thread.epoch + 1 }, { opens: 1, effects }),
      entry(fine, { opens: 1, effects }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(['fenced', 'decided']);
    expect(await documentsOf(session(), thread.run_no)).toBeNull();
    expect(await documentsOf(session(), fine.run_no)).toEqual({ search: { n: '1' }, entity: null });
  });

  it('of a start and of a child are there before their first line', async () => {
    const worker = await register(session());
    const parent = await running(session(), worker, 'parent', { search: '{"color":"red"}' });
    expect(await calls(session(), parent, search(0, 'get', ['color']))).toEqual(['red']);
    await step(session(), parent, { opens: 1, effects: [child(1, 'kid', { search: { color: 'blue' } })] });
    expect(await calls(session(), await claimOnly(session(), worker, 'kid'), search(0, 'get', ['color']))).toEqual([
      'blue',
    ]);
  });

  it('go along with continueAsNew, with what its own commit wrote', async () => {
    const worker = await register(session());
    const first = await running(session(), worker, 'a', { search: '{"n":"1"}' });
    await calls(session(), first, entity(0, 'set', [{ list: [1] }]));
    await step(session(), first, {
      opens: 2,
      effects: [search(1, 'incr', ['n', 1]), entity(2, 'append', [[[['list'], [2]]], false])],
      closing: 'continued',
      result: '[]',
    });
    const second = await claimOnly(session(), worker, 'a');
    expect(await documentsOf(session(), second.run_no)).toEqual({ search: { n: '2' }, entity: { list: [1, 2] } });
    expect(await documentsOf(session(), first.run_no)).toBeNull();
  });

  it('stay when a workflow ends, and a re-used id begins with none of them', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await calls(session(), thread, search(0, 'set', [{ n: '1' }]));
    await complete(session(), thread);
    expect(await documentsOf(session(), thread.run_no)).toMatchObject({ search: { n: '1' } });
    const other = await start(session(), 'b');
    expect(await documentsOf(session(), other)).toBeNull();
    expect(await terminate(session(), 'b')).toBe('terminated');
  });

  it('from outside: fields merge in the order of the call, and what would grow too large is refused alone', async () => {
    const [one, other] = [await start(session(), 'a', { search: '{"x":"0"}' }), await start(session(), 'b')];
    const large = JSON.stringify({ large: 'x'.repeat(1_100_000) });
    const [row] = await session().sql<{ refused: string }>(
      `select ${SCHEMA}.merge_search($1::bigint[], $2::text[])::text as refused`,
      `{${other},${one},${other},${one}}`,
      `{"{\\"x\\":\\"1\\"}","{\\"x\\":\\"2\\"}",${JSON.stringify(large)},null}`,
    );
    expect(row).toEqual({ refused: `{${other}}` });
    expect((await stateOf(session())).documents).toMatchObject([{ search: { x: '2' } }, { search: { x: '1' } }]);
  });
});

// ---- against the model

const key = fc.constantFrom('a', 'b', 'c', '0', '1', '2', '-1', 'ü', 'constructor');
const path = fc.array(key, { minLength: 1, maxLength: 4 });
const number = fc.oneof(
  fc.integer({ min: -20, max: 20 }),
  fc.constantFrom(0.1, -0.1, 1e-7, 1.25, 1e21, 5e-324, 1.7976931348623157e308, 9007199254740991),
);
const leaf: fc.Arbitrary<Json> = fc.oneof(
  number,
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom('', 'x', '5', '日本'),
);
const value: fc.Arbitrary<Json> = fc.letrec<{ any: Json }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    leaf,
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(key, fc.constant('__proto__')), tie('any'), { maxKeys: 3 }),
  ),
})).any;
const document = fc.dictionary(key, value, { maxKeys: 4 });

const entityCalls: fc.Arbitrary<readonly [string, unknown[]]> = fc.oneof(
  fc.tuple(fc.constantFrom('set', 'merge'), fc.tuple(document)),
  fc.tuple(fc.constant('merge'), fc.tuple(document)),
  fc.tuple(fc.constant('get'), fc.tuple(fc.oneof(path, fc.constant([])))),
  fc.tuple(fc.constantFrom('delete', 'toggle'), fc.tuple(path)),
  fc.tuple(
    fc.constantFrom('append', 'prepend'),
    fc.tuple(
      fc.array(fc.tuple(path, fc.array(value, { minLength: 1, maxLength: 2 })), { minLength: 1, maxLength: 2 }),
      fc.boolean(),
    ),
  ),
  fc.tuple(fc.constant('remove'), fc.tuple(path, fc.nat({ max: 3 }))),
  fc.tuple(fc.constant('increment'), fc.tuple(path, number)),
  fc.tuple(fc.constant('setIfNotExists'), fc.tuple(path, value)),
);

const field = fc.constantFrom('a', 'b', 'n', '"quoted"', 'ü');
const searchCalls: fc.Arbitrary<readonly [string, unknown]> = fc.oneof(
  fc.tuple(
    fc.constant('set'),
    fc.tuple(
      fc.dictionary(
        field,
        fc.oneof(number.map(String), fc.constantFrom('x', ' 1', '.5', '7.', '+3', '-', '1e3', 'NaN')),
      ),
    ),
  ),
  fc.tuple(fc.constant('get'), fc.tuple(field)),
  fc.tuple(fc.constantFrom('mget', 'del'), fc.array(field, { minLength: 1, maxLength: 3 })),
  fc.tuple(fc.constantFrom('incr', 'mult'), fc.tuple(field, number)),
);

const anyCall: fc.Arbitrary<{ kind: 'search' | 'entity'; method: string; args: string }> = fc.oneof(
  entityCalls.map(([method, args]) => ({ kind: 'entity' as const, method, args: JSON.stringify(args) })),
  searchCalls.map(([method, args]) => ({ kind: 'search' as const, method, args: JSON.stringify(args) })),
);

onEveryDatabase('any calls', (session) => {
  it('do what plain JavaScript does, in any division into commits', async () => {
    const worker = await register(session());
    let n = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(anyCall, { minLength: 1, maxLength: 6 }), { maxLength: 4 }),
        async (commits) => {
          n += 1;
          const thread = await running(session(), worker, `w-${n}`);
          const model: ModelDocuments = {};
          for (const made of commits) {
            const expected = made.map(({ kind, method, args }) => callDocument(model, kind, method, args));
            const effects = made.map(
              ({ kind, method, args }, index): Effect => ({
                kind,
                op: thread.nextOp + index,
                key: method,
                value: args,
              }),
            );
            const outcome = decodeOutcome(
              JSON.stringify(await step(session(), thread, { opens: made.length, effects })),
            );
            expect(effects.map(({ op }) => plain(outcome.get(op) ?? { what: 'usual' }))).toEqual(expected.map(plain));
          }
          const stored = (await documentsOf(session(), thread.run_no)) ?? { search: null, entity: null };
          expect(plain(stored)).toEqual(plain({ search: model.search ?? null, entity: model.entity ?? null }));
          await complete(session(), thread);
        },
      ),
      { numRuns: 100 },
    );
  });
});

/** As JSON has it: with no difference between 0 and -0, and prototypes out of the way. */
function plain(given: unknown): unknown {
  return JSON.parse(JSON.stringify(given));
}

// On PGlite the same takes ten seconds.
onServer('large documents', (session) => {
  it('read too often in one step are refused beyond 16 MiB of answers, to that thread alone', async () => {
    const worker = await register(session());
    const [greedy, modest] = [await running(session(), worker, 'a'), await running(session(), worker, 'b')];
    await calls(session(), greedy, entity(0, 'set', [{ large: 'x'.repeat(8_000_000) }]));
    const reads = [1, 2, 3, 4].map((op) => entity(op, 'get', [[]]));
    const items = [
      entry(greedy, { opens: 5, effects: [...reads, search(5, 'incr', ['n', 1])] }),
      entry(modest, { opens: 1, effects: [search(0, 'incr', ['n', 1])] }),
    ];
    const [first, second] = await commitAll(session(), worker, items);
    const seen = JSON.parse(first?.detail ?? '') as unknown[][];
    expect(seen.map(([op, what, given]) => [op, what, what === 'value' ? 'read' : given])).toEqual([
      [1, 'value', 'read'],
      [2, 'value', 'read'],
      [3, 'value', 'read'],
      [4, 'refused', ['answers', null]],
      [5, 'refused', ['answers', ['n']]],
    ]);
    expect(second?.detail).toBe('[[0,"value",1]]');
    expect(await documentsOf(session(), greedy.run_no)).toMatchObject({ search: null });
  });
});

onServer('fifty threads', (session) => {
  it('that count at once in as many commits lose nothing', async () => {
    const worker = await register(session());
    const main = await running(session(), worker, 'a');
    const hooks = await Promise.all(Array.from({ length: 50 }, () => hookOf(session(), main, 'owned')));
    const seen = await Promise.all(
      hooks.map((hook) => step(session(), hook, { opens: 1, effects: [search(0, 'incr', ['n', 0.1])] })),
    );
    expect(seen.map(([fact]) => fact?.[2] as number).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, index) => (index + 1) / 10),
    );
    expect(await documentsOf(session(), main.run_no)).toMatchObject({ search: { n: '5' } });
    await complete(session(), main);
  });
});

describe('deep documents', () => {
  onEveryDatabase('of 100 levels', (session) => {
    it('are merged, read and written', async () => {
      const thread = await running(session(), await register(session()), 'a');
      const keys = Array.from({ length: 100 }, (_, level) => `k${level}`);
      const deep = (end: Json) => keys.reduceRight<Json>((inner, name) => ({ [name]: inner }), end);
      const effects = [
        entity(0, 'set', [deep({ x: 1 })]),
        entity(1, 'merge', [deep({ y: 2 })]),
        entity(2, 'increment', [[...keys.slice(0, 99), 'k99', 'x'], 1]),
        entity(3, 'get', [keys]),
      ];
      expect(await calls(session(), thread, ...effects)).toEqual([
        { what: 'usual' },
        deep({ x: 1, y: 2 }),
        2,
        { x: 2, y: 2 },
      ]);
    });
  });
});
