/** Pairs of calls that meet at the documents of a run. Threads of one run: its main thread with w1, a hook with w2. */

import type { CommitItem } from '../../src/postgres/protocol/commit.js';
import type { Race } from './pause-race.js';
import {
  cancel,
  commitAll,
  commitOne,
  entity,
  entry,
  expireLease,
  hookOf,
  nextNumber,
  reapDead,
  register,
  running,
  search,
  type Thread,
  terminate,
  type Worker,
} from './protocol.js';
import { SCHEMA, type Session } from './protocol-session.js';

interface Pair {
  readonly w1: Worker;
  readonly w2: Worker;
  readonly main: Thread;
  readonly hook: Thread;
}

/** `stored`: whether the documents are there already. */
async function pair(control: Session, stored: boolean): Promise<Pair> {
  const [w1, w2] = [await register(control, 'w1'), await register(control, 'w2')];
  const main = await running(control, w1, 'a', stored ? { search: '{"n":"1"}' } : {});
  return { w1, w2, main, hook: await hookOf(control, main, 'owned', w2) };
}

/** A step that reads and writes both documents. */
const counting = (thread: Thread, by: number): CommitItem =>
  entry(thread, {
    opens: 4,
    effects: [
      search(0, 'incr', ['n', by]),
      entity(1, 'append', [[[['by'], [by]]], false]),
      search(2, 'mult', ['n', 2]),
      entity(3, 'get', [[]]),
    ],
  });

const withHook = (
  name: string,
  last: (main: Thread) => CommitItem,
  stored = true,
): Race<Pair & { ends: CommitItem; counts: CommitItem }> => ({
  name: `${name} / its hook counts${stored ? '' : ', for the first time'}`,
  arrange: async (control) => {
    const cast = await pair(control, stored);
    return { ...cast, ends: last(cast.main), counts: counting(cast.hook, 10) };
  },
  one: (session, { main, ends }) => commitOne(session, main, ends),
  other: (session, { hook, counts }) => commitOne(session, hook, counts),
});

const twoCount = (stored: boolean): Race<Pair & { items: readonly [CommitItem, CommitItem] }> => ({
  name: `two threads of a run count${stored ? '' : ', for the first time'}`,
  arrange: async (control) => {
    const cast = await pair(control, stored);
    return { ...cast, items: [counting(cast.main, 1), counting(cast.hook, 10)] as const };
  },
  one: (session, { w1, items }) => commitAll(session, w1, [items[0]]),
  other: (session, { w2, items }) => commitAll(session, w2, [items[1]]),
});

/** What `client.hook` does. */
const setFromOutside = (session: Session, runNo: number) =>
  session.sql(
    `select ${SCHEMA}.merge_search(array[$1::bigint, $1::bigint], array['{"n":"5"}', '{"m":"6"}'])::text as refused`,
    runNo,
  );

const given = [
  twoCount(true),
  twoCount(false),
  withHook('a run continues as new', (main) => entry(main, { closing: 'continued', result: '[]' })),
  withHook('a run continues as new', (main) => entry(main, { closing: 'continued', result: '[]' }), false),
  withHook('a run counts and continues as new', (main) => ({
    ...counting(main, 1),
    closing: 'continued',
    result: '[]',
  })),
  withHook('a run ends', (main) => entry(main, { closing: 'completed', result: '1' })),
  {
    name: 'a run is terminated / its hook counts',
    arrange: async (control) => {
      const cast = await pair(control, true);
      return { ...cast, requestNo: nextNumber(), counts: counting(cast.hook, 1) };
    },
    one: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
    other: (session, { hook, counts }) => commitOne(session, hook, counts),
  } satisfies Race<Pair & { requestNo: number; counts: CommitItem }>,
  {
    name: 'a run is cancelled / its main thread counts',
    arrange: async (control) => {
      const cast = await pair(control, true);
      return { ...cast, counts: counting(cast.main, 1) };
    },
    one: (session) => cancel(session, 'a'),
    other: (session, { main, counts }) => commitOne(session, main, counts),
  } satisfies Race<Pair & { counts: CommitItem }>,
  {
    name: 'fields are set from outside / a thread counts for the first time',
    arrange: async (control) => {
      const cast = await pair(control, false);
      return { ...cast, counts: counting(cast.main, 1) };
    },
    one: (session, { main }) => setFromOutside(session, main.run_no),
    other: (session, { main, counts }) => commitOne(session, main, counts),
  } satisfies Race<Pair & { counts: CommitItem }>,
  {
    name: 'R2 a thread counts / the reaper',
    arrange: async (control) => {
      const cast = await pair(control, false);
      const counts = counting(cast.main, 1);
      await expireLease(control, cast.w2);
      return { ...cast, counts };
    },
    one: (session, { main, counts }) => commitOne(session, main, counts),
    other: async (session) => void (await reapDead(session)),
  } satisfies Race<Pair & { counts: CommitItem }>,
  {
    name: 'R15 a thread counts / the same call again',
    arrange: async (control) => {
      const cast = await pair(control, false);
      return { ...cast, counts: counting(cast.main, 1) };
    },
    one: (session, { main, counts }) => commitOne(session, main, counts),
    other: (session, { main, counts }) => commitOne(session, main, counts),
  } satisfies Race<Pair & { counts: CommitItem }>,
];

export const documentRaces = given as unknown as readonly Race[];
