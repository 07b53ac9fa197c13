// @ts-check
/**
 * Runs the demo: starts the engine, kills it in the middle of things, starts it again, and in the end holds what came out
 * against what had to. On PGlite one process is the engine; on Postgres several workers are, and are killed at random.
 */
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { audit } from './audit.mjs';
import { dropNamespace } from './database.mjs';
import { EngineProcess } from './engine-process.mjs';
import { readOptions } from './options.mjs';
import { Progress } from './progress.mjs';
import { report } from './report.mjs';
import { Watch } from './watch.mjs';

const LOOK_EVERY_MS = 50;
const STUCK_AFTER_MS = 60_000;

const { orders, kills, workers, url, keep } = readOptions();
const onPglite = url === undefined;
const folder = onPglite ? '.perdure/demo' : '.perdure/demo-postgres';
const where = onPglite ? `PGlite in ${folder}` : `Postgres, with ${workers} workers`;
console.log(`${orders} orders on ${where}; SIGKILL ${kills} times on the way.\n`);

if (!keep) await wipe();

// For this process and those it starts.
process.env.PERDURE_DEMO_FOLDER = folder;
if (url !== undefined) process.env.DATABASE_URL = url;

const watch = new Watch(orders);
const progress = new Progress();
let startedAt = 0;
let survived = 0;
/** Why the demo cannot go on. @type {string | null} */
let trouble = null;

const desk = makeProcess('--desk', ...(onPglite ? ['--worker'] : []));
const victims = onPglite ? [desk] : Array.from({ length: workers }, () => makeProcess('--worker'));
const processes = new Set([desk, ...victims]);

process.once('SIGINT', () => giveUp('Interrupted. "npm run demo -- --keep" goes on where it was.'));
for (const engine of processes) engine.start();
await superviseToTheEnd();
const seconds = (Date.now() - startedAt) / 1000;
await Promise.all([...processes].map((engine) => engine.stop()));
watch.look();
progress.end();

if (trouble === null) {
  const found = audit(orders, watch);
  report(found, { survived, kills, seconds });
  process.exitCode = found.clean ? 0 : 1;
} else {
  const { open } = watch;
  console.error(`${trouble}\n${open.length} orders have not ended, among them ${open.slice(0, 10).join(', ')}.`);
  process.exitCode = 1;
}

async function wipe() {
  rmSync(folder, { recursive: true, force: true });
  if (onPglite) return;
  try {
    await dropNamespace(url);
  } catch (error) {
    console.error(`The namespace of the last run cannot be dropped. ${error}`);
    process.exit(1);
  }
}

async function superviseToTheEnd() {
  const crashes = planCrashes();
  while (!watch.over && trouble === null) {
    watch.look();
    progress.show({ watch, orders, survived, kills });
    if (Date.now() > watch.newsAt + STUCK_AFTER_MS) giveUp(`Nothing happened for ${STUCK_AFTER_MS / 1000} s.`);
    if (watch.share >= (crashes[0] ?? Infinity) && (await crash())) crashes.shift();
    await sleep(LOOK_EVERY_MS);
  }
}

/** At which shares of the work a process is killed: between 20 % and 70 % in even steps, or anywhere. */
function planCrashes() {
  if (!onPglite) return Array.from({ length: kills }, () => 0.05 + 0.8 * Math.random()).sort((a, b) => a - b);
  return Array.from({ length: kills }, (_, index) => 0.2 + (0.5 * index) / Math.max(1, kills - 1));
}

/** @returns {Promise<boolean>} whether there was a process to kill */
async function crash() {
  const ready = victims.filter((engine) => engine.ready);
  const victim = ready[Math.floor(Math.random() * ready.length)];
  if (victim === undefined) return false;
  const pid = await victim.killAndStart();
  survived++;
  progress.say(`SIGKILL for process ${pid} at ${Math.floor(watch.share * 100)} %; started again as ${victim.pid}`);
  return true;
}

/** @param {...string} roles */
function makeProcess(...roles) {
  return new EngineProcess([...roles, '--orders', String(orders)], {
    heard,
    lost: (how) => giveUp(`The engine's ${how}.`),
  });
}

/** @param {import('./engine.mjs').Message} message */
function heard(message) {
  if (message.event === 'ended') watch.ended(message.order, message.ending);
  else if (startedAt === 0) startedAt = Date.now();
}

/** @param {string} reason */
function giveUp(reason) {
  trouble ??= reason;
}
