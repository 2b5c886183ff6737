/**
 * A Service as the node needs it: every port of every family with its addresses and its policies, checked. What Kubernetes leaves to
 * defaults is filled in. Headless Services, ExternalName and those of another proxy have none of this.
 */
import type { Family, IpPrefix } from 'node-bgp/address';
import type { Problem } from '@tortie/policy/problem';

export type Protocol = 'tcp' | 'udp' | 'sctp';
export const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

export interface ServiceKey {
  readonly namespace: string;
  readonly name: string;
}

export const serviceKeyText = ({ namespace, name }: ServiceKey): string => `${namespace}/${name}`;

export interface ServicePort {
  /** "" for the only port of a Service. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly nodePort?: number;
}

/** One family of a Service. All addresses in canonical text. */
export interface ServiceFamily {
  readonly family: Family;
  readonly clusterIp: string;
  readonly externalIps: readonly string[];
  /** Of load balancers that leave the destination address (ipMode VIP). */
  readonly loadBalancerIps: readonly string[];
  /** Who may use the load balancer's addresses; undefined: everybody. */
  readonly sourceRanges?: readonly IpPrefix[];
}

export interface ServiceModel extends ServiceKey {
  /** Seconds since 1970; of two Services that claim one address and port the older has it. */
  readonly created: number;
  readonly families: readonly ServiceFamily[];
  readonly ports: readonly ServicePort[];
  readonly isInternalLocal: boolean;
  readonly isExternalLocal: boolean;
  /** A client keeps its endpoint until it has not connected for so many seconds. */
  readonly affinitySeconds?: number;
  readonly healthCheckNodePort?: number;
}

/** Why a Service gets no rules, in words for people, or the Service. */
export type Translated =
  | { readonly type: 'service'; readonly service: ServiceModel; readonly problems: readonly Problem[] }
  | { readonly type: 'none'; readonly reason: string; readonly problems: readonly Problem[] };

/** Reached by anything but the cluster IP? */
export const isExternallyAccessible = (family: ServiceFamily, port: ServicePort): boolean =>
  port.nodePort !== undefined || family.loadBalancerIps.length > 0 || family.externalIps.length > 0;
