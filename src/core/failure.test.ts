import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ActivityLostError,
  CancelledFailure,
  DuplicateJobError,
  DurableFatalError,
  DurableMaxedError,
  DurableRetryError,
  DurableTimeoutError,
  NondeterminismError,
  PayloadTooLargeError,
  TerminatedError,
} from './errors.js';
import { errorFromFailure, type Failure, failureFromError } from './failure.js';

class CardDeclined extends Error {
  readonly card: { last4: string; limits: number[] };
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.card = { last4: '4242', limits: [1, 2] };
  }
}

const plain = (failure: Failure): unknown => JSON.parse(JSON.stringify(failure));

describe('failureFromError', () => {
  it("keeps name, message, stack, cause and the plain fields of a user's error", () => {
    const error = new CardDeclined('no money', { cause: new TypeError('inner') });
    expect(failureFromError(error)).toEqual({
      name: 'CardDeclined',
      message: 'no money',
      stack: error.stack,
      cause: { name: 'TypeError', message: 'inner', stack: (error.cause as Error).stack },
      details: { card: { last4: '4242', limits: [1, 2] } },
    });
  });

  it.each([
    ['the class', new CardDeclined('m'), 'CardDeclined'],
    ['a name set on the instance', Object.assign(new Error('m'), { name: 'Custom' }), 'Custom'],
    ['a name set by the class', new DOMException('m', 'AbortError'), 'AbortError'],
    ['a built-in class', new RangeError('m'), 'RangeError'],
    ['a subclass of an engine class', new (class Frozen extends DurableFatalError {})('m'), 'Frozen'],
    ['nothing', Object.assign(new Error('m'), { name: '' }), 'Error'],
    ['no class', { message: 'm' }, 'Error'],
  ])('takes the name from %s', (_, thrown, name) => {
    expect(failureFromError(thrown).name).toBe(name);
  });

  it('never takes a foreign code for one of the engine, but keeps it as data', () => {
    for (const code of [598, 597, 410, '23505', 'ECONNREFUSED']) {
      const failure = failureFromError(Object.assign(new Error('m'), { code, type: 'DurableFatalError', job_id: 'a' }));
      expect(failure.details).toEqual({ code, type: 'DurableFatalError', job_id: 'a' });
      expect(failure).not.toHaveProperty('code');
      expect(failure).not.toHaveProperty('type');
      expect(failure).not.toHaveProperty('nonRetryable');
    }
  });

  it("takes an engine error's code and type from its class, whatever the instance says", () => {
    const error = Object.assign(new (class Frozen extends DurableFatalError {})('m'), { code: 7, type: 'mine' });
    expect(failureFromError(error)).toMatchObject({ code: 598, type: 'DurableFatalError', nonRetryable: true });
    expect(failureFromError(new TerminatedError('m', { code: 444, job_id: 'a' }))).toMatchObject({
      code: 444,
      job_id: 'a',
    });
    expect(failureFromError(new CancelledFailure())).toEqual({
      name: 'CancelledFailure',
      type: 'CancelledFailure',
      message: 'Workflow cancelled',
      stack: expect.stringContaining('CancelledFailure: Workflow cancelled\n'),
      nonRetryable: true,
    });
  });

  it.each([
    ['boom', 'boom'],
    [undefined, 'undefined was thrown instead of an Error'],
    [null, 'null was thrown instead of an Error'],
    [42n, 'a BigInt was thrown instead of an Error'],
    [() => 1, 'a function was thrown instead of an Error'],
    [['secret'], 'an array was thrown instead of an Error'],
    [{ reason: 'secret', by: 1 }, 'an object with reason, by was thrown instead of an Error'],
    [Object.create(null), 'an object was thrown instead of an Error'],
  ])('describes %o, which is no error', (thrown, message) => {
    expect(failureFromError(thrown)).toMatchObject({ name: 'Error', message });
  });

  it('leaves out of the fields what is no plain data', () => {
    const error = Object.assign(new Error('m'), {
      request: new (class Socket {})(),
      retry: () => true,
      big: 1n,
      not: Number.NaN,
      at: new Date(0),
      headers: { 'x-id': '7', agent: new Map() },
      ['__proto__']: 1,
    });
    expect(failureFromError(error).details).toEqual({ at: '1970-01-01T00:00:00.000Z', headers: { 'x-id': '7' } });
  });

  it('keeps the key `__proto__` inside of a field as data', () => {
    const body = JSON.parse('{"__proto__":{"polluted":true},"a":1}');
    const kept = failureFromError(Object.assign(new Error('m'), { body })).details?.body;
    expect(Object.keys(kept ?? {})).toEqual(['__proto__', 'a']);
    expect(kept).not.toHaveProperty('polluted');
  });

  it('cuts what is too long, and keeps the lines of code of the stack', () => {
    const failure = failureFromError(
      Object.assign(new Error('x'.repeat(10_000_000)), { body: 'y'.repeat(1_000_000), status: 500 }),
    );
    expect(failure.message).toHaveLength(64 * 1024);
    expect(failure.message).toMatch(/^x+\.\.\. \(10000000 characters\)$/);
    expect(failure.stack.length).toBeLessThanOrEqual(16 * 1024);
    expect(failure.stack).toContain('failure.test.ts');
    expect(JSON.stringify(failure.details ?? {}).length).toBeLessThan(20_000);
    expect(failureFromError(Object.assign(new Error('m'), { stack: 's'.repeat(10_000_000) })).stack).toHaveLength(
      16 * 1024,
    );
  });

  it('stops at causes that lead back, and after ten', () => {
    const a = new Error('a');
    const b = new Error('b', { cause: a });
    a.cause = b;
    expect(failureFromError(a)).toMatchObject({ message: 'a', cause: { message: 'b' } });
    expect(failureFromError(a).cause).not.toHaveProperty('cause');

    let chain = new Error('0');
    for (let i = 1; i < 100; i++) chain = new Error(String(i), { cause: chain });
    let depth = 0;
    for (let failure: Failure | undefined = failureFromError(chain); failure; failure = failure.cause) depth++;
    expect(depth).toBe(11);
  });

  it('keeps a few members of an AggregateError, however they branch', () => {
    const error = new AggregateError([new CardDeclined('first'), 'second'], 'All promises were rejected');
    expect(failureFromError(error).errors).toMatchObject([
      { name: 'CardDeclined', message: 'first' },
      { message: 'second' },
    ]);

    let tree: Error = new Error('leaf');
    for (let level = 0; level < 8; level++)
      tree = new AggregateError(
        Array.from({ length: 8 }, () => new AggregateError([tree])),
        'm',
      );
    const count = (failure: Failure): number =>
      1 + (failure.errors ?? []).reduce((sum, member) => sum + count(member), 0);
    expect(count(failureFromError(tree))).toBeLessThanOrEqual(16);
  });

  it.each<[string, () => unknown]>([
    [
      'a revoked Proxy',
      () => {
        const { proxy, revoke } = Proxy.revocable(new Error('m'), {});
        revoke();
        return proxy;
      },
    ],
    [
      'a Proxy whose traps all throw',
      () => {
        const trap = (): never => {
          throw new Error('trapped');
        };
        return new Proxy(new Error('m'), {
          get: trap,
          has: trap,
          ownKeys: trap,
          getPrototypeOf: trap,
          getOwnPropertyDescriptor: trap,
        });
      },
    ],
    [
      'a Proxy that has every property',
      () => {
        const get = (): never => {
          throw new Error('trapped');
        };
        return new Proxy(new Error('m'), { has: () => true, get });
      },
    ],
    [
      'getters that throw',
      () => {
        const error = new Error('m');
        for (const key of ['stack', 'name', 'message', 'cause', 'code', 'errors', 'field', 'constructor']) {
          Object.defineProperty(error, key, {
            enumerable: true,
            get: () => {
              throw new Error('got');
            },
          });
        }
        return error;
      },
    ],
    ['fields of the wrong type', () => ({ name: 1, message: {}, stack: [], cause: 0, errors: 1, constructor: 5 })],
    [
      'an endless nest of getters',
      () => {
        const nest = (): object => ({
          get deeper() {
            return nest();
          },
        });
        return Object.assign(new Error('m'), nest());
      },
    ],
    ['an invalid Date', () => Object.assign(new Error('m'), { at: new Date(Number.NaN) })],
    ['a huge sparse array', () => Object.assign(new Error('m'), { list: new Array(2 ** 32 - 1) })],
  ])('survives %s', (_, thrown) => {
    const failure = failureFromError(thrown());
    expect(failure).toMatchObject({ name: expect.any(String), message: expect.any(String), stack: expect.any(String) });
    expect(plain(failure)).toEqual(failure);
  });

  it('makes plain JSON of bounded size of anything', () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withNullPrototype: true,
          withSparseArray: true,
        }),
        (value) => {
          for (const thrown of [value, Object.assign(new Error('m'), { value })]) {
            const failure = failureFromError(thrown);
            expect(plain(failure)).toEqual(failure);
            expect(JSON.stringify(failure).length).toBeLessThan(500_000);
          }
        },
      ),
    );
  });
});

