/**
 * npm run chaos: real workers and clients on a real Postgres with a synchronous standby, and faults of all kinds until the time is over.
 * Prints each fault as it happens and a table at the end; fails when anything was lost, done twice, stuck, or slow to recover.
 *
 *   npm run chaos                                      10,000 workflows, and so many faults of each kind as docs/reliability.md says
 *   npm run chaos -- --minutes 5 --seed 42 --faults kill,failover
 *
 * The test test/nothing-is-lost-in-chaos.test.ts is the short form of the same.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installIfNeeded } from './dependencies.mjs';

process.chdir(join(import.meta.dirname, '..'));
installIfNeeded();

/** How often each comes, in relation to the others of its kind: processes, and the infrastructure. */
const WEIGHTS = {
  kill: 8,
  killAtPoint: 10,
  killClient: 1,
  pause: 2,
  workerClock: 1,
  outOfMemory: 1,
  blockedLoop: 1,
  crash: 2,
  failover: 2,
  terminate: 8,
  replicaStalls: 3,
  reset: 6,
  lostAnswer: 12,
  blackHole: 3,
  delay: 2,
  deafen: 2,
  exhaust: 2,
  pooler: 2,
  databaseClock: 2,
  diskFull: 3,
};

/** How many there are of each in the full form. */
const COUNTS = {
  kill: 80,
  killAtPoint: 110,
  killClient: 10,
  outOfMemory: 10,
  workerClock: 15,
  pause: 50,
  blockedLoop: 10,
  crash: 20,
  failover: 10,
  replicaStalls: 50,
  exhaust: 5,
  pooler: 10,
  databaseClock: 15,
  diskFull: 3,
  terminate: 500,
  reset: 200,
  lostAnswer: 1_000,
  blackHole: 10,
  delay: 10,
  deafen: 20,
};
const FULL = { workflows: 10_000, rate: 7, burstMs: 25_000 };

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
    /** How long faults come. Default: until there were so many as the full form has. */
    minutes: { type: 'string' },
    /** Comma-separated; default: all. */
    faults: { type: 'string', default: Object.keys(WEIGHTS).join(',') },
    /** Of the workers, ms. 10,000 is what workers have unless told otherwise. */
    lease: { type: 'string', default: '10000' },
    workers: { type: 'string', default: '4' },
    clients: { type: 'string', default: '2' },
    /** Workflows started a second, by each client, and how many of its may be open. */
    rate: { type: 'string' },
    open: { type: 'string', default: '200' },
  },
});

const names = values.faults.split(',').map((name) => name.trim());
const unknown = names.find((name) => !(name in WEIGHTS));
if (unknown !== undefined) refuse(`--faults: there is no "${unknown}"; there are ${Object.keys(WEIGHTS).join(', ')}`);
const number = (name, least) => {
  const given = Number(values[name]);
  if (!(given >= least)) refuse(`--${name} must be a number of at least ${least}; got "${values[name]}"`);
  return given;
};

const isFull = values.minutes === undefined;
values.rate ??= String(isFull ? FULL.rate : 10);
const chosen = (of) => Object.fromEntries(names.map((name) => [name, of[name]]));
const chaos = {
  seed: number('seed', 0),
  leaseMs: number('lease', 1_000),
  workers: number('workers', 1),
  clients: number('clients', 1),
  rate: number('rate', 0.1),
  open: number('open', 1),
  ...(isFull
    ? { workflows: FULL.workflows, burstMs: FULL.burstMs, faults: chosen(COUNTS) }
    : { forMs: number('minutes', 0.1) * 60_000, faults: chosen(WEIGHTS) }),
};

const built = spawnSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit', shell: process.platform === 'win32' });
if (built.status !== 0) process.exit(1);
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'guarantees', '--reporter=dot'];
const { status } = spawnSync(process.execPath, [...vitest, 'test/nothing-is-lost-in-chaos.test.ts'], {
  stdio: 'inherit',
  env: { ...process.env, CHAOS: JSON.stringify(chaos) },
});
process.exit(status ?? 1);

/** @param {string} message */
function refuse(message) {
  console.error(message);
  process.exit(2);
}
