/**
 * tortie.dev/v1alpha1 NodeStatus: what the agent of one node reports. Cluster-scoped, named like its node; everything is
 * under the status subresource. Types only.
 */
import type { NodeChangeStatus } from './change.js';
import type { Condition, KubeObject } from './meta.js';

export interface NodeStatus extends KubeObject {
  readonly spec?: Readonly<Record<string, never>>;
  readonly status?: NodeStatusStatus;
}

export interface NodeStatusStatus {
  /** Ready, BGPReady, PolicyReady, IPAMReady, Degraded... */
  readonly conditions?: readonly Condition[];
  readonly agent?: {
    readonly version?: string;
    readonly startedAt?: string;
    /** RFC 3339: when the agent last wrote, once a minute at least. */
    readonly heartbeatTime?: string;
  };
  readonly bgp?: NodeBgpStatus;
  /** While the node is taken out of service. */
  readonly drain?: NodeDrainStatus;
  /** Blocks this node owns, CIDRs. */
  readonly blocks?: readonly string[];
  /** The Change that this node has to do with. */
  readonly change?: NodeChangeStatus;
}

export interface NodeDrainStatus {
  /** Requested, Evicted, Autoscaler, OutOfService, Shutdown or Deleted. */
  readonly cause: string;
  /** RFC 3339. */
  readonly since: string;
  /**
   * Marked: addresses of Services carry GRACEFUL_SHUTDOWN. Withdrawn: other nodes alone tell them, but for those in `kept`. Empty: so do
   * they, and no pod is left.
   */
  readonly phase: 'Marked' | 'Withdrawn' | 'Empty';
  /** Addresses of Services that too few other nodes tell; the first of them. */
  readonly kept?: readonly string[];
  readonly message: string;
}

export interface NodeBgpStatus {
  readonly asNumber?: number;
  readonly routerId?: string;
  /** Sessions that are up, and all: "7/8". */
  readonly sessions?: string;
  readonly peers?: readonly NodeBgpPeerStatus[];
}

export interface NodeBgpPeerStatus {
  readonly name?: string;
  readonly address: string;
  /** The node's end of the session, while there is one. */
  readonly localAddress?: string;
  readonly asNumber?: number;
  /** RFC 4271 state: Idle, Connect, Active, OpenSent, OpenConfirm, Established. */
  readonly state: string;
  /** RFC 3339: when the state was entered. */
  readonly since?: string;
  /** How often it was Established since bgpd started. */
  readonly establishedCount?: number;
  readonly receivedPrefixes?: number;
  /** Of those received, what import filters let in. */
  readonly acceptedPrefixes?: number;
  readonly advertisedPrefixes?: number;
  /** The last error sent or received, in words. */
  readonly lastError?: string;
}
