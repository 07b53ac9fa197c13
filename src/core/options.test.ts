import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { InvalidArgumentError } from './errors.js';
import {
  callback,
  duration,
  factor,
  flag,
  identifier,
  interval,
  parseOptions,
  seconds,
  text,
  wholeNumber,
} from './options.js';

const schema = v.strictObject({
  workflowId: identifier,
  expire: v.optional(seconds),
  timeout: v.optional(duration),
  signalIn: v.optional(flag),
  priority: v.optional(wholeNumber(1)),
  description: v.optional(text),
  onDone: v.optional(callback),
  period: v.optional(v.picklist(['1h', '24h'])),
  search: v.optional(v.strictObject({ data: v.record(v.string(), v.string()) })),
  queues: v.optional(v.array(v.strictObject({ name: identifier, weight: v.optional(factor) }))),
  workerCredentials: v.optional(v.strictObject({ user: text, password: text })),
  gap: v.optional(v.nullable(interval)),
  either: v.optional(v.union([identifier, v.strictObject({ role: identifier })])),
});

const parse = (value: unknown): v.InferOutput<typeof schema> => parseOptions('start', schema, value);

describe('parseOptions', () => {
  it('gives the checked options, durations in milliseconds, and drops nothing', () => {
    const onDone = (): void => undefined;
    const options = {
      workflowId: 'a',
      expire: 0,
      timeout: '2 minutes',
      signalIn: false,
      priority: 1,
      description: '',
      onDone,
      period: '1h',
      search: { data: { a: 'b' } },
      queues: [{ name: 'q', weight: 1 }],
      gap: null,
    };
    const parsed = parse(options);
    expect(parsed).toEqual({ ...options, timeout: 120_000 });
    expectTypeOf(parsed.timeout).toEqualTypeOf<number | undefined>();
    expect(parse({ workflowId: 'a', timeout: undefined })).toEqual({ workflowId: 'a' });
  });

  it.each<[unknown, string]>([
    [undefined, 'options must be an object; got undefined'],
    ['a', 'options must be an object; got "a"'],
    [[], 'options must be an object; got an array'],
    [
      {},
      'workflowId must be text of 1 to 512 bytes in Unicode normal form C without control characters and lone surrogates; got undefined',
    ],
    [
      { workflowId: 7 },
      'workflowId must be text of 1 to 512 bytes in Unicode normal form C without control characters and lone surrogates; got 7',
    ],
    [{ expire: -1 }, 'expire must be a number of seconds from 0 to 100 years; got -1'],
    [{ expire: Number.NaN }, 'expire must be a number of seconds from 0 to 100 years; got NaN'],
    [{ expire: 3_155_760_001 }, 'expire must be a number of seconds from 0 to 100 years; got 3155760001'],
    [{ expire: '1h' }, 'expire must be a number of seconds from 0 to 100 years; got "1h"'],
    [
      { timeout: 'soon' },
      'timeout must be a duration of at most 100 years; got "soon". Use a number of milliseconds or',
    ],
    [{ gap: -1 }, 'gap must be a duration from 0 to 100 years; got -1. Use a number of milliseconds or'],
    [{ signalIn: 'yes' }, 'signalIn must be true or false; got "yes"'],
    [{ priority: 0 }, 'priority must be a whole number from 1; got 0'],
    [{ description: 1n }, 'description must be text; got a BigInt'],
    [{ onDone: {} }, 'onDone must be a function; got an object'],
    [{ period: '2h' }, 'period must be "1h" or "24h"; got "2h"'],
    [{ search: [] }, 'search.data must be an object; got undefined'],
    [{ search: { data: { 'a b': 1 } } }, 'search.data["a b"] must be text; got 1'],
    [{ queues: 'q' }, 'queues must be an array; got "q"'],
    [{ queues: [{ name: 'q' }, { name: '' }] }, 'queues[1].name must be text of 1 to 512 bytes'],
    [{ queues: [{ name: 'q', weight: 0 }] }, 'queues[0].weight must be a number from 1; got 0'],
  ])('refuses %o and says what must be', (options, message) => {
    const whole = typeof options === 'object' && !Array.isArray(options) && Object.keys(options ?? {}).length > 0;
    const value = whole ? { workflowId: 'a', ...options } : options;
    expect(() => parse(value)).toThrow(InvalidArgumentError);
    expect(() => parse(value)).toThrow(`start: ${message}`);
  });

  it.each<[object, string]>([
    [{ workflowID: 'a' }, 'unknown option "workflowID"; did you mean "workflowId"?'],
    [{ workflowId: 'a', search: { date: {} } }, 'unknown option "search.date"; did you mean "search.data"?'],
    [{ workflowId: 'a', queues: [{ nme: 'q' }] }, 'unknown option "queues[0].nme"; did you mean "queues[0].name"?'],
    [
      { workflowId: 'a', workerCredentials: { roleName: 'a' } },
      'unknown option "workerCredentials.roleName"; known are user, password',
    ],
    [
      JSON.parse('{"workflowId":"a","queues":[{"name":"q","constructr":1}]}'),
      'unknown option "queues[0].constructr"; known are name, weight',
    ],
  ])('refuses the unknown key of %o with the nearest known one', (options, message) => {
    expect(() => parse(options)).toThrow(InvalidArgumentError);
    expect(() => parse(options)).toThrow(`start: ${message}`);
  });

  it('names the object that the options stand in', () => {
    const retry = v.strictObject({ times: wholeNumber(0, 9, 'It counts retries') });
    expect(() => parseOptions('proxyActivities', retry, { times: 10 }, 'retry')).toThrow(
      'proxyActivities: retry.times must be a whole number from 0 to 9; got 10. It counts retries',
    );
    expect(() => parseOptions('proxyActivities', retry, [], 'retry')).toThrow(
      'proxyActivities: retry must be an object; got an array',
    );
    expect(() => parseOptions('proxyActivities', retry, 7, 'retry')).toThrow(
      'proxyActivities: retry must be an object; got 7',
    );
  });

  it('says so when a getter throws', () => {
    const cause = new Error('mine');
    const given = {
      get expire(): never {
        throw cause;
      },
    };
    expect(() => parseOptions('signal', v.strictObject({ expire: v.optional(duration) }), given)).toThrow(
      expect.objectContaining({
        name: 'InvalidArgumentError',
        cause,
        message: expect.stringContaining('cannot be read'),
      }),
    );
  });

  it('never shows a password', () => {
    expect(() => parse({ workflowId: 'a', workerCredentials: { user: 'a', password: 12345 } })).toThrow(
      'start: workerCredentials.password must be text; got a number',
    );
  });
});
