export interface ClusterOptions {
  /** Where the cluster lives; kept when it is removed, used again when it holds one. Default: a temporary folder. */
  dir?: string;
  /** Default: a free one. */
  port?: number;
  /** The temporary folder is in memory, if there is enough for it. For tests: figures would be none of a disk. Default: no. */
  inMemory?: boolean;
  /** Server settings, over the defaults in postgres.mjs (among them `fsync: 'off'`). */
  settings?: Record<string, string | number>;
  /** Size of the files of the write-ahead log, where the cluster is made. Default 16. */
  walSegmentMb?: number;
  /** Begin as a standby of this one. */
  follows?: Pick<Cluster, 'url' | 'port'>;
}

/** `fast` ends sessions and writes a checkpoint; `immediate` stops as in a crash, so that the next start recovers. */
export type StopMode = 'fast' | 'immediate';

export interface Cluster {
  /** Of the maintenance database, as superuser. */
  readonly url: string;
  readonly dir: string;
  readonly port: number;
  readonly binDir: string;
  readonly logFile: string;
  start(): Promise<void>;
  /** Default `fast`. */
  stop(mode?: StopMode): Promise<void>;
  restart(mode?: StopMode): Promise<void>;
  /** Stops it, forgets what it had and begins again as a standby of another. */
  follow(primary: Pick<Cluster, 'url' | 'port'>): Promise<void>;
  /** Of a standby: resolves when it is the primary. */
  promote(): Promise<void>;
  /**
   * No process of the server can write behind so many bytes of a file; null: as far as it likes. Where this ends amid a block, Postgres
   * takes it for a full disk (53100). Needs prlimit, of Linux. `pids`: of the server's processes, the postmaster aside.
   */
  limitFiles(bytes: number | null, pids: readonly number[]): Promise<void>;
  /** Stops the server and removes the folder if it was a temporary one. */
  remove(): Promise<void>;
}

export function startCluster(options?: ClusterOptions): Promise<Cluster>;
/** The application name of standbys, for `synchronous_standby_names`. */
export const STANDBY: string;
export function findPostgres(): string | null;
