/**
 * A primary and its standby, each a private cluster, that change places.
 *
 * With `sync` an acknowledged commit is on both. From the promotion on the new primary waits with its commits until it has a standby
 * of its own: at no moment is anything acknowledged that is in one place alone.
 */
import pg from 'pg';
import { type Cluster, type ClusterOptions, STANDBY } from '../../scripts/postgres.mjs';
import { startPrivateCluster } from './private-cluster.js';

export class ReplicatedCluster {
  readonly #isSync: boolean;
  #primary: Cluster;
  #standby: Cluster;

  private constructor(primary: Cluster, standby: Cluster, isSync: boolean) {
    this.#primary = primary;
    this.#standby = standby;
    this.#isSync = isSync;
  }

  static async start(
    mode: 'sync' | 'async',
    settings: ClusterOptions['settings'] = {},
    walSegmentMb = 16,
  ): Promise<ReplicatedCluster> {
    const primary = await startPrivateCluster({ settings, walSegmentMb });
    // Before the copy is made, so that it has it too; in force when there is somebody to wait for.
    if (mode === 'sync') await sqlAt(primary.url, `alter system set synchronous_standby_names = '${STANDBY}'`);
    const standby = await startPrivateCluster({ settings, follows: primary });
    const cluster = new ReplicatedCluster(primary, standby, mode === 'sync');
    await cluster.sql('select pg_reload_conf()');
    await cluster.#untilReplicated();
    return cluster;
  }

  get primary(): Cluster {
    return this.#primary;
  }

  get standby(): Cluster {
    return this.#standby;
  }

  /** Both, the standby first: what tries them in this order has to go on to the second. */
  hostList(options = ''): string {
    const hosts = [this.#standby, this.#primary].map(({ port }) => `127.0.0.1:${port}`);
    return `postgres://postgres@${hosts.join(',')}/postgres?target_session_attrs=read-write${options}`;
  }

  /** The primary stops as in a crash and the standby takes its place. */
  async failOver(): Promise<void> {
    await this.#primary.stop('immediate');
    await this.#standby.promote();
    [this.#primary, this.#standby] = [this.#standby, this.#primary];
  }

  /** What was the primary comes back as the standby of what is. */
  async rebuildStandby(): Promise<void> {
    await this.#standby.follow(this.#primary);
    await this.#untilReplicated();
  }

  sql<R extends object = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<R[]> {
    return sqlAt<R>(this.#primary.url, text, values);
  }

  async #untilReplicated(): Promise<void> {
    const wanted = this.#isSync ? 'sync' : 'async';
    for (;;) {
      const [row] = await this.sql<{ sync_state: string }>(
        `select sync_state from pg_stat_replication where application_name = '${STANDBY}' and state = 'streaming'`,
      );
      if (row?.sync_state === wanted) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** One statement on a connection of its own, in the engine's schema. */
export async function sqlAt<R extends object = Record<string, unknown>>(
  url: string,
  text: string,
  values: unknown[] = [],
): Promise<R[]> {
  const client = new pg.Client({ connectionString: url, options: '-c search_path=durable,public' });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}
