import { describe, expect, expectTypeOf, it } from 'vitest';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import { InvalidArgumentError, SharedPromiseError, WorkflowContextError } from '../core/errors.js';
import { CancellationScope } from './cancellation.js';
import { workflow } from './workflow.js';

type Activities = Record<string, (...args: unknown[]) => Promise<unknown>>;
const act = workflow.proxyActivities<Activities>() as Activities;
const call = (name: string, ...args: unknown[]) => (act[name] as Activities[string])(...args);

/** What became of a call, in one word. */
const fate = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    (value) => `= ${JSON.stringify(value)}`,
    (error: Error) => `! ${error.message}`,
  );
const CANCELLED = '! Cancellation scope cancelled';

/** Runs it twice: as it is, and with the process killed once it waits. */
const lives = [
  ['live', (flow: SimulatedWorkflow) => flow.settle()],
  ['behind a crash', (flow: SimulatedWorkflow) => flow.crash()],
] as const;

describe.each(lives)('a scope that the code cancels (%s)', (_name, interrupt) => {
  it('rejects what is pending in it, and nothing else', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const scope = new CancellationScope();
      const inside = ['a', 'b'].map((name) => fate(scope.run(() => call(name))));
      const outside = fate(call('c'));
      await call('go');
      scope.cancel();
      return [...(await Promise.all(inside)), await outside];
    });
    await flow.complete('b', 'done before');
    await interrupt(flow);
    await flow.complete('go');
    await interrupt(flow);
    expect(flow.story.slice(-2)).toEqual(['done 3: cancel', 'cancelled 4']);
    expect(flow.worker.store.tasks.size).toBe(1);
    await flow.complete('c', 1);
    expect(flow.ending?.value).toEqual([CANCELLED, '= "done before"', '= 1']);
  });

  it('gives up sleeps, conditions, children and activities, and what they left in the database', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const scope = new CancellationScope();
      const fates = [
        () => workflow.sleep('1 hour'),
        () => workflow.condition('never', '1 day'),
        () => workflow.executeChild({ workflowName: 'ship', args: [] }),
        () => call('charge'),
      ].map((run) => fate(scope.run(run)));
      await call('go');
      scope.cancel();
      const seen = await Promise.all(fates);
      await workflow.condition('end');
      return seen;
    });
    await interrupt(flow);
    await flow.complete('go');
    await interrupt(flow);
    const { store } = flow;
    expect([store.timers.size, store.tasks.size, [...store.waits.values()]]).toEqual([0, 0, ['end']]);
    expect([...store.children.values()].map(({ cancelRequested }) => cancelRequested)).toEqual([true]);
    await flow.signal('end');
    expect(flow.ending?.value).toEqual(Array(4).fill(CANCELLED));
  });

  it('rejects what is called in it later at once, and records nothing of it', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const scope = new CancellationScope();
      scope.cancel();
      const later = await scope.run(async () => [await fate(call('a')), await fate(workflow.sleep(5))]);
      return [...later, await fate(call('outside'))];
    });
    await interrupt(flow);
    expect(flow.commands).toEqual(['cancel', 'activity outside']);
    await flow.complete('outside', 1);
    expect(flow.ending?.value).toEqual([CANCELLED, CANCELLED, '= 1']);
  });

  it('reaches scopes inside it, but not behind a shield', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const outer = new CancellationScope();
      const fates = outer.run(() =>
        Promise.all([
          fate(CancellationScope.cancellable(() => call('nested'))),
          fate(CancellationScope.nonCancellable(() => call('shielded'))),
          fate(CancellationScope.nonCancellable(() => CancellationScope.cancellable(() => call('within')))),
        ]),
      );
      await call('go');
      outer.cancel();
      return await fates;
    });
    await flow.complete('go');
    await interrupt(flow);
    await flow.complete('shielded', 1);
    await flow.complete('within', 2);
    expect(flow.ending?.value).toEqual([CANCELLED, '= 1', '= 2']);
  });

  it('inside another leaves that one alone', async () => {
    const flow = await SimulatedWorkflow.begin(() =>
      CancellationScope.cancellable(async () => {
        const inner = await fate(
          CancellationScope.cancellable(async () => {
            CancellationScope.current().cancel();
            await call('a');
          }),
        );
        return [inner, await call('b')];
      }),
    );
    await interrupt(flow);
    await flow.complete('b', 1);
    expect(flow.ending?.value).toEqual([CANCELLED, 1]);
  });

  it('lets a signal that was given to one of its conditions through', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const scope = new CancellationScope();
      const waiting = fate(scope.run(() => workflow.condition('news')));
      await call('go');
      scope.cancel();
      return await waiting;
    });
    await interrupt(flow);
    // Both are there before the worker looks: the activity first, then the signal.
    flow.store.finishTask(flow.op('go'), { ok: true, text: null });
    flow.store.signal('news', '"read all about it"');
    await flow.look();
    expect(flow.ending?.value).toBe('= "read all about it"');
    expect(flow.store.buffered).toEqual([]);
  });

  it('of a run that ends at once still asks its children to cancel', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const scope = new CancellationScope();
      void scope.run(() => workflow.executeChild({ workflowName: 'slow', args: [] }));
      await call('go');
      void scope.run(() => workflow.executeChild({ workflowName: 'not begun', args: [] }));
      scope.cancel();
      return 'first';
    });
    await interrupt(flow);
    const asked = [...flow.store.children.values()];
    await flow.complete('go');
    expect(flow.ending?.value).toBe('first');
    expect(asked.map(({ name, cancelRequested }) => [name, cancelRequested])).toEqual([['slow', true]]);
    expect(flow.store.takenIds.size).toBe(1);
  });

  it('of an attempt that fails at once is cancelled in the next one too', async () => {
    const flow = await SimulatedWorkflow.begin(
      async ({ info }) => {
        const scope = new CancellationScope();
        const sleeping = fate(scope.run(() => workflow.sleep('1 hour')));
        await call('go');
        scope.cancel();
        if (info.attempt === 1) throw new Error('not yet');
        return await sleeping;
      },
      { retry: { maximumAttempts: 1 } },
    );
    await flow.complete('go');
    await interrupt(flow);
    await flow.fire();
    expect(flow.ending?.value).toBe(CANCELLED);
  });
});

