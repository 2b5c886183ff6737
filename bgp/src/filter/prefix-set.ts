/**
 * A list of prefixes with length ranges, asked for one prefix at a time without an allocation: one look-up per length that occurs
 * in the list, however long the list is. Prefixes come as the RIB has them, in unsigned 32-bit words.
 */
import { bitsOf, parsePrefix, type Family, type IpPrefix } from '../address.js';
import type { PrefixMatch } from '../config.js';

/** Lengths of a prefix inside `prefix` that match. */
interface Range {
  readonly words: readonly number[];
  readonly min: number;
  readonly max: number;
}

/** Entries of one base length, by hash of their words. */
interface Level {
  readonly length: number;
  readonly buckets: ReadonlyMap<number, readonly Range[]>;
}

export class PrefixSet {
  /** By family; a length that no entry has is not asked for. */
  readonly #levels: Readonly<Record<Family, readonly Level[]>>;
  /** Entries that match everything but their range: rare, so a list. */
  readonly #negated: readonly { readonly family: Family; readonly length: number; readonly range: Range }[];

  constructor(matches: readonly PrefixMatch[]) {
    const entries = matches.map((match) => {
      const prefix = parsePrefix(match.prefix);
      const range: Range = {
        words: wordsOf(prefix),
        min: match.minLength ?? prefix.length,
        max: match.maxLength ?? Math.max(prefix.length, match.minLength ?? 0),
      };
      return { family: prefix.family, length: prefix.length, range, isNegated: match.not === true };
    });
    const plain = entries.filter(({ isNegated }) => !isNegated);
    this.#levels = {
      4: levelsOf(plain.filter(({ family }) => family === 4)),
      6: levelsOf(plain.filter(({ family }) => family === 6)),
    };
    this.#negated = entries.filter(({ isNegated }) => isNegated);
  }

  /** Does any entry match the prefix whose address has its words at `words[at...]`? */
  has(family: Family, words: Uint32Array, at: number, length: number): boolean {
    for (const level of this.#levels[family]) {
      if (level.length > length) break;
      const bucket = level.buckets.get(hashOf(family, words, at, level.length));
      if (bucket === undefined) continue;
      for (const range of bucket)
        if (length >= range.min && length <= range.max && startsWith(family, words, at, range.words, level.length))
          return true;
    }
    for (const { family: of, length: base, range } of this.#negated)
      if (
        of !== family ||
        length < base ||
        length < range.min ||
        length > range.max ||
        !startsWith(family, words, at, range.words, base)
      )
        return true;
    return false;
  }
}

function levelsOf(
  entries: readonly { readonly family: Family; readonly length: number; readonly range: Range }[],
): readonly Level[] {
  const levels = new Map<number, Map<number, Range[]>>();
  for (const { family, length, range } of entries) {
    const buckets = levels.get(length) ?? new Map<number, Range[]>();
    levels.set(length, buckets);
    const hash = hashOf(family, Uint32Array.from(range.words), 0, length);
    const bucket = buckets.get(hash);
    if (bucket === undefined) buckets.set(hash, [range]);
    else bucket.push(range);
  }
  return [...levels].sort(([a], [b]) => a - b).map(([length, buckets]) => ({ length, buckets }));
}

/** The leading `length` bits of word `i`. */
const masked = (word: number, i: number, length: number): number => {
  const bits = length - 32 * i;
  return bits >= 32 ? word : bits <= 0 ? 0 : word & (0xffffffff << (32 - bits));
};

/** A number below 2^31 of the leading `length` bits: a small integer, so that the map need not box it. */
function hashOf(family: Family, words: Uint32Array, at: number, length: number): number {
  let hash = length;
  for (let i = 0; i < (family === 4 ? 1 : 4); i++)
    hash = Math.imul(hash ^ masked(words[at + i] ?? 0, i, length), 0x9e3779b1) ^ (hash >>> 15);
  return hash & 0x3fffffff;
}

function startsWith(
  family: Family,
  words: Uint32Array,
  at: number,
  wanted: readonly number[],
  length: number,
): boolean {
  for (let i = 0; i < (family === 4 ? 1 : 4); i++)
    if (masked((words[at + i] ?? 0) ^ (wanted[i] ?? 0), i, length) !== 0) return false;
  return true;
}

/** One word of an IPv4 prefix, four of an IPv6 one. */
export function wordsOf({ family, value }: IpPrefix): number[] {
  const bits = bitsOf(family);
  return Array.from({ length: bits / 32 }, (_, i) => Number((value >> BigInt(bits - 32 - 32 * i)) & 0xffffffffn));
}
