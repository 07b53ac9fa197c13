/** npm run check: everything but the tests, exactly as CI runs it. Prints a line each, then what the failed ones said. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { installIfNeeded } from './dependencies.mjs';

process.chdir(join(import.meta.dirname, '..'));
installIfNeeded();

const folders = ['src', 'test', 'bench', 'demo', 'examples', 'scripts'].filter((folder) => existsSync(folder));

/** The build refreshes the embedded SQL, so whether that is fresh is looked at before. Longest first among those that may start. */
const checks = [
  { name: 'types', command: 'tsc -p tsconfig.json' },
  { name: 'embedded SQL is fresh', command: 'node scripts/embed-sql.mjs --check' },
  { name: 'build', command: 'npm run --silent build', after: 'embedded SQL is fresh' },
  { name: 'package installs', command: 'node scripts/check-package.mjs', after: 'build' },
  {
    name: 'layers and cycles',
    command: `depcruise --config .dependency-cruiser.cjs vitest.config.ts ${folders.join(' ')}`,
    after: 'build',
  },
  { name: 'types of examples', command: 'tsc -p tsconfig.programs.json', after: 'build' },
  { name: 'package shape', command: 'publint --strict', after: 'build' },
  { name: 'format and lint', command: 'biome ci --error-on-warnings --colors=off .' },
  { name: 'dead code', command: 'knip --no-progress' },
];

const failed = [];
const ended = new Set();
const waiting = [...checks];
await Promise.all(Array.from({ length: Math.min(availableParallelism(), 4) }, takeTurns));

/** One check at a time. Whoever finds none that may start waits for another's end. */
async function takeTurns() {
  while (waiting.length > 0) {
    const next = waiting.findIndex(({ after }) => after === undefined || ended.has(after));
    if (next === -1) await sleep(50);
    else await carryOut(waiting.splice(next, 1)[0]);
  }
}

async function carryOut({ name, command }) {
  const started = performance.now();
  const { status, output } = await run(command);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'}  ${name.padEnd(22)} ${seconds.padStart(5)} s`);
  if (status !== 0) failed.push({ name, output });
  ended.add(name);
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
