/** The errors that the server of the run has written down of a database. */

import { existsSync, readFileSync } from 'node:fs';
import { inject } from 'vitest';
import type { TestDatabase } from './database.js';

/**
 * How often each SQLSTATE was logged, with the line of the last; retried and swallowed errors too. Empty where the log is out of reach, on a
 * server that is not of this run.
 */
export function loggedErrors({ name }: TestDatabase): Map<string, { times: number; last: string }> {
  const { logFile } = inject('cluster');
  const errors = new Map<string, { times: number; last: string }>();
  if (logFile === null || !existsSync(logFile)) return errors;
  const ours = new RegExp(`^\\S+ \\S+ \\S+ \\[\\d+\\] .* ([0-9A-Z]{5}) ${name} (?:ERROR|FATAL|PANIC):`);
  for (const line of readFileSync(logFile, 'utf8').split('\n')) {
    const state = ours.exec(line)?.[1];
    if (state !== undefined) errors.set(state, { times: (errors.get(state)?.times ?? 0) + 1, last: line });
  }
  return errors;
}
