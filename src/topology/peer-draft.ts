/**
 * A peer as resources ask for it, before anybody has said that the daemon can have it: every field with where it was written, so that
 * what the daemon's rules say of "remoteAs" is told of "spec.asNumber".
 */
import type { AddressedPeerConfig } from 'node-bgp/config';
import type { GatewayRoute, PeeringAddress } from './node-side.js';
import type { Place } from './problems.js';

export type PeerFieldName = keyof AddressedPeerConfig;

export interface DraftField {
  /** What the daemon is to be told; it may be nonsense. */
  readonly value: unknown;
  /** Where a user wrote it; absent: the value is of our own making. */
  readonly place?: Place;
  /** As it stands there, for sentences. Absent: the value itself. Never a secret. */
  readonly written?: unknown;
  /** What it should have been; absent: what the daemon's rules say. */
  readonly expected?: string;
  /** What happens without it, "using 90s"; absent: without it there can be no such session. */
  readonly fallback?: string;
}

export type DraftFields = ReadonlyMap<PeerFieldName, DraftField>;

export interface PeerDraft {
  /** Who goes first where two want the same: routers, nodes chosen by a resource, the mesh. */
  readonly rank: 0 | 1 | 2;
  /** When its resource was made, RFC 3339: of one rank the older goes first. Absent counts as oldest. */
  readonly createdAt?: string;
  /** Who asks for it. */
  readonly place: Place;
  /** The name it is to have if nobody else has it. */
  readonly name: string;
  readonly fields: DraftFields;
  /** What the session needs of the kernel. */
  readonly gateway?: GatewayRoute;
  readonly peering?: PeeringAddress;
}
