/** Calls of many go out as one. What Postgres refuses in one item must reach that item's caller alone. */

import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { uuid, Worker, workflow } from '../src/index.js';
import { Engine, Journal, kept, until } from './support/worker.js';

const journal = new Journal();
const activities = {
  async step(id: string, value: unknown) {
    journal.note(id);
    return value;
  },
};
const { step } = workflow.proxyActivities<typeof activities>();

async function works(id: string, value: unknown) {
  const got = await step(id, value);
  await workflow.sleep(5);
  return await step(id, got);
}

async function startsChildren(id: string, poison: boolean) {
  const ids = Array.from({ length: 3 }, (_, n) => `${id} ${poison && n === 1 ? 'poison' : n}`);
  return await Promise.all(
    ids.map((workflowId) => workflow.executeChild({ workflowName: 'echo', workflowId, args: [1] })),
  );
}

async function echo(value: unknown) {
  return value;
}

async function waits(id: string) {
  return await workflow.condition(id);
}

let engine: Engine;
beforeEach(async () => {
  engine = await Engine.open({ workflow: { works, startsChildren, echo, waits }, activities, tempo: kept });
});
afterEach(() => engine.close());

/** From now on the table refuses rows that hold the word, as it would a value that Postgres cannot store. */
async function refuse(table: string, column: string): Promise<() => Promise<void>> {
  await engine.sql(`
    create function ${table}_refuses() returns trigger language plpgsql as $$ begin
      if new.${column} like '%poison%' then raise exception 'value out of range' using errcode = '22003'; end if;
      return new;
    end $$;
    create trigger refuses before insert on ${table} for each row execute function ${table}_refuses()`);
  return async () => {
    await engine.sql(`drop trigger refuses on ${table}; drop function ${table}_refuses()`);
  };
}

const many = 100;
const bad = (n: number) => n === 17 || n === 58 || n === 99;

describe('a value that Postgres refuses', () => {
  it('in one start fails that start; the others of the batch happen once', async () => {
    await refuse('execution', 'args');
    const ids = Array.from({ length: many }, () => uuid());
    const outcomes = await Promise.allSettled(
      ids.map((workflowId, n) => engine.start('echo', [bad(n) ? 'poison' : n], { workflowId })),
    );
    for (const [n, outcome] of outcomes.entries()) {
      if (bad(n)) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'value out of range', code: '22003' } });
      } else if (outcome.status === 'fulfilled') {
        expect(await engine.result(outcome.value)).toBe(n);
      } else {
        throw outcome.reason;
      }
    }
    expect(await engine.sql('select from execution')).toHaveLength(many - 3);
  });

  it('in one signal fails that signal; the others keep their order', async () => {
    await refuse('signal', 'payload');
    const id = uuid();
    const outcomes = await Promise.allSettled(
      Array.from({ length: many }, (_, n) => engine.client.workflow.signal(id, bad(n) ? 'poison' : n)),
    );
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(3);
    const stored = await engine.sql<{ payload: string }>('select payload from signal order by signal_no');
    expect(stored.map(({ payload }) => Number(payload))).toEqual(
      Array.from({ length: many }, (_, n) => n).filter((n) => !bad(n)),
    );
  });

  it('in one workflow’s entry blocks that workflow, visibly; the others go on, and it goes on when it can', async () => {
    const allow = await refuse('history', 'body');
    const id = uuid();
    const handles = await Promise.all(
      Array.from({ length: many }, (_, n) => engine.start('works', [id, bad(n) ? 'poison' : n])),
    );
    const results = await Promise.all(handles.map((handle, n) => (bad(n) ? null : engine.result(handle))));
    expect(results).toEqual(Array.from({ length: many }, (_, n) => (bad(n) ? null : n)));
    expect(journal.count(id)).toBe(2 * (many - 3));
    await until('the others are blocked', async () => {
      const rows = await engine.sql<{ blocked_reason: string }>(
        `select blocked_reason from thread where state = 'blocked'`,
      );
      return rows.length === 3 && rows.every(({ blocked_reason }) => blocked_reason.includes('value out of range'));
    });
    await allow();
    // A newly started worker tries once more. With connections of its own it counts as another process.
    const connection = { class: pg.Client, options: { connectionString: engine.database.url, keepAlive: true } };
    const options = { logLevel: 'silent', shutdownGrace: 100, parkAfter: 50 };
    const worker = await Worker.create({ connection, taskQueue: 'test', workflow: { works }, activities, options });
    const rest = await Promise.all(handles.filter((_, n) => bad(n)).map((handle) => engine.result(handle)));
    expect(rest).toEqual(['poison', 'poison', 'poison']);
    expect(journal.count(id)).toBe(2 * many);
    await worker.stop();
  });

  it('in one child blocks its parent; parents of the same batch go on', async () => {
    await refuse('execution', 'workflow_id');
    const ids = Array.from({ length: 30 }, () => uuid());
    const handles = await Promise.all(ids.map((id, n) => engine.start('startsChildren', [id, n === 7])));
    const results = await Promise.all(handles.map((handle, n) => (n === 7 ? null : engine.result(handle))));
    expect(results).toEqual(ids.map((_, n) => (n === 7 ? null : [1, 1, 1])));
    await until('the parent is blocked', async () => {
      const rows = await engine.sql(`select from thread where state = 'blocked'`);
      return rows.length === 1;
    });
    await handles[7]?.terminate();
  });

  it('in one result of a queued activity is that activity’s failure, or blocks its workflow, and no other’s', async () => {
    await refuse('inbox', 'payload');
    const id = uuid();
    const waiters = await Promise.all(Array.from({ length: 20 }, (_, n) => engine.start('waits', [`${id} ${n}`])));
    await Promise.all(waiters.map((waiter, n) => engine.awaitsSignal(waiter, `${id} ${n}`)));
    const sent = await Promise.allSettled(
      waiters.map((waiter, n) => waiter.signal(`${id} ${n}`, n === 5 ? 'poison' : n)),
    );
    expect(sent.map(({ status }) => status)).toEqual(
      Array.from({ length: 20 }, (_, n) => (n === 5 ? 'rejected' : 'fulfilled')),
    );
    await waiters[5]?.signal(`${id} 5`, 'fine');
    const results = await Promise.all(waiters.map((waiter) => engine.result(waiter)));
    expect(results).toEqual(Array.from({ length: 20 }, (_, n) => (n === 5 ? 'fine' : n)));
  });
});

