import { describe, expect, expectTypeOf, it } from 'vitest';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import { DocumentError, NondeterminismError } from '../core/errors.js';
import { workflow } from './workflow.js';

type Activities = Record<string, (...args: unknown[]) => Promise<unknown>>;
const act = workflow.proxyActivities<Activities>() as Activities;
const call = (name: string, ...args: unknown[]) => (act[name] as Activities[string])(...args);

const caught = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'nothing was thrown',
    (error: Error) => `${error.name}: ${error.message}`,
  );

describe('a session', () => {
  it('counts as one position, and its calls within it', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const [one, two] = [await workflow.search(), await workflow.entity()];
      await one.incr('n', 1);
      await two.get();
      await one.incr('n', 1);
      await workflow.enrich({ a: 1 });
      return workflow.workflowInfo().counter;
    });
    const made = flow.steps.flatMap((step) => step.commands).filter(({ op }) => op !== null);
    expect(made.map(({ command }) => [command.kind, command.name, command.counter, command.spec])).toEqual([
      ['search', 'incr', 1, { n: 1, args: '["n",1]' }],
      ['entity', 'get', 2, { n: 1, args: '[[]]' }],
      ['search', 'incr', 1, { n: 2, args: '["n",1]' }],
      ['search', 'set', 3, { n: 1, args: '[{"a":"1"}]' }],
    ]);
    expect(flow.ending?.value).toBe(3);
  });

  it('gives in a replay what it gave at first, whatever the document holds by then', async () => {
    const seen: unknown[][] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      const [search, entity] = [await workflow.search(), await workflow.entity()];
      const before = [
        await search.incr('n', 1),
        await search.get('n'),
        await entity.merge({ a: { b: 1 } }),
        (await entity.get('x')) === undefined,
        await caught(entity.toggle('a')),
      ];
      seen.push(before);
      await call('between');
      return [await search.incr('n', 1), await entity.get('a.b')];
    });
    flow.store.documents.search = { n: '41' };
    flow.store.documents.entity = { a: { b: 'changed by a hook' } };
    await flow.crash();
    await flow.complete('between');
    expect(seen).toHaveLength(2);
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[0]).toEqual([
      1,
      '1',
      { a: { b: 1 } },
      true,
      'DocumentError: entity.toggle: "a" does not hold a boolean',
    ]);
    expect(flow.ending?.value).toEqual([42, 'changed by a hook']);
  });

  it('gives after a crash between commit and answer what that commit gave, and does it once', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const search = await workflow.search();
      const n = await search.incr('n', 1);
      return [n, await call('behind')];
    });
    await flow.crash();
    await flow.complete('behind', 'x');
    expect(flow.ending?.value).toEqual([1, 'x']);
    expect(flow.store.documents.search).toEqual({ n: '1' });
  });

  it('carries out, before the end, what nobody awaits', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const search = await workflow.search();
      void search.incr('n', 2);
      void search.mult('n', 3);
      void workflow.enrich({ state: 'done' });
    });
    expect(flow.ending?.state).toBe('completed');
    expect(flow.store.documents.search).toEqual({ n: '6', state: 'done' });
    expect(flow.store.rows).toHaveLength(1);
  });

  it('what a call changes afterwards in its argument or its answer changes nothing', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const entity = await workflow.entity();
      const given = { list: [1] };
      const pending = entity.set(given);
      given.list.push(2);
      const answer = await pending;
      answer.list.push(3);
      return await entity.get();
    });
    expect(flow.ending?.value).toEqual({ list: [1] });
  });

  it('is not rejected when the workflow is cancelled', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const search = await workflow.search();
      await workflow.condition('never').catch(() => {});
      return await search.incr('n', 1);
    });
    await flow.cancel();
    expect(flow.ending?.value).toBe(1);
  });

  it('another method at the same place is another command', async () => {
    const program = (method: 'incr' | 'mult') => async () => {
      const search = await workflow.search();
      await search[method]('n', 2);
      await call('behind');
    };
    const flow = await SimulatedWorkflow.begin(program('incr'));
    await flow.crash(program('mult'));
    expect(flow.blocked).toBeInstanceOf(NondeterminismError);
    expect(flow.blocked?.message).toMatch(/search "incr".*search "mult"/s);
  });

  it('other arguments at the same place are not compared: those recorded count', async () => {
    const program = (name: string) => async () => {
      const search = await workflow.search();
      const count = await search.set({ [name]: 1 });
      return [count, await call('behind')];
    };
    const flow = await SimulatedWorkflow.begin(program('a'));
    await flow.crash(program('b'));
    await flow.complete('behind');
    expect(flow.ending).toMatchObject({ state: 'completed', value: [1, null] });
    expect(flow.store.documents.search).toEqual({ a: '1' });
  });

  it('keys that JavaScript gives a meaning to are data', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const entity = await workflow.entity();
      await entity.set(JSON.parse('{"a":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}}'));
      await entity.merge(JSON.parse('{"a":{"__proto__":{"polluted":2}},"__proto__":{"polluted":3}}'));
      return [({} as { polluted?: number }).polluted === undefined, JSON.stringify(await entity.get('a.constructor'))];
    });
    expect(flow.ending?.value).toEqual([true, '{"prototype":{"polluted":1}}']);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});

