import { describe, expect, it } from 'vitest';
import { turns } from '../../test/support/simulated-worker.js';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import { NondeterminismError } from '../core/errors.js';
import { workflow } from './workflow.js';

type Activities = Record<string, (...args: unknown[]) => Promise<unknown>>;
const act = workflow.proxyActivities<Activities>() as Activities;
const call = (name: string, ...args: unknown[]) => (act[name] as Activities[string])(...args);

const asks = (change: string) => workflow.patched(change);
const neverAsks = async () => false;
type Ask = (change: string) => Promise<boolean>;

/** Completes whatever activity is under way, n times. */
async function goOn(flow: SimulatedWorkflow, steps = Infinity, between?: () => Promise<unknown>): Promise<void> {
  for (let n = 0; n < steps && flow.store.tasks.size > 0; n++) {
    const [op] = flow.store.tasks.keys();
    await flow.complete(op as number, n);
    if (!flow.store.closed) await between?.();
  }
}

describe('patched, one step after the other', () => {
  const code = (ask: Ask) => async () => {
    const seen: string[] = [];
    for (const step of ['first', 'middle', 'last']) {
      const name = (await ask(step)) ? `${step}, new` : `${step}, old`;
      await call(name);
      seen.push(name);
    }
    return seen;
  };
  const all = (age: string) => ['first', 'middle', 'last'].map((step) => `${step}, ${age}`);

  it('is true wherever the code never ran before', async () => {
    const flow = await SimulatedWorkflow.begin(code(asks));
    await goOn(flow);
    expect(flow.ending?.value).toEqual(all('new'));
    expect(flow.commands.filter((command) => command.startsWith('patch'))).toEqual([
      'patch first',
      'patch middle',
      'patch last',
    ]);
  });

  it('is true again in each replay', async () => {
    const flow = await SimulatedWorkflow.begin(code(asks));
    await goOn(flow, Infinity, () => flow.crash());
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual(all('new'));
  });

  it.each([
    [0, ['first, old', 'middle, new', 'last, new']],
    [1, ['first, old', 'middle, old', 'last, new']],
    [2, ['first, old', 'middle, old', 'last, old']],
  ])('is false at what old code did before the deploy in step %i, true behind it', async (steps, expected) => {
    const flow = await SimulatedWorkflow.begin(code(neverAsks));
    await goOn(flow, steps);
    await flow.crash(code(asks));
    await goOn(flow, Infinity, () => flow.crash());
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual(expected);
  });

  it.each([0, 1, 2])(
    'code without it is told what it does not know, behind a run of new code (step %i)',
    async (steps) => {
      const flow = await SimulatedWorkflow.begin(code(asks));
      await goOn(flow, steps);
      await flow.crash(code(neverAsks));
      expect(flow.blocked).toBeInstanceOf(NondeterminismError);
      await flow.crash(code(asks));
      await goOn(flow);
      expect(flow.ending?.value).toEqual(all('new'));
    },
  );
});