describe('errorFromFailure', () => {
  it.each([
    new DurableFatalError('m'),
    new DurableMaxedError('m'),
    new DurableTimeoutError('m'),
    new DurableRetryError('m'),
    new ActivityLostError('m'),
    new CancelledFailure(),
    new TerminatedError('m', { code: 444, job_id: 'a' }),
    new DuplicateJobError('a'),
    new PayloadTooLargeError('m', { path: 'args[0]', size: 9, limit: 8 }),
    new NondeterminismError({ entry: 4, recorded: 'timer', produced: null, location: null }),
    new TypeError('m'),
    new AggregateError([new Error('member')], 'm'),
  ])('brings back the class and the fields: $name', (original) => {
    const error = errorFromFailure(plain(failureFromError(original)) as Failure);
    expect(Object.getPrototypeOf(error)).toBe(Object.getPrototypeOf(original));
    expect({ ...error }).toEqual({ ...original });
    expect([error.name, error.message, error.stack]).toEqual([original.name, original.message, original.stack]);
  });

  it("brings back a user's error as an Error of its name, with cause and fields", () => {
    const original = new CardDeclined('no money', {
      cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }),
    });
    const error = errorFromFailure(plain(failureFromError(original)) as Failure);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'CardDeclined',
      card: { last4: '4242', limits: [1, 2] },
      cause: { code: 'ECONNREFUSED' },
    });
    expect(String(error)).toBe('CardDeclined: no money');
    expect(Object.keys(error)).toEqual(['card']);
  });

  it('is undone by failureFromError', () => {
    const thrown = fc.oneof(
      fc.string().map((message) => new CardDeclined(message)),
      fc
        .record({ message: fc.string(), code: fc.integer() })
        .map(({ message, code }) => new TerminatedError(message, { code })),
      fc.tuple(fc.string(), fc.dictionary(fc.string(), fc.jsonValue())).map(([message, fields]) => {
        const error = new DurableFatalError(message, { cause: new TypeError('inner') });
        for (const [key, value] of Object.entries(fields)) {
          if (!(key in error)) Object.defineProperty(error, key, { value, enumerable: true });
        }
        return error;
      }),
      fc.anything(),
    );
    fc.assert(
      fc.property(thrown, (value) => {
        const failure = failureFromError(value);
        expect(failureFromError(errorFromFailure(failure))).toEqual(failure);
      }),
    );
  });

  it('finds the class by the code alone, as SQL may write it', () => {
    const failure = { name: 'Error', message: 'm', stack: '' };
    expect(errorFromFailure({ ...failure, code: 597 })).toBeInstanceOf(DurableMaxedError);
    expect(errorFromFailure({ ...failure, code: 12 })).not.toBeInstanceOf(DurableFatalError);
  });

  it('lets no stored field shadow what errors inherit', () => {
    const details = JSON.parse(
      '{"toString": 1, "constructor": 2, "__proto__": {"polluted": true}, "stack": "s", "then": "data"}',
    );
    const error = errorFromFailure({ name: 'Error', message: 'm', stack: 'real', details });
    expect(String(error)).toBe('Error: m');
    expect(error.stack).toBe('real');
    expect(Reflect.get(error, 'then')).toBe('data');
    expect(error).not.toHaveProperty('polluted');
  });
});
