/** A caller's open transaction holds rows of one workflow. That one waits; everybody else goes on. */

import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { uuid, Worker, type WorkflowHandle, workflow } from '../src/index.js';
import { Engine, gate, Journal, kept, pause, until } from './support/worker.js';
import { within } from './support/worker-fleet.js';

const journal = new Journal();
const gates = new Map<string, ReturnType<typeof gate<void>>>();

const activities = {
  async step(id: string) {
    journal.note(id);
    return id;
  },
  async failsOnce(id: string) {
    journal.note(id);
    await gates.get(id)?.passed;
    if (journal.count(id) === 1) throw new Error('once');
    return journal.count(id);
  },
};
const { step, failsOnce } = workflow.proxyActivities<typeof activities>({ retry: { initialInterval: 10 } });

async function asks(id: string) {
  const answers: unknown[] = [];
  for (let n = 0; n < 3; n++) answers.push(await workflow.condition(`${id} ${n}`));
  return answers;
}

async function quick(id: string) {
  await step(id);
  await workflow.sleep(5);
  const answer = await workflow.condition(`${id} nobody`, 5);
  return await workflow.executeChild({ workflowName: 'child', args: [answer] });
}

async function child(value: unknown) {
  return value;
}

async function retries(id: string) {
  return await failsOnce(id);
}

/** Goes on behind something that is not durable, while nothing durable would wake it. */
async function comesBack(id: string) {
  void workflow.condition(`${id} never`);
  await gates.get(id)?.passed;
  return await step(id);
}

async function parent(childId: string) {
  return await workflow.executeChild({ workflowName: 'asks', workflowId: childId, args: [childId] });
}

let engine: Engine;
/** The caller with the open transaction. */
let caller: pg.Client;

beforeEach(async () => {
  engine = await Engine.open({
    workflow: { asks, quick, child, retries, parent, comesBack },
    activities,
    tempo: { ...kept, tuning: { ...kept.tuning, parkAfter: 50 } },
  });
  caller = new pg.Client({ connectionString: engine.database.url, options: '-c search_path=durable,public' });
  await caller.connect();
});
afterEach(async () => {
  await caller.end();
  await engine.close();
});

/** Locks the rows of a workflow until `commit`. */
async function hold(handle: WorkflowHandle): Promise<() => Promise<void>> {
  await caller.query('begin');
  await caller.query(
    `select from execution e join thread t using (run_no) where e.workflow_id = $1 for update of e, t`,
    [handle.workflowId],
  );
  return async () => void (await caller.query('commit'));
}

async function isParked(handle: WorkflowHandle): Promise<void> {
  await until('it is parked', async () => {
    const rows = await engine.sql(
      `select from thread t join execution e using (run_no) where e.workflow_id = $1 and t.state = 'parked'`,
      [handle.workflowId],
    );
    return rows.length === 1;
  });
}

/** Whatever others do takes about as long as ever, though each call may meet the held row once. */
async function expectOthersGoOn(): Promise<void> {
  const started = Date.now();
  const others = Array.from({ length: 20 }, () => engine.run('quick', [uuid()]));
  expect(await within(30_000, Promise.all(others), () => 'others stand')).toEqual(Array(20).fill(false));
  expect(Date.now() - started).toBeLessThan(15_000);
}

async function startAsking(): Promise<{ id: string; handle: WorkflowHandle }> {
  const id = uuid();
  const handle = await engine.start('asks', [id]);
  await engine.awaitsSignal(handle, `${id} 0`);
  return { id, handle };
}

