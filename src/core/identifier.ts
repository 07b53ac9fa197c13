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

export const identifierRule: Rule = {
  must: `text of 1 to ${maxIdentifierBytes} bytes without NUL characters and lone surrogates`,
};

/** Whether the value may serve as an id or name. */
export function isIdentifier(value: unknown): value is string {
  // The length comes first: it bounds what the scans behind it cost.
  return (
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= maxIdentifierBytes &&
    // NUL cannot be stored as text. A lone surrogate arrives as U+FFFD, so that different ids would become one.
    !/\0|\p{Surrogate}/u.test(value) &&
    utf8Length(value) <= maxIdentifierBytes
  );
}

/**
 * Lets an id or name through.
 *
 * @param call The function as the user wrote it, e.g. `start`.
 * @param field The argument or option, e.g. `workflowId`.
 * @throws {InvalidArgumentError} when it is not text, empty, longer than 512 bytes in UTF-8, or not well-formed.
 */
export function checkIdentifier(call: string, field: string, value: unknown): string {
  if (isIdentifier(value)) return value;
  throw refusal(call, field, identifierRule, value);
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
