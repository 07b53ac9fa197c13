/**
 * npm run planted-bugs: whether the tests would notice. Bugs are planted one by one, into the SQL functions and into the code;
 * a test must turn red for each. Prints a table and the score.
 *
 *   npm run planted-bugs                the code's, then the functions'
 *   npm run planted-bugs -- --code      only the code's
 *   npm run planted-bugs -- --only B19  those whose name begins so
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { withTypeScript } from './typescript-module.mjs';

const { values } = parseArgs({ options: { code: { type: 'boolean' }, only: { type: 'string' } } });
const codeBugs = await withTypeScript('/test/support/code-bugs.ts', (module) => module.codeBugs);

const chosen = codeBugs.filter(({ name }) => values.only === undefined || name.startsWith(values.only));
const vitest = (project, file, env = {}) =>
  spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--project', project, file], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });

let caught = 0;
for (const { name, caughtBy } of chosen) {
  const [project, file] = caughtBy;
  const { status, stdout, stderr } = vitest(project, file, { PERDURE_PLANTED_BUG: name });
  const missing = /has no such text any more/.test(stdout + stderr);
  // A file that does not even load says nothing about the bug.
  const red = status !== 0 && !missing && /\d+ failed/.test(stdout) && !/Tests\s+no tests/.test(stdout);
  if (red) caught++;
  console.log(`${red ? 'caught  ' : missing ? 'OUTDATED' : 'SURVIVED'}  ${name}  (${file})`);
}
console.log(`Planted bugs in the code caught: ${caught} of ${chosen.length}`);

let functions = 0;
if (!values.code && values.only === undefined) {
  const { status, stdout } = vitest('protocol', 'test/protocol/planted-bugs.test.ts');
  functions = status ?? 1;
  console.log(/Planted bugs caught: .*/.exec(stdout)?.[0] ?? stdout.slice(-2_000));
}
process.exit(caught === chosen.length && functions === 0 ? 0 : 1);
