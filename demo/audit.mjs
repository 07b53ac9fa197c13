// @ts-check
/**
 * Holds what the engine says (the records that the workflows returned) against what happened (the ledger) and against what
 * had to happen (orders.mjs). A step may be executed again when a process dies over it, but only one result may be used.
 */
import { isDeepStrictEqual } from 'node:util';
import { expectedOf, outcomes } from './orders.mjs';

/** @typedef {import('./engine.mjs').Ending} Ending */
/** @typedef {import('./ledger.mjs').Line} Line */
/** @typedef {import('./workflows.mjs').OrderRecord} OrderRecord */
/** @typedef {ReturnType<typeof audit>} Audit */

/**
 * What is known of one step of one order: its executions, by what became of them.
 * @typedef {{ begun: Line[], done: Set<string>, used: Set<string>, usedAt: number }} Step
 */

/**
 * @param {number} orders How many there are, counted from 1.
 * @param {import('./watch.mjs').Watch} watch
 */
export function audit(orders, { endings, changed, ledger: { lines } }) {
  const stepsOf = collectSteps(endings, lines);
  const steps = [...stepsOf.values()].flatMap((ofOrder) => [...ofOrder.values()]);
  const numbers = Array.from({ length: orders }, (_, index) => index + 1);
  const records = [...endings.values()].flatMap(({ record }) => record ?? []);
  const wrong = numbers.flatMap((order) => {
    const fault = faultOf(expectedOf(order), endings.get(order), stepsOf.get(order) ?? new Map());
    return fault === null ? [] : [`order ${order}: ${fault}`];
  });
  const mustBeZero = {
    'wrong orders': wrong.length,
    'orders that changed their ending': changed.size,
    'results used twice': countUsedTwice(records, steps),
    'completed steps run again': sum(steps.map(({ begun, usedAt }) => begun.filter(({ at }) => at > usedAt).length)),
    'steps with two idempotency keys': steps.filter(({ begun }) => distinct(begun.map(({ key }) => key)) > 1).length,
  };
  return {
    wrong,
    mustBeZero,
    clean: sum(Object.values(mustBeZero)) === 0,
    outcomes: outcomes.map((outcome) => ({
      outcome,
      expected: numbers.filter((order) => expectedOf(order).outcome === outcome).length,
      came: records.filter((record) => record.outcome === outcome).length,
    })),
    durableSteps: sum(records.map((record) => record.durableSteps)),
    executions: countExecutions(lines, steps),
  };
}

/** @param {readonly Line[]} lines @param {readonly Step[]} steps */
function countExecutions(lines, steps) {
  const count = (/** @type {Line['event']} */ event) => lines.filter((line) => line.event === event).length;
  const all = count('began');
  const completed = steps.filter(({ used }) => used.size > 0).length;
  const [failed, refused] = [count('failed'), count('refused')];
  const retries = lines.filter(({ event, attempt = 1 }) => event === 'began' && attempt > 1).length;
  return { all, completed, failed, refused, lost: all - completed - failed - refused, retries };
}

/** @param {ReadonlyMap<number, Ending>} endings @param {readonly Line[]} lines */
function collectSteps(endings, lines) {
  /** @type {Map<number, Map<string, Step>>} */
  const orders = new Map();
  const stepOf = (/** @type {number} */ order, /** @type {string} */ name) => {
    const steps = orders.get(order) ?? new Map();
    orders.set(order, steps);
    const step = steps.get(name) ?? { begun: [], done: new Set(), used: new Set(), usedAt: Infinity };
    steps.set(name, step);
    return /** @type {Step} */ (step);
  };
  for (const line of lines) {
    if (line.execution === undefined) continue;
    const step = stepOf(line.order, line.step);
    if (line.event === 'began') step.begun.push(line);
    if (line.event === 'done') step.done.add(line.execution);
    for (const earlier of line.after ?? []) {
      const used = stepOf(line.order, earlier.step);
      used.used.add(earlier.execution);
      used.usedAt = Math.min(used.usedAt, line.at);
    }
  }
  for (const [order, { record }] of endings)
    for (const { step, execution } of record?.used ?? []) stepOf(order, step).used.add(execution);
  return orders;
}

/**
 * @param {import('./orders.mjs').Expected} expected
 * @param {Ending | undefined} ending
 * @param {ReadonlyMap<string, Step>} steps
 */
function faultOf(expected, ending, steps) {
  if (ending === undefined) return 'has not ended';
  if (ending.record === undefined) return `failed with ${ending.error}`;
  const { outcome } = ending.record;
  if (outcome !== expected.outcome) return `${outcome} instead of ${expected.outcome}`;
  const used = [...steps].filter(([, step]) => step.used.size > 0);
  const names = used.map(([name]) => name).sort();
  if (!isDeepStrictEqual(names, expected.steps)) return `took the steps ${names} instead of ${expected.steps}`;
  const invented = used.find(([, step]) => [...step.used].some((execution) => !step.done.has(execution)));
  if (invented !== undefined) return `used a result of "${invented[0]}" that no execution had`;
  return null;
}

/**
 * Steps of which two results were used, results used by two steps, and steps that a record names twice.
 *
 * @param {readonly OrderRecord[]} records
 * @param {readonly Step[]} steps
 */
function countUsedTwice(records, steps) {
  const several = steps.filter(({ used }) => used.size > 1).length;
  const namedTwice = records.map(({ used }) => surplus(used.map(({ step }) => step)));
  return several + surplus(steps.flatMap(({ used }) => [...used])) + sum(namedTwice);
}

/** @param {readonly string[]} words */
function surplus(words) {
  return words.length - distinct(words);
}

/** @param {readonly unknown[]} values */
function distinct(values) {
  return new Set(values).size;
}

/** @param {readonly number[]} numbers */
function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
