/**
 * Cuts a TCP stream into BGP messages (RFC 4271 section 4.1) and checks their headers (section 6.1).
 *
 * A message that lies whole in a chunk is handed on in place; only one that straddles chunks is copied. BOUNDED: it holds
 * at most one incomplete message, so never more than the longest message allowed.
 */
import {
  ErrorCode,
  HEADER_LENGTH,
  HeaderError,
  MAX_EXTENDED_MESSAGE_LENGTH,
  MAX_MESSAGE_LENGTH,
  MessageType,
} from '../iana.js';
import { resetError, type BgpError } from './bgp-error.js';
import { read16 } from './octets.js';

/**
 * Takes one message: its type, and its body in `bytes[start, end)`, valid during the call only. Returning false stops the
 * framer: the rest of the stream belongs to a session that is over.
 */
export type OnMessage = (type: number, bytes: Uint8Array, start: number, end: number) => boolean | void;

/** Least length of a message by type (RFC 4271 section 6.1, RFC 2918); a type that is not here does not exist. */
const LEAST_LENGTH: Readonly<Record<number, number>> = {
  [MessageType.open]: 29,
  [MessageType.update]: 23,
  [MessageType.notification]: 21,
  [MessageType.keepalive]: HEADER_LENGTH,
  [MessageType.routeRefresh]: 23,
};

export class MessageFramer {
  readonly #onMessage: OnMessage;
  readonly #maxLength: number;
  /**
   * The incomplete message: `#held.subarray(0, #heldLength)`. Grows to the message's length, never beyond. A Buffer like what sockets hand
   * out: to V8 it is another kind of array than a plain Uint8Array, and code that has been compiled for one kind is thrown away for two.
   */
  #held: Uint8Array = Buffer.alloc(0);
  #heldLength = 0;
  #isStopped = false;

  /** `extended`: we announced RFC 8654, so the peer may send long messages at any time. */
  constructor(onMessage: OnMessage, extended = false) {
    this.#onMessage = onMessage;
    this.#maxLength = extended ? MAX_EXTENDED_MESSAGE_LENGTH : MAX_MESSAGE_LENGTH;
  }

  /** Feeds a chunk. An error is final: the stream cannot be trusted from there on, and the framer takes no more of it. */
  push(chunk: Uint8Array): BgpError | undefined {
    const error = this.#cut(chunk);
    if (error !== undefined) this.#isStopped = true;
    return error;
  }

  #cut(chunk: Uint8Array): BgpError | undefined {
    let at = 0;
    while (!this.#isStopped && at < chunk.length) {
      if (this.#heldLength === 0 && chunk.length - at >= HEADER_LENGTH) {
        const length = read16(chunk, at + 16);
        const error = this.#check(chunk, at, length);
        if (error !== undefined) return error;
        if (chunk.length - at >= length) {
          this.#deliver(chunk, at, length);
          at += length;
          continue;
        }
      }
      const outcome = this.#hold(chunk, at);
      if (typeof outcome !== 'number') return outcome;
      at = outcome;
    }
    return undefined;
  }

  /** Octets of the incomplete message at hand. */
  get pending(): number {
    return this.#heldLength;
  }

  /** Takes what the held message still misses from the chunk; returns the offset after it. */
  #hold(chunk: Uint8Array, at: number): number | BgpError {
    let next = this.#take(chunk, at, HEADER_LENGTH);
    if (this.#heldLength < HEADER_LENGTH) return next;
    const length = read16(this.#held, 16);
    const error = this.#check(this.#held, 0, length);
    if (error !== undefined) return error;
    next = this.#take(chunk, next, length);
    if (this.#heldLength < length) return next;
    this.#heldLength = 0;
    this.#deliver(this.#held, 0, length);
    return next;
  }

  /** Copies octets until `want` are held or the chunk ends. */
  #take(chunk: Uint8Array, at: number, want: number): number {
    const count = Math.min(Math.max(want - this.#heldLength, 0), chunk.length - at);
    if (this.#held.length < want) {
      const grown = Buffer.alloc(Math.max(want, Math.min(2 * this.#held.length, this.#maxLength)));
      grown.set(this.#held.subarray(0, this.#heldLength));
      this.#held = grown;
    }
    this.#held.set(chunk.subarray(at, at + count), this.#heldLength);
    this.#heldLength += count;
    return at + count;
  }

  #deliver(bytes: Uint8Array, at: number, length: number): void {
    if (this.#onMessage(bytes[at + 18] ?? 0, bytes, at + HEADER_LENGTH, at + length) === false) this.#isStopped = true;
  }

  /** RFC 4271 section 6.1, in its order: marker, length, type. */
  #check(bytes: Uint8Array, at: number, length: number): BgpError | undefined {
    for (let i = at; i < at + 16; i++)
      if (bytes[i] !== 0xff)
        return resetError(
          ErrorCode.messageHeader,
          HeaderError.notSynchronized,
          'Cannot read message: its marker is not all ones',
        );
    const type = bytes[at + 18] ?? 0;
    const least = LEAST_LENGTH[type] ?? HEADER_LENGTH;
    if (length < least || length > this.#maxLengthOf(type))
      return resetError(
        ErrorCode.messageHeader,
        HeaderError.badLength,
        `Cannot read message of type ${type}: its length is ${length}; expected ${least} to ${this.#maxLengthOf(type)}`,
        bytes.slice(at + 16, at + 18),
      );
    if (LEAST_LENGTH[type] === undefined)
      return resetError(
        ErrorCode.messageHeader,
        HeaderError.badType,
        `Cannot read message: its type ${type} is unknown`,
        Uint8Array.of(type),
      );
    return undefined;
  }

  /** RFC 8654 section 4: OPEN and KEEPALIVE stay short. */
  #maxLengthOf(type: number): number {
    if (type === MessageType.keepalive) return HEADER_LENGTH;
    return type === MessageType.open ? MAX_MESSAGE_LENGTH : this.#maxLength;
  }
}
