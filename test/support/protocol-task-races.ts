/** What may end an activity, against each other: its worker, its limits, whoever has its token, its workflow, the reaper. */

import type { TaskAnswer } from '../../src/postgres/protocol/tasks.js';
import type { Race } from './pause-race.js';
import {
  answer,
  answerItem,
  beat,
  commitOne,
  entry,
  expire,
  expireLease,
  finish,
  limits,
  nextNumber,
  outcomeOf,
  park,
  queue,
  reapDead,
  register,
  running,
  step,
  type Thread,
  take,
  takeTasks,
  task,
  taskItem,
  terminate,
  untask,
  type Worker,
} from './protocol.js';
import { queryOf, SCHEMA, type Session } from './protocol-session.js';

/** Infers the cast, and forgets it. */
function race<Cast>(given: Race<Cast>): Race {
  return given as Race;
}

/** Thread `a` of w1 has a limited task, operation 0, which w2 runs; its limits are over. */
async function overdue(control: Session) {
  const [w1, w2] = [await register(control, 'w1'), await register(control, 'w2')];
  const thread = await running(control, w1, 'a');
  await step(control, thread, { opens: 1, effects: [task(0), limits(0, { startToClose: 90_000, heartbeat: 60_000 })] });
  const [taken] = await takeTasks(control, w2);
  await control.sql(
    `update ${SCHEMA}.activity_task set started_at = clock_timestamp() - interval '70 s', expires_at = clock_timestamp()`,
  );
  return { w1, w2, thread, taken: taken! };
}

/** The same without limits, and what to say under its token. */
async function outside(control: Session, given: Partial<TaskAnswer> = {}) {
  const [w1, w2] = [await register(control, 'w1'), await register(control, 'w2')];
  const thread = await running(control, w1, 'a');
  await step(control, thread, { opens: 1, effects: [task(0)] });
  const [taken] = await takeTasks(control, w2);
  return { w1, w2, thread, taken: taken!, item: answerItem(thread, 0, given) };
}

/** An eager activity of thread `a`, bound or not, and the call that makes it a task. */
async function eager(control: Session, taskQueue: string | null, claimNo: number | null = null) {
  const w1 = await register(control, 'w1');
  const thread = await running(control, w1, 'a');
  await step(control, thread, { opens: 1 });
  const item = taskItem(thread, 0, { taskQueue, claimNo, delayMs: claimNo === null ? 60_000 : 0 });
  return { w1, thread, item: answerItem(thread, 0), query: await queryOf((session) => queue(session, w1, [item])) };
}

/** A bound activity whose retry is due. */
async function dueStep(control: Session) {
  const w1 = await register(control, 'w1');
  const thread = await running(control, w1, 'a');
  await step(control, thread, { opens: 1 });
  await queue(control, w1, [taskItem(thread, 0, { taskQueue: null, attempt: 2 })]);
  return { w1, thread, claimNo: nextNumber() };
}

interface Beating {
  readonly w2: Worker;
  readonly taken: Parameters<typeof beat>[2];
  answered?: string | undefined;
}

/** A heartbeat that met somebody is sent again, as the engine does. */
const beats = {
  one: async (session: Session, cast: Beating) => {
    cast.answered = await beat(session, cast.w2, cast.taken, '"alive"');
  },
  settle: async (control: Session, cast: Beating) =>
    cast.answered === 'held' ? await beat(control, cast.w2, cast.taken, '"alive"') : cast.answered,
};

const dies = async (session: Session, worker: Worker, control: Session) => {
  await expireLease(control, worker);
  await reapDead(session);
};

const taken = async (session: Session, cast: { w1: Worker; thread: Thread; claimNo: number }) =>
  (await take(session, cast.thread, 0, cast.claimNo)) !== null;

