/**
 * Ports and protocols: numbers as the packet carries them, lists of ranges in canonical form, and their cutting into pieces
 * that one kernel rule can hold.
 */
import { portSlots, type PortRange } from '../ruleset.js';

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ICMPV6 = 58;
export const SCTP = 132;
export const UDPLITE = 136;

const NUMBERS: ReadonlyMap<string, number> = new Map([
  ['TCP', TCP],
  ['UDP', UDP],
  ['SCTP', SCTP],
  ['ICMP', ICMP],
  ['ICMPV6', ICMPV6],
  ['UDPLITE', UDPLITE],
]);

/** Number of a protocol by its name in any case; undefined for unknown names. */
export const protocolNumber = (name: string): number | undefined => NUMBERS.get(name.toUpperCase());

/** Name as ipset prints it in hash:ip,port members. */
export function protocolName(protocol: number): string {
  for (const [name, number] of NUMBERS)
    if (number === protocol) return name === 'ICMPV6' ? 'icmpv6' : name.toLowerCase();
  return `${protocol}`;
}

/** Protocols whose packets carry ports that the kernel can match (xt_multiport). */
export const hasPorts = (protocol: number): boolean =>
  protocol === TCP || protocol === UDP || protocol === SCTP || protocol === UDPLITE;

/** Sorted, disjoint and not adjacent: equal sets of ports have equal lists. */
export function unionPorts(ranges: readonly PortRange[]): readonly PortRange[] {
  const kept: PortRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.from - b.from || a.to - b.to)) {
    const last = kept[kept.length - 1];
    if (last !== undefined && range.from <= last.to + 1)
      kept[kept.length - 1] = { from: last.from, to: Math.max(last.to, range.to) };
    else kept.push(range);
  }
  return kept;
}

export const portsContain = (ports: readonly PortRange[], port: number): boolean =>
  ports.some((range) => range.from <= port && port <= range.to);

/** xt_multiport takes 15 slots and a range fills two. */
const SLOTS_PER_RULE = 15;

export function chunkPorts(ports: readonly PortRange[]): readonly (readonly PortRange[])[] {
  const chunks: PortRange[][] = [];
  let room = 0;
  for (const range of ports) {
    if (portSlots(range) > room) {
      chunks.push([]);
      room = SLOTS_PER_RULE;
    }
    chunks[chunks.length - 1]?.push(range);
    room -= portSlots(range);
  }
  return chunks;
}
