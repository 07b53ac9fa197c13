/** npm run check: everything but the tests, exactly as CI runs it. Prints a line each, then what the failed ones said. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { installIfNeeded } from './dependencies.mjs';

process.chdir(join(import.meta.dirname, '..'));
installIfNeeded();

const folders = ['src', 'test', 'bench', 'demo', 'examples', 'scripts'].filter((folder) => existsSync(folder));

/** The build refreshes the embedded SQL, so whether that is fresh is looked at before. Those behind it look at the build. */
const checks = [
  ['format and lint', 'biome ci --error-on-warnings --colors=off .'],
  ['types', 'tsc -p tsconfig.json'],
  ['embedded SQL is fresh', 'node scripts/embed-sql.mjs --check'],
  ['dead code', 'knip --no-progress'],
  ['build', 'npm run --silent build'],
  ['layers and cycles', `depcruise --config .dependency-cruiser.cjs vitest.config.ts ${folders.join(' ')}`],
  ['types of examples', 'tsc -p tsconfig.programs.json'],
  ['package shape', 'publint --strict'],
  ['package installs', 'node scripts/check-package.mjs'],
];

const failed = [];
for (const [name, command] of checks) {
  const started = performance.now();
  const { status, output } = await run(command);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'}  ${name.padEnd(22)} ${seconds.padStart(5)} s`);
  if (status !== 0) failed.push({ name, output });
}

for (const { name, output } of failed) console.log(`\n--- ${name}\n${output.trim()}`);
console.log(failed.length === 0 ? '\nAll checks passed.' : `\n${failed.length} of ${checks.length} checks failed.`);
process.exit(failed.length === 0 ? 0 : 1);

function run(command) {
  const env = { ...process.env, PATH: `${join('node_modules', '.bin')}${delimiter}${process.env.PATH}`, NO_COLOR: '1' };
  delete env.FORCE_COLOR;
  return new Promise((resolve) => {
    const child = spawn(command, { shell: true, env });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    child.on('close', (status) => resolve({ status, output }));
  });
}
