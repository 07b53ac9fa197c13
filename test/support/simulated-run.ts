/**
 * Runs of a random program over the simulated store: at random with faults, by the events of an earlier run with the process
 * killed after each activation, and as a mere replay. One seed decides everything; no clock and no I/O is involved.
 */

import { type ActivityDefaults, decodeOutcome, decodeSteps } from '../../src/codec/entry-text.js';
import { encodePayload } from '../../src/codec/payload.js';
import { type Failure, failureFromError } from '../../src/core/failure.js';
import type { Command, Decision, Event, RecordedStep } from '../../src/core/history.js';
import { defaultRetryPolicy, type RetryPolicy } from '../../src/core/retry-policy.js';
import type { CommitAnswer } from '../../src/postgres/protocol/commit.js';
import type { HistoryRow } from '../../src/postgres/protocol/threads.js';
import { conclude } from '../../src/replay/conclude.js';
import { type ExecutionInfo, Instance } from '../../src/replay/instance.js';
import { type Placement, Recording } from '../../src/replay/recording.js';
import { replay } from '../../src/replay/replay.js';
import type { ActiveThread } from '../../src/worker/active-thread.js';
import { failedAttempts, resolvedBy } from '../../src/worker/open-operation.js';
import { nodeReplayPort } from '../../src/worker/replay-port.js';
import { runAs } from '../../src/workflow/context.js';
import { type CallsOptions, EngineCalls } from './simulated-calls.js';
import type { Ending, Told } from './simulated-oracle.js';
import { answerTo, type CallArguments, hasTurns, type Program, perform, signalId } from './simulated-program.js';
import { SimulatedStore, STARTED_AT } from './simulated-store.js';
import { type SimulatedFunction, SimulatedWorker, turn } from './simulated-worker.js';

export function retryOf(program: Program): RetryPolicy {
  return {
    ...defaultRetryPolicy,
    maximumAttempts: program.maximumAttempts,
    initialIntervalMs: 50,
    backoffCoefficient: 2,
  };
}

export type CallOutcome =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly failure: Failure };

// ---- a program inside the engine

/** The program as a workflow function. The executions are found again by their instances. */
class EngineProgram {
  readonly runs = new WeakMap<Instance, EngineCalls>();
  readonly #program: Program;
  options: CallsOptions = {};

  constructor(program: Program) {
    this.#program = program;
  }

