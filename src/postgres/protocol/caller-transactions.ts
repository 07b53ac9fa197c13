/** Calls of clients within a transaction of the user's own: one item each, answered without an error that would abort it. */

import type { Joined } from '../caller-transaction.js';
import type { Lane, QueryOptions } from '../database.js';
import { quoteIdentifier } from '../quoting.js';
import { call, text } from './call.js';
import type { SignalAnswer, SignalItem, StartAnswer, StartItem } from './executions.js';

/** What keeps a call out of a transaction: there is none; a row was held by others for 5 s. */
export type KeptOut = 'outside' | 'held';

/** `undeclared`: the service is not known yet, and is not made here. */
export async function startInTransaction(
  { mark, ask }: Joined,
  schema: string,
  item: StartItem,
): Promise<StartAnswer | KeptOut | 'undeclared'> {
  const [row] = await ask(
    `select s.status, s.run_no::text as run_no
     from ${quoteIdentifier(schema)}.start_in_transaction($1::text, $2::text::json) s`,
    [mark, JSON.stringify(item)],
  );
  if (row?.run_no == null) return row?.status as KeptOut | 'undeclared';
  return { status: row.status as StartAnswer['status'], runNo: Number(row.run_no) };
}

export async function signalInTransaction(
  { mark, ask }: Joined,
  schema: string,
  item: SignalItem,
): Promise<SignalAnswer | KeptOut> {
  const [row] = await ask(
    `select ${quoteIdentifier(schema)}.signal_in_transaction($1::text, $2::text::json) as status`,
    [mark, JSON.stringify(item)],
  );
  return row?.status as SignalAnswer | KeptOut;
}

/** `inactive`: unknown or ended. */
export async function cancelInTransaction(
  { mark, ask }: Joined,
  schema: string,
  workflowId: string,
  chainNo: number | null,
): Promise<'asked' | 'inactive' | KeptOut> {
  const [row] = await ask(
    `select ${quoteIdentifier(schema)}.cancel_in_transaction($1::text, $2::text, $3::bigint) as status`,
    [mark, workflowId, chainNo === null ? null : String(chainNo)],
  );
  return row?.status as 'asked' | 'inactive' | KeptOut;
}

/** Makes a workflow's service known, in the user's transaction: for an embedded database, where nobody else could wait. */
export async function declareInTransaction(
  { ask }: Joined,
  schema: string,
  { taskQueue, workflowName }: StartItem,
): Promise<void> {
  await ask(`select 1 as done from ${quoteIdentifier(schema)}.declare_workflow($1::text, $2::text)`, [
    workflowName,
    taskQueue,
  ]);
}

/** Makes a workflow's service known, on a connection of our own. */
export async function declareWorkflow(
  lane: Lane,
  schema: string,
  { taskQueue, workflowName }: Pick<StartItem, 'taskQueue' | 'workflowName'>,
  options?: QueryOptions,
): Promise<void> {
  await lane.query(call(schema, 'declare_workflow', [text(workflowName), text(taskQueue)]), options);
}