describe('patched at the edges', () => {
  it('as the first thing, before any other command', async () => {
    const code = (ask: Ask) => async () => [await ask('p'), await call('one')];
    const old = await SimulatedWorkflow.begin(code(neverAsks));
    await old.crash(code(asks));
    await old.complete('one', 1);
    expect(old.ending?.value).toEqual([false, 1]);
    const fresh = await SimulatedWorkflow.begin(code(asks));
    await fresh.crash();
    await fresh.complete('one', 1);
    expect(fresh.ending?.value).toEqual([true, 1]);
  });

  it('as the last thing, where no command follows in the step', async () => {
    const code = (ask: Ask) => async () => [await call('one'), await ask('p')];
    const flow = await SimulatedWorkflow.begin(code(neverAsks));
    await flow.crash(code(asks));
    await flow.complete('one', 1);
    expect(flow.ending?.value).toEqual([1, true]);
  });

  it('behind another call of the same step', async () => {
    const code = (ask: Ask) => async () => {
      const one = call('one');
      const newly = await ask('p');
      const two = call(newly ? 'new' : 'old');
      return [await one, await two, newly];
    };
    const old = await SimulatedWorkflow.begin(code(neverAsks));
    await old.crash(code(asks));
    await goOn(old, Infinity, () => old.crash());
    expect(old.blocked).toBeNull();
    expect(old.ending?.value).toEqual([0, 1, false]);
    const fresh = await SimulatedWorkflow.begin(code(asks));
    await goOn(fresh, Infinity, () => fresh.crash());
    expect(fresh.ending?.value).toEqual([0, 1, true]);
  });

  it('several times with one name, each by itself', async () => {
    const code = (ask: Ask) => async () => {
      const seen: boolean[] = [];
      for (let n = 0; n < 4; n++) {
        seen.push(await ask('p'));
        await call(`step ${n}`);
      }
      return seen;
    };
    const flow = await SimulatedWorkflow.begin(code(neverAsks));
    await goOn(flow, 2);
    await flow.crash(code(asks));
    await goOn(flow, Infinity, () => flow.crash());
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual([false, false, false, true]);
  });

  it('twice in one step', async () => {
    const code = (ask: Ask) => async () => [await ask('p'), await ask('p'), await ask('q'), await call('one')];
    for (const first of [neverAsks, asks]) {
      const flow = await SimulatedWorkflow.begin(code(first));
      await flow.crash(code(asks));
      await flow.complete('one', 1);
      expect(flow.ending?.value).toEqual([first === asks, first === asks, first === asks, 1]);
    }
  });

  it('may be taken out by deprecatePatch, then altogether, once no run of old code is open', async () => {
    const asking = async () => ((await asks('p')) ? call('new') : call('old'));
    const deprecated = async () => {
      workflow.deprecatePatch('p');
      return call('new');
    };
    const plain = async () => call('new');
    const flow = await SimulatedWorkflow.begin(asking);
    for (const code of [deprecated, plain, asking]) {
      await flow.crash(code);
      expect(flow.blocked).toBeNull();
    }
    await flow.complete('new', 1);
    expect(flow.ending?.value).toBe(1);
    const later = await SimulatedWorkflow.begin(deprecated);
    await later.crash(asking);
    await later.complete('new', 1);
    expect(later.ending?.value).toBe(1);
  });

  it('takes an identifier', async () => {
    const flow = await SimulatedWorkflow.begin(() => asks(''));
    expect(flow.ending).toMatchObject({ state: 'failed', value: { name: 'InvalidArgumentError' } });
  });
});

describe('patched in parallel branches', () => {
  const code = (ask: Ask) => () =>
    Promise.all(
      ['left', 'right'].map(async (side) => {
        const seen: unknown[] = [];
        for (let n = 0; n < 3; n++) {
          const newly = await ask(side);
          await call(`${side} ${n} ${newly ? 'new' : 'old'}`);
          seen.push(newly);
        }
        return seen;
      }),
    );
  const next = (flow: SimulatedWorkflow, side: string) => {
    const task = [...flow.store.tasks].find(([, { name }]) => name.startsWith(side));
    return flow.complete((task as [number, unknown])[0]);
  };

  it.each([
    [[], [false, true, true], [false, true, true]],
    [['left'], [false, false, true], [false, true, true]],
    [
      ['right', 'right'],
      [false, true, true],
      [false, false, false],
    ],
    [
      ['left', 'right', 'left'],
      [false, false, false],
      [false, false, true],
    ],
  ])('answers each branch by itself, deployed behind %j', async (before, left, right) => {
    const flow = await SimulatedWorkflow.begin(code(neverAsks));
    for (const side of before) await next(flow, side);
    await flow.crash(code(asks));
    for (const side of ['left', 'right', 'left', 'right', 'left', 'right']) {
      if ([...flow.store.tasks.values()].some(({ name }) => name.startsWith(side))) await next(flow, side);
      if (!flow.store.closed) await flow.crash();
    }
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual([left, right]);
  });

  it.each([
    ['first', 0],
    ['behind a microtask', 1],
    ['behind some', 5],
  ])('in one of them only: waiting for the answer turns the order round (%s)', async (_where, microtasks) => {
    const one = (ask: Ask) => () =>
      Promise.all([
        (async () => {
          for (let n = 0; n < microtasks; n++) await null;
          return call((await ask('p')) ? 'new left' : 'left');
        })(),
        (async () => {
          for (let n = 0; n < microtasks; n++) await null;
          return call('right');
        })(),
      ]);
    const deployed = (code: () => unknown) => async (flow: SimulatedWorkflow) => {
      await flow.crash(code);
      expect(flow.blocked).toBeNull();
      return flow;
    };
    const old = await SimulatedWorkflow.begin(() => Promise.all([call('left'), call('right')]));
    await deployed(one(asks))(old);
    await old.complete('left', 1);
    await deployed(one(asks))(old);
    await old.complete('right', 2);
    expect(old.ending?.value).toEqual([1, 2]);
    // And back: the marker is there, its question is not any more.
    const fresh = await SimulatedWorkflow.begin(one(asks));
    await deployed(() => {
      workflow.deprecatePatch('p');
      return Promise.all([call('new left'), call('right')]);
    })(fresh);
    await fresh.complete('new left', 1);
    await fresh.complete('right', 2);
    expect(fresh.ending?.value).toEqual([1, 2]);
  });

  it('with one name for both', async () => {
    const shared = (ask: Ask) => () =>
      Promise.all(
        ['left', 'right'].map(async (side) => [await ask('p'), await call(side), await ask('p'), await call(side)]),
      );
    const flow = await SimulatedWorkflow.begin(shared(neverAsks));
    await flow.complete('left', 1);
    await flow.crash(shared(asks));
    await goOn(flow, Infinity, () => flow.crash());
    expect(flow.blocked).toBeNull();
    const [left, right] = flow.ending!.value as unknown[][];
    expect([left?.[0], left?.[2], right?.[0], right?.[2]]).toEqual([false, false, false, true]);
  });
});

