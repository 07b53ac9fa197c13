import { expect, it } from 'vitest';
import { Durable, Entity, Errors, guid, Search, workflow } from '../src/index.js';
import { describeInBothTempos, Journal } from './support/worker.js';

const journal = new Journal();

const activities = {
  /** Takes so long that its workflow is parked in the tempo that forgets, and what came before is replayed. */
  async note(key: string, seen: unknown) {
    journal.note(key, seen);
    await new Promise((resolve) => setTimeout(resolve, 300));
    return seen;
  },
};
const { note } = workflow.proxyActivities<typeof activities>();

const caught = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    (value) => `nothing was thrown, but ${JSON.stringify(value)} returned`,
    (error: Error) => `${error.name}: ${error.message}`,
  );

/** All that the calls gave, told to an activity and returned behind it: then by a replay. */
async function told(key: string, seen: unknown[]) {
  const kinds = seen.map((value) => typeof value);
  await note(key, { seen, kinds });
  return { seen, kinds };
}

/** Reads a large document again and again, changes what it was given, and the document in between. */
async function readsALot(key: string) {
  const [entity, search] = [await workflow.entity(), await workflow.search()];
  const pages = Array.from({ length: 1_000 }, (_, page) => `page ${page} of ${key}, ${'x'.repeat(80)}`);
  await entity.set({ pages, title: 'one' });
  await search.set({ large: 'y'.repeat(5_000) });
  const seen: unknown[] = [];
  for (let round = 0; round < 10; round++) {
    if (round === 5) await entity.merge({ title: 'two' });
    const { title, pages: read } = (await (await workflow.entity()).get()) as { title: string; pages: string[] };
    seen.push([
      title,
      read.length,
      read[round],
      (await search.get('large')).length,
      (await search.mget('large'))[0]?.length,
    ]);
    read.length = 0;
    if (round % 3 === 0) await note(`${key} ${round}`, title);
  }
  const [one, other] = await Promise.all([entity.get<string[]>('pages'), entity.get<string[]>('pages')]);
  one.pop();
  return [...seen, [one.length, other.length]];
}

async function fields(key: string) {
  const search = await workflow.search();
  const seen: unknown[] = [
    await search.get('color'),
    await search.set({ a: 1, b: true }),
    await search.set('c', '123', 'd', 4n, 'c', 5),
    await search.get('a'),
    await search.mget('b', 'none', 'c', 'd'),
    await search.incr('n', 0.1),
    await search.incr('n', 0.2),
    await search.mult('m', 3),
    await search.mult('m', 4),
    await search.mget('n', 'm'),
    await search.del('a', 'none'),
    await search.get('a'),
    await workflow.enrich({ state: 'done', 'a|||b': '|||' }),
    await search.mget('state', 'a|||b'),
    await search.set('"literal"', 'x', '"_d"', 'y'),
    await search.mget('literal', '"literal"', 'd'),
  ];
  return await told(key, seen);
}

const FIELDS = [
  'red',
  2,
  2,
  '1',
  ['true', '', '5', '4'],
  0.1,
  0.3,
  3,
  12,
  ['0.3', '12'],
  1,
  '',
  true,
  ['done', '|||'],
  2,
  ['', 'x', 'y'],
];

async function documents(key: string) {
  const entity = await workflow.entity();
  const seen: unknown[] = [
    await entity.get(),
    await entity.set({ user: { name: 'Ada', address: { city: 'London' } }, at: new Date(0), gone: undefined }),
    await entity.merge({ user: { address: { street: { name: 'x' } }, name: 'Bea' } }),
    await entity.get('user.address'),
    (await entity.get('nobody')) === undefined,
    await entity.append('list', 1),
    await entity.append('list', [2]),
    await entity.prepend('list', null),
    await entity.append({ list: ['a', 'b'], deep: { tags: 'one' } }),
    await entity.prepend({ list: [0] }),
    await entity.remove('list', 1),
    await entity.get('list.2'),
    await entity.increment('count.of.visits'),
    await entity.increment('count.of.visits', 0.2),
    await entity.toggle('flag'),
    await entity.toggle('flag'),
    await entity.setIfNotExists('once', '123'),
    await entity.setIfNotExists('once', 124),
    await entity.delete('user'),
    await entity.get<string[]>('deep.tags'),
  ];
  return await told(key, seen);
}

