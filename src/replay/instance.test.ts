import { describe, expect, it } from 'vitest';
import { turns } from '../../test/support/simulated-worker.js';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import { CancelledFailure } from '../core/errors.js';
import { workflow } from '../workflow/workflow.js';
import type { Instance } from './instance.js';

type Activities = Record<string, (...args: unknown[]) => Promise<unknown>>;
const act = workflow.proxyActivities<Activities>() as Activities;
const call = (name: string, ...args: unknown[]) => (act[name] as Activities[string])(...args);

describe('invariant 1: nothing is thrown to suspend', () => {
  it('a call that waits runs no catch and no finally', async () => {
    const ran: string[] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      try {
        await call('one');
        ran.push('behind');
      } catch {
        ran.push('catch');
      } finally {
        ran.push('finally');
      }
    });
    expect(ran).toEqual([]);
    await flow.complete('one');
    expect(ran).toEqual(['behind', 'finally']);
  });

  it('dropping the instance runs none either', async () => {
    const ran: string[] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      try {
        await call('one');
      } finally {
        ran.push('finally');
      }
    });
    flow.worker.kill();
    await turns(5);
    expect(ran).toEqual([]);
  });

  it('each event settles the promise of its own call, in the order of events', async () => {
    const order: string[] = [];
    const flow = await SimulatedWorkflow.begin(() =>
      Promise.all(['one', 'two', 'three'].map(async (name) => order.push(String(await call(name))))),
    );
    await flow.complete('two', 2);
    await flow.complete('three', 3);
    await flow.complete('one', 1);
    expect(order).toEqual(['2', '3', '1']);
  });
});

describe('invariant 2: a disposed instance records nothing and its promises never settle', () => {
  /** Two instances of one thread: the first was dropped while its code awaited something of its own. */
  async function dropped(code: () => Promise<unknown>) {
    const gates: (() => void)[] = [];
    const settled: string[] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      await call('one');
      await new Promise<void>((resolve) => gates.push(resolve));
      await code().then(
        () => settled.push('resolved'),
        () => settled.push('rejected'),
      );
    });
    await flow.complete('one');
    await flow.crash();
    gates[0]?.();
    await turns(5);
    return { flow, settled };
  }

  it.each<[string, () => Promise<unknown>]>([
    ['activity', () => call('two')],
    ['sleep', () => workflow.sleep(5)],
    ['condition', () => workflow.condition('go')],
    ['signal', () => workflow.signal('go')],
    ['child', () => workflow.executeChild({ workflowName: 'w', args: [] })],
    ['unawaited child', () => workflow.startChild({ workflowName: 'w', args: [] })],
    ['new run', () => workflow.continueAsNew()],
  ])('a call of it: %s', async (_what, code) => {
    const { flow, settled } = await dropped(code);
    expect(flow.instances).toHaveLength(2);
    expect(flow.story).toEqual(['start: activity one', 'done 0']);
    expect(flow.instances[0]?.hasCommands).toBe(false);
    expect(settled).toEqual([]);
  });

  it('its end', async () => {
    const gates: (() => void)[] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      await new Promise<void>((resolve) => gates.push(resolve));
      return 'the end';
    });
    await flow.crash();
    gates[0]?.();
    await turns(5);
    expect(flow.ending).toBeNull();
    gates[1]?.();
    await flow.settle();
    expect(flow.ending?.value).toBe('the end');
  });

  it('events and a cancel that reach it', async () => {
    const flow = await SimulatedWorkflow.begin(() => call('one'));
    const instance = flow.instance as Instance;
    flow.worker.kill();
    expect(instance.deliver({ kind: 'done', op: 0, value: 1, text: '1' }, 1)).toEqual([]);
    expect(instance.deliver({ kind: 'cancel', ops: [] }, 1)).toEqual([]);
    await turns(2);
    expect(instance.takeCommands()).toEqual([]);
    expect(instance.ended).toBe(true);
  });
});

