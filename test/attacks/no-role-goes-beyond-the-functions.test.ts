/** S1, S2, S4, S10, S13, S14: what a login can do with SQL of its own, whatever functions it may call. */

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Attacker, all, answersTo, createAttacker } from '../support/attacker.js';
import { createMigratedDatabase, type TestDatabase } from '../support/database.js';
import { SCHEMA } from '../support/protocol-session.js';

const DENIED = '42501';

let database: TestDatabase;
let admin: pg.Client;
let attacker: Attacker;
let outsider: Attacker;
let session: pg.Client;
let names: { tables: string[]; views: string[]; sequences: string[]; functions: string[] };

beforeAll(async () => {
  database = await createMigratedDatabase();
  admin = new pg.Client(database.url);
  await admin.connect();
  attacker = await createAttacker(database, admin, 'every function');
  outsider = await createAttacker(database, admin, 'nothing');
  session = await attacker.connect();
  const relations = (kind: string) =>
    column(
      `select relname::text from pg_class where relnamespace = '${SCHEMA}'::regnamespace and relkind = '${kind}' order by 1`,
    );
  names = {
    tables: await relations('r'),
    views: await relations('v'),
    sequences: await relations('S'),
    functions: await column(
      `select p.oid::regprocedure::text from pg_proc p where p.pronamespace = '${SCHEMA}'::regnamespace order by 1`,
    ),
  };
});
afterAll(async () => {
  await attacker.drop();
  await outsider.drop();
  await admin.end();
  await database.drop();
});

async function column(query: string): Promise<string[]> {
  return (await admin.query({ text: query, rowMode: 'array' })).rows.map(([value]) => value as string);
}

describe('a role that may call every function', () => {
  it('S4: reads and writes no table, view or sequence', async () => {
    expect(names.tables.length).toBeGreaterThan(15);
    const statements = [
      ...[...names.tables, ...names.views].map((name) => `select * from ${SCHEMA}.${name}`),
      ...names.tables.flatMap((name) => [
        `insert into ${SCHEMA}.${name} default values`,
        `delete from ${SCHEMA}.${name}`,
        `truncate ${SCHEMA}.${name}`,
        `begin; lock table ${SCHEMA}.${name} in access share mode`,
        `copy ${SCHEMA}.${name} to stdout`,
      ]),
      ...names.sequences.flatMap((name) => [
        `select nextval('${SCHEMA}.${name}')`,
        `select setval('${SCHEMA}.${name}', 1)`,
        `select last_value from ${SCHEMA}.${name}`,
      ]),
      `update ${SCHEMA}.thread set owner = 1`,
      `update ${SCHEMA}.schema_info set version = 99`,
    ];
    expect(await answersTo(session, statements)).toEqual(all(statements, DENIED));
  });

  it('S2: becomes nobody else', async () => {
    const statements = [
      `set role ${SCHEMA}_owner`,
      `set local role ${SCHEMA}_owner`,
      'set role postgres',
      `set session authorization ${SCHEMA}_owner`,
      'set session authorization postgres',
      `select set_config('role', '${SCHEMA}_owner', false)`,
      `grant ${SCHEMA}_owner to current_user`,
      `alter role ${SCHEMA}_owner login password 'x'`,
      'alter role current_user superuser',
      `reassign owned by ${SCHEMA}_owner to current_user`,
    ];
    expect(await answersTo(session, statements)).toEqual(all(statements, DENIED));
  });

  it('S13: makes and changes nothing in our schema, nor in public', async () => {
    const [first] = names.functions;
    const statements = [
      `create table ${SCHEMA}.mine (x int)`,
      `create view ${SCHEMA}.mine as select 1`,
      `create function ${SCHEMA}.mine() returns int language sql as 'select 1'`,
      `create or replace function ${SCHEMA}.clock() returns timestamptz language sql as 'select now()'`,
      `create operator ${SCHEMA}.=== (leftarg = int, rightarg = int, function = int4eq)`,
      `create type ${SCHEMA}.mine as (x int)`,
      'create table public.mine (x int)',
      `alter function ${first} security invoker`,
      `alter function ${first} owner to current_user`,
      `alter function ${first} reset search_path`,
      `drop function ${first}`,
      `grant execute on function ${first} to public`,
      `alter table ${SCHEMA}.thread owner to current_user`,
      `alter table ${SCHEMA}.thread disable trigger all`,
      `create trigger mine before insert on ${SCHEMA}.thread execute function suppress_redundant_updates_trigger()`,
      `create rule mine as on insert to ${SCHEMA}.thread do instead nothing`,
      `create policy mine on ${SCHEMA}.thread using (true)`,
      `create index on ${SCHEMA}.thread (epoch)`,
      `alter schema ${SCHEMA} rename to other`,
      `drop schema ${SCHEMA} cascade`,
    ];
    const answers = await answersTo(session, statements);
    // Granting what is not one's own is a warning without effect, not an error.
    const grant = `grant execute on function ${first} to public`;
    expect(answers).toEqual({ ...all(statements, DENIED), [grant]: answers[grant] });
    expect(
      await column(`select 'open' where has_function_privilege('public', '${first}'::regprocedure, 'execute')`),
    ).toEqual([]);
  });

  it('S1: no setting of its own means anything to us', async () => {
    // Two are marks that say which transaction this is; they are compared with what the call brings along, and give no right.
    const read = await column(
      `select distinct m[1] from pg_proc p, regexp_matches(p.prosrc, 'current_setting\\(\\s*([^)]*)\\)', 'g') m
       where p.pronamespace = '${SCHEMA}'::regnamespace order by 1`,
    );
    expect(read).toEqual([
      "'perdure.activity', true",
      "'perdure.transaction', true",
      "'synchronous_commit'",
      "'transaction_isolation'",
    ]);
  });
});

describe('a role without rights', () => {
  it('S14: calls no function, whatever PUBLIC is given by default', async () => {
    const stranger = await outsider.connect();
    const open = async () =>
      await column(
        `select p.oid::regprocedure::text from pg_proc p where p.pronamespace = '${SCHEMA}'::regnamespace
         and (has_function_privilege('${outsider.name}', p.oid, 'execute') or has_function_privilege('public', p.oid, 'execute'))`,
      );
    expect(await open()).toEqual([]);
    expect(await answersTo(stranger, [`select ${SCHEMA}.schema_version()`, `select * from ${SCHEMA}.workers`])).toEqual(
      all([`select ${SCHEMA}.schema_version()`, `select * from ${SCHEMA}.workers`], DENIED),
    );
    // What the owner makes later is as closed, also when a function is dropped and made again.
    await admin.query(
      `set role ${SCHEMA}_owner; create function ${SCHEMA}.later() returns int language sql as 'select 1'; reset role`,
    );
    expect(await open()).toEqual([]);
  });
});
