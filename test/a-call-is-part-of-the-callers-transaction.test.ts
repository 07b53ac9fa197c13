/** "Insert the order and start its workflow" is one commit: start, signal and cancel in the user's own transaction. */

import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallerTransaction, Client, Errors, uuid, Worker, type WorkflowHandle, workflow } from '../src/index.js';
import { createDatabase, createMigratedDatabase, type TestDatabase } from './support/database.js';
import { Engine, until } from './support/worker.js';

async function order(id: string) {
  return await workflow.condition(`paid ${id}`);
}

async function echo(value: unknown) {
  return value;
}

let engine: Engine;
/** The user's own connections. */
let pool: pg.Pool;

beforeAll(async () => {
  engine = await Engine.open({ workflow: { order, echo } });
  pool = new pg.Pool({ connectionString: engine.database.url, max: 20 });
  pool.on('error', () => {}); // one is ended on purpose
  await pool.query('create table orders (id text primary key, amount int not null)');
});
afterAll(async () => {
  await pool.end();
  await engine.close();
});

/** The user's code inside `begin`; the transaction is still open when it ends. */
async function inTransaction<T>(work: (client: pg.PoolClient) => Promise<T>, end: 'commit' | 'rollback'): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const made = await work(client);
    await client.query(end);
    return made;
  } finally {
    client.release();
  }
}

async function placeOrder(transaction: pg.PoolClient, id: string): Promise<WorkflowHandle> {
  await transaction.query('insert into orders values ($1, 7)', [id]);
  return await engine.start('order', [id], { workflowId: id, transaction });
}

const orders = async (id: string) => (await pool.query('select from orders where id = $1', [id])).rowCount;
const runs = async (id: string) =>
  (await engine.sql('select state from execution where workflow_id = $1', [id])).length;

