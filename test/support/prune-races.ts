/** R13, R20: pruning against those who still have to do with a run that has ended, or with its id. */

import { fetchResults } from '../../src/postgres/protocol/executions.js';
import type { Race } from './pause-race.js';
import {
  archive,
  cancel,
  child,
  claimOnly,
  commitOne,
  complete,
  endDue,
  entry,
  hookAll,
  hookItem,
  nextNumber,
  pruneAll,
  prunedArchived,
  pruneSome,
  register,
  running,
  signalAll,
  signalItem,
  startAll,
  startItem,
  step,
  type Thread,
  takeDue,
  terminate,
} from './protocol.js';
import { SCHEMA, type Session } from './protocol-session.js';

/** Infers the cast, and forgets it. */
function race<Cast>(given: Race<Cast>): Race {
  return given as Race;
}

/** All that has ended may be pruned from this moment on. */
async function makeAllDue(control: Session): Promise<void> {
  await control.sql(`update ${SCHEMA}.pruning set due_at = clock_timestamp() - interval '1 s'`);
}

/** All is due, one note behind the other, and so far apart that of two calls each takes one: a call locks some ahead. */
async function spread(control: Session): Promise<void> {
  await control.sql(
    `update ${SCHEMA}.pruning p set runs = p.runs || array(select 0::bigint from generate_series(1, 200)),
       due_at = clock_timestamp() - interval '1 hour' + (select min(r) from unnest(p.runs) r) * interval '10 s'`,
  );
  await control.sql(
    `insert into ${SCHEMA}.pruning (due_at, runs)
     select p.due_at + interval '1 s', '{0}' from ${SCHEMA}.pruning p, generate_series(1, 12)`,
  );
}

/** Workflow a, which has ended and is due; and its worker. */
async function ended(control: Session): Promise<{ thread: Thread }> {
  const thread = await running(control, await register(control), 'a');
  await complete(control, thread);
  await makeAllDue(control);
  return { thread };
}

/** How many it comes to prune depends on what is held that moment; all go in the end. */
const prune = async (session: Session): Promise<void> => void (await pruneSome(session));

async function settle(control: Session): Promise<unknown> {
  // What is held, or waits for the runs before it, is noted for later.
  for (let round = 0; round < 3; round++) {
    await makeAllDue(control);
    await pruneAll(control);
  }
  return await control.sql(`select workflow_id, run, state from ${SCHEMA}.execution order by 1, 2`);
}

const others: Record<string, (thread: Thread) => (session: Session) => Promise<unknown>> = {
  'a start under its id': () => {
    const item = startItem('a');
    return async (session) => (await startAll(session, [item])).map(({ status }) => status);
  },
  'a start of its id used again': () => {
    const item = startItem('a', { terms: '{"reuse":"ALLOW_DUPLICATE"}' });
    return async (session) => {
      const [answer] = await startAll(session, [item]);
      // Which run of its id it becomes is open: the first when that was pruned before.
      await session.sql(`update ${SCHEMA}.request_0 set answer = 'started'`);
      return answer?.status;
    };
  },
  'a signal to it': () => {
    const item = signalItem('go', { workflowId: 'a' });
    return (session) => signalAll(session, [item]);
  },
  'its termination': () => {
    const requestNo = nextNumber();
    return (session) => terminate(session, 'a', { requestNo });
  },
  'a cancel request': () => (session) => cancel(session, 'a'),
  'a hook of it': () => {
    const item = hookItem('a');
    return (session) => hookAll(session, [item]);
  },
  'a look at its result': (thread) => async (session) =>
    (await fetchResults(session, SCHEMA, [thread.chain_no])).map(({ state }) => state),
  'a late commit of its worker': (thread) => {
    const item = entry(thread);
    return (session) => commitOne(session, thread, item);
  },
  'another one who prunes': () => prune,
};

export const pruneRaces: readonly Race[] = [
  ...Object.entries(others).map(([name, drawn]) =>
    race({
      name: `R13 prune / ${name}`,
      arrange: async (control) => {
        const { thread } = await ended(control);
        return { other: drawn(thread) };
      },
      one: prune,
      other: (session, cast) => cast.other(session),
      settle,
    }),
  ),
  race({
    name: 'R13 prune the first runs of a chain / prune its last one',
    arrange: async (control) => {
      const worker = await register(control);
      await step(control, await running(control, worker, 'a'), { closing: 'continued', result: '[]' });
      await step(control, await claimOnly(control, worker, 'a'), { closing: 'continued', result: '[]' });
      await complete(control, await claimOnly(control, worker, 'a'));
      await spread(control);
    },
    one: prune,
    other: prune,
    settle,
    stopsBoth: true,
  }),
  race({
    name: 'R13 prune a later workflow of an id / prune another one',
    arrange: async (control) => {
      const worker = await register(control);
      await complete(control, await running(control, worker, 'a'));
      await makeAllDue(control);
      for (let n = 0; n < 2; n++) {
        await startAll(control, [startItem('a', { terms: '{"reuse":"ALLOW_DUPLICATE"}' })]);
        await complete(control, await claimOnly(control, worker, 'a'));
      }
      await pruneSome(control); // the first, which both rest on
      await spread(control);
    },
    one: prune,
    other: prune,
    settle,
    stopsBoth: true,
  }),
  race({
    name: 'R13 prune / a chain that goes on',
    arrange: async (control) => {
      const worker = await register(control);
      await step(control, await running(control, worker, 'a'), { closing: 'continued', result: '[]' });
      await makeAllDue(control);
      const thread = await claimOnly(control, worker, 'a');
      return { thread, item: entry(thread, { closing: 'continued', result: '[]' }) };
    },
    one: prune,
    other: (session, { thread, item }) => commitOne(session, thread, item),
    settle,
  }),
  race({
    name: 'R13 prune a parent / the end of its child',
    arrange: async (control) => {
      const worker = await register(control);
      const parent = await running(control, worker, 'parent');
      await step(control, parent, { opens: 1, effects: [child(0, 'a')] });
      const kid = await claimOnly(control, worker, 'a');
      await complete(control, parent);
      await makeAllDue(control);
      return { kid, item: entry(kid, { closing: 'completed', result: '1' }) };
    },
    one: prune,
    other: (session, { kid, item }) => commitOne(session, kid, item),
    settle,
  }),
  race({
    name: 'R13 prune / a reservation of its id that lapses',
    arrange: async (control) => {
      await ended(control);
      await startAll(control, [startItem('a', { terms: '{"reuse":"ALLOW_DUPLICATE","pendingMs":1}' })]);
      await control.sql(
        `update ${SCHEMA}.execution set due_at = clock_timestamp() - interval '1 s' where state = 'pending'`,
      );
      await control.sql(`update ${SCHEMA}.request_0 set answer = 'started'`);
    },
    one: prune,
    other: (session) => endDue(session),
    settle: async (control) => {
      await endDue(control);
      return await settle(control);
    },
  }),
  race({
    name: 'R20 take what is to be archived / take it too',
    arrange: async (control) => {
      await ended(control);
      await archive(control, true);
    },
    one: async (session) => void (await takeDue(session)),
    other: async (session) => void (await takeDue(session)),
    settle: async (control) => {
      await makeAllDue(control);
      return (await takeDue(control)).map(({ workflow_id }) => workflow_id);
    },
  }),
  race({
    name: 'R20 prune what was archived / prune it too',
    arrange: ended,
    one: async (session, { thread }) => void (await prunedArchived(session, [thread.run_no])),
    other: async (session, { thread }) => void (await prunedArchived(session, [thread.run_no])),
    settle,
  }),
];
