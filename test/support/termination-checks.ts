/** What must hold of terminating from inside and of descendants, in short: see protocol-checks.ts. */

import { expect } from 'vitest';
import { child, claimOnly, complete, end, endGeneration, register, running, step, terminate } from './protocol.js';
import type { Session } from './protocol-session.js';
import { stateOf } from './protocol-state.js';
import type { Check } from './stage.js';

async function statesOf(session: Session): Promise<Record<string, string>> {
  const { executions = [] } = await stateOf(session);
  return Object.fromEntries(executions.map(({ run, state }) => [run, state])) as Record<string, string>;
}

export const terminationChecks: Record<string, Check> = {
  'descendants end, all generations of them': async ({ control }) => {
    const worker = await register(control);
    await step(control, await running(control, worker, 'a'), { opens: 1, effects: [child(0, 'b')] });
    await step(control, await claimOnly(control, worker, 'b'), {
      opens: 1,
      effects: [child(0, 'c', { awaited: false })],
    });
    await terminate(control, 'a', { descend: true });
    while (await endGeneration(control));
    expect(await statesOf(control)).toEqual({ 'a/0': 'terminated', 'b/0': 'terminated', 'c/0': 'terminated' });
  },

  'a large family ends to the last': async ({ control }) => {
    const worker = await register(control);
    const effects = Array.from({ length: 101 }, (_, op) => child(op, `kid ${op}`, { awaited: false }));
    await step(control, await running(control, worker, 'a'), { opens: effects.length, effects });
    await terminate(control, 'a', { descend: true });
    while (await endGeneration(control));
    expect(new Set(Object.values(await statesOf(control)))).toEqual(new Set(['terminated']));
  },

  'a workflow that ends itself is told': async ({ control }) => {
    const thread = await running(control, await register(control), 'a');
    expect(await step(control, thread, { opens: 1, effects: [end(0, 'a')] })).toEqual([[0, 'ended']]);
  },

  'one that has ended is not terminated by another': async ({ control }) => {
    const worker = await register(control);
    await complete(control, await running(control, worker, 'a'));
    expect(await step(control, await running(control, worker, 'b'), { opens: 1, effects: [end(0, 'a')] })).toEqual([
      [0, 'completed'],
    ]);
    expect(await statesOf(control)).toMatchObject({ 'a/0': 'completed' });
  },
};