describe('invariant 3: nothing is recorded behind the end', () => {
  it.each<[string, () => Promise<unknown>, string]>([
    ['of the function', async () => 'done', 'complete'],
    ['by a failure', () => Promise.reject(new Error('no')), 'fail'],
    ['by continueAsNew', () => workflow.continueAsNew(1), 'continue'],
  ])('%s', async (_how, end, command) => {
    let ran = 0;
    const flow = await SimulatedWorkflow.begin(async () => {
      void turns(3).then(async () => {
        ran++;
        await call('late');
        ran++;
      });
      void call('other');
      return end();
    });
    await turns(8);
    expect(flow.commands).toEqual(['activity other', command]);
    expect(flow.store.closed).toBe(true);
    expect(ran).toBe(1);
  });

  it('by continueAsNew, whose callers neither go on nor clean up', async () => {
    const ran: string[] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      try {
        await workflow.continueAsNew('next', 2);
        ran.push('behind');
      } catch {
        ran.push('catch');
      } finally {
        ran.push('finally');
      }
    });
    await turns(5);
    expect(ran).toEqual([]);
    expect(flow.ending).toEqual({ state: 'continued', value: ['next', 2] });
  });

  it('in the turn of the end, whatever other branches do in it', async () => {
    const flow = await SimulatedWorkflow.begin(() => {
      const one = call('one');
      const behind = async () => {
        await one;
        for (let n = 0; n < 10; n++) await null;
        return call('behind');
      };
      return Promise.race([one.then(() => workflow.continueAsNew()), behind()]);
    });
    await flow.complete('one');
    expect(flow.story.at(-1)).toBe('done 0: continue');
    expect(flow.store.closed).toBe(true);
  });

  it('calls left unawaited at the end are made, and nobody waits for them', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      void call('one');
      void workflow.startChild({ workflowName: 'w', args: [] });
      void workflow.signal('go', 1);
      return 'done';
    });
    expect(flow.commands).toEqual(['activity one', 'child w', 'signal', 'complete']);
    expect(flow.ending).toEqual({ state: 'completed', value: 'done' });
  });
});