describe('while a caller’s transaction holds a workflow', () => {
  it('its signals wait, in order, and others’ do not', async () => {
    const { id, handle } = await startAsking();
    const release = await hold(handle);
    const sent = [0, 1, 2].map((n) => handle.signal(`${id} ${n}`, n));
    await pause(200);
    await expectOthersGoOn();
    const other = await startAsking();
    await within(
      30_000,
      Promise.all([0, 1, 2].map((n) => other.handle.signal(`${other.id} ${n}`, n))),
      () => 'signals of others stand',
    );
    expect(await engine.result(other.handle)).toEqual([0, 1, 2]);
    await release();
    await Promise.all(sent);
    expect(await engine.result(handle)).toEqual([0, 1, 2]);
  });

  it('its own steps wait, and are done when it is let go', async () => {
    const { id, handle } = await startAsking();
    await handle.signal(`${id} 0`, 0);
    await engine.awaitsSignal(handle, `${id} 1`);
    const release = await hold(handle);
    void handle.signal(`${id} 1`, 1).catch(() => {});
    await expectOthersGoOn();
    await pause(500);
    await release();
    await handle.signal(`${id} 2`, 2);
    expect(await engine.result(handle)).toEqual([0, 1, 2]);
  });

  it('a start of its id waits or is refused, and other starts do not wait', async () => {
    const { id, handle } = await startAsking();
    const release = await hold(handle);
    const again = engine.start('child', [1], { workflowId: handle.workflowId }).catch((error: Error) => error.name);
    await expectOthersGoOn();
    await release();
    expect(await again).toBe('DuplicateJobError');
    for (const n of [0, 1, 2]) await handle.signal(`${id} ${n}`, n);
    await engine.result(handle);
  });

  it.each(['cancel', 'terminate'] as const)('%s waits for it, and for others it does not', async (call) => {
    const [held, other] = await Promise.all([startAsking(), startAsking()]);
    const release = await hold(held.handle);
    const waiting = held.handle[call]();
    const outcome = waiting.then(
      () => 'done',
      (error: Error) => error,
    );
    await pause(50);
    await within(30_000, other.handle[call](), () => `another's ${call} stands behind the held one`);
    await expectOthersGoOn();
    await pause(6_000); // longer than any lock is waited for in one go
    await release();
    expect(await within(30_000, outcome, () => 'it never came')).toBe('done');
    for (const { handle } of [held, other]) expect((await engine.failure(handle)).name).toMatch(/Cancelled|Terminated/);
  });

  it('the end of a child of its waits', async () => {
    const childId = uuid();
    const handle = await engine.start('parent', [childId]);
    const childHandle = await engine.client.workflow.getHandle('test', 'asks', childId);
    await until('the child is there', () => childHandle.status().then(Boolean, () => false));
    for (const n of [0, 1]) await childHandle.signal(`${childId} ${n}`, n);
    await engine.awaitsSignal(childHandle, `${childId} 2`);
    const release = await hold(handle);
    await childHandle.signal(`${childId} 2`, 2);
    await expectOthersGoOn();
    await release();
    expect(await engine.result(handle)).toEqual([0, 1, 2]);
  });

  it('a failed attempt of its activity waits for its retry, and does not block it', async () => {
    const id = uuid();
    gates.set(id, gate<void>());
    const handle = await engine.start('retries', [id]);
    await until('it runs', () => journal.count(id) === 1);
    const release = await hold(handle);
    gates.get(id)?.open();
    // Let go at the worst moment: when the worker has given up a call and tries what it does then.
    await until('a call waits for the row', async () => {
      const rows = await engine.sql<{ query: string }>(
        `select query from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rows.some(({ query }) => /queue_tasks|block/.test(query));
    });
    await until(
      'it is another call, or some time has passed',
      async () => {
        const rows = await engine.sql<{ query: string }>(
          `select query from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        );
        return rows.some(({ query }) => /\.block\(/.test(query));
      },
      1_500,
    ).catch(() => {});
    await release();
    expect(await engine.result(handle)).toBe(2);
  });

  it('an activity of its that was running ends, and its result waits', async () => {
    const id = uuid();
    gates.set(id, gate<void>());
    journal.note(id); // so that it succeeds
    const handle = await engine.start('retries', [id]);
    await isParked(handle);
    const release = await hold(handle);
    gates.get(id)?.open();
    await pause(300);
    await expectOthersGoOn();
    await release();
    expect(await engine.result(handle)).toBe(2);
    expect(journal.count(id)).toBe(2);
  });

  it('the lease of its worker lives, and stopping ends in time', async () => {
    const { handle } = await startAsking();
    const worker = await engine.addWorker({
      workflow: { waitsToo: async () => await workflow.condition('never') },
      options: { parkAfter: '1s', shutdownGrace: 300 },
    });
    const mine = await engine.start('waitsToo');
    await engine.awaitsSignal(mine, 'never');
    const release = await hold(mine);
    await within(30_000, worker.stop(), () => 'stop stands');
    await release();
    await engine.addWorker({ workflow: { waitsToo: async () => await workflow.condition('never') } });
    await until('it is served again', async () => (await mine.signal('never', 'on')) === 'delivered');
    expect(await engine.result(mine)).toBe('on');
    await handle.terminate();
  });

  it('a parked one whose code goes on meanwhile is taken when it is let go', async () => {
    const id = uuid();
    gates.set(id, gate<void>());
    const handle = await engine.start('comesBack', [id]);
    await isParked(handle);
    const release = await hold(handle);
    gates.get(id)?.open();
    await pause(500); // its worker asks for it, and is passed over
    expect(journal.count(id)).toBe(0);
    await release();
    expect(await engine.result(handle)).toBe(id);
  });

  it('a parked one that nobody touches stays as it was', async () => {
    const { id, handle } = await startAsking();
    await isParked(handle);
    const release = await hold(handle);
    await expectOthersGoOn();
    await release();
    for (const n of [0, 1, 2]) await handle.signal(`${id} ${n}`, n);
    expect(await engine.result(handle)).toEqual([0, 1, 2]);
  });
});

it('an activity whose outcome waits to be recorded is not given back meanwhile, to run again', async () => {
  let compared = 0;
  class Watched extends pg.Client {
    // biome-ignore lint/suspicious/noExplicitAny: it passes on whatever the driver takes
    override query(...args: any[]): any {
      const answer = (super.query as (...args: unknown[]) => unknown)(...args);
      const text = typeof args[0] === 'string' ? args[0] : args[0].text;
      // What the worker thinks it holds is compared with what the database says.
      if (/\bowned\(/.test(text)) void Promise.resolve(answer).then(() => compared++);
      return answer;
    }
  }
  const { connectionString } = engine.connection.options;
  const worker = await Worker.create({
    connection: { class: Watched, options: { connectionString } },
    taskQueue: 'watched',
    workflow: { retries },
    activities,
    options: { logLevel: 'silent', parkAfter: 50, shutdownGrace: 100 },
  });
  const id = uuid();
  gates.set(id, gate<void>());
  journal.note(id); // so that it does not fail
  const handle = await engine.start('retries', [id], { taskQueue: 'watched' });
  await until(
    'it has a row',
    async () => (await caller.query(`select from activity_task where owner is not null`)).rowCount === 1,
  );
  await caller.query('begin');
  await caller.query('lock table history in share mode'); // nothing is recorded
  gates.get(id)?.open();
  const before = compared;
  await until('two comparisons', () => compared >= before + 2);
  await caller.query('commit');
  expect(await engine.result(handle)).toBe(2);
  expect(journal.count(id)).toBe(2);
  await worker.stop();
});

it('a worker may be created while an open transaction is the first to name its workflow', async () => {
  await caller.query('begin');
  await caller.query(`select declare_workflow('child', 'new queue')`);
  const connection = { class: pg.Client, options: { connectionString: engine.database.url } };
  let isCreated = false;
  const creating = Worker.create({ connection, taskQueue: 'new queue', workflow: { child } }).then((worker) => {
    isCreated = true;
    return worker;
  });
  creating.catch(() => {});
  // Longer than the call waits for a row: 5 s.
  await pause(5_500);
  expect(isCreated).toBe(false);
  await caller.query('commit');
  const worker = await creating;
  await worker.stop();
});
