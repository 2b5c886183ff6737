/** One address and port that may serve a Service's port, with what decides whether this node sends to it. */
import type { Family } from 'node-bgp/address';

export interface Endpoint {
  /** Canonical text. */
  readonly address: string;
  readonly port: number;
  readonly isLocal: boolean;
  readonly isReady: boolean;
  readonly isServing: boolean;
  readonly isTerminating: boolean;
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
  /** For people. */
  readonly nodeName?: string;
  /** "pod shop/web-1", for people. */
  readonly target?: string;
}

/** Endpoints of one port of a slice. */
export interface SlicePort {
  readonly name: string;
  readonly protocol: string;
  readonly endpoints: readonly Endpoint[];
}

export interface SliceModel {
  readonly namespace: string;
  readonly name: string;
  /** Undefined when the slice does not say, or when its address type is none that packets know. */
  readonly service: string | undefined;
  readonly family: Family | undefined;
  readonly ports: readonly SlicePort[];
}

export const endpointKey = ({ address, port }: Pick<Endpoint, 'address' | 'port'>): string => `${address},${port}`;
