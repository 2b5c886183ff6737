/** What the loops of a node ask of the kernel for the connection of one pod; linux-kernel.ts answers. */
import type { Owner } from '@tortie/ipam';

/** The kernel side of one endpoint: src/dataplane/endpoint.ts. */
export interface EndpointDataplane {
  /** Name of the host side of a pod's veth; `attempt` 1 and on: others, for when that one is taken. */
  interfaceName(namespace: string, pod: string, podInterface: string, attempt: number): string;
  /** Is there a network namespace at this path? */
  hasNamespace(netns: string): boolean;
  /** Makes veth, addresses, routes, neighbours; doing it again changes nothing. */
  plumb(endpoint: EndpointRequest): Promise<PlumbedEndpoint>;
  /** Removes the owner's host side and with it the rest; no error when it is gone, or somebody else's by now. */
  unplumb(owner: Owner, hostInterface: string): Promise<void>;
  /** Those of these whose connection may not be as `plumb` made it. @param isWhole look at all of them, not only at what was told */
  suspects(endpoints: readonly EndpointRequest[], isWhole: boolean): readonly EndpointRequest[];
  /** Puts a connection right where it stands; says what was wrong. */
  repair(endpoint: EndpointRequest): Promise<readonly string[]>;
  /** Sentences about what is not as it should be, and what is there. */
  check(endpoint: EndpointRequest): Promise<EndpointCheck>;
}

export interface EndpointRequest {
  readonly containerId: string;
  readonly namespace: string;
  readonly pod: string;
  /** Path of the pod's network namespace. */
  readonly netns: string;
  /** Name inside the pod. */
  readonly interfaceName: string;
  readonly hostInterface: string;
  readonly addresses: readonly string[];
  readonly mtu?: number;
}

export interface PlumbedEndpoint {
  readonly hostInterface: string;
  readonly hostMac: string;
  readonly podMac: string;
  readonly mtu: number;
}

export interface EndpointCheck {
  readonly problems: readonly string[];
  /** Undefined when there is no such interface. */
  readonly endpoint: PlumbedEndpoint | undefined;
}
