/** Keys of dispatch maps, read. Pure. */
import { parseAddress, type IpAddress } from 'node-bgp/address';
import type { DispatchKey } from './ruleset.js';

/** What a key says; interfaces' names say nothing of this. */
export interface DispatchTarget {
  readonly address?: IpAddress;
  /** IANA protocol number. */
  readonly protocol?: number;
  readonly port?: number;
}

/** Protocols that have ports and that a Service or a container may name. */
export const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** Throws RangeError that names the key. */
export function parseDispatchKey(
  key: Exclude<DispatchKey, 'in-interface' | 'out-interface'>,
  text: string,
): DispatchTarget {
  if (key === 'destination') return { address: parseAddress(text) };
  const match = /^(?:([0-9a-f.:]+),)?([a-z]+):([0-9]{1,5})$/.exec(text);
  const [, address, name = '', digits = ''] = match ?? [];
  const protocol = PROTOCOLS[name];
  const port = Number(digits);
  if (match === null || protocol === undefined || port > 65_535 || (address === undefined) !== (key === 'port'))
    throw new RangeError(
      `Cannot read key "${text}" of a dispatch map: expected ${key === 'port' ? '' : 'ADDRESS,'}PROTOCOL:PORT such as ` +
        `${key === 'port' ? '' : '10.96.0.1,'}tcp:443`,
    );
  return { ...(address === undefined ? {} : { address: parseAddress(address) }), protocol, port };
}
