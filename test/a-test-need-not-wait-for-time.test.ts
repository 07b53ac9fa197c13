import { afterEach, describe, expect, it } from 'vitest';
import { proxyActivities, workflow } from '../src/index.js';
import { TestEnvironment, type TestEnvironmentOptions } from '../src/testing/index.js';

const DAY = 24 * 3600 * 1000;

let attempts = 0;
const activities = {
  async charge(month: number) {
    return `paid ${month}`;
  },
  async flaky() {
    attempts++;
    if (attempts < 4) throw new Error('not yet');
    return attempts;
  },
};
const { charge, flaky } = proxyActivities<typeof activities>({
  retry: { initialInterval: '1 hour', backoffCoefficient: 3, maximumInterval: '1 day' },
});

const workflows = {
  async subscription(months: number) {
    const paid: string[] = [];
    for (let month = 1; month <= months; month++) {
      paid.push(await charge(month));
      await workflow.sleep('30 days');
    }
    return paid.length;
  },
  async approval() {
    return await workflow.condition<string>('approve', '7 days');
  },
  async retries() {
    const began = workflow.now();
    const result = await flaky();
    return [result, Math.round((Number(workflow.now()) - Number(began)) / 3_600_000)];
  },
  async parent() {
    return await Promise.all([
      workflow.executeChild<number>({ workflowName: 'subscription', args: [2] }),
      workflow.sleep('45 days'),
      workflow.condition('never', '10 days'),
    ]);
  },
};

let env: TestEnvironment;
const open = async (options: Partial<TestEnvironmentOptions> = {}) => {
  env = await TestEnvironment.create({ workflow: workflows, activities, ...options });
};
afterEach(() => env.close());

describe('a test environment', () => {
  it('passes years of sleeps in no time, in the database too', async () => {
    await open();
    const started = env.now().getTime();
    const handle = await env.start('subscription', [36]);
    expect(await handle.result()).toBe(36);
    const passed = env.now().getTime() - started;
    expect(passed).toBeGreaterThanOrEqual(36 * 30 * DAY);
    expect(passed).toBeLessThan(36 * 30 * DAY + 60_000);
    const { data } = await handle.state(true);
    expect(data.jc.slice(0, 4)).not.toBe(data.ju.slice(0, 4));
  });

  it('waits for retries, children and several things at once by the same clock', async () => {
    await open();
    attempts = 0;
    const [result, hours] = await (await env.start('retries')).result<[number, number]>();
    expect(result).toBe(4);
    expect(hours).toBe(1 + 3 + 9);
    const started = env.now().getTime();
    expect(await (await env.start('parent')).result()).toEqual([2, 45 * 24 * 3600, false]);
    expect(Math.round((env.now().getTime() - started) / DAY)).toBe(60);
  });

  it('moves time only as far as it is told to', async () => {
    await open({ time: 'manual' });
    const first = await env.start('approval');
    await env.advance('6 days');
    expect((await first.state()).done).toBe(false);
    expect(await first.signal('approve', 'yes')).toBe('delivered');
    expect(await first.result()).toBe('yes');

    const second = await env.start('approval');
    await env.advance('7 days');
    expect(await second.result()).toBe(false);

    const third = await env.start('subscription', [12]);
    await env.advance('95 days');
    expect((await third.state()).done).toBe(false);
    await env.advance('1 year');
    expect(await third.result()).toBe(12);
  });

  it('keeps its worker alive over any jump, and leaves no violation', async () => {
    await open();
    for (let round = 0; round < 3; round++) expect(await (await env.start('approval')).result()).toBe(false);
    const db = env.connection.class as { query(text: string): Promise<{ rows: unknown[] }> };
    expect((await db.query('select * from durable.violations()')).rows).toEqual([]);
    expect((await db.query('select died_at from durable.worker')).rows).toEqual([{ died_at: null }]);
  });

  it('refuses what it cannot do', async () => {
    await open({ time: 'real' });
    expect(() => env.advance('1 day')).toThrow("advance: time must be 'skipping' or 'manual'; got 'real'");
    await expect(TestEnvironment.create({ workflow: workflows, time: 'fast' as never })).rejects.toThrow(
      /TestEnvironment.create: time must be 'skipping', 'manual' or 'real'/,
    );
  });
});
