/**
 * Encoded messages of one update group, written once and read by all its members, each at its own pace.
 *
 * Messages are appended to slabs; what has been appended since the last reader came is one buffer, handed out whole to everyone.
 * A member that must not see part of it (a route goes not back to the peer it came from) has that part cut out, and in its place
 * something of its own if need be; the others never notice.
 *
 * A member's place is its next buffer, plus buffers left over from a group it was in before. Buffers all members have taken are
 * dropped. BOUNDED: the group stops producing, or sets slow members apart, at the output limit.
 */
import { HEADER_LENGTH } from '../iana.js';
import type { PeerId } from './rib-peer.js';

/** What is handed out to one member. */
export interface Output {
  readonly buffers: Uint8Array[];
  /** In all buffers together. */
  messages: number;
}

/** A part of a buffer that one peer gets something else for, or nothing. */
interface Exception {
  readonly start: number;
  end: number;
  readonly instead: Uint8Array | undefined;
}

export interface OutputBuffer {
  readonly bytes: Uint8Array;
  /** In `bytes`; counted once for all readers, when the first one takes it. */
  messages: number | undefined;
  readonly exceptions: ReadonlyMap<PeerId, readonly Exception[]> | undefined;
}

export interface OutputReader {
  readonly peer: PeerId;
  /** From groups the peer was in before; to be sent first. */
  backlog: OutputBuffer[];
  backlogOctets: number;
  /** Sequence number of the next buffer of the queue. */
  sequence: number;
  /** Octets of the queue it has taken. */
  taken: number;
}

const SLAB = 64 * 1024;

export class OutputQueue {
  #slab: Buffer;
  #start = 0;
  #end = 0;
  #exceptions: Map<PeerId, Exception[]> | undefined;
  readonly #sealed: OutputBuffer[] = [];
  #base = 0;
  /** Octets appended, ever. */
  #written = 0;
  readonly #readers = new Set<OutputReader>();
  readonly #longest: number;

  constructor(longestMessage: number) {
    this.#longest = longestMessage;
    this.#slab = Buffer.allocUnsafeSlow(0);
  }

  /** Makes room for a message of any allowed length. It is written to `slab` at `at`, then `commit`ted. */
  reserve(): void {
    if (this.#slab.length - this.#end >= this.#longest) return;
    this.#seal();
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB, this.#longest));
    this.#start = 0;
    this.#end = 0;
  }

  get slab(): Uint8Array {
    return this.#slab;
  }

  get at(): number {
    return this.#end;
  }

  /** Adds what was written up to `end`; `hiddenFrom` gets `instead` in its place. */
  commit(end: number, hiddenFrom: PeerId | undefined, instead?: Uint8Array): void {
    if (hiddenFrom !== undefined) this.#except(hiddenFrom, this.#end - this.#start, end - this.#start, instead);
    this.#written += end - this.#end;
    this.#end = end;
  }

  #except(peer: PeerId, start: number, end: number, instead: Uint8Array | undefined): void {
    this.#exceptions ??= new Map();
    const list = this.#exceptions.get(peer);
    const last = list?.at(-1);
    if (list === undefined) this.#exceptions.set(peer, [{ start, end, instead }]);
    else if (last !== undefined && last.end === start && last.instead === undefined && instead === undefined)
      last.end = end;
    else list.push({ start, end, instead });
  }

  /** A reader of everything appended from now on. */
  join(peer: PeerId): OutputReader {
    this.#seal();
    const reader: OutputReader = {
      peer,
      backlog: [],
      backlogOctets: 0,
      sequence: this.#base + this.#sealed.length,
      taken: this.#written,
    };
    this.#readers.add(reader);
    return reader;
  }

  /** Something for this reader alone, after what it has to read already. Only right after `join`. */
  addFor(reader: OutputReader, bytes: Uint8Array): void {
    reader.backlog.push({ bytes, messages: undefined, exceptions: undefined });
    reader.backlogOctets += bytes.length;
  }

  /** The reader goes to another queue and takes along what it has not read. */
  move(reader: OutputReader, to: OutputQueue): void {
    this.#seal();
    const rest = this.#sealed.slice(reader.sequence - this.#base);
    // A peer that reads nothing for long has more than fit the arguments of a call.
    reader.backlog = reader.backlog.concat(rest);
    for (const { bytes } of rest) reader.backlogOctets += bytes.length;
    this.leave(reader);
    to.#seal();
    reader.sequence = to.#base + to.#sealed.length;
    reader.taken = to.#written;
    to.#readers.add(reader);
  }

  leave(reader: OutputReader): void {
    this.#readers.delete(reader);
    this.#drop();
  }

  /** Octets appended that the reader has not taken. */
  pending(reader: OutputReader): number {
    return reader.backlogOctets + this.#written - reader.taken;
  }

  /** Nothing was ever appended. */
  get isFresh(): boolean {
    return this.#written === 0;
  }

  /** Appends up to about `limit` octets for the reader to `out`; returns how many. */
  take(reader: OutputReader, limit: number, out: Output): number {
    let octets = 0;
    let used = 0;
    for (; octets < limit && used < reader.backlog.length; used++) {
      const buffer = reader.backlog[used] as OutputBuffer;
      octets += buffer.bytes.length;
      give(buffer, reader.peer, out);
    }
    // At once: taking one by one off the front of a long list costs its length each time.
    reader.backlog.splice(0, used);
    reader.backlogOctets -= octets;
    if (octets >= limit) return octets;
    if (this.#end > this.#start) this.#seal();
    const wasLast = reader.sequence === this.#base;
    for (let i = reader.sequence - this.#base; i < this.#sealed.length && octets < limit; i++) {
      const buffer = this.#sealed[i] as OutputBuffer;
      reader.sequence++;
      reader.taken += buffer.bytes.length;
      octets += buffer.bytes.length;
      give(buffer, reader.peer, out);
    }
    if (wasLast) this.#drop();
    return octets;
  }

  #seal(): void {
    if (this.#end === this.#start) return;
    this.#sealed.push({
      bytes: this.#slab.subarray(this.#start, this.#end),
      messages: undefined,
      exceptions: this.#exceptions,
    });
    this.#start = this.#end;
    this.#exceptions = undefined;
  }

  #drop(): void {
    let least = this.#base + this.#sealed.length;
    for (const { sequence } of this.#readers) if (sequence < least) least = sequence;
    this.#sealed.splice(0, least - this.#base);
    this.#base = least;
  }
}

function give(buffer: OutputBuffer, peer: PeerId, out: Output): void {
  const { bytes } = buffer;
  out.messages += buffer.messages ??= countMessages(bytes, 0, bytes.length);
  const own = buffer.exceptions?.get(peer);
  if (own === undefined) {
    out.buffers.push(bytes);
    return;
  }
  let at = 0;
  for (const { start, end, instead } of own) {
    if (start > at) out.buffers.push(bytes.subarray(at, start));
    if (instead !== undefined) out.buffers.push(instead);
    out.messages +=
      (instead === undefined ? 0 : countMessages(instead, 0, instead.length)) - countMessages(bytes, start, end);
    at = end;
  }
  if (at < bytes.length) out.buffers.push(bytes.subarray(at));
}

/** By their headers (RFC 4271 section 4.1). */
function countMessages(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let at = start; at < end; at += Math.max(HEADER_LENGTH, ((bytes[at + 16] ?? 0) << 8) | (bytes[at + 17] ?? 0)))
    count++;
  return count;
}
