// @ts-check
/** Where the demo keeps its workflows: in a folder (PGlite, one process) or on a Postgres (any number of processes). */

/** @typedef {import('perdure').ConnectionOptions} ConnectionOptions */

export const namespace = 'perdure-demo';
const schema = 'perdure_demo';

/** @returns {Promise<ConnectionOptions>} to the database that the supervisor names in the environment */
export async function connectionFromEnv() {
  const { DATABASE_URL: url, PERDURE_DEMO_FOLDER: folder = '.perdure/demo' } = process.env;
  if (url) {
    const { default: pg } = await import('pg');
    return { class: pg.Client, options: { connectionString: url } };
  }
  const { PGlite } = await import('@electric-sql/pglite');
  return { class: PGlite, options: { dataDir: `${folder}/database` } };
}

/** Removes what an earlier run left; a namespace is a schema, and nothing of it is elsewhere. @param {string} url */
export async function dropNamespace(url) {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`drop schema if exists ${schema} cascade`);
  } finally {
    await client.end();
  }
}
