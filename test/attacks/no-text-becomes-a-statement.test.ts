/**
 * S22, S23, S24, S36, S37, S41: text of users that would do harm as SQL, as a pattern or as a name, at every public input that takes
 * text. It is bound or refused; what it names is found by exactly that text.
 */

import { createHash } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, Durable, Entity, Errors, migrationScript, Search, Worker } from '../../src/index.js';
import { openDatabase } from '../../src/postgres/connection.js';
import { migrate } from '../../src/postgres/migrate.js';
import { thrownBy } from '../support/attacker.js';
import { engineForAll } from '../support/worker.js';

const hostile = [
  `x"; drop schema durable cascade; --`,
  `x'; drop table canary; --`,
  `'); drop table canary; --`,
  `$$; drop table canary; $$`,
  `$perdure$; drop table canary; $perdure$`,
  `' or '1'='1`,
  `\\'; drop table canary; --`,
  `%`,
  `_`,
  `a/b$1`,
  `{0}`,
  `%s %I %L %1$s`,
  `../../etc/passwd`,
  `<img src=x onerror=alert(1)>`,
  `\u202egnp.exe`,
  `__proto__x`,
  `constructor`,
  `1; select pg_sleep(60)`,
] as const;

async function keeps(search: string, document: string) {
  const fields = await Durable.workflow.search();
  await fields.set({ [search]: search });
  const entity = await Durable.workflow.entity();
  await entity.set({ [document]: document });
  await Durable.workflow.emit({ [search]: search });
  return [await fields.get(search), await Durable.workflow.condition(search)];
}

const engine = engineForAll({
  workflow: { keeps, ...Object.fromEntries(hostile.map((name) => [name, async () => name])) },
});

beforeAll(async () => {
  await engine().sql('create table public.canary (sings boolean)');
  await engine().sql('insert into public.canary values (true)');
});

/** Nothing was dropped, made or granted; the engine is still there. */
async function expectUntouched(): Promise<void> {
  expect(await engine().sql('select sings from public.canary')).toEqual([{ sings: true }]);
  expect(await engine().sql(`select nspname from pg_namespace where nspname !~ '^pg_' order by 1`)).toEqual(
    ['durable', 'information_schema', 'public'].map((nspname) => ({ nspname })),
  );
}

