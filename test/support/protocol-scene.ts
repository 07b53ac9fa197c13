/**
 * One scene in which everything meets, and the calls that may come in it: each is run against each other.
 *
 * `parent` (worker w1) awaits its child `kid` (w2), signal `go`, a timer that is due and a task that w2 runs. `sibling` is
 * parked behind it, waiting for `go` too. A signal `kept` waits for somebody, and one of id `back` was put back by a run that
 * ended. `late`, behind `sibling`, has exceeded its timeout. `orphan` belongs to w3, whose lease is over.
 */

import type { CommitItem } from '../../src/postgres/protocol/commit.js';
import type { SignalItem, StartItem } from '../../src/postgres/protocol/executions.js';
import type { TaskOutcome } from '../../src/postgres/protocol/tasks.js';
import type { Race } from './pause-race.js';
import {
  block,
  cancel,
  child,
  claim,
  claimOnly,
  commitOne,
  complete,
  emit,
  end,
  endDue,
  endGeneration,
  entry,
  expireLease,
  finish,
  fire,
  keepHouse,
  nextNumber,
  outcomeOf,
  park,
  reapDead,
  register,
  release,
  running,
  type Step,
  send,
  signal,
  signalAll,
  signalItem,
  startAll,
  startItem,
  step,
  type Thread,
  takeTasks,
  task,
  terminate,
  terms,
  timer,
  uncall,
  untask,
  unwait,
  type Worker,
  wait,
  waiting,
} from './protocol.js';
import { SCHEMA, type Session } from './protocol-session.js';

interface Scene {
  readonly w1: Worker;
  readonly w2: Worker;
  readonly parent: Thread;
  readonly kid: Thread;
  readonly outcome: TaskOutcome;
  readonly started: StartItem;
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
  'the child terminates its parent': { of: 'kid', step: { opens: 1, effects: [end(0, 'parent')] } },
  'the child continues as new': { of: 'kid', step: { closing: 'continued', result: '[]' } },
  'the child waits and signals': {
    of: 'kid',
    step: { opens: 3, effects: [send(0, 'back', '"k"'), wait(1, 'go'), wait(2, 'kept'), emit('seen', '"k"')] },
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
  'the house is kept': async (session) => void (await keepHouse(session)),
  'a claim': async (session, { w1, numbers }, side) => void (await claim(session, w1, { claimNo: numbers[side]! })),
  'a start in the place of the child': async (session, { replacing: items }, side) =>
    (await startAll(session, [items[side]!])).map(({ status }) => status),
  'what is due ends': async (session) => void (await endDue(session)),
  'a start': async (session, { started }) => (await startAll(session, [started])).map(({ status }) => status),
};

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

const TABLES = `select tablename as name from pg_tables where schemaname = '${SCHEMA}' and tablename not in ('schema_info', 'request_slot', 'emission_counter')`;

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
  const [w1, w2, w3] = [await register(control, 'w1'), await register(control, 'w2'), await register(control, 'w3')];
  await running(control, w3, 'orphan');
  await expireLease(control, w3);

  const ended = await running(control, w2, 'ended');
  await step(control, ended, { opens: 1, effects: [wait(0, 'back')] });
  await signal(control, 'back', { payload: '"back"' });
  await complete(control, ended);
  await signal(control, 'kept', { payload: '"kept"' });

  const parent = await running(control, w1, 'parent');
  await step(control, parent, { opens: 4, effects: [child(0, 'kid'), wait(1, 'go'), timer(2, 0), task(3)] });
  const kid = await claimOnly(control, w2, 'kid');
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
    outcome: outcomeOf(taken!, 'done', '"task"'),
    started: startItem('new'),
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
async function settle(control: Session, { w1 }: Scene): Promise<void> {
  await reapDead(control, w1);
  await keepHouse(control);
  await endDue(control);
  while (await endGeneration(control));
  await claim(control, w1);
  await control.sql(`update ${SCHEMA}.inbox set worker_no = null`);
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