describe.each(lives)('a limit in time (%s)', (_name, interrupt) => {
  it('cancels what is pending when it is over', async () => {
    const flow = await SimulatedWorkflow.begin(async () => [
      await fate(CancellationScope.withTimeout('1 minute', () => call('slow'))),
      await call('next'),
    ]);
    await interrupt(flow);
    await flow.fire();
    await interrupt(flow);
    await flow.complete('next', 1);
    expect(flow.ending?.value).toEqual([CANCELLED, 1]);
  });

  it('is disarmed when everything in it is done', async () => {
    const flow = await SimulatedWorkflow.begin(async () => [
      await CancellationScope.withTimeout('1 year', () => call('quick')),
      await call('next'),
    ]);
    await interrupt(flow);
    await flow.complete('quick', 1);
    await interrupt(flow);
    expect(flow.store.timers.size).toBe(0);
    await flow.complete('next', 2);
    expect(flow.ending?.value).toEqual([1, 2]);
  });

  it('is disarmed by the next call when something in it failed', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const first = await fate(CancellationScope.withTimeout('1 year', () => call('quick')));
      return [first, await call('next')];
    });
    await flow.fail('quick', new Error('broken'));
    await interrupt(flow);
    expect(flow.store.timers.size).toBe(0);
    await flow.complete('next', 2);
    expect(flow.ending?.value).toEqual(['! broken', 2]);
  });

  it('around an attempt that fails lets the next one pass', async () => {
    const flow = await SimulatedWorkflow.begin(
      ({ info }) =>
        CancellationScope.withTimeout('1 year', async () => {
          await call('first');
          if (info.attempt === 1) throw new Error('not yet');
          return await call('second');
        }),
      { retry: { maximumAttempts: 1 } },
    );
    await flow.complete('first');
    await interrupt(flow);
    await flow.fire();
    await flow.complete('second', 2);
    expect(flow.ending?.value).toBe(2);
  });

  it('runs again for each run of its scope', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const scope = new CancellationScope({ timeout: 1_000 });
      const first = await scope.run(() => call('a'));
      return [first, await fate(scope.run(() => call('b'))), await fate(scope.run(() => call('c')))];
    });
    await flow.complete('a', 1);
    await interrupt(flow);
    await flow.fire();
    expect(flow.ending?.value).toEqual([1, CANCELLED, CANCELLED]);
  });

  it('of no length cancels at once', async () => {
    const flow = await SimulatedWorkflow.begin(() => fate(CancellationScope.withTimeout(0, () => call('a'))));
    await interrupt(flow);
    expect(flow.ending?.value).toBe(CANCELLED);
  });

  it('is not cancelled by what cancels the workflow, and holds behind a shield', async () => {
    const flow = await SimulatedWorkflow.begin(() =>
      CancellationScope.nonCancellable(() =>
        CancellationScope.withTimeout('1 minute', async () => [
          await fate(call('a')),
          await fate(workflow.sleep('1 hour')),
        ]),
      ),
    );
    await flow.cancel();
    await interrupt(flow);
    await flow.fire();
    expect(flow.ending?.value).toEqual([CANCELLED, CANCELLED]);
  });
});

