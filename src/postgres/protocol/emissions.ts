/** Calls `emissions`: events that workflows emitted. See sql/functions/emissions.sql. */

import type { Lane, QueryOptions } from '../database.js';
import { bigints, call, texts } from './call.js';

export interface EmissionQuery {
  /** The position behind which to look. */
  readonly after: number;
  readonly workflowId: string | null;
  readonly topic: string | null;
  /** As LIKE takes it. */
  readonly pattern: string | null;
}

export interface EmissionRow {
  readonly emission_no: number;
  readonly topic: string;
  readonly payload: string | null;
  readonly workflow_id: string;
  readonly run: number;
  readonly emitted_ms: number;
}

export interface EmissionPage {
  readonly rows: EmissionRow[];
  /** Up to where this query has been looked through. */
  readonly upTo: number;
}

/** @returns a page for each query, and the last position that was given. */
export async function fetchEmissions(
  lane: Lane,
  schema: string,
  queries: readonly EmissionQuery[],
  options?: QueryOptions,
): Promise<{ pages: EmissionPage[]; last: number }> {
  const rows = await lane.query<Omit<EmissionRow, 'topic'> & { item: number; topic: string | null }>(
    call(
      schema,
      'emissions',
      [
        bigints(queries.map((query) => query.after)),
        texts(queries.map((query) => query.workflowId)),
        texts(queries.map((query) => query.topic)),
        texts(queries.map((query) => query.pattern)),
      ],
      { prepare: true },
    ),
    options,
  );
  const pages = queries.map(({ after }) => ({ rows: [] as EmissionRow[], upTo: after }));
  let last = 0;
  for (const { item, topic, ...row } of rows) {
    const page = pages[item - 1];
    if (page === undefined) last = row.emission_no;
    else if (topic === null) page.upTo = row.emission_no;
    else page.rows.push({ ...row, topic });
  }
  return { pages, last };
}
