import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DurableFatalError,
  InvalidArgumentError,
  PayloadCodecError,
  PayloadError,
  PayloadTooLargeError,
} from '../core/errors.js';
import { decodePayload, encodeArguments, encodePayload } from './payload.js';

const encode = (value: unknown): string | null => encodePayload(value, 'args[0]');

/** The message with which a value is refused. */
function refusalOf(value: unknown): string {
  try {
    encode(value);
  } catch (error) {
    expect(error).toBeInstanceOf(PayloadError);
    return (error as Error).message;
  }
  return 'not refused';
}

const nested = (levels: number): unknown => {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
};

describe('encodePayload', () => {
  it('gives the same text as JSON.stringify for plain data', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        expect(encode(value)).toBe(JSON.stringify(value));
      }),
    );
  });

  it('gives valid JSON on one line, or null, or refuses, whatever the value', () => {
    const anything = fc.anything({
      withBigInt: true,
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withNullPrototype: true,
      withObjectString: true,
      withSparseArray: true,
      withTypedArray: true,
    });
    let refused = 0;
    fc.assert(
      fc.property(anything, (value) => {
        let text: string | null;
        try {
          text = encode(value);
        } catch (error) {
          refused++;
          expect(error).toBeInstanceOf(PayloadError);
          return;
        }
        if (text === null) {
          expect(value).toBeUndefined();
          return;
        }
        expect(text).not.toContain('\n');
        expect(JSON.parse(`{"v":${text}}`)).toEqual({ v: JSON.parse(text) });
        expect(encode(decodePayload(text))).toBe(text);
      }),
      { numRuns: 1_000 },
    );
    expect(refused).toBeLessThan(1_000);
  });

  it('has no text for undefined, and drops undefined fields', () => {
    expect(encode(undefined)).toBeNull();
    expect(encode({ a: undefined, b: [undefined, null] })).toBe('{"b":[null,null]}');
    expect(encode({ toJSON: undefined })).toBe('{}');
    expect(
      encode({ at: new Date(0), a: undefined, list: Object.assign(new (class extends Array {})(), [undefined]) }),
    ).toBe('{"at":"1970-01-01T00:00:00.000Z","list":[null]}');
  });

  it.each([
    [10n, 'args[0] is a BigInt; convert it'],
    [{ a: { b: 10n } }, 'args[0].a.b is a BigInt; convert it'],
    [{ 'a b': [1, { c: Symbol('s') }] }, 'args[0]["a b"][1].c is a symbol; convert it'],
    [[() => 1], 'args[0][0] is a function; leave it out'],
    [{ a: new Map() }, 'args[0].a is a Map; convert it, for example with Object.fromEntries'],
    [{ a: new Set() }, 'args[0].a is a Set; convert it to an array'],
    [{ a: Promise.resolve() }, 'args[0].a is a promise; await it'],
    [/x/, 'args[0] is a RegExp; pass its source'],
    [new Uint8Array(2), 'args[0] is a Uint8Array; convert it, for example to base64 text'],
    [
      new (class Query {
        // biome-ignore lint/suspicious/noThenProperty: a query builder that was not awaited
        then = (): void => undefined;
      })(),
      'args[0] is a promise; await it',
    ],
    [Object(1n), 'args[0] is a BigInt; convert it'],
  ])('refuses %o and names its path', (value, message) => {
    expect(refusalOf(value)).toBe(message);
  });

  it('refuses a circular reference where it closes', () => {
    const order: { items: unknown[] } = { items: [] };
    order.items.push({ order });
    expect(refusalOf(order)).toBe('args[0].items[0].order is a circular reference; leave it out');
    const shared = { a: 1 };
    expect(encode([shared, shared, { shared }])).toBe('[{"a":1},{"a":1},{"shared":{"a":1}}]');
  });

  it('refuses nesting beyond 500 levels', () => {
    expect(encode(nested(500))).toBe(JSON.stringify(nested(500)));
    for (const levels of [501, 10_000])
      expect(refusalOf(nested(levels))).toBe('args[0] is nested deeper than 500 levels; flatten it');
  });

  it('refuses what is too large, with path, size and limit, before and after making the text', () => {
    expect(encodePayload('x'.repeat(98), 'result', { maxBytes: 100 })).toHaveLength(100);
    for (const value of ['x'.repeat(99), 'é'.repeat(50), '\n'.repeat(50), [new Date(0), 'x'.repeat(90)]]) {
      const attempt = (): unknown => encodePayload(value, 'result', { maxBytes: 100 });
      expect(attempt).toThrow(PayloadTooLargeError);
      expect(attempt).toThrow(expect.objectContaining({ path: 'result', limit: 100, size: expect.any(Number) }));
      expect(attempt).toThrow(/^result has (at least )?1\d\d bytes, the limit is 100; store it elsewhere/);
    }
    expect(() => encode('x'.repeat(8 * 1024 * 1024))).toThrow(PayloadTooLargeError);
  });

  it('ends soon for values that would be endless as text', () => {
    let shared: unknown = 'x';
    for (let i = 0; i < 100; i++) shared = [shared, shared];
    for (const value of [
      shared,
      new Array(2 ** 32 - 1),
      { a: new Date(0), b: shared },
      [new Date(0), new Array(2 ** 32 - 1)],
    ]) {
      expect(() => encodePayload(value, 'v', { maxBytes: 10_000 })).toThrow(PayloadTooLargeError);
    }
  });

  it('writes dates as ISO text, and what is not finite as null', () => {
    expect(encode([new Date(0), new Date(Number.NaN), Number.NaN, Number.POSITIVE_INFINITY, -0])).toBe(
      '["1970-01-01T00:00:00.000Z",null,null,null,0]',
    );
  });

  it('writes a class instance as what its toJSON gives, or as its fields', () => {
    class Money {
      constructor(
        readonly amount: number,
        readonly currency: string,
      ) {}
    }
    class Price extends Money {
      toJSON(key: string): unknown {
        return { [key]: `${this.amount} ${this.currency}`, tax: new Money(1, this.currency) };
      }
    }
    expect(encode(new Money(5, 'EUR'))).toBe('{"amount":5,"currency":"EUR"}');
    expect(encode({ price: new Price(5, 'EUR') })).toBe(
      '{"price":{"price":"5 EUR","tax":{"amount":1,"currency":"EUR"}}}',
    );
    expect(encode(new URL('https://a.example/b'))).toBe('"https://a.example/b"');
    expect(encode([Object('x'), Object(1), Object(true)])).toBe('["x",1,true]');
    expect(
      refusalOf(
        new (class {
          toJSON = (): unknown => ({ deep: 1n });
        })(),
      ),
    ).toBe('args[0].deep is a BigInt; convert it');
    expect(
      encode(
        new (class {
          toJSON = (): unknown => undefined;
        })(),
      ),
    ).toBeNull();
  });

  it('writes an error with its name, message, cause and fields', () => {
    const error = Object.assign(new DurableFatalError('m', { cause: new TypeError('inner') }), { orderId: 7 });
    expect(JSON.parse(encode({ error }) ?? '')).toEqual({
      error: {
        name: 'DurableFatalError',
        message: 'm',
        cause: { name: 'TypeError', message: 'inner' },
        code: 598,
        orderId: 7,
      },
    });
  });

  it('keeps the keys `then`, `toJSON`, `toString` and `__proto__` of plain data as data', () => {
    const text = '{"then":1,"toJSON":2,"toString":3,"constructor":4,"__proto__":{"polluted":true}}';
    expect(encode(JSON.parse(text))).toBe(text);
    expect(encode(Object.assign(JSON.parse(text), { at: new URL('https://a.example/') }))).toBe(
      text.replace(/\}$/, ',"at":"https://a.example/"}'),
    );
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(refusalOf({ toJSON: () => 1 })).toBe('args[0].toJSON is a function; leave it out');
  });

  it('keeps NUL and lone surrogates', () => {
    const value = { '\0': '\ud800', pair: '😀\u2028' };
    expect(encode(value)).toContain('\\u0000');
    expect(encode(value)).toContain('\\ud800');
    expect(decodePayload(encode(value))).toEqual(value);
  });

  it('says where reading the value threw', () => {
    const broken = {
      a: {
        get b(): never {
          throw new RangeError('the content');
        },
      },
    };
    expect(refusalOf(broken)).toBe('args[0].a.b cannot be read: it threw RangeError');
    const guarded = new Proxy(
      {},
      {
        get: () => {
          throw new RangeError('the content'); // of toJSON, which only the serialiser asks for
        },
      },
    );
    expect(refusalOf(guarded)).toBe('args[0] cannot be read: it threw RangeError');
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(refusalOf({ proxy })).toBe('args[0].proxy cannot be read: it threw TypeError');
  });

  it('is not led astray by what others add to Object.prototype', () => {
    const prototype = Object.prototype as { added?: unknown };
    prototype.added = () => 1;
    try {
      expect(encode({ a: 1 })).toBe('{"a":1}');
    } finally {
      delete prototype.added;
    }
  });

  it('shortens a path that is too long to read', () => {
    let value: unknown = 1n;
    for (let i = 0; i < 100; i++) value = { [`key${i}`]: value };
    const message = refusalOf(value);
    expect(message).toMatch(/^args\[0\]\.key99\.key98.*\.\.\..*\.key0 is a BigInt; convert it$/);
    expect(message.length).toBeLessThan(250);
  });
});

