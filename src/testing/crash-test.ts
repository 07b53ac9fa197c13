import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import { activity } from '../activity/context.js';
import { Client } from '../client/client.js';
import type { WorkflowHandle } from '../client/handle.js';
import { parseDuration } from '../core/duration.js';
import { InvalidArgumentError } from '../core/errors.js';
import { parseOptions } from '../core/options.js';
import { seededRandom } from '../core/random.js';
import { shownValue } from '../core/shown-value.js';
import { schemaName } from '../postgres/namespace.js';
import { functionsOf, type UserFunction, type UserFunctions, type WorkerTuning } from '../worker/options.js';
import { type CrashPlan, crashPlan, planText, simplerPlans } from './crash-plan.js';
import { type EmbeddedDatabase, embeddedDatabase } from './embedded-database.js';
import { type Fate, MortalProcess } from './mortal-process.js';
import { VirtualClock } from './virtual-clock.js';

/** A signal that the workflow is sent. */
export interface TestSignal {
  readonly id: string;
  readonly data?: unknown;
  /** How long after the start, in virtual time: `'2 days'`, or ms. Default: at once. */
  readonly at?: string | number;
}

/** One execution of an activity's function. */
export interface ActivityExecution {
  readonly name: string;
  readonly args: readonly unknown[];
  /** The same for all executions of one call: what a payment provider wants to be given. */
  readonly idempotencyKey: string;
}

/** How one run ended. */
export interface CrashRun {
  readonly seed: number | null;
  /** In words; `no fault` for the first run. */
  readonly plan: string;
  /** What the workflow returned; undefined when it failed. */
  readonly result: unknown;
  /** What it failed with; null when it did not. */
  readonly error: Error | null;
  /** In the order in which they began. */
  readonly activities: readonly ActivityExecution[];
}

/** An activity that ran more than once for one call. */
export interface RepeatedActivity {
  readonly name: string;
  /** The most executions of one call, and the plan of that run. */
  readonly executions: number;
  readonly seed: number;
  readonly plan: string;
}

/** What {@link crashTest} found to be in order. */
export interface CrashReport {
  readonly runs: number;
  /** Commits of the run without faults. */
  readonly commits: number;
  readonly crashes: number;
  /** Of the run without faults; all others ended alike. */
  readonly result: unknown;
  /** Activities that ran twice for one call, as each may that is no transaction of this database. They must be idempotent. */
  readonly repeated: readonly RepeatedActivity[];
}

/** Options of {@link crashTest}. */
export interface CrashTestOptions {
  /** The function to be tested, or several: then {@link workflowName} says which. */
  readonly workflow: UserFunction | UserFunctions;
  readonly workflowName?: string;
  readonly args?: readonly unknown[];
  /** Made anew for each run when a function is given: `() => ({ charge, ship })`. */
  readonly activities?: UserFunctions | (() => UserFunctions);
  readonly signals?: readonly TestSignal[];
  /**
   * How many runs with faults, or the seeds of those to be run again. The first two for each commit crash before and behind it;
   * those that follow put several faults together: crashes, commits that arrive twice, instances dropped from memory, signals in
   * another order. Default 50.
   */
  readonly seeds?: number | readonly number[];
  /** Called before each run, to put back what the activities write to. */
  readonly before?: () => unknown;
  /** Called behind each run; what it throws fails the test, with the plan: compare your own effects here. */
  readonly assert?: (run: CrashRun) => unknown;
  /** What of a result is compared. Default: all. Leave out what differs in each run: generated ids, random numbers, times. */
  readonly comparable?: (result: unknown) => unknown;
  /** How long a run may take, in real time, before it counts as stuck. Default `'20s'`. */
  readonly timeout?: string | number;
  /** Of the worker. */
  readonly options?: WorkerTuning;
}

