/**
 * Logging of every process: one JSON object a line on standard error (pino), or aligned text for people.
 *
 * Secrets are redacted by key wherever they stand up to two levels deep; still, do not log configuration wholesale.
 * Standard error and synchronous: a daemon that dies must not lose its last sentence, and standard output stays free for
 * results.
 */
import pino from 'pino';
import { escaped, terminalText } from './user-text.js';

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
  // Of text that users and peers wrote: here, so that no caller can forget it. Within JSON an escape means the character it escapes.
  const stream = {
    write: (line: string): void => void destination.write(format === 'text' ? formatLine(line) : terminalText(line)),
  };
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: (fields) => shortened(fields) },
      hooks: {
        logMethod(args, method) {
          method.apply(this, args.map(shortenedText) as Parameters<typeof method>);
        },
      },
      redact: { paths: redact, censor: '[redacted]' },
    },
    stream,
  );
}

/** Longer than any sentence of ours. */
const MOST_TEXT = 8_192;
/** A list in a line is for people: what it is about, not all of it. */
const MOST_ITEMS = 256;
const MOST_DEPTH = 4;

const shortenedText = <T>(value: T): T | string =>
  typeof value === 'string' && value.length > MOST_TEXT ? `${value.slice(0, MOST_TEXT)}...` : value;

/** Fields of a line: no text and no list in them is endless. */
const shortened = (fields: Record<string, unknown>, depth = MOST_DEPTH): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, shortenedValue(value, depth)]));

function shortenedValue(value: unknown, depth: number): unknown {
  if (Array.isArray(value)) {
    const items = value.slice(0, MOST_ITEMS).map((one: unknown) => shortenedValue(one, depth - 1));
    return value.length > MOST_ITEMS ? [...items, `and ${value.length - MOST_ITEMS} more`] : items;
  }
  // What is of a class has a serialiser of its own, or says what it is.
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return shortenedText(value);
  return depth <= 0 ? '...' : shortened(value as Record<string, unknown>, depth - 1);
}

/** `18:30:01.123 info  agent: message key=value`. */
function formatLine(line: string): string {
  const { time, level, name, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(rest).map(
    ([key, value]) => ` ${key}=${escaped(typeof value === 'string' ? value : JSON.stringify(value))}`,
  );
  return `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${String(name)}: ${escaped(String(msg))}${fields.join('')}\n`;
}
