/** What the finders of `Entity` may ask for. Fields and values travel as parameters; none of them becomes part of a statement. */
import type { EntityCondition } from './document-engine.js';
import { holdsFields } from './holds-fields.js';
import { checkDocumentKey } from './identifier.js';
import { nearestName } from './nearest.js';
import { type Rule, refusal } from './refusal.js';
import { shownValue } from './shown-value.js';

type Scalar = string | number | boolean | null;

/** A value that the field must equal, or comparisons that must all hold. */
export type FieldCondition =
  | Scalar
  | {
      readonly $eq?: Scalar;
      readonly $ne?: Scalar;
      readonly $gt?: string | number;
      readonly $gte?: string | number;
      readonly $lt?: string | number;
      readonly $lte?: string | number;
      readonly $in?: readonly Scalar[];
    };

/** Conditions by top-level field. */
export type EntityConditions = Readonly<Record<string, FieldCondition>>;

const MAX_CONDITIONS = 100;
const MAX_LISTED = 1_000;

const scalarRule: Rule = { must: 'text, a finite number, a boolean or null' };
const conditionRule: Rule = { must: `${scalarRule.must}, or an object of comparisons such as { $gte: 5 }` };
const orderedRule: Rule = { must: 'text or a finite number' };

/**
 * @param path Where the conditions stand in the call.
 * @throws {InvalidArgumentError} for unknown operators, with the nearest known one, and for values that cannot be compared.
 */
export function entityConditions(call: string, conditions: unknown, path = 'conditions'): EntityCondition[] {
  if (conditions === undefined || conditions === null) return [];
  if (!holdsFields(conditions)) throw refusal(call, path, { must: 'an object of conditions by field' }, conditions);
  const found = Object.entries(conditions).flatMap(([field, condition]) =>
    fieldConditions(call, path, field, condition),
  );
  if (found.length <= MAX_CONDITIONS) return found;
  throw refusal(call, path, { must: `at most ${MAX_CONDITIONS}` }, found.length);
}

function fieldConditions(call: string, path: string, field: string, condition: unknown): EntityCondition[] {
  if (typeof condition !== 'object' || condition === null)
    return [entityCondition(call, field, '$eq', condition, path)];
  if (!holdsFields(condition)) throw refusal(call, `${path}.${field}`, conditionRule, condition);
  return Object.entries(condition).map(([op, value]) => entityCondition(call, field, op, value, path));
}

/** The words of `find` and those of `findByCondition`. */
const operators: Readonly<Record<string, EntityCondition['op']>> = {
  $eq: 'eq',
  $ne: 'ne',
  $gt: 'gt',
  $gte: 'gte',
  $lt: 'lt',
  $lte: 'lte',
  $in: 'in',
  '=': 'eq',
  '!=': 'ne',
  '>': 'gt',
  '>=': 'gte',
  '<': 'lt',
  '<=': 'lte',
  LIKE: 'like',
  IN: 'in',
};

/**
 * One comparison.
 *
 * @param op `$eq` and the like, or `=`, `LIKE` and the like.
 */
export function entityCondition(
  call: string,
  field: string,
  op: string,
  value: unknown,
  parent = 'conditions',
): EntityCondition {
  checkDocumentKey(call, 'field', field);
  const path = `${parent}[${shownValue(field)}]`;
  const known = typeof op === 'string' && Object.hasOwn(operators, op) ? operators[op] : undefined;
  if (known === undefined) throw unknownOperator(call, path, op);
  checkComparand(call, path, known, value);
  return { field, op: known, value };
}

function checkComparand(call: string, path: string, op: EntityCondition['op'], value: unknown): void {
  switch (op) {
    case 'in':
      if (!Array.isArray(value) || value.length > MAX_LISTED || !value.every(isScalar))
        throw refusal(call, path, { must: `an array of at most ${MAX_LISTED} scalars for IN` }, value);
      return;
    case 'like':
      // Postgres refuses a pattern that ends within an escape.
      if (typeof value !== 'string' || !isText(value) || /(?<!\\)(?:\\\\)*\\$/.test(value))
        throw refusal(call, path, { must: 'text that does not end with a single backslash for LIKE' }, value);
      return;
    case 'eq':
    case 'ne':
      if (!isScalar(value)) throw refusal(call, path, scalarRule, value);
      return;
    default:
      if (!isScalar(value) || value === null || typeof value === 'boolean')
        throw refusal(call, path, orderedRule, value);
  }
}

function isScalar(value: unknown): value is Scalar {
  if (typeof value === 'string') return isText(value);
  return typeof value === 'number' ? Number.isFinite(value) : value === null || typeof value === 'boolean';
}

function isText(value: string): boolean {
  return value.isWellFormed() && !value.includes('\0');
}

function unknownOperator(call: string, path: string, op: unknown): Error {
  const words = Object.keys(operators);
  const nearest = typeof op === 'string' ? nearestName(op, words) : undefined;
  const todo = nearest === undefined ? undefined : `Did you mean ${nearest}?`;
  return refusal(call, path, { must: `compared by one of ${words.join(' ')}`, ...(todo && { todo }) }, op);
}
