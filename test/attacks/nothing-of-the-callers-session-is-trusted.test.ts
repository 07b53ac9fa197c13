/**
 * S11, S12, S44: the session that calls is hostile, or merely strange. Its path begins with a schema full of functions and
 * operators named and typed like those we use, and it has temporary tables named like all of ours. Each trap notes who walked into
 * it: with the owner's rights it would be ours to lose.
 */

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, Durable, Entity, Worker } from '../../src/index.js';
import { type Attacker, createAttacker } from '../support/attacker.js';
import { createMigratedDatabase, type TestDatabase } from '../support/database.js';
import { SCHEMA } from '../support/protocol-session.js';

/** Functions and operators over these are copied into the trap, as far as anybody can make some in any language. */
const TYPES = `'{int4,int8,float8,numeric,bool,text,name,jsonb,json,timestamptz,interval}'`;

/** Made by the attacker, in a schema of its own. */
const TRAPS = `
create table evil.caught (who name, what text);
grant usage on schema evil to public;
grant insert, select on evil.caught to public;
create function evil.sprung(what text) returns void language plpgsql as $$ begin insert into evil.caught values (current_user, what); end $$;
do $do$
declare
  v record;
begin
  for v in
    select distinct p.proname, pg_get_function_identity_arguments(p.oid) as args, pg_get_function_result(p.oid) as result
    from pg_proc p
    where p.prokind = 'f' and p.proretset = false and (p.pronamespace = '${SCHEMA}'::regnamespace or p.pronamespace = 'pg_catalog'::regnamespace)
    and p.prorettype::regtype::text not like 'any%' and p.prorettype not in ('internal'::regtype, 'cstring'::regtype, 'trigger'::regtype)
    and not exists (select from unnest(p.proargtypes) t where t in ('internal'::regtype, 'cstring'::regtype))
    and (p.pronamespace = '${SCHEMA}'::regnamespace or p.proname = any ('{now,clock_timestamp,format,current_setting,set_config,pg_notify,md5,length,octet_length,
      nextval,cardinality,array_length,jsonb_typeof,json_typeof,to_json,to_jsonb,left,right,substr,random,abs,greatest,age,date_part,
      extract,timezone,starts_with,replace,translate,hashtext,jsonb_set,jsonb_build_object,json_build_object,array_append,pg_sleep}'))
  loop
    begin
      execute format('create function evil.%I(%s) returns %s language plpgsql as %L', v.proname, v.args, v.result,
        format('begin perform evil.sprung(%L); return null; end', v.proname));
    exception when others then null; -- some cannot be written so
    end;
  end loop;
  for v in
    select o.oprname, o.oprleft::regtype as l, o.oprright::regtype as r, o.oprresult::regtype as result, o.oid
    from pg_operator o
    where o.oprnamespace = 'pg_catalog'::regnamespace
    and o.oprleft = any (${TYPES}::regtype[]) and o.oprright = any (${TYPES}::regtype[])
  loop
    execute format('create function evil.op_%s(%s, %s) returns %s language plpgsql as %L', v.oid, v.l, v.r, v.result,
      format('begin perform evil.sprung(%L); return null; end', v.oprname));
    execute format('create operator evil.%s (leftarg = %s, rightarg = %s, function = evil.op_%s)', v.oprname, v.l, v.r, v.oid);
  end loop;
end $do$;`;

/** For each session: temporary tables and views named like ours, and the path that finds them first. */
const SESSION = `
do $do$
declare
  v_name name;
begin
  for v_name in select relname from pg_catalog.pg_class where relnamespace = '${SCHEMA}'::regnamespace and relkind in ('r', 'v') loop
    execute pg_catalog.format('create temp table %I (trap int)', v_name);
  end loop;
end $do$;
create temp sequence run_number;
set search_path to evil, pg_temp, pg_catalog, public;
set time zone 'Pacific/Chatham';
set datestyle to 'German, DMY';
set intervalstyle to 'sql_standard';
set default_transaction_isolation to 'serializable';
set statement_timeout to '20s';
set lock_timeout to '1ms';
set standard_conforming_strings to off;
set synchronous_commit to off;
set check_function_bodies to off`;

class HostileSession extends pg.Client {
  // biome-ignore lint/suspicious/noExplicitAny: both shapes of the driver's method
  override async connect(): Promise<any> {
    await super.connect();
    await this.query(SESSION);
  }
}

let database: TestDatabase;
let admin: pg.Client;
let attacker: Attacker;

beforeAll(async () => {
  database = await createMigratedDatabase();
  admin = new pg.Client(database.url);
  await admin.connect();
  attacker = await createAttacker(database, admin, 'every function');
  await admin.query(`create schema evil authorization ${attacker.name}`);
  const session = await attacker.connect();
  await session.query(TRAPS);
});
afterAll(async () => {
  await attacker.drop();
  await admin.end();
  await database.drop();
});

const { double } = Durable.workflow.proxyActivities<{ double(n: number): Promise<number> }>();

async function child(n: number) {
  return await double(n);
}

async function everything(id: string) {
  const search = await Durable.workflow.search();
  await search.set({ owner: 'ann', count: 1 });
  const count = await search.incr('count', 2);
  const entity = await Durable.workflow.entity();
  await entity.set({ tags: ['a'], deep: { n: 1 } });
  await entity.append('tags', 'b');
  const doubled = await Durable.workflow.executeChild<number>({
    taskQueue: 'hostile',
    workflowName: 'child',
    args: [21],
  });
  await Durable.workflow.emit({ told: doubled });
  const [said] = await Promise.all([Durable.workflow.condition(`go-${id}`), Durable.workflow.sleep(5)]);
  return { count, doubled, said, tags: await entity.get('tags') };
}

