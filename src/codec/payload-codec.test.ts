import { afterEach, describe, expect, it } from 'vitest';
import { PayloadCodecError } from '../core/errors.js';
import { fingerprint } from '../core/fingerprint.js';
import type { Command, Event } from '../core/history.js';
import { activityText, decodeActivityInput, decodeOutcome, decodeSteps, encodeSteps } from './entry-text.js';
import { decodeFailure, encodeFailure } from './failure-text.js';
import { decodePayload, encodePayload } from './payload.js';
import { type PayloadCodec, registerCodec, registeredSeal, Seal } from './payload-codec.js';
import { sealCommand, sealEvent, sealSpec } from './sealed-steps.js';

/** Reverses the text: nothing can be read by chance, and everything is told apart. */
const reversing: PayloadCodec = {
  encode: (json) => `r${[...json].reverse().join('')}`,
  decode: (text) => {
    if (!text.startsWith('r')) throw new Error(`cannot read ${text}`);
    return [...text.slice(1)].reverse().join('');
  },
};
const seal = new Seal(reversing);
const defaults = {
  taskQueue: 'q',
  retry: { maximumAttempts: 1, backoffCoefficient: 1, initialIntervalMs: 1, maximumIntervalMs: 1 },
};
const failure = { name: 'E', message: 'marzipan', stack: 's', cause: { name: 'C', message: 'marzipan', stack: '' } };

const roundTrip = (value: unknown) => decodePayload(seal.seal(encodePayload(value, 'v')), seal);

afterEach(() => registerCodec(null));

describe('a sealed payload', () => {
  it.each([
    [1],
    ['marzipan'],
    [null],
    [[]],
    [{ a: { b: ['"\\\u0000\ud800'] } }],
    [{ 'perdure:sealed': 'x' }],
    [{ 'perdure:plain': { 'perdure:plain': 1 } }],
  ])('%j comes back', (value) => {
    expect(roundTrip(value)).toEqual(value);
    expect(decodePayload(encodePayload(value, 'v'))).toEqual(value);
  });

  it('is valid JSON that shows nothing', () => {
    const text = seal.seal(encodePayload({ word: 'marzipan' }, 'v'));
    expect(JSON.parse(text as string)).toEqual({ 'perdure:sealed': 'r}"napizram":"drow"{' });
  });

  it('is not sealed again', () => {
    const once = seal.seal('"x"');
    expect(seal.seal(once)).toBe(once);
  });

  it('nothing stays nothing', () => {
    expect(seal.seal(encodePayload(undefined, 'v'))).toBeNull();
    expect(decodePayload(null, seal)).toBeUndefined();
  });

  it('is left as it is without a codec', () => {
    expect(registeredSeal.active).toBe(false);
    expect(registeredSeal.seal('"x"')).toBe('"x"');
  });

  it('by the codec of the process, unless the connection has one or wants none', () => {
    registerCodec({ encode: () => 'registered', decode: () => '1' });
    expect(registeredSeal.seal('"x"')).toBe('{"perdure:sealed":"registered"}');
    expect(seal.seal('"x"')).toBe('{"perdure:sealed":"r\\"x\\""}');
    expect(new Seal(null).seal('"x"')).toBe('"x"');
  });
});

describe('what cannot be read is a PayloadCodecError without content', () => {
  const sealed = seal.seal('"marzipan"');
  it.each<[string, Seal, string, string]>([
    ['no codec', new Seal(null), sealed, 'was written with a codec, but none is registered here'],
    [
      'another codec',
      new Seal({
        ...reversing,
        decode: () => {
          throw new RangeError('cannot read marzipan');
        },
      }),
      sealed,
      'the codec could not decode a stored payload of 11 characters: RangeError at ',
    ],
    ['a codec that makes something else', new Seal({ ...reversing, decode: () => 'marzipan' }), sealed, 'are no JSON'],
    [
      'a codec that throws a text',
      new Seal({ ...reversing, decode: () => Promise.reject('marzipan') as never }),
      sealed,
      'a promise',
    ],
    ['damaged', seal, '{"perdure:sealed":1}', 'has no text'],
  ])('%s', (_what, by, text, message) => {
    for (const read of [() => decodePayload(text, by), () => decodeFailure(text, by)]) {
      expect(read).toThrow(PayloadCodecError);
      expect(read).toThrow(message);
      expect(read).not.toThrow('marzipan');
    }
  });
});

