import { describe, expect, it } from 'vitest';
import { turns } from '../../test/support/simulated-worker.js';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import { NondeterminismError } from '../core/errors.js';
import { workflow } from '../workflow/workflow.js';

type Activities = Record<string, (...args: unknown[]) => Promise<unknown>>;
const act = workflow.proxyActivities<Activities>() as Activities;
const call = (name: string, ...args: unknown[]) => (act[name] as Activities[string])(...args);

/** A function that calls activities one after the other. */
const inSequence =
  (...names: string[]) =>
  async () => {
    for (const name of names) await call(name);
  };

/** A function that calls activities at once. */
const atOnce =
  (...names: string[]) =>
  () =>
    Promise.all(names.map((name) => call(name)));

function mismatchOf(flow: SimulatedWorkflow): NondeterminismError {
  expect(flow.blocked).toBeInstanceOf(NondeterminismError);
  return flow.blocked as NondeterminismError;
}

describe('code that does something else than its history', () => {
  /** `reserve` and `charge` are done, `ship` is under way: entries 0, 1 and 2. */
  const shipping = async () => {
    const flow = await SimulatedWorkflow.begin(inSequence('reserve', 'charge', 'ship'));
    await flow.complete('reserve');
    return flow.complete('charge');
  };

  it.each([
    ['removed', 'first', ['charge', 'ship'], 0, 'reserve', 'activity "charge"'],
    ['removed', 'middle', ['reserve', 'ship'], 1, 'charge', 'activity "ship"'],
    ['removed', 'last', ['reserve', 'charge'], 2, 'ship', 'the end of the workflow'],
    ['added', 'first', ['audit', 'reserve', 'charge', 'ship'], 0, 'reserve', 'activity "audit"'],
    ['added', 'middle', ['reserve', 'audit', 'charge', 'ship'], 1, 'charge', 'activity "audit"'],
    ['added', 'last', ['reserve', 'charge', 'audit', 'ship'], 2, 'ship', 'activity "audit"'],
    ['renamed', 'first', ['reserved', 'charge', 'ship'], 0, 'reserve', 'activity "reserved"'],
    ['renamed', 'middle', ['reserve', 'charged', 'ship'], 1, 'charge', 'activity "charged"'],
    ['renamed', 'last', ['reserve', 'charge', 'shipped'], 2, 'ship', 'activity "shipped"'],
    ['swapped', 'first', ['charge', 'reserve', 'ship'], 0, 'reserve', 'activity "charge"'],
    ['swapped', 'last', ['reserve', 'ship', 'charge'], 1, 'charge', 'activity "ship"'],
  ])('is told of an activity %s at the %s step', async (_change, _step, names, entry, recorded, produced) => {
    const flow = await shipping();
    const stored = flow.store.rows.length;
    await flow.crash(inSequence(...names));
    expect(mismatchOf(flow)).toMatchObject({ entry, recorded: `activity "${recorded}"`, produced });
    expect(flow.store.rows).toHaveLength(stored);
  });

  it('is told of the source line that made the call', async () => {
    const flow = await shipping();
    await flow.crash(inSequence('audit'));
    const { location, message } = mismatchOf(flow);
    expect(location).toMatch(/recording\.test\.ts:\d+:\d+/);
    expect(message).toContain(`history entry 0 records activity "reserve", but this code produced activity "audit" at`);
    expect(message).toContain(location);
  });

  it.each<[string, () => unknown, string]>([
    ['a sleep', () => workflow.sleep(5), 'a sleep'],
    ['a condition', () => workflow.condition('go'), 'a condition'],
    ['a signal', () => workflow.signal('go'), 'a signal'],
    ['a child', () => workflow.executeChild({ workflowName: 'ship', args: [] }), 'child workflow "ship"'],
    ['an unawaited child', () => workflow.startChild({ workflowName: 'ship', args: [] }), 'child workflow "ship"'],
    ['a new run', () => workflow.continueAsNew(), 'continueAsNew'],
    ['an end', () => 'done', 'the end of the workflow'],
    ['a failure', () => Promise.reject(new Error('no')), 'the failure of the workflow'],
  ])('is told of %s where an activity stood', async (_what, code, produced) => {
    const flow = await shipping();
    await flow.crash(async () => code());
    expect(mismatchOf(flow)).toMatchObject({ entry: 0, recorded: 'activity "reserve"', produced });
  });

  it.each<[string, () => unknown]>([
    ['a sleep', () => workflow.sleep(5)],
    ['a condition', () => workflow.condition('go')],
    ['child workflow "ship"', () => workflow.executeChild({ workflowName: 'ship', args: [] })],
  ])('is told of an activity where %s stood', async (recorded, code) => {
    const flow = await SimulatedWorkflow.begin(async () => code());
    await flow.crash(inSequence('reserve'));
    expect(mismatchOf(flow)).toMatchObject({ entry: 0, recorded, produced: 'activity "reserve"' });
  });

  it('is told of an activity where a signal was sent', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      await workflow.signal('go');
      await call('reserve');
    });
    await flow.crash(inSequence('reserve'));
    expect(mismatchOf(flow)).toMatchObject({ entry: 0, recorded: 'a signal', produced: 'activity "reserve"' });
  });

  it('is told of a child of another name', async () => {
    const starting = (workflowName: string) => () => workflow.executeChild({ workflowName, args: [] });
    const flow = await SimulatedWorkflow.begin(starting('ship'));
    await flow.crash(starting('send'));
    expect(mismatchOf(flow)).toMatchObject({ recorded: 'child workflow "ship"', produced: 'child workflow "send"' });
  });

  it('is told that nothing came where a call was removed and the code waits for something else', async () => {
    const flow = await SimulatedWorkflow.begin(atOnce('left', 'right'));
    await flow.complete('left');
    await flow.crash(async () => {
      await call('left');
      await new Promise(() => {});
    });
    expect(mismatchOf(flow)).toMatchObject({ entry: 0, recorded: 'activity "right"', produced: null });
  });

  it('is told of parallel calls in another order', async () => {
    const flow = await SimulatedWorkflow.begin(atOnce('left', 'middle', 'right'));
    await flow.complete('left');
    await flow.crash(atOnce('middle', 'left', 'right'));
    const { entry, recorded, produced, location } = mismatchOf(flow);
    expect(entry).toBe(0);
    expect([recorded, produced].sort()).toEqual(['activity "left"', 'activity "middle"']);
    expect(location).toMatch(/recording\.test\.ts/);
  });

  it('is told of a parallel call that was added', async () => {
    const flow = await SimulatedWorkflow.begin(atOnce('left', 'right'));
    await flow.complete('left');
    await flow.crash(atOnce('left', 'added', 'right'));
    expect(mismatchOf(flow)).toMatchObject({ entry: 0, produced: 'activity "added"' });
  });

  it('goes on when code that fits is there again', async () => {
    const flow = await shipping();
    await flow.crash(inSequence('audit'));
    expect(flow.blocked).not.toBeNull();
    await flow.crash(inSequence('reserve', 'charge', 'ship'));
    await flow.complete('ship');
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.state).toBe('completed');
  });

  it('does nothing any more from the call on that does not fit, whatever it catches', async () => {
    const flow = await shipping();
    let behind = 0;
    await flow.crash(async () => {
      try {
        await call('audit');
        behind++;
      } catch {
        behind++;
      } finally {
        behind++;
      }
    });
    expect(flow.blocked).not.toBeNull();
    await turns(5);
    expect(behind).toBe(0);
  });
});

