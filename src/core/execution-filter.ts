/** Which executions a call is about: `list`, `count`, and whatever is done to many at once. */
import * as v from 'valibot';
import type { EntityCondition } from './document-engine.js';
import { type EntityConditions, entityConditions } from './entity-conditions.js';
import { holdsFields } from './holds-fields.js';
import { identifierRule } from './identifier.js';
import { identifier, parseOptions } from './options.js';
import { inWords } from './refused-option.js';
import { storedField } from './search-fields.js';

/** How an execution stands. `continued`: by `continueAsNew`, and the next run goes on with its work. */
export type ExecutionStatus = 'pending' | 'open' | 'completed' | 'failed' | 'cancelled' | 'terminated' | 'continued';

const statuses = [
  'pending',
  'open',
  'completed',
  'failed',
  'cancelled',
  'terminated',
  'continued',
] as const satisfies readonly ExecutionStatus[];

/** A moment: a `Date`, text that `Date` reads (ISO), or milliseconds since the epoch. */
export type Moment = Date | string | number;

/** From `from` on, before `to`. */
export interface TimeRange {
  readonly from?: Moment;
  readonly to?: Moment;
}

/**
 * Selects executions: those that fulfil all conditions. `{}` selects all.
 *
 * A condition that is there but undefined is refused: it would select more than was meant.
 */
export interface ExecutionFilter {
  /** This id alone, all its runs; or all ids that begin like this. */
  readonly workflowId?: string | { readonly prefix: string };
  /** The name of the workflow function. */
  readonly workflowName?: string;
  readonly taskQueue?: string;
  /** One or several. Default: all but `continued`. */
  readonly status?: ExecutionStatus | readonly ExecutionStatus[];
  /** When the run was started. */
  readonly started?: TimeRange;
  /** When it ended; leaves out those that have not. */
  readonly closed?: TimeRange;
  /** Started by this workflow, or in its name. */
  readonly parentWorkflowId?: string;
  /** Conditions on search fields, as those on an entity document. Equality of a field can be given an index. */
  readonly search?: EntityConditions;
  /** The label it was started with, or also conditions on its entity document, as `Entity.find` has them. */
  readonly entity?: string | { readonly label?: string; readonly where?: EntityConditions };
  /** Whether one of its threads is blocked: no live worker's code fits its history. */
  readonly blocked?: boolean;
  /** Whether one of its threads is quarantined: it ended its workers too often. Quarantined ones are also blocked. */
  readonly quarantined?: boolean;
  /** Whether it is paused. */
  readonly paused?: boolean;
}

const statusRule = `one or several of ${statuses.join(', ')}`;
const status = v.picklist(statuses, statusRule);

const moment = v.pipe(
  v.custom<Moment>(
    (value) => momentMs(value) !== null,
    inWords({ must: 'a moment: a Date, ISO text or milliseconds since the epoch' }),
  ),
  v.transform((value) => momentMs(value) as number),
);

const timeRange = v.pipe(
  v.strictObject({ from: v.exactOptional(moment), to: v.exactOptional(moment) }),
  v.check((range) => Object.keys(range).length > 0, 'an object with from, to or both'),
);

/** What holds conditions by field; entity-conditions.ts looks into it. */
const conditions = v.custom<EntityConditions>(holdsFields, 'an object of conditions by field');

const entityRule = 'a label, or an object with label, where or both';
const entityShape = v.pipe(
  v.strictObject({ label: v.exactOptional(identifier), where: v.exactOptional(conditions) }),
  v.check((entity) => Object.keys(entity).length > 0, entityRule),
);

