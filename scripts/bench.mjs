/**
 * npm run bench: installs and builds if needed, starts a private cluster that survives power loss (fsync on), measures
 * the engine beside a bare floor, and says how both relate. Slow is no failure; a wrong result is (exit code 1).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildIfNeeded } from './built.mjs';
import { installIfNeeded } from './dependencies.mjs';

const USAGE = `npm run bench -- [options]

  --only <name>    measure only this; may be repeated
  --rounds <n>     how often; medians are shown (default 3)
  --quick          one round of small sizes: whether everything works, not how fast
  --url <url>      a server of yours, whose superuser this is; a database is made there and dropped
  --json           print JSON instead of the table (it is written to bench/results/ in any case)
  --profile        also say where the time goes; costs speed, so do not compare its figures`;

process.chdir(join(import.meta.dirname, '..'));
const options = readOptions();
installIfNeeded();
buildIfNeeded();

// Loaded now: before the installation their imports would not resolve.
const { measures } = await import('../bench/measures.mjs');
const { runBench } = await import('../bench/run.mjs');
const { table } = await import('../bench/report.mjs');

const names = Object.keys(measures);
const unknown = options.only.find((name) => !names.includes(name));
if (unknown !== undefined) refuse(`--only ${unknown}: there is ${names.join(', ')}`);

const cluster = options.url === undefined ? await startOwnCluster() : null;
try {
  const report = await runBench({ ...options, url: options.url ?? cluster.url, progress: console.error });
  const file = `bench/results/${report.at.replaceAll(/[:.]/g, '-')}.json`;
  mkdirSync('bench/results', { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  console.log(options.json ? JSON.stringify(report, null, 2) : `${table(report)}\n\nWritten to ${file}`);
  process.exitCode = report.wrong.length > 0 ? 1 : 0;
} finally {
  await cluster?.remove();
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true, default: [] },
        rounds: { type: 'string' },
        quick: { type: 'boolean', default: false },
        url: { type: 'string' },
        json: { type: 'boolean', default: false },
        profile: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
    if (!Number.isInteger(rounds) || rounds < 1) refuse(`--rounds ${values.rounds}: a whole number from 1`);
    return { ...values, rounds };
  } catch (error) {
    return refuse(error.message);
  }
}

function refuse(reason) {
  console.error(`${reason}\n\n${USAGE}`);
  return process.exit(2);
}

/** A checkpoint in the middle of a round would make that round dear: none comes by itself within the hour. */
async function startOwnCluster() {
  const { startCluster } = await import('./postgres.mjs');
  return startCluster({
    settings: {
      fsync: 'on',
      checkpoint_timeout: '1h',
      max_wal_size: '16GB',
      track_functions: options.profile ? 'all' : 'none',
    },
  });
}
