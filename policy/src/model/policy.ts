/**
 * A policy of any API in one form: what the translators produce and what compiler, resolver and verdict oracle read.
 *
 * A policy lives in a tier at an order, applies to the endpoints of its subject, and has per direction an ordered list of rules, or none at
 * all when it says nothing about that direction. A rule matches when any of its alternatives does; an alternative is a
 * conjunction, so that peers and ports of one rule never mix with another's.
 */
import type { Family } from 'node-bgp/address';
import type { PolicyKind } from '../objects.js';
import type { PortRange } from '../ruleset.js';
import type { Networks } from './networks.js';
import type { Selector } from '../selector/selector.js';
import type { Selection } from './selection.js';

export interface PolicyKey {
  readonly kind: PolicyKind;
  /** "" for cluster-scoped kinds. */
  readonly namespace: string;
  readonly name: string;
}

export type Direction = 'ingress' | 'egress';
export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** Allow and deny settle the direction, pass leaves the tier, log goes on. */
export type RuleAction = 'allow' | 'deny' | 'pass' | 'log';

/** One end of the packet; every condition present must hold. */
export interface EntityMatch {
  readonly selection?: Selection;
  readonly notSelection?: Selection;
  readonly networks?: Networks;
  readonly notNetworks?: Networks;
  /** Addresses of the nodes with these labels; hostNetwork pods share them. */
  readonly nodes?: Selector;
  /** Endpoints of a Service: by address and port where `withPorts`, else by address. */
  readonly service?: ServiceMatch;
  readonly ports?: readonly PortRange[];
  readonly notPorts?: readonly PortRange[];
  readonly namedPort?: NamedPortMatch;
  /** None of these may match. */
  readonly notNamedPorts?: readonly NamedPortMatch[];
}

export interface ServiceMatch {
  readonly namespace: string;
  readonly name: string;
  readonly withPorts: boolean;
}

/** The endpoint at this end declares a port of this name with the packet's protocol and number. */
export interface NamedPortMatch {
  readonly name: string;
  /** undefined: whatever protocol the endpoint declares it under. */
  readonly protocol?: number;
}

export interface IcmpMatch {
  /** undefined: any message of the protocol. */
  readonly type?: number;
  readonly code?: number;
}

/** A conjunction. */
export interface Alternative {
  readonly family?: Family;
  readonly protocol?: number;
  readonly notProtocol?: number;
  readonly source?: EntityMatch;
  readonly destination?: EntityMatch;
  readonly icmp?: IcmpMatch;
  readonly notIcmp?: IcmpMatch;
}

export interface PolicyRule {
  /** Position in the object's list, from 0. */
  readonly index: number;
  readonly action: RuleAction;
  /** None: the rule matches nothing. */
  readonly alternatives: readonly Alternative[];
}

export interface Policy {
  readonly key: PolicyKey;
  readonly tier: string;
  /** Lower goes first; Infinity when the object gives none. */
  readonly order: number;
  /** Settles equal orders. */
  readonly sortName: string;
  readonly subject: Selection;
  /** undefined: the policy has nothing to do with this direction. */
  readonly ingress?: readonly PolicyRule[];
  readonly egress?: readonly PolicyRule[];
  /** Counts and logs, never acts. */
  readonly staged?: boolean;
  /** On host endpoints: also judges what the host forwards. */
  readonly applyOnForward?: boolean;
  /** On host endpoints: judges before any DNAT. */
  readonly preDnat?: boolean;
  /** On host endpoints: judges before connection tracking, and what it allows is not tracked. */
  readonly doNotTrack?: boolean;
}

/** Has the policy anything to do with a direction? Asks for no rules, which a large policy would have to make. */
export const concerns = (policy: Policy, direction: Direction): boolean => direction in policy;

/** Stable text of an identity; names hold no blanks, but what users write elsewhere might, so parts are length-prefixed by shortId. */
export const policyKeyText = (key: PolicyKey): string => `${key.kind} ${key.namespace}/${key.name}`;

export function comparePolicies(a: Policy, b: Policy): number {
  if (a.order !== b.order) return a.order < b.order ? -1 : 1;
  if (a.sortName !== b.sortName) return a.sortName < b.sortName ? -1 : 1;
  const [x, y] = [policyKeyText(a.key), policyKeyText(b.key)];
  return x < y ? -1 : x > y ? 1 : 0;
}
