/**
 * Logging of every process: one JSON object a line on standard error (pino), or aligned text for people.
 *
 * Secrets are redacted by key wherever they stand up to two levels deep; still, do not log configuration wholesale.
 * Standard error and synchronous: a daemon that dies must not lose its last sentence, and standard output stays free for
 * results.
 */
import pino from 'pino';

export type LogFormat = 'json' | 'text';
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
export type Logger = pino.Logger;

export interface LogOptions {
  readonly format?: LogFormat;
  readonly level?: LogLevel;
}

const SECRET_KEYS = ['password', 'token', 'secret', 'key', 'clientKey'];
const redact = SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]);

/** A logger whose lines carry `name`. Options default to the environment's TORTIE_LOG_FORMAT and TORTIE_LOG_LEVEL. */
export function createLogger(name: string, options: LogOptions = {}): Logger {
  const format = options.format ?? (process.env['TORTIE_LOG_FORMAT'] === 'text' ? 'text' : 'json');
  const level = options.level ?? process.env['TORTIE_LOG_LEVEL'] ?? 'info';
  const destination = pino.destination({ dest: 2, sync: true });
  const stream =
    format === 'text' ? { write: (line: string): void => void destination.write(formatLine(line)) } : destination;
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: redact, censor: '[redacted]' },
    },
    stream,
  );
}

/** `18:30:01.123 info  agent: message key=value`. */
function formatLine(line: string): string {
  const { time, level, name, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(rest).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${String(name)}: ${String(msg)}${fields.join('')}\n`;
}
