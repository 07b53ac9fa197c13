/**
 * Whose the first entries of a run are that was reset, forked or retried. What was drawn from a seed in copied entries, and the
 * idempotency keys of activities that they schedule, stay those of the run that recorded them: code that is replayed must
 * meet the same, and an activity that was under way runs again under the key it had.
 */

/** Entries and operations before these numbers, as far as the ancestor before does not speak of them. */
export interface Ancestor {
  readonly entries: number;
  readonly ops: number;
  readonly seed: string;
  readonly thread: number;
}

export type Lineage = readonly Ancestor[];

/** @param text As `execution.lineage` holds it; null for a run of its own. */
export function readLineage(text: string | null): Lineage | null {
  return text === null ? null : (JSON.parse(text) as Lineage);
}

/** What random values of an entry come from. */
export function seedOf(lineage: Lineage, own: string, entry: number): string {
  return lineage.find(({ entries }) => entry < entries)?.seed ?? own;
}

/** The same in every attempt of a call, and in every run that goes on with it. */
export function idempotencyKey(lineage: Lineage | null, seed: string, threadNo: number, op: number): string {
  const ancestor = lineage?.find(({ ops }) => op < ops);
  return `${ancestor?.seed ?? seed}-${ancestor?.thread ?? threadNo}-${op}`;
}
