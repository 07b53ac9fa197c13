/**
 * What a curve is measured on: a private cluster, databases, processes. Everything goes away with it.
 *
 * Owns: the life of all that, the samples. Does not own: what is measured (one file per curve).
 */
import pg from 'pg';
import { startCluster } from '../../scripts/postgres.mjs';
import { createDatabase, serverFacts } from '../database.mjs';
import { startProcess } from '../process.mjs';

/** @typedef {Awaited<ReturnType<Stage['openDatabase']>>} Database */
/** @typedef {ReturnType<Stage['startEngine']>} EngineProcess */

/** fsync on; no checkpoint begins by itself while something is measured; calls are counted by the server. */
const SETTINGS = {
  fsync: 'on',
  shared_buffers: '1GB',
  max_wal_size: '16GB',
  checkpoint_timeout: '1h',
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track_utility': 'off',
};

export class Stage {
  /** @type {Map<string, number[]>} values of each figure, one per round */
  samples = new Map();
  /** @type {Set<string>} */
  wrong = new Set();
  rounds;
  progress;
  #cluster;
  /** @type {{ stop(): Promise<void> }[]} */
  #processes = [];
  /** @type {pg.Client[]} */
  #clients = [];

  /** @param {Awaited<ReturnType<typeof startCluster>>} cluster @param {{ rounds: number, progress: (line: string) => void }} options */
  constructor(cluster, { rounds, progress }) {
    this.#cluster = cluster;
    this.rounds = rounds;
    this.progress = progress;
  }

  /** @param {{ rounds: number, progress: (line: string) => void }} options @param {Record<string, string>} [settings] */
  static async open(options, settings = {}) {
    return new Stage(await startCluster({ settings: { ...SETTINGS, ...settings } }), options);
  }

  /** An empty database, and a connection of the benchmark's own to it. */
  async openDatabase() {
    const { url } = await createDatabase(this.#cluster.url);
    const sql = new pg.Client({ connectionString: url });
    this.#clients.push(sql);
    await sql.connect();
    await sql.query('create extension pg_stat_statements');
    return { url, sql };
  }

  serverFacts() {
    return serverFacts(this.#cluster.url);
  }

  /** @param {string} url @param {import('./engine.mjs').Serves[]} serves none: a client alone @param {string[]} [flags] of Node */
  startEngine(url, serves, flags = []) {
    return this.startProcess('growth/engine.mjs', [JSON.stringify({ url, serves })], ['--expose-gc', ...flags]);
  }

  /** @param {string} file within bench/ @param {string[]} args @param {string[]} [flags] */
  startProcess(file, args, flags) {
    const started = startProcess(file, args, flags);
    this.#processes.push(started);
    return started;
  }

  /** @param {string} figure @param {number} value of one round */
  note(figure, value) {
    const values = this.samples.get(figure) ?? [];
    this.samples.set(figure, values);
    values.push(value);
  }

  /** @param {boolean} right @param {string} what */
  expect(right, what) {
    if (!right) this.wrong.add(what);
  }

  async close() {
    // The latest first: an engine goes before the proxy it was started behind.
    for (const process of this.#processes.toReversed()) await process.stop();
    await Promise.all(this.#clients.map((client) => client.end().catch(() => {})));
    await this.#cluster.remove();
  }
}

/**
 * Waits until the query's first column is `wanted`.
 *
 * @param {pg.Client} sql @param {string} text @param {unknown[]} values @param {number} wanted @param {number} [withinMs]
 */
export async function untilCount(sql, text, values, wanted, withinMs = 120_000) {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const { rows } = await sql.query({ text, values, rowMode: 'array' });
    const count = Number(rows[0]?.[0]);
    if (count === wanted) return;
    if (performance.now() > deadline) throw new Error(`${count} instead of ${wanted} after ${withinMs} ms: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 100)); // counting takes time from what is counted
  }
}

export const PARKED = `select count(*) from durable.thread where state = 'parked'`;
