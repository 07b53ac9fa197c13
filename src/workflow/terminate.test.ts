import { describe, expect, it } from 'vitest';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import type { CommandSpec, Decision } from '../core/history.js';
import { workflow } from './workflow.js';

type Activities = Record<string, (...args: unknown[]) => Promise<unknown>>;
const { next } = workflow.proxyActivities<Activities>() as { next: Activities[string] };

/** A workflow that terminates another, where the store decides so. */
function ending(what: Decision['what'], options?: Parameters<typeof workflow.terminate>[1]) {
  return SimulatedWorkflow.begin(async () => {
    await next('first');
    const answer = await workflow.terminate('other', options).then(
      () => 'ended',
      (error: Error) => error.message,
    );
    return [answer, await next('second')];
  }).then((flow) => {
    flow.store.decide = (_op, kind) => (kind === 'terminate' ? ({ what } as Decision) : null);
    return flow;
  });
}

describe('terminate', () => {
  it.each<[Decision['what'], Parameters<typeof workflow.terminate>[1], string]>([
    ['usual', {}, 'ended'],
    ['unknown', {}, 'Job other not found'],
    ['completed', {}, 'Job other already completed'],
    ['unknown', { suppress: true }, 'ended'],
    ['completed', { suppress: true }, 'ended'],
  ])('that finds the other %s, with %j, says so live and in a replay', async (what, options, answer) => {
    const flow = await ending(what, options);
    await flow.complete('next', 1);
    await flow.crash();
    await flow.complete('next', 2);
    expect(flow.ending?.value).toEqual([answer, 2]);
    expect(flow.commands).toEqual(['activity next', 'terminate', 'activity next', 'complete']);
  });

  it('of the own run lets nothing behind it execute', async () => {
    const flow = await ending('ended');
    await flow.complete('next', 1);
    expect(flow.commands).toEqual(['activity next', 'terminate']);
    expect(flow.worker.thread).toBeNull();
  });

  it('carries what whoever waits for the other gets, which history does not keep', async () => {
    const failures: (string | null)[] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      await workflow.terminate('other', { reason: 'enough', code: 444, stack: 'at home', expire: 5, descend: true });
      await workflow.terminate('other', { throw: false });
      await workflow.terminate('other');
    });
    for (const { commands } of flow.steps)
      for (const { command } of commands)
        if (command.kind === 'terminate') failures.push((command.spec as CommandSpec['terminate']).failure);
    expect(failures).toEqual([null, null, null]);
    expect(flow.store.terminations).toMatchObject([
      { extra: 'descend', number: 5, failure: { message: 'enough', code: 444, stack: 'at home', job_id: 'other' } },
      { extra: '', failure: null },
      { extra: '', failure: { message: 'job [other] interrupted', code: 410, stack: '' } },
    ]);
  });
});

describe('isSideEffectAllowed', () => {
  it('is true once for each position, also behind a crash that came before the answer', async () => {
    const seen: boolean[][] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      const allowed = [
        await workflow.isSideEffectAllowed(null, 'metric'),
        await workflow.isSideEffectAllowed(null, 'metric'),
      ];
      seen.push(allowed);
      await next();
      return allowed.length;
    });
    await flow.crash();
    await flow.complete('next', 1);
    expect(seen).toEqual([
      [true, true],
      [false, false],
    ]);
    expect(flow.commands).toEqual(['marker metric', 'marker metric', 'activity next', 'complete']);
  });

  it('is false in a later attempt', async () => {
    const seen: boolean[] = [];
    const flow = await SimulatedWorkflow.begin(
      async ({ info }) => {
        seen.push(await workflow.isSideEffectAllowed(null, 'metric'));
        if (info.attempt === 1) throw new Error('not yet');
      },
      { retry: { maximumAttempts: 1 } },
    );
    await flow.fire();
    expect(seen).toEqual([true, false]);
  });
});

describe('didRun', () => {
  it('says whether the code is behind its history, and where', async () => {
    const seen: unknown[] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      seen.push(await workflow.didRun('any'));
      await next();
    });
    await flow.crash();
    expect(seen).toEqual([
      [false, 1, null],
      [true, 1, null],
    ]);
  });
});
