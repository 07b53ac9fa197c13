import { expect, it } from 'vitest';
import { Errors, uuid, workflow } from '../src/index.js';
import { describeInBothTempos, pause, until } from './support/worker.js';

async function collects(signalId: string, count: number) {
  const received: unknown[] = [];
  while (received.length < count) received.push(await workflow.condition(signalId));
  return received;
}

async function collectsLate(signalId: string, goId: string, count: number) {
  await workflow.condition(goId);
  return await collects(signalId, count);
}

async function timesOut(signalId: string, timeout: string | number | { timeout: string | number }) {
  const value = await workflow.condition(signalId, timeout);
  return { value };
}

async function inOrderOfCalls(ids: string[]) {
  return await Promise.all(ids.map((id) => workflow.condition(id)));
}

async function sends(signalId: string, data: unknown) {
  return await workflow.signal(signalId, data);
}

async function sendsAndLeaves(signalId: string, data: unknown) {
  void workflow.signal(signalId, data);
}

async function toItself(signalId: string) {
  const outcomes = [await workflow.signal(signalId, 1), await workflow.signal(signalId, 2)];
  const values = [await workflow.condition(signalId), await workflow.condition(signalId)];
  return { outcomes, values };
}

async function computesItsId(prefix: string) {
  // The id recorded first counts, whatever a replay computes.
  const value = await workflow.condition(`${prefix}${Math.random() > 2 ? 'x' : ''}`);
  return { value, again: await workflow.condition(`${prefix} 2`) };
}

async function loser(signalId: string) {
  const first = await Promise.race([workflow.condition(signalId), workflow.sleep(50).then(() => 'slept')]);
  const second = await workflow.condition(signalId);
  return { first, second };
}

const workflows = {
  collects,
  collectsLate,
  timesOut,
  inOrderOfCalls,
  sends,
  sendsAndLeaves,
  toItself,
  computesItsId,
  loser,
};

