/** Programs as they stand in HotMesh's documentations, of both generations, with the import changed. */

import { describe, expect, it } from 'vitest';
import * as root from '../src/index.js';
import { Durable } from '../src/index.js';
import { Engine, kept, replayed } from './support/worker.js';

const charged: string[] = [];
const activities = {
  async charge(orderId: string, amount: number) {
    charged.push(orderId);
    return `receipt-${orderId}-${amount}`;
  },
  async flaky(orderId: string) {
    const { attempt } = Durable.activity.getContext();
    if (attempt < 3) throw new Error(`not yet, ${orderId}`);
    return attempt;
  },
};

const seen: string[] = [];
const interceptor: root.WorkflowInterceptor = {
  async execute(ctx, next) {
    try {
      seen.push(String(ctx.get('workflowName')));
      return await next();
    } catch (error) {
      if (Durable.didInterrupt(error)) throw error;
      throw error;
    }
  },
};

/** The older documentation. */
const older = {
  async order(orderId: string) {
    const { charge, flaky } = Durable.workflow.proxyActivities<typeof activities>({
      activities,
      retryPolicy: { maximumAttempts: 5, backoffCoefficient: 1, maximumInterval: '1 second', initialInterval: '5ms' },
    });
    const context = Durable.workflow.getContext();
    try {
      const [receipt, attempt] = await Durable.workflow.all(charge(orderId, 5), flaky(orderId));
      const slept = await Durable.workflow.sleepFor('10ms');
      await Durable.workflow.signal(`packed-${orderId}`, { box: 1 });
      const packed = await Durable.workflow.waitFor<{ box: number }>(`packed-${orderId}`);
      const child = await Durable.workflow.execChild<string>({
        workflowName: 'ship',
        args: [orderId],
        workflowId: `ship-${orderId}`,
        await: true,
      });
      const search = await Durable.workflow.search();
      await search.set({ receipt });
      const engine = await Durable.workflow.getHotMesh();
      if (await Durable.workflow.isSideEffectAllowed(engine, 'tell')) await engine.signal(`told-${orderId}`, receipt);
      const told = await Durable.workflow.waitFor(`told-${orderId}`);
      return {
        id: context.workflowId,
        receipt,
        attempt,
        slept,
        packed,
        child,
        told,
        found: await search.get('receipt'),
      };
    } catch (error) {
      if (Durable.workflow.didInterrupt(error)) throw error;
      throw new Durable.Errors.DurableFatalError(`order ${orderId}: ${(error as Error).message}`);
    }
  },
  async ship(orderId: string) {
    return `shipped ${orderId}`;
  },
  async interrupts(orderId: string) {
    await Durable.workflow.interrupt(orderId, { reason: 'changed my mind', throw: true, code: 410 });
    return 'done';
  },
  async waits() {
    return await Durable.workflow.waitFor('for nobody');
  },
};

/** The newer one, from the package's root. */
async function newer(orderId: string) {
  const { charge } = root.proxyActivities<typeof activities>({ activities, retry: { maximumAttempts: 3 } });
  const receipt = await charge(orderId, 7);
  const decision = await root.workflow.condition<string>(`approve-${orderId}`, '10ms');
  const info = root.workflow.workflowInfo();
  return [receipt, decision, info.workflowId];
}

describe.each([kept, replayed])('a program of HotMesh ($name)', (tempo) => {
  it('runs with the older names', async () => {
    charged.length = 0;
    seen.length = 0;
    Durable.registerInterceptor(interceptor);
    const engine = await Engine.open({ workflow: older, activities, tempo });
    try {
      const id = `older-${tempo.name}`.replaceAll(' ', '-');
      const handle = await engine.client.workflow.start({
        args: [id],
        taskQueue: engine.taskQueue,
        workflowName: 'order',
        workflowId: id,
        search: { data: { customer: 'c-1' } },
        expire: 3600,
        signalIn: true,
        persistent: true,
        guid: 'g-1',
      });
      expect(await handle.result()).toEqual({
        id,
        receipt: `receipt-${id}-5`,
        attempt: 3,
        slept: 0.01,
        packed: { box: 1 },
        child: `shipped ${id}`,
        told: `receipt-${id}-5`,
        found: `receipt-${id}-5`,
      });
      expect(charged).toEqual([id]);
      expect(seen).toContain('order');
      expect(handle.hotMesh.appId).toBe('durable');
      const engineObject = await engine.client.getHotMeshClient(null);
      expect(await Durable.Search.findAllUserData(id, engineObject)).toMatchObject({ customer: 'c-1' });

      const waiting = await engine.start('waits');
      expect(await engine.run('interrupts', [waiting.workflowId])).toBe('done');
      expect(await engine.failure(waiting)).toMatchObject({ message: 'changed my mind', code: 410 });
      const another = await engine.start('waits');
      await another.hotMesh.interrupt(another.workflowTopic, another.workflowId, { reason: 'enough', throw: false });
      expect(await another.status()).toBeLessThan(-1_000_000);
    } finally {
      Durable.clearInterceptors();
      await engine.close();
    }
  });

  it('runs with the names of the package’s root', async () => {
    const engine = await Engine.open({ workflow: newer, tempo });
    const handle = await engine.start('newer', ['n-1']);
    expect(await engine.result(handle)).toEqual(['receipt-n-1-7', false, handle.workflowId]);
    await engine.close();
  });
});