describe('S36, S37: text at public inputs', () => {
  it.concurrent.each(hostile)('%j is an id, a name, a field, a signal, a topic, and nothing else', async (text) => {
    const { client } = engine();
    const handle = await engine().start('keeps', [text, text], {
      workflowId: text,
      entity: text,
      search: { data: { given: text } },
    });
    const heard = new Promise((resolve) => {
      void client.workflow.subscribe({ workflowId: text, topic: text, from: 0 }, ({ data }) => resolve(data));
    });
    await client.workflow.signal(text, text);
    expect(await engine().result(handle)).toEqual([text, text]);
    expect(await heard).toBe(text);

    // found by exactly this, and not by what it means as a pattern
    const ids = async (filter: object) =>
      (await client.workflow.list(filter)).executions.map(({ workflowId }) => workflowId);
    expect(await ids({ workflowId: text })).toEqual([text]);
    expect(await ids({ search: { [text]: text } })).toEqual([text]);
    expect(await ids({ search: { [text]: { $in: [text] } } })).toEqual([text]);
    expect(await ids({ search: { given: text } })).toEqual([text]);
    expect(await ids({ entity: text })).toEqual([text]);
    expect(await ids({ entity: { where: { [text]: text } } })).toEqual([text]);
    expect(await ids({ workflowId: { prefix: text } })).toEqual([text]);
    expect(await client.workflow.count({ workflowName: text })).toBe(0);
    const hotMesh = await client.getHotMeshClient(null);
    expect((await Entity.find(text, { [text]: text }, hotMesh)).map(({ context }) => context)).toEqual([
      { [text]: text },
    ]);
    expect(await Entity.findById(text, text, hotMesh)).toMatchObject({ context: { [text]: text } });
    for (const op of ['=', '>=', 'LIKE', 'IN'] as const) {
      const found = Entity.findByCondition(text, text, op === 'IN' ? [text] : text, op, hotMesh);
      // a pattern may be one that Postgres could not read: that is said, by name
      const rows = await found.catch((error: Error) => expect(error.name).toBe('InvalidArgumentError'));
      if (op !== 'LIKE') expect(rows).toHaveLength(1);
    }
    expect(await Search.findAllUserData(text, hotMesh)).toMatchObject({ [text]: text });
    expect((await handle.queryState([text]))[text]).toBe(text);
    expect((await client.workflow.getHandle(text, text, text)).workflowId).toBe(text);
    expect((await handle.exportExecution()).workflow_id ?? text).toBe(text);
    expect((await handle.explain()).workflowId).toBe(text);
  });

  it('is a queue and a function, too', async () => {
    const run = hostile.map(async (text) => {
      expect(await engine().run(text)).toBe(text);
    });
    await Promise.all(run);
    const [first = ''] = hostile;
    const worker = await Worker.create({
      connection: engine().connection,
      taskQueue: first,
      workflow: { [first]: async () => 'ran' },
      options: { logLevel: 'silent', shutdownGrace: 0 },
    });
    const handle = await engine().client.workflow.start({ taskQueue: first, workflowName: first, args: [] });
    expect(await engine().result(handle)).toBe('ran');
    await worker.stop();
  });

  it('is a field of an index: literals of a statement are quoted', async () => {
    const hotMesh = await engine().client.getHotMeshClient(null);
    for (const text of hostile) {
      await engine().client.workflow.createSearchIndex(text);
      await Entity.createIndex('thing', text, hotMesh, 'gin');
    }
    const made = await engine().sql<{ indexname: string }>(
      `select indexname from pg_indexes where indexname ~ '^document_(search|entity)_'`,
    );
    const digest = (text: string) => createHash('md5').update(text).digest('hex');
    expect(made.map(({ indexname }) => indexname).sort()).toEqual(
      hostile.flatMap((text) => [`document_search_${digest(text)}`, `document_entity_${digest(text)}`]).sort(),
    );
  });

  it('is an operator, an order, a unit, a cursor: refused, as it comes from a list', async () => {
    const { client } = engine();
    const hotMesh = await client.getHotMeshClient(null);
    for (const text of hostile) {
      const wrong = [
        () => client.workflow.list({ search: { a: { [text]: 1 } as never } }),
        () => client.workflow.list({ status: text as never }),
        () => client.workflow.list({ started: { from: text } }),
        () => client.workflow.list({ [text]: 1 } as never),
        () => client.workflow.list({}, { cursor: text }),
        () => client.workflow.list({}, { limit: text as never }),
        () => Entity.find('e', { a: { [text]: 1 } as never }, hotMesh),
        () => Entity.find('e', {}, hotMesh, { limit: text as never }),
        () => Entity.findByCondition('e', 'a', 1, text as never, hotMesh),
        () => Entity.createIndex('e', 'a', hotMesh, text),
        () => client.prune({ olderThan: text }),
        () =>
          client.workflow.start({ taskQueue: 'q', workflowName: 'w', args: [], workflowIdReusePolicy: text as never }),
        () => client.workflow.start({ taskQueue: 'q', workflowName: 'w', args: [], expire: text as never }),
        () => client.workflow.signal('s', 1, undefined, text),
      ];
      for (const [n, call] of wrong.entries()) {
        const error = await thrownBy(call);
        expect(error, `${n} ${text}`).toBeInstanceOf(Errors.InvalidArgumentError);
      }
    }
  });

  it('S41: a cursor is a position, and shows the namespace that is asked, nothing else', async () => {
    const one = new Client({ connection: engine().connection });
    const { cursor } = await one.workflow.list({}, { limit: 1 });
    const page = await one.workflow.list({}, { cursor, namespace: 'other' });
    expect(page.executions).toEqual([]);
    await one.close();
    await engine().sql('drop schema other cascade');
  });
});

