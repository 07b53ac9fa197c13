/** Starts on terms, timeouts and reservations against whatever else happens to the id. */

import type { StoredTerms } from '../../src/core/start-terms.js';
import type { StartItem } from '../../src/postgres/protocol/executions.js';
import type { Race } from './pause-race.js';
import {
  cancel,
  childOn,
  claim,
  claimOnly,
  commitOne,
  complete,
  endDue,
  endGeneration,
  entry,
  nextNumber,
  park,
  register,
  running,
  signalAll,
  signalItem,
  start,
  startAll,
  startItem,
  step,
  type Thread,
  terminate,
  terms,
  wait,
} from './protocol.js';
import { SCHEMA, type Session } from './protocol-session.js';

/** Infers the cast, and forgets it. */
function race<Cast>(given: Race<Cast>): Race {
  return given as Race;
}

const two = async (session: Session) => ({ w1: await register(session, 'w1'), w2: await register(session, 'w2') });

const statuses = async (session: Session, items: readonly StartItem[]) =>
  (await startAll(session, items)).map(({ status }) => status);

const on = (given: StoredTerms, args = '[]') => startItem('a', { terms: terms(given), args });

/** Housekeeping passes over what is held: the next look finds it. Who owned a thread when its mail came is of no interest. */
async function settle(control: Session): Promise<void> {
  await endDue(control);
  while (await endGeneration(control));
  await control.sql(`update ${SCHEMA}.inbox set worker_no = null`);
}

const POLICIES: Record<string, StoredTerms> = {
  use: { conflict: 'USE_EXISTING' },
  replace: { conflict: 'TERMINATE_EXISTING' },
  again: { reuse: 'ALLOW_DUPLICATE' },
  signal: { conflict: 'USE_EXISTING', reuse: 'ALLOW_DUPLICATE', signalId: 'go', payload: '1', expireMs: 60_000 },
};

/** What carries the id beforehand. */
const BEFORE: Record<string, (session: Session) => Promise<unknown>> = {
  'a free id': async (session) => await two(session),
  'the id of a run that waits': async (session) => {
    const thread = await running(session, (await two(session)).w1, 'a');
    await step(session, thread, { opens: 1, effects: [wait(0, 'go')] });
    await park(session, thread, [0]);
  },
  'the id of a run that has ended': async (session) => {
    await complete(session, await running(session, (await two(session)).w1, 'a'));
  },
};

const PAIRS: Record<string, readonly (readonly [string, string])[]> = {
  'a free id': [
    ['use', 'use'],
    ['replace', 'replace'],
    ['signal', 'signal'],
  ],
  'the id of a run that waits': [
    ['use', 'replace'],
    ['replace', 'replace'],
    ['signal', 'signal'],
    ['signal', 'replace'],
  ],
  'the id of a run that has ended': [
    ['again', 'again'],
    ['again', 'replace'],
    ['signal', 'again'],
  ],
};

const startAgainstStart = Object.entries(BEFORE).flatMap(([id, before]) =>
  PAIRS[id]!.map(([one, other]) =>
    race({
      name: `R20 ${id}: start (${one}) / start (${other})`,
      arrange: async (control) => {
        await before(control);
        return [on(POLICIES[one]!, '[1]'), on(POLICIES[other]!, '[2]')] as const;
      },
      one: (session, [item]) => statuses(session, [item]),
      other: (session, [, item]) => statuses(session, [item]),
      settle,
    }),
  ),
);

/** What may happen to run `a`, which `thread` owns and which awaits signal `go`. Its numbers are drawn beforehand. */
type Event = (session: Session) => Promise<unknown>;
const EVENTS: Record<string, (thread: Thread) => Event> = {
  'its next step': (thread) => {
    const item = entry(thread, { opens: 1, effects: [wait(1, 'go')] });
    return (session) => commitOne(session, thread, item);
  },
  ...Object.fromEntries(
    (['completed', 'failed', 'continued'] as const).map((closing) => [
      `its end, ${closing}`,
      (thread: Thread): Event => {
        const item = entry(thread, { closing, result: '[]' });
        return (session) => commitOne(session, thread, item);
      },
    ]),
  ),
  'it parks': (thread) => (session) => park(session, thread, [0]),
  'a signal to it': () => {
    const item = signalItem('go', { workflowId: 'a', payload: '"signal"' });
    return (session) => signalAll(session, [item]);
  },
  'a cancel request': () => (session) => cancel(session, 'a'),
  'its terminate': () => {
    const requestNo = nextNumber();
    return (session) => terminate(session, 'a', { requestNo });
  },
  'another start of its id': () => {
    const item = startItem('a', { args: '["plain"]' });
    return (session) => statuses(session, [item]);
  },
  'a child of its id': (thread) => {
    // of a workflow that another worker owns: see arrangeRun
    const item = entry((thread as Thread & { parent: Thread }).parent, {
      opens: 1,
      effects: [childOn(0, 'a', { conflict: 'TERMINATE_EXISTING' })],
    });
    return (session) => commitOne(session, (thread as Thread & { parent: Thread }).parent, item);
  },
};

