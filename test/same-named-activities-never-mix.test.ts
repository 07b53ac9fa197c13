/** T61, T62: functions belong to the worker or the call they were given to, and a proxy needs none of them to be made. */

import { describe, expect, expectTypeOf, it } from 'vitest';
import { type ActivityProxy, Durable, proxyActivities, workflow } from '../src/index.js';
import { describeInBothTempos, Engine, retryAtOnce } from './support/worker.js';

/** Two modules, each with a `send`. The attempt that succeeds comes as a task, behind a failed one. */
function moduleOf(name: string) {
  return {
    async send(what: string) {
      if (Durable.activity.getContext().attempt === 1) throw new Error('not yet');
      return `${name} ${what}`;
    },
  };
}

const mails = moduleOf('mail');
const letters = moduleOf('letter');

// Made before any worker exists.
const byMail = proxyActivities<typeof mails>({ activities: mails, retry: retryAtOnce });
const byLetter = proxyActivities<typeof letters>({ activities: letters, retry: retryAtOnce });
const registered = proxyActivities<typeof mails>({ retry: retryAtOnce });

async function bothModules() {
  return await Promise.all([byMail.send('a'), byLetter.send('b'), registered.send('c'), byMail.send('d')]);
}

describeInBothTempos(
  'functions of one name',
  { workflow: { bothModules }, activities: moduleOf('worker') },
  (engine) => {
    it('belong to the calls they were given to, in one workflow', async () => {
      expect(await engine().run('bothModules')).toEqual(['mail a', 'letter b', 'worker c', 'mail d']);
    });
  },
);

it('belong to their worker, also when several in one process have that name', async () => {
  const call = async () => await registered.send('x');
  const workflows = { one: async () => await call(), two: async () => await call() };
  const engine = await Engine.open({ workflow: { one: workflows.one }, activities: moduleOf('one') });
  await engine.addWorker({ workflow: { two: workflows.two }, activities: moduleOf('two') });
  await engine.addWorker({
    workflow: { two: workflows.two },
    activities: moduleOf('elsewhere'),
    taskQueue: 'elsewhere',
  });
  for (let n = 0; n < 5; n++) {
    expect(await engine.run('one')).toBe('one x');
    expect(await engine.run('two')).toBe('two x');
    expect(await engine.run('two', [], { taskQueue: 'elsewhere' })).toBe('elsewhere x');
  }
  await engine.close();
});

it('given with another queue are not called: that queue has its own', async () => {
  const pooled = proxyActivities<typeof mails>({ activities: mails, taskQueue: 'pool', retry: retryAtOnce });
  const engine = await Engine.open({
    workflow: async function flow() {
      return await pooled.send('x');
    },
  });
  await engine.addActivityWorker('pool', moduleOf('pool'));
  expect(await engine.run('flow')).toBe('pool x');
  await engine.close();
});

describe('the types', () => {
  const activities = {
    add: async (a: number, b: number) => a + b,
    name: (id: string): string => id,
    later: async (): Promise<{ at: Date }> => ({ at: new Date(0) }),
    notAFunction: 5,
  };

  it('of a proxy are those of its functions, as promises', () => {
    const proxy = proxyActivities<typeof activities>();
    expectTypeOf(proxy.add).toEqualTypeOf<(a: number, b: number) => Promise<number>>();
    expectTypeOf(proxy.name).toEqualTypeOf<(id: string) => Promise<string>>();
    expectTypeOf(proxy.later).returns.resolves.toEqualTypeOf<{ at: Date }>();
    expectTypeOf(proxy.notAFunction).toBeNever();
    expectTypeOf<ActivityProxy<typeof activities>['add']>().parameters.toEqualTypeOf<[number, number]>();
    // @ts-expect-error no such activity
    expect(proxy.subtract).toBeTypeOf('function');
  });

  it('of a proxy follow the functions it is given', () => {
    const given = { add: activities.add };
    const proxy = workflow.proxyActivities({ activities: given });
    expectTypeOf(proxy.add).toEqualTypeOf<(a: number, b: number) => Promise<number>>();
  });

  it('of an inline step are those of what it returns', () => {
    const wellTyped = () => {
      expectTypeOf(workflow.run('a', () => 5)).resolves.toEqualTypeOf<number>();
      expectTypeOf(workflow.run('b', async () => ({ x: 'y' }))).resolves.toEqualTypeOf<{ x: string }>();
      expectTypeOf(workflow.run('c', () => {})).resolves.toEqualTypeOf<void>();
      // @ts-expect-error a step takes no arguments
      void workflow.run('d', (n: number) => n);
      // @ts-expect-error it runs where its workflow runs
      void workflow.run('e', () => 1, { taskQueue: 'elsewhere' });
    };
    expect(wellTyped).toBeTypeOf('function');
  });
});
