import { expect, it } from 'vitest';
import { Durable, Errors, uuid, workflow } from '../src/index.js';
import { describeInBothTempos, gate, Journal, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();
const gates = new Map<string, ReturnType<typeof gate<void>>>();
const { CancellationScope } = workflow;

const activities = {
  async quote(id: string, supplier: string, price: number) {
    const { signal } = Durable.activity.getContext();
    journal.note(`${id} ${supplier} asked`);
    signal.addEventListener('abort', () => journal.note(`${id} ${supplier} told to stop`, signal.reason));
    await gates.get(`${id} ${supplier}`)?.passed;
    return price;
  },
  async note(id: string) {
    journal.note(id);
  },
};
const { quote, note } = workflow.proxyActivities<typeof activities>({ retry: retryAtOnce });

const nameOf = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: Error) => error.name);

/** Takes the first answer and calls the others off. */
async function cheapest(id: string) {
  const asking = new CancellationScope();
  const a = asking.run(() => quote(id, 'a', 10));
  const b = asking.run(() => quote(id, 'b', 20));
  const clerk = asking.run(() => workflow.executeChild({ workflowName: 'clerk', workflowId: `${id} clerk`, args: [] }));
  const first = await Promise.race([a, b, clerk]);
  asking.cancel();
  return { first, fates: await Promise.all([a, b, clerk].map(nameOf)) };
}

/** The same, without waiting for what it called off. */
async function cheapestAtOnce(id: string) {
  const asking = new CancellationScope();
  const answers = [
    asking.run(() => quote(id, 'a', 10)),
    asking.run(() => workflow.executeChild({ workflowName: 'clerk', workflowId: `${id} clerk`, args: [] })),
  ];
  const first = await Promise.race(answers);
  asking.cancel();
  return first;
}

async function clerk() {
  try {
    await workflow.condition('never');
  } catch (error) {
    await note(`${workflow.workflowInfo().workflowId} heard ${(error as Error).name}`);
    throw error;
  }
}

async function inTime(id: string, ms: number) {
  const answer = await nameOf(CancellationScope.withTimeout(ms, () => quote(id, 'a', 10)));
  await workflow.condition(`${id} end`);
  return answer;
}

/** An order may be called off as long as it is not paid; cleaning up is not to be disturbed. */
async function order(id: string) {
  try {
    await CancellationScope.cancellable(async () => {
      await workflow.condition(`${id} paid`);
    });
    return 'paid';
  } catch (error) {
    if (!workflow.isCancellation(error)) throw error;
    return await CancellationScope.nonCancellable(async () => {
      await workflow.condition(`${id} clean`);
      await note(`${id} cleaned`);
      return 'called off';
    });
  }
}

async function givesUpNews(id: string) {
  const scope = new CancellationScope();
  const news = nameOf(scope.run(() => workflow.condition(`${id} news`)));
  await workflow.condition(`${id} enough`);
  scope.cancel();
  return { first: await news, second: await workflow.condition(`${id} news`) };
}

async function lets(id: string) {
  await CancellationScope.withTimeout(20, () => workflow.condition(`${id} never`));
}

async function rounds(round: number): Promise<string> {
  if (round === 0) return 'done';
  const late = await nameOf(CancellationScope.withTimeout(5, () => workflow.sleep('1 hour')));
  await CancellationScope.cancellable(async () => {
    void workflow.sleep('1 day');
    await workflow.continueAsNew(late === 'CancelledFailure' ? round - 1 : 0);
  });
  return 'never here';
}

/** Does not wait for a hook's answer any more; the hook itself goes on. */
async function asksInVain(id: string) {
  const scope = new CancellationScope();
  const answer = nameOf(scope.run(() => workflow.execHook({ taskQueue: 'test', workflowName: 'aside', args: [id] })));
  await workflow.condition(`${id} enough`);
  scope.cancel();
  const first = await answer;
  await workflow.condition(`${id} aside is done`);
  return first;
}

async function aside(id: string, { signal }: { signal: string }) {
  await workflow.condition(`${id} think`);
  await workflow.signal(signal, 'an answer', '1 minute');
  await workflow.signal(`${id} aside is done`);
}

/** A hook has scopes of its own. */
async function hooked(id: string) {
  return await workflow.execHook({ taskQueue: 'test', workflowName: 'limited', args: [id] });
}

async function limited(id: string, { signal }: { signal: string }) {
  const late = await nameOf(CancellationScope.withTimeout(10, () => workflow.condition(`${id} never`)));
  await workflow.signal(signal, late);
}

const workflows = {
  asksInVain,
  aside,
  hooked,
  limited,
  cheapest,
  cheapestAtOnce,
  clerk,
  inTime,
  order,
  givesUpNews,
  lets,
  rounds,
};

