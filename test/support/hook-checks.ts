/** What must hold of hooks, in short: see protocol-checks.ts. */

import { expect } from 'vitest';
import {
  cancel,
  claim,
  claimOnly,
  commitOne,
  complete,
  entry,
  hookAll,
  hookItem,
  keepHouse,
  openHook,
  register,
  running,
  signal,
  start,
  step,
  type Thread,
  wait,
} from './protocol.js';
import { queryOf, type Session } from './protocol-session.js';
import { stateOf } from './protocol-state.js';
import type { Check } from './stage.js';

/** A main thread and its hook, awaited under `back`; both belong to one worker. */
async function asked(control: Session): Promise<{ main: Thread; hook: Thread }> {
  const main = await running(control, await register(control), 'a');
  await step(control, main, { opens: 1, effects: openHook(0, null, { awaits: 'back' }) });
  return { main, hook: await claimOnly(control, main.worker, 'a') };
}

export const hookChecks: Record<string, Check> = {
  'a hook goes into the run that is there': async ({ control }) => {
    const worker = await register(control);
    const opener = await running(control, worker, 'b');
    await step(control, await running(control, worker, 'a'), { closing: 'continued', result: '[]' });
    expect(await hookAll(control, [hookItem('a')])).toEqual(['hooked']);
    expect(await step(control, opener, { opens: 1, effects: openHook(0, 'a') })).toEqual([
      [0, 'hooked', expect.any(String)],
    ]);
    expect((await stateOf(control)).hooks).toMatchObject([{ thread: 'a/1#2' }, { thread: 'a/1#3' }]);
  },

  'a client’s hook whose answer was lost is there once': async ({ control }) => {
    await running(control, await register(control), 'a');
    const query = await queryOf((session) => hookAll(session, [hookItem('a')]));
    const [first] = await control.query(query);
    expect(await control.query(query)).toEqual([first]);
    expect((await stateOf(control)).hooks).toHaveLength(1);
  },

  'a hook that is refused leaves nobody waiting': async ({ control }) => {
    const worker = await register(control);
    await start(control, 'shut', { signalIn: false });
    await claim(control, worker);
    const opener = await running(control, worker, 'b');
    const effects = openHook(0, 'shut', { awaits: 'back' });
    expect(await step(control, opener, { opens: 1, effects })).toEqual([[0, 'unhooked', 'closed']]);
    expect(await hookAll(control, [hookItem('shut')])).toEqual(['closed']);
    expect(await stateOf(control)).toMatchObject({ waits: [], hooks: [] });
  },

  'a cancel that nobody has seen reaches new hooks': async ({ control }) => {
    const main = await running(control, await register(control), 'a');
    await cancel(control, 'a');
    await hookAll(control, [hookItem('a')]);
    await step(control, main, { opens: 1, effects: openHook(0) });
    expect((await stateOf(control)).inbox).toMatchObject([
      { thread: 'a/0', kind: 'cancel' },
      { thread: 'a/0#2', kind: 'cancel' },
      { thread: 'a/0#3', kind: 'cancel' },
    ]);
  },

  'a hook that fails behind its signal tells nobody': async ({ control }) => {
    const { hook } = await asked(control);
    await signal(control, 'back', { payload: '1' });
    await step(control, hook, { closing: 'failed', result: '{}' });
    expect((await stateOf(control)).inbox).toMatchObject([{ thread: 'a/0', kind: 'signal' }]);
  },

  'a hook that returned leaves the signal to others': async ({ control }) => {
    const { hook } = await asked(control);
    await complete(control, hook);
    expect(await signal(control, 'back')).toBe('delivered');
  },

  'a hook that ends gives back what it was sent': async ({ control }) => {
    for (const closing of ['completed', 'continued'] as const) {
      const worker = await register(control);
      const main = await running(control, worker, closing);
      await hookAll(control, [hookItem(closing)]);
      const hook = await claimOnly(control, worker, closing);
      await step(control, hook, { opens: 1, effects: [wait(0, closing)] });
      await signal(control, closing, { workflowId: closing });
      await step(control, closing === 'completed' ? hook : main, { closing, result: '[]' });
      await claim(control, worker);
    }
    await keepHouse(control);
    expect((await stateOf(control)).signals).toMatchObject([{ signal: 'completed' }, { signal: 'continued' }]);
  },

  'a run ends with its hooks': async ({ control }) => {
    const { main, hook } = await asked(control);
    await complete(control, main);
    expect((await commitOne(control, hook, entry(hook))).status).toBe('fenced');
    expect((await stateOf(control)).threads).toMatchObject([{ state: 'done' }, { state: 'done' }]);
  },
};
