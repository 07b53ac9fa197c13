/** What the server was asked, by its own statistics (pg_stat_statements): calls of the engine's functions, rows, time. */

/** @param {import('pg').Client} sql */
export async function forgetCalls(sql) {
  await sql.query(
    `select pg_stat_statements_reset(0, (select oid from pg_database where datname = current_database()), 0)`,
  );
}

/**
 * Since they were forgotten, in this database, without the benchmark's own.
 *
 * @param {import('pg').Client} sql
 * @returns {Promise<Map<string, { calls: number, rows: number, ms: number }>>} by function
 */
export async function serverCalls(sql) {
  const { rows } = await sql.query(
    `select coalesce(substring(query from '"?durable"?\\."?(\\w+)"?\\('), query) as name,
       sum(calls)::float8 as calls, sum(rows)::float8 as rows, sum(total_exec_time) as ms
     from pg_stat_statements
     where dbid = (select oid from pg_database where datname = current_database()) and toplevel
       and query !~ 'pg_stat_statements|from durable\\.thread'
     group by 1`,
  );
  return new Map(rows.map(({ name, calls, rows, ms }) => [name, { calls, rows, ms }]));
}