  readonly run: SimulatedFunction = (instance) => {
    const run = new EngineCalls(instance, this.options);
    this.runs.set(instance, run);
    return perform(this.#program, run);
  };

  inFlight(instance: Instance | null): number {
    return (instance && this.runs.get(instance)?.inFlight) ?? 0;
  }
}

/** What an activity or a child of a program does with its arguments. */
export function outcomeOf(args: CallArguments): CallOutcome {
  if (args[2]) return { ok: false, failure: failureFromError(new Error(`no ${args[0]}`)) };
  return { ok: true, text: JSON.stringify(answerTo(args)) };
}

export function eventOf(op: number, outcome: CallOutcome): Event {
  if (!outcome.ok) return { kind: 'fail', op, failure: outcome.failure };
  return { kind: 'done', op, value: JSON.parse(outcome.text), text: outcome.text };
}

// ---- at random

/** Which faults a run may meet, and how many of them. */
export interface Faults {
  readonly kills: number;
  readonly takeovers: number;
  readonly parks: number;
  /** The run from its `deploy`-th entry on is done by code with patches; what was before, by code without. */
  readonly deployAt?: number;
}

export interface FinishedRun {
  readonly store: SimulatedStore;
  /** How often each fault happened. */
  readonly happened: { kills: number; takeovers: number; parks: number; cancels: number };
  /** Entries that were there when the new code came. */
  readonly deployedAt: number;
}

/** Lets everything that may happen happen in a random order, until the program ends. */
export async function runAtRandom(
  program: Program,
  seed: number,
  faults: Faults,
  options: CallsOptions = {},
): Promise<FinishedRun> {
  const random = randomFrom(seed);
  const upTo = (n: number) => Math.floor(random() * n);
  const store = new SimulatedStore();
  const happened = { kills: 0, takeovers: 0, parks: 0, cancels: 0 };
  const code = new EngineProgram(program);
  code.options = faults.deployAt === undefined ? options : { ...options, old: true };
  let deployedAt = 0;
  const worker = new SimulatedWorker({
    store,
    run: code.run,
    retry: retryOf(program),
    chooseEager: () => random() < 0.5,
  });
  const lost: ActiveThread[] = [];
  const usesTurns = hasTurns(program);
  let signalsLeft = 2;
  let sent = 0;
  const send = (id: string) => store.signal(id, JSON.stringify(`sent ${sent++}`));

  const finishEager = (op: number) => {
    worker.eager.delete(op);
    const { thread } = worker;
    const operation = thread?.open.get(op);
    if (thread === null || operation?.kind !== 'activity') return;
    const outcome = outcomeOf(JSON.parse(operation.spec.args) as CallArguments);
    thread.post({ event: eventOf(op, outcome), inboxNo: null });
  };

  let idle = 0;
  worker.claim();
  for (let step = 0; !store.closed; step++) {
    if (worker.reason !== null) throw worker.reason;
    if (step > 5_000) throw new Error(`the run does not end:\n${describeState(store, worker)}`);
    await turn();
    const inFlight = code.inFlight(worker.instance);
    if (faults.deployAt !== undefined && code.options.old && store.rows.length >= faults.deployAt) {
      worker.kill();
      code.options = options;
      deployedAt = store.rows.length;
    }
    const actions: (() => void)[] = [];
    const may = (weight: number, action: () => void) => {
      for (let n = 0; n < weight; n++) actions.push(action);
    };
    const { thread } = worker;

    if (thread === null) {
      const ready = worker.parked === null || worker.wanted || store.inbox.size > 0 || store.nextDue <= store.now;
      if (ready) may(3, () => worker.claim());
    }
    for (const commit of worker.commits) {
      may(3, () => worker.answerCommit(commit));
      if (commit.answer === null) may(1, () => worker.applyCommit(commit));
    }
    for (const op of worker.eager) may(2, () => finishEager(op));
    for (const [op, task] of store.tasks)
      may(2, () => store.finishTask(op, outcomeOf((JSON.parse(task.input) as { args: CallArguments }).args)));
    for (const [op, child] of store.children)
      may(1, () => store.endChild(op, outcomeOf(JSON.parse(child.args) as CallArguments)));
    for (const id of new Set(store.waits.values())) may(1, () => send(id));
    if (signalsLeft > 0)
      may(1, () => {
        signalsLeft--;
        send(signalId(upTo(3)));
      });
    if (thread !== null) {
      if (store.mail(thread.knownMail).length > 0) may(3, () => worker.fetchMail());
      if (worker.nextDue <= store.now) may(3, () => worker.fireDue());
      if (happened.parks < faults.parks && thread.quiet)
        may(1, () => {
          if (worker.park()) happened.parks++;
        });
    }
    if (inFlight === 0 && store.nextDue < Infinity)
      may(idle > 20 ? 3 : 1, () => {
        store.now = Math.max(store.now, Math.min(store.nextDue, store.now + 1 + upTo(100)));
      });
    const cancellable = [...(worker.instance?.pending.values() ?? [])].some((pending) => pending.cancellable);
    if (program.cancel && happened.cancels === 0 && random() < 0.03)
      if (!usesTurns || (worker.quiet && cancellable))
        may(2, () => {
          happened.cancels++;
          store.cancel();
          if (usesTurns) worker.fetchMail();
        });
    const progressing = actions.length;
    // Nor may it wait until nothing else is pending: see hasUncancellable.
    const mayDie = !(usesTurns && [...store.inbox.values()].some(({ kind }) => kind === 'cancel'));
    if (mayDie && happened.kills < faults.kills && random() < 0.1)
      may(1, () => {
        happened.kills++;
        worker.kill();
      });
    if (mayDie && happened.takeovers < faults.takeovers && thread !== null && random() < 0.1)
      may(1, () => {
        happened.takeovers++;
        const answered = random() < 0.5 ? [...worker.commits] : [];
        for (const commit of answered) worker.applyCommit(commit);
        lost.push(worker.lose() as ActiveThread);
        // The answer of what was done before comes to the one who lost the thread.
        for (const commit of answered) commit.send(commit.answer as CommitAnswer);
        worker.claim();
      });
    for (const zombie of lost) if (random() < 0.1) may(1, () => disturb(zombie, store));
    may(1, () => {
      store.now += upTo(3);
    });

    idle = progressing === 0 && worker.quiet && inFlight === 0 ? idle + 1 : 0;
    if (idle > 100) throw new Error(`the run is stuck:\n${describeState(store, worker)}`);
    (actions[upTo(actions.length)] as () => void)();
  }
  for (const zombie of lost) {
    disturb(zombie, store);
    await turn();
    zombie.drop();
  }
  return { store, happened, deployedAt };
}

/** Whoever lost the thread goes on for a while; nothing of it may be stored. */
function disturb(zombie: ActiveThread, store: SimulatedStore): void {
  const [op] = zombie.open.keys();
  const operation = op === undefined ? undefined : zombie.open.get(op);
  if (op === undefined || operation?.kind !== 'activity') {
    zombie.postMail({
      thread_no: zombie.threadNo,
      inbox_no: 1_000_000 + store.now,
      kind: 'cancel',
      op: null,
      payload: null,
    });
    return;
  }
  zombie.post({ event: { kind: 'done', op, value: 'of nobody', text: '"of nobody"' }, inboxNo: null });
}

function describeState(store: SimulatedStore, worker: SimulatedWorker): string {
  const { thread } = worker;
  return JSON.stringify(
    {
      rows: store.rows.map((row) => `${row.body}${row.outcome ?? ''}`),
      timers: [...store.timers],
      tasks: [...store.tasks.keys()],
      waits: [...store.waits],
      children: [...store.children.keys()],
      inbox: [...store.inbox.values()],
      now: store.now,
      stage: thread?.stage ?? (worker.parked ? 'parked' : 'none'),
      open: [...(thread?.open.keys() ?? [])],
      pending: [...(thread?.instance?.pending.keys() ?? [])],
      eager: [...worker.eager],
      commits: worker.commits.length,
    },
    null,
    1,
  );
}

// ---- replayed

export interface ReplayedRun {
  readonly steps: readonly RecordedStep[];
  /** The events of each entry. */
  readonly entries: readonly (readonly Told[])[];
  readonly facts: ReadonlyMap<string, unknown>;
  readonly times: ReadonlyMap<string, unknown>;
  /** What `patched` answered, and in which entry. */
  readonly patches: readonly { readonly entry: number; readonly newly: boolean }[];
  readonly info: ExecutionInfo;
  /** Null: it was ended from outside, or goes on. */
  readonly ending: Ending | null;
}

export function stepsOf(rows: readonly HistoryRow[], defaults: ActivityDefaults): RecordedStep[] {
  const steps: RecordedStep[] = [];
  let opened = 0;
  let outcome: ReadonlyMap<number, Decision> = new Map();
  for (const row of rows) {
    const read = decodeSteps(row.seq, row.body, opened, outcome, defaults);
    opened = read.opened;
    outcome = decodeOutcome(row.outcome);
    steps.push(...read.steps);
  }
  return steps;
}

export function endingOf(store: SimulatedStore): Ending {
  const { state, result } = store.closing ?? { state: 'open', result: null };
  const value: unknown = result === null ? undefined : JSON.parse(result);
  if (state === 'completed') return { state, value };
  if (state === 'continued') return { state, args: value };
  return { state: state as 'failed', message: (value as { message: string }).message };
}

/** What a history is replayed with. */
export interface HistoryToReplay {
  readonly rows: readonly HistoryRow[];
  readonly info: Omit<ExecutionInfo, 'attempt'>;
  readonly run: (instance: Instance, calls: EngineCalls) => Promise<unknown>;
  /** Calls may come here though the run ended before it came there. */
  readonly late: boolean;
  /** It was ended from outside, or goes on. */
  readonly open?: boolean;
}

/** Replays a finished history, comparing all that is produced, arguments included. */
export async function replayHistory(
  program: Program,
  store: SimulatedStore,
  options: CallsOptions = {},
): Promise<ReplayedRun & { readonly ending: Ending }> {
  const info = {
    workflowId: 'w-1',
    workflowName: 'simulated',
    taskQueue: 'test',
    namespace: 'durable',
    hookNo: null,
    runNo: 11,
    run: 0,
    seed: '123456789',
    createdMs: STARTED_AT,
    parentWorkflowId: null,
    originId: null,
    trace: null,
    expireS: null,
    retry: retryOf(program),
  };
  const run = (_: Instance, calls: EngineCalls) => perform(program, calls);
  const replayed = await replayRows({ rows: store.rows, info, run, late: hasTurns(program) }, options);
  return { ...replayed, ending: replayed.ending as Ending };
}

export async function replayRows(history: HistoryToReplay, options: CallsOptions = {}): Promise<ReplayedRun> {
  const { rows, info } = history;
  const steps = stepsOf(rows, info);
  const recording = new Recording(steps);
  const runs = new WeakMap<Instance, EngineCalls>();
  const patches: { entry: number; newly: boolean }[] = [];
  let entry = 0;
  const enter = recording.enter.bind(recording);
  recording.enter = (step) => {
    entry = recording.steps[step]?.entry ?? entry;
    enter(step);
  };
  const ends: Command[] = [];
  const differences: string[] = [];
  checkArguments(recording, ends, differences);
  const instance = new Instance({
    info: { ...info, attempt: failedAttempts(steps) + 1 },
    run: (made) =>
      runAs(made, async () => {
        const calls = new EngineCalls(made, { ...options, onPatched: (newly) => patches.push({ entry, newly }) });
        runs.set(made, calls);
        return history.run(made, calls);
      }),
    conclude: (outcome, told) =>
      conclude(outcome, told, (value) => (told.hookNo === null ? encodePayload(value, 'result') : null)),
    recording,
    onLateCommand: () => {},
  });
  instance.opened = steps.flatMap((step) => step.commands).filter(({ op }) => op !== null).length;
  const bodies = () => rows.map((row) => row.body).join('\n');
  await replay(instance, recording, {
    ...nodeReplayPort,
    async patience(until) {
      let came = false;
      void until.then(() => {
        came = true;
      });
      for (let n = 0; n < 200 && !came; n++) await turn();
      return came;
    },
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${differences.join('\n')}\n${bodies()}`);
  });
  if (differences.length > 0) throw new Error(`${differences.join('\n')}\n${bodies()}`);
  // A call behind an await of its own may come here though the run ended before it came there.
  const extra = history.late ? [] : instance.takeCommands();
  if (extra.length > 0) throw new Error(`the replay produced ${JSON.stringify(extra)}, which history does not hold`);
  const run = runs.get(instance) as EngineCalls;
  const entries: Told[][] = [];
  for (const step of steps) {
    if (steps[steps.indexOf(step) - 1]?.entry !== step.entry) entries.push([]);
    entries.at(-1)?.push(toldOf(step, run.paths, steps));
  }
  instance.dispose();
  const [end] = ends;
  if (ends.length > 1 || (end === undefined && history.open !== true))
    throw new Error(`the replay ended ${ends.length} times`);
  return {
    steps,
    entries,
    facts: run.facts,
    times: run.times,
    patches,
    info: instance.info,
    ending: end === undefined ? null : endingOfCommand(end),
  };
}

function endingOfCommand(command: Command): Ending {
  switch (command.kind) {
    case 'complete':
      return { state: 'completed', value: command.spec.result === null ? undefined : JSON.parse(command.spec.result) };
    case 'continue':
      return { state: 'continued', args: JSON.parse(command.spec.args) };
    case 'fail':
      return { state: command.spec.cancelled ? 'cancelled' : 'failed', message: command.spec.failure.message };
    default:
      throw new Error(`a run does not end with ${command.kind}`);
  }
}

/** What is produced again must be what was recorded, in the parts too that replay itself does not compare. */
function checkArguments(recording: Recording, ends: Command[], differences: string[]): void {
  const place = recording.place.bind(recording);
  const check = (produced: Command, placement: Placement) => {
    if (produced.kind === 'complete' || produced.kind === 'fail' || produced.kind === 'continue') ends.push(produced);
    else if (placement !== 'new') {
      const { command } = placement;
      if (textOfCommand(command) !== textOfCommand(produced))
        differences.push(`replayed as ${textOfCommand(produced)}\nrecorded as ${textOfCommand(command)}`);
    }
  };
  recording.place = (produced, locate, placed) => {
    const placement = place(produced, locate, (later) => {
      check(produced, later);
      placed(later);
    });
    if (placement !== null && placement !== 'held') check(produced, placement);
    return placement;
  };
}

function textOfCommand(command: Command): string {
  const { kind, name, fingerprint } = command;
  const spec = command.spec as { args?: string; payload?: string; workflowId?: string; ms?: number; signalId?: string };
  return JSON.stringify([kind, name, fingerprint, spec.args, spec.payload, spec.ms, spec.signalId]);
}

function toldOf({ event, now }: RecordedStep, paths: ReadonlyMap<number, string>, all: readonly RecordedStep[]): Told {
  const pathsOf = (ops: readonly number[]) => ops.map((op) => paths.get(op) ?? `operation ${op}`);
  if (event.kind !== 'cancelled')
    return { event, now, paths: event.kind === 'retry' ? [] : pathsOf(resolvedBy(event)) };
  const asked = all.flatMap(({ commands }) => commands).find(({ op }) => op === event.op)?.command;
  return { event, now, paths: pathsOf(event.ops), givenUp: asked?.kind === 'cancel' ? pathsOf(asked.spec.ops) : [] };
}

// ---- by the events of an earlier run, killed after each activation

/**
 * The same events in the same order, but the process ends each time a commit is durable, before it hears of it.
 */
export async function runKilledAtEachCommit(
  program: Program,
  entries: readonly (readonly Told[])[],
  options: CallsOptions = {},
): Promise<{ store: SimulatedStore; kills: number }> {
  const told = entries.flat();
  const store = new SimulatedStore();
  const code = new EngineProgram(program);
  code.options = options;
  const eager = (op: number) => op % 2 === 0;
  let delivered = 0;
  const worker = new SimulatedWorker({
    store,
    run: code.run,
    retry: retryOf(program),
    chooseEager: (_, op) => eager(op),
    clock: () => told[delivered++]?.now ?? store.now, // asked once for each delivery
  });
  const paths = (): ReadonlyMap<number, string> =>
    (worker.instance && code.runs.get(worker.instance)?.paths) ?? new Map();
  const known = new Map<string, number>();
  let kills = 0;
  const decisions = new Map(
    told.flatMap(({ event, paths: [path] }) => (event.kind === 'decided' ? [[path, event.decision]] : [])),
  );
  store.decide = (op, kind) => decisions.get(paths().get(op)) ?? (kind === 'signal' ? { what: 'usual' } : null);

  const happen = ({ event, now, paths: [path] }: Told) => {
    store.now = Math.max(store.now, now);
    const { thread } = worker;
    const op = known.get(path ?? '') ?? -1;
    switch (event.kind) {
      case 'done':
      case 'fail': {
        const outcome: CallOutcome =
          event.kind === 'done'
            ? { ok: true, text: JSON.stringify(event.value) }
            : { ok: false, failure: event.failure };
        store.finishTask(op, outcome);
        store.endChild(op, outcome);
        if (worker.eager.delete(op)) thread?.post({ event: eventOf(op, outcome), inboxNo: null });
        break;
      }
      case 'signal':
        store.signalTo(op, JSON.stringify(event.value));
        break;
      case 'fire':
        thread?.fire(op);
        break;
      case 'retry': {
        const [failed] = [...(thread?.open ?? [])].find(([, operation]) => operation.kind === 'retry') ?? [];
        if (failed === undefined) throw new Error('killed each time, the function does not fail');
        thread?.fire(failed);
        break;
      }
      case 'cancel':
        store.cancel();
        break;
      default: // decided by the store, or late: these come by themselves
    }
    worker.fetchMail();
  };

  /** Commits, dies and comes back; `next` is told what happens while it is alive again. */
  const live = async (next: () => Promise<boolean>) => {
    for (let calm = 0; calm < 3; ) {
      if (worker.reason !== null) throw worker.reason;
      await turn();
      const [commit] = worker.commits;
      if (commit !== undefined) {
        worker.applyCommit(commit);
        const { answer } = commit;
        if (answer?.status !== 'done') throw new Error(`a commit was answered ${answer?.status}`);
        for (const [op, path] of paths()) if (op < store.opened) known.set(path, op);
        worker.kill();
        kills++;
        if (store.closed) return;
        delivered = stepsOf(store.rows, { taskQueue: 'test', retry: retryOf(program) }).length;
        worker.claim();
        await worker.recovering;
        calm = (await next()) ? 0 : 1;
      } else if (worker.quiet && worker.thread?.stage === 'idle')
        calm = code.inFlight(worker.instance) > 0 ? 0 : (await next()) ? 0 : calm + 1;
      else calm = 0;
    }
  };

  store.now = entries[0]?.[0]?.now ?? store.now;
  const waiting = entries.slice(1);
  worker.claim();
  await live(async () => {
    const [entry] = waiting;
    // Calls behind an await of their own may not be there yet.
    if (entry === undefined || entry.some(({ paths }) => paths.some((path) => !known.has(path)))) return false;
    waiting.shift();
    for (const event of entry) {
      happen(event);
      // A signal that is there beside a cancel goes first; one that came behind it must not.
      const index = told.indexOf(event);
      if (event.event.kind === 'cancel') while (delivered <= index && worker.reason === null) await turn();
    }
    return true;
  });
  if (!store.closed)
    throw new Error(
      `killed each time, the program does not go on:\n${JSON.stringify(waiting[0])}\n${describeState(store, worker)}`,
    );
  if (waiting.length > 0) throw new Error('killed each time, the program ends earlier');
  return { store, kills };
}

/** A small generator of good quality (mulberry32): the same numbers for the same seed, everywhere. */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
