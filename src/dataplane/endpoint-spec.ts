/** A pod's connection as somebody wants it, and as it is. Types, and the error for one that cannot be made. */
import type { IpAddress } from 'node-bgp/address';
import type { podSideRoutes } from './endpoint-layout.js';
import type { EndpointOwner } from './endpoint-name.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';

export interface EndpointSpec extends EndpointOwner {
  /** From `hostInterfaceName`. */
  readonly hostInterface: string;
  /** Path of the pod's network namespace. */
  readonly netns: string;
  /** One per family that the pod has. */
  readonly addresses: readonly IpAddress[];
  /** Bytes; default: the kernel's 1500. */
  readonly mtu?: number;
  /** For people: "<namespace>/<pod>", shown in the interface's alias. */
  readonly label?: string;
}

/** A connected pod. */
export interface Endpoint {
  readonly host: { readonly name: string; readonly index: number; readonly mac: string; readonly mtu: number };
  readonly pod: {
    readonly name: string;
    readonly index: number;
    readonly mac: string;
    readonly mtu: number;
    readonly netns: string;
  };
  readonly addresses: readonly IpAddress[];
  readonly routes: ReturnType<typeof podSideRoutes>;
}

export type EndpointErrorReason = 'name-taken' | 'namespace-gone' | 'kernel';

/** A pod could not be connected; nothing of it is left behind. */
export class EndpointError extends Error {
  override readonly name = 'EndpointError';

  constructor(
    readonly reason: EndpointErrorReason,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** An open pod namespace. */
export interface PodNamespace {
  readonly fd: number;
  readonly socket: NetlinkSocket;
}
