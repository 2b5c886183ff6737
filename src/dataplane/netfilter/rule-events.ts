/**
 * Tells at once when another process changes nftables (iptables-nft writes there too): subscribes to the kernel's events and hands over
 * those of each foreign transaction that concern us.
 *
 * The kernel sends the events of one transaction in order and closes it with NEWGEN. All of them carry the port id of the netlink socket
 * that made the transaction, which no other socket of the namespace has; by it our own are dropped. (NEWGEN also names a process,
 * NFTA_GEN_PROC_PID, but as the first PID namespace counts: in a container nobody knows himself by it.) A full buffer (ENOBUFS) means that
 * anything may have changed, and is reported as such.
 */
import { closeFd, ENOBUFS, MSG_DONTWAIT, MSG_TRUNC, pollReadable, receiveBytes, setSocketOption } from '../libc.js';
import { forEachAttribute, forEachMessage, type NetlinkMessage } from '../netlink/message.js';
import { openNetlink, setReceiveBuffer } from '../netlink/open-netlink.js';
import { NETLINK_ADD_MEMBERSHIP, NETLINK_NETFILTER, SOL_NETLINK } from '../netlink/protocol.js';
import { SystemError } from '../system-error.js';

/** Something of a table was added, changed or removed. */
export interface TableEvent {
  readonly type: 'table';
  /** NFPROTO_*: 1 inet, 2 IPv4, 10 IPv6. */
  readonly family: number;
  readonly table: string;
  /** Of chains and rules. */
  readonly chain: string | undefined;
}

/** `portId`: of the socket that committed. A child of ours that has but one netlink socket has its process id there. */
export type RuleEvent = TableEvent | { readonly type: 'commit'; readonly portId: number };

export interface TransactionWatch {
  readonly isOwn: (portId: number) => boolean;
  readonly concerns: (event: TableEvent) => boolean;
  /** 'all': events were lost. */
  readonly onTouched: (events: readonly TableEvent[] | 'all') => void;
}

export interface RuleEvents {
  close(): void;
}

const NFNLGRP_NFTABLES = 7;
const NFNL_SUBSYS_NFTABLES = 10;
const RECEIVE_SIZE = 131_072;
/** BOUNDED: datagrams handled before the event loop gets its turn. */
const MAX_DATAGRAMS_PER_TURN = 256;

const enum Message {
  NewChain = 3,
  DelChain = 5,
  NewRule = 6,
  DelRule = 8,
  NewGeneration = 15,
}

/** The socket watches the namespace of the thread that calls this. */
export function watchTransactions(watch: TransactionWatch): RuleEvents {
  const fd = openNetlink(NETLINK_NETFILTER);
  try {
    setReceiveBuffer(fd, 8 * 1024 * 1024);
    setSocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  const take = collectTransactions(watch);
  const buffer = Buffer.allocUnsafe(RECEIVE_SIZE);
  let isClosed = false;
  const poll = pollReadable(fd, () => {
    for (let i = 0; i < MAX_DATAGRAMS_PER_TURN && !isClosed; i++) {
      const datagram = receive(fd, buffer);
      if (datagram === 'nothing') return;
      if (datagram === 'lost') watch.onTouched('all');
      else
        forEachMessage(datagram, (message) => {
          if (!watch.isOwn(message.portId)) take(decodeRuleEvent(message));
        });
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

/** Gathers events until their transaction's end and drops our own. Exported for its test. */
export function collectTransactions({
  isOwn,
  concerns,
  onTouched,
}: TransactionWatch): (event: RuleEvent | undefined) => void {
  /** By what they name. BOUNDED by the chains there are. */
  let touched = new Map<string, TableEvent>();
  return (event) => {
    if (event?.type === 'table') {
      if (concerns(event)) touched.set(`${event.family} ${event.table} ${event.chain ?? ''}`, event);
    } else if (event?.type === 'commit') {
      const all = [...touched.values()];
      touched = new Map();
      if (all.length > 0 && !isOwn(event.portId)) onTouched(all);
    }
  };
}

export function decodeRuleEvent(message: NetlinkMessage): RuleEvent | undefined {
  if (message.type >> 8 !== NFNL_SUBSYS_NFTABLES) return undefined;
  const kind = message.type & 0xff;
  if (kind === Message.NewGeneration) return { type: 'commit', portId: message.portId };
  // The table is attribute 1 of everything; the chain's name is attribute 3 of chains and 2 of rules.
  const chainAttribute =
    kind === Message.NewRule || kind === Message.DelRule
      ? 2
      : kind === Message.NewChain || kind === Message.DelChain
        ? 3
        : undefined;
  let table = '';
  let chain: string | undefined;
  forEachAttribute(message.body, 4, message.body.length, (type, start, end) => {
    if (type === 1) table = message.body.text(start, end);
    else if (type === chainAttribute) chain = message.body.text(start, end);
  });
  return { type: 'table', family: message.body.u8(0), table, chain };
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
