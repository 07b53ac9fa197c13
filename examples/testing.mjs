// @ts-check
/** A workflow's tests: a week in no time, and a crash at each of its commits. */
import { Durable } from 'perdure';
import { crashTest, TestEnvironment } from 'perdure/testing';

/** @type {import('perdure').ActivityProxy<{ charge(id: string): Promise<string>, remind(id: string): Promise<void> }>} */
const { charge, remind } = Durable.workflow.proxyActivities();

/** @param {string} id */
async function order(id) {
  const approved = await Durable.workflow.condition('approved', '5 days');
  if (approved === false) await remind(id);
  await Durable.workflow.sleep('2 days');
  return await charge(id);
}

/** What the payment provider has: it knows a payment by its key. @type {Map<string, string>} */
const payments = new Map();
const activities = {
  /** @param {string} id */
  async charge(id) {
    payments.set(Durable.activity.getContext().idempotencyKey, id);
    return `paid ${id}`;
  },
  async remind() {},
};

const env = await TestEnvironment.create({ workflow: order, activities });
const before = env.now().getTime();
const handle = await env.start('order', ['o-1']);
console.log(await handle.result());
console.log(`${Math.round((env.now().getTime() - before) / 86_400_000)} days passed`);
await env.close();

const report = await crashTest({
  workflow: order,
  args: ['o-2'],
  activities,
  signals: [{ id: 'approved', data: 'yes', at: '1 day' }],
  seeds: 10,
  before: () => payments.clear(),
  assert: () => {
    if (payments.size !== 1) throw new Error(`${payments.size} payments`);
  },
});
console.log(`${report.runs} runs, crashes at ${report.commits} commits, always: ${report.result}`);
await Durable.shutdown();

// Prints:
// paid o-1
// 7 days passed
// 11 runs, crashes at 4 commits, always: paid o-2
