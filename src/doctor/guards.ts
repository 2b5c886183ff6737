/**
 * `tortie doctor --guards`: what keeps a mistake small in this cluster, whether it stands, and how it is switched. Pure.
 *
 * Those that are always on are in the code that they guard; what of them somebody has widened is said with the object that does it.
 */
import type { BGPFilter, BGPPeer } from '../api/bgp.js';
import type { KubeObject } from '../api/meta.js';
import { GUARD } from '../change/guard.js';
import { GUARDS } from './checks/cluster.js';

export interface GuardFacts {
  readonly bgpPeers: readonly BGPPeer[];
  readonly bgpConfigurations: readonly KubeObject[];
  readonly bgpFilters: readonly BGPFilter[];
  readonly ipPools: readonly KubeObject[];
  /** Names of ValidatingAdmissionPolicies; undefined: not known. */
  readonly policies: readonly string[] | undefined;
}

/** `part`: on, but for what `says` names. */
export type Standing = 'on' | 'off' | 'part' | 'unknown';

export interface StandingGuard {
  readonly guard: string;
  readonly stands: Standing;
  /** What it does here, in a sentence. */
  readonly says: string;
  readonly change: string;
}

/** Of a BGPPeer that does not say (Calico has none). */
const MOST_PREFIXES = 10_000;
const WARN_AT = 75;
const NAMED = 5;

const some = (names: readonly string[]): string =>
  names.length <= NAMED ? names.join(', ') : `${names.slice(0, NAMED).join(', ')} and ${names.length - NAMED} more`;
const nameOf = ({ metadata }: KubeObject): string => metadata.name;
const wordOf = ({ metadata }: KubeObject): string | undefined => metadata.annotations?.[GUARD];

export function standingGuards(facts: GuardFacts): readonly StandingGuard[] {
  return [
    maxPrefixes(facts),
    exportsOwn(facts),
    noTransit(facts),
    ownAddresses(),
    flaps(),
    changes(facts),
    tokens(facts),
  ];
}

function maxPrefixes({ bgpPeers }: GuardFacts): StandingGuard {
  const limits = bgpPeers.map(({ metadata, spec }) => ({
    name: metadata.name,
    limit: spec.maxPrefixes ?? MOST_PREFIXES,
  }));
  const wide = limits.filter(({ limit }) => limit > MOST_PREFIXES).map(({ name, limit }) => `${name} ${limit}`);
  return {
    guard: 'max-prefixes',
    stands: wide.length === 0 ? 'on' : 'part',
    says:
      `A peer that sends more prefixes than its limit is shut down, at ${WARN_AT} % of it bgpd warns; the limit is ${MOST_PREFIXES}` +
      (wide.length === 0 ? '' : `, and more for ${some(wide)}`),
    change: 'BGPPeer spec.maxPrefixes; spec.maxPrefixesRestartAfter brings the session back',
  };
}

/** Filters whose export rules let something through on their own word. */
function acceptingFilters({ bgpFilters, bgpPeers }: GuardFacts): readonly string[] {
  const used = new Set(bgpPeers.flatMap(({ spec }) => spec.filters ?? []));
  return bgpFilters
    .filter(({ metadata }) => used.has(metadata.name))
    .filter(({ spec }) =>
      [...(spec.exportV4 ?? []), ...(spec.exportV6 ?? [])].some(({ action }) => action === 'Accept'),
    )
    .map(nameOf);
}

const butFor = (filters: readonly string[]): string =>
  filters.length === 0 ? '' : `, but for what ${some(filters)} let through`;

function exportsOwn(facts: GuardFacts): StandingGuard {
  const wide = acceptingFilters(facts);
  return {
    guard: 'own-routes-only',
    stands: wide.length === 0 ? 'on' : 'part',
    says: `Nodes announce what lies in pools and Service ranges, and nothing else${butFor(wide)}`,
    change: 'a BGPFilter with an export rule of action Accept',
  };
}

function noTransit(facts: GuardFacts): StandingGuard {
  const wide = acceptingFilters(facts);
  return {
    guard: 'no-transit',
    stands: wide.length === 0 ? 'on' : 'part',
    says: `What one router tells is told to no other${butFor(wide)}`,
    change: 'a BGPFilter with an export rule of action Accept',
  };
}

const ownAddresses = (): StandingGuard => ({
  guard: 'own-addresses',
  stands: 'on',
  says: "A node's pods and its own addresses are reached by its own routes, whatever a peer tells; a default route of a peer is taken",
  change: 'to refuse a default route: a BGPFilter with an import rule of action Reject for 0.0.0.0/0 and ::/0',
});

const flaps = (): StandingGuard => ({
  guard: 'flaps-told',
  stands: 'on',
  says:
    'Sessions that go down or flap are events of their BGPPeer (SessionDown, SessionFlapped), and in `tortie bgp history`; ' +
    'none is held back',
  change: 'nothing to switch',
});

function changes({ bgpConfigurations, bgpPeers, ipPools }: GuardFacts): StandingGuard {
  const standing = bgpConfigurations.find(({ metadata }) => metadata.name === 'default');
  const word = standing === undefined ? undefined : wordOf(standing);
  const single = [
    ...bgpPeers.filter((peer) => wordOf(peer) === 'required').map((peer) => `BGPPeer/${nameOf(peer)}`),
    ...ipPools.filter((pool) => wordOf(pool) === 'required').map((pool) => `IPPool/${nameOf(pool)}`),
  ];
  const whose = word === 'required' ? 'all objects' : some(single);
  const isOff = word === 'off' || (word !== 'required' && single.length === 0);
  return {
    guard: 'plain-changes',
    stands: isOff ? 'off' : word === 'required' ? 'on' : 'part',
    says: isOff
      ? 'Agents follow every plain change, also one that takes the last session of a node'
      : `Agents hold plain changes that take the last session, empty a selector or strand pods, of ${whose}`,
    change: `annotation ${GUARD}: required or off, on BGPConfiguration/default, a BGPPeer or an IPPool (docs/change.md)`,
  };
}

function tokens({ policies }: GuardFacts): StandingGuard {
  const missing = policies === undefined ? [] : GUARDS.filter((name) => !policies.includes(name));
  return {
    guard: 'tokens-of-nodes',
    stands:
      policies === undefined
        ? 'unknown'
        : missing.length === 0
          ? 'on'
          : missing.length === GUARDS.length
            ? 'off'
            : 'part',
    says:
      policies === undefined
        ? 'Whether ValidatingAdmissionPolicies hold agents to their own node is not known here'
        : missing.length === 0
          ? 'ValidatingAdmissionPolicies hold agents to their own node'
          : `There is no ValidatingAdmissionPolicy ${some(missing)}`,
    change: 'manifests/base/node-guard.yaml and tier-guard.yaml',
  };
}

export function formatGuards(guards: readonly StandingGuard[]): string {
  const width = Math.max(...guards.map(({ guard }) => guard.length));
  return guards
    .map(({ guard, stands, says, change }) => {
      const head = `${stands.toUpperCase().padEnd(8)}${guard.padEnd(width)}  ${says}`;
      return `${head}\n${' '.repeat(8 + width)}  switch: ${change}`;
    })
    .join('\n');
}
