/**
 * The string formats that the API server checks in custom resources (k8s.io/apiextensions-apiserver, structural schemas).
 * A format that is not in the table is not checked, as upstream.
 */
import { tryParseAddress, tryParsePrefix } from 'node-bgp/address';

type Check = (text: string) => boolean;

/** RFC 3339, as Go parses it: upper-case T and Z, seconds with an optional fraction. */
const DATE_TIME =
  /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;
const DURATION = /^[+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$/;
const HOSTNAME = /^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*\.?$/i;
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

const isBase64: Check = (text) => /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0;

const checks: ReadonlyMap<string, Check> = new Map<string, Check>([
  ['ipv4', (text) => tryParseAddress(text)?.family === 4],
  ['ipv6', (text) => tryParseAddress(text)?.family === 6],
  ['cidr', (text) => tryParsePrefix(text) !== undefined],
  ['mac', (text) => /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(text)],
  ['date', (text) => /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))],
  ['date-time', (text) => DATE_TIME.test(text) && !Number.isNaN(Date.parse(text))],
  ['datetime', (text) => DATE_TIME.test(text) && !Number.isNaN(Date.parse(text))],
  ['duration', (text) => DURATION.test(text)],
  ['hostname', (text) => HOSTNAME.test(text)],
  ['uuid', (text) => UUID.test(text)],
  ['byte', isBase64],
]);

/** True when the format is unknown or the text has it. */
export const hasFormat = (format: string, text: string): boolean => checks.get(format)?.(text) ?? true;

export const isDuration = (text: string): boolean => DURATION.test(text);
