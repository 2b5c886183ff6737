/** The bound on what a peer may send (RFC 4271 section 6.7, RFC 4486 section 4), judged on paths as received, before policy. */
import type { Family } from '../address.js';
import type { Notification } from '../fsm/event.js';
import { Afi, CeaseCode, Safi } from '../iana.js';
import type { MaxPrefixes } from './peer-settings.js';
import { cease } from './cease.js';

export type MaxPrefixVerdict =
  | { readonly type: 'ok' }
  | { readonly type: 'warn'; readonly level: 'near' | 'over'; readonly text: string }
  | { readonly type: 'stop'; readonly text: string; readonly notification: Notification };

const OK: MaxPrefixVerdict = { type: 'ok' };

export function maxPrefixVerdict(limits: MaxPrefixes, family: Family, received: number): MaxPrefixVerdict {
  const { limit, warnAt, warnOnly, restartAfter } = limits;
  if (received <= warnAt || (received <= limit && warnAt >= limit)) return OK;
  const what = `The peer sends ${received} IPv${family} prefixes; the limit is ${limit}`;
  if (received <= limit) return { type: 'warn', level: 'near', text: what };
  if (warnOnly) return { type: 'warn', level: 'over', text: `${what}, which only warns here` };
  const after = restartAfter === undefined ? 'down until "clear"' : `down for ${restartAfter} s`;
  return {
    type: 'stop',
    text: `${what}: ${after}`,
    notification: cease(CeaseCode.maximumPrefixes, limitData(family, limit)),
  };
}

/** RFC 4486 section 4: AFI (2), SAFI (1), upper bound (4). */
function limitData(family: Family, limit: number): Uint8Array {
  const data = new Uint8Array(7);
  const view = new DataView(data.buffer);
  view.setUint16(0, family === 4 ? Afi.ipv4 : Afi.ipv6);
  view.setUint8(2, Safi.unicast);
  view.setUint32(3, limit);
  return data;
}