export const taskRaces: readonly Race[] = [
  race({
    name: 'a heartbeat / the limits are looked at',
    arrange: overdue,
    ...beats,
    other: async (session) => void (await expire(session)),
    settle: async (control, cast) => {
      await expire(control);
      return await beats.settle(control, cast);
    },
  }),
  race({
    name: 'a heartbeat / its own end',
    arrange: overdue,
    ...beats,
    other: async (session, cast) =>
      void (await finish(session, cast.w2, [outcomeOf(cast.taken, 'retry', '"x"', 60_000, '"last"')])),
    settle: async (control) =>
      void (await control.sql(`update ${SCHEMA}.activity_task set details = '' where details is not null`)),
  }),
  race({
    name: 'a heartbeat / its workflow gives it up',
    arrange: async (control) => {
      const cast = await overdue(control);
      return { ...cast, item: entry(cast.thread, { resolves: [0], effects: [untask(0)] }) };
    },
    one: async (session, cast) => void (await beat(session, cast.w2, cast.taken)),
    other: (session, { thread, item }) => commitOne(session, thread, item),
  }),
  race({
    name: 'the limits are looked at / the end of the attempt',
    arrange: overdue,
    one: async (session) => void (await expire(session)),
    other: async (session, cast) => void (await finish(session, cast.w2, [outcomeOf(cast.taken, 'done', '1')])),
    settle: async (control) => void (await expire(control)),
  }),
  race({
    name: 'the limits are looked at / the limits are looked at',
    arrange: overdue,
    one: async (session) => void (await expire(session)),
    other: async (session) => void (await expire(session)),
    settle: async (control) => void (await expire(control)),
  }),
  race({
    name: 'the limits are looked at / the reaper',
    arrange: overdue,
    one: async (session) => void (await expire(session)),
    other: async (session, { w2 }, control) => await dies(session, w2, control),
    settle: async (control) => {
      await reapDead(control);
      await expire(control);
    },
  }),
  race({
    name: 'the limits are looked at / terminate',
    arrange: async (control) => ({ ...(await overdue(control)), requestNo: nextNumber() }),
    one: async (session) => void (await expire(session)),
    other: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
    settle: async (control) => void (await expire(control)),
  }),
  race({
    name: 'the limits are looked at / its thread parks',
    arrange: async (control) => {
      const cast = await overdue(control);
      await control.sql(`update ${SCHEMA}.activity_task set attempt = 9`); // the last one
      return cast;
    },
    one: async (session) => void (await expire(session)),
    other: (session, { thread }) => park(session, thread, [0]),
    settle: async (control) => void (await expire(control)),
  }),
  race({
    name: 'the limits are looked at / a claim of what came too late',
    arrange: async (control) => {
      const w1 = await register(control, 'w1');
      const thread = await running(control, w1, 'a');
      await step(control, thread, { opens: 1, effects: [task(0), limits(0, { scheduleToStart: 0 })] });
      return { w1, claimNo: nextNumber() };
    },
    one: async (session) => void (await expire(session)),
    other: async (session, { w1, claimNo }) => (await takeTasks(session, w1, { claimNo })).length,
    settle: async (control) => void (await expire(control)),
  }),
  race({
    name: 'an answer from outside / the limits are looked at',
    arrange: async (control) => {
      const cast = await overdue(control);
      return { ...cast, item: answerItem(cast.thread, 0) };
    },
    one: (session, { item }) => answer(session, item),
    other: async (session) => void (await expire(session)),
    settle: async (control) => void (await expire(control)),
  }),
  race({
    name: 'an answer from outside / the end of the attempt',
    arrange: outside,
    one: (session, { item }) => answer(session, item),
    other: async (session, cast) => void (await finish(session, cast.w2, [outcomeOf(cast.taken, 'done', '1')])),
  }),
  race({
    name: 'an answer from outside / its function leaves it to the outside',
    arrange: outside,
    one: (session, { item }) => answer(session, item),
    other: async (session, cast) => void (await finish(session, cast.w2, [outcomeOf(cast.taken, 'outside')])),
  }),
  race({
    name: 'an answer from outside / another one',
    arrange: async (control) => {
      const cast = await outside(control);
      return { ...cast, rival: answerItem(cast.thread, 0, { kind: 'fail', payload: '{"message":"rival"}' }) };
    },
    one: (session, { item }) => answer(session, item),
    other: (session, { rival }) => answer(session, rival),
  }),
  race({
    name: 'an answer from outside / a failure from outside that is retried',
    arrange: async (control) => {
      const cast = await outside(control);
      return { ...cast, rival: answerItem(cast.thread, 0, { kind: 'retry', payload: '{"m":1}', delayMs: 60_000 }) };
    },
    one: (session, { item }) => answer(session, item),
    other: (session, { rival }) => answer(session, rival),
  }),
  race({
    name: 'an answer from outside / its workflow gives it up',
    arrange: async (control) => {
      const cast = await outside(control);
      return { ...cast, gives: entry(cast.thread, { resolves: [0], effects: [untask(0)] }) };
    },
    one: (session, { item }) => answer(session, item),
    other: (session, { thread, gives }) => commitOne(session, thread, gives),
  }),
  race({
    name: 'an answer from outside / terminate',
    arrange: async (control) => ({ ...(await outside(control)), requestNo: nextNumber() }),
    one: (session, { item }) => answer(session, item),
    other: (session, { requestNo }) => terminate(session, 'a', { requestNo }),
  }),
  race({
    name: 'an answer from outside / the reaper',
    arrange: outside,
    one: (session, { item }) => answer(session, item),
    other: async (session, { w2 }, control) => await dies(session, w2, control),
    settle: async (control) => void (await reapDead(control)),
  }),
  race({
    name: 'an answer from outside / its thread parks',
    arrange: outside,
    one: (session, { item }) => answer(session, item),
    other: (session, { thread }) => park(session, thread, [0]),
  }),
  ...(['queue', null] as const).map((taskQueue) =>
    race({
      name: `an answer from outside / an eager activity becomes a ${taskQueue === null ? 'bound ' : ''}task`,
      arrange: (control) => eager(control, taskQueue, nextNumber()),
      one: (session, { item }) => answer(session, item),
      other: (session, { query }) => session.query(query),
    }),
  ),
  race({
    name: 'a bound activity is taken / an answer from outside',
    arrange: async (control) => {
      const cast = await dueStep(control);
      return { ...cast, item: answerItem(cast.thread, 0, { attempt: 2 }) };
    },
    one: (session, cast) => taken(session, cast),
    other: (session, { item }) => answer(session, item),
  }),
  race({
    name: 'a bound activity is taken / the reaper',
    arrange: dueStep,
    one: taken,
    other: async (session, { w1 }, control) => await dies(session, w1, control),
    settle: async (control) => void (await reapDead(control)),
  }),
  ...(['done', 'retry'] as const).map((kind) => {
    const call = (session: Session, { item }: { item: TaskAnswer }) => answer(session, item);
    return race({
      name: `R15 an answer from outside (${kind}) / the same call again`,
      arrange: (control) => outside(control, { kind, delayMs: 60_000 }),
      one: call,
      other: call,
    });
  }),
  race({ name: 'R15 a bound activity is taken / the same call again', arrange: dueStep, one: taken, other: taken }),
];
