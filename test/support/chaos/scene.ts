/** Everything that a chaos run has on stage: two database servers, what stands before them, workers, clients. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { Client } from '../../../src/index.js';
import { whenTestFinished } from '../lifetime.js';
import { type PostgresProxy, startProxy } from '../proxy.js';
import { ReplicatedCluster } from '../replicated-cluster.js';
import { havePooler, type Pooler, startPooler } from '../worker-pooler.js';
import { ChaosProcess, type Place } from './processes.js';

export interface SceneOptions {
  readonly seed: number;
  readonly leaseMs: number;
  readonly workers: number;
  readonly clients: number;
  /** Starts a second of each client, and how many of its workflows may be open. */
  readonly rate: number;
  readonly open: number;
  /** How many they start together. Default: until they are told to stop. */
  readonly workflows?: number;
  readonly random: () => number;
  readonly log: (line: string) => void;
}

/** Small, so that files of the log stay shorter than the tables are that the fault `diskFull` does not let grow. */
export const WAL_SEGMENT_MB = 1;

const FEW_WORKFLOWS = 1_000;

/** How a worker reaches the database. */
interface Way {
  readonly way: string;
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  readonly notifications?: boolean;
}

export class Scene {
  readonly options: SceneOptions;
  readonly dir: string;
  readonly cluster: ReplicatedCluster;
  readonly proxy: PostgresProxy;
  readonly pooler: Pooler | null;
  readonly workers: ChaosProcess[] = [];
  readonly clients: ChaosProcess[] = [];
  /** What processes did that nobody had made them do. */
  readonly surprises: string[] = [];
  /** By how much the clock of the database is ahead, and since when at the latest (true time, ms). */
  readonly databaseClock: { readonly since: number; readonly aheadMs: number }[] = [{ since: 0, aheadMs: 0 }];
  #stopping = false;

  private constructor(
    options: SceneOptions,
    dir: string,
    cluster: ReplicatedCluster,
    proxy: PostgresProxy,
    pooler: Pooler | null,
  ) {
    this.options = options;
    this.dir = dir;
    this.cluster = cluster;
    this.proxy = proxy;
    this.pooler = pooler;
  }

  static async open(options: SceneOptions): Promise<Scene> {
    const dir = mkdtempSync(join(tmpdir(), 'perdure-chaos-'));
    chmodSync(dir, 0o755);
    const settings = {
      max_connections: 70,
      shared_buffers: '64MB',
      wal_sender_timeout: '5s',
      wal_receiver_timeout: '5s',
      // With segments this small a standby that has missed a few crashes finds them removed, and every commit waits for it for ever.
      wal_keep_size: '256MB',
    };
    const cluster = await ReplicatedCluster.start('sync', settings, WAL_SEGMENT_MB);
    const proxy = await startProxy(cluster.primary.url);
    const pooler = havePooler ? await startPooler(proxy.url(cluster.primary.url), 20) : null;
    whenTestFinished(async () => {
      await pooler?.remove();
      if (process.env.CHAOS_KEEP === undefined) rmSync(dir, { recursive: true, force: true });
    });
    const scene = new Scene(options, dir, cluster, proxy, pooler);
    await scene.#makeSchema();
    const ways = scene.#ways();
    const add = (list: ChaosProcess[], place: Place) => {
      list.push(new ChaosProcess(place, (how) => scene.#stopping || scene.surprises.push(how)));
    };
    for (let n = 0; n < options.workers; n++) add(scene.workers, scene.#worker(n, ways));
    for (let n = 0; n < options.clients; n++) add(scene.clients, scene.#client(n));
    await Promise.all([...scene.workers, ...scene.clients].map((process) => process.ready()));
    return scene;
  }

  /**
   * Clients start no more than they have to and await what they have.
   *
   * @param quietMs When no workflow has ended for so long, none is expected to any more.
   * @returns whether all of it ended.
   */
  async drain(quietMs: number): Promise<boolean> {
    const drained = await Promise.all(this.clients.map((client) => client.drained(quietMs)));
    return drained.every(Boolean);
  }

  async close(): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.workers, ...this.clients].map((process) => process.kill()));
  }

  /** What a time of the database was in truth. */
  trueTime(ofDatabase: number): number {
    const jumps = this.databaseClock;
    // Between what the clock showed at a jump and what it showed after it there is nothing. The border is in the middle: the jump is
    // not known to the ms, and a call that was under way may go by the old clock for a moment longer.
    const then = jumps.findLast(
      ({ since, aheadMs }, n) => ofDatabase >= since + ((jumps[n - 1]?.aheadMs ?? 0) + aheadMs) / 2,
    );
    return ofDatabase - (then?.aheadMs ?? 0);
  }

  async #makeSchema(): Promise<void> {
    const client = new Client({
      connection: { class: pg.Client, options: { connectionString: this.cluster.primary.url } },
    });
    await client.deployAndActivate();
    await client.close();
    // The same: it grows to more than a segment of the log within a minute. Of many workflows it does so anyway, and memory is little.
    if ((this.options.workflows ?? 0) <= FEW_WORKFLOWS)
      await this.cluster.sql('alter table history set (fillfactor = 10)');
  }

  #ways(): Way[] {
    const { cluster, proxy, pooler } = this;
    const proxied = proxy.url(cluster.primary.url);
    return [
      { way: 'Client through the proxy', url: proxied, env: {} },
      { way: 'Client with both hosts', url: cluster.hostList(), env: {} },
      { way: 'Pool through the proxy, no notifications', url: proxied, env: { DRIVER: 'Pool' }, notifications: false },
      ...(pooler === null
        ? []
        : [{ way: 'through PgBouncer', url: pooler.url(proxied), env: { POOLER: 'transaction' } }]),
    ];
  }

  #worker(n: number, ways: readonly Way[]): Place {
    const { way, url, env, notifications } = ways[n % ways.length] as (typeof ways)[number];
    const tuning = {
      leaseDuration: this.options.leaseMs,
      ...(notifications !== undefined && { notifications }),
      // One of them forgets all it parks, so that recovery happens without faults too.
      ...(n % 3 === 2 && { parkAfter: 0, maxCachedWorkflows: 0 }),
    };
    return {
      way: `worker ${n} (${way})`,
      file: 'chaos-worker.mjs',
      // The fault `outOfMemory` has little to fill.
      execArgv: ['--max-old-space-size=192'],
      env: () => ({ ...env, URL: url, LEDGER: join(this.dir, `ledger-${n}.jsonl`), TUNING: JSON.stringify(tuning) }),
    };
  }

  #client(n: number): Place {
    const { seed, rate, open, workflows, clients } = this.options;
    const url = n % 2 === 0 ? this.proxy.url(this.cluster.primary.url) : this.cluster.hostList();
    const env = {
      URL: url,
      JOURNAL: join(this.dir, `journal-c${n}.jsonl`),
      NAME: `c${n}`,
      SEED: String(seed),
      RATE: String(rate),
      OPEN: String(open),
      // The first ones start one more where it does not come out even.
      ...(workflows !== undefined && { WORKFLOWS: String(Math.floor((workflows + clients - 1 - n) / clients)) }),
    };
    return { way: `client ${n}`, file: 'chaos-client.mjs', env: () => env };
  }
}