const shape = v.strictObject({
  workflow: v.unknown(),
  workflowName: v.optional(v.string('text')),
  args: v.optional(v.array(v.unknown(), 'an array of arguments')),
  activities: v.optional(v.unknown()),
  signals: v.optional(
    v.array(
      v.strictObject({ id: v.string('text'), data: v.optional(v.unknown()), at: v.optional(v.unknown()) }),
      'an array of signals',
    ),
  ),
  seeds: v.optional(
    v.custom<number | number[]>(
      (seeds) => (Array.isArray(seeds) ? seeds : [seeds]).every((seed) => Number.isSafeInteger(seed) && seed >= 0),
      'a whole number from 0, or an array of them',
    ),
  ),
  before: v.optional(v.function('a function')),
  assert: v.optional(v.function('a function')),
  comparable: v.optional(v.function('a function')),
  timeout: v.optional(v.unknown()),
  options: v.optional(v.looseObject({})),
});

const CALL = 'crashTest';
const TASK_QUEUE = 'crash-test';
const NAMESPACE = 'durable';
const LOOK_MS = 2;

/** A run with faults that did not end like the run without. Its message names the seed and the shortest plan that fails. */
export class CrashTestError extends Error {
  override readonly name = 'CrashTestError';
  constructor(
    readonly seed: number | null,
    readonly plan: string,
    what: string,
    options?: ErrorOptions,
  ) {
    super(
      seed === null ? `without any fault: ${what}` : `seed ${seed}, ${plan}: ${what}. Again with { seeds: [${seed}] }`,
      options,
    );
  }
}

/**
 * Runs a workflow on the real engine and a database in memory, again and again: with its process killed before and behind every
 * commit, with answers that are lost, with nothing kept in memory; in virtual time. Each run has to end like the one without faults.
 *
 * @throws {CrashTestError} with the seed and the shortest plan that fails: another result, a workflow that is blocked since its code
 *   is not deterministic, one that is stuck, or what `assert` threw.
 * @throws {InvalidArgumentError} for options it does not know.
 *
 * @example
 * const report = await crashTest({
 *   workflow: order,
 *   args: ['o-1'],
 *   activities: { charge, ship },
 *   signals: [{ id: 'approved', data: true, at: '2 days' }],
 *   assert: ({ activities }) => assert(new Set(activities.map((a) => a.idempotencyKey)).size === 2),
 * });
 * console.log(report.repeated); // activities that ran twice
 */
export async function crashTest(options: CrashTestOptions): Promise<CrashReport> {
  const given = parseOptions(CALL, shape, options);
  const functions = functionsOf(CALL, 'workflow', options.workflow, true);
  const workflowName = given.workflowName ?? [...functions.keys()][0];
  if (
    workflowName === undefined ||
    !functions.has(workflowName) ||
    (functions.size > 1 && given.workflowName === undefined)
  )
    throw new InvalidArgumentError(
      `${CALL}: workflowName must be one of ${[...functions.keys()].join(', ')}; got ${shownValue(given.workflowName)}`,
    );
  const bench = await CrashBench.open(options, workflowName);
  try {
    return await bench.test();
  } finally {
    await bench.close();
  }
}

interface TimedSignal extends TestSignal {
  /** Behind the start. */
  readonly atMs: number;
}

interface Attempted {
  readonly run: CrashRun;
  readonly commits: number;
  readonly crashes: number;
}

class CrashBench {
  readonly #db: EmbeddedDatabase;
  readonly #options: CrashTestOptions;
  readonly #workflowName: string;
  readonly #client: Client;
  readonly #clock: VirtualClock;
  readonly #timeoutMs: number;
  readonly #signals: readonly TimedSignal[];