describe.concurrent('start', () => {
  it('happens with the commit: order and workflow are there together, and the handle is good from then on', async () => {
    const id = uuid();
    const handle = await inTransaction(async (client) => {
      const made = await placeOrder(client, id);
      expect(await runs(id), 'nobody sees it before').toBe(0);
      await expect(made.status()).rejects.toThrow(Errors.GetStateError);
      return made;
    }, 'commit');
    expect(await orders(id)).toBe(1);
    await handle.signal(`paid ${id}`, 'cash');
    expect(await engine.result(handle)).toBe('cash');
  });

  it('never was when the transaction is rolled back: the id is free', async () => {
    const id = uuid();
    const handle = await inTransaction((client) => placeOrder(client, id), 'rollback');
    expect([await orders(id), await runs(id)]).toEqual([0, 0]);
    await expect(handle.result()).rejects.toThrow(Errors.GetStateError);
    await engine.start('echo', [], { workflowId: id });
  });

  it('never was when the caller dies with its transaction open', async () => {
    const id = uuid();
    const client = await pool.connect();
    await client.query('begin');
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    await placeOrder(client, id);
    const ended = new Promise((resolve) => client.on('error', resolve));
    await engine.sql('select pg_terminate_backend($1)', [rows[0]?.pid]);
    await ended;
    client.release(true);
    expect([await orders(id), await runs(id)]).toEqual([0, 0]);
    await inTransaction((next) => placeOrder(next, id), 'commit');
    expect([await orders(id), await runs(id)]).toEqual([1, 1]);
  });

  it('of an id that is taken is told without harm to the transaction', async () => {
    const [taken, id] = [uuid(), uuid()];
    await engine.start('echo', [], { workflowId: taken });
    await inTransaction(async (client) => {
      await client.query('insert into orders values ($1, 1)', [id]);
      const again = engine.start('echo', [], { workflowId: taken, transaction: client });
      await expect(again).rejects.toThrow(new Errors.DuplicateJobError(taken));
    }, 'commit');
    expect(await orders(id)).toBe(1);
  });

  it('of the same id in two transactions: the second waits for the first, and goes by how that ends', async () => {
    for (const end of ['commit', 'rollback'] as const) {
      const id = uuid();
      const first = await pool.connect();
      await first.query('begin');
      await engine.start('echo', [1], { workflowId: id, transaction: first });
      const second = inTransaction(
        (client) => engine.start('echo', [2], { workflowId: id, transaction: client }),
        'commit',
      );
      const outcome = second.then(
        (handle) => engine.result(handle),
        (error: Error) => error.name,
      );
      await untilSomebodyWaits();
      await first.query(end);
      first.release();
      expect(await outcome).toBe(end === 'commit' ? 'DuplicateJobError' : 2);
    }
  });

  it('of names that nobody has used yet holds nobody up, not even while the transaction stays open', async () => {
    const [taskQueue, workflowName] = [uuid(), 'echo'];
    const client = await pool.connect();
    await client.query('begin');
    await engine.start(workflowName, [1], { taskQueue, transaction: client });
    // Everybody who names the same service, and a worker that registers for it.
    const beside = await engine.start(workflowName, [2], { taskQueue });
    await engine.addWorker({ taskQueue, workflow: { echo } });
    expect(await engine.result(beside)).toBe(2);
    await client.query('rollback');
    client.release();
  });

  it('in a savepoint goes with the savepoint', async () => {
    const [kept, gone] = [uuid(), uuid()];
    await inTransaction(async (client) => {
      await placeOrder(client, kept);
      await client.query('savepoint mine');
      await placeOrder(client, gone);
      await client.query('rollback to savepoint mine');
    }, 'commit');
    expect([await runs(kept), await runs(gone)]).toEqual([1, 0]);
  });

  it('is told to workers with the commit: nobody has to poll', async () => {
    const listener = new pg.Client({ connectionString: engine.database.url });
    await listener.connect();
    const heard: string[] = [];
    listener.on('notification', ({ payload = '' }) => heard.push(payload));
    await listener.query('listen perdure_durable');
    const client = await pool.connect();
    await client.query('begin');
    await engine.start('echo', [], { taskQueue: 'nobody serves it', transaction: client });
    const { rows } = await client.query(
      `select 'q' || service_no as hint from durable.service where task_queue = 'nobody serves it'`,
    );
    await listener.query('select 1');
    expect(heard).not.toContain(rows[0]?.hint);
    await client.query('commit');
    client.release();
    await until('the hint is heard', () => heard.includes(rows[0]?.hint));
    await listener.end();
  });
});

describe.concurrent('signal and cancel', () => {
  it('happen with the commit, to a workflow or to whoever waits', async () => {
    const [one, other, third] = [uuid(), uuid(), uuid()];
    const [first, second, cancelled] = (await Promise.all(
      [one, other, third].map((id) => engine.start('order', [id], { workflowId: id })),
    )) as [WorkflowHandle, WorkflowHandle, WorkflowHandle];
    for (const [handle, id] of [
      [first, one],
      [second, other],
      [cancelled, third],
    ] as const)
      await engine.awaitsSignal(handle, `paid ${id}`);
    await inTransaction(async (transaction) => {
      expect(await first.signal(`paid ${one}`, 1, { transaction })).toBe('delivered');
      expect(await engine.client.workflow.signal(`paid ${other}`, 2, undefined, { transaction, expire: '1h' })).toBe(
        'delivered',
      );
      await cancelled.cancel({ transaction });
      expect(await first.status()).toBe(1);
    }, 'commit');
    expect([await engine.result(first), await engine.result(second)]).toEqual([1, 2]);
    expect(await engine.failure(cancelled)).toMatchObject({ name: 'CancelledFailure' });
  });

  it('never were when the transaction is rolled back', async () => {
    const id = uuid();
    const handle = await engine.start('order', [id], { workflowId: id });
    await engine.awaitsSignal(handle, `paid ${id}`);
    await inTransaction(async (transaction) => {
      await handle.signal(`paid ${id}`, 'never', { transaction });
      await handle.cancel({ transaction });
    }, 'rollback');
    await handle.signal(`paid ${id}`, 'once');
    expect(await engine.result(handle)).toBe('once');
  });

  it('reach a workflow that the same transaction starts', async () => {
    const id = uuid();
    const handle = await inTransaction(async (transaction) => {
      const made = await placeOrder(transaction, id);
      expect(await made.signal(`paid ${id}`, 'at once', { transaction })).toBe('buffered');
      return made;
    }, 'commit');
    expect(await engine.result(handle)).toBe('at once');
  });

  it('to nobody, or to who has ended, is told without harm to the transaction', async () => {
    const ended = await engine.start('echo', []);
    await engine.result(ended);
    const unknown = await engine.client.workflow.getHandle('test', 'echo', uuid());
    const id = uuid();
    await inTransaction(async (transaction) => {
      await expect(unknown.signal('s', 1, { transaction })).rejects.toThrow(Errors.GetStateError);
      await expect(ended.signal('s', 1, { transaction })).rejects.toThrow(Errors.InactiveJobError);
      await unknown.cancel({ transaction });
      await placeOrder(transaction, id);
    }, 'commit');
    expect(await runs(id)).toBe(1);
  });
});

