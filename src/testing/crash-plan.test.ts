import { describe, expect, it } from 'vitest';
import { crashPlan, planText, simplerPlans } from './crash-plan.js';

const calls = { commit: 3, start: 1, signal: 2, claim: 2, 'activity result': 1, park: 4 };
const text = (seed: number) => planText(crashPlan(seed, calls));

describe('a crash plan', () => {
  it('goes through the commits first, before and behind each', () => {
    expect([0, 1, 2, 3, 4, 5].map(text)).toEqual(
      [1, 2, 3].flatMap((number) => [`crash before commit ${number}`, `crash after commit ${number}`]),
    );
  });

  it('then through the other calls; one that takes something is not cut before it', () => {
    expect(Array.from({ length: 16 }, (_, index) => text(6 + index))).toEqual([
      ...['start 1', 'signal 1', 'signal 2', 'activity result 1'].flatMap((call) => [
        `crash before ${call}`,
        `crash after ${call}`,
        `${call} twice`,
      ]),
      ...['claim 1', 'claim 2'].flatMap((call) => [`crash after ${call}`, `${call} twice`]),
    ]);
  });

  it('then puts several together, each the same whenever it is made', () => {
    const plans = Array.from({ length: 300 }, (_, index) => crashPlan(22 + index, calls));
    expect(plans).toEqual(Array.from({ length: 300 }, (_, index) => crashPlan(22 + index, calls)));
    const faults = plans.flatMap((plan) => plan.faults);
    expect(new Set(faults.map(({ call }) => call)).size).toBe(9);
    expect(new Set(faults.map(({ fate }) => fate))).toEqual(new Set(['before', 'after', 'twice']));
    expect(faults.some(({ call, fate }) => call === 'claim' && fate === 'before')).toBe(false);
    expect(plans.some(({ forgets }) => forgets) && plans.some(({ forgets }) => !forgets)).toBe(true);
    expect(Math.max(...plans.map((plan) => plan.faults.length))).toBe(3);
  });

  it('has simpler ones: its faults one by one', () => {
    const plan = crashPlan(22 + 300, calls);
    const several = { ...plan, faults: [...crashPlan(0, calls).faults, ...crashPlan(8, calls).faults] };
    expect(simplerPlans(several).map(planText)).toEqual(
      ['no fault', 'crash before commit 1', 'start 1 twice'].map((words) =>
        plan.forgets ? (words === 'no fault' ? 'nothing kept in memory' : `${words}, nothing kept in memory`) : words,
      ),
    );
    expect(simplerPlans({ ...plan, faults: [] })).toEqual([]);
  });
});
