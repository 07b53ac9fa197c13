import * as v from 'valibot';
import { checkIdentifier } from '../core/identifier.js';
import { parseOptions } from '../core/options.js';
import { refusal } from '../core/refusal.js';
import { unawaited } from '../core/unawaited.js';
import {
  type ActivityOptions,
  type ActivityPlan,
  activityOptions,
  callActivity,
  planOf,
  refuseBothNames,
} from './proxy-activities.js';

/** Options of {@link run}: those of an activity that runs where its workflow runs. */
export type StepOptions = Omit<ActivityOptions, 'activities' | 'taskQueue' | 'scheduleToStartTimeout'>;

const stepOptions = v.omit(activityOptions, ['activities', 'taskQueue', 'scheduleToStartTimeout']);

/** Without options there is one plan for all, which knows the policy it comes to. */
let usual: ActivityPlan | null = null;

/**
 * An activity written in place: `step` runs once its scheduling is durable, is retried by the same policy as any activity,
 * and its result is recorded once; a replay gets the result without running it. It runs only in the process that runs the
 * workflow: when that process dies, the recovered workflow offers the function again.
 *
 * Inside it `Durable.activity` works (attempt, idempotency key, heartbeats, abort signal), durable calls do not. What it
 * finds in the variables around it may be read, but what it writes there is lost in a replay: return it.
 *
 * @param name What it is called in the history; compared in a replay, like an activity's name.
 * @throws {InvalidArgumentError} for a name or options that make no sense.
 *
 * @example
 * const user = await Durable.workflow.run('load user', () => db.users.find(id), { retry: { maximumAttempts: 3 } });
 */
export function run<T>(name: string, step: () => T, options?: StepOptions): Promise<Awaited<T>> {
  try {
    checkIdentifier('run', 'name', name);
    if (typeof step !== 'function')
      throw refusal('run', 'step', { must: 'a function', todo: 'Write `() => ...` around the call' }, step);
    return callActivity(planFor(name, step, options), name, []) as Promise<Awaited<T>>;
  } catch (error) {
    return unawaited(Promise.reject(error));
  }
}

function planFor(name: string, step: () => unknown, options: StepOptions | undefined): ActivityPlan {
  if (options !== undefined) {
    parseOptions('run', stepOptions, options);
    refuseBothNames('run', options);
  }
  usual ??= planOf('run', {});
  const plan = options === undefined ? usual : planOf('run', options);
  // Interceptors find it among the options, as they do for a proxy.
  return { ...plan, options: { ...options, activities: { [name]: step } }, implementations: new Map([[name, step]]) };
}
