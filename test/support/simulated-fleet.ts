/**
 * Several workflows on several worker processes over the model of the store, with everything that may happen to them, in an
 * order that one seed decides: crashes between any two calls, answers that are lost, calls that arrive twice or late, clocks
 * that jump, cancel requests, terminations, pauses, hooks and signals from outside. No clock and no I/O is involved.
 *
 * Owns: who does what next. Does not own: what a process does (simulated-process.ts), what the store answers (model-store.ts).
 */

import { DurableFatalError } from '../../src/core/errors.js';
import { LEASE_MS } from './model-rows.js';
import { ModelStore } from './model-store.js';
import { SimulatedAttempts } from './simulated-attempts.js';
import { EngineCalls } from './simulated-calls.js';
import { SimulatedProcess, simulatedRetry } from './simulated-process.js';
import {
  answerTo,
  type CallArguments,
  type Code,
  performTask,
  ROOTS,
  type Root,
  signalId,
  type Task,
} from './simulated-program.js';
import { randomFrom } from './simulated-run.js';
import { turn } from './simulated-worker.js';

const PROCESSES = 2;
const MOST_STEPS = 6_000;
const SIGNAL_MS = 3_600_000;

/** How often each thing happened in a run. */
export type Happened = Record<string, number>;

export interface FinishedFleet {
  readonly store: ModelStore;
  readonly happened: Happened;
}

export interface FleetOptions {
  /** Is told each step, in words. */
  readonly onStep?: (what: string) => void;
  /** Keeps the calls, to be made again on a database. */
  readonly keepCalls?: boolean;
}

/** The code of a function by its name and arguments. */
export function codeOfFunction(name: string, args: readonly unknown[], maximumAttempts: number): Code {
  if (name === 'started' || name.startsWith('child-')) {
    const given = args as unknown as CallArguments;
    return {
      maximumAttempts,
      perform: async () => {
        if (given[2]) throw new DurableFatalError(`no ${given[0]}`);
        return answerTo(given);
      },
    };
  }
  const [task, awaited] = args as [Task, { signal: string } | undefined];
  return { maximumAttempts, perform: (calls) => performTask(task, awaited?.signal ?? null, calls) };
}

const NAMES = [...ROOTS, 'hook', 'deep', 'spawned', 'started', 'child-0', 'child-1', 'child-2'];

export async function runFleet(
  roots: readonly Root[],
  seed: number,
  options: FleetOptions = {},
): Promise<FinishedFleet> {
  const fleet = new Fleet(roots, seed, options);
  await fleet.run();
  return { store: fleet.store, happened: fleet.happened };
}

type Action = readonly [what: string, act: () => void];

class Fleet {
  readonly store: ModelStore;
  readonly happened: Happened = {};
  readonly #roots: readonly Root[];
  readonly #random: () => number;
  readonly #onStep: (what: string) => void;
  readonly #processes: SimulatedProcess[] = [];
  readonly #attempts: SimulatedAttempts;
  /** How likely a commit is sent when it may be: where connections break and rows are held, it takes long. */
  readonly #pace: number;
  readonly #frozen = new Set<SimulatedProcess>();
  /** Workers whose process is gone and whose lease is not over. */
  readonly #abandoned = new Set<number>();
  /** Calls that were sent once more by somebody who gave up: they arrive at any time. */
  readonly #late: (() => void)[] = [];
  readonly #left: Record<string, number>;
  #started = 0;
  #made = 0;
  #numbers = 0;
  #idle = 0;

  constructor(roots: readonly Root[], seed: number, { onStep = () => {}, keepCalls = false }: FleetOptions) {
    this.store = new ModelStore({ keepCalls });
    this.#roots = roots;
    this.#random = randomFrom(seed);
    this.#onStep = onStep;
    this.#attempts = new SimulatedAttempts(this.store.rows);
    this.#pace = this.#random() < 0.3 ? 0.1 : 1;
    const some = (most: number) => (this.#random() < 0.5 ? 0 : 1 + this.#upTo(most));
    this.#left = {
      kill: some(3),
      freeze: some(2),
      jump: some(2),
      cancel: some(2),
      terminate: some(1),
      pause: some(2),
      hook: some(2),
      signal: some(4),
      unheard: some(2),
      twice: some(4),
    };
    for (let n = 0; n < PROCESSES; n++) this.#processes.push(this.#newProcess());
  }

  #upTo(n: number): number {
    return Math.floor(this.#random() * n);
  }

