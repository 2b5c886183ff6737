/**
 * What the engine is fed: Services, EndpointSlices and this node's object as the API serves them, trimmed to what is read.
 *
 * The shapes are structural and everything is optional, because objects come from the API, from files and from users;
 * `translate/` looks at each field before it believes it.
 */
import type { IpPrefix } from 'node-bgp/address';

export type ServiceKind = 'Service' | 'EndpointSlice' | 'Node';

export interface ServiceKubeObject {
  readonly metadata?: {
    readonly namespace?: string;
    readonly name?: string;
    readonly labels?: Readonly<Record<string, string>> | null;
    readonly annotations?: Readonly<Record<string, string>> | null;
    /** RFC 3339. */
    readonly creationTimestamp?: string | null;
  };
}

export type ServiceEvent =
  | { readonly type: 'upsert'; readonly kind: ServiceKind; readonly object: ServiceKubeObject }
  | { readonly type: 'delete'; readonly kind: ServiceKind; readonly namespace?: string; readonly name: string }
  /** All ranges that pods' addresses come from, both families. Empty: sources cannot be told apart, nothing is masqueraded by source. */
  | { readonly type: 'pod-ranges'; readonly ranges: readonly IpPrefix[] };

/** The label by which a slice says whose it is. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
/** A slice with this label, whatever its value, is for names in DNS: no proxy leads anybody to its endpoints. */
export const HEADLESS_LABEL = 'service.kubernetes.io/headless';
/** A Service with this label belongs to another proxy. */
export const PROXY_NAME_LABEL = 'service.kubernetes.io/service-proxy-name';
export const ZONE_LABEL = 'topology.kubernetes.io/zone';
