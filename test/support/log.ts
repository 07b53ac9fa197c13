/** A logger that keeps what it gets. */

import { type Log, loggerOf } from '../../src/core/logger.js';

export interface SeenLine {
  readonly level: string;
  readonly message: string | undefined;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function watchLines(): { logger: Log; lines: SeenLine[]; said(message: string | RegExp): SeenLine[] } {
  const lines: SeenLine[] = [];
  const logger = loggerOf((level, fields, message) => void lines.push({ level, message, fields }));
  const matches = (message: string | RegExp, said = '') =>
    typeof message === 'string' ? said === message : message.test(said);
  return { logger, lines, said: (message) => lines.filter((line) => matches(message, line.message)) };
}
