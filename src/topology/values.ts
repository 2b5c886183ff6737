/** Text forms of Calico's BGP resources: AS numbers, durations, peer addresses. */
import { tryParseAddress, type IpAddress } from 'node-bgp/address';
import { isInterfaceName } from 'node-bgp/config/schema';
import type { AsNumber } from '../api/bgp.js';

/** asplain ("65001", 65001) or asdot ("1.10", RFC 5396); undefined for anything else, 0 and 23456 (RFC 7607, 6793). */
export function parseAsNumber(value: AsNumber | undefined): number | undefined {
  const match = /^(\d{1,10})(?:\.(\d{1,5}))?$/.exec(String(value ?? ''));
  if (match === null) return undefined;
  const [high, low] = [Number(match[1]), match[2] === undefined ? undefined : Number(match[2])];
  if (low !== undefined && (high > 0xffff || low > 0xffff)) return undefined;
  const number = low === undefined ? high : high * 0x10000 + low;
  return number === 0 || number === 23456 || number > 0xffffffff ? undefined : number;
}

const UNIT_SECONDS: Readonly<Record<string, number>> = {
  h: 3600,
  m: 60,
  s: 1,
  ms: 1e-3,
  us: 1e-6,
  µs: 1e-6,
  ns: 1e-9,
};

/** Seconds of Go's duration text, "90s" or "1m30s"; undefined when it is not one. */
export function parseDuration(text: string | undefined): number | undefined {
  if (text === '0') return 0;
  if (text === undefined || !/^(\d+(\.\d+)?(h|ms|us|µs|ns|m|s))+$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)/g))
    seconds += Number(number) * (UNIT_SECONDS[unit ?? ''] ?? NaN);
  return seconds;
}

export interface PeerAddress {
  readonly address: IpAddress;
  /** "fe80::1%eth0" names its link. */
  readonly interfaceName?: string;
  readonly port?: number;
}

/** "192.0.2.1", "192.0.2.1:1179", "2001:db8::1", "[2001:db8::1]:1179", "fe80::1%eth0"; undefined when it is none of these. */
export function parsePeerAddress(text: string): PeerAddress | undefined {
  const bracketed = /^\[([^\]]+)\]:(\d{1,5})$/.exec(text) ?? /^([^:]+):(\d{1,5})$/.exec(text);
  const [host = '', interfaceName, ...more] = (bracketed?.[1] ?? text).split('%');
  const address = more.length === 0 ? tryParseAddress(host) : undefined;
  const isLink = interfaceName === undefined || isInterfaceName(interfaceName);
  const port = bracketed === null ? undefined : Number(bracketed[2]);
  if (address === undefined || !isLink || (port !== undefined && (port < 1 || port > 65535))) return undefined;
  return {
    address,
    ...(interfaceName === undefined ? {} : { interfaceName }),
    ...(port === undefined ? {} : { port }),
  };
}