  private constructor(db: EmbeddedDatabase, options: CrashTestOptions, workflowName: string) {
    this.#db = db;
    this.#options = options;
    this.#workflowName = workflowName;
    this.#client = new Client({ connection: { class: db }, namespace: NAMESPACE });
    this.#clock = new VirtualClock(db, schemaName(NAMESPACE));
    this.#timeoutMs = parseDuration(CALL, options.timeout ?? '20s', 'timeout');
    this.#signals = (options.signals ?? []).map((signal, index) => ({
      ...signal,
      atMs: signal.at === undefined ? 0 : parseDuration(CALL, signal.at, `signals[${index}].at`),
    }));
  }

  static async open(options: CrashTestOptions, workflowName: string): Promise<CrashBench> {
    return new CrashBench(await embeddedDatabase(CALL), options, workflowName);
  }

  async close(): Promise<void> {
    await this.#client.close();
    await this.#db.close();
  }

  async test(): Promise<CrashReport> {
    const faultless = await this.#attempt({ seed: -1, fates: new Map(), forgets: false, shuffle: 0 });
    const { commits } = faultless;
    const { seeds = 50 } = this.#options;
    const chosen = typeof seeds === 'number' ? Array.from({ length: seeds }, (_, seed) => seed) : seeds;
    const repeated = new Map<string, RepeatedActivity>();
    let crashes = 0;
    for (const seed of chosen) {
      const plan = crashPlan(seed, commits);
      const attempt = await this.#checked(plan, faultless.run);
      crashes += attempt.crashes;
      for (const found of repetitions(attempt.run, seed)) {
        if ((repeated.get(found.name)?.executions ?? 1) < found.executions) repeated.set(found.name, found);
      }
    }
    return {
      runs: 1 + chosen.length,
      commits,
      crashes,
      result: faultless.run.result,
      repeated: [...repeated.values()],
    };
  }

  /** One plan; a failure is that of the simplest part of it which fails too. */
  async #checked(plan: CrashPlan, expected: CrashRun): Promise<Attempted> {
    try {
      return await this.#compared(plan, expected);
    } catch (error) {
      for (const simpler of simplerPlans(plan)) await this.#compared(simpler, expected);
      throw error;
    }
  }

  async #compared(plan: CrashPlan, expected: CrashRun): Promise<Attempted> {
    const attempt = await this.#attempt(plan);
    const { run } = attempt;
    const differs = differenceOf(run, expected, this.#options.comparable ?? ((result) => result));
    if (differs !== null) throw new CrashTestError(plan.seed, run.plan, differs);
    return attempt;
  }

  async #attempt(plan: CrashPlan): Promise<Attempted> {
    await this.#options.before?.();
    const executions: ActivityExecution[] = [];
    let commits = 0;
    let crashes = 0;
    const fateOf = (): Fate | null => {
      const fate = plan.fates.get(++commits) ?? null;
      if (fate === 'before' || fate === 'after') crashes++;
      return fate;
    };
    const { activities = {} } = this.#options;
    const worker = {
      namespace: NAMESPACE,
      taskQueue: TASK_QUEUE,
      workflow: this.#options.workflow,
      activities: recorded(
        typeof activities === 'function' ? (activities as () => UserFunctions)() : activities,
        executions,
      ),
      options: {
        logLevel: 'silent',
        parkAfter: 0,
        ...(plan.forgets && { maxCachedWorkflows: 0 }),
        ...this.#options.options,
      },
    };
    const begin = () => MortalProcess.begin(this.#db, worker, fateOf);
    let process = await begin();
    const seed = plan.seed < 0 ? null : plan.seed;
    const text = planText(plan);
    try {
      const handle = await this.#client.workflow.start({
        taskQueue: TASK_QUEUE,
        workflowName: this.#workflowName,
        args: this.#options.args ?? [],
      });
      const outcome = endOf(handle);
      const signals = this.#inOrder(plan);
      const startedAt = this.#clock.now();
      const deadline = performance.now() + this.#timeoutMs;
      while (!outcome.ended) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        if (process.dead) process = await begin();
        const moves = await this.#pass(process, handle, signals, startedAt);
        const late = performance.now() > deadline;
        if (moves && !late) continue;
        const { reason, message, details } = await handle.explain();
        if (reason === 'blocked') throw new CrashTestError(seed, text, `it is blocked: ${details.cause}`);
        if (late) throw new CrashTestError(seed, text, `it did not end within ${this.#timeoutMs} ms: ${message}`);
      }
      const run: CrashRun = { seed, plan: text, result: outcome.result, error: outcome.error, activities: executions };
      try {
        await this.#options.assert?.(run);
      } catch (cause) {
        throw new CrashTestError(seed, text, (cause as Error)?.message ?? String(cause), { cause });
      }
      return { run, commits, crashes };
    } finally {
      process.die();
    }
  }

  /** One step: the next signal, or on to whatever is due. @returns false when everything rests, and nothing is to come. */
  async #pass(
    process: MortalProcess,
    handle: WorkflowHandle,
    signals: TimedSignal[],
    startedAt: number,
  ): Promise<boolean> {
    const dueInMs = await this.#clock.rest(process.host);
    if (dueInMs === null || process.dead) return true;
    const next = signals[0];
    const signalInMs = next === undefined ? Infinity : Math.max(0, startedAt + next.atMs - this.#clock.now());
    if (signalInMs <= dueInMs && next !== undefined) {
      if (signalInMs > 0) await this.#clock.jump(process.host, signalInMs);
      signals.shift();
      await handle.signal(next.id, next.data).catch(() => {}); // it has ended: nobody waits for it
    } else if (dueInMs !== Infinity) {
      await this.#clock.jump(process.host, dueInMs);
    } else {
      return false;
    }
    return true;
  }

  /** By their times; in another order where those are equal, but for signals under one id, which keep theirs. */
  #inOrder({ shuffle }: CrashPlan): TimedSignal[] {
    const place = (index: number) => (shuffle === 0 ? index : seededRandom(`signals ${shuffle}`, index));
    return this.#signals
      .map((signal, index) => ({ signal, place: place(index) }))
      .sort((one, other) => {
        const apart = one.signal.atMs - other.signal.atMs;
        return apart || (one.signal.id === other.signal.id ? 0 : one.place - other.place);
      })
      .map(({ signal }) => signal);
  }
}

