/**
 * Blocks that have an owner, of any size and from any pool, and whether a range has an address in one of them.
 *
 * Pools come and go and are made anew with other block sizes, so blocks of several sizes lie in one range: only their addresses
 * tell whether two of them are one another's. A question costs one look per length that is there, however many blocks there are.
 */
import { bitsOf, prefixesOverlap, type Family, type IpPrefix } from 'node-bgp/address';

const keyAt = ({ family, value }: IpPrefix, length: number): bigint => value >> BigInt(bitsOf(family) - length);

export class TakenBlocks {
  /** Per family and length: the blocks of that length. BOUNDED by the blocks, as is `within`. */
  private readonly blocks = new Map<string, { readonly length: number; readonly keys: Set<bigint> }>();
  /** Per family and length somebody has asked about: ranges of that length with a smaller block in them. */
  private readonly within = new Map<string, Set<bigint>>();

  constructor(private readonly prefixes: readonly IpPrefix[]) {
    for (const prefix of prefixes) {
      const name = `${prefix.family}/${prefix.length}`;
      const known = this.blocks.get(name) ?? { length: prefix.length, keys: new Set() };
      known.keys.add(keyAt(prefix, prefix.length));
      this.blocks.set(name, known);
    }
  }

  /** Does any address of the range lie in a block? */
  overlaps(range: IpPrefix): boolean {
    for (const [name, { length, keys }] of this.blocks)
      if (name.startsWith(`${range.family}/`) && length <= range.length && keys.has(keyAt(range, length))) return true;
    return this.withinAt(range.family, range.length).has(keyAt(range, range.length));
  }

  /** Is there a block of another length in the range, or around it? */
  hasOtherLengths(range: IpPrefix, length: number): boolean {
    return this.prefixes.some((prefix) => prefix.length !== length && prefixesOverlap(range, prefix));
  }

  private withinAt(family: Family, length: number): ReadonlySet<bigint> {
    const name = `${family}/${length}`;
    const known = this.within.get(name);
    if (known !== undefined) return known;
    const keys = new Set<bigint>();
    for (const prefix of this.prefixes)
      if (prefix.family === family && prefix.length > length) keys.add(keyAt(prefix, length));
    this.within.set(name, keys);
    return keys;
  }
}
