/**
 * Every SQL function with generated arguments, by each kind of role that may call it: an answer, or an error with a SQLSTATE that says
 * what is wrong. Never an internal error, a crash or a call that does not end. What a role may not reach it does not change, and is not
 * told; and what it may is in order afterwards. The functions are those of the catalogue. `PERDURE_FUZZ_CASES` and `PERDURE_FUZZ_SEED`
 * set how many calls and which: see scripts/fuzz.mjs.
 */

import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { provisionWorkerRole } from '../../src/index.js';
import { type Attacker, createAttacker } from '../support/attacker.js';
import { createMigratedDatabase, type TestDatabase } from '../support/database.js';
import { hostileLiteral } from '../support/hostile-sql.js';
import {
  claim,
  complete,
  park,
  QUEUE,
  register,
  running,
  start,
  step,
  type Thread,
  task,
  wait,
  waiting,
} from '../support/protocol.js';
import { openSession, SCHEMA, type Session } from '../support/protocol-session.js';
import { loggedErrors } from '../support/server-log.js';

const CASES = Number(process.env.PERDURE_FUZZ_CASES ?? 2_000);
const SEED = Number(process.env.PERDURE_FUZZ_SEED ?? 20_251_121);

/** The id and the words of the bystander, which anybody may know. */
const MARK = 'bystander-4711';
/** What it was given: nobody is told who may not read it. */
const SECRET = 'sesame-4711';

/** Internal errors, crashes, what did not end, and statements of ours that were not well put together. */
const UNTOLD = /^(lost|XX|57|08|58|42601|42703|42883|42P0[12]|0A000)/;

/** What is there already. */
const WORDS = ['a', 'b', 'go a', 'queue', 'flow', MARK];

interface Kind {
  readonly name: string;
  /** Of all calls. */
  readonly share: number;
  /** Of its functions. */
  readonly atLeast: number;
  /** It may not even learn what the bystander was given. */
  readonly strange: boolean;
}

const KINDS: readonly Kind[] = [
  { name: 'scoped worker', share: 0.4, atLeast: 20, strange: true },
  { name: 'observer', share: 0.1, atLeast: 4, strange: true },
  { name: 'client', share: 0.2, atLeast: 25, strange: false },
  { name: 'every function', share: 0.3, atLeast: 120, strange: false },
];

interface Routine {
  readonly name: string;
  readonly types: readonly string[];
  /** Words in its text, which it may compare arguments with. */
  readonly words: readonly string[];
}

let database: TestDatabase;
let admin: pg.Client;
let own: Session;
let routines: Routine[];
/** Numbers that stand for something of the bystander. */
let numbers: number[] = [];
const attackers: Attacker[] = [];
const workerRoles: string[] = [];

beforeAll(async () => {
  database = await createMigratedDatabase();
  admin = new pg.Client(database.url);
  await admin.connect();
  own = await openSession(database.url);
  const worker = await register(own, 'mine');
  for (const id of ['a', 'b', 'c']) await waiting(own, worker, id, `go ${id}`);
  await complete(own, await running(own, worker, 'd'));
  await admin.query(`do $$ declare v record; begin
    for v in select oid::regclass as name from pg_class where relkind = 'S' and relnamespace = '${SCHEMA}'::regnamespace loop
      perform setval(v.name, 1000000);
    end loop; end $$`);
  const other = await register(own, 'other', { services: [{ kind: 'workflow', taskQueue: 'other', name: 'other' }] });
  const theirs = { taskQueue: 'other', workflowName: 'other', args: `["${SECRET}"]` };
  const thread = await running(own, other, MARK, theirs);
  const effects = [wait(0, `go ${MARK}`), { ...task(1, 'act', 'other'), value: `["${SECRET}"]` }];
  await step(own, thread, { opens: 2, effects, body: `{"s":"${SECRET}"}` });
  await park(own, thread, [0, 1]);
  numbers = [thread.run_no, thread.service_no, other.no, ...other.services];
  const { rows } = await admin.query<{ name: string; types: string[]; source: string }>(
    `select p.proname as name, p.prosrc as source,
       array(select replace(format_type(t, null), 'anyarray', 'integer[]') from unnest(p.proargtypes) with ordinality u (t, n) order by n) as types
     from pg_proc p where p.pronamespace = '${SCHEMA}'::regnamespace order by 1`,
  );
  routines = rows.map(({ name, types, source }) => ({
    name,
    types,
    words: [...new Set([...source.matchAll(/'([a-zA-Z_ ]{1,30})'/g)].map(([, word]) => word as string))],
  }));
});

