import pg from 'pg';
import { expect, it } from 'vitest';
import type { Client } from '../src/index.js';
import { type Node, type ProgramResult, randomFrom, randomProgram } from './fixtures/programs.mjs';
import { createDatabase } from './support/database.js';
import { type Library, libraryAt, nextLibrary, previousRelease, thisLibrary } from './support/library-versions.js';
import type { Fixture } from './support/process.js';
import { until } from './support/worker.js';
import { Fleet, within } from './support/worker-fleet.js';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
const previous = previousRelease();

const upgrades: [string, () => readonly [Library, Library]][] = [
  ['this version to the next', () => [thisLibrary, nextLibrary()]],
  ...(previous === null
    ? []
    : ([[`${previous} to this version`, () => [libraryAt(previous), thisLibrary]]] as typeof upgrades)),
];

it.each(upgrades)('a rolling deploy from %s, under load, loses no step', async (_, versions) => {
  const [before, after] = versions();
  const database = await createDatabase();
  const sql = new pg.Pool({ connectionString: database.url, max: 2, options: '-c search_path=durable,public' });
  const fleet = new Fleet({ url: database.url, tuning: { leaseDuration: '3s', logLevel: 'error' } });
  const workers: Fixture[] = [];
  const add = async ({ module }: Library) => {
    const worker = await fleet.add(database.url, module);
    workers.push(worker);
    return worker;
  };
  // Clients are not upgraded first: this one is old, and stays so.
  const library = (await import(/* @vite-ignore */ before.module)) as { Client: typeof Client };
  const client = new library.Client({ connection: { class: pg.Client, options: { connectionString: database.url } } });
  try {
    const [first, second] = [await add(before), await add(before)];
    const versionOf = async () => (await sql.query('select version from schema_version()')).rows[0].version as number;
    const versionBefore = await versionOf();

    const random = randomFrom(seed);
    const programs: Node[] = [];
    const running: Promise<ProgramResult>[] = [];
    let ended = 0;
    const start = (count: number) => {
      for (let left = count; left > 0; left--) {
        const node = randomProgram(random, 3, 2);
        const run = fleet.run(client, node);
        run.then(
          () => ended++,
          () => {},
        );
        programs.push(node);
        running.push(run);
      }
    };
    start(20);
    await until('some have ended, some run', () => ended > 3);

    await add(after); // it migrates while they work
    start(10);
    const changed = versionBefore !== (await versionOf());
    if (after !== thisLibrary) expect(changed).toBe(true);
    // One dies, one is stopped in order, and one more of the old version comes: a deploy that is rolled back in part.
    await fleet.kill(first);
    const third = await add(before);
    start(10);
    const [{ now }] = (await sql.query('select clock_timestamp() as now')).rows;
    await until('the old ones have worked on the new schema', async () => {
      const { rows } = await sql.query(
        `select count(distinct w.worker_no)::int as workers from worker w
         join history h on h.worker_no = w.worker_no and h.at > $1 where w.died_at is null`,
        [now],
      );
      if (running.length - ended < 10) start(1); // there is always something to do
      return rows[0].workers >= 3;
    });
    second.kill('SIGTERM');
    third.kill('SIGTERM');
    await Promise.all([second.exited, third.exited]);
    await add(after);
    start(5);

    const results = await within(60_000, Promise.all(running), () =>
      sql.query(`select * from thread where state <> 'done'`).then(({ rows }) => rows),
    );
    fleet.expectOutcomes(programs, results, seed);
    // Calls that are gone or answer otherwise would show here: undefined or ambiguous functions, columns, changed results.
    for (const { output } of workers) expect(output).not.toMatch(/errorCode="?(42883|42725|42703|42804|42P\d\d|0A000)/);
    expect((await sql.query('select * from violations()')).rows).toEqual([]);
    expect(await versionOf()).toBeGreaterThanOrEqual(versionBefore);
  } finally {
    await fleet.killAll();
    await client.close();
    await sql.end();
    await database.drop();
  }
});
