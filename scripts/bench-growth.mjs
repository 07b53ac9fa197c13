/**
 * npm run bench:growth: how cost grows with what a database holds, with the length of a history, the number of processes, the
 * size of payloads, the distance of the database. Each curve starts a private cluster (fsync on) and removes it. Slow is no
 * failure; a wrong result is (exit code 1).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildIfNeeded } from './built.mjs';
import { installIfNeeded } from './dependencies.mjs';

process.chdir(join(import.meta.dirname, '..'));
installIfNeeded();
buildIfNeeded();

// Loaded now: before the installation their imports would not resolve.
const { curves } = await import('../bench/growth/curves.mjs');
const { runCurve } = await import('../bench/growth/run.mjs');
const { table } = await import('../bench/report.mjs');

const USAGE = `npm run bench:growth -- [options]

  --only <name>         draw only this curve; may be repeated
  --rounds <n>          how often; medians are shown (default 5)
  --quick               one round of small sizes: whether everything works, not how fast
  --size <name>=<n>     another size, e.g. listeners=100000; may be repeated
  --json                print JSON instead of tables (it is written to bench/results/ in any case)

Curves, and how long each may take on two cores at the default sizes:
${Object.entries(curves)
  .map(([name, { title, minutes }]) => `  ${name.padEnd(10)} ${String(minutes).padStart(3)} min  ${title}`)
  .join('\n')}`;

const options = readOptions();
const names = Object.keys(curves).filter((name) => options.only.length === 0 || options.only.includes(name));
const minutes = names.reduce((sum, name) => sum + (options.quick ? 0.7 : curves[name].minutes), 0);
console.error(`${names.join(', ')}: at most ${Math.ceil(minutes)} minutes.`);
let wrong = 0;
for (const name of names) {
  const busy = (loadavg()[0] ?? 0).toFixed(1);
  console.error(`\n${name}: ${curves[name].title} (load ${busy})`);
  const report = await runCurve(name, curves[name], { ...options, progress: (line) => console.error(`  ${line}`) });
  const file = `bench/results/growth-${name}-${report.at.replaceAll(/[:.]/g, '-')}.json`;
  mkdirSync('bench/results', { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  console.log(options.json ? JSON.stringify(report) : `${table(report)}\n\nWritten to ${file}\n`);
  wrong += report.wrong.length;
}
process.exitCode = wrong > 0 ? 1 : 0;

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true, default: [] },
        rounds: { type: 'string' },
        quick: { type: 'boolean', default: false },
        size: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const unknown = values.only.find((name) => curves[name] === undefined);
    if (unknown !== undefined) refuse(`--only ${unknown}: there is ${Object.keys(curves).join(', ')}`);
    const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
    if (!Number.isInteger(rounds) || rounds < 1) refuse(`--rounds ${values.rounds}: a whole number from 1`);
    return { ...values, rounds, size: Object.fromEntries(values.size.map(sizeOf)) };
  } catch (error) {
    return refuse(error.message);
  }
}

function sizeOf(given) {
  const [name = '', value] = given.split('=');
  const known = new Set(Object.values(curves).flatMap(({ size }) => Object.keys(size)));
  if (!known.has(name)) refuse(`--size ${given}: there is ${[...known].join(', ')}`);
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0) refuse(`--size ${given}: a whole number`);
  return [name, number];
}

function refuse(reason) {
  console.error(`${reason}\n\n${USAGE}`);
  return process.exit(2);
}
