/**
 * A connection that breaks at a call: before it was sent, while it runs, when it is done and its answer is on the way.
 * The caller cannot know which, sends it again, and must find what it did.
 */

import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Client, Durable, uuid, Worker, type WorkerTuning, type WorkflowHandle, workflow } from '../src/index.js';
import { type Moment, type PostgresProxy, startProxy } from './support/proxy.js';
import { Engine, gate, Journal, kept, pause, until } from './support/worker.js';

const moments = ['before-forward', 'after-forward', 'at-answer'] as const satisfies Moment[];
const journal = new Journal();

const activities = {
  async step(id: string, n: number) {
    journal.note(id, n);
    return n;
  },
  async slow(id: string, n: number) {
    journal.note(id, n);
    await pause(500);
    return n;
  },
  async flaky(id: string, n: number) {
    journal.note(id, `${n} attempt ${Durable.activity.getContext().attempt}`);
    if (Durable.activity.getContext().attempt === 1) throw new Error('once');
    return n;
  },
};
const { step, slow, flaky } = workflow.proxyActivities<typeof activities>({ retry: { initialInterval: 50 } });

async function child(id: string, n: number) {
  return await step(id, n);
}

async function works(id: string) {
  const seen: unknown[] = [await step(id, 1)];
  seen.push(await Promise.all([slow(id, 2), flaky(id, 3), workflow.sleep(30)]));
  seen.push(await workflow.executeChild({ workflowName: 'child', args: [id, 4] }));
  seen.push(await workflow.signal(`${id} out`, 'sent'));
  seen.push(await workflow.condition(`${id} in`));
  seen.push(await step(id, 5));
  return seen;
}

/** A child whose commit can be told from others: its workflow id stands in it. */
async function begets(workflowId: string) {
  return await workflow.executeChild({ workflowName: 'echoes', workflowId, args: [Number(workflowId.at(-1))] });
}

async function echoes(value: unknown) {
  return value;
}

async function waits(signalId: string) {
  return [await workflow.condition(signalId), await workflow.condition(signalId, 200)];
}

async function continues(id: string, n: number): Promise<unknown> {
  await step(id, n);
  if (n < 3) return await workflow.continueAsNew(id, n + 1);
  return n;
}

const isCommit = (request: Buffer) => /durable"?[._]commit\b/.test(request.toString('latin1'));

let held = gate<void>();

/** Nothing can be parked here: it is given back when its worker stops. */
async function awaitsTheProcess(id: string) {
  journal.note(id);
  await held.passed;
  return 'went on';
}

let engine: Engine;
let proxy: PostgresProxy;
let connection: { class: typeof pg.Client; options: { connectionString: string } };

beforeEach(async () => {
  engine = await Engine.withoutWorker(kept);
  proxy = await startProxy(engine.database.url);
  connection = { class: pg.Client, options: { connectionString: proxy.url(engine.database.url) } };
});
afterEach(async () => {
  await engine.close();
});

/**
 * Cuts calls of this function, each at another moment; behind each cut one passes, so that it is another call that is cut
 * next. The name stands in the text or is the statement's.
 */
function cutCalls(call: string, cuts: readonly Moment[]): { hits: () => number } {
  const name = new RegExp(`durable"?[._]${call}\\b`);
  let hits = 0;
  const next = (index: number): void => {
    const moment = cuts[index];
    if (moment === undefined) return;
    let passed = index === 0;
    const matches = (request: Buffer) => {
      if (!name.test(request.toString('latin1'))) return false;
      if (passed) return true;
      passed = true;
      return false;
    };
    void proxy.cutNextQuery(moment, matches).then(() => {
      hits++;
      next(index + 1);
    });
  };
  next(0);
  return { hits: () => hits };
}

async function worker(options: WorkerTuning = {}): Promise<Worker> {
  return await Worker.create({
    connection,
    taskQueue: 'test',
    workflow: { works, child, begets, echoes, waits, continues, flakyOnce, awaitsTheProcess },
    activities,
    // Long enough for every repetition: only the broken connection is tested here.
    options: { logLevel: 'silent', parkAfter: 0, leaseDuration: '20s', shutdownGrace: 100, ...options },
  });
}

/** Nothing may stay owned by a worker that does not know of it. */
async function expectNothingOrphaned(): Promise<void> {
  await until('nothing is owned', async () => {
    const rows = await engine.sql(
      `select from thread where owner is not null and state = 'owned' union all select from activity_task where owner is not null`,
    );
    return rows.length === 0;
  });
}

