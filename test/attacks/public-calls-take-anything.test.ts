/**
 * Every public function with generated arguments: a result, or an error of the engine that names what is wrong. Never a TypeError out of
 * the middle, an error of the driver, a call that does not settle, an execution that is stuck, or an internal error in the log of
 * the server. What there is to call is found by walking the exports. `PERDURE_FUZZ_CASES` and `PERDURE_FUZZ_SEED` set how many and
 * which: see scripts/fuzz.mjs.
 */

import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as perdure from '../../src/index.js';
import { Durable, Errors, type WorkflowHandle } from '../../src/index.js';
import * as testing from '../../src/testing/index.js';
import { hostileValue } from '../support/hostile-values.js';
import { type Call, publicFunctions } from '../support/public-functions.js';
import { loggedErrors } from '../support/server-log.js';
import { engineForAll } from '../support/worker.js';

const CASES = Math.ceil(Number(process.env.PERDURE_FUZZ_CASES ?? 1_500) / 2);
const SEED = Number(process.env.PERDURE_FUZZ_SEED ?? 20_251_121);
/** A crash test runs a workflow many times. */
const LONGEST_MS = 60_000;

/** Of the options that some call knows. */
const NAMES =
  `taskQueue workflowName workflowId args entity search data expire signalIn pending config retry options maximumAttempts
  initialInterval backoffCoefficient maximumInterval signalId timeout limit offset cursor status started from to where label prefix reason
  code throw suppress descend event dryRun olderThan headers activities workflow workflows startToCloseTimeout once topic pattern name
  key streamNames callNames password newPassword roleName signals logger logLevel events interceptors codec transaction connection
  encode decode execute filter kill histories times fail $eq $in a __proto__`.split(/\s+/);

/**
 * Not called: what ends the things that the others need, and takes no argument; what the types hide (`@internal`, private constructors);
 * what takes things that only the library makes and has checked; and errors, which take what JavaScript's own do.
 */
const LEFT_OUT = [
  /^(Durable|Client|Durable\.Worker)\.shutdown$|^(Client|testing\.TestEnvironment)#close$|^Durable\.Worker#(run|stop|shutdown)$/,
  /^WorkflowHandle#exporter\.(job|history|execution)$|^subscription\.(take|goBackTo|ended)/,
  /^new (Engine|WorkflowHandle|Durable\.(Worker|Search|Entity)|testing\.TestEnvironment)$/,
  /^migrate$|^Engine#(findEntities|createEntityIndex)$/,
  /^Errors\.(ApplicationFailure|errorTable)\./,
];
/** Of those with a further one for tests. */
const ARGUMENTS: Readonly<Record<string, number>> = { migrationScript: 1 };

const { workflow: durable } = Durable;
const value = hostileValue(NAMES);
const tally = new Map<string, number>();

// ---- in workflows

/** Generated values that no history could carry to a workflow, which fetches them by the batch's number. */
const batches: { readonly call: string; readonly args: readonly never[] }[][] = [];

const once = { retry: { maximumAttempts: 1, initialInterval: 1 } };
const activities = durable.proxyActivities<{ echo: Call; beat: Call }>(once);

/** What a workflow may call, by name; with what only calls give it. */
const inside = new Map<string, Call>([
  ...publicFunctions({ 'Durable.workflow': durable }, new Map([[durable.CancellationScope, () => ({})]])),
  ...methodCalls(durable.CancellationScope, async () => new durable.CancellationScope()),
  ...methodCalls(Durable.Search, () => durable.search()),
  ...methodCalls(Durable.Entity, () => durable.entity()),
  ['Durable.guid', Durable.guid as Call],
  ['an activity', (...args: never[]) => activities.echo(...args)],
  ['activity.heartbeat', (...args: never[]) => activities.beat(...([beats.push(args) - 1] as never[]))],
  [
    'any activity',
    (name: unknown, ...args: never[]) =>
      durable.proxyActivities<Record<string, Call>>(once)[typeof name === 'string' ? name : 'x']?.(...args),
  ],
]);
const beats: (readonly never[])[] = [];

