/**
 * Where flows come from: connections that the kernel tracks and packets that rules report, and what this kernel lacks for them. Counting
 * and times are switched on here; both hold for connections that begin afterwards.
 */
import { messageOf } from '../errors.js';
import { type ConnectionEvent, type ConnectionState, watchConnections } from './netlink/conntrack-events.js';
import { type LoggedPacket, openPacketLog } from './netlink/packet-log.js';
import { ensureSysctl, formatSysctl, readSysctl, SysctlError } from './sysctl.js';

/** Of nfnetlink_log: where packets that policy denies are reported. */
export const REPORT_GROUP = 1736;

export interface FlowListener {
  readonly onConnection: (event: ConnectionEvent) => void;
  readonly onPacket: (packet: LoggedPacket) => void;
  /** So many events or reports did not reach us. */
  readonly onLost: (what: 'connections' | 'reports', count: number) => void;
  readonly onFault: (error: Error) => void;
}

export interface FlowEvents {
  /** What flows will lack, in sentences. */
  readonly missing: readonly string[];
  /** Reads what has come, now. */
  drain(): void;
  close(): void;
}

const SYSCTLS = [
  ['nf_conntrack_acct', 'flows have no packets and octets'],
  ['nf_conntrack_timestamp', 'flows of connections that began before the agent have no beginning'],
] as const;

/** Of the calling thread's namespace. Never throws for what a kernel lacks. */
export function openFlowEvents(group: number, listener: FlowListener): FlowEvents {
  const missing: string[] = [];
  const attempt = <T>(without: string, work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      missing.push(`${messageOf(error)}; ${without}`);
      return undefined;
    }
  };
  for (const [name, without] of SYSCTLS) attempt(without, () => ensureSysctl(['net', 'netfilter', name], 1));
  attempt('no connection is seen', () => {
    const path = ['net', 'netfilter', 'nf_conntrack_events'];
    if (readSysctl(path) === '0') throw new Error(`${formatSysctl(path)} is 0, expected 1 or 2`);
  });
  const { onConnection, onPacket, onLost, onFault } = listener;
  const connections = attempt('no connection is seen', () =>
    watchConnections({ onEvent: onConnection, onLost: (count) => onLost('connections', count), onFault }),
  );
  const reports = attempt('no denied packet is seen', () =>
    openPacketLog({ group, onPacket, onLost: (count) => onLost('reports', count), onFault }),
  );
  return {
    missing,
    drain: () => connections?.drain(),
    close: () => {
      connections?.close();
      reports?.close();
    },
  };
}

const TCP = 6;
const UDP = 17;
/** IPS_ASSURED of linux/netfilter/nf_conntrack_common.h. */
const ASSURED = 4;
/** By TCP_CONNTRACK_* (linux/netfilter/nf_conntrack_tcp.h). */
const TCP_STATES = [
  '',
  'syn_sent',
  'syn_recv',
  'established',
  'fin_wait',
  'close_wait',
  'last_ack',
  'time_wait',
  'close',
  'syn_sent',
];

/** How long the kernel keeps a connection after its last packet, in milliseconds, as its parameters say now. */
export function lingeringTimes(): (connection: ConnectionState) => number {
  const known = new Map<string, number>();
  const seconds = (name: string): number => {
    const before = known.get(name);
    if (before !== undefined) return before;
    let value = 0;
    try {
      value = Number(readSysctl(['net', 'netfilter', `nf_conntrack_${name}`]));
    } catch (error) {
      // A protocol that this kernel does not track.
      if (!(error instanceof SysctlError)) throw error;
    }
    known.set(name, value);
    return value;
  };
  return ({ original, tcpState = 0, status }) => {
    const { protocol } = original;
    const state = TCP_STATES[tcpState] ?? '';
    if (protocol === TCP) return state === '' ? 0 : 1000 * seconds(`tcp_timeout_${state}`);
    if (protocol === UDP) return 1000 * seconds((status & ASSURED) === 0 ? 'udp_timeout' : 'udp_timeout_stream');
    return original.icmp === undefined ? 0 : 1000 * seconds(protocol === 1 ? 'icmp_timeout' : 'icmpv6_timeout');
  };
}
