/**
 * A connection of its own to an embedded database, whose calls can be lost, cut and doubled.
 *
 * Owns: which call of the protocol a query is. Does not own: what becomes of it (crash-bench.ts).
 */

import type { Pglite } from '../postgres/pglite-driver.js';
import type { FaultyCall } from './crash-plan.js';

type Answer = Awaited<ReturnType<Pglite['query']>>;

/**
 * Asked for each call that faults can meet.
 *
 * @param send Sends it, once more with each call: with the same numbers, as a connection does that got no answer.
 * @returns what the engine gets as the answer.
 */
export type Meet = (call: FaultyCall, send: () => Promise<Answer>) => Promise<Answer>;

/** By the function of the protocol. */
const CALLS: Readonly<Record<string, FaultyCall>> = {
  start: 'start',
  signal: 'signal',
  claim: 'claim',
  commit: 'commit',
  park: 'park',
  queue_tasks: 'activity queueing',
  claim_tasks: 'activity claim',
  finish_tasks: 'activity result',
  load_own_history: 'history reading',
};

const CALLED = /^select \* from (?:"[^"]+"|\w+)\.(\w+)\(/;

/** @param others What becomes of all other queries. Default: they are sent. */
export function faultyConnection(
  db: Pglite,
  meet: Meet,
  others: (send: () => Promise<Answer>) => Promise<Answer> = (send) => send(),
): { readonly class: Pglite & { execProtocolRaw(): Promise<never> } } {
  const query: Pglite['query'] = (text, values, options) => {
    const send = () => db.query(text, values, options);
    const name = CALLED.exec(text)?.[1] ?? '';
    const call = Object.hasOwn(CALLS, name) ? CALLS[name] : undefined;
    return call === undefined ? others(send) : meet(call, send);
  };
  // An object of its own, hence connections of its own to the same database.
  return {
    class: {
      parsers: db.parsers,
      waitReady: db.waitReady,
      query,
      transaction: db.transaction.bind(db),
      listen: db.listen.bind(db),
      execProtocolRaw: () => never,
      close: async () => {},
    },
  };
}

/** A call whose process died: nobody hears of it. */
export const never = new Promise<never>(() => {});

/** Of a claim or a reading: whether it found anything. */
export function foundNothing({ rows }: Answer): boolean {
  return rows.every((row) => {
    const { thread_no, seq } = row as { thread_no?: number | null; seq?: number };
    return (thread_no ?? seq ?? null) === null;
  });
}
