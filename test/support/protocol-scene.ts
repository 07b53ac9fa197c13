/**
 * One scene in which everything meets, and the calls that may come in it: each is run against each other.
 *
 * `parent` (worker w1) awaits its child `kid` (w2), signal `go`, a timer that is due and a task that w2 runs.
 * `kid` has an activity that rests bound to it (operation 0), and one that runs eagerly (1). `sibling` is
 * parked behind the parent, waiting for `go` too. A signal `kept` waits for somebody, and one of id `back` was put back by a run that
 * ended, and may be pruned. `late`, behind `sibling`, has exceeded its timeout. `orphan` belongs to w3, whose lease is over.
 * Two workers died with `culprit`.
 */

import type { CommitItem } from '../../src/postgres/protocol/commit.js';
import type { HookItem, SignalItem, StartItem } from '../../src/postgres/protocol/executions.js';
import {
  type ClaimedTask,
  finishInTransaction,
  type TaskAnswer,
  type TaskOutcome,
} from '../../src/postgres/protocol/tasks.js';
import type { Race } from './pause-race.js';
import {
  answer,
  answerItem,
  beat,
  block,
  cancel,
  child,
  claim,
  claimOnly,
  commitOne,
  complete,
  die,
  emit,
  end,
  endDue,
  endGeneration,
  entry,
  expire,
  expireLease,
  finish,
  fire,
  hookAll,
  hookItem,
  keepHouse,
  nextNumber,
  outcomeOf,
  park,
  pause,
  pruneAll,
  pruneSome,
  queue,
  reapDead,
  register,
  release,
  renew,
  reset,
  resume,
  retire,
  running,
  type Step,
  send,
  signal,
  signalAll,
  signalItem,
  startAll,
  startHere,
  startItem,
  step,
  type Thread,
  take,
  takeTasks,
  task,
  taskItem,
  terminate,
  terms,
  timer,
  tryNext,
  uncall,
  untask,
  unwait,
  type Worker,
  wait,
  waiting,
} from './protocol.js';
import { queryOf, SCHEMA, type Session } from './protocol-session.js';

interface Scene {
  readonly w1: Worker;
  readonly w2: Worker;
  readonly parent: Thread;
  readonly kid: Thread;
  readonly taken: ClaimedTask;
  readonly outcome: TaskOutcome;
  readonly answers: readonly TaskAnswer[];
  readonly hooks: readonly HookItem[];
  readonly started: StartItem;
  readonly startedHere: StartItem;
  /** Takes the id of `kid`, with a signal. One for each side. */
  readonly replacing: readonly StartItem[];
  /** One for each side. */
  readonly signals: readonly SignalItem[];
  readonly numbers: readonly number[];
  /** By name: drawn beforehand. */
  readonly items: Readonly<Record<string, CommitItem>>;
}

type SceneCall = (session: Session, scene: Scene, side: 0 | 1) => Promise<unknown>;

const STEPS: Record<string, { readonly of: 'parent' | 'kid'; readonly step: Step }> = {
  'the parent times out': { of: 'parent', step: { resolves: [1, 2], effects: [fire(2), unwait(1)] } },
  'the parent ends': { of: 'parent', step: { closing: 'completed', result: '1' } },
  'the parent continues as new': { of: 'parent', step: { closing: 'continued', result: '[]' } },
  'the parent gives up its child and task': {
    of: 'parent',
    step: { resolves: [0, 3], effects: [uncall(0), untask(3)] },
  },
  'the parent waits and signals': {
    of: 'parent',
    step: { opens: 3, effects: [wait(4, 'kept'), wait(5, 'back'), send(6, 'go', '"p"'), emit('seen', '"p"')] },
  },
  'the parent starts a child': { of: 'parent', step: { opens: 2, effects: [child(4, 'new'), task(5)] } },
  'the child ends': { of: 'kid', step: { closing: 'failed', result: '"x"', effects: [emit('seen', '"x"')] } },
  'the parent terminates its child': { of: 'parent', step: { opens: 1, effects: [end(4, 'kid')] } },
  'the parent terminates itself and its descendants': {
    of: 'parent',
    step: { opens: 1, effects: [end(4, 'parent', true)] },
  },
  'the child terminates its parent': { of: 'kid', step: { opens: 1, effects: [end(2, 'parent')] } },
  'the child continues as new': { of: 'kid', step: { closing: 'continued', result: '[]' } },
  'the child waits and signals': {
    of: 'kid',
    step: { opens: 3, effects: [send(2, 'back', '"k"'), wait(3, 'go'), wait(4, 'kept'), emit('seen', '"k"')] },
  },
};

