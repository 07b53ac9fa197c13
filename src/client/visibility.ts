/** The calls of `client.workflow` that look at many executions. */
import type { ExecutionFilter } from '../core/execution-filter.js';
import { refusal } from '../core/refusal.js';
import { storedField } from '../core/search-fields.js';
import { countExecutions, ExecutionList, type ListOptions, type Reach } from './execution-list.js';

export function visibilityCalls(reach: Reach) {
  return {
    /**
     * Executions that a filter selects, newest start first. Awaited it is one page and a cursor for the next; `for await` goes
     * through all of them. Pages are stable: what is started meanwhile is on no later page, and nothing is on two.
     *
     * @throws {InvalidArgumentError} for conditions and options it does not know, at once.
     * @throws {ConnectionError} when the database did not answer for 30 s.
     *
     * @example
     * const { executions, cursor } = await client.workflow.list({ status: 'failed', workflowName: 'order' }, { limit: 20 });
     * for await (const execution of client.workflow.list({ search: { customer: 'c-1' } })) console.log(execution.workflowId);
     */
    list: (filter: ExecutionFilter = {}, options: ListOptions = {}): ExecutionList =>
      new ExecutionList(reach, filter, options),

    /**
     * How many executions a filter selects. Reads all of them: a count of everything takes as long as there is much.
     *
     * @throws {InvalidArgumentError} for conditions it does not know.
     */
    count: (filter: ExecutionFilter = {}, options: { readonly namespace?: string } = {}): Promise<number> =>
      countExecutions(reach, filter, options),

    /**
     * Asks the database in SQL: `query[0]` is one statement, what follows are its parameters `$1`, `$2`, ... The rows come as the
     * driver gives them. It runs in a READ ONLY transaction, with the rights of the connection; the views of docs/visibility.md
     * are made for it.
     *
     * @param _taskQueue, _workflowName, _index Kept for programs written for HotMesh, without effect.
     * @param namespace Whose connection it runs on; null for the client's. Names in the statement are not changed by it.
     * @throws {InvalidArgumentError} when there is no statement. @throws errors of Postgres as they are.
     * @throws {ConnectionError} when there was no answer within 60 s.
     *
     * @example
     * const rows = await client.workflow.search('', '', null, 'sql',
     *   'select w.workflow_id, o.total from durable.workflows w join orders o on o.workflow_id = w.workflow_id where o.total > $1', 100);
     */
    search: async <R extends object = Record<string, unknown>>(
      _taskQueue: string,
      _workflowName: string,
      namespace: string | null,
      _index: string,
      ...query: readonly unknown[]
    ): Promise<R[]> => {
      const [text, ...values] = query;
      if (typeof text !== 'string' || text.trim() === '')
        throw refusal('search', 'query', { must: 'a statement in SQL, and its parameters behind it' }, text);
      return (await (await reach(namespace ?? undefined)).readOnly(text, values)) as R[];
    },

    /**
     * Makes the index by which `list` and `count` look up executions by the value of a search field. Idempotent. Workflows that
     * write their search fields wait while it is built (seconds for a million): make it before there are many. From then on each
     * change of search fields costs a little more; see docs/visibility.md.
     */
    createSearchIndex: async (field: string, namespace?: string): Promise<void> => {
      const stored = storedField('createSearchIndex', field);
      await (await reach(namespace)).createSearchIndex(stored);
    },
  };
}