describe.concurrent('a transaction that cannot be joined is refused, and stays as it was', () => {
  const reasonOf = (call: Promise<unknown>) =>
    call.then(
      () => 'done',
      (error: Error & { reason?: string }) => `${error.name} ${error.reason ?? ''}`.trim(),
    );

  it.each(['repeatable read', 'serializable'])('%s', async (level) => {
    const client = await pool.connect();
    await client.query(`begin isolation level ${level}`);
    expect(await reasonOf(engine.start('echo', [], { transaction: client }))).toBe('IsolationLevelError');
    expect((await client.query('select 1 as alive')).rows).toEqual([{ alive: 1 }]);
    await client.query('rollback');
    client.release();
  });

  it('read only', async () => {
    const client = await pool.connect();
    await client.query('begin read only');
    expect(await reasonOf(engine.client.workflow.signal('s', 1, undefined, { transaction: client }))).toBe(
      'TransactionError readOnly',
    );
    expect((await client.query('select 1 as alive')).rows).toEqual([{ alive: 1 }]);
    await client.query('rollback');
    client.release();
  });

  it('none at all: a client without begin, and queries that go to several connections', async () => {
    const id = uuid();
    const client = await pool.connect();
    const scattered: CallerTransaction = { query: (text, values) => pool.query(text, values) };
    for (const transaction of [client, scattered]) {
      expect(await reasonOf(engine.start('echo', [], { workflowId: id, transaction }))).toBe(
        'TransactionError outside',
      );
      expect(await reasonOf(engine.client.workflow.signal(id, 1, undefined, { transaction }))).toBe(
        'TransactionError outside',
      );
      const handle = await engine.client.workflow.getHandle('test', 'echo', id);
      expect(await reasonOf(handle.cancel({ transaction }))).toBe('TransactionError outside');
    }
    client.release();
    expect(await runs(id)).toBe(0);
    expect(await engine.sql('select from signal where signal_id = $1', [id])).toEqual([]);
  });

  it('of another database, with or without such a schema', async () => {
    for (const make of [createDatabase, createMigratedDatabase]) {
      const database: TestDatabase = await make();
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      await client.query('begin');
      expect(await reasonOf(engine.start('echo', [], { transaction: client }))).toBe('TransactionError elsewhere');
      expect((await client.query('select 1 as alive')).rows).toEqual([{ alive: 1 }]);
      await client.end();
      await database.drop();
    }
  });

  it('a row that is held for long is waited for and then told, and the transaction goes on', async () => {
    const [id, mine] = [uuid(), uuid()];
    const holder = await pool.connect();
    await holder.query('begin');
    await engine.start('echo', [], { workflowId: id, transaction: holder });
    await inTransaction(async (client) => {
      expect(await reasonOf(engine.start('echo', [], { workflowId: id, transaction: client }))).toBe(
        'TransactionError held',
      );
      await placeOrder(client, mine);
    }, 'commit');
    await holder.query('rollback');
    holder.release();
    expect([await runs(id), await runs(mine)]).toEqual([0, 1]);
  });
});

