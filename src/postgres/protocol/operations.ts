/** Calls of those who run a fleet: pause, resume. */

import type { Lane, QueryOptions } from '../database.js';
import { bigints, boolean, call, texts } from './call.js';
import { answersByItem } from './executions.js';

export interface PauseItem {
  readonly requestNo: number;
  readonly workflowId: string;
  readonly reason: string | null;
}

/** `again`: it was paused before. */
export type PauseAnswer = 'paused' | 'again' | 'unknown' | 'inactive' | 'pending';

export async function pauseWorkflows(
  lane: Lane,
  schema: string,
  items: readonly PauseItem[],
  options?: QueryOptions,
): Promise<{ answers: PauseAnswer[]; hints: string | null }> {
  const rows = await lane.query<{ item: number; status: string }>(
    call(schema, 'pause', [
      boolean(false),
      bigints(items.map((item) => item.requestNo)),
      texts(items.map((item) => item.workflowId)),
      texts(items.map((item) => item.reason)),
    ]),
    options,
  );
  return answersByItem(rows, items.length, (row) => row.status as PauseAnswer);
}

export type ResumeItem = Omit<PauseItem, 'reason'>;

/** `again`: nothing of it was paused or blocked. */
export type ResumeAnswer = 'resumed' | 'again' | 'unknown' | 'inactive';

export async function resumeWorkflows(
  lane: Lane,
  schema: string,
  items: readonly ResumeItem[],
  options?: QueryOptions,
): Promise<{ answers: ResumeAnswer[]; hints: string | null }> {
  const rows = await lane.query<{ item: number; status: string }>(
    call(schema, 'resume', [
      boolean(false),
      bigints(items.map((item) => item.requestNo)),
      texts(items.map((item) => item.workflowId)),
    ]),
    options,
  );
  return answersByItem(rows, items.length, (row) => row.status as ResumeAnswer);
}

/** Of workflows: the open ones that they started. */
export async function fetchOpenChildren(
  lane: Lane,
  schema: string,
  workflowIds: readonly string[],
  options?: QueryOptions,
): Promise<string[]> {
  const rows = await lane.query<{ open_children: string }>(
    call(schema, 'open_children', [texts(workflowIds)]),
    options,
  );
  return JSON.parse(rows[0]?.open_children ?? '[]') as string[];
}
