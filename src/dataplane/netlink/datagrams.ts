/**
 * Many datagrams with one system call (recvmmsg(2)): the kernel tells events one a datagram, thousands a second, and a call for
 * each would cost more than what is in it.
 *
 * ```
 * struct mmsghdr, 64-bit: name(8) name length(4) pad(4) iov(8) iov length(8) control(8) control length(8) flags(4) pad(4) length(4) pad(4)
 * struct iovec, 64-bit:   base(8) length(8)
 * ```
 */
import { endianness } from 'node:os';
import koffi from 'koffi';
import { EAGAIN, EINTR, ENOBUFS, MSG_DONTWAIT, MSG_TRUNC } from '../libc.js';
import { SystemError } from '../system-error.js';

const receiveMany = koffi.load(null).func('int recvmmsg(int, void *, unsigned int, int, void *)') as (
  fd: number,
  headers: Uint8Array,
  count: number,
  flags: number,
  timeout: null,
) => number;

const HEADER = 64;
const IOV_AT = 16;
const IOV_COUNT_AT = 24;
const LENGTH_AT = 56;
const IOVEC = 16;
const isLittleEndian = endianness() === 'LE';

/** What one call found. */
export type Received =
  /** So many datagrams; fewer than the reader takes: there are no more now. */
  | { readonly type: 'datagrams'; readonly count: number }
  /** The kernel dropped some since the last call: the receive buffer was full. What is in it can be read yet. */
  | { readonly type: 'lost' };

/** Reads datagrams of a socket into memory of its own, which the next call overwrites. */
export class DatagramReader {
  private readonly memory: Buffer;
  private readonly headers: Buffer;
  private readonly view: DataView;
  private readonly vectors: Buffer;

  /**
   * @param most datagrams a call
   * @param size of the longest, in octets; what is longer is cut, and `lengthOf` says its own length
   */
  constructor(
    readonly most: number,
    readonly size: number,
  ) {
    // Memory outside V8's heap stays where it is.
    this.memory = Buffer.allocUnsafeSlow(most * size);
    this.headers = Buffer.alloc(Math.max(most * HEADER, 8192));
    this.vectors = Buffer.alloc(Math.max(most * IOVEC, 8192));
    this.view = new DataView(this.headers.buffer, this.headers.byteOffset);
    const vectors = new DataView(this.vectors.buffer, this.vectors.byteOffset);
    const [base, first] = [koffi.address(this.memory), koffi.address(this.vectors)];
    for (let i = 0; i < most; i++) {
      vectors.setBigUint64(i * IOVEC, base + BigInt(i * size), isLittleEndian);
      vectors.setBigUint64(i * IOVEC + 8, BigInt(size), isLittleEndian);
      this.view.setBigUint64(i * HEADER + IOV_AT, first + BigInt(i * IOVEC), isLittleEndian);
      this.view.setBigUint64(i * HEADER + IOV_COUNT_AT, 1n, isLittleEndian);
    }
  }

  /** Without waiting. @throws SystemError */
  read(fd: number): Received {
    for (;;) {
      const count = receiveMany(fd, this.headers, this.most, MSG_DONTWAIT | MSG_TRUNC, null);
      if (count >= 0) return { type: 'datagrams', count };
      const errno = koffi.errno();
      if (errno === EAGAIN) return { type: 'datagrams', count: 0 };
      if (errno === ENOBUFS) return { type: 'lost' };
      if (errno !== EINTR) throw new SystemError('Cannot receive from the socket', errno);
    }
  }

  /** All datagrams lie here, each at a multiple of `size`. */
  get bytes(): Buffer {
    return this.memory;
  }

  /** Of the datagram of the last call; more than `size` when it was cut. */
  lengthOf(index: number): number {
    return this.view.getUint32(index * HEADER + LENGTH_AT, isLittleEndian);
  }
}
