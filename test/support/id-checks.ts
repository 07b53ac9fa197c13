/** What must hold of ids and of what is due, in short: see protocol-checks.ts. */

import { expect } from 'vitest';
import { cancel, claimOnly, endDue, park, register, startAll, startItem, step, terms, wait } from './protocol.js';
import { stateOf } from './protocol-state.js';
import type { Check } from './stage.js';

export const idChecks: Record<string, Check> = {
  'a start on terms whose answer was lost has its effect once': async ({ control }) => {
    const given = { conflict: 'USE_EXISTING', signalId: 'go', payload: '1', expireMs: 60_000 } as const;
    await startAll(control, [startItem('a')]);
    const item = startItem('a', { terms: terms(given) });
    const [answer] = await startAll(control, [item]);
    expect(await startAll(control, [item])).toEqual([answer]);
    expect((await stateOf(control)).signals).toHaveLength(1);
    const replaces = startItem('a', { terms: terms({ conflict: 'TERMINATE_EXISTING' }) });
    const [replaced] = await startAll(control, [replaces]);
    expect(await startAll(control, [replaces])).toEqual([replaced]);
    expect((await stateOf(control)).executions).toHaveLength(2);
  },

  'a run ends when its time is over, and no other does': async ({ control }) => {
    await startAll(control, [
      startItem('a', { terms: terms({ runTimeoutMs: 0.001 }) }),
      startItem('b', { terms: terms({ executionTimeoutMs: 60_000 }) }),
    ]);
    expect(await endDue(control)).toContain('r');
    const { executions } = await stateOf(control);
    expect(executions?.map(({ run, state, due }) => [run, state, due])).toEqual([
      ['a/0', 'failed', false],
      ['b/0', 'open', true],
    ]);
  },

  'the next run of a chain keeps its timeouts': async ({ control }) => {
    await startAll(control, [startItem('a', { terms: terms({ executionTimeoutMs: 60_000 }) })]);
    const thread = await claimOnly(control, await register(control), 'a');
    await step(control, thread, { closing: 'continued', result: '[]' });
    expect((await stateOf(control)).executions?.map(({ due }) => due)).toEqual([false, true]);
  },

  'a cancel request does not wait for a delay': async ({ control }) => {
    await startAll(control, [startItem('a', { terms: terms({ delayMs: 60_000 }) })]);
    await cancel(control, 'a');
    const thread = await claimOnly(control, await register(control), 'a');
    await step(control, thread, { opens: 1, effects: [wait(0, 'go')] });
    expect(await park(control, thread, [0])).toBe('mail');
  },
};
