import ms from 'ms';
import { type Rule, refusal } from './refusal.js';

/** 100 years: more is a mistake in the unit, and Postgres' timestamps would overflow before long. */
export const maxDurationMs = 100 * 365.25 * 24 * 60 * 60 * 1000;

export const durationRule: Rule = {
  must: 'a duration of at most 100 years',
  todo: "Use a number of milliseconds or text such as '500ms', '30s', '5 minutes', '2 hours', '7d'",
};

/**
 * Milliseconds of a duration in the grammar of the `ms` package (`'5 seconds'`, `'1m'` = one minute, `'7d'`); numbers, and
 * text without a unit, are milliseconds already. Zero and less is 0. May have a fraction.
 *
 * @param call The function as the user wrote it, e.g. `sleep`; begins the message of the error.
 * @param path The argument or option it stands in.
 * @throws {InvalidArgumentError} when it cannot be read, is not finite, or is longer than 100 years.
 *
 * @example
 * parseDuration('sleep', '2 minutes'); // 120000
 */
export function parseDuration(call: string, value: string | number, path = 'duration'): number {
  const parsed = durationMs(value);
  if (parsed === null) throw refusal(call, path, durationRule, value);
  return parsed;
}

/** Like {@link parseDuration}, but null for what it refuses. */
export function durationMs(value: unknown): number | null {
  const parsed = typeof value === 'number' ? value : typeof value === 'string' ? parseText(value) : undefined;
  if (parsed === undefined || !Number.isFinite(parsed) || parsed > maxDurationMs) return null;
  return Math.max(0, parsed) + 0; // + 0 turns -0 into 0
}

/** `ms` throws on '' and answers undefined to anything else it cannot read; both are refusals here. */
function parseText(text: string): number | undefined {
  return text === '' ? undefined : ms(text);
}
