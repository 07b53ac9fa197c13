/** What a transactional activity writes and its completion are one commit. */

import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { type ActivityTransaction, Client, Durable, Errors, uuid, Worker, workflow } from '../src/index.js';
import { describeInBothTempos, Engine, gate, Journal, kept, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();
const gates = new Map<string, ReturnType<typeof gate<void>>>();
const { getContext } = Durable.activity;

const write = (id: string, transaction: ActivityTransaction = getContext().transaction) =>
  transaction.query('insert into public.effects (id) values ($1)', [id]);

const activities = {
  async once(id: string) {
    await write(id);
    journal.note(id, getContext().attempt);
    return { id };
  },
  async failsTwice(id: string) {
    await write(id);
    journal.note(id);
    if (journal.count(id) < 3) throw new Error('not yet');
    return journal.count(id);
  },
  async waits(id: string) {
    await write(id);
    journal.note(id);
    await gates.get(`${id} ${journal.count(id)}`)?.passed;
    return journal.count(id);
  },
  async sleepsInSql(id: string) {
    await write(id);
    if (getContext().attempt === 1) await getContext().transaction.query('select pg_sleep(60)');
    return getContext().attempt;
  },
  async commitsItself(id: string) {
    journal.note(id);
    await write(id);
    await getContext().transaction.query('commit');
  },
  async swallows(id: string) {
    journal.note(id);
    await write(id);
    await getContext()
      .transaction.query('select 1 / 0')
      .catch(() => {});
  },
  async breaksAtTheCommit(id: string) {
    journal.note(id);
    await getContext().transaction.query('insert into public.effects (id, parent) values ($1, $2)', [id, 'nobody']);
  },
  async returnsTooMuch(id: string) {
    await write(id);
    return 'x'.repeat(9 * 1024 * 1024);
  },
  async wantsOutside() {
    journal.note(
      'token',
      await Promise.resolve()
        .then(() => getContext().taskToken)
        .catch((error: Error) => error.message),
    );
    throw new Durable.activity.CompleteAsyncError();
  },
  async leavesBehind(id: string) {
    const { transaction } = getContext();
    journal.note(id, transaction);
  },
  async plain() {
    return Promise.resolve()
      .then(() => getContext().transaction)
      .then(String, (error: Errors.TransactionError) => `${error.name} ${error.reason}`);
  },
};

const remote = workflow.proxyActivities<typeof activities>({
  transactional: true,
  retry: { ...retryAtOnce, maximumAttempts: 4 },
});
const plain = workflow.proxyActivities<typeof activities>();

const workflows = {
  async calls(name: keyof typeof activities, id: string) {
    return await (remote[name] as (id: string) => Promise<unknown>)(id);
  },
  async bound(name: keyof typeof activities, id: string) {
    const own = workflow.proxyActivities<typeof activities>({
      activities,
      transactional: true,
      retry: { ...retryAtOnce, maximumAttempts: 4 },
    });
    return await (own[name] as (id: string) => Promise<unknown>)(id);
  },
  async inline(id: string) {
    return await workflow.run('write', () => write(id).then(() => id), { transactional: true });
  },
  async limited(name: 'waits' | 'sleepsInSql', id: string) {
    const limit = { startToCloseTimeout: 300, retry: retryAtOnce };
    const proxy = workflow.proxyActivities<typeof activities>({ transactional: true, ...limit });
    return await proxy[name](id);
  },
  async plain() {
    return await plain.plain();
  },
  async many(id: string) {
    const results = await Promise.all(Array.from({ length: 8 }, (_, n) => remote.once(`${id} ${n}`)));
    return results.length;
  },
  async starts(id: string, url: string) {
    const start = async () => {
      const { transaction, attempt } = getContext();
      await write(id);
      const next = { taskQueue: 'test', workflowName: 'inline', workflowId: `of ${id}`, args: [`of ${id}`] };
      await clientOf(url).workflow.start({ ...next, transaction });
      if (attempt === 1) throw new Error('once more');
    };
    return await workflow.run('start another', start, { transactional: true, retry: retryAtOnce });
  },
};

const clients = new Map<string, Client>();

function clientOf(url: string): Client {
  const client =
    clients.get(url) ?? new Client({ connection: { class: pg.Client, options: { connectionString: url } } });
  clients.set(url, client);
  return client;
}

async function effects(engine: Engine, id: string): Promise<number> {
  return (await engine.sql('select from public.effects where id = $1', [id])).length;
}

const prepare = (engine: Engine) =>
  engine.sql(
    'create table if not exists public.effects (n int generated always as identity primary key, id text, parent text, foreign key (n) references public.effects)',
  );

describeInBothTempos('a transactional activity', { workflow: workflows, activities }, (engine) => {
  const prepared = () =>
    (ready ??= prepare(engine()).then(() =>
      engine().sql(`
      create table if not exists public.parents (id text primary key);
      alter table public.effects add foreign key (parent) references public.parents deferrable initially deferred`),
    ));
  let ready: Promise<unknown> | undefined;

  it.each(['calls', 'bound'])('takes effect once and returns its result (%s)', async (how) => {
    await prepared();
    const id = uuid();
    expect(await engine().run(how, ['once', id])).toEqual({ id });
    expect([await effects(engine(), id), journal.of(id)]).toEqual([1, [1]]);
  });

  it('may be an inline step, and many may run at once', async () => {
    await prepared();
    const id = uuid();
    expect(await engine().run('inline', [id])).toBe(id);
    expect(await engine().run('many', [id])).toBe(8);
    expect(await effects(engine(), id)).toBe(1);
    expect((await engine().sql(`select from public.effects where id like $1`, [`${id} %`])).length).toBe(8);
  });

  it.each(['calls', 'bound'])('that fails leaves nothing, and is retried as any other (%s)', async (how) => {
    await prepared();
    const id = uuid();
    expect(await engine().run(how, ['failsTwice', id])).toBe(3);
    expect(await effects(engine(), id)).toBe(1);
  });

  it('is aborted by its limit: its transaction is rolled back, also while a statement runs', async () => {
    await prepared();
    const id = uuid();
    gates.set(`${id} 1`, gate());
    expect(await engine().run('limited', ['waits', id])).toBe(2);
    expect(await engine().run('limited', ['sleepsInSql', `${id} in SQL`])).toBe(2);
    expect([await effects(engine(), id), await effects(engine(), `${id} in SQL`)]).toEqual([1, 1]);
  });

  it('that a cancelled workflow gave up is rolled back, although its function goes on', async () => {
    await prepared();
    const id = uuid();
    const held = gate();
    gates.set(`${id} 1`, held);
    const handle = await engine().start('calls', ['waits', id]);
    await until('it has begun', () => journal.count(id) === 1);
    await handle.cancel();
    expect(await engine().failure(handle)).toMatchObject({ name: 'CancelledFailure' });
    held.open();
    await until('its transaction is gone', async () => (await openTransactions(engine())) === 0);
    expect(await effects(engine(), id)).toBe(0);
  });

  it('whose row was taken away is refused at its commit', async () => {
    await prepared();
    const id = uuid();
    const held = gate();
    gates.set(`${id} 1`, held);
    const handle = await engine().start('calls', ['waits', id]);
    await until('it has begun', () => journal.count(id) === 1);
    // As if the worker had been declared dead and somebody else had the activity.
    await engine().sql(
      `update activity_task set owner = null, claim_no = null, losses = losses + 1, ready_at = clock() where thread_no in
        (select run_no from execution where workflow_id = $1)`,
      [handle.workflowId],
    );
    held.open();
    expect(await engine().result(handle)).toBe(2);
    expect(await effects(engine(), id)).toBe(1);
  });

  it('that ends its transaction itself is told, and not repeated', async () => {
    await prepared();
    const id = uuid();
    const failure = await engine().failure(await engine().start('calls', ['commitsItself', id]));
    expect(failure).toMatchObject({ message: expect.stringContaining('ended its transaction by itself') });
    expect(journal.count(id)).toBe(1);
  });

  it('whose statement failed unnoticed fails, as does one that breaks a constraint at the commit', async () => {
    await prepared();
    const [one, other] = [uuid(), uuid()];
    const swallowed = await engine().failure(await engine().start('calls', ['swallows', one]));
    expect(swallowed).toMatchObject({ message: expect.stringContaining('Postgres commits nothing') });
    const broken = await engine().failure(await engine().start('bound', ['breaksAtTheCommit', other]));
    expect(broken).toMatchObject({ message: expect.stringContaining('violates foreign key constraint') });
    expect([journal.count(one), journal.count(other)], 'retried as configured').toEqual([5, 5]);
    expect([await effects(engine(), one), await effects(engine(), other)]).toEqual([0, 0]);
  });

  it('that returns too much, or wants to be completed from outside, fails and leaves nothing', async () => {
    await prepared();
    const id = uuid();
    expect(await engine().failure(await engine().start('calls', ['returnsTooMuch', id]))).toMatchObject({
      message: expect.stringContaining('result'),
    });
    expect(await effects(engine(), id)).toBe(0);
    expect(await engine().failure(await engine().start('calls', ['wantsOutside', id]))).toMatchObject({
      message: expect.stringContaining('completed by its own commit'),
    });
    expect(journal.of('token')[0]).toContain('completed by its own commit');
  });

  it('lends its connection until it ends: what is left behind reaches no other', async () => {
    await prepared();
    const id = uuid();
    await engine().run('calls', ['leavesBehind', id]);
    const [left] = journal.of(id) as [ActivityTransaction & { end(): Promise<void> }];
    await expect(left.query('select 1')).rejects.toThrow(Errors.TransactionError);
    await expect(left.end()).rejects.toThrow('ends with its activity');
  });

  it('may start workflows: once, with its commit', async () => {
    await prepared();
    const [id, { url }] = [uuid(), engine().database];
    await engine().run('starts', [id, url]);
    expect(await engine().result(await clientOf(url).workflow.getHandle('test', 'inline', `of ${id}`))).toBe(
      `of ${id}`,
    );
    expect([await effects(engine(), id), await effects(engine(), `of ${id}`)]).toEqual([1, 1]);
    await clientOf(url).close();
  });

  it('is another one than an activity without transaction', async () => {
    expect(await engine().run('plain')).toBe('TransactionError none');
  });
});

async function openTransactions(engine: Engine): Promise<number> {
  const rows = await engine.sql(
    `select from pg_stat_activity where datname = current_database() and application_name = 'perdure transaction' and state like 'idle in transaction%'`,
  );
  return rows.length;
}

describe('in other surroundings', () => {
  it('a Pool of the user lends its clients, and gets them back as they were', async () => {
    const engine = await Engine.withoutWorker(kept);
    await engine.sql('create table public.effects (id text)');
    const pool = new pg.Pool({ connectionString: engine.database.url, max: 4 });
    const worker = await Worker.create({
      connection: { class: pool },
      taskQueue: 'test',
      workflow: workflows,
      activities,
      options: { logLevel: 'silent', shutdownGrace: 200 },
    });
    for (let n = 0; n < 12; n++) await engine.run('calls', ['once', `pooled ${n}`]);
    expect(await engine.sql(`select count(*)::int as n from public.effects`)).toEqual([{ n: 12 }]);
    const client = await pool.connect();
    expect(client.listenerCount('error')).toBe(0);
    expect((await client.query('show statement_timeout')).rows).toEqual([{ statement_timeout: '0' }]);
    client.release();
    await worker.stop();
    await pool.end();
    await engine.close();
  });

  it('an activity worker of another process takes them like any other', async () => {
    const engine = await Engine.open({
      workflow: {
        async far(id: string) {
          const { once } = workflow.proxyActivities<typeof activities>({ taskQueue: 'far', transactional: true });
          return await once(id);
        },
      },
    });
    await engine.sql('create table public.effects (id text)');
    await engine.addActivityWorker('far', activities);
    expect(await engine.run('far', ['a'])).toEqual({ id: 'a' });
    expect(await effects(engine, 'a')).toBe(1);
    await engine.close();
  });

  it('a server that is gone at the commit leaves the effect once', async () => {
    const engine = await Engine.open({ workflow: workflows, activities });
    await prepare(engine);
    const held = gate();
    gates.set('cut 1', held);
    const handle = await engine.start('calls', ['waits', 'cut']);
    await until('it has begun', () => journal.count('cut') === 1);
    await engine.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'perdure transaction'`,
    );
    held.open();
    expect(await engine.result(handle)).toBe(2);
    expect(await effects(engine, 'cut')).toBe(1);
    expect(await engine.sql(`select attempt from activity_task`)).toEqual([]);
    await engine.close();
  });

  it('PGlite: a call that would wait for the activity it is made in is refused, whoever made the database', async () => {
    const connection = { class: PGlite, options: {} };
    const client = new Client({ connection });
    const asks = async () => {
      const refused = (call: Promise<unknown>) =>
        call.then(
          () => 'done',
          (error: Error) => error.name,
        );
      const { transaction } = getContext();
      const other = { taskQueue: 'test', workflowName: 'other', args: [], workflowId: 'o' };
      const joined = await client.workflow.start({ ...other, transaction });
      return [await refused(client.workflow.signal('s')), await refused(joined.status())];
    };
    const flow = async () => await workflow.run('ask', asks, { transactional: true });
    const options = { logLevel: 'silent', shutdownGrace: 100 };
    const worker = await Worker.create({ connection, taskQueue: 'test', workflow: { flow }, options });
    const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'flow', args: [] });
    expect(await handle.result()).toEqual(['InsideTransactionError', 'InsideTransactionError']);
    const other = await client.workflow.getHandle('test', 'other', 'o');
    expect(await other.status(), 'started with its commit').toBe(1);
    await worker.stop();
    await client.close();
  });

  it('PGlite: the transaction of the embedded database', async () => {
    const db = new PGlite();
    await db.exec('create table effects (id text)');
    const connection = { class: db };
    const client = new Client({ connection });
    const worker = await Worker.create({
      connection,
      taskQueue: 'test',
      workflow: workflows,
      activities,
      options: { logLevel: 'silent', shutdownGrace: 100 },
    });
    const run = async (workflowName: string, args: unknown[]) =>
      await (await client.workflow.start({ taskQueue: 'test', workflowName, args })).result();
    expect(await run('calls', ['once', 'embedded'])).toEqual({ id: 'embedded' });
    expect(await run('bound', ['failsTwice', 'embedded twice'])).toBe(3);
    expect(await run('inline', ['embedded inline'])).toBe('embedded inline');
    expect((await db.query('select id from effects order by 1')).rows).toEqual([
      { id: 'embedded' },
      { id: 'embedded inline' },
      { id: 'embedded twice' },
    ]);
    await worker.stop();
    await client.close();
    expect((await db.query('select * from durable.violations()')).rows).toEqual([]);
    await db.close();
  });
});
