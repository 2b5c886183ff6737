/**
 * Requests on their way to the kernel: messages written one behind the other into one buffer, ready for one send.
 *
 * A batch is written, handed to a NetlinkSocket, and may then be cleared and written again, so that a steady stream of
 * requests allocates nothing. Typed writers (`writeRoute`, `writeLink`, ...) build on the primitive ones here.
 */
import { endianness } from 'node:os';
import { align4, HEADER_SIZE, NLA_F_NESTED, NLM_F_REQUEST } from './protocol.js';

const isLittleEndian = endianness() === 'LE';

/** What a message does, in words: called only for an error, with the batch's bytes and where the message starts. */
export type Subject = (bytes: Uint8Array, start: number) => string;

/** So many octets are copied faster one by one. */
const SHORT = 64;

/** Start of an attribute or message whose length is not yet known. */
export type Mark = number;

export class NetlinkBatch {
  private buffer: Uint8Array;
  private view: DataView;
  private end = 0;
  private readonly starts: number[] = [];
  /** What each message does, for error sentences; computed only when an error needs it. */
  private readonly subjects: Subject[] = [];

  constructor(capacity = 16_384) {
    this.buffer = new Uint8Array(capacity);
    this.view = new DataView(this.buffer.buffer);
  }

  /** Number of messages. */
  get count(): number {
    return this.starts.length;
  }

  /** All bytes written; valid until the next write. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.end);
  }

  /** Where message `index` starts in `bytes`; for `index === count`, where the last one ends. */
  offsetOf(index: number): number {
    return this.starts[index] ?? this.end;
  }

  /** What message `index` was to do: "add route 10.65.0.7/32". */
  subjectOf(index: number): string {
    return this.subjects[index]?.(this.buffer, this.offsetOf(index)) ?? 'send a netlink message';
  }

  clear(): void {
    this.end = 0;
    this.starts.length = 0;
    this.subjects.length = 0;
  }

  /** Puts the messages into another order: `order[i]` is the number of the one that is to be the i-th, and has each number once. */
  reorder(order: Uint32Array): void {
    const { buffer, starts, subjects } = this;
    const bounds = [...starts, this.end];
    const [oldSubjects, sorted] = [[...subjects], new Uint8Array(buffer.length)];
    let end = 0;
    for (let i = 0; i < order.length; i++) {
      const index = order[i] ?? 0;
      const [from = 0, to = 0, subject] = [bounds[index], bounds[index + 1], oldSubjects[index]];
      for (let at = from, into = end; at < to; at++, into++) sorted[into] = buffer[at] ?? 0;
      starts[i] = end;
      if (subject !== undefined) subjects[i] = subject;
      end += to - from;
    }
    this.buffer = sorted;
    this.view = new DataView(sorted.buffer);
  }

  /** Starts a message; NLM_F_REQUEST is added, sequence and port are the socket's to fill in. End it with `endMessage`. */
  beginMessage(type: number, flags: number, subject: () => string): void {
    this.reserve(HEADER_SIZE);
    const start = this.end;
    this.starts.push(start);
    this.subjects.push(subject);
    this.view.setUint16(start + 4, type, isLittleEndian);
    this.view.setUint16(start + 6, flags | NLM_F_REQUEST, isLittleEndian);
    this.view.setUint32(start + 8, 0, isLittleEndian);
    this.view.setUint32(start + 12, 0, isLittleEndian);
    this.end = start + HEADER_SIZE;
  }

  /** Appends a whole message written before, for the caller to patch: answers where it starts. For many that differ little. */
  copyMessage(template: Uint8Array, subject: Subject): Mark {
    this.reserve(template.length);
    const start = this.end;
    this.starts.push(start);
    this.subjects.push(subject);
    const { buffer } = this;
    for (let i = 0; i < template.length; i++) buffer[start + i] = template[i] ?? 0;
    this.end = start + template.length;
    return start;
  }

  endMessage(): void {
    const start = this.starts[this.starts.length - 1] ?? 0;
    this.view.setUint32(start, this.end - start, isLittleEndian);
  }

  /** Plain fields of a family header, without padding. Integers in host order unless the name says otherwise. */
  u8(value: number): void {
    this.reserve(1);
    this.view.setUint8(this.end, value);
    this.end += 1;
  }

  u16(value: number): void {
    this.reserve(2);
    this.view.setUint16(this.end, value, isLittleEndian);
    this.end += 2;
  }

  u16be(value: number): void {
    this.reserve(2);
    this.view.setUint16(this.end, value);
    this.end += 2;
  }

