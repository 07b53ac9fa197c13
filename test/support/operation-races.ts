/** Pausing and resuming against whatever else happens to the run. */

import type { Race } from './pause-race.js';
import {
  block,
  cancel,
  child,
  claim,
  commitOne,
  entry,
  expireLease,
  hookAll,
  hookItem,
  keepHouse,
  nextNumber,
  park,
  pause,
  reapDead,
  register,
  release,
  reset,
  resume,
  running,
  signalAll,
  signalItem,
  step,
  type Thread,
  takeTasks,
  task,
  terminate,
  type Worker,
  wait,
  waiting,
} from './protocol.js';
import type { Session } from './protocol-session.js';

/** Infers the cast, and forgets it. */
function race<Cast>(given: Race<Cast>): Race {
  return given as Race;
}

interface Cast {
  readonly w1: Worker;
  readonly w2: Worker;
  readonly a: Thread;
  readonly requestNo: number;
}

const drawn = async (session: Session) => {
  const [w1, w2] = [await register(session, 'w1'), await register(session, 'w2')];
  return { w1, w2, requestNo: nextNumber() };
};

/** Workflow `a` waits for `go`, parked. */
async function parked(session: Session): Promise<Cast> {
  const cast = await drawn(session);
  return { ...cast, a: await waiting(session, cast.w1, 'a', 'go') };
}

/** Workflow `a` waits for `go`, and `w1` has it. */
async function owned(session: Session): Promise<Cast> {
  const cast = await drawn(session);
  const a = await running(session, cast.w1, 'a');
  await step(session, a, { opens: 2, effects: [wait(0, 'go'), task(1)] });
  return { ...cast, a };
}

const pausing = (session: Session, { requestNo }: Cast) => pause(session, ['a'], requestNo);
const resuming = (session: Session, { requestNo }: Cast) => resume(session, ['a'], requestNo);

/** What happens to a run that is being paused or resumed. Numbers are drawn beforehand. */
const EVENTS: Record<string, { from: typeof owned; event: (cast: Cast) => (session: Session) => Promise<unknown> }> = {
  'a signal': {
    from: parked,
    event: () => {
      const items = [signalItem('go', { workflowId: 'a' })];
      return (session) => signalAll(session, items);
    },
  },
  'a cancel request': { from: parked, event: () => (session) => cancel(session, 'a') },
  'a terminate': {
    from: parked,
    event: () => {
      const requestNo = nextNumber();
      return (session) => terminate(session, 'a', { requestNo });
    },
  },
  'a hook': {
    from: parked,
    event: () => {
      const items = [hookItem('a')];
      return (session) => hookAll(session, items);
    },
  },
  'a commit': {
    from: owned,
    event: ({ a }) => {
      const item = entry(a, { opens: 1, effects: [child(2, 'kid')] });
      return (session) => commitOne(session, a, item);
    },
  },
  'its end': {
    from: owned,
    event: ({ a }) => {
      const item = entry(a, { closing: 'completed', result: '1' });
      return (session) => commitOne(session, a, item);
    },
  },
  'its continuation': {
    from: owned,
    event: ({ a }) => {
      const item = entry(a, { closing: 'continued', result: '[]' });
      return (session) => commitOne(session, a, item);
    },
  },
  'its parking': {
    from: owned,
    event:
      ({ a }) =>
      (session) =>
        park(session, a, [0, 1]),
  },
  'its release': {
    from: owned,
    event:
      ({ a }) =>
      (session) =>
        release(session, a),
  },
  'its blocking': {
    from: owned,
    event:
      ({ a }) =>
      (session) =>
        block(session, a),
  },
  'the claim of its task': {
    from: owned,
    event: ({ w2 }) => {
      const claimNo = nextNumber();
      return async (session) => (await takeTasks(session, w2, { claimNo })).length;
    },
  },
  'a reaper': {
    from: async (session) => {
      const cast = await owned(session);
      await expireLease(session, cast.w1);
      return cast;
    },
    event: () => (session) => reapDead(session),
  },
  'a claim': {
    from: async (session) => {
      const cast = await owned(session);
      await release(session, cast.a);
      return cast;
    },
    event: ({ w2 }) => {
      const claimNo = nextNumber();
      return async (session) => (await claim(session, w2, { claimNo })).map((thread) => thread.workflow_id);
    },
  },
};

/** Back to entry 0, which began to wait for `go`. */
const BACK = { keep: 1, opened: 2, waits: [{ op: 0, signalId: 'go' }] };

const ENDED: typeof EVENTS = {
  'a child’s end': {
    from: async (session) => {
      const cast = await drawn(session);
      const a = await running(session, cast.w1, 'a');
      await step(session, a, { opens: 1, effects: [child(0, 'kid')] });
      return { ...cast, a };
    },
    event: () => (session) => terminate(session, 'kid', { requestNo: 77 }),
  },
  'another reset': {
    from: owned,
    event: ({ a }) => {
      const requestNo = nextNumber();
      return async (session) => (await reset(session, a.run_no, { ...BACK, requestNo })).status;
    },
  },
  'a pause': { from: owned, event: () => (session) => pause(session, ['a'], 78) },
  'a signal to whoever waits': {
    from: parked,
    event: () => {
      const items = [signalItem('go')];
      return (session) => signalAll(session, items);
    },
  },
};

// A claim passes over what is held: that it gets nothing tells nothing.
const { 'a claim': _, ...others } = EVENTS;

const resets: readonly Race[] = Object.entries({ ...others, ...ENDED }).map(([name, { from, event }]) =>
  race<Cast & { act: (session: Session) => Promise<unknown> }>({
    name: `reset / ${name}`,
    arrange: async (control) => {
      const cast = await from(control);
      return { ...cast, act: event(cast) };
    },
    one: async (session, { a, requestNo }) => {
      const back = name === 'a child’s end' ? { keep: 1, opened: 1, children: [0] } : BACK;
      return (await reset(session, a.run_no, { ...back, requestNo })).status;
    },
    other: (session, { act }) => act(session),
    settle: async (control) => {
      await reapDead(control);
      await keepHouse(control);
    },
  }),
);

const pauses: readonly Race[] = Object.entries(EVENTS).flatMap(([name, { from, event }]) =>
  (['pause', 'resume'] as const).map((call) =>
    race<Cast & { act: (session: Session) => Promise<unknown> }>({
      name: `${call} / ${name}`,
      arrange: async (control) => {
        const cast = await from(control);
        if (call === 'resume') await pause(control, ['a']);
        return { ...cast, act: event(cast) };
      },
      one: call === 'pause' ? pausing : resuming,
      other: (session, { act }) => act(session),
      // A reaper passes over what is held, and looks again.
      settle: async (control) => {
        await reapDead(control);
      },
    }),
  ),
);

export const operationRaces: readonly Race[] = [...pauses, ...resets];
