/**
 * npm run compare: the same work on several engines in one Postgres (a private cluster, fsync on), a process and a database
 * each, in turn; medians of the rounds. About a minute per round and engine.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startCluster } from '../../scripts/postgres.mjs';
import { createDatabase, serverFacts } from '../database.mjs';
import { startProcess } from '../process.mjs';
import { machineFacts } from '../run.mjs';
import { median } from '../statistics.mjs';

const ENGINES = ['perdure', 'dbos', 'absurd', 'graphile-worker'];
const SIZE = { workflows: 1_000, steps: 10, single: 50, width: 500, signals: 20 };
const QUICK = { workflows: 50, steps: 5, single: 5, width: 50, signals: 3 };
const LABELS = {
  stepsPerSecond: 'sequential steps, many workflows at once, per second',
  startsPerSecond: 'starts, one call each, per second',
  oneStepP50: 'one workflow at a time, 1 step, p50 ms',
  tenStepsP50: 'one workflow at a time, 10 steps, p50 ms',
  wideMs: `${SIZE.width} parallel steps in one workflow, ms`,
  signalP50: 'signal -> result, p50 ms',
};

const { values: given } = parseArgs({
  options: {
    engine: { type: 'string', multiple: true, default: [] },
    rounds: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
  },
});
const unknown = given.engine.find((name) => !ENGINES.includes(name));
if (unknown !== undefined) throw new Error(`--engine ${unknown}: there is ${ENGINES.join(', ')}`);
const chosen =
  given.engine.length > 0 ? given.engine : ENGINES.filter((name) => name !== 'absurd' || process.env.ABSURD_SQL);
const size = given.quick ? QUICK : SIZE;
const rounds = given.quick ? 1 : Number(given.rounds);

const cluster = await startCluster({
  settings: { fsync: 'on', shared_buffers: '1GB', max_wal_size: '16GB', checkpoint_timeout: '1h' },
});
/** @type {Map<string, { process: ReturnType<typeof startProcess>, samples: Map<string, number[]> }>} */
const engines = new Map();
try {
  for (const name of chosen) {
    const { url } = await createDatabase(cluster.url);
    engines.set(name, { process: startProcess('compare/works.mjs', [name, url]), samples: new Map() });
  }
  for (let round = 0; round <= rounds; round++) {
    for (const [name, { process: engine, samples }] of engines) {
      console.error(`${round === 0 ? 'warming up' : `round ${round} of ${rounds}`}: ${name}`);
      const figures = await engine.ask('measure', round === 0 ? QUICK : size);
      if (round === 0) continue;
      for (const [figure, value] of Object.entries(figures))
        samples.set(figure, [...(samples.get(figure) ?? []), value]);
    }
  }
  const report = {
    at: new Date().toISOString(),
    machine: machineFacts(),
    server: await serverFacts(cluster.url),
    rounds,
    size,
    engines: Object.fromEntries([...engines].map(([name, { samples }]) => [name, Object.fromEntries(samples)])),
  };
  const folder = join(import.meta.dirname, '../results');
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, `compare-${report.at.replaceAll(/[:.]/g, '-')}.json`),
    `${JSON.stringify(report, null, 2)}\n`,
  );
  for (const [figure, label] of Object.entries(LABELS)) {
    console.log(label);
    for (const [name, { samples }] of engines) {
      const values = samples.get(figure);
      const shown = (/** @type {number} */ value) => value.toLocaleString('en', { maximumSignificantDigits: 4 });
      if (values === undefined) console.log(`  ${name.padEnd(16)} -`);
      else
        console.log(
          `  ${name.padEnd(16)} ${shown(median(values)).padStart(9)}   ${shown(Math.min(...values))} - ${shown(Math.max(...values))}`,
        );
    }
  }
} finally {
  await Promise.all([...engines.values()].map(({ process: engine }) => engine.stop()));
  await cluster.remove();
}