/** The methods of what only a workflow can make. */
function methodCalls(
  made: { readonly name: string; readonly prototype: object },
  make: () => Promise<object>,
): [string, Call][] {
  const members = Object.entries(Object.getOwnPropertyDescriptors(made.prototype));
  const names = members
    .filter(([name, { value }]) => typeof value === 'function' && name !== 'constructor')
    .map(([name]) => name);
  return names.map((name) => [
    `${made.name}#${name}`,
    async (...args) => ((await make()) as Record<string, Call>)[name]?.(...args),
  ]);
}

/** Makes the calls of a batch; one that waits is left to wait. Another run (continueAsNew is among the calls) has none. */
async function calls(batch: number): Promise<void> {
  for (const { call, args } of batches[batch]?.splice(0) ?? []) {
    const outcome = outcomeOf(call, () => inside.get(call)?.(...args));
    count(call, args, await Promise.race([outcome, durable.sleep(30).then(() => 'waits')]));
  }
}

const engine = engineForAll({
  workflow: { calls, waits: async () => await durable.condition('never') },
  activities: {
    echo: async (...args: unknown[]) => args,
    beat: async (n: number) => Durable.activity.heartbeat(beats[n]?.[0]),
  },
});

// ---- outcomes

/** `ok`, or the name of an error of ours; anything else is said in full. */
async function outcomeOf(name: string, call: () => unknown): Promise<string> {
  try {
    await dispose(name, await call());
    return 'ok';
  } catch (error) {
    // It is Promise.all: what the caller's own promises do is the caller's.
    if (name === 'Durable.workflow.all') return 'the caller’s own';
    // `client.workflow.search` takes SQL of the caller's own.
    if (name.endsWith('workflow.search') && (error as Error).name === 'SqlError') return 'SqlError';
    return error instanceof Errors.PerdureError
      ? error.name
      : `not ours: ${error instanceof Error ? error.stack : typeof error}`;
  } finally {
    if (/[iI]nterceptor/.test(name)) clearAll();
    if (name === 'Durable.registerCodec') Durable.registerCodec(null);
  }
}

/** Fails for what takes too long. */
async function settled(outcome: Promise<string>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('not ours: it did not settle'), LONGEST_MS);
  });
  try {
    return await Promise.race([late, outcome]);
  } finally {
    clearTimeout(timer);
  }
}

function clearAll(): void {
  Durable.clearInterceptors();
  Durable.clearOutboundInterceptors();
  Durable.clearActivityInboundInterceptors();
}

const roles: string[] = [];

/** Ends what a call has opened. */
async function dispose(name: string, result: unknown): Promise<void> {
  if (result instanceof Durable.Client) await result.close();
  if (result instanceof Durable.Worker) await result.stop();
  if (result instanceof testing.TestEnvironment) await result.close();
  const { unsubscribe, roleName } = Object(result) as { unsubscribe?: () => void; roleName?: string };
  if (typeof unsubscribe === 'function') unsubscribe();
  if (name === 'provisionWorkerRole') roles.push(String(roleName));
}

/** What went wrong, once for each call and kind. Not made smaller: an engine that is in use does not do the same twice. */
const faults = new Map<string, string>();

function count(call: string, args: readonly unknown[], outcome: string): void {
  tally.set(outcome.startsWith('not ours') ? 'not ours' : outcome, (tally.get(outcome) ?? 0) + 1);
  if (!outcome.startsWith('not ours')) return;
  const [what, ...stack] = outcome.split('\n');
  faults.set(
    `${call} ${what} ${stack[0]}`,
    `${inspect(args, { depth: 3, maxStringLength: 60, compact: 9 }).slice(0, 600)}\n${stack.slice(0, 6).join('\n')}`,
  );
}

// ---- outside of workflows

let environment: testing.TestEnvironment;

beforeAll(async () => {
  environment = await testing.TestEnvironment.create({ workflow: { calls } });
});

afterAll(async () => {
  await environment.close();
  for (const role of new Set(roles)) await engine().sql(`drop owned by ${role}; drop role ${role}`);
  console.log(JSON.stringify(Object.fromEntries([...tally].sort((a, b) => b[1] - a[1]))));
});