const DOCUMENTS = [
  {},
  { user: { name: 'Ada', address: { city: 'London' } }, at: '1970-01-01T00:00:00.000Z' },
  { user: { name: 'Bea', address: { city: 'London', street: { name: 'x' } } }, at: '1970-01-01T00:00:00.000Z' },
  { city: 'London', street: { name: 'x' } },
  true,
  [1],
  [1, [2]],
  [null, 1, [2]],
  {
    user: { name: 'Bea', address: { city: 'London', street: { name: 'x' } } },
    at: '1970-01-01T00:00:00.000Z',
    list: [null, 1, [2], 'a', 'b'],
    deep: { tags: ['one'] },
  },
  {
    user: { name: 'Bea', address: { city: 'London', street: { name: 'x' } } },
    at: '1970-01-01T00:00:00.000Z',
    list: [0, null, 1, [2], 'a', 'b'],
    deep: { tags: ['one'] },
  },
  [0, 1, [2], 'a', 'b'],
  [2],
  1,
  1.2,
  true,
  false,
  '123',
  '123',
  {
    at: '1970-01-01T00:00:00.000Z',
    list: [0, 1, [2], 'a', 'b'],
    deep: { tags: ['one'] },
    count: { of: { visits: 1.2 } },
    flag: false,
    once: '123',
  },
  ['one'],
];

async function refusals(key: string) {
  const [search, entity] = [await workflow.search(), await workflow.entity()];
  await Promise.all([search.set({ word: 'x' }), entity.set({ text: 'x', list: [1], none: null })]);
  const seen = [
    await caught(search.incr('word', 1)),
    await caught(search.mult('word', 1)),
    await caught(entity.increment('text')),
    await caught(entity.toggle('list')),
    await caught(entity.append('text', 1)),
    await caught(entity.increment('text.length')),
    await caught(entity.setIfNotExists('list.5', 1)),
    await caught(entity.remove('list', 1)),
    await caught(
      entity.merge({ large: 'x'.repeat(5_000_000) }).then(() => entity.merge({ larger: 'x'.repeat(5_000_000) })),
    ),
    await search.get('word'),
    await entity.increment('none.count'),
  ];
  return await told(key, seen);
}

const REFUSALS = [
  'DocumentError: search.incr: "word" does not hold a number',
  'DocumentError: search.mult: "word" does not hold a number',
  'DocumentError: entity.increment: "text" does not hold a number',
  'DocumentError: entity.toggle: "list" does not hold a boolean',
  'DocumentError: entity.append: "text" does not hold an array',
  'DocumentError: entity.increment: "text" does not hold an object',
  'DocumentError: entity.setIfNotExists: the array has no place "list.5"; indexes count from 0 to its length',
  'DocumentError: entity.remove: the array has no place "list"; indexes count from 0 to its length',
  'PayloadTooLargeError: entity.merge: the document would grow beyond its limit; store large values elsewhere and keep references',
  'x',
  1,
];

/** Branches that are at different places of their code when they count. */
async function counts(key: string) {
  const search = await workflow.search();
  const branches = Array.from({ length: 50 }, async (_, n) => {
    await workflow.sleep(n % 5);
    const first = await search.incr('n', 0.1);
    if (n % 10 === 0) await note(key, n);
    return [first, await search.incr('n', 0.1)];
  });
  const seen = (await Promise.all(branches)).flat().sort((a, b) => a - b);
  return { seen, end: await search.get('n') };
}

/** Fifty threads beside the main function, which counts too. */
async function hooked() {
  const [search, entity] = [await workflow.search(), await workflow.entity()];
  const hooks = Array.from({ length: 50 }, (_, n) =>
    workflow.execHook<number[]>({
      taskQueue: 'test',
      workflowName: 'countsBeside',
      args: [n],
      search: { data: { [`hook ${n}`]: n } },
    }),
  );
  const [own, ...others] = await Promise.all([search.incr('n', 0.1), ...hooks]);
  return {
    seen: [own, ...others.flat()].sort((a, b) => a - b),
    end: await search.get('n'),
    brought: await search.mget('hook 0', 'hook 49'),
    list: (await entity.get<number[]>('list')).sort((a, b) => a - b),
  };
}

