/**
 * Address pools (projectcalico.org/v3 IPPool, IPReservation) and Tortie's own block claims (tortie.dev/v1alpha1
 * IPAMBlock), all cluster-scoped. Types only.
 */
import type { KubeObject } from './meta.js';

export interface IPPool extends KubeObject {
  readonly spec: IPPoolSpec;
}

export interface IPPoolSpec {
  readonly cidr: string;
  /** Default 26 for IPv4, 122 for IPv6. */
  readonly blockSize?: number;
  /** Masquerade what leaves the pools; default false. */
  readonly natOutgoing?: boolean;
  /** No new addresses from here; default false. */
  readonly disabled?: boolean;
  /** Default false. */
  readonly disableBGPExport?: boolean;
  /** Calico selectors; both must match; default all(). */
  readonly nodeSelector?: string;
  readonly namespaceSelector?: string;
  /** Default [Workload, Tunnel]. */
  readonly allowedUses?: readonly ('Workload' | 'Tunnel' | 'LoadBalancer')[];
  /** Default Automatic; from a Manual pool addresses come only on request. */
  readonly assignmentMode?: 'Automatic' | 'Manual';
  /** Whether packets to pods of other nodes are wrapped: never (the default), always, or where the nodes share no subnet. Not both. */
  readonly ipipMode?: 'Never' | 'Always' | 'CrossSubnet';
  readonly vxlanMode?: 'Never' | 'Always' | 'CrossSubnet';
}

export interface IPReservation extends KubeObject {
  readonly spec: { readonly reservedCIDRs?: readonly string[] };
}

/**
 * One block of addresses and the node that owns it. Creating the object is the claim: its name is made from the CIDR, so
 * of two nodes that want one block, the API server refuses the second with 409 AlreadyExists.
 */
export interface IPAMBlock extends KubeObject {
  readonly spec: IPAMBlockSpec;
}

export interface IPAMBlockSpec {
  readonly cidr: string;
  /** Name of the owning node. */
  readonly node: string;
  /** Name of the IPPool it is cut from. */
  readonly pool: string;
  /** Addresses of it that the owner gives to none of its pods and any node may borrow. */
  readonly offers?: readonly string[];
  /** Addresses of it that other nodes have; with a handle, of `tortie ipam assign`, also the owner's own. */
  readonly loans?: readonly { readonly address: string; readonly node: string; readonly handle?: string }[];
  /** Addresses of it that nobody has, each for a pod that may come again: "StatefulSet shop/web-0". `until` is RFC 3339. */
  readonly kept?: readonly { readonly address: string; readonly keptFor: string; readonly until: string }[];
  /** Nobody has an address of it: a node that needs a block may make it its own. */
  readonly vacant?: boolean;
  /** No agent gives out its addresses: `tortie ipam assign` does, and its loans are all that is given out. */
  readonly agentless?: boolean;
}

/** projectcalico.org/v3; the one named "default" rules the cluster. */
export interface IPAMConfiguration extends KubeObject {
  readonly spec: IPAMConfigurationSpec;
}

export interface IPAMConfigurationSpec {
  /** No node borrows addresses of another's block; default false. */
  readonly strictAffinity?: boolean;
  /** Blocks of each family that a node may own; 0, the default: any number. */
  readonly maxBlocksPerHost?: number;
  /** Default true; false is refused. */
  readonly autoAllocateBlocks?: boolean;
  /** Default Disabled. */
  readonly kubeVirtVMAddressPersistence?: 'Enabled' | 'Disabled';
}

/**
 * tortie.dev/v1alpha1: who has which address on one node, named like the node. A copy for readers, written by its agent a while after
 * something changed; what counts is the node's journal.
 */
export interface NodeAddresses extends KubeObject {
  readonly spec: NodeAddressesSpec;
}

export interface NodeAddressesSpec {
  /** RFC 3339. */
  readonly publishedAt: string;
  readonly addresses?: readonly PublishedAddress[];
}

export interface PublishedAddress {
  readonly address: string;
  /** Of the pod that has it; both empty where the node itself has it. */
  readonly namespace: string;
  readonly pod: string;
  /** The node itself has it, on this interface of a tunnel. */
  readonly tunnel?: string;
  /** The pod's. */
  readonly uid?: string;
  readonly containerId: string;
}