describe('an error of the server’s own', () => {
  it('is nobody’s fault: the commit is made again until it succeeds, and no step is repeated', async () => {
    // More often than one call is repeated: the item that is left alone by then is sent anew.
    await engine.sql(`
      create sequence tries;
      create function fails() returns trigger language plpgsql as $$ begin
        if new.body like '%poison%' and nextval('tries') <= 8 then raise exception 'invalid page' using errcode = 'XX001'; end if;
        return new;
      end $$;
      grant usage on sequence tries to public;
      create trigger fails before insert on history for each row execute function fails()`);
    const id = uuid();
    const handle = await engine.start('works', [id, 'poison']);
    expect(await engine.result(handle)).toBe('poison');
    expect(journal.count(id)).toBe(2);
    const tries = await engine.sql<{ n: number }>('select last_value::int as n from tries');
    expect(tries[0]?.n).toBeGreaterThan(8);
  });
});

describe('large values', () => {
  it('of many workflows at once arrive, and small ones do not wait for them long', async () => {
    const large = 'x'.repeat(4 * 1024 * 1024);
    const slow = Array.from({ length: 6 }, () => engine.run<string>('works', [uuid(), large]));
    const quick = Array.from({ length: 50 }, (_, n) => engine.run('works', [uuid(), n]));
    expect(await Promise.all(quick)).toEqual(Array.from({ length: 50 }, (_, n) => n));
    for (const value of await Promise.all(slow)) expect(value.length).toBe(large.length);
  });

  it('of exactly the limit are stored, one byte more is refused', async () => {
    const limit = 8 * 1024 * 1024;
    const fits = 'x'.repeat(limit - 4); // with quotes and brackets
    expect(((await engine.run('echo', [fits])) as string).length).toBe(fits.length);
    await expect(engine.start('echo', [`${fits}x`])).rejects.toThrow(`the limit is ${limit}`);
  });
});
