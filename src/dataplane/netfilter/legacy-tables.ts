/**
 * Tells cheaply whether a legacy table has changed since the last look. Legacy iptables sends no events; what it has is
 * getsockopt(2): IPT_SO_GET_INFO (number and size of all entries) and IPT_SO_GET_ENTRIES (the table itself, which is compared
 * with counters masked). Some 20 us for a small table and a few ms for 10,000 rules, and no child process.
 *
 * ```
 * struct ipt_getinfo (linux/netfilter_ipv4/ip_tables.h): name(32) valid_hooks(4) hook_entry(20) underflow(20) num_entries(4) size(4)
 * struct ipt_entry:  ip(84)  nfcache(4) target_offset(2) next_offset(2) comefrom(4) counters(16)         matches, target ...
 * struct ip6t_entry: ip6(136) nfcache(4) target_offset(2) next_offset(2) comefrom(4) pad(4) counters(16) matches, target ...
 * ```
 */
import { endianness } from 'node:os';
import type { Family, Table } from '@tortie/policy/ruleset';
import { AF_INET, AF_INET6, closeFd, getSocketBytes, openSocket, SOCK_RAW } from '../libc.js';
import { SystemError } from '../system-error.js';

const IPPROTO_RAW = 255;
/** SOL_IP and SOL_IPV6, with the option numbers that both families share. */
const LEVEL: Readonly<Record<Family, number>> = { 4: 0, 6: 41 };
const GET_INFO = 64;
const GET_ENTRIES = 65;
const INFO_SIZE = 84;
const ENTRIES_HEADER = 40;
const ENOENT = 2;
const EAGAIN = 11;

interface EntryLayout {
  readonly nextOffset: number;
  /** Of the counters: packets(8) octets(8). */
  readonly counters: number;
  /** nfcache..counters but for target_offset and next_offset: kernel scratch and counts, which change without anybody's doing. */
  readonly masked: readonly (readonly [start: number, end: number])[];
}

const LAYOUT: Readonly<Record<Family, EntryLayout>> = {
  4: {
    nextOffset: 90,
    counters: 96,
    masked: [
      [84, 88],
      [92, 112],
    ],
  },
  6: {
    nextOffset: 142,
    counters: 152,
    masked: [
      [136, 140],
      [144, 168],
    ],
  },
};

/** Watches the tables of one family in the namespace of the thread that creates it. */
export class LegacyTables {
  private readonly fd: number;
  private readonly seen = new Map<Table, Buffer>();
  /**
   * What the last look at a table read into and nobody holds: a table of 10,000 Services has 20 MB, and as many new ones at every look
   * cost more than looking. BOUNDED by one a table, of its size.
   */
  private readonly spare = new Map<Table, Buffer>();

  constructor(private readonly family: Family) {
    this.fd = openSocket(family === 4 ? AF_INET : AF_INET6, SOCK_RAW, IPPROTO_RAW);
  }

  /** True if the table is not what it was at the last call, or if this is the first one. */
  hasChanged(table: Table): boolean {
    const entries = this.read(table);
    if (entries === undefined) {
      this.spare.delete(table);
      return this.seen.delete(table);
    }
    const before = this.seen.get(table);
    const isSame = before?.equals(entries) === true;
    if (!isSame) this.seen.set(table, entries);
    const free = isSame ? entries : before;
    if (free === undefined) this.spare.delete(table);
    else this.spare.set(table, free);
    return !isSame;
  }

  /** Takes what stands now as known: we have just written it ourselves. What slips in between is found by the read-back. */
  rebase(table: Table): void {
    this.hasChanged(table);
  }

  /** The rules of a table with what they have counted; none where there is no such table, or it changes as it is read. */
  entries(table: Table): readonly { readonly bytes: Buffer; readonly packets: number }[] {
    const whole = this.readWhole(table) ?? Buffer.alloc(0);
    const { nextOffset, counters } = LAYOUT[this.family];
    const found: { readonly bytes: Buffer; readonly packets: number }[] = [];
    for (let at = 0; at + counters + 8 <= whole.length; ) {
      const next = isLittleEndian ? whole.readUInt16LE(at + nextOffset) : whole.readUInt16BE(at + nextOffset);
      if (next === 0) throw new RangeError(`Cannot read a legacy table: the entry at ${at} has no length`);
      const packets = isLittleEndian ? whole.readBigUInt64LE(at + counters) : whole.readBigUInt64BE(at + counters);
      found.push({ bytes: whole.subarray(at, at + next), packets: Number(packets) });
      at += next;
    }
    return found;
  }

  close(): void {
    closeFd(this.fd);
  }

  /** The table's entries, masked, behind the head of the request; undefined if there is no such table. */
  private read(table: Table): Buffer | undefined {
    const whole = this.readWhole(table);
    return whole === undefined ? undefined : maskEntries(whole, this.family);
  }

  /** As the kernel has them. */
  private readWhole(table: Table): Buffer | undefined {
    const info = Buffer.alloc(INFO_SIZE);
    info.write(table, 'latin1');
    try {
      getSocketBytes(this.fd, LEVEL[this.family], GET_INFO, info);
      const size = read32(info, 80);
      const entries = Buffer.alloc(ENTRIES_HEADER + size);
      entries.write(table, 'latin1');
      write32(entries, 32, size);
      getSocketBytes(this.fd, LEVEL[this.family], GET_ENTRIES, entries);
      return entries.subarray(ENTRIES_HEADER);
    } catch (error) {
      if (error instanceof SystemError && error.errno === ENOENT) return undefined;
      // The table changed between the two calls (EAGAIN): an empty buffer differs from every real one.
      if (error instanceof SystemError && error.errno === EAGAIN) return Buffer.alloc(0);
      throw error;
    }
  }
}

/** Zeroes what changes by itself, in place. Exported for its test. */
export function maskEntries(entries: Buffer, family: Family): Buffer {
  const { nextOffset, masked } = LAYOUT[family];
  for (let at = 0; at + nextOffset + 2 <= entries.length; ) {
    for (const [start, end] of masked) entries.fill(0, at + start, at + end);
    const next = isLittleEndian ? entries.readUInt16LE(at + nextOffset) : entries.readUInt16BE(at + nextOffset);
    if (next === 0) throw new RangeError(`Cannot read a legacy table: the entry at ${at} has no length`);
    at += next;
  }
  return entries;
}

const isLittleEndian = endianness() === 'LE';
const read32 = (bytes: Buffer, at: number): number =>
  isLittleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
const write32 = (bytes: Buffer, at: number, value: number): number =>
  isLittleEndian ? bytes.writeUInt32LE(value, at) : bytes.writeUInt32BE(value, at);