describeInBothTempos('a cancellation scope', { workflow: workflows, activities }, (engine) => {
  const begin = async (name: string, suppliers: string[]) => {
    const id = uuid();
    for (const supplier of suppliers) gates.set(`${id} ${supplier}`, gate<void>());
    const handle = await engine().start(name, [id]);
    for (const supplier of suppliers)
      await until(`${supplier} is asked`, () => journal.count(`${id} ${supplier} asked`) === 1);
    const clerk = await engine().client.workflow.getHandle('test', 'clerk', `${id} clerk`);
    await until('the clerk is there', () => clerk.status().then(Boolean, () => false));
    await engine().awaitsSignal(clerk, 'never');
    return { id, handle, clerk };
  };

  it('cancelled by the code calls off what is pending in it: activities are aborted, children cancelled', async () => {
    const { id, handle, clerk } = await begin('cheapest', ['a', 'b']);
    gates.get(`${id} a`)?.open();
    expect(await engine().result(handle)).toEqual({ first: 10, fates: [10, 'CancelledFailure', 'CancelledFailure'] });
    await until('the other was told', () => journal.count(`${id} b told to stop`) === 1);
    expect(journal.of(`${id} b told to stop`)[0]).toBeInstanceOf(Errors.CancelledFailure);
    expect(await engine().failure(clerk)).toMatchObject({ name: 'CancelledFailure' });
    expect(journal.count(`${id} clerk heard CancelledFailure`)).toBe(1);
    gates.get(`${id} b`)?.open();
  });

  it('cancelled by code that ends at once calls off all the same', async () => {
    const { id, handle, clerk } = await begin('cheapestAtOnce', ['a']);
    gates.get(`${id} a`)?.open();
    expect(await engine().result(handle)).toBe(10);
    expect(await engine().failure(clerk)).toMatchObject({ name: 'CancelledFailure' });
  });

  it('with a limit ends when that is over, and not before', async () => {
    const id = uuid();
    gates.set(`${id} a`, gate<void>());
    const handle = await engine().start('inTime', [id, 50]);
    await engine().awaitsSignal(handle, `${id} end`);
    await until('the activity was told', () => journal.count(`${id} a told to stop`) === 1);
    await handle.signal(`${id} end`);
    expect(await engine().result(handle)).toBe('CancelledFailure');
    gates.get(`${id} a`)?.open();
  });

  it('with a limit leaves no timer behind when it was in time', async () => {
    const id = uuid();
    const handle = await engine().start('inTime', [id, 3_600_000]);
    await engine().awaitsSignal(handle, `${id} end`);
    await until('the timer is gone', async () => {
      const timers = await engine().sql(
        'select from timer m join execution e on e.run_no = m.thread_no where e.workflow_id = $1',
        [handle.workflowId],
      );
      return timers.length === 0;
    });
    await handle.signal(`${id} end`);
    expect(await engine().result(handle)).toBe(10);
  });

  it('is cancelled with its workflow; a shielded one finishes its work', async () => {
    const id = uuid();
    const handle = await engine().start('order', [id]);
    await engine().awaitsSignal(handle, `${id} paid`);
    await handle.cancel();
    await engine().awaitsSignal(handle, `${id} clean`);
    await handle.cancel();
    await handle.signal(`${id} clean`);
    expect(await engine().result(handle)).toBe('called off');
    expect(journal.count(`${id} cleaned`)).toBe(1);
  });

  it('that gives up a condition loses no signal', async () => {
    const ids = Array.from({ length: 10 }, () => uuid());
    const outcomes = await Promise.all(
      ids.map(async (id, n) => {
        const handle = await engine().start('givesUpNews', [id]);
        await engine().awaitsSignal(handle, `${id} enough`);
        const { signal } = engine().client.workflow;
        const news = () => signal(`${id} news`, 'news');
        const enough = () => signal(`${id} enough`, null);
        // At the same moment, in either order.
        await Promise.all(n % 2 === 0 ? [enough(), news()] : [news(), enough()]);
        await until('the first was told', async () => {
          const waits = await engine().sql('select from wait where signal_id = $1', [`${id} enough`]);
          return waits.length === 0;
        });
        // Whoever did not get the first gets the second.
        await handle.signal(`${id} news`, 'more');
        return await engine().result<{ first: string; second: string }>(handle);
      }),
    );
    for (const { first, second } of outcomes)
      expect([`${first}, ${second}`]).toContainEqual(first === 'news' ? 'news, more' : 'CancelledFailure, news');
    const left = await engine().sql<{ signal_id: string }>(`select signal_id from signal where signal_id = any($1)`, [
      ids.map((id) => `${id} news`),
    ]);
    expect(left).toHaveLength(outcomes.filter(({ first }) => first !== 'news').length);
  });

  it('whose cancelling nobody catches ends the workflow, which is not tried again', async () => {
    const handle = await engine().start('lets', [uuid()], { config: retryAtOnce });
    expect(await engine().failure(handle)).toMatchObject({
      name: 'CancelledFailure',
      message: 'Cancellation scope cancelled',
      code: 598,
    });
  });

  it('gives up the answer of a hook, which goes on', async () => {
    const id = uuid();
    const handle = await engine().start('asksInVain', [id]);
    await engine().awaitsSignal(handle, `${id} enough`);
    await until('the hook waits', async () => {
      const waits = await engine().sql('select from wait where signal_id = $1', [`${id} think`]);
      return waits.length === 1;
    });
    await handle.signal(`${id} enough`);
    await engine().awaitsSignal(handle, `${id} aside is done`);
    await handle.signal(`${id} think`);
    expect(await engine().result(handle)).toBe('CancelledFailure');
  });

  it('works in a hook as it does elsewhere', async () => {
    expect(await engine().run('hooked', [uuid()])).toBe('CancelledFailure');
  });

  it('ends with its run', async () => {
    expect(await engine().result(await engine().start('rounds', [3]))).toBe('done');
  });
});
