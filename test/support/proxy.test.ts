import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from './database.js';
import { type PostgresProxy, startProxy } from './proxy.js';

let database: TestDatabase;
let proxy: PostgresProxy;

beforeAll(async () => {
  database = await createDatabase();
  await ask(database.url, 'create table arrived (tag text not null)');
});
afterAll(() => database.drop());
beforeEach(async () => {
  proxy = await startProxy(database.url);
});

describe('the proxy, left alone', () => {
  it('passes queries and answers of any size', async () => {
    const client = await connect();
    const large = 'x'.repeat(3_000_000);
    const { rows } = await client.query('select $1::text || $1::text as echo', [large]);
    expect(rows[0].echo).toHaveLength(6_000_000);
    expect(proxy.connections).toBe(1);
  });

  it('forgets a connection that its client ended', async () => {
    const client = await connect();
    await client.end();
    await expect.poll(() => proxy.connections).toBe(0);
  });

  it('shows complete requests and what comes back', async () => {
    const client = await connect();
    const requests: string[] = [];
    proxy.onClientData = (request) => requests.push(request.toString('latin1'));
    let answered = 0;
    proxy.onServerData = (data) => {
      answered += data.length;
    };
    await client.query('select $1::text', ['seen']);
    expect(requests).toHaveLength(1);
    expect(requests[0]).toContain('seen');
    expect(answered).toBeGreaterThan(0);
  });
});

describe('a cut', () => {
  it('before forwarding keeps the query from the server', async () => {
    const client = await connect();
    const hit = proxy.cutNextQuery('before-forward', 'before');
    await expect(insert(client, 'before')).rejects.toThrow();
    await hit;
    await expect.poll(() => backends()).toBe(0);
    expect(await arrived('before')).toBe(0);
  });

  it('after forwarding hides the outcome of a query that the server runs', async () => {
    const client = await connect();
    const hit = proxy.cutNextQuery('after-forward', 'after');
    await expect(insert(client, 'after', 0.2)).rejects.toThrow();
    await hit;
    expect(await arrived('after')).toBe(0);
    await expect.poll(() => arrived('after')).toBe(1);
  });

  it('at the answer comes when the query is committed', async () => {
    for (let round = 0; round < 20; round += 1) {
      const client = await connect();
      const hit = proxy.cutNextQuery('at-answer', 'answer');
      await expect(insert(client, `answer ${round}`)).rejects.toThrow();
      await hit;
      expect(await arrived(`answer ${round}`)).toBe(1);
    }
  });

  it('withholds every byte of a long answer', async () => {
    const client = await connect();
    let seen = 0;
    proxy.onServerData = (data) => {
      seen += data.length;
    };
    void proxy.cutNextQuery('at-answer', 'generate_series');
    await expect(client.query(`select repeat('y', 1000) from generate_series(1, 5000)`)).rejects.toThrow();
    expect(seen).toBe(0);
  });

  it('falls on the query aimed at and lets the one before it in the pipeline through', async () => {
    const client = await connect({ pipeline: true });
    void proxy.cutNextQuery('at-answer', 'second');
    const first = insert(client, 'first', 0.1);
    const second = insert(client, 'second');
    await expect(first).resolves.toBeDefined();
    await expect(second).rejects.toThrow();
    expect(await arrived('second')).toBe(1);
  });

  it('happens once; a new connection works', async () => {
    const hit = proxy.cutNextQuery('before-forward');
    await expect((await connect()).query('select 1')).rejects.toThrow();
    await hit;
    await expect((await connect()).query('select 1')).resolves.toBeDefined();
  });

  it('of everything resets all connections', async () => {
    const clients = [await connect(), await connect()];
    const sleeping = Promise.allSettled(clients.map((client) => client.query('select pg_sleep(5)')));
    proxy.cut();
    expect((await sleeping).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect.poll(() => proxy.connections).toBe(0);
  });
});

describe('other faults', () => {
  it('refuses new connections and keeps the open ones', async () => {
    const open = await connect();
    proxy.refuse(true);
    await expect(connect()).rejects.toThrow();
    await expect(open.query('select 1')).resolves.toBeDefined();
    proxy.refuse(false);
    await expect(connect()).resolves.toBeDefined();
  });

  it('a black hole says nothing, and delivers when it closes', async () => {
    const open = await connect();
    proxy.blackHole(true);
    let answers = 0;
    const count = () => {
      answers += 1;
    };
    const query = insert(open, 'black hole').then(count);
    const joining = connect().then(count);
    await new Promise((later) => setTimeout(later, 200));
    expect(answers).toBe(0);
    expect(await arrived('black hole')).toBe(0);
    proxy.blackHole(false);
    await Promise.all([query, joining]);
    expect(await arrived('black hole')).toBe(1);
  });

  it('delays both directions and keeps the order', async () => {
    const client = await connect();
    proxy.delayMs = 50;
    const started = performance.now();
    const { rows } = await client.query(`select repeat('z', 100000) as long`);
    expect(rows[0].long).toHaveLength(100_000);
    expect(performance.now() - started).toBeGreaterThanOrEqual(99);
  });
});

async function connect(options: { pipeline?: boolean } = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: proxy.url(database.url), application_name: 'proxied', ...options });
  client.on('error', () => {}); // cut while idle
  await client.connect();
  return client;
}

function insert(client: pg.Client, tag: string, seconds = 0) {
  return client.query('insert into arrived select $1::text from pg_sleep($2)', [tag, seconds]);
}

async function arrived(tag: string): Promise<number> {
  const [row] = await ask(database.url, 'select count(*)::int as n from arrived where tag = $1', [tag]);
  return row?.n ?? 0;
}

async function backends(): Promise<number> {
  const [row] = await ask(
    database.url,
    `select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name = 'proxied'`,
  );
  return row?.n ?? 0;
}

async function ask(url: string, sql: string, values: unknown[] = []): Promise<{ n: number }[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql, values)).rows;
  } finally {
    await client.end();
  }
}
