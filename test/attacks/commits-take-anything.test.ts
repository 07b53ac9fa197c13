/**
 * Commits of a worker role that are right but for one or two values: what a hostile host sends that knows the protocol. Generated calls
 * of every function (sql-functions-take-anything) hardly ever get past the first checks of a commit.
 */

import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { provisionWorkerRole } from '../../src/index.js';
import type { Parameter, Query } from '../../src/postgres/database.js';
import { commit, type Effect } from '../../src/postgres/protocol/commit.js';
import { createMigratedDatabase, type TestDatabase } from '../support/database.js';
import { hostileLiteral } from '../support/hostile-sql.js';
import {
  child,
  childOn,
  claim,
  emit,
  end,
  entity,
  entry,
  openHook,
  QUEUE,
  register,
  search,
  start,
  task,
  timer,
  type Worker,
  wait,
} from '../support/protocol.js';
import { openSession, queryOf, SCHEMA, type Session } from '../support/protocol-session.js';

const CASES = Math.ceil(Number(process.env.PERDURE_FUZZ_CASES ?? 2_000) / 10);
const SEED = Number(process.env.PERDURE_FUZZ_SEED ?? 20_251_121);
const UNTOLD = /^(lost|XX|57|08|58|42601|42703|42883|42P0[12]|0A000)/;

let database: TestDatabase;
let own: Session;
let scoped: Session;
let worker: Worker;
let role: string;

beforeAll(async () => {
  database = await createMigratedDatabase();
  own = await openSession(database.url);
  const { roleName, password } = await provisionWorkerRole({
    connection: { class: pg.Client, options: { connectionString: database.url } },
    streamNames: [QUEUE, `${QUEUE}-activity`],
  });
  role = roleName;
  scoped = await openSession(Object.assign(new URL(database.url), { username: roleName, password }).href);
  await scoped.sql(`set statement_timeout to '10s'`);
  worker = await register(scoped, 'scoped');
  // of others: an open workflow that the role does not reach
  await start(own, 'theirs', { taskQueue: 'other', workflowName: 'other', args: '["theirs"]' });
});

afterAll(async () => {
  await scoped.close();
  await own.sql(`drop owned by ${role}`);
  await own.sql(`drop role ${role}`);
  await own.close();
  await database.drop();
});

const effectsOf = (id: string): Effect[] => [
  timer(0, 60_000),
  wait(1, `signal of ${id}`),
  task(2),
  child(3, `child of ${id}`),
  childOn(4, `other child of ${id}`, {}),
  ...openHook(5),
  end(6, 'theirs'),
  search(7, 'set', [['a', '1']]),
  entity(8, 'set', [{ a: 1 }]),
  emit('topic'),
];

interface Change {
  readonly parameter: number;
  readonly item: number;
  /** By type. */
  readonly literals: Readonly<Record<string, string>>;
}

const known = {
  words: ['theirs', 'queue', 'other', 'flow', 'completed', 'terminate'],
  known: [1, 2, 3, 4, 5, 6, 7, 8],
  lengths: fc.constant(1),
};
const TYPES = ['int', 'bigint', 'text', 'boolean', 'double precision'] as const;
const POSTGRES_NAME: Readonly<Record<string, string>> = { int: 'integer' };
const change: fc.Arbitrary<Change> = fc.record({
  parameter: fc.nat(100),
  item: fc.nat(100),
  literals: fc.record(
    Object.fromEntries(TYPES.map((type) => [type, hostileLiteral(POSTGRES_NAME[type] ?? type, known)])),
  ) as fc.Arbitrary<Record<string, string>>,
});

/** The call as a statement without parameters, with some values changed. */
function changed({ text, values }: Query, changes: readonly Change[]): string {
  return text.replace(/\$(\d+)::([a-z ]+)(\[\])?/g, (_, number: string, type: string, array = '') => {
    const index = Number(number) - 1;
    const here = changes.filter(({ parameter }) => parameter % values.length === index);
    const value = values[index] as Parameter;
    if (array === '') return `${here[0]?.literals[type] ?? literal(value)}::${type}`;
    const items = (value as { items: readonly Parameter[] }).items.map(literal);
    for (const { item, literals } of here) if (items.length > 0) items[item % items.length] = literals[type] as string;
    return `array[${items.join(', ')}]::${type}[]`;
  });
}

function literal(value: unknown): string {
  return value === null || value === undefined ? 'null' : pg.escapeLiteral(String(value));
}

it(`${CASES} commits that are nearly right are taken or refused by name, and harm at most their own workflows`, async () => {
  const codes = new Map<string, number>();
  let n = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 2 }), async (changes) => {
      n += 1;
      const id = `flow ${n}`;
      await start(own, id);
      const thread = (await claim(scoped, worker)).find(({ workflow_id }) => workflow_id === id);
      if (thread === undefined) throw new Error(`${id} was not claimed`);
      const item = entry(thread, { opens: 9, effects: effectsOf(id) });
      const sql = changed(await queryOf((session) => commit(session, SCHEMA, worker.no, [item])), changes);
      const code = await scoped.sql<{ status: string }>(sql).then(
        ([first]) => first?.status ?? 'done',
        (error: { code?: string }) => error.code ?? 'lost',
      );
      codes.set(code, (codes.get(code) ?? 0) + 1);
      if (UNTOLD.test(code)) throw new Error(`${code}: ${sql}`);
    }),
    { numRuns: CASES, seed: SEED, endOnFailure: true, interruptAfterTimeLimit: 350_000 },
  );
  expect((codes.get('done') ?? 0) + (codes.get('decided') ?? 0)).toBeGreaterThan(CASES / 10);
  // A worker may put its own histories out of order, as it may answer its own workflows wrongly: see docs/threat-model.md.
  const theirThreads = await own.sql<{ thread_no: string }>(
    `select thread_no from ${SCHEMA}.thread join ${SCHEMA}.execution using (run_no) where workflow_id = 'theirs'`,
  );
  const foreign = new Set(theirThreads.map(({ thread_no }) => thread_no));
  const ofItsOwn =
    /^(I3 resolved before it was opened|I17 a task of an operation that is resolved or was never opened): (\d+)\//;
  // Nobody fires the timers here, so how late they are says nothing.
  const found = await own.sql<{ name: string; what: string }>(`select name, what from ${SCHEMA}.violations(1e10)`);
  const harm = found.filter(({ name, what }) => {
    const thread = ofItsOwn.exec(`${name}: ${what}`)?.[2];
    return thread === undefined || foreign.has(thread);
  });
  expect(harm).toEqual([]);
  const [theirs] = await own.sql(`select state, args from ${SCHEMA}.execution where workflow_id = 'theirs'`);
  expect(theirs).toEqual({ state: 'open', args: '["theirs"]' });
}, 400_000);
