/** A database that is some milliseconds away: what is left of the throughput, and what one step costs. */
import pg from 'pg';
import { percentile } from '../statistics.mjs';

/** @typedef {import('./stage.mjs').Stage} Stage */

const QUEUE = 'distance';

/** @type {import('./curves.mjs').Curve} */
export const distance = {
  title: 'a database with a round trip of 5 ms',
  minutes: 4,
  size: { roundTripMs: 5, workflows: 1_000, steps: 10, single: 40 },
  quick: { roundTripMs: 5, workflows: 60, steps: 5, single: 3 },
  figures: {
    localPerSecond: { label: 'sequential steps, database here', unit: '/s' },
    proxiedPerSecond: { label: 'sequential steps, proxy that does not wait', unit: '/s' },
    farPerSecond: { label: 'sequential steps, round trip of {roundTripMs} ms', unit: '/s' },
    share: { label: 'far away against here', unit: '%', mark: { least: 70 } },
    shareProxied: { label: 'far away against the proxy that does not wait', unit: '%' },
    measuredTripMs: { label: 'round trip of an empty query', unit: 'ms', digits: 2 },
    stepMs: { label: 'one sequential step', unit: 'ms', digits: 2 },
    beyondTripMs: { label: 'one sequential step beyond a round trip', unit: 'ms', digits: 2, mark: { most: 2 } },
    oneStepP50: { label: 'start -> result, 1 step, p50', unit: 'ms', digits: 2 },
  },
  notMeasured: [
    'a narrow or lossy network: bytes are only late',
    'a core for the proxy: it shares those of this machine',
  ],
  run,
};

/** @param {Stage} stage @param {{ roundTripMs: number, workflows: number, steps: number, single: number }} size */
async function run(stage, { roundTripMs, workflows, steps, single }) {
  const there = Math.ceil(roundTripMs / 2);
  const places = {
    local: await openPlace(stage, null),
    proxied: await openPlace(stage, [0, 0]),
    far: await openPlace(stage, [there, roundTripMs - there]),
  };
  for (let round = 0; round <= stage.rounds; round++) {
    stage.progress(round === 0 ? 'warming up' : `round ${round} of ${stage.rounds}`);
    /** @type {Record<string, number>} */
    const perSecond = {};
    for (const [name, { engine }] of Object.entries(places)) {
      const done = await engine.ask('sequences', { taskQueue: QUEUE, workflows, steps });
      stage.expect(done.wrong === 0, `${done.wrong} workflows gave a wrong result`);
      perSecond[name] = (workflows * steps) / done.seconds;
    }
    const { engine, url } = places.far;
    const timesOf = (/** @type {number} */ length) =>
      engine.ask('oneByOne', { taskQueue: QUEUE, workflow: 'sequence', count: single, args: [1, length] });
    const trip = await tripMs(url, single);
    const [one, many] = [percentile(await timesOf(1), 0.5), percentile(await timesOf(21), 0.5)];
    if (round === 0) continue;
    for (const [name, value] of Object.entries(perSecond)) stage.note(`${name}PerSecond`, value);
    const { local = Number.NaN, proxied = Number.NaN, far = Number.NaN } = perSecond;
    stage.note('share', (100 * far) / local);
    stage.note('shareProxied', (100 * far) / proxied);
    stage.note('measuredTripMs', trip);
    stage.note('oneStepP50', one);
    stage.note('stepMs', (many - one) / 20);
    stage.note('beyondTripMs', (many - one) / 20 - trip);
  }
}

/** A database and a worker of its own. @param {Stage} stage @param {[number, number] | null} delays of a proxy between them */
async function openPlace(stage, delays) {
  const { url } = await stage.openDatabase();
  const seen = new URL(url);
  if (delays !== null) {
    const proxy = stage.startProcess('growth/delay-proxy.mjs', [seen.hostname, seen.port, ...delays.map(String)]);
    seen.port = String(await proxy.ask('port'));
  }
  const engine = stage.startEngine(seen.href, [{ taskQueue: QUEUE }]);
  await engine.ask('ready');
  return { engine, url: seen.href };
}

/** The median time of a query that does nothing. @param {string} url @param {number} count */
async function tripMs(url, count) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const times = [];
  for (let index = 0; index < count; index++) {
    const from = performance.now();
    await client.query('select 1');
    times.push(performance.now() - from);
  }
  await client.end();
  return percentile(times, 0.5);
}