/** Watches for the end of a workflow. */
function endOf(handle: WorkflowHandle): { ended: boolean; result: unknown; error: Error | null } {
  const outcome = { ended: false, result: undefined as unknown, error: null as Error | null };
  handle.result().then(
    (result) => Object.assign(outcome, { ended: true, result }),
    (error: Error) => Object.assign(outcome, { ended: true, error }),
  );
  return outcome;
}

/** The activities, each of whose executions is noted. */
function recorded(activities: UserFunctions, executions: ActivityExecution[]): UserFunctions {
  return Object.fromEntries(
    Object.entries(activities).map(([name, run]) => [
      name,
      (...args: unknown[]) => {
        executions.push({ name, args, idempotencyKey: activity.getContext().idempotencyKey });
        return run(...args);
      },
    ]),
  );
}

function repetitions({ activities, plan }: CrashRun, seed: number): RepeatedActivity[] {
  const counts = new Map<string, { name: string; executions: number }>();
  for (const { name, idempotencyKey } of activities) {
    const known = counts.get(idempotencyKey) ?? { name, executions: 0 };
    counts.set(idempotencyKey, { name, executions: known.executions + 1 });
  }
  return [...counts.values()]
    .filter(({ executions }) => executions > 1)
    .map(({ name, executions }) => ({ name, executions, seed, plan }));
}

function differenceOf(run: CrashRun, expected: CrashRun, comparable: (result: unknown) => unknown): string | null {
  if (expected.error === null && run.error !== null)
    return `it failed with ${run.error}, and gives ${shownValue(expected.result)} otherwise`;
  if (expected.error !== null && run.error === null)
    return `it gave ${shownValue(run.result)}, and fails with ${expected.error} otherwise`;
  if (expected.error !== null && `${run.error}` !== `${expected.error}`)
    return `it failed with ${run.error}, otherwise with ${expected.error}`;
  if (!isDeepStrictEqual(comparable(run.result), comparable(expected.result)))
    return `it gave ${shownValue(run.result)}, otherwise ${shownValue(expected.result)}`;
  return null;
}
