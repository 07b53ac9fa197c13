/** A deploy that does not fit running workflows harms none of them: they are blocked, say why, and go on with code that fits. */

import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type UserFunctions, uuid, Worker, type WorkflowHandle, workflow } from '../src/index.js';
import { Engine, Journal, kept, replayed, until } from './support/worker.js';

const journal = new Journal();
const activities = {
  async step(id: string, name: string) {
    journal.note(id, name);
    return name;
  },
  async other(id: string) {
    journal.note(id, 'other');
    return 'other';
  },
};
const { step, other } = workflow.proxyActivities<typeof activities>();

/** Versions of one workflow function. */
const original: UserFunctions = {
  async order(id: string) {
    const seen = [await step(id, 'charge')];
    await workflow.condition(`${id} paid`);
    seen.push(await step(id, 'ship'));
    return seen;
  },
};

const changed: Record<string, UserFunctions> = {
  'another activity': {
    async order(id: string) {
      return [await other(id), await workflow.condition(`${id} paid`), await step(id, 'ship')];
    },
  },
  'a step more': {
    async order(id: string) {
      await workflow.sleep(1);
      return [await step(id, 'charge'), await workflow.condition(`${id} paid`), await step(id, 'ship')];
    },
  },
  'a step less': {
    async order(id: string) {
      return [await workflow.condition(`${id} paid`), await step(id, 'ship')];
    },
  },
  'another order': {
    async order(id: string) {
      const paid = workflow.condition(`${id} paid for`);
      return [await step(id, 'charge'), await paid, await step(id, 'ship')];
    },
  },
  'an early end': {
    async order() {
      return 'nothing to do';
    },
  },
  'an early failure': {
    async order() {
      throw new Error('broken deploy');
    },
  },
};

/** What a change may be: it fits the history, and old runs keep to the old way. */
const fitting: UserFunctions = {
  async order(id: string) {
    const seen = [await step(id, 'charge')];
    await workflow.condition(`${id} paid`);
    if (await workflow.patched('insured')) seen.push(await step(id, 'insure'));
    seen.push(await step(id, 'ship'));
    return seen;
  },
};

let engine: Engine;
let processes = 0;
beforeEach(async () => {
  engine = await Engine.withoutWorker(replayed);
});
afterEach(() => engine.close());

/** A worker that counts as a process of its own: it has connections of its own. */
async function deploy(functions: UserFunctions, tempo = replayed): Promise<Worker> {
  const connectionString = `${engine.database.url}?deploy=${++processes}`;
  return await Worker.create({
    connection: { class: pg.Client, options: { connectionString } },
    taskQueue: 'test',
    workflow: functions,
    activities,
    options: { ...tempo.tuning, shutdownGrace: 200, lateCommandTimeout: 200 },
  });
}

async function startWaiting(): Promise<{ id: string; handle: WorkflowHandle }> {
  const id = uuid();
  const handle = await engine.start('order', [id], { config: { maximumAttempts: 0 } });
  await engine.awaitsSignal(handle, `${id} paid`);
  return { id, handle };
}

async function blockedReason(handle: WorkflowHandle): Promise<string> {
  let reason = '';
  await until('it is blocked', async () => {
    const [row] = await engine.sql<{ state: string; blocked_reason: string }>(
      'select t.state, t.blocked_reason from thread t join execution e using (run_no) where e.workflow_id = $1',
      [handle.workflowId],
    );
    reason = row?.blocked_reason ?? '';
    return row?.state === 'blocked';
  });
  return reason;
}

describe('code that does not fit', () => {
  it.each([
    ['another activity', 'records activity "step", but this code produced activity "other"'],
    ['a step more', 'records activity "step", but this code produced a sleep'],
    ['a step less', 'records activity "step", but this code produced a condition'],
    ['another order', 'records activity "step", but this code produced a condition'],
    ['an early end', 'records activity "step", but this code produced the end of the workflow'],
    ['an early failure', 'records activity "step", but this code produced the failure of the workflow'],
  ])('(%s) blocks, harms nothing, and the old code goes on', async (change, reason) => {
    const before = await deploy(original);
    const { id, handle } = await startWaiting();
    await before.stop();
    const wrong = await deploy(changed[change] as UserFunctions);
    expect(await handle.signal(`${id} paid`, true)).toBe('delivered');
    const text = await blockedReason(handle);
    expect(text).toContain(reason);
    expect(text).toContain('Deploy code that fits this history');
    if (change !== 'another activity' && !change.startsWith('an early')) {
      expect(text).toContain('changed-code-blocks-and-a-fixed-deploy-resumes.test.ts:');
    }
    expect(await handle.status()).toBe(1);
    expect(journal.of(id)).toEqual(['charge']);
    await engine.expectNoViolations();
    await wrong.stop();
    const fixed = await deploy(original);
    expect(await engine.result(handle)).toEqual(['charge', 'ship']);
    expect(journal.of(id)).toEqual(['charge', 'ship']);
    await fixed.stop();
  });

  it('does not block what another process, with the old code, still runs', async () => {
    const old = await deploy(original, kept);
    const { id, handle } = await startWaiting();
    const wrong = await deploy(changed['another activity'] as UserFunctions);
    // Parked and forgotten in the old process: either may claim it, and the old one must get it in the end.
    await engine.sql(`update thread set affinity = null`);
    await handle.signal(`${id} paid`, true);
    expect(await engine.result(handle)).toEqual(['charge', 'ship']);
    expect(journal.of(id)).toEqual(['charge', 'ship']);
    await Promise.all([old.stop(), wrong.stop()]);
  });

  it('in a rolling deploy: each of many ends with whoever can run it', async () => {
    const old = await deploy(original);
    const started = await Promise.all(Array.from({ length: 20 }, () => startWaiting()));
    const wrong = await deploy(changed['a step more'] as UserFunctions);
    await engine.sql(`update thread set affinity = null`);
    await Promise.all(started.map(({ id, handle }) => handle.signal(`${id} paid`, true)));
    for (const { handle } of started) expect(await engine.result(handle)).toEqual(['charge', 'ship']);
    await Promise.all([old.stop(), wrong.stop()]);
  });

  it('may be terminated, and cancelled once it goes on', async () => {
    const before = await deploy(original);
    const [one, two] = [await startWaiting(), await startWaiting()];
    await before.stop();
    const wrong = await deploy(changed['a step less'] as UserFunctions);
    await Promise.all([one, two].map(({ id, handle }) => handle.signal(`${id} paid`, true)));
    await blockedReason(one.handle);
    await blockedReason(two.handle);
    await one.handle.terminate({ reason: 'given up' });
    expect(await engine.failure(one.handle)).toMatchObject({ message: 'given up' });
    await two.handle.cancel();
    expect(await two.handle.status()).toBe(1);
    await wrong.stop();
    const fixed = await deploy(original);
    expect(await engine.failure(two.handle)).toMatchObject({ name: 'CancelledFailure' });
    await fixed.stop();
  });
});

