import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failureFromError } from '../core/failure.js';
import {
  type Command,
  type CommandKind,
  type Decision,
  type Event,
  opensOperation,
  type RetrySpec,
  type Step,
} from '../core/history.js';
import {
  type ActivityDefaults,
  activityText,
  decodeActivityInput,
  decodeOutcome,
  decodeSteps,
  encodeSteps,
} from './entry-text.js';

const retry: RetrySpec = {
  maximumAttempts: 50,
  backoffCoefficient: 5,
  initialIntervalMs: 1_000,
  maximumIntervalMs: 120_000,
};
const defaults: ActivityDefaults = { taskQueue: 'orders', retry };

// ---- anything a history may hold

const op = fc.nat({ max: 100_000 });
const text = fc.jsonValue({ noUnicodeString: false }).map((value) => JSON.stringify(value));
const optionalText = fc.option(text);
const name = fc.string({ unit: 'binary', maxLength: 20 }).filter((value) => value.isWellFormed());
const failure = fc
  .tuple(fc.string({ unit: 'grapheme' }), fc.option(fc.string()))
  .map(([message, cause]) =>
    failureFromError(new RangeError(message, cause === null ? {} : { cause: new Error(cause) })),
  );

const events: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constant('start' as const) }),
  fc.record({ kind: fc.constantFrom('done' as const, 'signal' as const), op, text: optionalText }).map((event) => ({
    ...event,
    value: event.text === null ? undefined : (JSON.parse(event.text) as unknown),
  })),
  fc.record({ kind: fc.constant('fail' as const), op, failure }),
  fc.record({ kind: fc.constantFrom('fire' as const, 'retry' as const), op }),
  fc.record({ kind: fc.constant('decided' as const), op, decision: fc.constant({ what: 'usual' as const }) }),
  fc.record({ kind: fc.constant('cancel' as const), ops: fc.array(op, { maxLength: 5 }) }),
  fc.record({ kind: fc.constant('cancelled' as const), op, ops: fc.array(op, { maxLength: 5 }) }),
  fc.record({ kind: fc.constant('late' as const), delayMs: fc.nat() }),
);

const retries: fc.Arbitrary<RetrySpec> = fc.oneof(
  fc.constant(retry),
  fc.record(
    {
      maximumAttempts: fc.nat(),
      backoffCoefficient: fc.double({ min: 1, max: 10, noNaN: true }),
      initialIntervalMs: fc.nat(),
      maximumIntervalMs: fc.nat(),
      nonRetryableErrorTypes: fc.array(fc.string(), { maxLength: 3 }),
    },
    { requiredKeys: ['maximumAttempts', 'backoffCoefficient', 'initialIntervalMs', 'maximumIntervalMs'] },
  ),
);

const specs: { [K in CommandKind]: fc.Arbitrary<unknown> } = {
  activity: fc.record({
    taskQueue: fc.oneof(fc.constant('orders'), name),
    args: fc.array(fc.jsonValue()).map((args) => JSON.stringify(args)),
    headers: fc.option(fc.dictionary(fc.string(), fc.jsonValue()).map((headers) => JSON.stringify(headers))),
    retry: retries,
    startToCloseMs: fc.option(fc.nat()),
  }),
  timer: fc.record({ ms: fc.double({ min: 0, max: 1e12, noNaN: true }) }),
  wait: fc.record({ signalId: name, timeoutMs: fc.option(fc.nat()) }),
  child: fc.record({
    workflowId: name,
    taskQueue: name,
    args: fc.array(fc.jsonValue()).map((args) => JSON.stringify(args)),
    awaited: fc.boolean(),
    options: fc.record({
      expire: fc.option(fc.nat()),
      entity: fc.option(name),
      signalIn: fc.boolean(),
      config: fc.option(fc.json()),
      search: fc.option(fc.dictionary(fc.string(), fc.string())),
      parentWorkflowId: name,
      originId: name,
    }),
  }),
  hook: fc.record({
    workflowId: fc.option(name),
    taskQueue: name,
    args: fc.array(fc.jsonValue()).map((args) => JSON.stringify(args)),
    signalId: fc.option(name),
    config: fc.option(fc.json()),
    search: fc.option(fc.dictionary(fc.string(), fc.string())),
  }),
  signal: fc.record({ signalId: name, payload: text, expireMs: fc.nat() }),
  search: fc.record({ n: fc.nat(), args: text }),
  entity: fc.record({ n: fc.nat(), args: text }),
  retry: fc.record({ attempt: fc.nat(), delayMs: fc.nat(), failure }),
  cancel: fc.record({ ops: fc.array(op, { maxLength: 5 }) }),
  terminate: fc.record({
    workflowId: name,
    failure: fc.constant(null),
    expireS: fc.constant(null),
    descend: fc.boolean(),
  }),
  // What these carry stands in the row's own columns.
  emit: fc.array(name).map((topics) => ({ events: topics.map((topic) => ({ topic, payload: null })) })),
  trace: fc.record({
    attributes: fc
      .dictionary(fc.string(), fc.oneof(fc.string(), fc.boolean(), fc.integer()))
      .map((attributes) => JSON.stringify(attributes)),
  }),
  patch: fc.constant(0),
  marker: fc.constant(0),
  complete: fc.constant(0),
  continue: fc.constant(0),
  fail: fc.boolean().map((cancelled) => ({ cancelled })),
};

