/**
 * S21, S33, S35: a server that logs every statement and has few connections. What users hand to the engine as data, and what it logs
 * in with, stands in no log, no statement, no error; and whoever takes all other connections takes nothing from those who run.
 */

import { readFileSync } from 'node:fs';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Client, Durable, Worker } from '../../src/index.js';
import { watchLines } from '../support/log.js';
import { type Cluster, startPrivateCluster } from '../support/private-cluster.js';

const SECRET = 'sesame-open-4711';
const PASSWORD = 'password-of-the-role-4711';

let cluster: Cluster;
let admin: pg.Client;

beforeAll(async () => {
  cluster = await startPrivateCluster({
    settings: {
      max_connections: 25,
      log_statement: 'all',
      log_min_duration_statement: 0,
      log_min_messages: 'debug1',
      log_parameter_max_length: 0,
      log_parameter_max_length_on_error: 0,
    },
  });
  admin = new pg.Client(cluster.url);
  await admin.connect();
  await admin.query(`set log_statement to none`);
  await admin.query('set log_min_duration_statement to -1');
  await admin.query(`create role app login superuser password '${PASSWORD}'`);
});
afterAll(async () => {
  await admin.end();
  await cluster.remove();
});

function connection() {
  const { hostname, port } = new URL(cluster.url);
  const options = { host: hostname, port: Number(port), user: 'app', password: PASSWORD, database: 'postgres' };
  return { class: pg.Client, options };
}

const activities = {
  fails: async (value: string) => {
    throw Object.assign(new Error('refused by the bank'), { value });
  },
};
const { fails } = Durable.workflow.proxyActivities<typeof activities>({
  activities,
  retry: { maximumAttempts: 1, initialInterval: 1 },
});

async function careful(value: unknown) {
  const signalled = await Durable.workflow.condition('go');
  const entity = await Durable.workflow.entity();
  await entity.set({ value: value as never });
  await Durable.workflow.emit({ told: value });
  await fails(String(value)).catch(() => {});
  return { value, signalled };
}

async function fatal(value: string) {
  // an argument that cannot be stored: its error must not quote it
  await fails({ value, big: 1n } as never);
}

it('S21, S33: no payload and no password is in the log of the server, of the worker, in a statement or an error', async () => {
  const { logger, lines } = watchLines();
  const worker = await Worker.create({
    connection: connection(),
    taskQueue: 'q',
    workflow: { careful, fatal },
    activities,
    options: { logLevel: 'trace', shutdownGrace: 0 },
    logger,
  });
  const client = new Client({ connection: connection(), logger });
  const handle = await client.workflow.start({
    taskQueue: 'q',
    workflowName: 'careful',
    args: [SECRET],
    search: { data: { s: SECRET } },
  });
  await client.workflow.signal('go', SECRET);
  expect(await handle.result()).toEqual({ value: SECRET, signalled: SECRET });

  const failed = await client.workflow.start({
    taskQueue: 'q',
    workflowName: 'fatal',
    args: [SECRET],
    config: { maximumAttempts: 0 },
  });
  const errors: unknown[] = [
    await failed.result().then(
      () => null,
      (error: unknown) => error,
    ),
  ];
  const refused = [
    () => client.workflow.start({ taskQueue: 'q', workflowName: 'careful', args: [{ a: SECRET, b: () => 1 }] }),
    () => client.workflow.start({ taskQueue: 'q', workflowName: 'careful', args: { [SECRET]: 1 } as never }),
    () => client.workflow.signal('go', { a: SECRET, b: 1n }),
    () => client.activity.complete(SECRET, 1),
    () =>
      new Client({
        connection: { ...connection(), options: { ...connection().options, database: 'none' } },
      }).workflow.start({ taskQueue: 'q', workflowName: 'w', args: [SECRET] }),
    () =>
      client.workflow.start({
        taskQueue: 'q',
        workflowName: 'w',
        args: [],
        connection: { password: PASSWORD },
      } as never),
  ];
  for (const call of refused)
    errors.push(
      await call().then(
        () => 'accepted',
        (error: unknown) => error,
      ),
    );
  expect(errors.filter((error) => !(error instanceof Error))).toEqual([]);
  const told = (error: unknown): string => {
    const { message, stack, cause } = error as Error;
    return [message, stack, cause === undefined ? '' : told(cause)].join('\n');
  };
  const said = errors.map(told).join('\n');
  expect(said).not.toContain(PASSWORD);
  // The token that was no token is shown as a secret is: by its kind.
  expect(said).not.toContain(SECRET);

  const { rows } = await admin.query<{ query: string }>(`select query from pg_stat_activity where usename = 'app'`);
  expect(rows.length).toBeGreaterThan(0);
  await worker.stop();
  await client.close();
  const statements = rows.map(({ query }) => query).join('\n');
  const log = readFileSync(cluster.logFile, 'utf8');
  expect(log).toContain('durable'); // statements are in it
  const ours = JSON.stringify(lines, (_key, value) => (value instanceof Error ? told(value) : value));
  expect(lines.length).toBeGreaterThan(0);
  for (const text of [statements, log, ours]) {
    // not toContain, which would print all of it
    expect([text.includes(SECRET), text.includes(PASSWORD)]).toEqual([false, false]);
  }
});

it('S35: who takes all other connections takes no lease', async () => {
  await admin.query(`create role tenant login password 'x'`);
  const options = { logLevel: 'silent', leaseDuration: '2s', shutdownGrace: 0 } as const;
  const worker = await Worker.create({
    connection: connection(),
    taskQueue: 'q',
    workflow: { careful },
    activities,
    options,
  });
  const client = new Client({ connection: connection() });
  const handle = await client.workflow.start({ taskQueue: 'q', workflowName: 'careful', args: ['x'] });
  const { hostname, port } = new URL(cluster.url);
  const taken: pg.Client[] = [];
  for (;;) {
    const one = new pg.Client({
      host: hostname,
      port: Number(port),
      user: 'tenant',
      password: 'x',
      database: 'postgres',
    });
    one.on('error', () => {});
    const refused = await one.connect().then(
      () => null,
      (error: { code?: string }) => error.code,
    );
    if (refused !== null) {
      expect(refused).toBe('53300');
      break;
    }
    taken.push(one);
  }
  const alive = `select worker_no from durable.worker where died_at is null and lease_until > clock_timestamp()`;
  const before = (await admin.query(alive)).rows;
  await new Promise((resolve) => setTimeout(resolve, 3_000)); // longer than the lease
  expect((await admin.query(alive)).rows).toEqual(before);
  await client.workflow.signal('go', 'through');
  expect(await handle.result()).toEqual({ value: 'x', signalled: 'through' });
  await Promise.all(taken.map((one) => one.end()));
  await worker.stop();
  await client.close();
});
