/** Which logger a worker or client writes to: its own, or lines on stderr. */

import { format } from 'node:util';
import * as v from 'valibot';
import { InvalidArgumentError } from '../core/errors.js';
import { type Log, type Logger, type LogLevel, loggerOf, logLevels, pass } from '../core/logger.js';
import { refusal } from '../core/refusal.js';
import { shownKind } from '../core/shown-value.js';

const words = ['silent', ...logLevels] as const;
const inWords = 'silent, error, warn, info, debug or trace';

/** The option `logLevel`. */
export const logLevel = v.picklist(words, inWords);

/**
 * The logger of a worker or client. Never throws, whatever the given one does.
 *
 * @param given The user's; null or undefined: one line per message on stderr.
 * @param level What is less serious is not said. Default: a given logger decides by itself; else env `HMSH_LOGLEVEL`, else `info`.
 * @throws {InvalidArgumentError} for a logger that lacks a method, and for an unknown level in the environment.
 */
export function resolveLogger(call: string, given: unknown, level: string | undefined): Log {
  if (given === undefined || given === null) return consoleLogger(level ?? levelOfEnvironment(call));
  const to = checkLogger(call, given);
  const most = level === undefined ? Infinity : rank(level);
  return loggerOf((at, fields, message, values) => {
    if (rank(at) > most) return;
    try {
      pass(to, at, fields, message, values);
    } catch {
      // A logger that fails is no fault of whoever had something to say.
    }
  });
}

/** One line per message on stderr: `perdure warn: <message> field=value ...`. */
export function consoleLogger(level: string): Log {
  const most = rank(level);
  return loggerOf((at, fields, message = '', values) => {
    if (rank(at) > most) return;
    process.stderr.write(consoleLine(at, values.length === 0 ? message : format(message, ...values), fields));
  });
}

/** What it writes of one message. */
export function consoleLine(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): string {
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${shown(value)}`);
  return `perdure ${level}: ${message}${rest.join('')}\n`;
}

function shown(value: unknown): string {
  if (value instanceof Error) return value.message;
  try {
    return JSON.stringify(value) ?? 'undefined';
  } catch {
    return format('%o', value); // a cycle, a BigInt
  }
}

/** 0: nothing at all. */
function rank(level: string): number {
  return (words as readonly string[]).indexOf(level);
}

function levelOfEnvironment(call: string): string {
  const level = process.env.HMSH_LOGLEVEL || 'info';
  if (rank(level) < 0)
    throw new InvalidArgumentError(
      `${call}: the environment's HMSH_LOGLEVEL must be ${inWords}; got ${JSON.stringify(level)}`,
    );
  return level;
}

function checkLogger(call: string, given: unknown): Logger {
  const lacks = (level: LogLevel) => typeof (given as Record<string, unknown>)[level] !== 'function';
  const missing = typeof given === 'object' || typeof given === 'function' ? logLevels.find(lacks) : 'error';
  if (missing === undefined) return given as Logger;
  throw refusal(
    call,
    'logger',
    {
      must: "an object with the methods error, warn, info, debug and trace, as pino's",
      todo: `It has no method ${missing}`,
    },
    given,
    shownKind(given),
  );
}