  readonly #number = (): number => {
    this.#numbers += 1;
    return this.#numbers;
  };

  #newProcess(): SimulatedProcess {
    return new SimulatedProcess({
      store: this.store,
      key: `process-${this.#made++}`,
      names: NAMES,
      run: (instance, name, args) =>
        codeOfFunction(name, args, instance.info.retry.maximumAttempts).perform(new EngineCalls(instance, {})),
      chooseEager: () => this.#random() < 0.5,
      number: this.#number,
      attempts: this.#attempts,
    });
  }

  /** Something that may happen only so often. */
  #take(what: string): boolean {
    const left = this.#left[what] ?? 0;
    this.#left[what] = left - 1;
    return left > 0;
  }

  #may(what: string): boolean {
    return (this.#left[what] ?? 0) > 0;
  }

  get #done(): boolean {
    const { rows } = this.store;
    return (
      this.#started === this.#roots.length &&
      rows.terminations.size === 0 &&
      [...rows.threads.values()].every(({ state }) => state === 'done')
    );
  }

  async run(): Promise<void> {
    for (let step = 0; !this.#done; step++) {
      if (step > MOST_STEPS) throw new Error(`the workflows do not end:\n${this.#describe()}`);
      await turn();
      for (const { reason } of [...this.#processes, this.#attempts]) if (reason !== null) throw reason;
      const [progress, others] = [this.#progress(), this.#others()];
      const busy = this.#processes.some((process) => !process.quiet && !this.#frozen.has(process));
      this.#idle = progress.length === 0 && !busy ? this.#idle + 1 : 0;
      if (this.#idle > 200) throw new Error(`the workflows are stuck:\n${this.#describe()}`);
      // Faults are rarer than work; when nothing else can happen, time passes.
      const from = progress.length > 0 && this.#random() < 0.85 ? progress : others;
      const [what, act] = from[this.#upTo(from.length)] ?? ['nothing', () => {}];
      if (what !== 'nothing') {
        this.happened[what] = (this.happened[what] ?? 0) + 1;
        this.#onStep(what);
      }
      act();
    }
    for (const call of this.#late) call();
    for (const process of this.#processes) process.kill();
  }

  /** What carries the work on. */
  #progress(): Action[] {
    const actions: Action[] = [];
    const { rows } = this.store;
    if (this.#started < this.#roots.length) actions.push(['start', () => this.#start()]);
    for (const process of this.#processes) {
      if (this.#frozen.has(process)) continue;
      this.#progressOf(process, actions);
    }
    if (rows.terminations.size > 0) actions.push(['descend', () => this.store.call('descend')]);
    if ([...rows.signals.values()].some(({ returned }) => returned))
      actions.push(['tidy', () => this.store.call('tidy')]);
    if ([...rows.workers.values()].some((one) => !one.released && (one.dead || one.leaseUntil < rows.now)))
      actions.push(['reap', () => this.store.call('reap')]);
    return actions;
  }

  #progressOf(process: SimulatedProcess, actions: Action[]): void {
    const { rows } = this.store;
    if (process.workerNo === null) {
      actions.push(['register', () => process.register()]);
      return;
    }
    const { workerNo } = process;
    const claimable = [...rows.threads.values()].some((thread) => rows.claimable(thread, workerNo));
    if (claimable || process.wanted.size > 0) actions.push(['claim', () => this.#claim(process)]);
    const unsent = process.commits.filter(
      ({ answer, notBefore }) => answer === null && notBefore <= process.monotonic(),
    );
    if (unsent.length > 0 && this.#random() < this.#pace) actions.push(['commit', () => this.#commit(process, unsent)]);
    for (const commit of process.commits)
      if (commit.answer !== null) actions.push(['hear', () => process.hear(commit)]);
    if (process.hasMail) actions.push(['mail', () => process.fetchMail()]);
    if (process.nextDue <= process.monotonic()) actions.push(['fire', () => process.fireDue()]);
    for (const [key, { makingRow }] of process.eager)
      if (!makingRow) actions.push(['eager', () => process.finishEager(key)]);
    for (const key of process.tasks.keys()) actions.push(['finish', () => process.finishTask(key)]);
    if (process.outcomes.length > 0)
      actions.push(['tell', () => process.sendOutcomes(this.#may('twice') && this.#take('twice'))]);
    if (process.comparison !== null) actions.push(['compared', () => process.compared()]);
    if ([...rows.tasks.values()].some(({ readyAt }) => readyAt !== null && readyAt <= rows.now))
      actions.push(['claim tasks', () => process.claimTasks(!(this.#may('unheard') && this.#take('unheard')))]);
    if (process.releasing.length > 0) actions.push(['release', () => process.release()]);
  }

  /** Faults, what people do, and the passing of time. */
  #others(): Action[] {
    const { rows } = this.store;
    const actions: Action[] = [['time', () => this.#pass()]];
    const runs = [...rows.runs.values()].filter(({ state }) => state === 'open');
    const run = runs[this.#upTo(runs.length)];
    const waits = [...rows.waits.values()];
    const wait = waits[this.#upTo(waits.length)];
    if (wait !== undefined) {
      const target = this.#random() < 0.3 ? (rows.runs.get(rows.thread(wait.thread).run)?.workflowId ?? null) : null;
      actions.push(['signal to a waiter', () => this.#signal(wait.signalId, target)]);
    }
    const paused = runs.find((one) => one.paused);
    if (paused !== undefined) actions.push(['resume', () => this.#resume(paused.workflowId)]);
    if (this.#late.length > 0)
      actions.push(['a late call', () => this.#late.splice(this.#upTo(this.#late.length), 1)[0]?.()]);
    for (const process of this.#processes) this.#faultsOf(process, actions);
    for (const no of this.#abandoned) actions.push(['a lease ends', () => this.#endLease(no)]);
    if (run !== undefined) {
      const id = run.workflowId;
      const happen = (what: string, act: () => void) => {
        if (this.#may(what) && this.#random() < 0.5)
          actions.push([
            what,
            () => {
              this.#take(what);
              act();
            },
          ]);
      };
      happen('cancel', () => this.store.call('cancel', id));
      happen('terminate', () => this.#terminate(id));
      happen('pause', () => this.store.call('pause', this.#number(), id));
      happen('hook', () => this.#hook(id));
      happen('signal', () => this.#signal(signalId(this.#upTo(3)), this.#random() < 0.3 ? id : null));
      happen('jump', () => this.#jump());
    }
    return actions;
  }

  #faultsOf(process: SimulatedProcess, actions: Action[]): void {
    if (this.#frozen.has(process)) {
      actions.push(['a process goes on', () => this.#frozen.delete(process)]);
      return;
    }
    if (process.workerNo === null) return;
    if (this.#may('kill') && this.#random() < 0.3)
      actions.push([
        'a process dies',
        () => {
          this.#take('kill');
          this.#abandoned.add(process.workerNo as number);
          this.#repeatLater(process);
          process.kill();
          this.#processes[this.#processes.indexOf(process)] = this.#newProcess();
        },
      ]);
    if (this.#may('freeze') && this.#random() < 0.3)
      actions.push([
        'a process stands still',
        () => {
          this.#take('freeze');
          this.#frozen.add(process);
          this.#abandoned.add(process.workerNo as number);
        },
      ]);
    const quiet = [...process.threads.values()].filter((thread) => thread.quiet && thread.open.size > 0);
    const thread = quiet[this.#upTo(quiet.length)];
    if (thread !== undefined) actions.push(['park', () => process.park(thread)]);
    if (process.cache.size > 0 && this.#random() < 0.2) actions.push(['evict', () => process.evict()]);
    if (this.#random() < 0.2) actions.push(['compare', () => process.compare()]);
    if (this.#random() < 0.2) actions.push(['renew', () => process.renew()]);
  }

  #start(): void {
    const n = this.#started++;
    const { task, maximumAttempts } = this.#roots[n] as Root;
    const id = ROOTS[n] as string;
    const requestNo = this.#number();
    const config = { ...simulatedRetry, maximumAttempts, initialIntervalMs: 50, backoffCoefficient: 2 };
    const start = () => this.store.call('start', requestNo, id, id, JSON.stringify([task]), JSON.stringify(config));
    if (start() !== 'started') throw new Error(`the start of ${id} was refused`);
    this.#sometimesAgain(start, 'started');
  }

  #claim(process: SimulatedProcess): void {
    const services = process.services.filter(() => this.#random() < 0.7);
    process.claim(services, !(this.#may('unheard') && this.#random() < 0.2 && this.#take('unheard')));
  }

  #commit(process: SimulatedProcess, unsent: SimulatedProcess['commits']): void {
    const some = unsent.filter(() => this.#random() < 0.7);
    const batch = some.length > 0 ? some : unsent.slice(0, 1);
    process.send(batch);
    if (this.#may('twice') && this.#random() < 0.2 && process.workerNo !== null) {
      this.#take('twice');
      this.happened['a commit again'] = (this.happened['a commit again'] ?? 0) + 1;
      process.send(batch);
    }
    if (this.#random() < 0.5) for (const commit of batch) if (process.commits.includes(commit)) process.hear(commit);
  }

  /** Whoever dies may have sent what it had, and it may arrive behind its death. */
  #repeatLater(process: SimulatedProcess): void {
    const { workerNo } = process;
    const items = process.commits.map(({ item }) => item);
    if (items.length === 0 || workerNo === null || this.#random() < 0.3) return;
    this.#late.push(() => {
      try {
        this.store.call('commit', workerNo, items);
      } catch {} // it has lost its lease
    });
  }

  #sometimesAgain(call: () => unknown, answer: unknown): void {
    if (!this.#may('twice') || this.#random() < 0.5) return;
    this.#take('twice');
    this.#late.push(() => {
      const again = call();
      if (again !== answer) throw new Error(`a repeated call was answered ${again}, at first ${answer}`);
    });
  }

  #signal(id: string, workflowId: string | null): void {
    const requestNo = this.#number();
    const send = () =>
      this.store.call('signal', requestNo, id, workflowId, JSON.stringify(`sent ${requestNo}`), SIGNAL_MS);
    this.#sometimesAgain(send, send());
  }

  #terminate(id: string): void {
    const [requestNo, descend] = [this.#number(), this.#random() < 0.5];
    const call = () => this.store.call('terminate', requestNo, id, '{"name":"Error","message":"ended"}', descend);
    this.#sometimesAgain(call, call() === 'terminated' ? 'again' : 'completed');
  }

  #resume(id: string): void {
    const requestNo = this.#number();
    const resume = () => this.store.call('resume', requestNo, id);
    this.#sometimesAgain(resume, resume());
  }

  #hook(id: string): void {
    const task: Task = { body: { do: 'count' }, path: `h${this.#numbers}`, continues: 0, answers: false };
    const requestNo = this.#number();
    const hook = () => this.store.call('hook', requestNo, id, 'hook', JSON.stringify([task]));
    const answer = hook();
    if (answer === 'hooked') this.#sometimesAgain(hook, answer);
  }

  #endLease(no: number): void {
    this.#abandoned.delete(no);
    this.store.call('expireLease', no);
  }

  /** To the next moment at which something is due, or by a little; the leases of those who live are kept. */
  #pass(): void {
    const { rows } = this.store;
    const due: number[] = [];
    for (const thread of rows.threads.values()) {
      if (thread.state === 'owned') due.push(...thread.timers.values());
      else if (thread.readyAt !== null) due.push(thread.readyAt + (thread.affinity === null ? 0 : 500));
    }
    for (const process of this.#processes) {
      for (const { notBefore } of process.commits) due.push(notBefore + rows.skew);
      due.push(process.nextDue + rows.skew);
    }
    const next = Math.min(...due.filter((at) => at > rows.now), rows.now + 100);
    rows.now = this.#random() < 0.5 ? next : Math.min(next, rows.now + 1 + this.#upTo(30));
    for (const process of this.#processes) {
      const worker = process.workerNo === null ? undefined : rows.workers.get(process.workerNo);
      if (!this.#frozen.has(process) && worker !== undefined && worker.leaseUntil - rows.now < LEASE_MS / 2)
        process.renew();
    }
  }

  /** The database's clock is set: forward beyond all leases, or back. */
  #jump(): void {
    const by = this.#random() < 0.5 ? LEASE_MS * 2 : -this.#upTo(400);
    this.store.rows.now += by;
    this.store.rows.skew += by;
  }

  #describe(): string {
    const { rows } = this.store;
    const told = {
      now: rows.now,
      runs: [...rows.runs.values()].map(
        ({ workflowId, no, state, paused }) => `${workflowId} ${no} ${state} ${paused}`,
      ),
      threads: [...rows.threads.values()]
        .filter(({ state }) => state !== 'done')
        .map(({ history, resolved, timers, ...rest }) => ({
          ...rest,
          timers: [...timers],
          last: history.at(-1)?.body,
        })),
      waits: [...rows.waits.values()],
      tasks: [...rows.tasks.values()],
      inbox: [...rows.inbox.values()],
      workers: [...rows.workers.values()],
      processes: this.#processes.map((process) => ({
        no: process.workerNo,
        frozen: this.#frozen.has(process),
        threads: [...process.threads.values()].map((thread) => [
          thread.threadNo,
          thread.stage,
          [...thread.open.keys()],
        ]),
        eager: [...process.eager.keys()],
        tasks: [...process.tasks.keys()],
        commits: process.commits.length,
        recovering: process.recovering,
      })),
    };
    return JSON.stringify(told);
  }
}