async function arrangeRun(control: Session, given: StoredTerms): Promise<Thread> {
  const { w1, w2 } = await two(control);
  await startAll(control, [on({ delayMs: 0, ...given })]);
  const thread = await claimOnly(control, w1, 'a');
  await step(control, thread, { opens: 1, effects: [wait(0, 'go')] });
  const parent = await running(control, w2, 'parent');
  return Object.assign(thread, { parent });
}

/** What a start that uses the run does not meet differently from one that replaces it. */
const ALIKE = new Set(['a cancel request', 'its terminate', 'another start of its id', 'a child of its id']);

const eventsOfRuns = Object.entries(EVENTS).flatMap(([name, event]) => [
  ...(ALIKE.has(name) ? ['replace'] : ['replace', 'signal']).map((policy) =>
    race({
      name: `R20 start (${policy}) / ${name}`,
      arrange: async (control) => ({
        item: on(POLICIES[policy]!, '["new"]'),
        event: event(await arrangeRun(control, {})),
      }),
      one: (session, { item }) => statuses(session, [item]),
      other: (session, { event: happens }) => happens(session),
      settle,
    }),
  ),
  race({
    name: `R21 the timeout of a run / ${name}`,
    arrange: async (control) => {
      const happens = event(await arrangeRun(control, { executionTimeoutMs: 3_600_000 }));
      await control.sql(
        `update ${SCHEMA}.execution set due_at = clock_timestamp(), chain_due_at = clock_timestamp() where due_at is not null`,
      );
      return happens;
    },
    one: async (session) => void (await endDue(session)),
    other: (session, happens) => happens(session),
    settle,
  }),
]);

const reservations = [
  ['a start', () => startItem('a', { args: '["new"]' })],
  ['a start with its signal', () => on(POLICIES.signal!, '["new"]')],
  ['another reservation', () => on({ pendingMs: 60_000 })],
].flatMap(([name, item]) =>
  race({
    name: `R21 a reservation lapses / ${name as string}`,
    arrange: async (control) => {
      await two(control);
      await startAll(control, [on({ pendingMs: 0 })]);
      return (item as () => StartItem)();
    },
    one: async (session) => void (await endDue(session)),
    other: (session, started) => statuses(session, [started]),
    settle,
  }),
);

/** A parent that has just ended; its child `kid` is to be terminated or cancelled. */
async function deserted(control: Session, onParentClose: 'terminate' | 'cancel'): Promise<Thread> {
  const { w1, w2 } = await two(control);
  const parent = await running(control, w1, 'parent');
  await step(control, parent, { opens: 1, effects: [childOn(0, 'kid', { onParentClose })] });
  const kid = await claimOnly(control, w2, 'kid');
  await complete(control, parent);
  return kid;
}

const children = (['terminate', 'cancel'] as const).flatMap((policy) => [
  ...(['completed', 'continued'] as const).map((closing) =>
    race({
      name: `R22 a parent has ended (${policy}) / its child is ${closing}`,
      arrange: async (control) => {
        const kid = await deserted(control, policy);
        return { kid, item: entry(kid, { closing, result: '[]' }) };
      },
      one: async (session) => void (await endGeneration(session)),
      other: (session, { kid, item }) => commitOne(session, kid, item),
      settle,
    }),
  ),
  race({
    name: `R22 a parent ends (${policy}) with its child's start / another start of that child`,
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const parent = await running(control, w1, 'parent');
      await start(control, 'asker');
      const [asker] = await claim(control, w2);
      return {
        asker: asker!,
        end: entry(parent, {
          opens: 1,
          closing: 'completed',
          result: '1',
          effects: [childOn(0, 'kid', { onParentClose: policy }, { awaited: false })],
        }),
        parent,
        item: entry(asker!, { opens: 1, effects: [childOn(0, 'kid', { conflict: 'TERMINATE_EXISTING' })] }),
      };
    },
    one: (session, { parent, end }) => commitOne(session, parent, end),
    other: (session, { asker, item }) => commitOne(session, asker, item),
    settle,
  }),
  race({
    name: `R22 a parent has ended (${policy}) / the same again`,
    arrange: (control) => deserted(control, policy),
    one: async (session) => void (await endGeneration(session)),
    other: async (session) => void (await endGeneration(session)),
    settle,
  }),
]);

/** A start whose answer is late, and the same again: it has its effect once, and both are answered alike. */
const repeated = ['replace', 'signal'].map((policy) =>
  race({
    name: `R15 start (${policy}) / the same call again`,
    arrange: async (control) => {
      await BEFORE['the id of a run that waits']!(control);
      return [on(POLICIES[policy]!, '["new"]')];
    },
    one: (session, items) => statuses(session, items),
    other: (session, items) => statuses(session, items),
    settle,
  }),
);

export const idRaces: readonly Race[] = [
  ...repeated,
  ...startAgainstStart,
  ...eventsOfRuns,
  ...reservations,
  ...children,
];