const CALLS: Record<string, SceneCall> = {
  ...Object.fromEntries(
    Object.entries(STEPS).map(([name, { of }]): [string, SceneCall] => [
      name,
      (session, scene) => commitOne(session, scene[of], scene.items[name]!),
    ]),
  ),
  'a signal to anybody': (session, { signals }, side) => signalAll(session, [{ ...signals[side]!, workflowId: null }]),
  'a signal to the parent': (session, { signals }, side) =>
    signalAll(session, [{ ...signals[side]!, workflowId: 'parent' }]),
  'cancel of the parent': (session) => cancel(session, 'parent'),
  'cancel of the child': (session) => cancel(session, 'kid'),
  'the parent is terminated': (session, { numbers }, side) =>
    terminate(session, 'parent', { requestNo: numbers[side]! }),
  'the child is terminated': (session, { numbers }, side) => terminate(session, 'kid', { requestNo: numbers[side]! }),
  'a generation ends': async (session) => void (await endGeneration(session)),
  'the parent parks': (session, { parent }) => park(session, parent, [0, 1, 2, 3]),
  'the parent is released': async (session, { parent }) => void (await release(session, parent)),
  'the parent is blocked': async (session, { parent }) => void (await block(session, parent)),
  'the task is done': async (session, { w2, outcome }) => void (await finish(session, w2, [outcome])),
  'the reaper comes': async (session) => void (await reapDead(session)),
  'a suspect is tried': async (session, { w1 }) => void (await tryNext(session, w1)),
  'the house is kept': async (session) => void (await keepHouse(session)),
  'a claim': async (session, { w1, numbers }, side) => void (await claim(session, w1, { claimNo: numbers[side]! })),
  'a start in the place of the child': async (session, { replacing: items }, side) =>
    (await startAll(session, [items[side]!])).map(({ status }) => status),
  'what is due ends': async (session) => void (await endDue(session)),
  'the parent is paused': (session, { numbers }, side) => pause(session, ['parent'], numbers[side]!),
  'the parent is resumed': (session, { numbers }, side) => resume(session, ['parent'], numbers[side]!),
  'the parent is reset': async (session, { parent, numbers }, side) =>
    (await reset(session, parent.run_no, { ...BACK, requestNo: numbers[side]! })).status,
  'a hook in the parent': (session, { hooks }, side) => hookAll(session, [hooks[side]!]),
  'the task ends with its transaction': finishWithTransaction,
  'a heartbeat of the task': (session, { w2, taken }) => beat(session, w2, taken, '"beat"'),
  'an answer to the task from outside': (session, { answers }, side) => answer(session, answers[side]!),
  'limits are looked at': async (session) => void (await expire(session)),
  'a claim of tasks': async (session, { w1, numbers }, side) =>
    void (await takeTasks(session, w1, { claimNo: numbers[side]! })),
  'an eager activity becomes a task': async (session, { w2, kid }) =>
    void (await queue(session, w2, [taskItem(kid, 1)])),
  'a bound activity is taken': async (session, { kid, numbers }, side) =>
    void (await take(session, kid, 0, numbers[side]!)),
  'the owner of the parent registers again': async (session) => void (await register(session, 'w1')),
  'the lease of the parent’s owner is renewed': (session, { w1 }) => renew(session, w1),
  'the parent’s owner stops': async (session, { w1 }) => void (await retire(session, w1)),
  'what is due is pruned': async (session) => void (await pruneSome(session)),
  'a start': async (session, { started }) => (await startAll(session, [started])).map(({ status }) => status),
  'a start beside the parent’s owner': async (session, { w1, startedHere, numbers }, side) =>
    (await startHere(session, w1, [startedHere], numbers[side])).answers.map(({ status }) => status),
};

/** To the entry in which the parent began to wait. */
const BACK = { keep: 1, opened: 4, waits: [{ op: 1, signalId: 'go' }], children: [0] };

/** As one statement: a race's point `end` lies behind it, before its commit. */
async function finishWithTransaction(session: Session, { w2, taken }: Scene): Promise<void> {
  const { thread_no: threadNo, op, epoch } = taken;
  const done = { mark: 'mark', workerNo: w2.no, leaseMs: null, threadNo, op, epoch, payload: '"task"' };
  const { text, values } = finishInTransaction(SCHEMA, done);
  const marked = `with marked as materialized (select set_config('perdure.activity', 'mark', true) as mark)
    select f.* from marked cross join lateral (select length(marked.mark)) m, lateral (${text}) f`;
  await session.query({ text: marked, values });
}

const replacing = (payload: string) =>
  startItem('kid', { terms: terms({ conflict: 'TERMINATE_EXISTING', signalId: 'go', payload, expireMs: 60_000 }) });

const kept = new WeakMap<Session, Scene>();

/** Played once in a database, then put back as it was: two dozen calls for each interleaving would be most of the time. */
async function arrange(control: Session): Promise<Scene> {
  const played = kept.get(control);
  if (played !== undefined) {
    await control.sql(PUT_BACK);
    return played;
  }
  const scene = await play(control);
  await control.sql(KEEP);
  kept.set(control, scene);
  return scene;
}

const TABLES = `select tablename as name from pg_tables where schemaname = '${SCHEMA}' and tablename not in ('schema_info', 'request_slot', 'emission_counter', 'archiving', 'signal_quota')`;

