/**
 * Stops one session inside a protocol function, so that another can be run against it.
 *
 * The functions say where it is worth stopping: `-- pause: name`. Only here these comments become calls, named
 * `<function>.<name>`; production never sees them. Every call has one more point: `end`, when it is done and not yet
 * committed.
 *
 * Owns: the schema with pauses, holding and releasing a session. Does not own: which calls are run against each other
 * (protocol-races.ts).
 *
 * 1. A pause waits for an advisory lock that the control session holds, so it is seen from outside as a lock wait.
 * 2. It takes no part in what is tested: no lock but that one, and no lock_timeout while it lasts.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { openDatabase } from '../../src/postgres/connection.js';
import { functions, migrations } from '../../src/postgres/embedded-sql.js';
import { migrate } from '../../src/postgres/migrate.js';
import type { FunctionFile, Migration } from '../../src/postgres/migration-script.js';
import { createDatabase } from './database.js';
import { empty } from './protocol.js';
import { codeOf, openSession, SCHEMA, type Session } from './protocol-session.js';

/** What to change in the text of the schema before it is applied: plants a bug. */
export type Rewrite = (file: FunctionFile | Migration) => string;

const LOCK_CLASS = 7043;
const POLL_MS = 2;

const PAUSE_HERE = `
create or replace function pause_here(p_name text) returns void language plpgsql as $$
declare
  v_lock_timeout text := current_setting('lock_timeout');
begin
  perform set_config('perdure_test.passed', coalesce(current_setting('perdure_test.passed', true), '') || ',' || p_name, false);
  if current_setting('perdure_test.pause_at', true) = p_name then
    perform set_config('perdure_test.pause_at', '', false);
    perform set_config('lock_timeout', '0', true);
    perform pg_advisory_lock(${LOCK_CLASS}, pg_backend_pid());
    perform pg_advisory_unlock(${LOCK_CLASS}, pg_backend_pid());
    perform set_config('lock_timeout', v_lock_timeout, true);
  end if;
end $$`;

/** Every `<function>.<point>` there is. */
export const pausePoints: readonly string[] = functions.flatMap(({ name, sql }) =>
  [...sql.matchAll(/-- pause: (\w+)/g)].map(([, point]) => `${name}.${point}`),
);

function withPauses({ name, sql }: FunctionFile): FunctionFile {
  return { name, sql: sql.replaceAll(/-- pause: (\w+)/g, `perform pause_here('${name}.$1');`) };
}

/** What a call came to: its answer, or the SQLSTATE it failed with. */
export type Outcome = { readonly answer: unknown } | { readonly error: string };

/** A session that was stopped, or has ended without coming to the point, or waits for somebody before it. */
export interface Parked {
  readonly reached: boolean;
  /** What it will come to; settles after its release. */
  readonly outcome: Promise<Outcome>;
  /** Lets it go on. @returns what it came to. */
  release(): Promise<Outcome>;
}

export class PausableDatabase {
  readonly url: string;
  /** Arranges, looks, holds. */
  readonly control: Session;
  readonly #sessions = new Map<Session, number>();
  readonly #drop: () => Promise<void>;

  private constructor(url: string, control: Session, drop: () => Promise<void>) {
    this.url = url;
    this.control = control;
    this.#drop = drop;
  }

  static async open(rewrite: Rewrite = ({ sql }) => sql): Promise<PausableDatabase> {
    const { url, drop } = await createDatabase();
    const database = openDatabase({ class: pg.Client, options: { connectionString: url } });
    try {
      await migrate(
        database,
        SCHEMA,
        {},
        {
          oldestClient: 1,
          migrations: migrations.map((file) => ({ ...file, sql: rewrite(file) })),
          functions: [
            ...functions.map((file) => withPauses({ ...file, sql: rewrite(file) })),
            { name: 'pause_here', sql: PAUSE_HERE },
          ],
        },
      );
    } finally {
      await database.release();
    }
    return new PausableDatabase(url, await openSession(url), drop);
  }

  /** A further session. Its calls wait patiently for locks, so that what they wait for is seen. */
  async session(): Promise<Session> {
    const session = await openSession(this.url);
    session.patient = true;
    const [row] = await session.sql<{ pid: number }>('select pg_backend_pid() as pid');
    this.#sessions.set(session, row?.pid ?? 0);
    return session;
  }