it.concurrent('an open transaction stalls nobody who needs other rows', async () => {
  const id = uuid();
  const handle = await engine.start('order', [id], { workflowId: id });
  await engine.awaitsSignal(handle, `paid ${id}`);
  const client = await pool.connect();
  await client.query('begin');
  await engine.start('echo', ['held'], { workflowId: `${id} held`, transaction: client });
  await handle.signal(`paid ${id}`, 'late', { transaction: client });
  const others = Array.from({ length: 30 }, async (_, n) => {
    const one = await engine.start('order', [`${id} ${n}`]);
    await engine.client.workflow.signal(`paid ${id} ${n}`, n);
    return await engine.result(one);
  });
  expect(await Promise.all(others)).toEqual(Array.from({ length: 30 }, (_, n) => n));
  expect(await handle.status()).toBe(1);
  await client.query('commit');
  client.release();
  expect(await engine.result(handle)).toBe('late');
});

it.concurrent('each namespace has its own: one transaction may start in both', async () => {
  const client = new Client({ connection: engine.connection, namespace: 'other-one' });
  const id = uuid();
  await inTransaction(async (transaction) => {
    await engine.start('echo', [], { workflowId: id, transaction });
    await client.workflow.start({ taskQueue: 'test', workflowName: 'echo', workflowId: id, args: [], transaction });
  }, 'commit');
  expect(await runs(id)).toBe(1);
  expect((await pool.query('select from other_one.execution where workflow_id = $1', [id])).rowCount).toBe(1);
  expect((await pool.query('select * from other_one.violations()')).rows).toEqual([]);
  await client.close();
});

describe.concurrent('through other libraries', () => {
  it('one function is enough; every parameter stands once and in order, as text or null', async () => {
    const seen: [string, (string | null)[]][] = [];
    const handle = await inTransaction(async (client) => {
      // As Drizzle's sql`...` and the like put it together: pieces of text around values.
      const transaction: CallerTransaction = {
        async query(text, values) {
          seen.push([text, values]);
          const pieces = text.split(/\$\d+/);
          const { rows } = await client.query(
            pieces.map((piece, n) => piece + (n < values.length ? `$${n + 1}` : '')).join(''),
            values,
          );
          return { rows };
        },
      };
      const made = await engine.start('order', ['x'], { workflowId: uuid(), transaction });
      await made.signal('paid x', 'y', { transaction });
      await made.cancel({ transaction });
      return made;
    }, 'commit');
    expect(seen.length).toBeGreaterThan(5);
    for (const [text, values] of seen) {
      expect(text.match(/\$\d+/g)).toEqual(values.map((_, n) => `$${n + 1}`));
      expect(values.every((value) => value === null || typeof value === 'string')).toBe(true);
    }
    expect(await engine.result(handle), 'the signal was there before the cancelling').toBe('y');
  });

  it('errors of the connection are those of its driver', async () => {
    const client = await pool.connect();
    await client.query('begin');
    await client.query('select 1 / 0').catch(() => {});
    await expect(engine.start('echo', [], { transaction: client })).rejects.toMatchObject({ code: '25P02' });
    await client.query('rollback');
    client.release();
  });
});

