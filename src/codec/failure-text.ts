/** Failures as stored JSON text, and back. */
import { PayloadCodecError } from '../core/errors.js';
import type { Failure } from '../core/failure.js';
import { registeredSeal, type Seal } from './payload-codec.js';

/** With escapes and many causes a failure could pass the limit of a payload; then it must still be stored. */
const maxCharacters = 1024 * 1024;

/**
 * A failure as JSON text, sealed where there is a codec. One that is extremely large loses its causes, members and fields.
 *
 * @throws {PayloadCodecError} when the codec fails.
 */
export function encodeFailure(failure: Failure, seal: Seal = registeredSeal): string {
  const text = JSON.stringify(failure);
  if (text.length <= maxCharacters) return seal.seal(text);
  const { cause, errors, details, ...essence } = failure;
  return seal.seal(JSON.stringify(essence));
}

/**
 * The failure of a stored text. Fields that are missing or of another type, as a hand-written row may have them, are
 * left out or empty; nothing that was stored can make the error that is built from it misbehave.
 *
 * @throws {PayloadCodecError} when it cannot be opened, or the text is no JSON object. The message does not quote it.
 */
export function decodeFailure(text: string, seal: Seal = registeredSeal): Failure {
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch {
    // Refused below. The parser's own error quotes the text.
  }
  const failure = read(seal.open(stored), 0);
  if (failure) return failure;
  throw new PayloadCodecError(
    `a stored failure of ${text.length} characters is not readable. Was it written with a codec that is not registered here?`,
  );
}

/** More causes are never written. */
const maxDepth = 16;

function read(stored: unknown, depth: number): Failure | undefined {
  if (!isObject(stored) || depth > maxDepth) return undefined;
  const { name, message, stack, type, code, nonRetryable, cause, errors, job_id, details } = stored;
  const causeRead = read(cause, depth + 1);
  const members = Array.isArray(errors) ? errors.flatMap((member) => read(member, depth + 1) ?? []) : [];
  return {
    name: typeof name === 'string' ? name : 'Error',
    message: typeof message === 'string' ? message : '',
    stack: typeof stack === 'string' ? stack : '',
    ...(typeof type === 'string' && { type }),
    ...(typeof code === 'number' && { code }),
    ...(nonRetryable === true && { nonRetryable }),
    ...(causeRead && { cause: causeRead }),
    ...(members.length > 0 && { errors: members }),
    ...(typeof job_id === 'string' && { job_id }),
    ...(isObject(details) && { details: details as NonNullable<Failure['details']> }),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