  /** Empty again, and nobody holds anything: a test that failed may have left sessions in the middle of something. */
  async reset(): Promise<void> {
    await this.control.sql('rollback');
    await this.control.sql('select pg_advisory_unlock_all()');
    await Promise.all([...this.#sessions.keys()].map((session) => session.sql('rollback')));
    await empty(this.control);
    for (const session of this.#sessions.keys()) session.patient = true;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.keys(), this.control].map((session) => session.close()));
    await this.#drop();
  }

  /** Runs a call until it comes to the point, or ends. `end`: done, and not yet committed. */
  async park(session: Session, point: string, call: () => Promise<unknown>): Promise<Parked> {
    return point === 'end' ? await this.#parkAtEnd(session, call) : await this.#parkInside(session, point, call);
  }

  /** The points that a call comes to when it is not disturbed. */
  async pointsOf(session: Session, call: () => Promise<unknown>): Promise<{ points: string[]; outcome: Outcome }> {
    await session.sql(`select set_config('perdure_test.passed', '', false)`);
    const outcome = await outcomeOf(call());
    const [row] = await session.sql<{ passed: string }>(`select current_setting('perdure_test.passed') as passed`);
    const points = [...new Set(row?.passed.split(',').filter((name) => name !== ''))];
    return { points: [...points, 'end'], outcome };
  }

  /** When the session's call has ended, or waits for a lock. @returns whether it waits. */
  async untilStopped(session: Session, call: Promise<unknown>): Promise<boolean> {
    let ended = false;
    const end = () => {
      ended = true;
    };
    call.then(end, end);
    while (!ended) {
      if (await this.isWaiting(session)) return true;
      await sleep(POLL_MS);
    }
    return false;
  }

  async isWaiting(session: Session): Promise<boolean> {
    const [row] = await this.control.sql<{ waits: boolean }>(
      'select cardinality(pg_blocking_pids($1::int)) > 0 as waits',
      this.#pid(session),
    );
    return row?.waits ?? false;
  }

  async #parkInside(session: Session, point: string, call: () => Promise<unknown>): Promise<Parked> {
    const gate = `${LOCK_CLASS}, ${this.#pid(session)}`;
    await this.control.sql(`select pg_advisory_lock(${gate})`);
    await session.sql(`select set_config('perdure_test.pause_at', $1, false)`, point);
    const outcome = outcomeOf(call());
    const reached = await this.untilStopped(session, outcome);
    return {
      reached,
      outcome,
      release: async () => {
        await this.control.sql(`select pg_advisory_unlock(${gate})`);
        const settled = await outcome;
        await session.sql(`select set_config('perdure_test.pause_at', '', false)`);
        return settled;
      },
    };
  }

  async #parkAtEnd(session: Session, call: () => Promise<unknown>): Promise<Parked> {
    await session.sql('begin');
    const outcome = await outcomeOf(call());
    const failed = 'error' in outcome;
    if (failed) await session.sql('rollback');
    return {
      reached: !failed,
      outcome: Promise.resolve(outcome),
      release: async () => {
        if (!failed) await session.sql('commit');
        return outcome;
      },
    };
  }

  #pid(session: Session): number {
    const pid = this.#sessions.get(session);
    if (pid === undefined) throw new Error('not a session of this database');
    return pid;
  }
}

/** Refusals by the database are outcomes; anything else is a fault of the test and is thrown. */
export async function outcomeOf(call: Promise<unknown>): Promise<Outcome> {
  try {
    return { answer: await call };
  } catch (error) {
    return { error: codeOf(error) };
  }
}

const REPEATED = new Set(['40001', '55P03']);
const MOST_REPEATS = 200;

/** Starts over when the database asks for it, as the engine does. A deadlock is not among the reasons: there shall be none. */
export async function untilAnswered<T>(call: () => Promise<T>): Promise<T> {
  for (let repeats = 0; ; repeats++) {
    try {
      return await call();
    } catch (error) {
      if (repeats === MOST_REPEATS || !isRepeated(error)) throw error;
    }
  }
}

/** The last as a lane does: see reaction.ts. */
function isRepeated(error: unknown): boolean {
  return REPEATED.has(codeOf(error)) || (error as { constraint?: unknown }).constraint === 'history_pkey';
}
