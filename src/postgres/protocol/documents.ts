/** Calls that look at what workflows share with the outside: search fields and entity documents. */

import type { EntityQuery } from '../../core/document-engine.js';
import type { Lane, QueryOptions } from '../database.js';
import { bigint, call, int, text, texts } from './call.js';
import type { Description } from './executions.js';

export interface FoundEntity {
  readonly workflow_id: string;
  readonly state: Description['state'];
  readonly context: string;
}

export function findEntities(
  lane: Lane,
  schema: string,
  { entity, workflowId, conditions, limit, offset }: EntityQuery,
  options?: QueryOptions,
): Promise<FoundEntity[]> {
  return lane.query<FoundEntity>(
    call(schema, 'find_entities', [
      text(entity),
      text(workflowId),
      texts(conditions.map(({ field }) => field)),
      texts(conditions.map(({ op }) => op)),
      texts(conditions.map(({ value }) => JSON.stringify(value))),
      intOrNull(limit),
      int(offset),
    ]),
    options,
  );
}

const intOrNull = (value: number | null) => ({ cast: 'int', value });

export async function createEntityIndex(
  lane: Lane,
  schema: string,
  field: string,
  options?: QueryOptions,
): Promise<void> {
  await lane.query(call(schema, 'create_entity_index', [text(field)]), options);
}

/** The search fields of a workflow's newest run, or of the newest of the chain; null when there is no such workflow. */
export async function fetchSearchFields(
  lane: Lane,
  schema: string,
  workflowId: string,
  chainNo: number | null,
  options?: QueryOptions,
): Promise<Record<string, string> | null> {
  const rows = await lane.query<{ user_data: string | null }>(
    call(schema, 'user_data', [text(workflowId), bigint(chainNo)]),
    options,
  );
  const fields = rows[0]?.user_data ?? null;
  return fields === null ? null : (JSON.parse(fields) as Record<string, string>);
}
