/** Where a worker says what it does on its own account. The shape is pino's. */

export interface Logger {
  error(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
  debug(fields: Record<string, unknown>, message: string): void;
}

const levels = ['silent', 'error', 'warn', 'info', 'debug'];

/** One line per message on stderr. */
export function consoleLogger(level: string): Logger {
  const most = levels.indexOf(level);
  const at = (name: string) => (fields: Record<string, unknown>, message: string) => {
    if (levels.indexOf(name) > most) return;
    const rest = Object.entries(fields).map(
      ([key, value]) => ` ${key}=${value instanceof Error ? value.message : JSON.stringify(value)}`,
    );
    process.stderr.write(`perdure ${name}: ${message}${rest.join('')}\n`);
  };
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}