describe('what cannot be stored is refused at the call, which records nothing and can be caught:', () => {
  type Sessions = [Awaited<ReturnType<typeof workflow.search>>, Awaited<ReturnType<typeof workflow.entity>>];
  const circle: Record<string, unknown> = {};
  circle.self = circle;

  it.each<[string, (...sessions: Sessions) => Promise<unknown>, string]>([
    ['search.set', (s) => s.set(), 'search.set: fields must be one object, or names and values in turn'],
    ['search.set', (s) => s.set('a'), 'search.set: fields must be one object, or names and values in turn'],
    ['search.set', (s) => s.set({ a: {} as string }), 'search.set: a must be text, a finite number or a boolean'],
    ['search.set', (s) => s.set(5, 'x'), 'search.set: field must be named by text'],
    ['search.get', (s) => s.get(undefined as unknown as string), 'search.get: field must be named by text'],
    ['search.get', (s) => s.get('__proto__'), 'search.get: field must be named by text'],
    ['search.mget', (s) => s.mget(), 'search.mget: at least one field must be named'],
    ['search.del', (s) => s.del('a', ''), 'search.del: field must be named by text'],
    ['search.incr', (s) => s.incr('a', '1' as unknown as number), 'search.incr: by must be a finite number; got "1"'],
    ['search.mult', (s) => s.mult('a', Infinity), 'search.mult: by must be a finite number; got Infinity'],
    ['enrich', () => workflow.enrich('x' as unknown as Record<string, string>), 'enrich: fields must be one object'],
    ['entity.set', (_, e) => e.set([1]), 'entity.set: document must be an object; got an array'],
    ['entity.set', (_, e) => e.set({ a: 'x\0' }), 'entity.set: document.a must be text without NUL'],
    ['entity.set', (_, e) => e.set({ a: 1n }), 'entity.set: document.a is a BigInt'],
    ['entity.set', (_, e) => e.set(circle), 'entity.set: document.self is a circular reference'],
    ['entity.merge', (_, e) => e.merge(null as unknown as object), 'entity.merge: partial must be an object; got null'],
    ['entity.get', (_, e) => e.get(''), 'entity.get: path must be keys with dots between them'],
    ['entity.delete', (_, e) => e.delete('a..b'), 'entity.delete: path must be keys with dots between them'],
    ['entity.append', (_, e) => e.append('a', undefined), 'entity.append: value must be a value that JSON can hold'],
    [
      'entity.append',
      (_, e) => e.append({ a: {} }),
      'entity.append: additions must be an object with something to add',
    ],
    ['entity.prepend', (_, e) => e.prepend({ '': [1] }), 'entity.prepend: path must be keys with dots between them'],
    ['entity.remove', (_, e) => e.remove('a', -1), 'entity.remove: index must be a whole number from 0; got -1'],
    [
      'entity.increment',
      (_, e) => e.increment('a', Number.NaN),
      'entity.increment: by must be a finite number; got NaN',
    ],
    ['entity.toggle', (_, e) => e.toggle('__proto__.x'), 'entity.toggle: path must be keys with dots between them'],
    [
      'entity.setIfNotExists',
      (_, e) => e.setIfNotExists('a', undefined),
      'entity.setIfNotExists: value must be a value',
    ],
  ])('%s', async (_, use, message) => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const sessions: Sessions = [await workflow.search(), await workflow.entity()];
      return await caught(use(...sessions));
    });
    expect(flow.ending?.value).toContain(message);
    expect(flow.commands).toEqual(['complete']);
  });
});

it('types follow the calls', () => {
  type Sessions = {
    search: Awaited<ReturnType<typeof workflow.search>>;
    entity: Awaited<ReturnType<typeof workflow.entity>>;
  };
  const typed = async ({ search, entity }: Sessions) => {
    expectTypeOf(await search.get('a')).toEqualTypeOf<string>();
    expectTypeOf(await search.mget('a', 'b')).toEqualTypeOf<string[]>();
    expectTypeOf(await search.incr('a', 1)).toEqualTypeOf<number>();
    expectTypeOf(await workflow.enrich({ a: 1, b: 'x', c: true })).toEqualTypeOf<true>();
    expectTypeOf(await entity.set({ a: 1 })).toEqualTypeOf<{ a: number }>();
    expectTypeOf(await entity.get()).toEqualTypeOf<Record<string, unknown>>();
    expectTypeOf(await entity.get<number>('a')).toEqualTypeOf<number>();
    expectTypeOf(await entity.append<string>('a', 'x')).toEqualTypeOf<string[]>();
    expectTypeOf(await entity.append({ a: ['x'] })).toEqualTypeOf<Record<string, unknown>>();
    expectTypeOf(await entity.toggle('a')).toEqualTypeOf<boolean>();
    expectTypeOf(await entity.setIfNotExists('a', 5)).toEqualTypeOf<number>();
    // @ts-expect-error text is not a number
    await search.incr('a', '1');
    // @ts-expect-error a field is text, a number or a boolean
    await search.set({ a: {} });
    // @ts-expect-error a path needs its value
    await entity.append('a');
  };
  expectTypeOf(typed).returns.toEqualTypeOf<Promise<void>>();
});

it('a call that was refused by the store may be caught by its class', async () => {
  const flow = await SimulatedWorkflow.begin(async () => {
    const search = await workflow.search();
    await search.set({ a: 'x' });
    const error = await search.incr('a', 1).catch((thrown: unknown) => thrown);
    return error instanceof DocumentError;
  });
  expect(flow.ending?.value).toBe(true);
});