const KEEP = `do $$
  declare
    v_table name;
  begin
    create schema scene;
    create table scene.numbers as select schemaname, sequencename, last_value from pg_sequences where schemaname = '${SCHEMA}';
    for v_table in ${TABLES} loop
      execute format('create table scene.%I as table ${SCHEMA}.%I', v_table, v_table);
    end loop;
  end $$`;

const PUT_BACK = `do $$
  declare
    v_table name;
  begin
    perform setval(format('%I.%I', schemaname, sequencename), last_value) from scene.numbers where last_value is not null;
    for v_table in ${TABLES} loop
      execute format('insert into ${SCHEMA}.%I overriding system value table scene.%I', v_table, v_table);
    end loop;
    update ${SCHEMA}.timer set due_at = clock_timestamp(); -- or it would soon be overdue
  end $$`;

async function play(control: Session): Promise<Scene> {
  const doomed = await register(control, 'doomed 1');
  await running(control, doomed, 'culprit');
  await die(control, doomed);
  const doomedToo = await register(control, 'doomed 2');
  await claimOnly(control, doomedToo, 'culprit');
  await die(control, doomedToo);
  const [w1, w2, w3] = [await register(control, 'w1'), await register(control, 'w2'), await register(control, 'w3')];
  await running(control, w3, 'orphan');
  await expireLease(control, w3);

  const ended = await running(control, w2, 'ended');
  await step(control, ended, { opens: 1, effects: [wait(0, 'back')] });
  await signal(control, 'back', { payload: '"back"' });
  await complete(control, ended);
  await control.sql(`update ${SCHEMA}.pruning set due_at = clock_timestamp() - interval '1 s'`);
  await signal(control, 'kept', { payload: '"kept"' });

  const parent = await running(control, w1, 'parent');
  await step(control, parent, { opens: 4, effects: [child(0, 'kid'), wait(1, 'go'), timer(2, 0), task(3)] });
  const kid = await claimOnly(control, w2, 'kid');
  await step(control, kid, { opens: 2 });
  await queue(control, w2, [taskItem(kid, 0, { taskQueue: null })]);
  await waiting(control, w1, 'sibling', 'go');
  await waiting(control, w1, 'late', 'go');
  await control.sql(`update ${SCHEMA}.execution set due_at = clock_timestamp() where workflow_id = 'late'`);
  const [taken] = await takeTasks(control, w2);
  const entries = Object.entries(STEPS).map(([name, { of, step: given }]) => [
    name,
    entry(of === 'kid' ? kid : parent, given),
  ]);
  return {
    w1,
    w2,
    parent,
    kid,
    taken: taken!,
    outcome: outcomeOf(taken!, 'done', '"task"'),
    answers: [answerItem(parent, 3, { payload: '1' }), answerItem(parent, 3, { payload: '2' })],
    hooks: [hookItem('parent', { args: '[1]' }), hookItem('parent', { args: '[2]' })],
    started: startItem('new'),
    startedHere: startItem('newer'),
    replacing: [replacing('"1"'), replacing('"2"')],
    signals: [signalItem('go', { payload: '1' }), signalItem('go', { payload: '2' })],
    numbers: [nextNumber(), nextNumber()],
    items: Object.fromEntries(entries) as Record<string, CommitItem>,
  };
}

/**
 * What the engine does sooner or later. Calls that skip what is held leave it to the next of their kind, so only behind
 * these are all orders alike. Who owned a thread when its mail came is then of no interest.
 */
async function settle(control: Session, { w1, w2 }: Scene): Promise<void> {
  await reapDead(control, w1);
  await keepHouse(control);
  await endDue(control);
  await expire(control);
  await pruneAll(control);
  while (await endGeneration(control));
  await tryNext(control, w2);
  await control.sql(`update ${SCHEMA}.thread set affinity = null`); // or who claims would depend on the time
  await claim(control, w2);
  await control.sql(`update ${SCHEMA}.inbox set worker_no = null`);
}

/** Which function of the database each call of the scene calls. */
export async function functionsOfScene(control: Session): Promise<Map<string, string>> {
  const scene = await arrange(control);
  const called = new Map<string, string>();
  for (const [name, call] of Object.entries(CALLS)) {
    const { text } = await queryOf((session) => call(session, scene, 0));
    called.set(name, [...text.matchAll(new RegExp(`"?${SCHEMA}"?\\."?(\\w+)"?\\(`, 'g'))].at(-1)?.[1] ?? '');
  }
  return called;
}

const names = Object.keys(CALLS);

/** A worker would not park for operations that its own last entry resolved. */
const SENSELESS = new Set(['the parent times out / the parent parks']);

export const sceneRaces: readonly Race<Scene>[] = names
  .flatMap((one, index) =>
    names.slice(index + 1).map((other) => ({
      name: `${one} / ${other}`,
      arrange,
      one: (session: Session, scene: Scene) => CALLS[one]!(session, scene, 0),
      other: (session: Session, scene: Scene) => CALLS[other]!(session, scene, 1),
      settle,
    })),
  )
  .filter(({ name }) => !SENSELESS.has(name));
