/**
 * Where the engine says what it does on its own account, and what `workflow.log` writes to. The shape is pino's, so a pino
 * logger, its children and `console` are ones.
 */

/** What the engine writes to: called with fields first. */
export interface Logger {
  trace(fields: object, message?: string, ...values: unknown[]): void;
  debug(fields: object, message?: string, ...values: unknown[]): void;
  info(fields: object, message?: string, ...values: unknown[]): void;
  warn(fields: object, message?: string, ...values: unknown[]): void;
  error(fields: object, message?: string, ...values: unknown[]): void;
}

/** Takes fields and a message, a message alone, or an error; values fill the message as `util.format` does. */
export interface LogMethod {
  (fields: object, message?: string, ...values: unknown[]): void;
  (message: string, ...values: unknown[]): void;
}

/** What workflows and activities write to. */
export type Log = { readonly [level in LogLevel]: LogMethod };

export type LogLevel = keyof Logger;

/** The most serious first. */
export const logLevels = ['error', 'warn', 'info', 'debug', 'trace'] as const satisfies readonly LogLevel[];

/** A logger from what writes one message of a level. */
export function loggerOf(
  write: (
    level: LogLevel,
    fields: Readonly<Record<string, unknown>>,
    message: string | undefined,
    values: unknown[],
  ) => void,
): Log {
  const at =
    (level: LogLevel): LogMethod =>
    (first: object | string, ...rest: unknown[]) => {
      if (typeof first === 'string') write(level, {}, first, rest);
      else if (first instanceof Error)
        write(level, { err: first }, (rest[0] as string | undefined) ?? first.message, rest.slice(1));
      else write(level, first as Readonly<Record<string, unknown>>, rest[0] as string | undefined, rest.slice(1));
    };
  return { trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** A logger whose messages carry `fields` too, where they do not say otherwise. */
export function boundLogger(to: Logger, fields: Readonly<Record<string, unknown>>): Log {
  return loggerOf((level, own, message, values) => pass(to, level, { ...fields, ...own }, message, values));
}

/** As the user's logger is called: nothing is handed over that was not given. */
export function pass(
  to: Logger,
  level: LogLevel,
  fields: object,
  message: string | undefined,
  values: unknown[],
): void {
  if (message === undefined && values.length === 0) to[level](fields);
  else to[level](fields, message, ...values);
}
