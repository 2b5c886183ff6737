/**
 * Addresses that are kept for a pod that is gone and may come again (docs/ipam.md, Addresses that stay). Types and reading only.
 *
 * Who an address is kept for is a text that the next pod of the same standing has too, whatever its UID and node: the caller makes it
 * ("StatefulSet shop/web-0"), nobody here reads it.
 */
import { tryParseAddress } from 'node-bgp/address';

/** What an owner's addresses are kept as once it is released. */
export interface Keep {
  readonly keptFor: string;
  /** How long, from the release on. */
  readonly seconds: number;
}

export interface Kept {
  readonly address: string;
  readonly keptFor: string;
  /** RFC 3339: free from then on. */
  readonly until: string;
}

export function isKept(value: unknown): value is Kept {
  if (typeof value !== 'object' || value === null) return false;
  const { address, keptFor, until } = value as Record<string, unknown>;
  return (
    tryParseAddress(String(address)) !== undefined &&
    typeof keptFor === 'string' &&
    typeof until === 'string' &&
    !Number.isNaN(Date.parse(until))
  );
}

export function isKeep(value: unknown): value is Keep {
  if (typeof value !== 'object' || value === null) return false;
  const { keptFor, seconds } = value as Record<string, unknown>;
  return typeof keptFor === 'string' && typeof seconds === 'number' && seconds > 0;
}
