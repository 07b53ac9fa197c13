/**
 * Watches workflow code for calls that give something else when they are replayed.
 *
 * Owns: whose call it was, and what is said about it. Does not own: how calls are noticed (watched-calls.ts).
 *
 * Only the immediate caller counts: code of the engine, of Node and of packages in node_modules (a logger's timestamp) is
 * not the workflow's own. Finding it costs a stack trace of a few frames, 2 µs, paid inside workflows only.
 */

import { activityHere } from '../activity/context.js';
import { DeterminismError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { Watch } from '../workflow/context.js';
import { watchHere } from '../workflow/context.js';

/** Places that were told of, in all workers of the process. */
const known = new Set<string>();

/** When so many calls in a row told nothing new, most of the following ones are not looked at: a loop must not crawl. */
const FAMILIAR = 1_000;
const LOOK_AT_EVERY = 100;

export class DeterminismGuard implements Watch {
  readonly #mode: 'warn' | 'strict';
  readonly #logger: Logger;
  #familiar = 0;

  constructor(mode: 'warn' | 'strict', logger: Logger) {
    this.#mode = mode;
    this.#logger = logger;
  }

  /** @throws {DeterminismError} in strict mode. */
  met(call: string, instead: string, wrapper: (...args: never[]) => unknown): void {
    if (this.#mode === 'warn' && this.#familiar > FAMILIAR && ++this.#familiar % LOOK_AT_EVERY !== 0) return;
    const place = callerOf(wrapper);
    if (place === null) return;
    const message = `${call} in a workflow differs in a replay, at ${place}. Use ${instead}`;
    if (this.#mode === 'strict') throw new DeterminismError(message);
    const key = `${call} ${place}`;
    if (known.has(key)) {
      this.#familiar++;
      return;
    }
    known.add(key);
    this.#familiar = 0;
    this.#logger.warn({}, message);
  }
}

/** Called by what stands in place of a watched function. */
export function met(call: string, instead: string, wrapper: (...args: never[]) => unknown): void {
  const watch = watchHere();
  // An activity that a workflow's context leaked into is no workflow.
  if (watch !== null && activityHere() === undefined) watch.met(call, instead, wrapper);
}

/** The engine's own folder, as stack traces name it. */
const ENGINE = decodeURIComponent(new URL('..', import.meta.url).pathname);

/** The line that called `wrapper`; null when that is not the user's own code. */
function callerOf(wrapper: (...args: never[]) => unknown): string | null {
  const { stackTraceLimit } = Error;
  const holder: { stack?: string } = {};
  Error.stackTraceLimit = 4;
  Error.captureStackTrace(holder, wrapper);
  Error.stackTraceLimit = stackTraceLimit;
  for (const line of (holder.stack ?? '').split('\n').slice(1)) {
    if (line.includes('node:')) return null;
    if (!/[/\\].*:\d+/.test(line)) continue; // a built-in that was handed the function: [1, 2].map(Math.random)
    if (/[/\\]node_modules[/\\]/.test(line)) return null;
    if (line.includes(ENGINE) && !/\.test\.[jt]s/.test(line)) return null;
    return line.trim().replace(/^at (?:async )?/, '');
  }
  return null;
}
