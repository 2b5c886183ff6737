/**
 * A fuzzer for everything that decodes bytes of strangers. Inputs are built by the grammar of the messages, then damaged, or are
 * damaged relatives of inputs that made a decoder do something new (its *signature*: which errors, which attributes, which
 * blocks). Nothing is random but the seed, so every finding can be repeated.
 *
 * A target throws when the decoder broke a promise: it threw, pointed outside its input, or contradicted itself.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** xorshift32: fast, and the same everywhere. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0 || 0x2545f491;
  }

  /** 0 <= result < limit. */
  below(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % limit;
  }

  oneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  pick<T>(list: readonly [T, ...T[]]): T {
    return list[this.below(list.length)] ?? list[0];
  }
}

export interface FuzzTarget {
  readonly name: string;
  /** Builds one input by the grammar into `out`; returns its length. */
  readonly generate: (chance: Chance, out: Uint8Array) => number;
  /** Feeds an input; returns its signature. Throws on a broken promise. */
  readonly run: (input: Uint8Array, chance: Chance) => number;
}

const CAPACITY = 4096;
/** BOUNDED: inputs kept because they did something new. */
const MAX_KEPT = 2048;

export interface FuzzReport {
  readonly inputs: number;
  readonly signatures: number;
  readonly seconds: number;
  readonly slowestMs: number;
}

export class FuzzFailure extends Error {
  override readonly name = 'FuzzFailure';
}

/** Feeds `count` inputs to a target; throws FuzzFailure with the input in hexadecimal when one breaks a promise. */
export function fuzz(target: FuzzTarget, count: number, seed: number, corpus: readonly Uint8Array[]): FuzzReport {
  const chance = new Chance(seed);
  const kept: Uint8Array[] = corpus.filter(({ length }) => length <= CAPACITY).slice(0, MAX_KEPT / 2);
  const seen = new Set<number>();
  const buffer = new Uint8Array(CAPACITY);
  const begin = performance.now();
  let slowestMs = 0;
  let batchAt = begin;
  for (let i = 0; i < count; i++) {
    const relative = kept.length > 0 && chance.oneIn(2) ? kept[chance.below(kept.length)] : undefined;
    let length = relative?.length ?? 0;
    if (relative === undefined) length = target.generate(chance, buffer);
    else buffer.set(relative);
    if (relative !== undefined || !chance.oneIn(4)) length = damage(chance, buffer, length);
    const input = buffer.subarray(0, length);
    let signature: number;
    try {
      signature = target.run(input, chance);
    } catch (cause) {
      throw new FuzzFailure(
        `${target.name}, seed ${seed}, input ${i}: ${Buffer.from(input).toString('hex')}: ${String(cause)}`,
        { cause },
      );
    }
    if (!seen.has(signature) && seen.size < 1_000_000) {
      seen.add(signature);
      if (kept.length < MAX_KEPT) kept.push(input.slice());
      else kept[chance.below(MAX_KEPT)] = input.slice();
    }
    if ((i & 255) === 255) {
      const now = performance.now();
      slowestMs = Math.max(slowestMs, now - batchAt);
      batchAt = now;
    }
  }
  return { inputs: count, signatures: seen.size, seconds: (performance.now() - begin) / 1000, slowestMs };
}

/** One to four byte-level injuries; returns the new length. */
export function damage(chance: Chance, bytes: Uint8Array, length: number): number {
  for (let wounds = 1 + chance.below(4); wounds > 0; wounds--) {
    const at = length === 0 ? 0 : chance.below(length);
    switch (chance.below(8)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8));
        break;
      case 1:
        bytes[at] = chance.below(256);
        break;
      case 2:
        bytes[at] = chance.pick([0, 1, 0x7f, 0x80, 0xff]);
        break;
      case 3:
        bytes[at] = (bytes[at] ?? 0) + chance.pick([1, -1, 2, -2]);
        break;
      case 4:
        length = at;
        break;
      case 5:
        if (length < CAPACITY) {
          bytes.copyWithin(at + 1, at, length++);
          bytes[at] = chance.below(256);
        }
        break;
      case 6:
        if (length > 0) bytes.copyWithin(at, at + 1, length--);
        break;
      default: {
        const size = Math.min(chance.below(16), length - at, CAPACITY - length);
        if (size > 0) {
          bytes.copyWithin(at + size, at, length);
          length += size;
        }
      }
    }
  }
  return length;
}

/** Makes one number of several. */
export const mix = (hash: number, value: number): number => Math.imul(hash ^ value, 0x9e3779b1) ^ (hash >>> 13);

export function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`Broken promise: ${what}`);
}

/** Inputs that are kept: `test/fixtures/bgp/corpus/<target>*.hex`, one a line, `#` begins a comment. */
export function readCorpus(target: string): Uint8Array[] {
  const folder = fileURLToPath(new URL('../../../../test/fixtures/bgp/corpus/', import.meta.url));
  return readdirSync(folder)
    .filter((file) => file.startsWith(target) && file.endsWith('.hex'))
    .flatMap((file) =>
      readFileSync(join(folder, file), 'utf8')
        .split('\n')
        .map((line) => line.replace(/#.*/, '').trim())
        .filter((line) => line !== '')
        .map((line) => Uint8Array.from(Buffer.from(line, 'hex'))),
    );
}