async function catches(): Promise<{ who: string; what: string }[]> {
  return (
    await admin.query(`select who, what, count(*)::int from evil.caught where who <> $1 group by 1, 2`, [attacker.name])
  ).rows;
}

describe('a hostile session', () => {
  it('has its traps set: a function of ours without a path of its own would walk into them', async () => {
    await admin.query(
      `create function public.careless() returns text language sql security definer as $$ select 'a' || md5('b') $$`,
    );
    const session = await attacker.connect();
    await session.query(SESSION);
    await session.query('select public.careless()');
    expect(new Set((await catches()).map(({ what }) => what))).toEqual(new Set(['||', 'md5']));
    await admin.query('drop function public.careless(); delete from evil.caught');
    const count = async (catalog: string) =>
      (
        await admin.query(
          `select count(*)::int as n from ${catalog} where ${catalog.slice(3, 4) === 'o' ? 'oprnamespace' : 'pronamespace'} = 'evil'::regnamespace`,
        )
      ).rows[0].n;
    expect(await count('pg_operator')).toBeGreaterThan(150);
    expect(await count('pg_proc')).toBeGreaterThan(300);
  });

  it('S12: runs workers and clients as any other, and no trap closes on us', async () => {
    const connection = {
      class: HostileSession as unknown as typeof pg.Client,
      options: { connectionString: attacker.url },
    };
    const options = { logLevel: 'silent', parkAfter: 0, maxCachedWorkflows: 0, shutdownGrace: 200 } as const;
    const workflow = { everything, child };
    const activities = { double: async (n: number) => n * 2 };
    const worker = await Worker.create({ connection, taskQueue: 'hostile', workflow, activities, options });
    const client = new Client({ connection });
    try {
      const handle = await client.workflow.start({
        taskQueue: 'hostile',
        workflowName: 'everything',
        workflowId: 'w-1',
        entity: 'thing',
        search: { data: { first: 'yes' } },
        args: ['w-1'],
      });
      await client.workflow.signal('go-w-1', { ok: [1, null] });
      expect(await handle.result()).toEqual({ count: 3, doubled: 42, said: { ok: [1, null] }, tags: ['a', 'b'] });

      const found = await client.workflow.list({ search: { owner: 'ann' }, entity: { where: { deep: { $ne: 1 } } } });
      expect(found.executions.map(({ workflowId }) => workflowId)).toEqual(['w-1']);
      const engine = await client.getHotMeshClient(null);
      expect((await Entity.find('thing', {}, engine)).map(({ key }) => key)).toEqual(['hmsh:durable:j:w-1']);
      await client.workflow.createSearchIndex('owner');
      await expect(
        client.workflow.start({ taskQueue: 'hostile', workflowName: 'child', workflowId: 'w-1', args: [1] }),
      ).rejects.toThrow('Duplicate job: w-1');
      const other = await client.workflow.start({ taskQueue: 'hostile', workflowName: 'everything', args: ['w-2'] });
      expect((await other.explain()).workflowId).toBe(other.workflowId);
      await other.terminate();
      expect((await handle.exportExecution()).workflow_id ?? 'w-1').toBe('w-1');
    } finally {
      await worker.stop();
      await client.close();
    }
    expect(await catches()).toEqual([]);
    expect((await admin.query(`select * from ${SCHEMA}.violations()`)).rows).toEqual([]);
  });

  it('S11, S12: calls each function, with nothing and with defaults, and no trap closes on us', async () => {
    const session = await attacker.connect();
    await session.query(`${SESSION}; set lock_timeout to 0`);
    const { rows } = await admin.query<{ name: string; types: string[] }>(
      `select p.proname as name, array(select format_type(t, null) from unnest(p.proargtypes) with ordinality u (t, n) order by n) as types
       from pg_proc p where p.pronamespace = '${SCHEMA}'::regnamespace order by p.oid`,
    );
    expect(rows.length).toBeGreaterThan(80);
    const broken: string[] = [];
    for (const { name, types } of rows) {
      for (const sample of [() => 'null', sampleOf]) {
        const call = `select * from ${SCHEMA}.${name}(${types.map((type) => `${sample(type)}::pg_catalog.${catalogName(type)}`).join(', ')})`;
        await session.query('begin isolation level read committed');
        const code = await session.query(call).then(
          () => '',
          (error: { code?: string }) => error.code ?? 'lost',
        );
        await session.query('rollback');
        if (/^(lost|XX|42P0[12]|42883|42703|42601)/.test(code)) broken.push(`${code} ${call}`);
      }
    }
    expect(broken).toEqual([]);
    expect(await catches()).toEqual([]);
  });
});

/** As `pg_catalog` has it: the words of SQL for some types are no names. */
function catalogName(type: string): string {
  const array = type.endsWith('[]') ? '[]' : '';
  const plain = type.replace('[]', '');
  const names: Record<string, string> = {
    integer: 'int4',
    bigint: 'int8',
    boolean: 'bool',
    'double precision': 'float8',
    'timestamp with time zone': 'timestamptz',
    smallint: 'int2',
  };
  return (names[plain] ?? plain) + array;
}

function sampleOf(type: string): string {
  if (type.endsWith('[]')) return `'{}'`;
  if (/int|double|numeric/.test(type)) return `'1'`;
  if (type === 'boolean') return `'true'`;
  if (type.startsWith('json')) return `'{}'`;
  if (type === 'interval') return `'1 s'`;
  if (type.startsWith('timestamp')) return `'2024-01-01'`;
  return `'x'`;
}
