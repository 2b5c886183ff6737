/**
 * Routing policy rules (RTM_NEWRULE, RTM_GETRULE; linux/fib_rules.h): which table a packet's route is looked up in.
 *
 * ```
 * struct fib_rule_hdr: family(1) dst_len(1) src_len(1) tos(1) table(1) res(2) action(1) flags(4), attributes
 * ```
 */
import { addressToBytes, bitsOf, formatAddress, type IpAddress } from 'node-bgp/address';
import { AF_INET, AF_INET6 } from '../libc.js';
import type { NetlinkBatch } from './batch.js';
import { forEachAttribute, type NetlinkMessage } from './message.js';
import type { NetlinkSocket } from './netlink-socket.js';
import { NLM_F_CREATE, NLM_F_EXCL } from './protocol.js';

const RTM_NEWRULE = 32;
const RTM_GETRULE = 34;
const FRA_SRC = 2;
const FRA_PRIORITY = 6;
const FRA_TABLE = 15;
const FR_ACT_TO_TBL = 1;
const HEADER_SIZE = 12;

/** Packets from this one address use this table. */
export interface SourceRule {
  readonly source: IpAddress;
  readonly table: number;
  /** Lower is asked first; `main` is at 32766. */
  readonly priority: number;
}

/** Appends the addition of a rule; the kernel answers EEXIST when it has exactly this one. */
export function writeSourceRule(batch: NetlinkBatch, { source, table, priority }: SourceRule): void {
  batch.beginMessage(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, () => `add rule from ${formatAddress(source)}`);
  writeHeader(batch, source.family, bitsOf(source.family), FR_ACT_TO_TBL);
  batch.attribute(FRA_SRC, addressToBytes(source));
  batch.attributeU32(FRA_PRIORITY, priority);
  batch.attributeU32(FRA_TABLE, table);
  batch.endMessage();
}

/** Rules of both families whose condition is one source address. */
export function listSourceRules(socket: NetlinkSocket): readonly SourceRule[] {
  const rules: SourceRule[] = [];
  const { batch } = socket;
  for (const family of [4, 6] as const) {
    const before = rules.length;
    batch.clear();
    batch.beginMessage(RTM_GETRULE, 0, () => `list IPv${family} rules`);
    writeHeader(batch, family, 0, 0);
    batch.endMessage();
    const keep = (message: NetlinkMessage): void => {
      const rule = message.type === RTM_NEWRULE ? decodeSourceRule(message) : undefined;
      if (rule !== undefined) rules.push(rule);
    };
    socket.dump(batch, keep, () => rules.splice(before));
  }
  return rules;
}

function decodeSourceRule({ body }: NetlinkMessage): SourceRule | undefined {
  const family = body.u8(0) === AF_INET ? 4 : 6;
  if (body.u8(2) !== bitsOf(family) || body.u8(7) !== FR_ACT_TO_TBL) return undefined;
  let source: IpAddress | undefined;
  let table = body.u8(4);
  let priority = 0;
  forEachAttribute(body, HEADER_SIZE, body.length, (type, start, end) => {
    if (type === FRA_SRC) source = body.address(start, end);
    else if (type === FRA_TABLE) table = body.u32(start);
    else if (type === FRA_PRIORITY) priority = body.u32(start);
  });
  return source === undefined ? undefined : { source, table, priority };
}

function writeHeader(batch: NetlinkBatch, family: 4 | 6, sourceLength: number, action: number): void {
  batch.u8(family === 4 ? AF_INET : AF_INET6);
  batch.u8(0);
  batch.u8(sourceLength);
  batch.u8(0);
  batch.u8(0);
  batch.u16(0);
  batch.u8(action);
  batch.u32(0);
}