describe.each(lives)('cancelling the workflow (%s)', (_name, interrupt) => {
  it('reaches every scope that is not shielded, once', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const nested = CancellationScope.cancellable(async () => [await fate(call('a')), await fate(call('later'))]);
      const shielded = fate(CancellationScope.nonCancellable(() => call('b')));
      return [await nested, await shielded];
    });
    await flow.cancel();
    await interrupt(flow);
    await flow.complete('later', 1);
    await flow.complete('b', 2);
    expect(flow.ending?.value).toEqual([['! Workflow cancelled', '= 1'], '= 2']);
  });

  it('behind a shield reaches the next cancellable call', async () => {
    const flow = await SimulatedWorkflow.begin(async () => [
      await CancellationScope.nonCancellable(() => call('a')),
      await fate(workflow.sleep('1 hour')),
      await fate(workflow.sleep(0)),
    ]);
    await flow.cancel();
    await interrupt(flow);
    await flow.complete('a', 1);
    expect(flow.ending?.value).toEqual([1, '! Workflow cancelled', '= 0']);
  });

  it('may come from the code itself', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const pending = fate(call('a'));
      await call('go');
      CancellationScope.current().cancel();
      CancellationScope.current().cancel();
      return [await pending, await fate(call('next'))];
    });
    await flow.complete('go');
    await interrupt(flow);
    await flow.complete('next', 1);
    expect(flow.ending?.value).toEqual(['! Workflow cancelled', '= 1']);
  });

  it('from the code itself reaches the next call when nothing is pending', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      CancellationScope.current().cancel();
      return [await fate(call('a')), await fate(call('b'))];
    });
    await interrupt(flow);
    await flow.complete('b', 1);
    expect(flow.ending?.value).toEqual(['! Workflow cancelled', '= 1']);
  });

  it('is told to a shielded scope that asks', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const scope = new CancellationScope({ cancellable: false });
      const download = scope.run(() => call('download'));
      const first = await fate(Promise.race([scope.cancelRequested, download]));
      return [first, scope.consideredCancelled, CancellationScope.current().consideredCancelled, await download];
    });
    await flow.cancel();
    await interrupt(flow);
    await flow.complete('download', 'bytes');
    expect(flow.ending?.value).toEqual(['! Workflow cancelled', false, true, 'bytes']);
  });
});

