import { describe, expect, it } from 'vitest';
import { Durable, proxyActivities, workflow } from '../src/index.js';
import { type CrashTestError, crashTest } from '../src/testing/index.js';

interface Shop {
  charge(order: string): Promise<string>;
  reserve(item: string): Promise<string>;
  ship(order: string): Promise<string>;
}
const { charge, reserve, ship } = proxyActivities<Shop>({ retry: { maximumAttempts: 3, initialInterval: '1 hour' } });

async function order(id: string) {
  const items = await Promise.all(['a', 'b'].map((item) => reserve(item)));
  const receipt = await charge(id);
  const approved = await workflow.condition<boolean>('approved', '7 days');
  if (approved === false) return 'too late';
  await workflow.sleep('2 days');
  const note = await workflow.executeChild<string>({ workflowName: 'tell', args: [id] });
  return [items, receipt, approved, note, await ship(id)];
}

async function tell(id: string) {
  await workflow.sleep('1 hour');
  return `told ${id}`;
}

const failureOf = async (test: Promise<unknown>): Promise<CrashTestError> => {
  const error = await test.then(
    () => null,
    (thrown: CrashTestError) => thrown,
  );
  expect(error).toMatchObject({ name: 'CrashTestError' });
  return error as CrashTestError;
};

/** The payments of an account; by key, as an idempotent one keeps them. */
let payments: string[] = [];
let attempts = 0;
const shop = {
  async charge(id: string) {
    payments.push(Durable.activity.getContext().idempotencyKey);
    return `receipt ${id}`;
  },
  async reserve(item: string) {
    return `reserved ${item}`;
  },
  async ship(id: string) {
    if (++attempts === 1) throw new Error('no van');
    return `shipped ${id}`;
  },
};
const before = () => {
  payments = [];
  attempts = 0;
};
const options = {
  workflow: { order, tell },
  workflowName: 'order',
  args: ['o-1'],
  activities: shop,
  signals: [{ id: 'approved', data: true, at: '1 day' }],
  before,
};

describe('a crash test', () => {
  it('passes a workflow that is sound, and names the activities that ran twice', async () => {
    let runs = 0;
    const report = await crashTest({
      ...options,
      seeds: 14,
      assert: ({ activities }) => {
        runs++;
        expect(new Set(payments).size).toBe(1);
        expect(new Set(activities.map(({ name }) => name))).toEqual(new Set(['reserve', 'charge', 'ship']));
      },
    });
    expect(report).toMatchObject({
      runs: 15,
      result: [['reserved a', 'reserved b'], 'receipt o-1', true, 'told o-1', 'shipped o-1'],
    });
    expect(runs).toBe(15);
    expect(report.commits).toBeGreaterThan(5);
    expect(report.crashes).toBeGreaterThan(8);
    expect(report.repeated.map(({ name }) => name)).toContain('charge');
  });

  it('meets starts, signals, claims and results of activities too', async () => {
    const plans = new Set<string>();
    const { commits } = await crashTest({ ...options, seeds: 0 });
    const seeds = Array.from({ length: 12 }, (_, index) => 2 * commits + index);
    const report = await crashTest({ ...options, seeds, assert: ({ plan }) => plans.add(plan) });
    expect(report.runs).toBe(13);
    for (const call of ['start 1', 'signal 1', 'activity result 1']) {
      for (const plan of [`crash before ${call}`, `crash after ${call}`, `${call} twice`])
        expect(plans).toContain(plan);
    }
  });

  it('finds an activity that must not run twice, and says where, and how to see it again', async () => {
    const assert = () => {
      if (payments.length !== 1) throw new Error(`${payments.length} payments`);
    };
    const error = await failureOf(crashTest({ ...options, assert }));
    expect(error.message).toMatch(
      /^seed \d+, crash (before|after) commit \d+: 2 payments\. Again with \{ seeds: \[\d+\] \}$/,
    );
    const again = await failureOf(crashTest({ ...options, assert, seeds: [error.seed as number] }));
    expect(again.message).toBe(error.message);
  });

  it('finds code that decides by what differs in a replay', async () => {
    const error = await failureOf(
      crashTest({
        workflow: async function careless() {
          await charge('x');
          return Math.random() < 0.5 ? await reserve('a') : await ship('b');
        },
        activities: { ...shop, ship: async () => 'shipped' },
        comparable: () => null,
        seeds: 50,
      }),
    );
    expect(error.message).toMatch(/it is blocked: .*(reserve|ship)/);
  });

  it('finds code that keeps something outside of it', async () => {
    let count = 0;
    const error = await failureOf(
      crashTest({
        workflow: async function counts() {
          count++;
          await charge('x');
          return await reserve(`item ${count}`);
        },
        activities: shop,
        before: () => {
          count = 0;
        },
      }),
    );
    expect(error.message).toMatch(/it gave "reserved item 2", otherwise "reserved item 1"/);
  });

  it('refuses what it cannot do', async () => {
    await expect(crashTest({ workflow: { order, tell } })).rejects.toThrow(
      'crashTest: workflowName must be one of order, tell; got undefined',
    );
    await expect(crashTest({ ...options, seeds: -1 })).rejects.toThrow(/crashTest: seeds must be a whole number/);
    await expect(crashTest({ ...options, signal: [] } as never)).rejects.toThrow(/unknown option "signal".*signals/);
  });
});
