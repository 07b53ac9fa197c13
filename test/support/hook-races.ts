/** Hooks against whatever else happens to their run: R17 of the reliability plan. */

import type { Race } from './pause-race.js';
import {
  cancel,
  claim,
  claimOnly,
  commitAll,
  commitOne,
  entry,
  hookAll,
  hookItem,
  hookOf,
  keepHouse,
  nextNumber,
  openHook,
  park,
  register,
  running,
  send,
  signalAll,
  signalItem,
  step,
  type Thread,
  terminate,
  unwait,
  type Worker,
  wait,
} from './protocol.js';
import { queryOf, SCHEMA, type Session } from './protocol-session.js';

/** Infers the cast, and forgets it. */
function race<Cast>(given: Race<Cast>): Race {
  return given as Race;
}

const two = async (session: Session) => ({ w1: await register(session, 'w1'), w2: await register(session, 'w2') });

/** Workflow `a` runs, and so does `b`, which another worker owns. */
async function both(session: Session): Promise<{ w1: Worker; w2: Worker; a: Thread; b: Thread }> {
  const { w1, w2 } = await two(session);
  return { w1, w2, a: await running(session, w1, 'a'), b: await running(session, w2, 'b') };
}

/** `asker` awaits a hook that runs in the workflow `target`, its own if null. */
async function asked(session: Session, target: string | null): Promise<{ w1: Worker; asker: Thread; hook: Thread }> {
  const { w1, w2 } = await two(session);
  if (target !== null) await running(session, w1, target);
  const asker = await running(session, w1, 'asker');
  await step(session, asker, { opens: 1, effects: openHook(0, target, { awaits: 'back' }) });
  return { w1, asker, hook: await claimOnly(session, w2, target ?? 'asker') };
}

const ENDS = ['completed', 'failed', 'continued'] as const;

type Opening = (session: Session) => Promise<unknown>;

/** What opens a hook in workflow `a`, which is about to change. Its numbers are drawn beforehand. */
const OPENINGS: Record<string, (cast: { b: Thread }) => Opening> = {
  'a client’s hook': () => {
    const item = hookItem('a', { search: '{"f":"1"}' });
    return (session) => hookAll(session, [item]);
  },
  'another workflow’s hook': ({ b }) => {
    const item = entry(b, { opens: 1, effects: openHook(0, 'a', { search: { f: '1' } }) });
    return (session) => commitOne(session, b, item);
  },
  'another workflow’s awaited hook': ({ b }) => {
    const item = entry(b, { opens: 1, effects: openHook(0, 'a', { awaits: 'back' }) });
    return (session) => commitOne(session, b, item);
  },
};

/** Numbers of threads are drawn in the order of the calls: what is answered and stored is told without them. */
function withoutNumbers(answer: unknown): string {
  return JSON.stringify(answer).replaceAll(/hooked\W+\d+/g, 'hooked');
}

async function forgetNumbers(control: Session): Promise<void> {
  await control.sql(`update ${SCHEMA}.history set outcome = regexp_replace(outcome, '"hooked","\\d+"', '"hooked"')`);
}

const openings: readonly Race[] = Object.entries(OPENINGS).flatMap(([name, drawn]) => {
  const setUp = async (control: Session) => {
    const cast = await both(control);
    return { ...cast, open: drawn(cast) };
  };
  return [
    ...ENDS.map((closing) =>
      race({
        name: `R17 ${name} / the end of its run, ${closing}`,
        arrange: async (control) => {
          const cast = await setUp(control);
          return { ...cast, end: entry(cast.a, { closing, result: '[]' }) };
        },
        one: async (session, { open }) => withoutNumbers(await open(session)),
        other: (session, { a, end }) => commitOne(session, a, end),
        settle: forgetNumbers,
      }),
    ),
    race({
      name: `R17 ${name} / terminate`,
      arrange: async (control) => ({ ...(await setUp(control)), requestNo: nextNumber() }),
      one: async (session, { open }) => withoutNumbers(await open(session)),
      other: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
      settle: forgetNumbers,
    }),
    race({
      name: `R17 ${name} / cancel`,
      arrange: setUp,
      one: async (session, { open }) => withoutNumbers(await open(session)),
      other: (session) => cancel(session, 'a'),
      settle: forgetNumbers,
    }),
    race({
      name: `R17 ${name} / the claim of all that is ready`,
      arrange: async (control) => ({ ...(await setUp(control)), claimNo: nextNumber() }),
      one: async (session, { open }) => withoutNumbers(await open(session)),
      other: async (session, { w1, claimNo }) => void (await claim(session, w1, { claimNo })),
      settle: async (control, { w1 }) => {
        await claim(control, w1);
        await forgetNumbers(control);
      },
    }),
    race({
      name: `R17 ${name} / a signal to its workflow, which does not wait`,
      arrange: async (control) => ({ ...(await setUp(control)), sent: signalItem('go', { workflowId: 'a' }) }),
      one: async (session, { open }) => withoutNumbers(await open(session)),
      other: (session, { sent }) => signalAll(session, [sent]),
      settle: forgetNumbers,
    }),
  ];
});

