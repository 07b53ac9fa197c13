// @ts-check
/** A workflow's tests: a week in no time, mocks, its history on other code, and a crash at each of its commits. */
import { Durable } from 'perdure';
import { assertReplays, crashTest, mockActivities, TestEnvironment } from 'perdure/testing';

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

const mocks = mockActivities(activities);
mocks.charge.failsOnce('card declined').returns('paid at last');
const mocked = await TestEnvironment.create({ workflow: order, activities: mocks });
const approved = await mocked.start('order', ['o-2']);
await approved.signal('approved', 'yes');
console.log(await approved.result());
console.log(
  mocks.charge.calls.map(({ args, attempt, status }) => `${args[0]} attempt ${attempt}: ${status}`).join(', '),
);

// The history of that run fits the code that made it, and shows what other code would do to it.
const history = await approved.exportHistory();
await assertReplays(history, { order });
const changed = assertReplays(history, { order: async (/** @type {string} */ id) => await charge(id) });
console.log(await changed.catch(({ mismatches: [first] }) => `expected ${first.expected}, found ${first.found}`));
await Promise.all([env.close(), mocked.close()]);

const report = await crashTest({
  workflow: order,
  args: ['o-3'],
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
// paid at last
// o-2 attempt 1: failed, o-2 attempt 2: returned
// expected a condition, found activity "charge"
// 11 runs, crashes at 4 commits, always: paid o-3