describe('encodeArguments', () => {
  it('writes a JSON array, with null for undefined', () => {
    expect(encodeArguments([], 'start')).toBe('[]');
    expect(encodeArguments(['a', undefined, { b: new Date(0) }], 'start')).toBe(
      '["a",null,{"b":"1970-01-01T00:00:00.000Z"}]',
    );
  });

  it('names the argument that is refused', () => {
    expect(() => encodeArguments(['a', { b: { c: 1n } }], 'start')).toThrow(
      new PayloadError('args[1].b.c is a BigInt; convert it'),
    );
  });

  it.each([undefined, null, 'text', {}, { length: 1 }])('refuses %o, which is no array', (args) => {
    expect(() => encodeArguments(args, 'start')).toThrow(InvalidArgumentError);
    expect(() => encodeArguments(args, 'start')).toThrow(
      /^start: args must be an array; got .*\. Put a single argument in brackets$/,
    );
  });
});

describe('decodePayload', () => {
  it('is undefined for null, and the value for text', () => {
    expect(decodePayload(null)).toBeUndefined();
    expect(decodePayload('{"a":[1,"",null]}')).toEqual({ a: [1, '', null] });
  });

  it.each(['', 'secret', '{"secret":', 'undefined', `"${'x'.repeat(2_000)}`])(
    'says that %j is unreadable without quoting it',
    (text) => {
      let thrown: unknown;
      try {
        decodePayload(text);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(PayloadCodecError);
      expect((thrown as Error).message).toContain(`payload of ${text.length} characters`);
      expect((thrown as Error).message).not.toContain('secret');
      expect((thrown as Error).cause).toBeUndefined();
    },
  );

  it('refuses nesting beyond 500 levels, but not brackets inside of text', () => {
    expect(decodePayload(JSON.stringify(nested(500)))).toEqual(nested(500));
    for (const levels of [501, 5_000]) {
      expect(() => decodePayload('['.repeat(levels) + ']'.repeat(levels))).toThrow(PayloadError);
    }
    const brackets = {
      '[\\"[': '['.repeat(1_000),
      '\\\\': '{"\\'.repeat(1_000),
      list: Array.from({ length: 1_000 }, () => []),
    };
    expect(decodePayload(JSON.stringify(brackets))).toEqual(brackets);
  });
});