const ofHooks: readonly Race[] = [
  race({
    name: 'R17 the end of a main thread / the end of its hook',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const main = await running(control, w1, 'a');
      const hook = await hookOf(control, main, 'owned', w2);
      await step(control, hook, { opens: 1, effects: [wait(0, 'go')] });
      const ends = [main, hook].map((thread) => entry(thread, { closing: 'completed', result: '1' }));
      return { main, hook, ends };
    },
    one: (session, { main, ends }) => commitOne(session, main, ends[0]!),
    other: (session, { hook, ends }) => commitOne(session, hook, ends[1]!),
  }),
  race({
    name: 'R17 ends of two runs, each with a hook that the other’s worker is committing',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const [a, b] = [await running(control, w1, 'a'), await running(control, w2, 'b')];
      const [hookOfA, hookOfB] = [await hookOf(control, a, 'owned', w2), await hookOf(control, b, 'owned', w1)];
      const end = { closing: 'completed', result: '1' } as const;
      return { w1, w2, one: [entry(a, end), entry(hookOfB)], other: [entry(b, end), entry(hookOfA)] };
    },
    one: (session, { w1, one }) => commitAll(session, w1, one),
    other: (session, { w2, other }) => commitAll(session, w2, other),
    stopsBoth: true,
  }),
  race({
    name: 'R17 ends of two hooks of one run',
    arrange: async (control) => {
      const { w1, w2 } = await two(control);
      const main = await running(control, w1, 'a');
      const hooks = [await hookOf(control, main, 'owned', w1), await hookOf(control, main, 'owned', w2)];
      return { hooks, ends: hooks.map((hook) => entry(hook, { closing: 'completed' })) };
    },
    one: (session, { hooks, ends }) => commitOne(session, hooks[0]!, ends[0]!),
    other: (session, { hooks, ends }) => commitOne(session, hooks[1]!, ends[1]!),
  }),
  race({
    name: 'R17 two workflows that open hooks in each other',
    arrange: async (control) => {
      const { a, b } = await both(control);
      const entries = [
        entry(a, { opens: 1, effects: openHook(0, 'b') }),
        entry(b, { opens: 1, effects: openHook(0, 'a') }),
      ];
      return { a, b, entries };
    },
    one: async (session, { a, entries }) => withoutNumbers(await commitOne(session, a, entries[0]!)),
    other: async (session, { b, entries }) => withoutNumbers(await commitOne(session, b, entries[1]!)),
    settle: forgetNumbers,
  }),
  race({
    name: 'R15 a client’s hook / the same call again',
    arrange: async (control) => {
      await both(control);
      return { query: await queryOf((session) => hookAll(session, [hookItem('a', { search: '{"f":"1"}' })])) };
    },
    one: async (session, { query }) => ((await session.query(query)) as { status: string }[])[0]?.status,
    other: async (session, { query }) => ((await session.query(query)) as { status: string }[])[0]?.status,
  }),
  ...[null, 'a'].flatMap((target) => {
    const where = target === null ? '' : ' in another workflow';
    return [
      race({
        name: `R1 park / the failure of an awaited hook${where}`,
        arrange: async (control) => {
          const cast = await asked(control, target);
          return { ...cast, failure: entry(cast.hook, { closing: 'failed', result: '{}' }) };
        },
        one: (session, { asker }) => park(session, asker, [0]),
        other: (session, { hook, failure }) => commitOne(session, hook, failure),
      }),
      race({
        name: `R17 the failure of an awaited hook${where} / its signal`,
        arrange: async (control) => {
          const cast = await asked(control, target);
          const failure = entry(cast.hook, { closing: 'failed', result: '{}' });
          return { ...cast, failure, sent: signalItem('back', { payload: '1' }) };
        },
        one: (session, { hook, failure }) => commitOne(session, hook, failure),
        other: (session, { sent }) => signalAll(session, [sent]),
      }),
      race({
        name: `R17 the failure of an awaited hook${where} / its caller gives up`,
        arrange: async (control) => {
          const cast = await asked(control, target);
          const failure = entry(cast.hook, { closing: 'failed', result: '{}' });
          return { ...cast, failure, given: entry(cast.asker, { resolves: [0], effects: [unwait(0)] }) };
        },
        one: (session, { hook, failure }) => commitOne(session, hook, failure),
        other: (session, { asker, given }) => commitOne(session, asker, given),
      }),
      race({
        name: `R17 the failure of an awaited hook${where} / the end of its caller`,
        arrange: async (control) => {
          const cast = await asked(control, target);
          const failure = entry(cast.hook, { closing: 'failed', result: '{}' });
          return { ...cast, failure, end: entry(cast.asker, { closing: 'completed', result: '1' }) };
        },
        one: (session, { hook, failure }) => commitOne(session, hook, failure),
        other: (session, { asker, end }) => commitOne(session, asker, end),
      }),
    ];
  }),
  race({
    name: 'R17 terminate of the workflow of an awaited hook / its caller parks',
    arrange: async (control) => ({ ...(await asked(control, 'a')), requestNo: nextNumber() }),
    one: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
    other: (session, { asker }) => park(session, asker, [0]),
  }),
  race({
    name: 'R17 terminate of the workflow of an awaited hook / the hook signals',
    arrange: async (control) => {
      const cast = await asked(control, 'a');
      const sent = entry(cast.hook, { opens: 1, effects: [send(0, 'back', '1')] });
      return { ...cast, sent, requestNo: nextNumber() };
    },
    one: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
    other: (session, { hook, sent }) => commitOne(session, hook, sent),
    settle: async (control) => void (await keepHouse(control)),
  }),
];

export const hookRaces: readonly Race[] = [...openings, ...ofHooks];
