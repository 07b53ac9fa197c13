/** `client.workflow.list` and `count`: executions by a filter, page by page. */
import * as v from 'valibot';
import {
  type ExecutionFilter,
  type ExecutionStatus,
  resolveFilter,
  type StoredFilter,
} from '../core/execution-filter.js';
import { parseOptions, wholeNumber } from '../core/options.js';
import { inWords } from '../core/refused-option.js';
import type { ListedExecution, Page } from '../postgres/protocol/visibility.js';
import type { Link } from './link.js';

/** An execution as `list` shows it: one run of a workflow id. */
export interface ExecutionSummary {
  readonly workflowId: string;
  readonly workflowName: string;
  readonly taskQueue: string;
  readonly status: ExecutionStatus;
  /** Whether one of its threads is blocked: no live worker's code fits its history. `handle.explain()` says more. */
  readonly blocked: boolean;
  /** Whether somebody asked it to cancel. */
  readonly cancelRequested: boolean;
  /** 0, 1, ... within the workflow id. */
  readonly run: number;
  /** What this run began with: `start`, `continued`, `reused`, `reset`, `retried`. */
  readonly cause: string;
  readonly startedAt: Date;
  /** Null while it has not ended. */
  readonly closedAt: Date | null;
  /** The label it was started with. */
  readonly entity: string | null;
  /** Its search fields. */
  readonly search: Readonly<Record<string, string>>;
  readonly parentWorkflowId: string | null;
  readonly originId: string | null;
}

/** One page of `list`. */
export interface ExecutionPage {
  /** Newest start first. */
  readonly executions: readonly ExecutionSummary[];
  /** Where the next page begins: give it to `list` with the same filter. Null behind the last execution. */
  readonly cursor: string | null;
}

/** Options of `client.workflow.list`. */
export interface ListOptions {
  /** Executions per page, 1 to 1000. Default 100. */
  readonly limit?: number;
  /** Of the page before. Default: begins with the newest. */
  readonly cursor?: string | null;
  /** Default: the client's. */
  readonly namespace?: string;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

const listShape = v.strictObject({
  limit: v.optional(wholeNumber(1, MAX_LIMIT)),
  cursor: v.optional(
    v.nullable(
      v.custom<string>(
        (value) => typeof value === 'string' && /^[1-9]\d{0,15}$/.test(value),
        inWords({ must: 'a cursor that list has given' }),
      ),
    ),
  ),
  namespace: v.optional(v.string('text')),
});

const countShape = v.strictObject({ namespace: v.optional(v.string('text')) });

/** How this file reaches a namespace. */
export type Reach = (namespace?: string) => Promise<Link>;

/**
 * Executions that a filter selects. Awaited it is one page; iterated with `for await` it is all of them, which are fetched page
 * by page as they are looked at. Each use asks the database anew, and nothing is asked before one.
 */
export class ExecutionList implements PromiseLike<ExecutionPage>, AsyncIterable<ExecutionSummary> {
  readonly #reach: () => Promise<Link>;
  readonly #filter: StoredFilter;
  readonly #first: Page;

  /** @internal */
  constructor(reach: Reach, filter: ExecutionFilter, options: ListOptions) {
    this.#filter = resolveFilter('list', filter);
    const { limit, cursor, namespace } = parseOptions('list', listShape, options);
    this.#first = { limit: limit ?? DEFAULT_LIMIT, after: cursor == null ? null : Number(cursor) };
    this.#reach = () => reach(namespace);
  }

  // biome-ignore lint/suspicious/noThenProperty: it is awaited like the promise of a page
  then<A = ExecutionPage, B = never>(
    fulfilled?: ((page: ExecutionPage) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#page(this.#first).then(fulfilled, rejected);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ExecutionSummary, void, undefined> {
    let page = this.#first;
    for (;;) {
      const { executions, cursor } = await this.#page(page);
      yield* executions;
      if (cursor === null) return;
      page = { ...page, after: Number(cursor) };
    }
  }

  async #page({ after, limit }: Page): Promise<ExecutionPage> {
    const link = await this.#reach();
    // one more than asked for tells whether there is a next page
    const rows = await link.listExecutions(this.#filter, { after, limit: limit + 1 });
    const shown = rows.slice(0, limit);
    const cursor = rows.length > limit ? String(shown.at(-1)?.run_no) : null;
    return { executions: shown.map(summaryOf), cursor };
  }
}

export async function countExecutions(
  reach: Reach,
  filter: ExecutionFilter,
  options: { readonly namespace?: string },
): Promise<number> {
  const stored = resolveFilter('count', filter);
  const { namespace } = parseOptions('count', countShape, options);
  return await (await reach(namespace)).countExecutions(stored);
}

function summaryOf(row: ListedExecution): ExecutionSummary {
  return {
    workflowId: row.workflow_id,
    workflowName: row.workflow_name,
    taskQueue: row.task_queue,
    status: row.state,
    blocked: row.blocked,
    cancelRequested: row.cancel_requested,
    run: row.run,
    cause: row.cause,
    startedAt: new Date(row.started_ms),
    closedAt: row.closed_ms === null ? null : new Date(row.closed_ms),
    entity: row.entity,
    search: row.search === null ? {} : (JSON.parse(row.search) as Record<string, string>),
    parentWorkflowId: row.parent_workflow_id,
    originId: row.origin_id,
  };
}
