/**
 * A process as a user would run it: with `worker` a worker and a client, with `caller` a client alone.
 *
 *     node engine.mjs <url> <worker | caller>
 */

import { Durable } from 'perdure';
import pg from 'pg';
import { answerParent } from './process.mjs';
import { scenarios, TASK_QUEUE } from './scenarios.mjs';
import { activities, workflows } from './workflows.mjs';

const [url, role] = process.argv.slice(2);

/** @type {Map<string, { calls: number, ms: number }>} */
const calls = new Map();

/** `pg`'s client, which also counts: each query is one round trip. The server's own statistics come seconds late. */
class CountingClient extends pg.Client {
  /** @param {any} query @param {any} [values] @param {any} [callback] @returns {any} */
  query(query, values, callback) {
    const name = query?.name ?? /\.(\w+)\(/.exec(query?.text ?? query)?.[1] ?? 'other';
    const entry = calls.get(name) ?? { calls: 0, ms: 0 };
    calls.set(name, entry);
    entry.calls++;
    const sent = performance.now();
    /** @type {any} */
    const answer = super.query(query, values, callback);
    const settled = () => {
      entry.ms += performance.now() - sent;
    };
    answer?.then?.(settled, settled);
    return answer;
  }
}

const connection = { class: CountingClient, options: { connectionString: url } };
const observer = new pg.Client({ connectionString: url });
await observer.connect();
const client = new Durable.Client({ connection });
if (role === 'worker') {
  await Durable.Worker.create({
    connection,
    taskQueue: TASK_QUEUE,
    workflow: workflows,
    activities,
    options: { logLevel: 'warn' },
  });
}

const callsMade = () => [...calls.values()].reduce((sum, entry) => sum + entry.calls, 0);
const scene = { client, observer, callsMade };
answerParent(
  {
    ...Object.fromEntries(Object.entries(scenarios).map(([name, run]) => [name, (size) => run(scene, size)])),
    calls: () => [...calls].map(([name, entry]) => ({ name, ...entry })),
    forgetCalls: () => calls.clear(),
  },
  async () => {
    await Durable.shutdown();
    await observer.end();
  },
);
