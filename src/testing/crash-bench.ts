/**
 * Runs a workflow again and again on one embedded database, each time by another plan.
 *
 * Owns: one run (a process that dies and begins anew, a client whose calls are doubled, a clock that jumps) and its comparison with the
 * run without faults. Does not own: which faults there are (crash-plan.ts), what the runs say together (crash-report.ts).
 */

import { activity } from '../activity/context.js';
import { Client } from '../client/client.js';
import type { WorkflowHandle } from '../client/handle.js';
import { seededRandom } from '../core/random.js';
import { schemaName } from '../postgres/namespace.js';
import type { UserFunctions } from '../worker/options.js';
import { type CrashPlan, crashPlan, type FaultyCall, NO_FAULT, planText, simplerPlans } from './crash-plan.js';
import {
  type ActivityExecution,
  type CrashReport,
  type CrashRun,
  CrashTestError,
  differenceOf,
  type RepeatedActivity,
  repetitions,
} from './crash-report.js';
import type { ResolvedCrashTest, TimedSignal } from './crash-test-options.js';
import { type EmbeddedDatabase, embeddedDatabase } from './embedded-database.js';
import { faultyConnection, type Meet } from './faulty-connection.js';
import { type FateOf, MortalProcess } from './mortal-process.js';
import { VirtualClock } from './virtual-clock.js';

const TASK_QUEUE = 'crash-test';
const NAMESPACE = 'durable';
const LOOK_MS = 2;

interface Attempted {
  readonly run: CrashRun;
  readonly calls: ReadonlyMap<FaultyCall, number>;
  readonly crashes: number;
}

export class CrashBench {
  readonly #db: EmbeddedDatabase;
  readonly #test: ResolvedCrashTest;
  readonly #client: Client;
  readonly #clock: VirtualClock;
  /** What the client's calls meet in the run under way. */
  #meet: Meet = (_call, send) => send();

  private constructor(db: EmbeddedDatabase, test: ResolvedCrashTest) {
    this.#db = db;
    this.#test = test;
    const connection = faultyConnection(db, (call, send) => this.#meet(call, send));
    this.#client = new Client({ connection, namespace: NAMESPACE });
    this.#clock = new VirtualClock(db, schemaName(NAMESPACE));
  }

  static async open(call: string, test: ResolvedCrashTest): Promise<CrashBench> {
    return new CrashBench(await embeddedDatabase(call), test);
  }

  async close(): Promise<void> {
    await this.#client.close();
    await this.#db.close();
  }

  async test(): Promise<CrashReport> {
    const faultless = await this.#attempt(NO_FAULT);
    const { seeds } = this.#test;
    const calls = Object.fromEntries(faultless.calls);
    const repeated = new Map<string, RepeatedActivity>();
    let crashes = 0;
    for (const seed of seeds) {
      const attempt = await this.#checked(crashPlan(seed, calls), faultless.run);
      crashes += attempt.crashes;
      for (const found of repetitions(attempt.run, seed)) {
        if ((repeated.get(found.name)?.executions ?? 1) < found.executions) repeated.set(found.name, found);
      }
    }
    return {
      runs: 1 + seeds.length,
      commits: faultless.calls.get('commit') ?? 0,
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
    const differs = differenceOf(run, expected, this.#test.given.comparable ?? ((result) => result));
    if (differs !== null) throw new CrashTestError(plan.seed, run.plan, differs);
    return attempt;
  }

  async #attempt(plan: CrashPlan): Promise<Attempted> {
    const { given, workflowName, timeoutMs } = this.#test;
    await given.before?.();
    const executions: ActivityExecution[] = [];
    const calls = new Map<FaultyCall, number>();
    let crashes = 0;
    const fateOf: FateOf = (call) => {
      const number = (calls.get(call) ?? 0) + 1;
      calls.set(call, number);
      const fault = plan.faults.find((each) => each.call === call && each.number === number);
      if (fault !== undefined && fault.fate !== 'twice') crashes++;
      return fault?.fate ?? null;
    };
    const worker = this.#worker(plan, executions);
    const begin = () => MortalProcess.begin(this.#db, worker, fateOf);
    let process = await begin();
    // Whoever starts and signals lives; it is the worker that dies before or behind it.
    this.#meet = async (call, send) => {
      const fate = fateOf(call);
      if (fate === 'before') process.die();
      if (fate === 'twice') await send();
      const answer = await send();
      if (fate === 'after') process.die();
      return answer;
    };
    const seed = plan === NO_FAULT ? null : plan.seed;
    const text = planText(plan);
    try {
      const handle = await this.#client.workflow.start({ taskQueue: TASK_QUEUE, workflowName, args: given.args ?? [] });
      const outcome = endOf(handle);
      const signals = this.#inOrder(plan);
      const startedAt = this.#clock.now();
      const deadline = performance.now() + timeoutMs;
      while (!outcome.ended) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        if (process.dead) process = await begin();
        const moves = await this.#pass(process, handle, signals, startedAt);
        const late = performance.now() > deadline;
        if (moves && !late) continue;
        const { reason, message, details } = await handle.explain();
        if (reason === 'blocked') throw new CrashTestError(seed, text, `it is blocked: ${details.cause}`);
        if (late) throw new CrashTestError(seed, text, `it did not end within ${timeoutMs} ms: ${message}`);
      }
      const run: CrashRun = { seed, plan: text, result: outcome.result, error: outcome.error, activities: executions };
      try {
        await given.assert?.(run);
      } catch (cause) {
        throw new CrashTestError(seed, text, (cause as Error)?.message ?? String(cause), { cause });
      }
      return { run, calls, crashes };
    } finally {
      process.die();
    }
  }

  #worker(plan: CrashPlan, executions: ActivityExecution[]): Parameters<typeof MortalProcess.begin>[1] {
    const { workflow, activities = {}, options } = this.#test.given;
    return {
      namespace: NAMESPACE,
      taskQueue: TASK_QUEUE,
      workflow,
      activities: recorded(
        typeof activities === 'function' ? (activities as () => UserFunctions)() : activities,
        executions,
      ),
      options: { logLevel: 'silent', parkAfter: 0, ...(plan.forgets && { maxCachedWorkflows: 0 }), ...options },
    };
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
    return this.#test.signals
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