describe('code that was changed behind patched()', () => {
  it('keeps runs to the way they began, and sends new ones the new way', async () => {
    const before = await deploy(original);
    const old = await startWaiting();
    const past = await startWaiting();
    await past.handle.signal(`${past.id} paid`, true);
    expect(await engine.result(past.handle)).toEqual(['charge', 'ship']);
    await before.stop();
    const after = await deploy(fitting);
    await old.handle.signal(`${old.id} paid`, true);
    // It had not come to the change yet: the code there is new to it.
    expect(await engine.result(old.handle)).toEqual(['charge', 'insure', 'ship']);
    const fresh = await startWaiting();
    await fresh.handle.signal(`${fresh.id} paid`, true);
    expect(await engine.result(fresh.handle)).toEqual(['charge', 'insure', 'ship']);
    await after.stop();
  });

  it('is false for a run that has gone past it with the old code', async () => {
    const oldCode: UserFunctions = {
      async order(id: string) {
        const seen = [await step(id, 'charge'), await step(id, 'ship')];
        await workflow.condition(`${id} paid`);
        return seen;
      },
    };
    const newCode: UserFunctions = {
      async order(id: string) {
        const seen = [await step(id, 'charge')];
        if (await workflow.patched('insured')) seen.push(await step(id, 'insure'));
        seen.push(await step(id, 'ship'));
        await workflow.condition(`${id} paid`);
        return seen;
      },
    };
    const lastCode: UserFunctions = {
      async order(id: string) {
        const seen = [await step(id, 'charge')];
        workflow.deprecatePatch('insured');
        seen.push(await step(id, 'insure'), await step(id, 'ship'));
        await workflow.condition(`${id} paid`);
        return seen;
      },
    };
    const before = await deploy(oldCode);
    const old = await startWaiting();
    await before.stop();
    const after = await deploy(newCode);
    const fresh = await startWaiting();
    await old.handle.signal(`${old.id} paid`, true);
    expect(await engine.result(old.handle)).toEqual(['charge', 'ship']);
    await after.stop();
    const last = await deploy(lastCode);
    await fresh.handle.signal(`${fresh.id} paid`, true);
    expect(await engine.result(fresh.handle)).toEqual(['charge', 'insure', 'ship']);
    const newest = await startWaiting();
    await newest.handle.signal(`${newest.id} paid`, true);
    expect(await engine.result(newest.handle)).toEqual(['charge', 'insure', 'ship']);
    await last.stop();
  });
});

describe('what code may change freely', () => {
  it('arguments, signal ids, child ids, options and timings are not compared', async () => {
    const before: UserFunctions = {
      async order(id: string) {
        const seen = [await step(id, 'charge'), await workflow.sleep(1)];
        seen.push(await workflow.executeChild({ workflowName: 'child', workflowId: `${id} one`, args: [1] }));
        await workflow.condition(`${id} paid`);
        return seen;
      },
      async child(n: number) {
        return n;
      },
    };
    const after: UserFunctions = {
      ...before,
      async order(id: string) {
        const slower = workflow.proxyActivities<typeof activities>({
          startToCloseTimeout: '1h',
          retry: { maximumAttempts: 1 },
        });
        const seen = [await slower.step(id, 'other arguments'), await workflow.sleep(99_999)];
        seen.push(await workflow.executeChild({ workflowName: 'child', workflowId: `${id} two`, args: [2] }));
        await workflow.condition(`${id} another id`);
        return [...seen, 'changed'];
      },
    };
    const first = await deploy(before);
    const { id, handle } = await startWaiting();
    await first.stop();
    const second = await deploy(after);
    await handle.signal(`${id} paid`, true);
    expect(await engine.result(handle)).toEqual(['charge', 99.999, 1, 'changed']);
    expect(journal.of(id)).toEqual(['charge']);
    await second.stop();
  });
});
