/**
 * What the churning peers announce, and what must be left of it at the end. Prefixes are numbered; an even number is IPv4, an odd one IPv6.
 *
 * A peer's routes to all prefixes have AS paths of one length, a different one for each peer, so that the best path follows from who
 * announces what and needs no tie breaker. MED carries a serial number: it tells one announcement of a prefix from the next.
 */
import { addressToBytes, formatPrefix, parseAddress, parsePrefix, type IpPrefix } from 'node-bgp/address';
import { encodeAttributes } from 'node-bgp/codec/parse';

export interface ChurnPeer {
  readonly name: string;
  readonly as: number;
  /** Length of the AS paths it announces: the shortest is best. */
  readonly pathLength: number;
  readonly localAddress: string;
  readonly localAddress6: string;
  /** How it leaves now and then: with a Cease, or cut off without a word, which graceful restart (RFC 4724) has to bridge. */
  readonly flaps: 'never' | 'cease' | 'reset';
}

/** By prefix as text: the serial number of the announcement that stands. */
export type PeerTable = Readonly<Record<string, number>>;

export const prefixOf = (index: number): IpPrefix =>
  parsePrefix(
    index % 2 === 0
      ? `20.${(index >> 9) & 255}.${(index >> 1) & 255}.0/24`
      : `2001:db8:${((index >> 1) & 0xffff).toString(16)}::/48`,
  );

export const prefixText = (index: number): string => formatPrefix(prefixOf(index));

export function attributesOf({ as, pathLength }: ChurnPeer, serial: number): Uint8Array {
  return encodeAttributes({
    origin: 'igp',
    med: serial,
    communities: [((64999 << 16) | (serial % 16)) >>> 0],
    asPath: [
      {
        type: 'sequence',
        members: Array.from({ length: pathLength }, (_, hop) => (hop === 0 ? as : 4_200_000_000 + hop)),
      },
    ],
  });
}

export const nextHopOf = ({ localAddress, localAddress6 }: ChurnPeer, index: number): Uint8Array =>
  addressToBytes(parseAddress(index % 2 === 0 ? localAddress : localAddress6));

/** Prefix to the name of the peer whose route must be chosen. */
export function bestOf(
  peers: readonly ChurnPeer[],
  tables: Readonly<Record<string, PeerTable>>,
): ReadonlyMap<string, ChurnPeer> {
  const best = new Map<string, ChurnPeer>();
  const worstFirst = [...peers].sort((a, b) => b.pathLength - a.pathLength);
  for (const peer of worstFirst) for (const prefix of Object.keys(tables[peer.name] ?? {})) best.set(prefix, peer);
  return best;
}

/** Numbers in [0, 1) that a seed decides (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}