const filterShape = v.strictObject({
  workflowId: v.exactOptional(
    v.union([identifier, v.strictObject({ prefix: identifier })], `an id or { prefix }, ${identifierRule.must}`),
  ),
  workflowName: v.exactOptional(identifier),
  taskQueue: v.exactOptional(identifier),
  status: v.exactOptional(v.union([status, v.pipe(v.array(status), v.minLength(1, statusRule))], statusRule)),
  started: v.exactOptional(timeRange),
  closed: v.exactOptional(timeRange),
  parentWorkflowId: v.exactOptional(identifier),
  search: v.exactOptional(conditions),
  entity: v.exactOptional(v.union([identifier, entityShape], entityRule)),
  blocked: v.exactOptional(v.boolean('true or false')),
  quarantined: v.exactOptional(v.boolean('true or false')),
  paused: v.exactOptional(v.boolean('true or false')),
});

/** A filter as SQL reads it: see sql/functions/execution_clause.sql. */
export interface StoredFilter {
  readonly workflowId?: string;
  readonly workflowIdPrefix?: string;
  readonly workflowName?: string;
  readonly taskQueue?: string;
  readonly status?: readonly ExecutionStatus[];
  readonly startedFrom?: number;
  readonly startedTo?: number;
  readonly closedFrom?: number;
  readonly closedTo?: number;
  readonly parentWorkflowId?: string;
  readonly entity?: string;
  readonly search?: readonly EntityCondition[];
  readonly where?: readonly EntityCondition[];
  readonly blocked?: boolean;
  readonly quarantined?: boolean;
  readonly paused?: boolean;
}

/**
 * The filter, checked, as the database takes it.
 *
 * @param call The function as the user wrote it, e.g. `list`.
 * @param path Where the filter stands in the call; empty when it is the first argument.
 * @throws {InvalidArgumentError} for unknown conditions, with the nearest known one, and for values that select nothing by
 *   mistake: undefined, unknown states, what cannot be compared.
 */
export function resolveFilter(call: string, filter: ExecutionFilter, path = ''): StoredFilter {
  const { workflowId, status, started, closed, search, entity, ...rest } = parseOptions(
    call,
    filterShape,
    filter,
    path,
  );
  const joined = (field: string) => (path === '' ? field : `${path}.${field}`);
  const { label, where } = typeof entity === 'string' ? { label: entity, where: undefined } : (entity ?? {});
  return {
    ...rest,
    ...(typeof workflowId === 'string' && { workflowId }),
    ...(typeof workflowId === 'object' && { workflowIdPrefix: workflowId.prefix }),
    ...(status !== undefined && { status: typeof status === 'string' ? [status] : status }),
    ...(started?.from !== undefined && { startedFrom: started.from }),
    ...(started?.to !== undefined && { startedTo: started.to }),
    ...(closed?.from !== undefined && { closedFrom: closed.from }),
    ...(closed?.to !== undefined && { closedTo: closed.to }),
    ...(label !== undefined && { entity: label }),
    ...(where !== undefined && { where: entityConditions(call, where, joined('entity.where')) }),
    ...(search !== undefined && {
      search: entityConditions(call, search, joined('search')).map((condition) => onText(call, condition)),
    }),
  };
}

/** Search fields are text, so that equality is that of the text a value would have been stored as. */
function onText(call: string, { field, op, value }: EntityCondition): EntityCondition {
  const asText = (one: unknown) => (one === null ? null : String(one));
  const text = op === 'eq' || op === 'ne' ? asText(value) : op === 'in' ? (value as unknown[]).map(asText) : value;
  return { field: storedField(call, field), op, value: text };
}

/** What JavaScript takes for a date beside these (`"' or '1'='1"` is one of 2001) is a mistake more often than a moment. */
const isoText = /^(?:\d{4}|[+-]\d{6})(?:-\d\d){0,2}(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)?)?$/;

function momentMs(value: unknown): number | null {
  if (typeof value !== 'number' && typeof value !== 'string' && !(value instanceof Date)) return null;
  if (typeof value === 'string' && !isoText.test(value)) return null;
  const ms = new Date(value).getTime();
  return Number.isNaN(ms) ? null : ms;
}