describe('of a worker’s call', () => {
  it.each([
    'commit',
    'claim',
    'park',
    'claim_tasks',
    'finish_tasks',
    'queue_tasks',
    'load_own_history',
    'renew_lease',
    'register_worker',
    'mail',
  ])('%s: results are exact, and no activity runs twice', async (call) => {
    const cut = cutCalls(call, [...moments, ...moments]);
    const lease = call === 'renew_lease' ? { leaseDuration: '3s' } : {};
    const running = await worker({ maxCachedWorkflows: 0, ...lease });
    const id = uuid();
    const waiter = await engine.start('waits', [`${id} out`]);
    await engine.awaitsSignal(waiter, `${id} out`);
    const handle = await engine.start('works', [id]);
    const continued = await engine.start('continues', [`${id} runs`, 0]);
    expect(await engine.result(waiter)).toEqual(['sent', false]);
    await engine.awaitsSignal(handle, `${id} in`);
    await handle.signal(`${id} in`, 'received');
    expect(await engine.result(handle)).toEqual([1, [2, 3, 0.03], 4, 'delivered', 'received', 5]);
    expect(await engine.result(continued)).toBe(3);
    expect([...journal.of(id)].map(String).sort()).toEqual(['1', '2', '3 attempt 1', '3 attempt 2', '4', '5']);
    expect(journal.of(`${id} runs`)).toEqual([0, 1, 2, 3]);
    expect(cut.hits(), `${call} was never cut`).toBeGreaterThan(0);
    await expectNothingOrphaned();
    await running.stop();
  });

  it.each(moments)('release and retirement (%s): another takes over at once', async (moment) => {
    const cuts = [cutCalls('release', [moment]), cutCalls('retire_worker', [moment])];
    const running = await worker();
    const id = uuid();
    held = gate<void>();
    const handle = await engine.start('awaitsTheProcess', [id]);
    await until('it began', () => journal.count(id) === 1);
    await running.stop();
    expect(cuts.map(({ hits }) => hits())).toEqual([1, 1]);
    held.open();
    const next = await worker();
    expect(await engine.result(handle)).toBe('went on');
    await next.stop();
  });
});

describe('of a client’s call', () => {
  let client: Client;
  beforeEach(async () => {
    client = new Client({ connection });
  });
  afterEach(() => client.close());

  it.each(moments)('start (%s): one workflow, and its handle', async (moment) => {
    await engine.addWorker({ workflow: { works, child, waits, continues }, activities });
    const cut = cutCalls('start', [moment, moment, moment]);
    const ids = Array.from({ length: 20 }, () => uuid());
    const handles = await Promise.all(
      ids.map((workflowId) =>
        client.workflow.start({ taskQueue: 'test', workflowName: 'child', workflowId, args: [workflowId, 7] }),
      ),
    );
    expect(await Promise.all(handles.map((handle) => handle.result()))).toEqual(ids.map(() => 7));
    expect(ids.map((id) => journal.count(id))).toEqual(ids.map(() => 1));
    expect(cut.hits()).toBeGreaterThan(0);
  });

  it.each(moments)('signal (%s): one signal, through a handle and to the namespace', async (moment) => {
    await engine.addWorker({ workflow: { waits } });
    const [mine, anybodys] = [uuid(), uuid()];
    const handles = await Promise.all([engine.start('waits', [mine]), engine.start('waits', [anybodys])]);
    await engine.awaitsSignal(handles[0], mine);
    await engine.awaitsSignal(handles[1], anybodys);
    const cut = cutCalls('signal', [moment, moment, moment]);
    const handle = await client.workflow.getHandle('test', 'waits', handles[0].workflowId);
    expect(await handle.signal(mine, 1)).toBe('delivered');
    expect(await client.workflow.signal(anybodys, 2)).toBe('delivered');
    expect(await Promise.all(handles.map((waiting) => engine.result(waiting)))).toEqual([
      [1, false],
      [2, false],
    ]);
    expect(cut.hits()).toBeGreaterThan(0);
    expect(await engine.sql('select from signal')).toEqual([]);
  });

  it.each(moments)('cancel and terminate (%s): once, and no error for it', async (moment) => {
    await engine.addWorker({ workflow: { waits } });
    const [cancelled, terminated] = await Promise.all([
      engine.start('waits', ['never']),
      engine.start('waits', ['never']),
    ]);
    await engine.awaitsSignal(cancelled, 'never');
    const cuts = [cutCalls('cancel', [moment]), cutCalls('terminate', [moment])];
    await (await client.workflow.getHandle('test', 'waits', cancelled.workflowId)).cancel();
    await (await client.workflow.getHandle('test', 'waits', terminated.workflowId)).terminate({ reason: 'enough' });
    expect(await engine.failure(cancelled)).toMatchObject({ name: 'CancelledFailure' });
    expect(await engine.failure(terminated)).toMatchObject({ message: 'enough' });
    expect(cuts.map(({ hits }) => hits())).toEqual([1, 1]);
  });

  it.each(moments)('results and describe (%s): the same answer', async (moment) => {
    await engine.addWorker({ workflow: { child }, activities });
    const cuts = [cutCalls('results', [moment]), cutCalls('describe', [moment])];
    const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'child', args: [uuid(), 9] });
    expect(await handle.result()).toBe(9);
    expect(await handle.status()).toBe(0);
    expect(cuts.map(({ hits }) => hits())).toEqual([1, 1]);
  });
});