async function countsBeside(n: number, { signal }: { signal: string }) {
  const [search, entity] = [await workflow.search(), await workflow.entity()];
  const first = await search.incr('n', 0.1);
  await workflow.sleep(n % 4);
  await entity.append('list', n);
  await workflow.signal(signal, [first, await search.incr('n', 0.1)]);
}

async function goesOn(round: number): Promise<unknown> {
  const [search, entity] = [await workflow.search(), await workflow.entity()];
  void search.incr('rounds', 1);
  void entity.append('log', round);
  if (round < 3) await workflow.continueAsNew(round + 1);
  return [await search.get('rounds'), await entity.get()];
}

const shared: { search?: Search } = {};

async function lends() {
  shared.search = await workflow.search();
  await workflow.condition('taken');
  await shared.search.set({ mine: 1 });
}

async function borrows() {
  return await caught((shared.search as Search).set({ yours: 1 }));
}

async function keepsEntity(state: string, total: unknown) {
  const entity = await workflow.entity();
  await entity.set({ state, total, tags: [state], nested: { state } });
  if (state === 'open') await workflow.condition('close');
}

const workflows = {
  readsALot,
  fields,
  documents,
  refusals,
  counts,
  hooked,
  countsBeside,
  goesOn,
  lends,
  borrows,
  keepsEntity,
};