describe('invariant 4: cancelling is one event', () => {
  const outcome = (promise: Promise<unknown>) =>
    promise.then(
      (value) => value,
      (error: unknown) => (error instanceof CancelledFailure ? 'cancelled' : String(error)),
    );

  it('it rejects all that is pending and may be cancelled', async () => {
    const flow = await SimulatedWorkflow.begin(() =>
      Promise.all([
        outcome(call('one')),
        outcome(workflow.sleep('1h')),
        outcome(workflow.condition('go')),
        outcome(workflow.executeChild({ workflowName: 'w', args: [] })),
      ]),
    );
    await flow.cancel();
    expect(flow.story.at(-1)).toBe('cancel [0,1,2,3]: complete');
    expect(flow.ending?.value).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled']);
  });

  it('what is pending and shielded goes on', async () => {
    const flow = await SimulatedWorkflow.begin(() =>
      Promise.all([
        outcome(call('one')),
        workflow.CancellationScope.nonCancellable(() => outcome(call('two'))),
        outcome(workflow.signal('nobody')),
      ]),
    );
    await flow.cancel();
    expect(flow.story.at(-1)).toBe('cancel [0]');
    await flow.complete('two', 2);
    expect(flow.ending?.value).toEqual(['cancelled', 2, 'buffered']);
  });

  it('once: later calls run as usual', async () => {
    const flow = await SimulatedWorkflow.begin(async () => [await outcome(call('one')), await outcome(call('two'))]);
    await flow.cancel();
    await flow.complete('two', 2);
    expect(flow.ending?.value).toEqual(['cancelled', 2]);
  });

  /** Waits for something that cancelling does not reach, then goes on. */
  const behind =
    (...calls: (() => Promise<unknown>)[]) =>
    async () => {
      await workflow.CancellationScope.nonCancellable(() => call('shielded'));
      const seen: unknown[] = [];
      for (const next of calls) seen.push(await outcome(next()));
      return seen;
    };

  it('when nothing is pending, the next cancellable call is rejected, and only that', async () => {
    const flow = await SimulatedWorkflow.begin(
      behind(
        () => call('one'),
        () => call('two'),
      ),
    );
    await flow.cancel();
    expect(flow.story.at(-1)).toBe('cancel []');
    await flow.complete('shielded');
    expect(flow.story.at(-1)).toBe('done 0: activity two');
    await flow.crash();
    await flow.complete('two', 2);
    expect(flow.ending?.value).toEqual(['cancelled', 2]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['sleep', () => workflow.sleep(5)],
    ['condition', () => workflow.condition('go')],
    ['child', () => workflow.executeChild({ workflowName: 'w', args: [] })],
    ['new run', () => workflow.continueAsNew()],
  ])('the next cancellable call may be a %s', async (_what, next) => {
    const flow = await SimulatedWorkflow.begin(behind(next));
    await flow.cancel();
    await flow.complete('shielded');
    expect(flow.ending?.value).toEqual(['cancelled']);
  });

  it.each<[string, () => Promise<unknown>, unknown]>([
    ['signal', () => workflow.signal('go'), 'buffered'],
    ['unawaited child', () => workflow.startChild({ workflowName: 'w', args: [], workflowId: 'c' }), 'c'],
    ['sleep of no length', () => workflow.sleep(0), 0],
    ['patch', () => workflow.patched('p'), true],
  ])('a %s is passed over', async (_what, passed, value) => {
    const flow = await SimulatedWorkflow.begin(behind(passed, () => call('one')));
    await flow.cancel();
    await flow.complete('shielded');
    expect(flow.ending?.value).toEqual([value, 'cancelled']);
  });

  it('a shielded call is passed over', async () => {
    const shielded = () => workflow.CancellationScope.nonCancellable(() => call('also shielded'));
    const flow = await SimulatedWorkflow.begin(behind(shielded, () => call('one')));
    await flow.cancel();
    await flow.complete('shielded');
    await flow.complete('also shielded', 1);
    expect(flow.ending?.value).toEqual([1, 'cancelled']);
  });

  it('an answer that comes behind it is dropped', async () => {
    const flow = await SimulatedWorkflow.begin(
      async () => {
        const seen = [await outcome(call('one'))];
        seen.push(await outcome(call('two')));
        return seen;
      },
      { eager: true },
    );
    flow.worker.eager.delete(0);
    flow.store.cancel();
    flow.worker.fetchMail();
    flow.worker.thread?.post({ event: { kind: 'done', op: 0, value: 1, text: '1' }, inboxNo: null });
    await flow.settle();
    await flow.complete('two', 2);
    expect(flow.ending?.value).toEqual(['cancelled', 2]);
  });

  it('uncaught, it ends the run as cancelled', async () => {
    const flow = await SimulatedWorkflow.begin(() => call('one'), { retry: { maximumAttempts: 5 } });
    await flow.cancel();
    expect(flow.ending).toMatchObject({ state: 'cancelled', value: { type: 'CancelledFailure', code: 598 } });
  });
});

describe('late calls and cancelling', () => {
  it('a replay rejects what the history says, though a late call is pending earlier', async () => {
    let open = () => {};
    let gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const flow = await SimulatedWorkflow.begin(() =>
      Promise.allSettled([
        (async () => {
          await gate;
          return call('late');
        })(),
        call('one'),
      ]).then((settled) => settled.map(({ status }) => status)),
    );
    await flow.cancel();
    open();
    await flow.settle();
    expect(flow.story).toEqual(['start: activity one', 'cancel [0]', 'late: activity late']);
    gate = Promise.resolve();
    await flow.crash();
    await flow.complete('late', 'L');
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual(['fulfilled', 'rejected']);
  });
});

describe('the durable clock', () => {
  it('tells the time of the event, never goes back, and tells the same in a replay', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const times = [workflow.now().getTime()];
      await workflow.sleep(500);
      times.push(workflow.now().getTime());
      await call('one');
      times.push(workflow.now().getTime());
      return times;
    });
    const start = flow.store.now;
    await flow.fire();
    flow.store.now -= 10_000; // the database's clock was set back
    await flow.crash();
    await flow.complete('one');
    expect(flow.ending?.value).toEqual([start, start + 500, start + 500]);
  });

  it('never goes back by itself', async () => {
    const flow = await SimulatedWorkflow.begin(() => Promise.all([call('one'), call('two')]));
    const instance = flow.instance as Instance;
    const { now } = instance;
    instance.deliver({ kind: 'done', op: 0, value: 1, text: '1' }, now - 1_000);
    expect(instance.now).toBe(now);
    instance.deliver({ kind: 'done', op: 1, value: 1, text: '1' }, now + 1_000);
    expect(instance.now).toBe(now + 1_000);
  });

  it('tells late code the time of the last delivery, live and in a replay', async () => {
    const told: number[] = [];
    const flow = await SimulatedWorkflow.begin(async () => {
      await turns(3);
      told.push(workflow.now().getTime());
      await call('one');
    });
    flow.store.now += 50;
    await flow.crash();
    expect(told[1]).toBe(told[0]);
  });
});

describe('two instances in one process', () => {
  it('keep their contexts apart, however their turns are interleaved', async () => {
    const code = (name: string) => async () => {
      const seen: unknown[] = [workflow.workflowInfo().attempt];
      for (let n = 0; n < 3; n++) {
        seen.push(await call(`${name}-${n}`));
        await turns(n);
        await Promise.all([workflow.sleep(10), null]);
      }
      return seen;
    };
    const flows = await Promise.all(['left', 'right'].map((name) => SimulatedWorkflow.begin(code(name))));
    for (let n = 0; n < 3; n++) {
      await Promise.all(flows.map((flow, side) => flow.complete(`${side === 0 ? 'left' : 'right'}-${n}`, n)));
      await Promise.all(flows.map((flow) => flow.fire()));
    }
    for (const [side, flow] of flows.entries()) {
      expect(flow.ending?.value).toEqual([1, 0, 1, 2]);
      const name = side === 0 ? 'left' : 'right';
      expect(flow.commands.filter((command) => command.startsWith('activity'))).toEqual(
        [0, 1, 2].map((n) => `activity ${name}-${n}`),
      );
    }
  });
});