describe('code that may change freely', () => {
  it('calls with other arguments', async () => {
    const charging = (sum: number) => async () => [await call('charge', sum), await call('ship', sum)];
    const flow = await SimulatedWorkflow.begin(charging(1));
    await flow.complete('charge', 'paid 1');
    await flow.crash(charging(2));
    await flow.complete('ship', 'sent');
    expect(flow.ending).toEqual({ state: 'completed', value: ['paid 1', 'sent'] });
  });

  it('sleeps for another time: the one recorded first counts', async () => {
    const sleeping = (ms: number) => () => workflow.sleep(ms);
    const flow = await SimulatedWorkflow.begin(sleeping(1_000));
    const due = flow.store.nextDue;
    await flow.crash(sleeping(50));
    expect(flow.store.nextDue).toBe(due);
    await flow.fire();
    expect(flow.ending?.state).toBe('completed');
  });

  it('waits for a signal of another id: the one recorded first counts', async () => {
    const waiting = (id: string) => () => workflow.condition(id);
    const flow = await SimulatedWorkflow.begin(waiting('first'));
    await flow.crash(waiting('second'));
    await flow.signal('second', 2);
    expect(flow.ending).toBeNull();
    await flow.signal('first', 1);
    expect(flow.ending?.value).toBe(1);
  });

  it('computes the id of a child otherwise: the one recorded first counts', async () => {
    const starting = (workflowId: string) => async () => {
      const id = await workflow.startChild({ workflowName: 'ship', args: [], workflowId });
      await call('note');
      return id;
    };
    const flow = await SimulatedWorkflow.begin(starting('first'));
    await flow.crash(starting('second'));
    await flow.complete('note');
    expect(flow.ending?.value).toBe('first');
  });

  it('makes more calls behind the last recorded step', async () => {
    const flow = await SimulatedWorkflow.begin(inSequence('reserve', 'ship'));
    await flow.complete('reserve');
    await flow.crash(inSequence('reserve', 'ship', 'audit'));
    await flow.complete('ship');
    expect(flow.commands).toEqual(['activity reserve', 'activity ship', 'activity audit']);
  });
});

