/** Messages of a datagram where they lie in a receive buffer, for readers that make no object of each (see message.ts for the others). */
import { endianness } from 'node:os';
import { NetlinkProtocolError } from './message.js';
import { align4, HEADER_SIZE } from './protocol.js';

const isLittleEndian = endianness() === 'LE';

/** `visit(type, start, end)`: bounds of what is behind the header. @throws NetlinkProtocolError at the first bad length */
export function forEachRawMessage(
  bytes: Buffer,
  start: number,
  end: number,
  visit: (type: number, start: number, end: number) => void,
): void {
  for (let at = start; at < end; ) {
    const length = at + HEADER_SIZE > end ? 0 : isLittleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
    if (length < HEADER_SIZE || at + length > end)
      throw new NetlinkProtocolError(
        `Cannot decode a netlink message of length ${length}: expected ${HEADER_SIZE} to ${end - at}`,
      );
    visit(isLittleEndian ? bytes.readUInt16LE(at + 4) : bytes.readUInt16BE(at + 4), at + HEADER_SIZE, at + length);
    at += align4(length);
  }
}
