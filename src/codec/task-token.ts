/**
 * The task token: what whoever completes an activity from outside has to show. Opaque to users; it names the call, the
 * attempt and a number that only the run knows, and holds the retry policy, so that a failure can be judged where it is
 * reported.
 */

import type { RetrySpec } from '../core/history.js';
import { refusal } from '../core/refusal.js';
import { shownKind } from '../core/shown-value.js';

export interface TaskToken {
  readonly namespace: string;
  readonly threadNo: number;
  readonly op: number;
  readonly attempt: number;
  /** The run's request number, as its idempotency keys begin with. */
  readonly seed: string;
  readonly retry: RetrySpec;
}

const VERSION = 1;

export function encodeTaskToken({ namespace, threadNo, op, attempt, seed, retry }: TaskToken): string {
  return Buffer.from(JSON.stringify([VERSION, namespace, threadNo, op, attempt, seed, retry])).toString('base64url');
}

/** @throws {InvalidArgumentError} for anything but a token. */
export function decodeTaskToken(call: string, taskToken: unknown): TaskToken {
  const read = typeof taskToken === 'string' ? parse(taskToken) : null;
  if (read !== null) return read;
  const todo = 'Pass what Durable.activity.getContext().taskToken was, unchanged';
  // Whoever has a token may answer: one that is only nearly right is not shown.
  throw refusal(call, 'taskToken', { must: 'a task token of an activity', todo }, taskToken, shownKind(taskToken));
}

function parse(text: string): TaskToken | null {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    return null;
  }
  if (!Array.isArray(parts) || parts.length !== 7 || parts[0] !== VERSION) return null;
  const [, namespace, threadNo, op, attempt, seed, retry] = parts as unknown[];
  const numbers = [threadNo, op, attempt].every(Number.isSafeInteger);
  if (!numbers || typeof namespace !== 'string' || typeof seed !== 'string' || !/^\d{1,18}$/.test(seed)) return null;
  if (typeof retry !== 'object' || retry === null) return null;
  return { namespace, threadNo, op, attempt, seed, retry } as TaskToken;
}
