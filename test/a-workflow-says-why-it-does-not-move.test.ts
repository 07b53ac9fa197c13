/** `handle.explain()` with workers, codecs and code as users have them. Each answer by itself: test/protocol/explain.test.ts. */

import { afterAll, describe, expect, it } from 'vitest';
import { Client, Errors, type Explanation, Worker, type WorkflowHandle, workflow } from '../src/index.js';
import { sealingCodec } from './support/sealing-codec.js';
import { Engine, gate, replayed, until } from './support/worker.js';

const charging = gate();
const activities = {
  async charge() {
    await charging.passed;
  },
  async declines() {
    throw Object.assign(new Error('no money'), { name: 'CardDeclined' });
  },
};
const { charge } = workflow.proxyActivities<typeof activities>();
const { declines } = workflow.proxyActivities<typeof activities>({
  retry: { maximumAttempts: 4, initialInterval: '1h', maximumInterval: '1h' },
});
const { pack } = workflow.proxyActivities<{ pack(): Promise<void> }>({ taskQueue: 'nobody-packs' });

const workflows = {
  charges: () => charge(),
  declined: () => declines(),
  packs: () => pack(),
  approved: () => workflow.condition('approved', '1h'),
  sleeps: () => workflow.sleep('1h'),
  parent: () =>
    workflow.executeChild({ workflowName: 'approved', taskQueue: 'test', workflowId: 'the child', args: [] }),
  async stumbles() {
    throw new Error('stumbled');
  },
};

// Parked at once, so that the answers are there sooner; what runs is in the protocol test.
const tempo = replayed;

describe('a workflow says why it does not move', () => {
  let engine: Engine;
  afterAll(async () => {
    await engine?.close();
  });

  const reaches = async (handle: WorkflowHandle, reason: Explanation['reason']): Promise<Explanation> => {
    let found = await handle.explain();
    await until(`${handle.workflowId} says ${reason}`, async () => {
      found = await handle.explain();
      return found.reason === reason;
    });
    return found;
  };

  it('for each thing it may wait for', async () => {
    engine = await Engine.open({ workflow: workflows, activities, tempo });
    const started = Object.fromEntries(
      await Promise.all(
        (['charges', 'declined', 'packs', 'approved', 'sleeps', 'parent'] as const).map(async (name) => [
          name,
          await engine.start(name, [], { workflowId: name }),
        ]),
      ),
    ) as Record<string, WorkflowHandle>;
    const of = (name: string) => started[name] as WorkflowHandle;

    const charges = await reaches(of('charges'), 'activity-running');
    expect(charges.message).toMatch(
      /^"charges" waits for activity "charge", attempt 1 of 51, which runs on worker \d+ \(.+\)/,
    );
    const declined = await reaches(of('declined'), 'activity-retry');
    expect(declined.message).toMatch(
      /activity "declines", attempt 2 of 5, due in 59 min \d+ s; last error: no money\.$/,
    );
    expect(declined.details).toMatchObject({ attempt: 2, attempts: 5, lastError: { name: 'CardDeclined' } });
    const packs = await reaches(of('packs'), 'no-worker');
    expect(packs.message).toMatch(
      /no live worker serves the activities of queue "nobody-packs"; worker \d+ .* serves workflow/,
    );
    const approved = await reaches(of('approved'), 'signal');
    expect(approved).toMatchObject({ status: 'open', run: 0, details: { signalId: 'approved' } });
    expect((await reaches(of('sleeps'), 'timer')).message).toMatch(/waits for a timer, due in 59 min \d+ s\.$/);
    const parent = await reaches(of('parent'), 'child');
    await until('the child waits', async () =>
      (await of('parent').explain()).message.includes('which waits for signal'),
    );
    expect((await of('parent').explain()).message).toMatch(
      /^"parent" waits for child "the child", which waits for signal "approved", /,
    );
    expect(parent.waitsFor[0]?.of).toMatchObject({ workflowId: 'the child' });

    const stumbles = await engine.start('stumbles', [], {
      workflowId: 'stumbles',
      config: { initialInterval: '1h', maximumInterval: '1h' },
    });
    expect((await reaches(stumbles, 'retry')).message).toMatch(
      /failed in attempt 1 and tries again in 59 min \d+ s; last error: stumbled\.$/,
    );
    charging.open();
    await engine.result(of('charges'));
  });

  it('in words that hold no secret: what a codec sealed is opened by who has the codec', async () => {
    const connection = { ...engine.connection, codec: sealingCodec('key') };
    const worker = await Worker.create({
      connection,
      taskQueue: 'sealed',
      workflow: workflows,
      activities,
      options: { shutdownGrace: 200, ...tempo.tuning },
    });
    const client = new Client({ connection });
    const options = { taskQueue: 'sealed', workflowName: 'declined', workflowId: 'sealed', args: [] };
    const found = await reaches(await client.workflow.start(options), 'activity-retry');
    expect(found.message).toMatch(/activity "declines", attempt 2 of 5, due in 59 min \d+ s\.$/);
    expect(found.details).toMatchObject({ lastError: { name: 'CardDeclined', message: 'no money' } });
    const other = await engine.client.workflow.getHandle('sealed', 'declined', 'sealed');
    expect((await other.explain()).details).toMatchObject({ lastError: null });
    await Promise.all([worker.stop(), client.close()]);
  });

  it('or that there is no such workflow', async () => {
    const handle = await engine.client.workflow.getHandle('test', 'approved', 'nobody');
    await expect(handle.explain()).rejects.toThrow(Errors.GetStateError);
  });
});