it(`of clients: ${CASES} calls are answered, or refused by name`, async () => {
  const { client, connection } = engine();
  const hotMesh = await client.getHotMeshClient(null);
  const finished = await engine().start('calls', [-1]);
  await finished.result();
  let open: WorkflowHandle = await engine().start('waits');
  const subscription = await client.workflow.subscribe({ topic: 'x' }, () => {});
  let calling = '';
  let turn = 0;
  const handle = () => (++turn % 2 === 0 || calling === 'WorkflowHandle#result' ? finished : open);
  const none = () => ({});
  const outside = publicFunctions(
    { ...perdure, testing, interceptors: Durable.getInterceptorService(), subscription },
    new Map<unknown, () => object>([
      [Durable.Client, () => client],
      [Durable.Worker, () => engine().workers[0] as object],
      [Durable.Handle, handle],
      [perdure.Engine, () => hotMesh],
      [testing.TestEnvironment, () => environment],
      // made inside of workflows: tried there
      [durable.CancellationScope, none],
      [Durable.Search, none],
      [Durable.Entity, none],
    ]),
  );
  for (const left of LEFT_OUT) {
    const names = [...outside.keys()].filter((name) => left.test(name));
    expect(names, `${left}`).not.toEqual([]);
    for (const name of names) outside.delete(name);
  }
  const usual = fc.constantFrom<Record<string, unknown>>(
    { taskQueue: 'none', workflowName: 'nobody', args: [] },
    { taskQueue: 'test', workflowName: 'waits', args: [], workflowId: 'one' },
    { connection, taskQueue: 'other', workflow: { calls } },
    { connection, streamNames: ['other'] },
    { connection },
    { workflow: { calls } },
  );
  const args = fc.oneof(
    fc.array(value, { maxLength: 4 }),
    // what lets a call further in
    fc
      .tuple(usual, fc.dictionary(fc.constantFrom(...NAMES), value, { maxKeys: 2 }), fc.array(value, { maxLength: 2 }))
      .map(([given, more, rest]) => [{ ...given, ...more }, ...rest]),
    fc.tuple(fc.constantFrom('a', 'b', 'one'), value, fc.constant(undefined), value),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...outside.keys()), args, async (name, given) => {
      calling = name;
      const list = withoutNamespace(name, given) as never[];
      count(name, list, await settled(outcomeOf(name, () => outside.get(name)?.(...list))));
      if ((await open.status()) !== 1) open = await engine().start('waits');
    }),
    { numRuns: CASES, seed: SEED, interruptAfterTimeLimit: 350_000 },
  );
  await expectAllWell();
}, 400_000);

/** Where a call takes the name of a namespace: a valid one would be made, with its schema. */
const NAMESPACE_AT: Readonly<Record<string, number>> = {
  'Client#workflow.signal': 2,
  'Client#workflow.getHandle': 3,
  'Client#getHotMeshClient': 1,
  'Client#deployAndActivate': 0,
};

function withoutNamespace(name: string, args: readonly unknown[]): unknown[] {
  return args
    .slice(0, ARGUMENTS[name])
    .map((arg, n) => (n === NAMESPACE_AT[name] && typeof arg === 'string' && /^[\w-]+$/.test(arg) ? undefined : arg));
}

it(`in workflows: ${CASES} calls are answered, or refused by name`, async () => {
  const batch = fc.array(
    fc.record({ call: fc.constantFrom(...inside.keys()), args: fc.array(value, { maxLength: 3 }) }),
    { minLength: 10, maxLength: 20 },
  );
  await fc.assert(
    fc.asyncProperty(batch, async (list) => {
      const number = batches.push(list as unknown as (typeof batches)[number]) - 1;
      const handle = await engine().start('calls', [number], { config: { maximumAttempts: 0 } });
      await engine()
        .result(handle)
        .catch(() => {});
    }),
    { numRuns: Math.ceil(CASES / 15), seed: SEED, interruptAfterTimeLimit: 350_000 },
  );
  await expectAllWell();
}, 400_000);

/** The engine goes on; the server had nothing to say about what it runs. */
async function expectAllWell(): Promise<void> {
  expect(Object.fromEntries(faults)).toEqual({});
  await engine().run('calls', [-1]);
  await engine().expectNoViolations();
  // 42601: SQL of the caller's own, handed to `client.workflow.search`.
  const untold = /^(XX|58|57P|42703|42883|42P0[12]|0A000)/;
  expect([...loggedErrors(engine().database)].filter(([state]) => untold.test(state))).toEqual([]);
}