describe('patched with late code', () => {
  it('behind an await that is not durable', async () => {
    const waits = [2, 0, 5, 1, 9];
    const code = (ask: Ask) => async () => {
      await turns(waits.shift() ?? 1);
      const newly = await ask('p');
      return [newly, await call(newly ? 'new' : 'old')];
    };
    const old = await SimulatedWorkflow.begin(code(neverAsks));
    for (let n = 0; n < 4; n++) await old.crash(code(asks));
    await old.complete('old', 1);
    expect(old.ending?.value).toEqual([false, 1]);
    waits.push(2, 0, 5, 1, 9);
    const fresh = await SimulatedWorkflow.begin(code(asks));
    for (let n = 0; n < 4; n++) await fresh.crash();
    await fresh.complete('new', 1);
    expect(fresh.ending?.value).toEqual([true, 1]);
  });

  it('that its first process did not come to, and that comes while the replay of all there is ends', async () => {
    let lives = 0;
    /** A file that is at hand before anything else happens: before the turn of the last recorded event is over. */
    const soon = () =>
      new Promise<void>((resolve) => {
        setTimeout(resolve, 1);
        for (const until = performance.now() + 3; performance.now() < until; );
      });
    const flow = await SimulatedWorkflow.begin(async () => {
      await call('first');
      await (++lives === 1 ? new Promise(() => {}) : soon());
      const newly = await asks('p');
      return [newly, await call(newly ? 'new' : 'old')];
    });
    await flow.complete('first');
    await flow.crash();
    expect(flow.blocked).toBeNull();
    await flow.complete('new', 1);
    expect(flow.ending?.value).toEqual([true, 1]);
  });

  it('in a loop whose first round is of old code and whose second is late', async () => {
    const code = (ask: Ask) => async () => {
      const seen: boolean[] = [];
      for (let n = 0; n < 2; n++) {
        if (n === 1) await turns(3);
        seen.push(await ask('p'));
        await call(seen[n] ? `new ${n}` : `old ${n}`);
      }
      return seen;
    };
    const flow = await SimulatedWorkflow.begin(code(neverAsks));
    await flow.crash(code(asks));
    await flow.complete('old 0');
    await flow.crash();
    expect(flow.blocked).toBeNull();
    await flow.complete('new 1');
    expect(flow.ending?.value).toEqual([false, true]);
  });
});

describe('patched in a function that is tried again', () => {
  const code = (ask: Ask) => async () => {
    const { attempt } = workflow.workflowInfo();
    const seen: boolean[] = [];
    for (const step of ['one', 'two', 'three']) {
      seen.push(await ask('p'));
      await call(`${step} ${seen.at(-1) ? 'new' : 'old'}`);
      if (attempt === 1 && step === 'one') throw new Error('not yet');
    }
    return seen;
  };

  it('is true behind the failure, and again in each replay', async () => {
    const flow = await SimulatedWorkflow.begin(code(asks), { retry: { maximumAttempts: 1 } });
    await flow.complete('one new');
    await flow.fire();
    expect(flow.story.at(-1)).toBe('retry 1: patch p, activity two new');
    await flow.crash();
    await goOn(flow, Infinity, () => flow.crash());
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual([true, true, true]);
  });

  it('is false before the failure and true behind it when new code does the retry', async () => {
    const flow = await SimulatedWorkflow.begin(code(neverAsks), { retry: { maximumAttempts: 1 } });
    await flow.complete('one old');
    await flow.crash(code(asks));
    await flow.fire();
    await flow.crash();
    await goOn(flow, Infinity, () => flow.crash());
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual([false, true, true]);
  });
});
