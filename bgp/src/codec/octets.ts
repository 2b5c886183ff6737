/**
 * Big-endian integers in byte arrays. Readers take an offset the caller has already checked; the writer grows by itself.
 */

/** Unsigned 16 bits at `at`. Bounds are the caller's duty: a read past the end yields 0 bits there, never a throw. */
export const read16 = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);

/** Unsigned 32 bits at `at`; bounds as for read16. */
export const read32 = (bytes: Uint8Array, at: number): number =>
  ((read16(bytes, at) << 16) | read16(bytes, at + 2)) >>> 0;

export const read64 = (bytes: Uint8Array, at: number): bigint =>
  (BigInt(read32(bytes, at)) << 32n) | BigInt(read32(bytes, at + 4));

export function write16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function write32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Copies a short range byte by byte: below some hundred bytes this beats `set(subarray())`, which makes an object. */
export function copyOctets(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): number {
  if (end - start > 256) to.set(from.subarray(start, end), at);
  else for (let i = start, j = at; i < end; i++, j++) to[j] = from[i] ?? 0;
  return at + end - start;
}

export const equalOctets = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index]);

/** "0a0b0c"; at most `limit` bytes, then an ellipsis. */
export function formatHex(bytes: Uint8Array, limit = 64): string {
  const text = Array.from(bytes.subarray(0, limit), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return bytes.length > limit ? `${text}… (${bytes.length} bytes)` : text;
}

/** Text of a peer's making, fit for a terminal and a log: control and other invisible characters as "\u001b". */
export const escapeText = (text: string): string =>
  text.replace(/\p{C}/gu, (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);

/** Appends to a buffer that doubles when full. */
export class OctetWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  u16(value: number): this {
    this.#reserve(2);
    write16(this.#bytes, this.#length, value);
    this.#length += 2;
    return this;
  }

  u32(value: number): this {
    this.#reserve(4);
    write32(this.#bytes, this.#length, value);
    this.#length += 4;
    return this;
  }

  u64(value: bigint): this {
    return this.u32(Number((value >> 32n) & 0xffffffffn)).u32(Number(value & 0xffffffffn));
  }

  bytes(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** Overwrites what was written at `at`: a length field that is known only afterwards. */
  patch16(at: number, value: number): void {
    write16(this.#bytes, at, value);
  }

  patch8(at: number, value: number): void {
    this.#bytes[at] = value;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + count));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
