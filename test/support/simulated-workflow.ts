/**
 * One workflow function over a simulated store, moved by hand: say what happens, look at what it did. Commits are applied
 * at once; nothing happens by itself but code that awaits something of its own.
 */

import { type Failure, failureFromError } from '../../src/core/failure.js';
import type { Command, RecordedStep } from '../../src/core/history.js';
import { defaultRetryPolicy, type RetryPolicy } from '../../src/core/retry-policy.js';
import type { Instance } from '../../src/replay/instance.js';
import type { OpenOperations } from '../../src/worker/open-operation.js';
import { readHistory } from '../../src/worker/thread-history.js';
import { SimulatedStore } from './simulated-store.js';
import { type SimulatedFunction, SimulatedWorker, turn } from './simulated-worker.js';

export interface SimulatedWorkflowOptions {
  readonly retry?: Partial<RetryPolicy>;
  /** Activities run in the worker itself. Default: each has a task row. */
  readonly eager?: boolean;
  /** How long a replay waits for a recorded command, in real milliseconds. */
  readonly lateCommandMs?: number;
}

/** A run that was retried takes this long to be due. */
const RETRY_MS = 1_000;
/** Turns without anything to do after which nothing is expected any more. */
const CALM_TURNS = 4;

export class SimulatedWorkflow {
  readonly store = new SimulatedStore();
  readonly worker: SimulatedWorker;
  readonly retry: RetryPolicy;
  #run: SimulatedFunction;
  /** Instances of the function, in the order in which they were made. */
  readonly instances: Instance[] = [];

  private constructor(run: SimulatedFunction, options: SimulatedWorkflowOptions) {
    this.#run = run;
    this.retry = { ...defaultRetryPolicy, maximumAttempts: 0, initialIntervalMs: RETRY_MS, ...options.retry };
    this.worker = new SimulatedWorker({
      store: this.store,
      run: (instance) => {
        this.instances.push(instance);
        return this.#run(instance);
      },
      retry: this.retry,
      chooseEager: () => options.eager ?? false,
      autoCommit: true,
      lateCommandMs: options.lateCommandMs ?? 30,
    });
  }

  /** Starts the function and lets it run until it waits. */
  static async begin(run: SimulatedFunction, options: SimulatedWorkflowOptions = {}): Promise<SimulatedWorkflow> {
    const workflow = new SimulatedWorkflow(run, options);
    workflow.worker.claim();
    await workflow.settle();
    return workflow;
  }

  /** Lets everything run that needs nothing from outside. */
  async settle(): Promise<this> {
    await this.worker.recovering;
    for (let calm = 0; calm < CALM_TURNS; calm = this.worker.quiet ? calm + 1 : 0) await turn();
    return this;
  }

  // ---- what happens

  /** An activity or a child completes, chosen by its name (the first that waits) or its operation. */
  complete(which: string | number, value?: unknown): Promise<this> {
    return this.#end(which, { ok: true, text: value === undefined ? null : JSON.stringify(value) });
  }

  /** An activity or a child fails for good. */
  fail(which: string | number, error: unknown): Promise<this> {
    return this.#end(which, { ok: false, failure: failureFromError(error) });
  }

  /** Completes several activities before the worker looks: they are delivered in one activation. */
  completeTogether(...names: string[]): Promise<this> {
    for (const name of names) this.store.finishTask(this.op(name), { ok: true, text: JSON.stringify(name) });
    return this.look();
  }

  /** Time passes until the next timer of the thread is due. */
  async fire(): Promise<this> {
    if (this.store.nextDue === Infinity) throw new Error('no timer is armed');
    this.store.now = Math.max(this.store.now, this.store.nextDue);
    this.worker.fireDue();
    return this.settle();
  }

  signal(id: string, data?: unknown): Promise<this> {
    this.store.signal(id, data === undefined ? null : JSON.stringify(data));
    return this.look();
  }

  cancel(): Promise<this> {
    this.store.cancel();
    return this.look();
  }

  /** The worker fetches its mail. */
  look(): Promise<this> {
    this.worker.fetchMail();
    return this.settle();
  }

  /** The process ends and another one goes on, with new code if any. */
  async crash(code?: SimulatedFunction): Promise<this> {
    if (code !== undefined) this.#run = code;
    this.worker.kill();
    this.worker.reason = null;
    if (!this.store.closed) this.worker.claim();
    return this.settle();
  }

  #end(
    which: string | number,
    outcome: { ok: true; text: string | null } | { ok: false; failure: Failure },
  ): Promise<this> {
    const op = typeof which === 'number' ? which : this.op(which);
    if (this.worker.eager.delete(op))
      this.worker.thread?.post({
        event: outcome.ok
          ? {
              kind: 'done',
              op,
              value: outcome.text === null ? undefined : JSON.parse(outcome.text),
              text: outcome.text,
            }
          : { kind: 'fail', op, failure: outcome.failure },
        inboxNo: null,
      });
    this.store.finishTask(op, outcome);
    this.store.endChild(op, outcome);
    return this.look();
  }

  // ---- what it did

  /** The first open operation of this name: an activity, or a child. */
  op(name: string): number {
    for (const [op, task] of this.store.tasks) if (task.name === name) return op;
    for (const [op, child] of this.store.children) if (child.name === name) return op;
    for (const op of this.worker.eager) {
      const operation = this.open.get(op);
      if (operation?.kind === 'activity' && operation.name === name) return op;
    }
    throw new Error(`nothing of the name ${name} is under way`);
  }

  get open(): OpenOperations {
    return this.worker.thread?.open ?? new Map();
  }

  get instance(): Instance | null {
    return this.worker.instance;
  }

  get steps(): readonly RecordedStep[] {
    return readHistory({ taskQueue: 'test', retry: this.retry, workflowId: 'w-1' }, this.store.rows).steps;
  }

  /** Each step as `event: commands`. */
  get story(): string[] {
    return this.steps.map(({ event, commands }) => {
      const told = [event.kind, 'op' in event ? event.op : '', event.kind === 'cancel' ? `[${event.ops}]` : '']
        .filter((part) => part !== '')
        .join(' ');
      return commands.length === 0 ? told : `${told}: ${commands.map(({ command }) => wordsOf(command)).join(', ')}`;
    });
  }

  /** All commands, in the order of history. */
  get commands(): string[] {
    return this.steps.flatMap((step) => step.commands.map(({ command }) => wordsOf(command)));
  }

  /** Why no process can go on with it. */
  get blocked(): Error | null {
    return this.worker.reason;
  }

  /** How it ended; null while it runs. */
  get ending(): { readonly state: string; readonly value: unknown } | null {
    const { closing } = this.store;
    if (closing === null) return null;
    return { state: closing.state, value: closing.result === null ? undefined : JSON.parse(closing.result) };
  }
}

function wordsOf(command: Command): string {
  return command.name === '' ? command.kind : `${command.kind} ${command.name}`;
}
