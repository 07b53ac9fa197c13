/**
 * npm run planted-bugs: whether the tests would notice. Bugs are planted one by one, into the SQL functions and into the code;
 * a test that is named beforehand must turn red for each. Prints a table and the score.
 *
 *   npm run planted-bugs                the code's, then the functions'
 *   npm run planted-bugs -- --code      only the code's
 *   npm run planted-bugs -- --only B19  those whose name begins so
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { withTypeScript } from './typescript-module.mjs';

const { values } = parseArgs({ options: { code: { type: 'boolean' }, only: { type: 'string' } } });
const codeBugs = await withTypeScript('/test/support/code-bugs.ts', (module) => module.codeBugs);
const chosen = codeBugs.filter(({ name }) => values.only === undefined || name.startsWith(values.only));
if (chosen.length === 0) {
  console.error(`planted-bugs: no bug begins with "${values.only}"`);
  process.exit(2);
}

const vitest = (args, env = {}) =>
  spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...args], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });

/** Runs one test with a bug planted. @returns how it went, in the words of the table. */
function verdictOn({ name, caughtBy: [project, file, title] }) {
  const dir = mkdtempSync(join(tmpdir(), 'perdure-planted-'));
  const report = join(dir, 'report.json');
  try {
    const { stdout, stderr } = vitest(
      ['--project', project, file, '-t', `${escaped(title)}$`, '--reporter=json', `--outputFile=${report}`],
      { PERDURE_PLANTED_BUG: name },
    );
    if (/has no such text any more/.test(stdout + stderr)) return 'OUTDATED';
    const tests = JSON.parse(readFileSync(report, 'utf8')).testResults.flatMap(
      ({ assertionResults }) => assertionResults,
    );
    const run = tests.filter(({ status }) => status === 'failed' || status === 'passed');
    if (run.length === 0) return 'NO TEST'; // not there any more, or its file does not even load
    return run.every(({ status }) => status === 'failed') ? 'caught' : 'SURVIVED';
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function escaped(title) {
  return title.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

let caught = 0;
for (const bug of chosen) {
  const verdict = verdictOn(bug);
  if (verdict === 'caught') caught++;
  const [, file, title] = bug.caughtBy;
  console.log(`${verdict.padEnd(8)}  ${bug.name}\n          by ${file}: ${title}`);
}
console.log(`Planted bugs in the code caught: ${caught} of ${chosen.length}`);

let functions = 0;
if (!values.code && values.only === undefined) {
  const { status, stdout } = vitest(['--project', 'protocol', 'test/protocol/planted-bugs.test.ts']);
  functions = status ?? 1;
  const told = stripVTControlCharacters(stdout);
  console.log(/Planted bugs caught: .*/.exec(told)?.[0] ?? told.slice(-2_000));
}
process.exit(caught === chosen.length && functions === 0 ? 0 : 1);
