/** A database for one run of the benchmark, and what the server says about itself. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import pg from 'pg';

/** @param {string} serverUrl */
export async function createDatabase(serverUrl) {
  const name = `perdure_bench_${randomBytes(4).toString('hex')}`;
  await withClient(serverUrl, (admin) => admin.query(`create database ${name} template template0`));
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    drop: () => withClient(serverUrl, (admin) => admin.query(`drop database if exists ${name} with (force)`)),
  };
}

/**
 * @template T
 * @param {string} url
 * @param {(client: pg.Client) => Promise<T>} work
 */
export async function withClient(url, work) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** @param {string} url */
export async function serverFacts(url) {
  const settings = ['server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'wal_level'];
  return withClient(url, async (client) => {
    const { rows } = await client.query('select s, current_setting(s) as value from unnest($1::text[]) s', [settings]);
    return Object.fromEntries(rows.map(({ s, value }) => [s, value]));
  });
}

/** How much has been logged, and how many whole pages of it (the first change of a page after a checkpoint logs it whole).
 * @param {pg.Client} client */
export async function walPosition(client) {
  const { rows } = await client.query(
    `select (pg_current_wal_insert_lsn() - '0/0')::float8 as bytes, wal_fpi::float8 as pages from pg_stat_wal`,
  );
  return /** @type {{ bytes: number, pages: number }} */ (rows[0]);
}

/**
 * Microseconds of CPU that the server's processes of this database's sessions have used, without `client`'s own; NaN where the
 * system does not tell (not Linux, or another machine's server). On a busy machine it says more than the clock.
 *
 * @param {pg.Client} client
 */
export async function serverCpuUs(client) {
  const { rows } = await client.query(
    `select pid from pg_stat_activity
     where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
       and inet_server_addr() = inet_client_addr()`,
  );
  try {
    const nanoseconds = rows.map(({ pid }) => Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]));
    return nanoseconds.length === 0 ? Number.NaN : nanoseconds.reduce((sum, each) => sum + each, 0) / 1000;
  } catch {
    return Number.NaN;
  }
}
