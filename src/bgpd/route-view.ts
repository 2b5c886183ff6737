/** Routes of the RIB as JSON for people and scripts: the contract of `/v1/routes` and `/v1/why`. */
import { formatAddress, formatIpv4, formatPrefix } from 'node-bgp/address';
import { formatAsPath } from 'node-bgp/codec/as-path';
import type { PathAttributes } from 'node-bgp/codec/attribute';
import { formatCommunity, formatExtendedCommunity, formatLargeCommunity } from 'node-bgp/codec/community';
import type { ForwardingEntry } from 'node-bgp/rib/forwarding-entry';
import type { RouteView, Why } from 'node-bgp/rib/answers';
import type { PolicyRule } from 'node-bgp/rib/policy';
import type { PeerSummary } from 'node-bgp/speaker/view';
import { reasonInWords } from './rule-words.js';

export interface AttributesJson {
  readonly origin: string;
  /** "65001 64512 {64513 64514}"; empty for our own. */
  readonly asPath: string;
  readonly med?: number;
  readonly localPreference?: number;
  readonly communities?: readonly string[];
  readonly largeCommunities?: readonly string[];
  readonly extendedCommunities?: readonly string[];
  readonly originatorId?: string;
  readonly clusterList?: readonly string[];
  readonly atomicAggregate?: true;
  readonly otc?: number;
}

export interface RouteJson extends AttributesJson {
  readonly prefix: string;
  readonly source: 'local' | 'ebgp' | 'ibgp' | 'rr-client';
  /** Name of the peer that it came from. */
  readonly peer?: string;
  readonly nextHop?: string;
  /** Second half of an IPv6 pair (RFC 2545 section 3). */
  readonly linkLocalNextHop?: string;
  readonly pathId?: number;
  readonly isBest: boolean;
  readonly isMultipath: boolean;
  readonly isStale: boolean;
  /** Why it cannot be chosen. */
  readonly unusable?: string;
  readonly weight: number;
  readonly tags?: readonly string[];
}

export interface WhyJson {
  readonly prefix: string;
  /** Somebody has announced exactly this prefix. */
  readonly isKnown: boolean;
  readonly candidates: readonly (RouteJson & {
    readonly decidedBy: string;
    readonly reason: string;
    readonly importedBy?: string;
    /** Filter, index in it and name of the rule that let it in or rejected it. */
    readonly rule?: PolicyRule;
  })[];
  readonly forwarding?: readonly { readonly nextHop?: string; readonly interface?: string; readonly weight: number }[];
  /** Metric in the kernel that import policy asked for. */
  readonly kernelMetric?: number;
  readonly peers: readonly {
    readonly peer: string;
    readonly advertised: boolean;
    readonly reason: string;
    /** What keeps it back, as a word; absent where it is advertised or the session is down. */
    readonly code?: string;
    /** Filter, index in it and name of the rule that let it out or rejected it. */
    readonly rule?: PolicyRule;
    readonly nextHop?: string;
    readonly linkLocalNextHop?: string;
    readonly asPath?: string;
  }[];
}

export function attributesJson(attributes: PathAttributes): AttributesJson {
  const {
    origin,
    asPath,
    med,
    localPreference,
    communities,
    largeCommunities,
    extendedCommunities,
    originatorId,
    clusterList,
    atomicAggregate,
    otc,
  } = attributes;
  return {
    origin,
    asPath: formatAsPath(asPath),
    ...(med === undefined ? {} : { med }),
    ...(localPreference === undefined ? {} : { localPreference }),
    ...(communities === undefined ? {} : { communities: communities.map(formatCommunity) }),
    ...(largeCommunities === undefined ? {} : { largeCommunities: largeCommunities.map(formatLargeCommunity) }),
    ...(extendedCommunities === undefined
      ? {}
      : { extendedCommunities: extendedCommunities.map(formatExtendedCommunity) }),
    ...(originatorId === undefined ? {} : { originatorId: formatIpv4(originatorId) }),
    ...(clusterList === undefined ? {} : { clusterList: clusterList.map(formatIpv4) }),
    ...(atomicAggregate === undefined ? {} : { atomicAggregate }),
    ...(otc === undefined ? {} : { otc }),
  };
}

export function routeJson(route: RouteView): RouteJson {
  const { source, nextHop, linkLocalNextHop, pathId, unusable, tags } = route;
  return {
    prefix: formatPrefix(route.prefix),
    source: source.type,
    ...(source.type === 'local' ? {} : { peer: source.peer }),
    ...(nextHop === undefined ? {} : { nextHop: formatAddress(nextHop) }),
    ...(linkLocalNextHop === undefined ? {} : { linkLocalNextHop: formatAddress(linkLocalNextHop) }),
    ...(pathId === undefined ? {} : { pathId }),
    isBest: route.isBest,
    isMultipath: route.isMultipath,
    isStale: route.isStale,
    ...(unusable === undefined ? {} : { unusable }),
    weight: route.weight,
    ...(tags === undefined || tags.length === 0 ? {} : { tags }),
    ...attributesJson(route.attributes),
  };
}

/** `down`: peers without a session, which the RIB does not know of. */
export function whyJson(
  why: Why,
  down: readonly Pick<PeerSummary, 'name' | 'state' | 'heldDown' | 'lastError'>[],
): WhyJson {
  return {
    prefix: formatPrefix(why.prefix),
    isKnown: why.isKnown,
    candidates: why.candidates.map((candidate) => ({
      ...routeJson(candidate),
      decidedBy: candidate.decidedBy,
      reason: reasonInWords(candidate.reason, candidate.rule),
      ...(candidate.importedBy === undefined
        ? {}
        : { importedBy: reasonInWords(candidate.importedBy, candidate.rule) }),
      ...(candidate.rule === undefined ? {} : { rule: candidate.rule }),
    })),
    ...(why.forwarding === undefined ? {} : { forwarding: hopsJson(why.forwarding) }),
    ...(why.forwarding?.metric === undefined ? {} : { kernelMetric: why.forwarding.metric }),
    peers: [
      ...why.peers.map(({ peer, advertised, reason, code, rule, nextHop, linkLocalNextHop, attributes }) => ({
        peer,
        advertised,
        reason: reasonInWords(reason, rule),
        ...(code === undefined ? {} : { code }),
        ...(rule === undefined ? {} : { rule }),
        ...(nextHop === undefined ? {} : { nextHop: formatAddress(nextHop) }),
        ...(linkLocalNextHop === undefined ? {} : { linkLocalNextHop: formatAddress(linkLocalNextHop) }),
        ...(attributes === undefined ? {} : { asPath: formatAsPath(attributes.asPath) }),
      })),
      ...down.map(({ name, state, heldDown, lastError }) => ({
        peer: name,
        advertised: false,
        reason: `The session is ${state}${downReason(heldDown ?? lastError)}`,
      })),
    ],
  };
}

const downReason = (words: string | undefined): string => (words === undefined ? '' : `: ${words}`);

function hopsJson(entry: ForwardingEntry): WhyJson['forwarding'] {
  return entry.hops.map(({ address, interfaceName, weight }) => ({
    ...(address === undefined ? {} : { nextHop: formatAddress(address) }),
    ...(interfaceName === undefined ? {} : { interface: interfaceName }),
    weight,
  }));
}
