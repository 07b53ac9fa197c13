/**
 * What a worker takes of the memory of its process at most when far more waits for it than it can do: starts without number, and
 * one workflow whose mail has piled up while nobody ran it. Its options are the defaults.
 */

import { readFileSync } from 'node:fs';
import { untilCount } from './stage.mjs';
import { ELSEWHERE } from './workflows.mjs';

const QUEUE = 'flood';
const AT_ONCE = 5_000;

/** @type {import('./curves.mjs').Curve} */
export const flood = {
  title: 'memory of a worker: 200,000 waiting starts; 20,000 results of 4 KB in one inbox',
  minutes: 4,
  size: { starts: 200_000, results: 20_000, bytes: 4_096 },
  quick: { starts: 2_000, results: 200, bytes: 4_096 },
  figures: {
    fresh: { label: 'a worker that has done 200 workflows', unit: 'MiB' },
    starts: { label: 'most of it while it does what waits', unit: 'MiB' },
    startsPerSecond: { label: 'workflows of one step done meanwhile', unit: '/s' },
    inbox: { label: 'most of it while it takes in the mail of one workflow', unit: 'MiB' },
    inboxStall: { label: 'longest time its event loop did not turn meanwhile', unit: 'ms' },
    inboxPayloads: { label: 'payloads of that mail', unit: 'MiB' },
  },
  notMeasured: ['clients: what a client is given waits in its memory (onFull: wait)', 'payloads larger than 4 KB'],
  run,
};

/** @param {import('./stage.mjs').Stage} stage @param {{ starts: number, results: number, bytes: number }} size */
async function run(stage, { starts, results, bytes }) {
  for (let round = 1; round <= Math.min(stage.rounds, 3); round++) {
    await waitingStarts(stage, starts);
    await pileOfMail(stage, results, bytes);
  }
}

const OPEN = `select count(*) from durable.execution where state = 'open'`;

/** @param {import('./stage.mjs').Stage} stage @param {number} starts */
async function waitingStarts(stage, starts) {
  const { url, sql } = await stage.openDatabase();
  // The first worker makes the schema, and is what the flood is compared with.
  const small = stage.startEngine(url, [{ taskQueue: QUEUE }]);
  await small.ask('ready');
  await startMany(small, 200, 'warm');
  await untilCount(sql, OPEN, [], 0);
  stage.note('fresh', mostMemory(small.pid));
  await small.stop();

  const client = stage.startEngine(url, []);
  await client.ask('ready');
  stage.progress(`${starts} starts`);
  await startMany(client, starts, 'flood');
  await client.stop();
  const worker = stage.startEngine(url, [{ taskQueue: QUEUE }]);
  const from = performance.now();
  await untilCount(sql, OPEN, [], 0, 600_000);
  stage.note('startsPerSecond', (1000 * starts) / (performance.now() - from));
  stage.note('starts', mostMemory(worker.pid));
  await worker.stop();
}

/** @param {import('./stage.mjs').Stage} stage @param {number} results @param {number} bytes */
async function pileOfMail(stage, results, bytes) {
  const { url, sql } = await stage.openDatabase();
  const first = stage.startEngine(url, [{ taskQueue: QUEUE }]);
  await first.ask('ready');
  await first.ask('start', { taskQueue: QUEUE, workflow: 'fanOut', of: [{ id: 'fan', args: [results, bytes] }] });
  await untilCount(sql, 'select count(*) from durable.activity_task', [], results, 600_000);
  await first.stop();
  const elsewhere = stage.startEngine(url, [{ taskQueue: ELSEWHERE, only: [] }]);
  stage.progress(`${results} results of ${bytes} bytes`);
  await untilCount(sql, 'select count(*) from durable.inbox', [], results, 600_000);
  await elsewhere.stop();
  const { rows } = await sql.query('select sum(length(payload)) / 1048576.0 as mib from durable.inbox');
  stage.note('inboxPayloads', Number(rows[0].mib));
  const worker = stage.startEngine(url, [{ taskQueue: QUEUE }]);
  const sum = await worker.ask('result', { taskQueue: QUEUE, workflow: 'fanOut', id: 'fan' });
  stage.expect(sum === results * bytes, `the results of the fan-out came to ${sum}`);
  stage.note('inbox', mostMemory(worker.pid));
  stage.note('inboxStall', await worker.ask('longestStallMs'));
  await worker.stop();
}

/** @param {import('./stage.mjs').EngineProcess} engine @param {number} count @param {string} name */
async function startMany(engine, count, name) {
  for (let from = 0; from < count; from += AT_ONCE) {
    const of = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, n) => ({
      id: `${name}-${from + n}`,
      args: [n, 1],
    }));
    await engine.ask('start', { taskQueue: QUEUE, workflow: 'sequence', of });
  }
}

/** The most that a process ever had, in MiB. @param {number | undefined} pid */
function mostMemory(pid) {
  const [, kib] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}
