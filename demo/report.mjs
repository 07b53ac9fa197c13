// @ts-check
/** The table at the end. */
import { styleText } from 'node:util';

/** @param {import('./audit.mjs').Audit} found @param {{ survived: number, kills: number, seconds: number }} run */
export function report({ outcomes, wrong, durableSteps, executions, mustBeZero }, { survived, kills, seconds }) {
  heading('Orders', 'expected', 'came out');
  for (const { outcome, expected, came } of outcomes) row(outcome, [expected, came], mark(expected === came));
  for (const fault of wrong.slice(0, 10)) console.log(styleText('red', `    ${fault}`));

  heading('Work');
  row('durable steps', [durableSteps], `in ${seconds.toFixed(1)} s: ${Math.round(durableSteps / seconds)} steps/s`);
  row('activity executions', [executions.all]);
  row('  completed a step', [executions.completed]);
  row('  failed, and were retried', [executions.failed], `${executions.retries} retries`);
  row('  failed for good', [executions.refused], 'card declined, out of stock, undeliverable');
  row('  lost in a kill, and run again', [executions.lost]);

  heading('Promises');
  row('kills survived', [survived], survived < kills ? `of ${kills}: the rest came too late` : mark(true));
  for (const [name, count] of Object.entries(mustBeZero)) row(name, [count], mark(count === 0));
  console.log();
}

/** @param {string} title @param {string[]} columns */
function heading(title, ...columns) {
  const [bold, dim] = [styleText('bold', title.padEnd(34)), styleText('dim', columns.map(aligned).join(''))];
  console.log(`\n${bold}${dim}`);
}

/** @param {string} name @param {number[]} numbers @param {string} remark */
function row(name, numbers, remark = '') {
  const cells = numbers.map((number) => aligned(number.toLocaleString('en')));
  console.log(`  ${name.padEnd(32)}${cells.join('')}   ${remark}`.trimEnd());
}

/** @param {string} text */
function aligned(text) {
  return text.padStart(10);
}

/** @param {boolean} fine */
function mark(fine) {
  return fine ? styleText('green', '✓') : styleText('red', '✗');
}