afterAll(async () => {
  await own.close();
  for (const attacker of attackers) await attacker.drop();
  for (const role of workerRoles) await admin.query(`drop owned by ${role}; drop role ${role}`);
  await admin.end();
  await database.drop();
});

/** A call of one of the functions, as SQL. */
function callOf(some: readonly Routine[], known: readonly number[]): fc.Arbitrary<string> {
  return fc
    .record({ routine: fc.constantFrom(...some), length: fc.integer({ min: 0, max: 3 }) })
    .chain(({ routine, length }) => {
      const lengths = fc.oneof({ weight: 6, arbitrary: fc.constant(length) }, fc.integer({ min: 0, max: 3 }));
      return fc
        .tuple(
          ...routine.types.map((type) => hostileLiteral(type, { words: [...WORDS, ...routine.words], lengths, known })),
        )
        .map((args) => `select * from ${SCHEMA}.${routine.name}(${args.join(', ')})`);
    });
}

// ---- who calls

interface Caller {
  readonly role: string;
  /** In a transaction of its own. @returns the SQLSTATE or `ok`, and what was answered. */
  call(sql: string, end: 'commit' | 'rollback'): Promise<{ code: string; answer: string }>;
  close(): Promise<void>;
}

async function callerAs(role: string, url: string): Promise<Caller> {
  const open = async () => {
    const client = new pg.Client(url);
    client.on('error', () => {});
    await client.connect();
    await client.query(`set statement_timeout to '10s'; set lock_timeout to '2s'; set client_min_messages to error`);
    return client;
  };
  let client = await open();
  return {
    role,
    call: async (sql, end) => {
      try {
        const results = await client.query(`begin isolation level read committed; ${sql}; ${end}`);
        return { code: 'ok', answer: JSON.stringify(results) };
      } catch (error) {
        await client.query('rollback').catch(async () => {
          client = await open();
        });
        const { code, message, detail, hint, where } = error as pg.DatabaseError;
        return { code: code ?? 'lost', answer: [message, detail, hint, where].join(' ') };
      }
    },
    close: () => client.end(),
  };
}

async function callerOf(kind: string): Promise<Caller> {
  if (kind === 'scoped worker') {
    const { roleName, password } = await provisionWorkerRole({
      connection: { class: pg.Client, options: { connectionString: database.url } },
      streamNames: [QUEUE, `${QUEUE}-activity`],
    });
    workerRoles.push(roleName);
    return await callerAs(roleName, Object.assign(new URL(database.url), { username: roleName, password }).href);
  }
  const attacker = await createAttacker(database, admin, kind === 'every function' ? kind : 'nothing');
  attackers.push(attacker);
  if (kind !== 'every function') await admin.query(`select ${SCHEMA}.grant_access($1, $2)`, [attacker.name, kind]);
  return await callerAs(attacker.name, attacker.url);
}

/** What it may execute. */
async function functionsOf({ role }: Caller): Promise<Routine[]> {
  const { rows } = await admin.query<{ name: string }>(
    `select distinct p.proname as name from pg_proc p
     where p.pronamespace = '${SCHEMA}'::regnamespace and has_function_privilege($1, p.oid, 'execute')`,
    [role],
  );
  return routines.filter(({ name }) => rows.some((row) => row.name === name));
}