describe.concurrent('from SQL alone', () => {
  it('a trigger starts a workflow for each order that is committed, and signals and cancels it', async () => {
    await pool.query(`
      create function order_placed() returns trigger language plpgsql as $$
      begin
        if tg_op = 'INSERT' then
          perform durable.start_workflow(workflow_name => 'order', task_queue => 'test', workflow_id => new.id,
            args => jsonb_build_array(new.id), search => jsonb_build_object('amount', new.amount));
        elsif new.amount = 0 then
          perform durable.cancel_workflow(new.id);
        else
          perform durable.signal_workflow('paid ' || new.id, to_jsonb(new.amount), workflow_id => new.id);
        end if;
        return new;
      end $$;
      create table placed (like orders including all);
      create trigger start_order after insert or update on placed for each row execute function order_placed();`);
    const [paid, dropped, never] = [uuid(), uuid(), uuid()];
    await inTransaction((client) => client.query('insert into placed values ($1, 1)', [never]), 'rollback');
    await pool.query('insert into placed values ($1, 1), ($2, 2)', [paid, dropped]);
    const [first, second] = await Promise.all([paid, dropped].map((id) => handleOf(id)));
    await engine.awaitsSignal(first as WorkflowHandle, `paid ${paid}`);
    expect(await first?.queryState(['amount'])).toEqual({ amount: '1' });
    await pool.query('update placed set amount = case id when $1 then 3 else 0 end', [paid]);
    expect(await engine.result(first as WorkflowHandle)).toBe(3);
    expect(await engine.failure(second as WorkflowHandle)).toMatchObject({ name: 'CancelledFailure' });
    expect(await runs(never)).toBe(0);
  });

  it('a workflow that nobody knows is refused until it is declared, and so nobody waits for the transaction', async () => {
    const unknown = `select durable.start_workflow('ordr', 'test')`;
    await expect(pool.query(unknown)).rejects.toMatchObject({
      code: 'PD003',
      message: expect.stringContaining('known there are echo, order'),
    });
    await pool.query(`select durable.declare_workflow('ordr', 'test')`);
    await pool.query(unknown);
  });
});

describe.concurrent('on PGlite', () => {
  it('the transaction that db.transaction() hands out is joined; outside of it nothing changed', async () => {
    const db = new PGlite();
    await db.exec('create table orders (id text primary key)');
    const client = new Client({ connection: { class: db } });
    const start = (id: string, transaction?: CallerTransaction) =>
      client.workflow.start({
        taskQueue: 'test',
        workflowName: 'order',
        workflowId: id,
        args: [id],
        ...(transaction && { transaction }),
      });
    const early = db.transaction((transaction) => start('early', transaction));
    await expect(early, 'it has not connected, and cannot now').rejects.toThrow(Errors.InsideTransactionError);
    const worker = await Worker.create({
      connection: { class: db },
      taskQueue: 'test',
      workflow: { other: echo },
      options: { logLevel: 'silent', shutdownGrace: 100 },
    });
    await client.getHotMeshClient();
    const handle = await db.transaction(async (transaction) => {
      await transaction.query(`insert into orders values ('kept')`);
      const made = await start('kept', transaction);
      await expect(start('kept', transaction)).rejects.toThrow(Errors.DuplicateJobError);
      await made.signal('paid kept', 'cash', { transaction });
      await expect(made.status(), 'what is not part of it would wait for it').rejects.toThrow(
        Errors.InsideTransactionError,
      );
      return made;
    });
    await db
      .transaction(async (transaction) => {
        await start('gone', transaction);
        throw new RangeError('mine');
      })
      .catch((error: Error) => expect(error.name).toBe('RangeError'));
    const later = await Worker.create({
      connection: { class: db },
      taskQueue: 'test',
      workflow: { order },
      options: { logLevel: 'silent', shutdownGrace: 100 },
    });
    expect(await handle.result()).toBe('cash');
    expect((await db.query('select workflow_id from durable.execution')).rows).toEqual([{ workflow_id: 'kept' }]);
    await expect(start('x', db as unknown as CallerTransaction)).rejects.toThrow('got a PGlite');
    await Promise.all([worker.stop(), later.stop()]);
    await client.close();
    expect((await db.query('select * from durable.violations()')).rows).toEqual([]);
    await db.close();
  });
});

function handleOf(id: string): Promise<WorkflowHandle> {
  return engine.client.workflow.getHandle('test', 'order', id);
}

/** Somebody is at the same row as somebody else. */
async function untilSomebodyWaits(): Promise<void> {
  await until('a lock is waited for', async () => {
    const rows = await engine.sql(
      `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
    );
    return rows.length > 0;
  });
}
