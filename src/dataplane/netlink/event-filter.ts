/**
 * Which kernel events a socket is to have, as a program that the kernel runs before it queues them: whoever writes a hundred thousand
 * routes would otherwise read each of them again, and somebody else's hundred thousand would fill the buffer of a listener that
 * has no use for them.
 *
 * Notifications are one message a datagram, with the port id of the socket that asked for the change (0: the kernel itself) where
 * requests have theirs.
 */
import { endianness } from 'node:os';
import { FILTER_INSTRUCTION_SIZE } from '../libc.js';
import { HEADER_SIZE } from './protocol.js';
import { RTM_DELROUTE, RTM_NEWROUTE } from './route-message.js';

export interface EventFilter {
  /** Port ids of sockets (`NetlinkSocket.portId`) whose own changes are not told. */
  readonly notBy?: readonly number[];
  /** Routes of these protocols are not told. */
  readonly notOfProtocols?: readonly number[];
}

/** BOUNDED: jumps of classic BPF reach 255 instructions far. */
const MAX_ENTRIES = 64;

/** linux/bpf_common.h: load a word, a half, a byte at an offset; jump if equal; return. */
const LOAD_U32 = 0x20;
const LOAD_U16 = 0x28;
const LOAD_U8 = 0x30;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
const WHOLE = 0xffff_ffff;

const TYPE_AT = 4;
const PORT_AT = 12;
/** rtm_protocol. */
const PROTOCOL_AT = HEADER_SIZE + 5;

/** Undefined when there is nothing to leave out. */
export function eventProgram({ notBy = [], notOfProtocols = [] }: EventFilter): Uint8Array | undefined {
  if (notBy.length + notOfProtocols.length === 0) return undefined;
  if (notBy.length + notOfProtocols.length > MAX_ENTRIES)
    throw new RangeError(
      `Cannot filter events by ${notBy.length + notOfProtocols.length} values: at most ${MAX_ENTRIES}`,
    );
  const byProtocol: readonly Step[] =
    notOfProtocols.length === 0
      ? []
      : [
          { code: LOAD_U16, operand: TYPE_AT },
          { code: JUMP_IF_EQUAL, operand: swapped16(RTM_NEWROUTE), ifTrue: 1 },
          { code: JUMP_IF_EQUAL, operand: swapped16(RTM_DELROUTE), ifFalse: 'keep' },
          { code: LOAD_U8, operand: PROTOCOL_AT },
          ...notOfProtocols.map((protocol): Step => ({ code: JUMP_IF_EQUAL, operand: protocol, ifTrue: 'drop' })),
        ];
  return assemble([
    { code: LOAD_U32, operand: PORT_AT },
    ...notBy.map((port): Step => ({ code: JUMP_IF_EQUAL, operand: swapped32(port), ifTrue: 'drop' })),
    ...byProtocol,
  ]);
}

interface Step {
  readonly code: number;
  readonly operand: number;
  /** Steps to leave out when equal, when not; default none. */
  readonly ifTrue?: number | 'keep' | 'drop';
  readonly ifFalse?: number | 'keep' | 'drop';
}

function assemble(steps: readonly Step[]): Uint8Array {
  const isLittle = endianness() === 'LE';
  const program = new Uint8Array((steps.length + 2) * FILTER_INSTRUCTION_SIZE);
  const view = new DataView(program.buffer);
  const write = (index: number, code: number, ifTrue: number, ifFalse: number, operand: number): void => {
    const at = index * FILTER_INSTRUCTION_SIZE;
    view.setUint16(at, code, isLittle);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, operand, isLittle);
  };
  const [keep, drop] = [steps.length, steps.length + 1];
  const distance = (from: number, to: Step['ifTrue']): number =>
    to === undefined ? 0 : typeof to === 'number' ? to : (to === 'keep' ? keep : drop) - from - 1;
  for (const [index, { code, operand, ifTrue, ifFalse }] of steps.entries())
    write(index, code, distance(index, ifTrue), distance(index, ifFalse), operand);
  write(keep, RETURN, 0, 0, WHOLE);
  write(drop, RETURN, 0, 0, 0);
  return program;
}

/** BPF loads in network byte order what netlink writes in the machine's. */
const swapped16 = (value: number): number =>
  endianness() === 'LE' ? ((value & 0xff) << 8) | ((value >> 8) & 0xff) : value;
const swapped32 = (value: number): number =>
  endianness() === 'LE' ? swapped16(value & 0xffff) * 0x1_0000 + swapped16(value >>> 16) : value;
