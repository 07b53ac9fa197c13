/** A cluster of a test's own, for tests that stop or restart the database. About 0.6 s to start. */

import { type Cluster, type ClusterOptions, startCluster } from '../../scripts/postgres.mjs';
import { whenTestFinished } from './lifetime.js';

export type { Cluster, ClusterOptions, StopMode } from '../../scripts/postgres.mjs';

/** Removed when the running test ends; started in a hook, call `remove()` in the matching after-hook. */
export async function startPrivateCluster(options?: ClusterOptions): Promise<Cluster> {
  // Tests run beside others on small machines: the shared cluster alone has the large buffers.
  const settings = { shared_buffers: '64MB', max_wal_size: '256MB', ...options?.settings };
  const cluster = await startCluster({ inMemory: true, ...options, settings });
  whenTestFinished(() => cluster.remove());
  return cluster;
}