  u32(value: number): void {
    this.reserve(4);
    this.view.setUint32(this.end, value, isLittleEndian);
    this.end += 4;
  }

  i32(value: number): void {
    this.reserve(4);
    this.view.setInt32(this.end, value, isLittleEndian);
    this.end += 4;
  }

  u64be(value: bigint): void {
    this.reserve(8);
    this.view.setBigUint64(this.end, value);
    this.end += 8;
  }

  octets(value: Uint8Array): void {
    this.reserve(value.length);
    if (value.length > SHORT) this.buffer.set(value, this.end);
    else for (let i = 0; i < value.length; i++) this.buffer[this.end + i] = value[i] ?? 0;
    this.end += value.length;
  }

  /** An attribute's header alone, for callers that write the `length` payload bytes themselves, then `pad`. */
  attributeHeader(type: number, length: number): void {
    this.reserve(4 + align4(length));
    this.view.setUint16(this.end, 4 + length, isLittleEndian);
    this.view.setUint16(this.end + 2, type, isLittleEndian);
    this.end += 4;
  }

  attribute(type: number, payload: Uint8Array): void {
    this.attributeHeader(type, payload.length);
    this.octets(payload);
    this.pad();
  }

  /** An attribute without payload, whose presence is its meaning. */
  attributeFlag(type: number): void {
    this.attributeHeader(type, 0);
  }

  attributeU8(type: number, value: number): void {
    this.attributeHeader(type, 1);
    this.u8(value);
    this.pad();
  }

  attributeU16(type: number, value: number): void {
    this.attributeHeader(type, 2);
    this.u16(value);
    this.pad();
  }

  attributeU16be(type: number, value: number): void {
    this.attributeHeader(type, 2);
    this.u16be(value);
    this.pad();
  }

  attributeU32(type: number, value: number): void {
    this.attributeHeader(type, 4);
    this.u32(value);
  }

  attributeU32be(type: number, value: number): void {
    this.attributeHeader(type, 4);
    this.view.setUint32(this.end, value);
    this.end += 4;
  }

  attributeU64(type: number, value: bigint): void {
    this.attributeHeader(type, 8);
    this.view.setBigUint64(this.end, value, isLittleEndian);
    this.end += 8;
  }

  /** Text with its closing NUL. Names are ASCII and short: written in place they cost a tenth of an encoder's call. */
  attributeText(type: number, value: string): void {
    const start = this.end;
    this.attributeHeader(type, value.length + 1);
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) {
        this.end = start;
        this.attribute(type, Buffer.from(`${value}\0`, 'utf8'));
        return;
      }
      this.buffer[this.end + i] = code;
    }
    this.buffer[this.end + value.length] = 0;
    this.end += value.length + 1;
    this.pad();
  }

  /** Starts an attribute of attributes; `flagged` sets NLA_F_NESTED, as nfnetlink and newer families want it. */
  beginNest(type: number, flagged = false): Mark {
    const mark = this.end;
    this.attributeHeader(flagged ? type | NLA_F_NESTED : type, 0);
    return mark;
  }

  endNest(mark: Mark): void {
    this.view.setUint16(mark, this.end - mark, isLittleEndian);
  }

  /** Current write position, and a 16-bit length patched in later: for `struct rtnexthop`, which is no attribute. */
  get mark(): Mark {
    return this.end;
  }

  patchU16(at: Mark, value: number): void {
    this.view.setUint16(at, value, isLittleEndian);
  }

  patchU8(at: Mark, value: number): void {
    this.buffer[at] = value;
  }

  patchU32be(at: Mark, value: number): void {
    this.view.setUint32(at, value);
  }

  /** Fills up to the next multiple of 4 with zeros. */
  pad(): void {
    const aligned = align4(this.end);
    this.reserve(aligned - this.end);
    while (this.end < aligned) this.buffer[this.end++] = 0;
  }

  /** @internal NetlinkSocket: the message's sequence number and whether it wants an ack. */
  stamp(index: number, sequence: number, flags: number): void {
    const start = this.offsetOf(index);
    const current = this.view.getUint16(start + 6, isLittleEndian);
    this.view.setUint16(start + 6, current | flags, isLittleEndian);
    this.view.setUint32(start + 8, sequence, isLittleEndian);
  }

  /** BOUNDED by what the caller writes; grows by doubling. */
  private reserve(extra: number): void {
    const needed = this.end + extra;
    if (needed <= this.buffer.length) return;
    let capacity = this.buffer.length * 2;
    while (capacity < needed) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.buffer.subarray(0, this.end));
    this.buffer = grown;
    this.view = new DataView(grown.buffer);
  }
}