describeInBothTempos('what the threads of a workflow share', { workflow: workflows, activities }, (engine, tempo) => {
  const engineObject = () => engine().client.getHotMeshClient(null, 'durable');

  it('a large document that is read again and again is stored once for each state it was read in', async () => {
    const key = guid();
    const handle = await engine().start('readsALot', [key]);
    const expected = Array.from({ length: 10 }, (_, round) => [
      round < 5 ? 'one' : 'two',
      1_000,
      `page ${round} of ${key}, ${'x'.repeat(80)}`,
      5_000,
      5_000,
    ]);
    expect(await engine().result(handle)).toEqual([...expected, [999, 1_000]]);
    const [row] = await engine().sql<{ stored: number }>(
      `select sum(length(h.outcome))::int as stored from history h join execution e on e.run_no = h.thread_no
        where e.workflow_id = $1`,
      [handle.workflowId],
    );
    // Twice as a whole (and once by merge), once or twice its pages, and both fields: not ten times.
    expect(row?.stored).toBeLessThan(6 * 130_000);
  });

  it.each([
    ['fields', FIELDS],
    ['documents', DOCUMENTS],
    ['refusals', REFUSALS],
  ])('%s: each call gives the same value of the same type, at first and in a replay', async (name, expected) => {
    const key = guid();
    const handle = await engine().start(name, [key], { search: { data: { color: 'red' } } });
    const result = await engine().result(handle);
    const kinds = expected.map((value) => typeof value);
    expect(result).toEqual({ seen: expected, kinds });
    expect(journal.of(key)).toEqual([{ seen: expected, kinds }]);
  });

  it('fields are there for clients, by name and together', async () => {
    const handle = await engine().start('fields', [guid()], { search: { data: { color: 'red' } } });
    await engine().result(handle);
    const data = { color: 'red', b: 'true', c: '5', d: 'y', n: '0.3', m: '12', state: 'done', 'a|||b': '|||' };
    expect(await Search.findAllUserData(handle.workflowId, await engineObject())).toEqual(data);
    expect(await handle.queryState(['color', 'a', '"literal"', 'toString'])).toEqual({
      color: 'red',
      a: null,
      '"literal"': 'x',
      toString: null,
    });
    expect(await Search.findAllUserData('nobody', await engineObject())).toEqual({});
  });

  it('fifty branches that count at once lose nothing, and each sees another sum', async () => {
    const seen = Array.from({ length: 100 }, (_, n) => (n + 1) / 10);
    expect(await engine().run('counts', [guid()])).toEqual({ seen, end: '10' });
  });

  it('fifty hooks that count at once lose nothing, and each sees another sum', async () => {
    expect(await engine().run('hooked')).toEqual({
      seen: Array.from({ length: 101 }, (_, n) => (n + 1) / 10),
      end: '10.1',
      brought: ['0', '49'],
      list: Array.from({ length: 50 }, (_, n) => n),
    });
  });

  it('continueAsNew takes all along, with what was written beside it', async () => {
    expect(await engine().run('goesOn', [1])).toEqual(['3', { log: [1, 2, 3] }]);
  });

  it('a session belongs to the execution that opened it', async () => {
    const lender = await engine().start('lends');
    await engine().waits(lender);
    expect(await engine().run('borrows')).toMatch(/^SharedPromiseError: search.set: called in the context of another/);
    await lender.signal('taken');
    await engine().result(lender);
    expect(await lender.queryState(['mine', 'yours'])).toEqual({ mine: '1', yours: null });
  });

  it('workflows are found by their documents, newest first', async () => {
    const kind = `order ${tempo.name}`;
    const begin = async (workflowId: string, ...args: unknown[]) => {
      const handle = await engine().start('keepsEntity', args, { entity: kind, workflowId: `${kind} ${workflowId}` });
      await (args[0] === 'open' ? engine().waits(handle) : engine().result(handle));
    };
    await begin('1', 'closed', 5);
    await begin('2', 'open', 20);
    await begin('3', 'closed', '5');
    const client = await engineObject();
    const ids = (rows: readonly { key: string }[]) => rows.map(({ key }) => key.split(' ').at(-1));
    const find = async (...args: [Parameters<typeof Entity.find>[1], Parameters<typeof Entity.find>[3]?]) =>
      ids(await Entity.find(kind, args[0], client, args[1]));

    for (const indexed of [false, true]) {
      if (indexed) {
        await Promise.all([1, 2].map(() => Entity.createIndex(kind, 'state', client)));
        await Entity.createIndex(kind, 'state', client, 'gin');
      }
      expect(await find({})).toEqual(['3', '2', '1']);
      expect(await find({}, { limit: 1, offset: 1 })).toEqual(['2']);
      expect(await find({ state: 'closed' })).toEqual(['3', '1']);
      expect(await find({ state: 'closed', total: { $lt: 10, $gte: 5 } })).toEqual(['3', '1']);
      expect(await find({ total: 5 })).toEqual(['3', '1']);
      expect(await find({ total: { $gt: 5 } })).toEqual(['2']);
      expect(await find({ state: { $ne: 'open' } })).toEqual(['3', '1']);
      expect(await find({ state: { $in: ['open', 'x'] } })).toEqual(['2']);
      expect(await find({ "state' or '1'='1": 'x' })).toEqual([]);
      expect(ids(await Entity.findByCondition(kind, 'state', 'cl%', 'LIKE', client))).toEqual(['3', '1']);
      expect(ids(await Entity.findByCondition(kind, 'total', [20], 'IN', client, { limit: 5 }))).toEqual(['2']);
    }
    expect(await Entity.findById(kind, `${kind} 2`, client)).toEqual({
      key: `hmsh:durable:j:${kind} 2`,
      context: { state: 'open', total: 20, tags: ['open'], nested: { state: 'open' } },
      status: 1,
    });
    expect(await Entity.findById('another', `${kind} 2`, client)).toBeNull();
    expect(await Entity.find('another', {}, client)).toEqual([]);
  });
});

it.each([
  ['search', () => workflow.search()],
  ['entity', () => workflow.entity()],
  ['enrich', () => workflow.enrich({ a: 1 })],
])('%s outside of a workflow says so', async (name, call) => {
  await expect(call()).rejects.toThrow(`${name}: called outside of a workflow`);
  await expect(call()).rejects.toBeInstanceOf(Errors.WorkflowContextError);
});

it('Search and Entity are exported by name and on Durable, with what programs call on them', async () => {
  expect([Durable.Search, Durable.Entity]).toEqual([Search, Entity]);
  expect(await Search.listSearchIndexes()).toEqual([]);
  expect(await Search.configureSearchIndex()).toBeUndefined();
});
