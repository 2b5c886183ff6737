/** What the topology needs to know of the node itself, and what it wants of the node's kernel beside a configuration of the speaker. */

/** An interface of the node, not of a pod, with the prefixes on it in CIDR notation; also while it has no carrier. */
export interface NodeLink {
  readonly name: string;
  readonly prefixes: readonly string[];
  /** The node's own on it; none: unknown. */
  readonly addresses?: readonly string[];
}

/** A pod that lives on this node. */
export interface LocalWorkload {
  /** "shop/web-1". */
  readonly name: string;
  readonly hostInterface: string;
  /** At most one of each family. */
  readonly addresses: readonly string[];
  /** As Calico's selectors see it. */
  readonly labels: ReadonlyMap<string, string>;
}

/** A host route to a BGP peer behind a gateway. */
export interface GatewayRoute {
  readonly address: string;
  readonly gateway: string;
  /** Who asks for it, and where: `BGPPeer/rack spec.reachableBy`. */
  readonly field: string;
}

/** An address of this node on the host side of a pod's interface, which the pod's BGP speaker talks to. */
export interface PeeringAddress {
  readonly hostInterface: string;
  readonly address: string;
}