/** Something that is not durable; each execution takes the next of the given numbers of turns. */
function imported(...executions: number[]): () => Promise<void> {
  return () => turns(executions.shift() ?? 0);
}

describe('a command that came late', () => {
  const beside = (waits: () => Promise<void>) => () =>
    Promise.all([
      (async () => {
        await waits();
        return call('late', 'L');
      })(),
      (async () => [await call('one'), await call('two')])(),
    ]);

  it('stands in an entry of its own, with its delay', async () => {
    const flow = await SimulatedWorkflow.begin(beside(imported(3)));
    expect(flow.story).toEqual(['start: activity one', 'late: activity late']);
    expect(flow.steps[1]?.event).toMatchObject({ kind: 'late', delayMs: 0 });
  });

  it.each([
    ['earlier', 1],
    ['in the turn of the delivery', 0],
    ['as late', 6],
    ['later', 40],
  ])('may come %s in the replay', async (_when, again) => {
    const flow = await SimulatedWorkflow.begin(beside(imported(6, again, 6, again)));
    await turns(10);
    await flow.complete('one', 1);
    expect(flow.story).toEqual(['start: activity one', 'late: activity late', 'done 0: activity two']);
    await flow.crash();
    await flow.complete('late', 'L');
    await flow.crash();
    await flow.complete('two', 2);
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual(['L', [1, 2]]);
  });

  it('is waited for before anything further is delivered', async () => {
    let open = () => {};
    let gate: Promise<void> = turns(2);
    const flow = await SimulatedWorkflow.begin(
      beside(() => gate),
      { lateCommandMs: 5_000 },
    );
    await flow.complete('one', 1);
    gate = new Promise((resolve) => {
      open = resolve;
    });
    flow.worker.kill();
    flow.worker.claim();
    await turns(30);
    expect(flow.instance?.pending.size).toBe(1);
    expect(flow.instance?.replaying).toBe(true);
    open();
    await flow.settle();
    expect(flow.instance?.pending.size).toBe(2);
    expect(flow.instance?.replaying).toBe(false);
  });

  it('that never comes again blocks the thread, which says what is missing', async () => {
    const flow = await SimulatedWorkflow.begin(beside(imported(2)));
    await flow.complete('one', 1);
    await flow.crash(beside(() => new Promise(() => {})));
    expect(mismatchOf(flow)).toMatchObject({ entry: 1, recorded: 'activity "late"', produced: null });
  });

  it('that was under way when the process died is new', async () => {
    const flow = await SimulatedWorkflow.begin(beside(imported(10_000, 3)));
    await flow.crash();
    expect(flow.story).toEqual(['start: activity one', 'late: activity late']);
  });

  it('that was under way when the process died is new, however early it comes now', async () => {
    let gate = new Promise<void>(() => {});
    const flow = await SimulatedWorkflow.begin(beside(() => gate));
    await flow.complete('one', 1);
    await flow.complete('two', 2);
    gate = turns(1);
    await flow.crash();
    expect(flow.blocked).toBeNull();
    expect(flow.commands).toEqual(['activity one', 'activity two', 'activity late']);
    await flow.crash();
    await flow.complete('late', 'L');
    expect(flow.ending?.value).toEqual(['L', [1, 2]]);
  });

  it.each([
    ['earlier', 0],
    ['with it again', 1],
    ['later', 7],
  ])('though between the deliveries of one activation, may come %s', async (_when, again) => {
    const waits = imported(1, again, 1, again);
    const flow = await SimulatedWorkflow.begin(() =>
      Promise.all([
        (async () => {
          await call('one');
          await waits();
          return call('late');
        })(),
        call('two'),
        call('three'),
      ]),
    );
    await flow.completeTogether('one', 'two');
    // Not a command of the second event, in whose macrotask it came.
    expect(flow.story.slice(1)).toEqual(['done 0', 'done 1', 'late: activity late']);
    await flow.complete('three', 3);
    await flow.crash();
    await flow.complete('late', 'L');
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual(['L', 'two', 3]);
  });

  it('that was under way when the process died is not taken for a recorded one with other arguments', async () => {
    const gates: Record<string, Promise<void>> = { x: turns(2), y: new Promise(() => {}) };
    const flow = await SimulatedWorkflow.begin(() =>
      Promise.all(
        ['x', 'y'].map(async (id) => {
          await gates[id];
          return [id, await call('process', id)];
        }),
      ),
    );
    await flow.complete('process', 'X');
    gates.y = turns(1);
    gates.x = turns(6);
    await flow.crash();
    expect(flow.blocked).toBeNull();
    await flow.complete('process', 'Y');
    expect(flow.ending?.value).toEqual([
      ['x', 'X'],
      ['y', 'Y'],
    ]);
  });

  it('whose arguments are computed freely belongs to the only record of its name, when nothing else comes', async () => {
    let drawn = 0;
    const flow = await SimulatedWorkflow.begin(async () => {
      await turns(2);
      return [await call('process', ++drawn), await call('two')];
    });
    await flow.complete('process', 'P');
    await flow.crash();
    expect(flow.blocked).toBeNull();
    await flow.complete('two', 2);
    expect(flow.ending?.value).toEqual(['P', 2]);
  });

  it('is not guessed when two with other arguments come: the workflow blocks, and says what came', async () => {
    let drawn = 0;
    const flow = await SimulatedWorkflow.begin(() =>
      Promise.all(
        [2, 4].map(async (count) => {
          await turns(count);
          return await call('process', ++drawn);
        }),
      ),
    );
    await flow.crash();
    expect(flow.blocked?.message).toMatch(/records activity "process".*activity "process" with other arguments/);
  });

  // A memoised import, say, that has settled in the process that goes on. Its place in the turn is that of a call which was
  // added to the code there, and nothing tells the two apart: so it blocks, loudly, and harms nothing.
  it('that was under way when the process died blocks where nothing is waited for any more, by its name', async () => {
    let gate = new Promise<void>(() => {});
    const code = beside(() => gate);
    const flow = await SimulatedWorkflow.begin(code);
    await flow.complete('one', 1);
    gate = Promise.resolve();
    await flow.crash();
    expect(mismatchOf(flow)).toMatchObject({ entry: 0, produced: 'activity "late"' });
    gate = turns(1);
    await flow.crash();
    expect(flow.blocked).toBeNull();
    expect(flow.commands).toEqual(['activity one', 'activity two', 'activity late']);
  });

  // Live, one-turn code runs behind the next delivery; so it does in a replay.
  it('that a cancel rejected, with nothing else pending, is rejected in the replay too', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      await call('one');
      await turns(1);
      const answer = await call('late').catch((error: Error) => error.message);
      return [answer, await call('two')];
    });
    flow.store.finishTask(0, { ok: true, text: '1' });
    flow.store.cancel();
    await flow.look();
    expect(flow.story.slice(1)).toEqual(['done 0', 'cancel []', 'late: activity two']);
    await flow.crash();
    expect(flow.blocked).toBeNull();
  });

  it('lets the code behind it run for the rest of its turn before anything is delivered', async () => {
    let ready = false;
    const waits = imported(4, 9);
    const flow = await SimulatedWorkflow.begin(() => {
      ready = false;
      return Promise.all([
        (async () => {
          await waits();
          const answer = call('late');
          for (let n = 0; n < 12; n++) await null;
          ready = true;
          return answer;
        })(),
        (async () => {
          await call('one');
          return ready ? call('behind') : call('before');
        })(),
      ]);
    });
    await flow.complete('one');
    expect(flow.commands).toEqual(['activity one', 'activity late', 'activity behind']);
    await flow.crash();
    expect(flow.blocked).toBeNull();
  });

  describe('with the same name as another', () => {
    const both = (left: () => Promise<void>, right: () => Promise<void>, args: [unknown, unknown]) => () =>
      Promise.all([
        (async () => {
          await left();
          return [args[0], await call('same', args[0])];
        })(),
        (async () => {
          await right();
          return [args[1], await call('same', args[1])];
        })(),
      ]);

    it('is told apart by its arguments when the order is turned round', async () => {
      const flow = await SimulatedWorkflow.begin(both(imported(1, 8, 3), imported(4, 2, 3), ['A', 'B']));
      await turns(10);
      await flow.complete(0, 'a');
      await flow.crash();
      await flow.crash();
      await flow.complete(1, 'b');
      expect(flow.blocked).toBeNull();
      expect(flow.ending?.value).toEqual([
        ['A', 'a'],
        ['B', 'b'],
      ]);
    });

    it('blocks the thread when the order is turned round and the arguments are others than recorded', async () => {
      const flow = await SimulatedWorkflow.begin(both(imported(1), imported(4), ['A', 'B']));
      await turns(10);
      await flow.complete(0, 'a');
      await flow.crash(both(imported(8), imported(2), ['C', 'D']));
      expect(mismatchOf(flow).produced).toBe('activity "same" with other arguments');
    });

    it('keeps the recorded order where both come in a turn', async () => {
      const flow = await SimulatedWorkflow.begin(both(imported(0), imported(0), ['A', 'B']));
      await flow.complete(0, 'a');
      await flow.crash(both(imported(0), imported(0), ['C', 'D']));
      await flow.complete(1, 'b');
      expect(flow.ending?.value).toEqual([
        ['C', 'a'],
        ['D', 'b'],
      ]);
    });
  });
});