// ---- what is looked at

async function bystander(): Promise<unknown> {
  const { rows } = await admin.query(
    `select to_jsonb(e) as e, to_jsonb(t) - 'owner' - 'affinity' - 'ready_at' as t, to_jsonb(w) as w,
       (select jsonb_agg(h) from ${SCHEMA}.history h where h.thread_no = t.thread_no) as h,
       (select jsonb_agg(to_jsonb(a) - 'ready_at') from ${SCHEMA}.activity_task a where a.thread_no = t.thread_no) as a
     from ${SCHEMA}.execution e join ${SCHEMA}.thread t using (run_no) left join ${SCHEMA}.wait w on w.thread_no = t.thread_no
     where e.workflow_id = '${MARK}'`,
  );
  return rows;
}

/** Work of others goes on as before. */
async function expectWorkGoesOn(): Promise<void> {
  const services = [{ kind: 'workflow', taskQueue: 'fresh', name: 'fresh' }] as const;
  const worker = await register(own, `fresh ${Math.random()}`, { services });
  await start(own, `fresh ${worker.no}`, { taskQueue: 'fresh', workflowName: 'fresh' });
  const [thread] = await claim(own, worker);
  await complete(own, thread as Thread);
}

class Tally {
  readonly #codes = new Map<string, number>();
  readonly #strange: boolean;

  constructor({ strange }: Kind) {
    this.#strange = strange;
  }

  /** @throws what must not be. */
  note(sql: string, { code, answer }: { code: string; answer: string }): void {
    this.#codes.set(code, (this.#codes.get(code) ?? 0) + 1);
    // What makes roles quotes their names, and there is no way to quote none.
    if (UNTOLD.test(code) && !answer.startsWith('zero-length delimited identifier'))
      throw new Error(`${code} ${answer}: ${sql}`);
    if (this.#strange && answer.includes(SECRET)) throw new Error(`it was told what is not its own: ${answer}: ${sql}`);
  }

  get ok(): number {
    return this.#codes.get('ok') ?? 0;
  }

  tell(what: string): void {
    console.log(`${what}: ${JSON.stringify(Object.fromEntries([...this.#codes].sort((a, b) => b[1] - a[1])))}`);
  }
}

// ---- the promises

it.each(KINDS)(
  '$name: its calls are answered, or refused by name',
  async (kind) => {
    const caller = await callerOf(kind.name);
    const its = await functionsOf(caller);
    expect(its.length).toBeGreaterThanOrEqual(kind.atLeast);
    const before = await bystander();
    expect(before).toHaveLength(1);
    const cases = Math.ceil(CASES * kind.share);
    const tally = new Tally(kind);
    await fc.assert(
      fc.asyncProperty(callOf(its, kind.strange ? numbers : []), fc.boolean(), async (sql, keep) => {
        // What names a workflow by its id may end it: that is what a client is for. And whoever may call what only functions call
        // can break what they keep. Those calls are rolled back.
        const mayStay = kind.strange || (kind.name === 'client' && !sql.includes(MARK));
        const end = keep && mayStay ? 'commit' : 'rollback';
        tally.note(sql, await caller.call(sql, end));
      }),
      { numRuns: cases, seed: SEED, endOnFailure: true, interruptAfterTimeLimit: 350_000 },
    );
    await caller.close();
    tally.tell(`${its.length} functions of ${kind.name}`);
    expect(tally.ok).toBeGreaterThan(cases / 20);
    expect(await bystander()).toEqual(before);
    await expectWorkGoesOn();
    // Nobody fires the timers that generated calls have set, so how late they are says nothing.
    expect(await own.sql(`select name, what from ${SCHEMA}.violations(1e10)`)).toEqual([]);
    // 42601: see above.
    expect([...loggedErrors(database)].filter(([state]) => UNTOLD.test(state) && state !== '42601')).toEqual([]);
  },
  400_000,
);