describe('S23: ids that look alike', () => {
  const [plain, composed] = ['order-7', 'caf\u00e9'];
  const others = ['order-7 ', ' order-7', 'Order-7', 'order-7\u200b', '\u202eorder-7', 'order-7\u00a0', '\u043erder-7'];

  it('are as many workflows, each found by its own bytes', async () => {
    const ids = [plain, ...others, composed];
    const handles = await Promise.all(ids.map((id) => engine().start('%', [], { workflowId: id })));
    await Promise.all(handles.map((handle) => engine().result(handle)));
    for (const id of ids) {
      const { executions } = await engine().client.workflow.list({ workflowId: id });
      expect(executions.map(({ workflowId }) => workflowId)).toEqual([id]);
    }
  });

  it('to Unicode too are one: the other spelling is refused everywhere, with what to do', async () => {
    const decomposed = composed.normalize('NFD');
    const { client } = engine();
    const usual = { taskQueue: 'q', workflowName: 'w', args: [] };
    for (const call of [
      () => client.workflow.start({ ...usual, workflowId: decomposed }),
      () => client.workflow.start({ ...usual, taskQueue: decomposed }),
      () => client.workflow.start({ ...usual, search: { data: { [decomposed]: '1' } } }),
      () => client.workflow.signal(decomposed, 1),
      () => Durable.provisionWorkerRole({ connection: engine().connection, streamNames: [decomposed] }),
    ]) {
      const error = (await thrownBy(call)) as Error;
      expect(error).toBeInstanceOf(Errors.InvalidArgumentError);
      expect(error.message).toContain("normalize('NFC')");
    }
    for (const statement of [
      `select durable.start_workflow('w', 'q', workflow_id => $1)`,
      `select durable.signal_workflow($1, '1')`,
    ])
      await expect(engine().sql(statement, [decomposed])).rejects.toMatchObject({ code: 'PD003' });
  });
});

describe('S22, S23, S24: namespaces', () => {
  it.each([
    ...hostile.filter((text) => text !== 'constructor'), // a good name
    'x\n',
    'ä',
    'x'.repeat(51),
    'x'.repeat(64),
    '',
    'pg_temp',
    'pg-temp',
    'information-schema',
    'a',
  ])('%j makes no schema, and no script', async (namespace) => {
    const database = openDatabase(engine().connection);
    await expect(migrate(database, namespace)).rejects.toThrow(Errors.InvalidArgumentError);
    await database.release();
    expect(() => migrationScript(namespace)).toThrow(/config\.appId/);
    expect(() => new Client({ connection: engine().connection, namespace } as never)).toThrow(/config\.appId/);
  });

  it('of 50 characters are the longest, and nothing of theirs is cut off: two that differ at the end differ', async () => {
    const names = ['1', '2'].map((end) => `${'n'.repeat(49)}${end}`);
    const database = openDatabase(engine().connection);
    for (const name of names) await migrate(database, name);
    await expect(migrate(database, names[0]!.toUpperCase())).rejects.toThrow('belongs to namespace');
    await database.release();
    const found = await engine().sql<{ nspname: string }>(
      `select n.nspname, r.rolname from pg_namespace n join pg_roles r on r.oid = n.nspowner where nspname ^@ 'nnn' order by 1`,
    );
    expect(found).toEqual(names.map((name) => ({ nspname: name, rolname: `${name}_owner` })));
    for (const name of names)
      await engine().sql(`drop schema ${name} cascade; drop owned by ${name}_owner; drop role ${name}_owner`);
  });
});

afterAll(expectUntouched);

describe('names of connections', () => {
  it('S22: an application name with a quote in it is a name', async () => {
    const connection = {
      class: pg.Client,
      options: { connectionString: engine().database.url, application_name: `it's "me"; --` },
    };
    const client = new Client({ connection });
    expect((await client.workflow.list({}, { limit: 1 })).executions).toHaveLength(1);
    await client.close();
  });
});
