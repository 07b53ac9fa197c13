/**
 * Activities of a test: typed, with a record of their calls, and results or failures to be given call by call.
 *
 * An attempt that runs once more, since its process died behind it, gets what it got before: a mock is as steady as the
 * provider it stands for, and a crash changes no result.
 */

import { activityHere } from '../activity/context.js';
import { ApplicationFailure } from '../core/application-failure.js';
import { InvalidArgumentError } from '../core/errors.js';
import { checkIdentifier } from '../core/identifier.js';
import { refusal } from '../core/refusal.js';
import type { UserFunction } from '../worker/options.js';

// biome-ignore lint/suspicious/noExplicitAny: any activity; its own types come back through A
type Activities = { readonly [name: string]: (...args: any[]) => unknown };

/** One execution of a mocked activity. */
export interface MockCall<F extends UserFunction = UserFunction> {
  readonly args: Parameters<F>;
  /** 1 for the first attempt; 0 when it was called outside of an activity. */
  readonly attempt: number;
  /** The same for all executions of one call of the workflow; empty outside of an activity. */
  readonly idempotencyKey: string;
  readonly workflowId: string;
  /** How it ended; `pending` while it runs. */
  readonly status: 'pending' | 'returned' | 'failed';
  /** What it returned, awaited. */
  readonly result: Awaited<ReturnType<F>> | undefined;
  readonly error: unknown;
}

/** An activity that does as it is told. What is given for once is used up first, in order. */
export interface MockActivity<F extends UserFunction = UserFunction> {
  (...args: Parameters<F>): Promise<Awaited<ReturnType<F>>>;
  /** Its executions, in the order in which they began. Retries and repetitions are calls of their own. */
  readonly calls: readonly MockCall<F>[];
  /** What each further execution returns. */
  returns(result: Awaited<ReturnType<F>>): this;
  /** What the next execution returns that nothing is given for yet. */
  returnsOnce(result: Awaited<ReturnType<F>>): this;
  /** What each further execution fails with. It is retried as the workflow's policy says; an ApplicationFailure may say otherwise. */
  fails(error: Error | string): this;
  /** What the next execution fails with that nothing is given for yet. */
  failsOnce(error: Error | string): this;
  /** What each further execution does. */
  does(run: (...args: Parameters<F>) => ReturnType<F> | Awaited<ReturnType<F>>): this;
  /** Forgets calls and what it was given; it does again what it was made with. */
  reset(): this;
}

/** By the names that workflows call: what `activities` of a worker, a `TestEnvironment` or a crash test takes. */
export type MockActivities<A> = {
  readonly [K in keyof A & string as A[K] extends UserFunction ? K : never]: A[K] extends UserFunction
    ? MockActivity<A[K]>
    : never;
};

const CALL = 'mockActivities';

/**
 * Mocks of activities, for workflows under test. What a mock was not told it does not do: an execution without a result fails its
 * activity for good, and says so.
 *
 * @param activities Functions that the mocks run until they are told otherwise, or the names alone.
 * @throws {InvalidArgumentError} for anything but functions by name, or names.
 *
 * @example
 * const shop = mockActivities<typeof activities>(['charge', 'ship']);
 * shop.charge.failsOnce('card declined').returns('receipt');
 * shop.ship.does(async (order) => `shipped ${order}`);
 * const env = await TestEnvironment.create({ workflow: order, activities: shop });
 * assert.equal(await (await env.start('order', ['o-1'])).result(), 'shipped o-1');
 * assert.deepEqual(shop.charge.calls.map(({ args, status }) => [args[0], status]), [['o-1', 'failed'], ['o-1', 'returned']]);
 */
export function mockActivities<A extends object = Activities>(
  activities: Partial<A> | readonly (keyof A & string)[],
): MockActivities<A> {
  if (typeof activities !== 'object' || activities === null)
    throw refusal(CALL, 'activities', { must: 'an object of functions, or an array of names' }, activities);
  const named: [string, unknown][] = Array.isArray(activities)
    ? activities.map((name: unknown) => [checkIdentifier(CALL, 'name', name), null])
    : Object.entries(activities);
  return Object.fromEntries(
    named.map(([name, run]) => {
      if (run !== null && typeof run !== 'function') throw refusal(CALL, name, { must: 'a function' }, run);
      return [name, mock(name, run as UserFunction | null)];
    }),
  ) as MockActivities<A>;
}

/** {@link MockActivity.reset} of all of them. */
export function resetMocks(mocks: Readonly<Record<string, unknown>>): void {
  if (typeof mocks !== 'object' || mocks === null)
    throw refusal('resetMocks', 'mocks', { must: 'what mockActivities returned' }, mocks);
  for (const [name, each] of Object.entries(mocks)) {
    if (typeof each !== 'function' || !('reset' in each) || typeof each.reset !== 'function')
      throw new InvalidArgumentError(
        `resetMocks: ${name} must be a mock; got something that mockActivities did not make`,
      );
    each.reset();
  }
}

type Recorded = { -readonly [K in keyof MockCall]: MockCall[K] };

function mock(name: string, made: UserFunction | null): MockActivity {
  const unknown = () => {
    throw ApplicationFailure.nonRetryable(
      `${name}: this mock has no result. Tell it: ${name}.returns(...), .does(...) or .fails(...)`,
    );
  };
  let calls: Recorded[] = [];
  let once: UserFunction[] = [];
  let always: UserFunction = made ?? unknown;
  /** What executions were given, by call and attempt: a repetition gets the same. */
  let given = new Map<string, UserFunction>();

  const behaviour = (repetition: string): UserFunction => {
    const known = given.get(repetition);
    if (known !== undefined) return known;
    const next = once.shift() ?? always;
    if (repetition !== '') given.set(repetition, next);
    return next;
  };
  const run = async (...args: unknown[]) => {
    const context = activityHere();
    const { attempt = 0, idempotencyKey = '', workflowId = '' } = context ?? {};
    const call: Recorded = {
      args,
      attempt,
      idempotencyKey,
      workflowId,
      status: 'pending',
      result: undefined,
      error: undefined,
    };
    calls.push(call);
    try {
      call.result = await behaviour(context === undefined ? '' : `${attempt} ${idempotencyKey}`)(...args);
      call.status = 'returned';
      return call.result;
    } catch (error) {
      call.error = error;
      call.status = 'failed';
      throw error;
    }
  };
  const thrower = (error: Error | string) => () => {
    throw typeof error === 'string' ? new Error(error) : error;
  };
  const told = (): MockActivity => mocked;
  const mocked: MockActivity = Object.defineProperties(run, {
    name: { value: name },
    calls: { get: () => calls },
  }) as never;
  return Object.assign(mocked, {
    returns: (result: unknown) => {
      always = () => result;
      return told();
    },
    returnsOnce: (result: unknown) => {
      once.push(() => result);
      return told();
    },
    fails: (error: Error | string) => {
      always = thrower(error);
      return told();
    },
    failsOnce: (error: Error | string) => {
      once.push(thrower(error));
      return told();
    },
    does: (does: UserFunction) => {
      always = does;
      return told();
    },
    reset: () => {
      calls = [];
      once = [];
      given = new Map();
      always = made ?? unknown;
      return told();
    },
  });
}