describe('behind the last recorded step', () => {
  it('everything is new', async () => {
    const flow = await SimulatedWorkflow.begin(inSequence('reserve'));
    await flow.complete('reserve');
    expect(flow.ending?.state).toBe('completed');
    const other = await SimulatedWorkflow.begin(inSequence('reserve', 'ship'));
    await other.crash(inSequence('reserve', 'send'));
    await other.complete('reserve');
    expect(other.commands).toEqual(['activity reserve', 'activity send']);
  });
});

describe('a function that failed and is tried again', () => {
  const failing = (attempts: number) => ({ retry: { maximumAttempts: attempts } });

  it('goes on behind its history: nothing that was done is done again', async () => {
    const flow = await SimulatedWorkflow.begin(async ({ info }) => {
      const one = await call('one');
      if (info.attempt === 1) throw new Error('not yet');
      return [one, await call('two')];
    }, failing(1));
    await flow.complete('one', 1);
    expect(flow.story).toEqual(['start: activity one', 'done 0: retry']);
    expect(flow.instance).toBeNull();
    await flow.fire();
    expect(flow.story.at(-1)).toBe('retry 1: activity two');
    await flow.crash();
    await flow.complete('two', 2);
    expect(flow.ending).toEqual({ state: 'completed', value: [1, 2] });
  });

  it('is tried again by the process that takes over', async () => {
    const flow = await SimulatedWorkflow.begin(async ({ info }) => {
      if (info.attempt === 1) throw new Error('not yet');
      return info.attempt;
    }, failing(1));
    await flow.crash();
    expect(flow.instance).toBeNull();
    await flow.fire();
    expect(flow.ending?.value).toBe(2);
  });

  it.each([2, 3, 5])('may fail %i times in the same place', async (failures) => {
    const flow = await SimulatedWorkflow.begin(async ({ info }) => {
      const one = await call('one');
      if (info.attempt <= failures) throw new Error(`attempt ${info.attempt}`);
      return [one, await call('two'), info.attempt];
    }, failing(failures));
    await flow.complete('one', 1);
    for (let n = 0; n < failures; n++) {
      if (n % 2 === 0) await flow.crash();
      await flow.fire();
    }
    await flow.crash();
    await flow.complete('two', 2);
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual([1, 2, failures + 1]);
  });

  it('may fail in places further and further behind', async () => {
    const flow = await SimulatedWorkflow.begin(async ({ info }) => {
      const seen: unknown[] = [];
      for (const [n, name] of ['one', 'two', 'three', 'four'].entries()) {
        seen.push(await call(name));
        if (info.attempt === n + 1) throw new Error(name);
      }
      return seen;
    }, failing(9));
    for (const name of ['one', 'two', 'three', 'four']) {
      await flow.complete(name, name);
      await flow.crash();
      await flow.fire();
      await flow.crash();
    }
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual(['one', 'two', 'three', 'four']);
  });

  it('fails for good when its attempts are used up', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      throw new TypeError('never');
    }, failing(2));
    await flow.fire();
    await flow.crash();
    await flow.fire();
    expect(flow.commands).toEqual(['retry', 'retry', 'fail']);
    expect(flow.ending).toMatchObject({ state: 'failed', value: { message: 'never', code: 597 } });
  });

  it('takes what parallel activities gave between the failure and the retry', async () => {
    const flow = await SimulatedWorkflow.begin(
      async ({ info }) =>
        Promise.all([
          (async () => {
            await call('one');
            if (info.attempt === 1) throw new Error('not yet');
            return call('behind one');
          })(),
          (async () => [await call('two'), await call('behind two')])(),
          call('three'),
        ]),
      failing(1),
    );
    await flow.complete('one');
    await flow.complete('two', 2);
    await flow.crash();
    await flow.complete('three', 3);
    expect(flow.story.slice(1)).toEqual(['done 0: retry', 'done 1', 'done 2']);
    await flow.fire();
    expect(flow.story.at(-1)).toBe('retry 3: activity behind one, activity behind two');
    await flow.crash();
    await flow.complete('behind two', 22);
    await flow.crash();
    await flow.complete('behind one', 11);
    expect(flow.blocked).toBeNull();
    expect(flow.ending?.value).toEqual([11, [2, 22], 3]);
  });

  it('does nothing in the attempt that failed, whatever its other branches are given', async () => {
    const flow = await SimulatedWorkflow.begin(
      async ({ info }) =>
        Promise.all([
          call('one').then(() => {
            if (info.attempt === 1) throw new Error('not yet');
          }),
          call('two').then(() => call('behind two')),
        ]),
      failing(1),
    );
    // Both in one activation: the function has failed when `two` is delivered.
    await flow.completeTogether('one', 'two');
    expect(flow.story).toEqual(['start: activity one, activity two', 'done 0: retry', 'done 1']);
  });

  it('may be changed by a deploy behind the place where it failed', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      await call('one');
      throw new Error('a bug');
    }, failing(1));
    await flow.complete('one');
    await flow.crash(inSequence('one', 'two'));
    await flow.fire();
    expect(flow.story.at(-1)).toBe('retry 1: activity two');
    await flow.crash();
    await flow.complete('two');
    expect(flow.ending?.state).toBe('completed');
  });

  it('is held to what it did before it failed', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      await call('one');
      throw new Error('a bug');
    }, failing(1));
    await flow.complete('one');
    await flow.crash(inSequence('other', 'two'));
    await flow.fire();
    expect(mismatchOf(flow)).toMatchObject({ entry: 0, recorded: 'activity "one"', produced: 'activity "other"' });
  });
});
