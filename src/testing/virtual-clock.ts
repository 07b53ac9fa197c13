/**
 * The clock of an embedded database and of the process that works on it, moved forward whenever nothing can happen but a timer.
 *
 * Owns: whether everything rests, when the next thing is due, moving both clocks. Does not own: who wants time to pass
 * (test-environment.ts).
 *
 * Leases are of the real time: a jump takes them along. The database's clock is moved first, so nothing is ever early.
 */

import type { Host } from '../worker/host.js';
import type { EmbeddedDatabase } from './embedded-database.js';

interface Rest {
  readonly owned: number;
  readonly busy: boolean;
  readonly dueInMs: number | null;
}

/** What wakes by time alone, and what a live worker would take right now. */
function restText(schema: string): string {
  const served = `any (array(select unnest(w.services) from ${schema}.worker w where w.died_at is null))`;
  return `
    with now as (select ${schema}.clock() as at)
    select
      (select count(*)::int from ${schema}.thread t where t.owner is not null) as owned,
      exists (select from ${schema}.thread t, now where t.ready_at <= now.at and t.service_no = ${served})
        or exists (select from ${schema}.activity_task k, now
          where k.owner is not null or k.ready_at <= now.at and k.service_no = ${served})
        or exists (select from ${schema}.inbox i join ${schema}.thread t on t.thread_no = i.thread_no where t.owner is not null)
        as busy,
      (select extract(epoch from min(due.at) - now.at)::float8 * 1000 from now, lateral (
        select min(t.ready_at) from ${schema}.thread t where t.ready_at > now.at
        union all select min(m.due_at) from ${schema}.timer m join ${schema}.thread t on t.thread_no = m.thread_no
          where t.owner is not null
        union all select min(k.ready_at) from ${schema}.activity_task k where k.ready_at > now.at
        union all select min(k.expires_at) from ${schema}.activity_task k
        union all select min(e.due_at) from ${schema}.execution e where e.due_at is not null
      ) due (at) group by now.at) as "dueInMs"`;
}

export class VirtualClock {
  readonly #db: EmbeddedDatabase;
  readonly #schema: string;
  readonly #restText: string;
  #aheadMs = 0;

  /** @param schema Of the namespace. */
  constructor(db: EmbeddedDatabase, schema: string) {
    this.#db = db;
    this.#schema = schema;
    this.#restText = restText(schema);
  }

  /** Ms since the epoch. */
  now(): number {
    return Date.now() + this.#aheadMs;
  }

  /** When the next thing is due, in ms from now; null while something is under way, Infinity when nothing is due. */
  async rest(host: Host): Promise<number | null> {
    const threads = host.atRest;
    if (threads === null) return null;
    const { owned, busy, dueInMs } = (await this.#db.query(this.#restText, [], {})).rows[0] as Rest;
    if (busy || owned !== threads || host.atRest !== threads) return null;
    return dueInMs === null ? Infinity : Math.max(0, dueInMs);
  }

  async jump(host: Host | null, ms: number): Promise<void> {
    const whole = Math.ceil(ms);
    this.#aheadMs += whole;
    await this.#db.exec(`
      begin;
      create or replace function ${this.#schema}.clock() returns timestamptz language sql volatile as
        $$ select pg_catalog.clock_timestamp() + ${this.#aheadMs} * interval '1 millisecond' $$;
      update ${this.#schema}.worker set lease_until = lease_until + ${whole} * interval '1 millisecond' where died_at is null;
      commit`);
    host?.skip(whole);
  }
}