it('a failure passes the codec with its causes', () => {
  const text = encodeFailure(failure, seal);
  expect(text).not.toContain('marzipan');
  expect(decodeFailure(text, seal)).toEqual(failure);
});

describe('steps', () => {
  const activity = {
    kind: 'activity',
    name: 'charge',
    fingerprint: fingerprint('["marzipan"]'),
    counter: 1,
    spec: { ...defaults, args: '["marzipan"]', headers: '{"h":"marzipan"}', startToCloseMs: null },
  } satisfies Command;
  const signal = {
    kind: 'signal',
    name: '',
    fingerprint: 7,
    counter: 2,
    spec: { signalId: 'id', payload: '{"perdure:plain":{"perdure:sealed":"marzipan"}}', expireMs: 1 },
  } satisfies Command;
  const retry = {
    kind: 'retry',
    name: '',
    fingerprint: 0,
    counter: 0,
    spec: { attempt: 1, delayMs: 1, failure },
  } satisfies Command;
  const events: Event[] = [
    {
      kind: 'done',
      op: 1,
      value: { 'perdure:sealed': 'marzipan' },
      text: '{"perdure:plain":{"perdure:sealed":"marzipan"}}',
    },
    { kind: 'fail', op: 2, failure },
    { kind: 'cancel', ops: [1, 2] },
  ];

  it.each([
    ['sealed', seal],
    ['plain', new Seal(null)],
  ])('are read as they were (%s)', (_how, by) => {
    const commands = [activity, signal, retry].map((command) => sealCommand(command, by));
    const steps = events.map((event, index) => ({
      event: sealEvent(event, by),
      now: 5,
      commands: index === 0 ? commands : [],
    }));
    const body = encodeSteps(steps, defaults);
    expect(body.includes('marzipan')).toBe(!by.active);
    const read = decodeSteps(0, body, 0, new Map(), defaults, by);
    expect(read.steps.map(({ event }) => event)).toEqual(
      events.map((event) => ('text' in event ? { ...event, text: null } : event)),
    );
    expect(read.steps[0]?.commands.map(({ command }) => command)).toEqual([activity, signal, retry]);
  });

  it('hold no fingerprint of what is sealed, which would confirm a guess', () => {
    expect(sealCommand(activity, seal).fingerprint).toBe(0);
    expect(sealCommand(signal, seal).fingerprint).toBe(7); // of its id, which is plain
    const attributes = '{"word":"marzipan"}';
    const trace = {
      kind: 'trace',
      name: '',
      fingerprint: fingerprint(attributes),
      counter: 1,
      spec: { attributes },
    } as const;
    const stored = sealCommand(trace, seal);
    expect(stored.fingerprint).toBe(0);
    const body = encodeSteps([{ event: { kind: 'start' }, now: 1, commands: [stored] }], defaults);
    expect(body).not.toContain('marzipan');
    const read = decodeSteps(0, body, 0, new Map(), defaults, seal);
    expect(read.steps[0]?.commands[0]?.command).toEqual(trace);
  });

  it('and the input of a task, and a decided signal', () => {
    const input = activityText(sealSpec('activity', activity.spec, seal));
    expect(input).not.toContain('marzipan');
    expect(decodeActivityInput(input, seal)).toMatchObject({ args: ['marzipan'], headers: { h: 'marzipan' } });
    expect(() => decodeActivityInput(input, new Seal(null))).toThrow(PayloadCodecError);
    const outcome = decodeOutcome(`[[3,"signal",${seal.seal('"marzipan"')}],[4,"signal"]]`, seal);
    expect([...outcome]).toEqual([
      [3, { what: 'signal', value: 'marzipan' }],
      [4, { what: 'signal', value: undefined }],
    ]);
  });
});
