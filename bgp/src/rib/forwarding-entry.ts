/** What the forwarding table says of a prefix, and who is told of changes. */
import type { Family, IpAddress } from '../address.js';

/** One way to forward. Without an address the prefix is on the link itself. */
export interface ForwardingHop {
  readonly address?: IpAddress;
  readonly interfaceName?: string;
  readonly weight: number;
  /** The address is on the link whatever the prefixes of the link say: of a kernel route that says so. */
  readonly isOnlink?: true;
}

/** Interned: two prefixes with the same hops share the one object, so it may key a cache of encoded messages. */
export interface ForwardingEntry {
  readonly hops: readonly ForwardingHop[];
  /** Kernel metric asked for by import policy. */
  readonly metric?: number;
}

/**
 * Receiver of forwarding changes. `words` has the address in 1 or 4 unsigned 32-bit words starting at `offset`; read it
 * before returning. `entry` undefined: take the prefix out.
 */
export type ForwardingSink = (
  family: Family,
  words: Uint32Array,
  offset: number,
  length: number,
  entry: ForwardingEntry | undefined,
) => void;
