/**
 * A flow: what two workloads said to each other on one port, and what decided that they might or might not. Types and their text; no
 * behaviour.
 *
 * A node tells of the connections of its own pods. Both ends of one connection may be of one node: it is one flow, with both decisions.
 * Where they are of two nodes each tells its own, with the decision at its end.
 */
import type { Decision, PolicyRef, StagedAnswer } from '@tortie/policy';

/** Workload of a flow's end. */
export interface FlowEnd {
  /** `outside`: an address that no pod and no node of the cluster has. A hostNetwork pod is its node. */
  readonly type: 'pod' | 'node' | 'outside';
  /** Of a pod. */
  readonly namespace?: string;
  /** Of the pod or node. In a flow of many pods of one owner: of the first that was seen. */
  readonly name?: string;
  /** What the pod is a replica of: the controller of its owner where that is a ReplicaSet of a Deployment. */
  readonly owner?: { readonly kind: string; readonly name: string };
  /** Of an end outside or a node; of every end in a connection. Canonical. Absent: many, too many to tell apart. */
  readonly address?: string;
  /** Of a pod: the id of its labels (`LabelSet`). */
  readonly labels?: string;
}

/** Labels, told once for all that have them. */
export interface LabelSet {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What decided at one end: as `tortie policy explain` says it. */
export interface EndDecision {
  readonly allowed: boolean;
  readonly decision: Decision;
  /** What staged policies would have done, had they been in force. */
  readonly staged: readonly StagedAnswer[];
}

export interface FlowService {
  readonly namespace: string;
  readonly name: string;
  /** That the client spoke to. */
  readonly port: number;
}

/** What of a flow is the same for all of its connections. */
export interface FlowSubject {
  /** Who tells of it. */
  readonly node: string;
  /** Which of the ends are of that node. */
  readonly reporter: 'source' | 'destination' | 'both';
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  /** The Service through which it went, where there was one. */
  readonly service?: FlowService;
  readonly family: 4 | 6;
  /** "TCP", "UDP", "SCTP", "ICMP", "ICMPv6", else the number. */
  readonly protocol: string;
  /** Of the real destination; 0 for protocols without, and for many, too many to tell apart. */
  readonly port: number;
  readonly icmp?: { readonly type: number; readonly code: number };
  readonly verdict: 'allowed' | 'denied';
  /** Judged at the sender, where that is of this node. */
  readonly egress?: EndDecision;
  /** Judged at the receiver, where that is of this node. */
  readonly ingress?: EndDecision;
}

/** Packets and octets, IP headers included. */
export interface Amount {
  readonly packets: number;
  readonly bytes: number;
}

/** What connections of one subject did in one interval. */
export interface Flow extends FlowSubject {
  readonly type: 'flow';
  /** Milliseconds since 1970: of the first and the last that happened in the interval. */
  readonly start: number;
  readonly last: number;
  /** Connections that began and that ended. Of what is denied: attempts, and none. */
  readonly begun: number;
  readonly ended: number;
  /** From sender to receiver, and back. Of a connection that lasts they are told when it ends. */
  readonly sent: Amount;
  readonly answered: Amount;
}

/** One connection, or one attempt that was denied. */
export interface Connection extends FlowSubject {
  readonly type: 'connection';
  readonly happening: 'begun' | 'ended' | 'denied';
  /** Milliseconds since 1970. Absent: it began before anybody watched, on a kernel that keeps no times. */
  readonly start?: number;
  /** Of the last packet; of one that ended. */
  readonly last?: number;
  /** When this was seen. */
  readonly at: number;
  readonly sourcePort: number;
  readonly sent: Amount;
  readonly answered: Amount;
}

/** What was not kept, since the agent's start. */
export interface FlowLosses {
  /** Events of connections that the kernel dropped: its buffer was full. */
  readonly connections: number;
  /** Reports of denied packets that the kernel dropped. */
  readonly reports: number;
  /** Denied packets beyond what a rule may report in a second. */
  readonly unreported: number;
  /** Connections that were left out because an interval had too many subjects. */
  readonly subjects: number;
}

export const NO_LOSSES: FlowLosses = { connections: 0, reports: 0, unreported: 0, subjects: 0 };

export const lossSum = ({ connections, reports, unreported, subjects }: FlowLosses): number =>
  connections + reports + unreported + subjects;

/** One line of what an agent answers, or of a file of flows. */
export type FlowLine =
  | Flow
  | Connection
  | ({ readonly type: 'labels' } & LabelSet)
  | ({ readonly type: 'lost'; readonly node: string } & FlowLosses)
  /** Who follows read too slowly, and missed so many. */
  | { readonly type: 'missed'; readonly node: string; readonly connections: number };

const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [1, 'ICMP'],
  [6, 'TCP'],
  [17, 'UDP'],
  [58, 'ICMPv6'],
  [132, 'SCTP'],
]);

export const protocolText = (protocol: number): string => PROTOCOLS.get(protocol) ?? String(protocol);

/** "shop/Deployment/web", "shop/web-0", "node n1", "192.0.2.1". */
export function endText({ type, namespace = '', name = '', owner, address }: FlowEnd): string {
  if (type === 'pod') return owner === undefined ? `${namespace}/${name}` : `${namespace}/${owner.kind}/${owner.name}`;
  return type === 'node' ? `node ${name}` : (address ?? 'outside');
}

/** Whom a decision names: the policy, or those of the tier whose end denied. */
export function policiesOf({ decision }: EndDecision): readonly PolicyRef[] {
  if (decision.type === 'rule') return [decision.policy];
  return decision.type === 'tier-default' ? decision.policies : [];
}
