import { engineType } from './branded-error.js';
import { errorEntry } from './error-table.js';
import type { Failure } from './failure-record.js';
import { isRetryable } from './is-retryable.js';
import { nameOfError } from './name-of-error.js';
import { type JsonObject, plainFields, readField } from './plain-data.js';
import { shownValue } from './shown-value.js';

/** Characters that are kept. Enough for any message a person wrote; what is longer is data that went the wrong way. */
const maxMessage = 64 * 1024;
const maxStack = 16 * 1024;
const maxDetails = 16 * 1024;
const maxDetailValues = 1_000;

const maxCauses = 10;
/** Causes and members together; they branch. */
const maxFailures = 16;

/** What one conversion may still use, and what it has seen. */
interface Progress {
  failuresLeft: number;
  readonly seen: Set<unknown>;
}

/**
 * What is stored of a thrown value. Safe for whatever users throw: values that are no errors, getters that throw, Proxies,
 * causes that lead back to themselves, messages of megabytes. Reads own data only and calls nothing but getters.
 */
export function failureFromError(thrown: unknown): Failure {
  return convert(thrown, { failuresLeft: maxFailures, seen: new Set() }, 0);
}

function convert(thrown: unknown, progress: Progress, depth: number): Failure {
  progress.failuresLeft--;
  progress.seen.add(thrown);
  if (typeof thrown !== 'object' || thrown === null) return describePrimitive(thrown);
  const type = engineType(thrown);
  const code = engineCode(type, thrown);
  const jobId = type === undefined ? undefined : readField(thrown, 'job_id');
  const details = detailsOf(thrown, type, code);
  const message = messageOf(thrown, details);
  const cause = follow(readField(thrown, 'cause'), progress, depth);
  const members = membersOf(thrown).flatMap((member) => follow(member, progress, depth) ?? []);
  return {
    name: nameOfError(thrown),
    message: cut(message, maxMessage),
    stack: stackOf(thrown, message),
    ...(type !== undefined && { type }),
    ...(code !== undefined && { code }),
    ...(!isRetryable(thrown) && { nonRetryable: true as const }),
    ...(cause && { cause }),
    ...(members.length > 0 && { errors: members }),
    ...(typeof jobId === 'string' && { job_id: jobId }),
    ...(Object.keys(details).length > 0 && { details }),
  };
}

function describePrimitive(thrown: unknown): Failure {
  const message = typeof thrown === 'string' ? thrown : `${shownValue(thrown)} was thrown instead of an Error`;
  return { name: 'Error', message: cut(message, maxMessage), stack: '' };
}

/** A cause or member, unless it is missing, was met before or leads too far. */
function follow(thrown: unknown, progress: Progress, depth: number): Failure | undefined {
  if (thrown === undefined || depth >= maxCauses || progress.failuresLeft <= 0) return undefined;
  if (typeof thrown === 'object' && progress.seen.has(thrown)) return undefined;
  return convert(thrown, progress, depth + 1);
}

/** The class's own code; where it has none, or lets the caller choose, the instance's. */
function engineCode(type: string | undefined, error: object): number | undefined {
  if (type === undefined) return undefined;
  const fixed = errorEntry(type)?.code;
  if (typeof fixed === 'number' && type !== 'TerminatedError') return fixed;
  const code = type === 'TerminatedError' || type === 'CancelledFailure' ? readField(error, 'code') : undefined;
  return Number.isInteger(code) ? (code as number) : undefined;
}

function detailsOf(thrown: object, type: string | undefined, code: number | undefined): JsonObject {
  const told = new Set(['stack', 'cause']);
  if (code !== undefined) told.add('code');
  if (type !== undefined) told.add('job_id');
  // What errors inherit (name, message, toString ...) is told elsewhere, or would break the error that is made from it.
  return plainFields(thrown, (key) => !told.has(key) && !(key in Error.prototype), {
    characters: maxDetails,
    values: maxDetailValues,
  });
}

function messageOf(thrown: object, details: JsonObject): string {
  const message = readField(thrown, 'message');
  if (typeof message === 'string') return message;
  const kind = shownValue(thrown);
  const fields = kind === 'an object' ? Object.keys(details).slice(0, 10).join(', ') : '';
  return `${kind}${fields === '' ? '' : ` with ${fields}`} was thrown instead of an Error`;
}

/** The stack without a message of megabytes at its head, so that the lines of code survive the cut. */
function stackOf(thrown: object, message: string): string {
  const stack = readField(thrown, 'stack');
  if (typeof stack !== 'string') return '';
  const shortened = message.length > maxStack / 4 ? stack.replace(message, () => cut(message, maxStack / 4)) : stack;
  return cut(shortened, maxStack);
}

/** What an AggregateError holds, e.g. of a `Promise.any` that nobody won. */
function membersOf(thrown: object): unknown[] {
  if (nameOfError(thrown) !== 'AggregateError') return [];
  try {
    const { errors } = thrown as { errors?: unknown };
    return Array.isArray(errors) ? errors.slice(0, maxFailures) : [];
  } catch {
    return [];
  }
}

function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const note = `... (${text.length} characters)`;
  return text.slice(0, max - note.length).toWellFormed() + note;
}