const commands = fc.constantFrom(...(Object.keys(specs) as CommandKind[])).chain((kind) =>
  fc.record({
    kind: fc.constant(kind),
    name: ['activity', 'child', 'hook', 'patch'].includes(kind) ? name : fc.constant(''),
    fingerprint: fc.integer(),
    counter: fc.nat(),
    spec: specs[kind],
  }),
) as unknown as fc.Arbitrary<Command>;

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({ event: events, now: fc.nat(), commands: fc.array(commands, { maxLength: 4 }) }),
  { maxLength: 5 },
);

/** The values that stored text cannot tell apart: a missing one and null, 0 and -0. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null, (_, field) => field ?? null));
/** Events come back with their value, without the text it was written as. */
const withoutText = (event: Event): unknown => plain({ ...event, text: null });

describe('an entry', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(steps, fc.nat({ max: 1_000 }), (written, opened) => {
        const stored = encodeSteps(written, defaults);
        const read = decodeSteps(7, stored, opened, new Map(), defaults);
        expect(read.steps.map(({ event }) => withoutText(event))).toEqual(
          written.map(({ event }) => withoutText(event)),
        );
        expect(read.steps.map(({ now, entry }) => [now, entry])).toEqual(written.map(({ now }) => [now, 7]));
        expect(read.steps.map((step) => step.commands.map(({ command }) => plain(command)))).toEqual(
          written.map((step) => step.commands.map((command) => plain(command))),
        );
      }),
      { numRuns: 300 },
    );
  });

  it('numbers the operations it opens densely, behind those opened before', () => {
    fc.assert(
      fc.property(steps, fc.nat({ max: 1_000 }), (written, opened) => {
        const read = decodeSteps(0, encodeSteps(written, defaults), opened, new Map(), defaults);
        const flat = read.steps.flatMap((step) => step.commands);
        const ops = flat.filter(({ command }) => opensOperation(command.kind)).map((command) => command.op);
        expect(ops).toEqual(ops.map((_, index) => opened + index));
        expect(
          flat.filter(({ command }) => !opensOperation(command.kind)).every((command) => command.op === null),
        ).toBe(true);
        expect(read.opened).toBe(opened + ops.length);
      }),
      { numRuns: 200 },
    );
  });

  it('is one JSON value, with payloads in it as they are', () => {
    const step: Step = { event: { kind: 'done', op: 1, value: { a: [1] }, text: '{"a":[1]}' }, now: 5, commands: [] };
    expect(encodeSteps([step], defaults)).toBe('[[5,["done",1,{"a":[1]}]]]');
  });

  it('holds of an activity only what differs from the defaults', () => {
    const activity = (spec: object): Command =>
      ({
        kind: 'activity',
        name: 'charge',
        fingerprint: 1,
        counter: 2,
        spec: { taskQueue: 'orders', args: '[]', headers: null, retry, startToCloseMs: null, ...spec },
      }) as Command;
    const stored = (spec: object) =>
      encodeSteps([{ event: { kind: 'start' }, now: 0, commands: [activity(spec)] }], defaults);
    expect(stored({})).toContain('["activity","charge",1,2,[]]');
    expect(stored({ taskQueue: 'other' })).toContain('["activity","charge",1,2,[],{"taskQueue":"other"}]');
    expect(stored({ retry: { ...retry, maximumAttempts: 3 } })).toContain(',[],{"retry":{"maximumAttempts":3}}]');
    expect(stored({ startToCloseMs: 9, headers: '{"a":1}' })).toContain(',[],{"headers":{"a":1},"startToCloseMs":9}]');
  });

  it('of a thread that was ended from outside has no steps', () => {
    expect(decodeSteps(3, '{}', 9, new Map(), defaults)).toEqual({ steps: [], opened: 9 });
  });

  it('reads what the database decided from the entry before it', () => {
    const step: Step = { event: { kind: 'decided', op: 4, decision: { what: 'usual' } }, now: 0, commands: [] };
    const stored = encodeSteps([step], defaults);
    const decided = (outcome: string | null) =>
      decodeSteps(1, stored, 5, decodeOutcome(outcome), defaults).steps[0]?.event as { decision: Decision };
    expect(decided(null).decision).toEqual({ what: 'usual' });
    expect(decided('[[4,"buffered"]]').decision).toEqual({ what: 'buffered' });
    expect(decided('[[3,"buffered"],[4,"duplicate","w-9"]]').decision).toEqual({ what: 'duplicate', id: 'w-9' });
    expect(decided('[[4,"hooked","12"]]').decision).toEqual({ what: 'hooked', id: '12' });
    expect(decided('[[4,"unhooked","closed"]]').decision).toEqual({ what: 'unhooked', reason: 'closed' });
    expect(decided('[[4,"signal",{"a":1}]]').decision).toEqual({ what: 'signal', value: { a: 1 } });
    expect(decided('[[4,"signal"]]').decision).toEqual({ what: 'signal', value: undefined });
  });

  it('cannot be read when it is not ours', () => {
    expect(() => decodeSteps(0, 'v1:encrypted', 0, new Map(), defaults)).toThrow(SyntaxError);
  });
});

describe('the input of an activity', () => {
  it('comes back complete from its task row', () => {
    fc.assert(
      fc.property(specs.activity, (spec) => {
        const activity = spec as Parameters<typeof activityText>[0];
        const read = decodeActivityInput(activityText(activity));
        expect(plain(read)).toEqual(
          plain({
            ...activity,
            args: JSON.parse(activity.args),
            headers: activity.headers === null ? null : JSON.parse(activity.headers),
          }),
        );
      }),
      { numRuns: 200 },
    );
  });
});
