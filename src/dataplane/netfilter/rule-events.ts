/**
 * Tells at once when somebody else changes what is ours under the nft backend: subscribes to nftables' events and reports the
 * families and tables in which one of our chains, or a built-in chain that we hook into, was touched by another process.
 *
 * The kernel sends the events of one transaction in order and closes it with NEWGEN, which names the process (linux/netfilter/
 * nf_tables.h: NFTA_GEN_PROC_PID). Transactions of our own children are dropped by that pid. A full buffer (ENOBUFS) means that
 * anything may have changed, and is reported as such.
 */
import type { Family, Table } from '@tortie/policy/ruleset';
import { closeFd, ENOBUFS, MSG_DONTWAIT, MSG_TRUNC, pollReadable, receiveBytes, setSocketOption } from '../libc.js';
import { forEachAttribute, forEachMessage, type NetlinkMessage } from '../netlink/message.js';
import { openNetlink, setReceiveBuffer } from '../netlink/netlink-socket.js';
import { NETLINK_ADD_MEMBERSHIP, NETLINK_NETFILTER, SOL_NETLINK } from '../netlink/protocol.js';
import { SystemError } from '../system-error.js';

export interface Touched {
  readonly family: Family;
  readonly table: Table;
}

export interface RuleEvents {
  close(): void;
}

const NFNLGRP_NFTABLES = 7;
const NFNL_SUBSYS_NFTABLES = 10;
const RECEIVE_SIZE = 131_072;
/** BOUNDED: datagrams handled before the event loop gets its turn. */
const MAX_DATAGRAMS_PER_TURN = 256;

const enum Message { NewTable = 0, DelTable = 2, NewChain = 3, DelChain = 5, NewRule = 6, DelRule = 8, NewGeneration = 15 }

/** What one message names, for the collector below. Exported for its test. */
export type RuleEvent =
  | { readonly type: 'touched'; readonly family: Family; readonly table: Table; readonly chain: string | undefined }
  | { readonly type: 'commit'; readonly pid: number };

/** `isOwn` says whether a process is a child of ours. The socket watches the namespace of the thread that calls this. */
export function watchRules(isOwn: (pid: number) => boolean, onTouched: (touched: readonly Touched[] | 'all') => void): RuleEvents {
  const fd = openNetlink(NETLINK_NETFILTER);
  try {
    setReceiveBuffer(fd, 8 * 1024 * 1024);
    setSocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  const collector = collectTransactions(isOwn, onTouched);
  const buffer = Buffer.allocUnsafe(RECEIVE_SIZE);
  let isClosed = false;
  const poll = pollReadable(fd, () => {
    for (let i = 0; i < MAX_DATAGRAMS_PER_TURN && !isClosed; i++) {
      const datagram = receive(fd, buffer);
      if (datagram === 'nothing') return;
      if (datagram === 'lost') onTouched('all');
      else forEachMessage(datagram, (message) => collector(decodeRuleEvent(message)));
    }
  });
  poll.unref();
  return {
    close: () => {
      if (isClosed) return;
      isClosed = true;
      poll.close();
      closeFd(fd);
    },
  };
}

/** Gathers events until their transaction's end and drops our own. Pure but for the gathering; exported for its test. */
export function collectTransactions(isOwn: (pid: number) => boolean, onTouched: (touched: readonly Touched[]) => void): (event: RuleEvent | undefined) => void {
  /** BOUNDED by families times tables. */
  let touched = new Map<string, Touched>();
  return (event) => {
    if (event?.type === 'touched') {
      if (concernsUs(event.chain)) touched.set(`${event.family} ${event.table}`, { family: event.family, table: event.table });
    } else if (event?.type === 'commit') {
      const all = [...touched.values()];
      touched = new Map();
      if (all.length > 0 && !isOwn(event.pid)) onTouched(all);
    }
  };
}

const BUILTINS: ReadonlySet<string> = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT']);

/** A whole table, a chain of ours, or a built-in chain. */
const concernsUs = (chain: string | undefined): boolean => chain === undefined || chain.startsWith('TORTIE-') || BUILTINS.has(chain);

export function decodeRuleEvent(message: NetlinkMessage): RuleEvent | undefined {
  if (message.type >> 8 !== NFNL_SUBSYS_NFTABLES) return undefined;
  const kind = message.type & 0xff;
  if (kind === Message.NewGeneration) {
    let pid = 0;
    forEachAttribute(message.body, 4, message.body.length, (type, start) => {
      if (type === 2) pid = message.body.u32be(start);
    });
    return { type: 'commit', pid };
  }
  const family = message.body.u8(0) === 2 ? 4 : message.body.u8(0) === 10 ? 6 : undefined;
  // Tables come and go with their chains, which are told by themselves; of chains NFTA_CHAIN_NAME is 3, of rules NFTA_RULE_CHAIN is 2.
  const chainAttribute = kind === Message.NewRule || kind === Message.DelRule ? 2 : kind === Message.NewChain || kind === Message.DelChain ? 3 : undefined;
  if (family === undefined || (chainAttribute === undefined && kind !== Message.DelTable)) return undefined;
  let table = '';
  let chain: string | undefined;
  forEachAttribute(message.body, 4, message.body.length, (type, start, end) => {
    if (type === 1) table = message.body.text(start, end);
    else if (type === chainAttribute) chain = message.body.text(start, end);
  });
  return table === 'raw' || table === 'mangle' || table === 'filter' ? { type: 'touched', family, table, chain } : undefined;
}

function receive(fd: number, buffer: Uint8Array): Uint8Array | 'nothing' | 'lost' {
  try {
    const received = receiveBytes(fd, buffer, MSG_DONTWAIT | MSG_TRUNC);
    if (received === undefined) return 'nothing';
    return received > buffer.length ? 'lost' : buffer.subarray(0, received);
  } catch (error) {
    if (error instanceof SystemError && error.errno === ENOBUFS) return 'lost';
    throw error;
  }
}