describeInBothTempos('a signal', { workflow: workflows }, (engine) => {
  const signal = (...args: Parameters<ReturnType<typeof engine>['client']['workflow']['signal']>) =>
    engine().client.workflow.signal(...args);

  it('through a handle reaches that workflow, though another waits longer for the same id', async () => {
    const id = uuid();
    const other = await engine().start('collects', [id, 1]);
    await engine().awaitsSignal(other, id);
    const mine = await engine().start('collects', [id, 1]);
    await engine().awaitsSignal(mine, id);
    expect(await mine.signal(id, 'for mine')).toBe('delivered');
    expect(await engine().result(mine)).toEqual(['for mine']);
    expect(await other.status()).toBe(1);
    await other.signal(id, 'for other');
    expect(await engine().result(other)).toEqual(['for other']);
  });

  it('to the namespace reaches whoever waits longest, one each', async () => {
    const id = uuid();
    const waiters = [];
    for (const _ of [1, 2, 3]) {
      const waiter = await engine().start('collects', [id, 1]);
      await engine().awaitsSignal(waiter, id);
      waiters.push(waiter);
    }
    for (const n of [1, 2, 3]) expect(await signal(id, n)).toBe('delivered');
    expect(await Promise.all(waiters.map((waiter) => engine().result(waiter)))).toEqual([[1], [2], [3]]);
    expect(await signal(id, 4)).toBe('buffered');
  });

  it('that comes early is kept, and several keep their order', async () => {
    const id = uuid();
    for (const n of [1, 2, 3]) expect(await signal(id, n)).toBe('buffered');
    expect(await engine().run('collects', [id, 3])).toEqual([1, 2, 3]);
  });

  it('that comes early through a handle is kept for that workflow alone', async () => {
    const id = uuid();
    const go = uuid();
    const handle = await engine().start('collectsLate', [id, go, 2]);
    await engine().awaitsSignal(handle, go);
    expect(await handle.signal(id, 'a')).toBe('buffered');
    expect(await handle.signal(id, 'b')).toBe('buffered');
    const other = await engine().start('timesOut', [id, 50]);
    expect(await engine().result(other)).toEqual({ value: false });
    await handle.signal(go);
    expect(await engine().result(handle)).toEqual(['a', 'b']);
  });

  it('keeps the order of a thousand that are sent without waiting for answers', async () => {
    const id = uuid();
    const handle = await engine().start('collects', [id, 1_000]);
    const sent = Array.from({ length: 1_000 }, (_, n) => handle.signal(id, n));
    await Promise.all(sent);
    expect(await engine().result(handle)).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
  });

  it.each([[null], [false], [0], [''], ['text'], [{ deep: [1, { a: null }] }], [[]]])(
    'brings its data as it is: %j',
    async (data) => {
      const id = uuid();
      const handle = await engine().start('collects', [id, 2]);
      await engine().awaitsSignal(handle, id);
      await handle.signal(id, data);
      await handle.signal(id, data);
      expect(await engine().result(handle)).toEqual([data, data]);
    },
  );

  it('without data brings undefined, which a result shows as null', async () => {
    const id = uuid();
    const handle = await engine().start('collects', [id, 1]);
    await handle.signal(id);
    expect(await engine().result(handle)).toEqual([null]);
  });

  it('is not lost between many senders and waiters who meet at the same moment', async () => {
    const ids = Array.from({ length: 100 }, () => uuid());
    const [waiters] = await Promise.all([
      Promise.all(ids.map((id) => engine().start('collects', [id, 1]))),
      Promise.all(ids.map((id, n) => engine().start('sends', [id, n]))),
    ]);
    const received = await Promise.all(waiters.map((waiter) => engine().result(waiter)));
    expect(received).toEqual(ids.map((_, n) => [n]));
  });

  it('sent by a workflow that ends at once, without awaiting it, arrives', async () => {
    const id = uuid();
    const waiter = await engine().start('collects', [id, 1]);
    await engine().run('sendsAndLeaves', [id, 'goodbye']);
    expect(await engine().result(waiter)).toEqual(['goodbye']);
  });

  it('tells a workflow that sends it whether somebody waited', async () => {
    const id = uuid();
    expect(await engine().run('sends', [id, 1])).toBe('buffered');
    const waiter = await engine().start('collects', [`${id} 2`, 1]);
    await engine().awaitsSignal(waiter, `${id} 2`);
    expect(await engine().run('sends', [`${id} 2`, 1])).toBe('delivered');
    await engine().result(waiter);
  });

  it('may be sent by a workflow to itself', async () => {
    expect(await engine().run('toItself', [uuid()])).toEqual({ outcomes: ['buffered', 'buffered'], values: [1, 2] });
  });

  it('resolves each of several waits with its own data, whatever the order of arrival', async () => {
    const ids = [uuid(), uuid(), uuid()] as const;
    const handle = await engine().start('inOrderOfCalls', [ids]);
    for (const id of ids) await engine().awaitsSignal(handle, id);
    for (const n of [2, 0, 1]) await handle.signal(ids[n] as string, n);
    expect(await engine().result(handle)).toEqual([0, 1, 2]);
  });

  it('that loses to a timeout is kept for the next wait', async () => {
    const id = uuid();
    const handle = await engine().start('loser', [id]);
    await pause(300);
    await handle.signal(id, 'first');
    await handle.signal(id, 'second');
    expect(await engine().result(handle)).toEqual({ first: 'slept', second: 'second' });
  });

  it('is awaited by the id that was recorded first', async () => {
    const prefix = uuid();
    const handle = await engine().start('computesItsId', [prefix]);
    await engine().awaitsSignal(handle, prefix);
    await handle.signal(prefix, 1);
    await engine().awaitsSignal(handle, `${prefix} 2`);
    await handle.signal(`${prefix} 2`, 2);
    expect(await engine().result(handle)).toEqual({ value: 1, again: 2 });
  });

  it.each([30, '30ms', { timeout: '30ms' }])('that does not come within %j leaves false', async (timeout) => {
    expect(await engine().run('timesOut', [uuid(), timeout])).toEqual({ value: false });
  });

  it.each([0, -5, '0s'])('is not waited for with a timeout of %j, unless it is there', async (timeout) => {
    const id = uuid();
    expect(await engine().run('timesOut', [id, timeout])).toEqual({ value: false });
    await signal(id, 'there');
    expect(await engine().run('timesOut', [id, timeout])).toEqual({ value: 'there' });
  });

  it('in time disarms the timeout', async () => {
    const id = uuid();
    const handle = await engine().start('timesOut', [id, '1 hour']);
    await engine().awaitsSignal(handle, id);
    await handle.signal(id, 'in time');
    expect(await engine().result(handle)).toEqual({ value: 'in time' });
    const timers = await engine().sql(
      'select from timer m join execution e on e.run_no = m.thread_no where e.workflow_id = $1',
      [handle.workflowId],
    );
    expect(timers).toEqual([]);
  });

  it('that nobody awaits is kept as long as it was to be', async () => {
    const id = uuid();
    await signal(id, 'gone', undefined, '50ms');
    await pause(100);
    expect(await engine().run('timesOut', [id, 100])).toEqual({ value: false });
    await signal(id, 'kept', undefined, '1 hour');
    expect(await engine().run('timesOut', [id, '10s'])).toEqual({ value: 'kept' });
  });

  it('to a workflow that has ended is refused', async () => {
    const handle = await engine().start('sends', [uuid(), 1]);
    await engine().result(handle);
    await expect(handle.signal('late')).rejects.toThrow(Errors.InactiveJobError);
  });

  it('race: waiters and timeouts at the same moment lose nothing', async () => {
    const ids = Array.from({ length: 60 }, () => uuid());
    const waiters = await Promise.all(ids.map((id) => engine().start('timesOut', [id, 200])));
    const outcomes = await Promise.all(
      waiters.map(async (waiter, n) => {
        await pause(150 + n * 2);
        const answer = await waiter.signal(ids[n] as string, n).catch((error: unknown) => (error as Error).name);
        const { value } = await engine().result<{ value: unknown }>(waiter);
        return { answer, value, n };
      }),
    );
    for (const { answer, value, n } of outcomes) {
      if (answer === 'delivered') expect(value).toBe(n);
      else expect(value).toBe(false);
    }
    await until(
      'no wait is left',
      async () => (await engine().sql('select from wait where signal_id = any($1)', [ids])).length === 0,
    );
  });
});