describe('asking for the cancelling of a scope', () => {
  it('is answered when it, or one around it, is cancelled', async () => {
    const told: string[] = [];
    const tell = (name: string, scope: CancellationScope) => scope.cancelRequested.catch(() => told.push(name));
    const flow = await SimulatedWorkflow.begin(async () => {
      const outer = new CancellationScope();
      const inner = await outer.run(async () => new CancellationScope());
      const shield = await outer.run(async () => new CancellationScope({ cancellable: false }));
      const behind = await shield.run(async () => new CancellationScope());
      const beside = new CancellationScope();
      for (const [name, scope] of Object.entries({ outer, inner, shield, behind, beside })) void tell(name, scope);
      outer.cancel();
      await tell('asked later', outer);
      return { outer, inner, shield, behind, beside, parents: inner.parent === outer && shield.parent === outer };
    });
    expect(told.sort()).toEqual(['asked later', 'inner', 'outer', 'shield']);
    expect(flow.ending?.value).toMatchObject({ parents: true });
  });

  it('says where the code stands', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      const own = CancellationScope.current();
      const scope = new CancellationScope();
      return [
        own.parent === undefined && own.cancellable && own === CancellationScope.current(),
        await scope.run(async () => CancellationScope.current() === scope),
        await scope.run(() => own.run(async () => CancellationScope.current() === own)),
        await CancellationScope.nonCancellable(async () => CancellationScope.current().cancellable),
      ];
    });
    expect(flow.ending?.value).toEqual([true, true, true, false]);
  });
});

describe('the types of scopes', () => {
  it('are those of what runs in them', () => {
    const run = async () => ({ id: 7 });
    type Ran = Promise<{ id: number }>;
    expectTypeOf(CancellationScope.cancellable<{ id: number }>).returns.toEqualTypeOf<Ran>();
    const inside = () => [
      CancellationScope.nonCancellable(run),
      CancellationScope.withTimeout('1s', run),
      new CancellationScope({ timeout: 5, cancellable: false }).run(run),
    ];
    expectTypeOf(inside).returns.toEqualTypeOf<Ran[]>();
    expectTypeOf<CancellationScope['cancelRequested']>().toEqualTypeOf<Promise<never>>();
    expectTypeOf<CancellationScope['parent']>().toEqualTypeOf<CancellationScope | undefined>();
    // @ts-expect-error a length is a string or a number
    void (() => CancellationScope.withTimeout(true, run));
    // @ts-expect-error no such option
    void (() => new CancellationScope({ timout: 5 }));
    const error: unknown = new Error('x');
    if (workflow.isCancellation(error)) expectTypeOf(error.message).toBeString();
  });
});

describe('a scope that is misused', () => {
  const inside = async (run: () => unknown): Promise<unknown> => {
    let thrown: unknown = null;
    await SimulatedWorkflow.begin(async () => {
      try {
        await run();
      } catch (error) {
        thrown = error;
      }
    });
    return thrown;
  };

  it.each([
    ['an unknown option', () => new CancellationScope({ timout: 5 } as never), /timout.*timeout/],
    [
      'a length that cannot be read',
      () => CancellationScope.withTimeout('soon', async () => 1),
      /withTimeout: timeout/,
    ],
    ['no function', () => CancellationScope.cancellable(undefined as never), /run must be a function/],
    ['options that are none', () => new CancellationScope([] as never), /options must be an object/],
  ])('with %s is refused before any effect', async (_what, run, message) => {
    const error = await inside(run);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((error as Error).message).toMatch(message);
  });

  it('outside of a workflow says so', () => {
    for (const run of [
      () => new CancellationScope(),
      () => CancellationScope.current(),
      () => CancellationScope.withTimeout(5, async () => 1),
    ])
      expect(run).toThrow(WorkflowContextError);
  });

  it('by another execution says how to bind', async () => {
    let kept: CancellationScope | undefined;
    await SimulatedWorkflow.begin(async () => {
      kept = new CancellationScope();
      await call('wait');
    });
    for (const run of [() => kept?.cancel(), () => kept?.run(async () => 1)]) {
      const error = await inside(run);
      expect(error).toBeInstanceOf(SharedPromiseError);
      expect((error as Error).message).toContain('AsyncResource.bind');
    }
    expect(() => kept?.cancel()).toThrow(WorkflowContextError);
  });

  it('passes on what its function throws at once', async () => {
    const flow = await SimulatedWorkflow.begin(() =>
      fate(
        CancellationScope.cancellable(() => {
          throw new Error('at once');
        }),
      ),
    );
    expect(flow.ending?.value).toBe('! at once');
  });
});