describe('a task whose queueing was not answered', () => {
  it('and which another worker has finished meanwhile is not queued again', async () => {
    const first = await worker({ maxConcurrentActivities: 1 });
    const name = /durable"?[._]queue_tasks\b/;
    const cut = proxy.cutNextQuery('at-answer', (request) => name.test(request.toString('latin1')));
    let isCut = false;
    let [id, handle] = await startFlaky();
    while (!isCut) {
      // While a claim of tasks is under way there is no slot to begin an activity in: then it has a row from the start.
      const ended = await Promise.race([cut.then(() => false), handle.result().then(() => true)]);
      if (ended) [id, handle] = await startFlaky();
      else isCut = true;
    }
    proxy.refuse(true); // the first worker stays away until the second has run the task
    // Not before: it might have taken the workflow itself.
    const second = await engine.addWorker({ workflow: { flakyOnce }, activities });
    await until('the second attempt has run', () => journal.count(id) === 2);
    await pause(300);
    proxy.refuse(false);
    expect(await engine.result(handle)).toBe(1);
    await pause(500);
    expect(journal.of(id)).toEqual(['1 attempt 1', '1 attempt 2']);
    await first.stop();
    await second.stop();
  });
});

async function startFlaky(): Promise<[id: string, WorkflowHandle]> {
  const id = uuid();
  return [id, await engine.start('flakyOnce', [id])];
}

async function flakyOnce(id: string) {
  return await workflow.proxyActivities<typeof activities>({ retry: { initialInterval: 0 } }).flaky(id, 1);
}

/**
 * Who should look is said with the answer, and a repeated call does not know it any more. Whoever listens would look only
 * at the next poll, after five seconds: nearly as long, each time, when it was told of something just before.
 */
describe('hints that were lost with an answer', () => {
  const sooner = 3_000;

  it('are made up for: a child is begun at once', async () => {
    const running = await worker({ parkAfter: 1_000 });
    const took: number[] = [];
    for (let n = 0; n < 3; n++) {
      const id = `lost-kid-${n}`;
      const cut = proxy.cutNextQuery('at-answer', (request) => isCommit(request) && request.includes(id));
      const handle = await engine.start('begets', [id]);
      await cut;
      const since = Date.now();
      expect(await engine.result(handle)).toBe(n);
      took.push(Date.now() - since);
    }
    expect(Math.min(...took), `${took}`).toBeLessThan(sooner);
    await running.stop();
  });

  it('are made up for: a workflow of another process hears of a signal at once', async () => {
    const running = await engine.addWorker({ workflow: { waits }, options: { parkAfter: 0 } });
    const client = new Client({ connection });
    const took: number[] = [];
    for (let n = 0; n < 3; n++) {
      const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'waits', args: [`lost-${n}`] });
      await engine.awaitsSignal(handle, `lost-${n}`);
      await until('it is parked', async () => {
        const [row] = await engine.sql<{ state: string }>(
          'select t.state from thread t join execution e using (run_no) where e.workflow_id = $1',
          [handle.workflowId],
        );
        return row?.state === 'parked';
      });
      const cut = proxy.cutNextQuery('at-answer', (request) => request.includes(`lost-${n}`));
      const sending = client.workflow.signal(`lost-${n}`, n);
      await cut;
      const since = Date.now();
      expect(await sending).toBe('delivered');
      await until('it went on', async () => {
        const rows = await engine.sql(
          `select from wait w join execution e on e.run_no = w.thread_no where e.workflow_id = $1
           union all select from inbox i join execution e on e.run_no = i.thread_no where e.workflow_id = $1`,
          [handle.workflowId],
        );
        return rows.length === 0;
      });
      took.push(Date.now() - since);
      await engine.result(handle);
    }
    expect(Math.min(...took), `${took}`).toBeLessThan(sooner);
    await running.stop();
    await client.close();
  });
});
