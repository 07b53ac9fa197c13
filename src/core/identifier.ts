/**
 * Identifiers: names and ids that users choose and Postgres compares. One rule for all, and the ids that the engine
 * makes itself.
 */
import { nanoid } from 'nanoid';
import { guidSize } from './guid-size.js';
import { type Rule, refusal } from './refusal.js';
import { utf8Length } from './utf8-length.js';

/** Ids are part of index keys, which Postgres cuts off at about 2,700 bytes, and of every row that mentions a workflow. */
const maxIdentifierBytes = 512;

/**
 * One rule for every name and id: of queues, functions, workflows, signals, topics, search fields, entities. Two that the
 * rule lets through and that Unicode takes for the same text are the same bytes, so whatever compares bytes is right.
 * (Namespaces are schemas and have a narrower rule: src/postgres/namespace.ts.)
 */
export const identifierRule: Rule = {
  must: `text of 1 to ${maxIdentifierBytes} bytes in Unicode normal form C without control characters and lone surrogates`,
};

/** NUL cannot be stored as text, the others forge lines in logs; a lone surrogate arrives as U+FFFD, so that two ids would be one. */
const refusedCharacter = /[\p{Cc}\p{Surrogate}]/u;

/** Below these all text is in normal form C. */
const mayBeDenormal = /[^\0-\u02ff]/;

/** Whether the value may serve as an id or name. */
export function isIdentifier(value: unknown): value is string {
  // The length comes first: it bounds what the scans behind it cost.
  return (
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= maxIdentifierBytes &&
    !refusedCharacter.test(value) &&
    utf8Length(value) <= maxIdentifierBytes &&
    isNormal(value)
  );
}

function isNormal(text: string): boolean {
  return !mayBeDenormal.test(text) || text.normalize('NFC') === text;
}

/** {@link identifierRule}, with what to do about a value that looks as it should. */
export function identifierRuleFor(value: unknown): Rule {
  if (typeof value !== 'string') return identifierRule;
  if (value.length > maxIdentifierBytes || utf8Length(value) > maxIdentifierBytes)
    return { ...identifierRule, todo: 'Shorten it, or take a hash of it' };
  if (isNormal(value)) return identifierRule;
  return { ...identifierRule, todo: "It is written with other code points: pass it through normalize('NFC')" };
}

/**
 * Whether an entity document may be asked for this key. Keys are data: any text that jsonb can hold, within the length of a name.
 */
export function isDocumentKey(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= maxIdentifierBytes &&
    value.isWellFormed() &&
    !value.includes('\0') &&
    utf8Length(value) <= maxIdentifierBytes
  );
}

export const documentKeyRule: Rule = {
  must: `text of 1 to ${maxIdentifierBytes} bytes without NUL characters and lone surrogates`,
};

/** @throws {InvalidArgumentError} for what is no {@link isDocumentKey key of a document}. */
export function checkDocumentKey(call: string, field: string, value: unknown): string {
  if (isDocumentKey(value)) return value;
  throw refusal(call, field, documentKeyRule, value);
}

/**
 * Lets an id or name through.
 *
 * @param call The function as the user wrote it, e.g. `start`.
 * @param field The argument or option, e.g. `workflowId`.
 * @throws {InvalidArgumentError} when it is not text, empty, longer than 512 bytes in UTF-8, holds control characters or lone
 *   surrogates, or is not in Unicode normal form C.
 */
export function checkIdentifier(call: string, field: string, value: unknown): string {
  if (isIdentifier(value)) return value;
  throw refusal(call, field, identifierRuleFor(value), value);
}

/** {@link checkIdentifier} for `workflowId`. */
export const checkWorkflowId = (call: string, value: unknown): string => checkIdentifier(call, 'workflowId', value);

/** {@link checkIdentifier} for `workflowName`. */
export const checkWorkflowName = (call: string, value: unknown): string => checkIdentifier(call, 'workflowName', value);

/** {@link checkIdentifier} for `taskQueue`. */
export const checkTaskQueue = (call: string, value: unknown): string => checkIdentifier(call, 'taskQueue', value);

/** {@link checkIdentifier} for `signalId`. */
export const checkSignalId = (call: string, value: unknown): string => checkIdentifier(call, 'signalId', value);

/** The id of a workflow that was started without one: a {@link guid}. */
export function newWorkflowId(): string {
  return guid();
}

/**
 * A random id: `H` and letters, digits, `-`, `_`. Not for code that is replayed; inside a workflow the seeded one is used.
 *
 * @param size Random characters behind the `H`. Default 22, as random as a UUID; more than 32 count as 32.
 * @throws {InvalidArgumentError} when `size` is not a whole number from 1.
 */
export function guid(size?: number): string {
  return `H${nanoid(guidSize(size))}`;
}

/** A random UUID, version 4. */
export function uuid(): string {
  return globalThis.crypto.randomUUID();
}
