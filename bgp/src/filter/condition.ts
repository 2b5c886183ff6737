/**
 * The `match` of a filter rule, compiled. Its conditions are of three kinds, by what they cost: those about the session have one
 * answer for good and are settled here; those about the attributes are asked once per attribute set; only those about the
 * prefix (prefix lists, tags) are asked for each prefix.
 */
import {
  containsAddress,
  containsPrefix,
  formatAddress,
  hostPrefix,
  parsePrefix,
  tryParsePrefix,
  type Family,
  type IpAddress,
  type IpPrefix,
} from '../address.js';
import { asPathLength, formatAsPath } from '../codec/as-path.js';
import type { PathAttributes } from '../codec/attribute.js';
import type { FilterMatch, NumberRange } from '../config.js';
import type { PolicyRoute } from '../rib/policy.js';
import { parseAsPathPattern } from './as-path-pattern.js';
import { hasCommunity, parseCommunityPattern, type CommunityPattern } from './community-pattern.js';
import { PrefixSet } from './prefix-set.js';

/** The session a filter runs on. */
export interface FilterSession {
  readonly direction: 'import' | 'export';
  readonly peerType: 'ebgp' | 'ibgp';
  readonly name: string;
  readonly address: IpAddress;
  readonly remoteAs: number;
  /** The AS we speak as: what `prepend` prepends. */
  readonly localAs: number;
}

/** A route as the rules so far have left it. */
export interface RouteState {
  readonly route: PolicyRoute;
  /** undefined: those of the route. */
  readonly attributes: PathAttributes | undefined;
  readonly nextHop: IpAddress | undefined;
  readonly weight: number | undefined;
  readonly metric: number | undefined;
  /** A rule has said what MED is, be it the value that was there. */
  readonly choseMed: boolean;
}

/** A route that no rule has touched. */
export const untouched = (route: PolicyRoute): RouteState => ({
  route,
  attributes: undefined,
  nextHop: undefined,
  weight: undefined,
  metric: undefined,
  choseMed: false,
});

export const attributesOf = (state: RouteState): PathAttributes => state.attributes ?? state.route.attributes;

/** A question about everything but the prefix. `field` is that of FilterMatch. */
export interface AttributeCondition {
  readonly field: keyof FilterMatch;
  readonly holds: (state: RouteState) => boolean;
}

/** A question about the prefix, its address in `words` from `at` on, and its tags. */
export interface PrefixCondition {
  readonly field: keyof FilterMatch;
  readonly holds: (family: Family, words: Uint32Array, at: number, length: number, tags: readonly string[]) => boolean;
}

export interface CompiledMatch {
  /** A condition about the session does not hold: the rule never matches. */
  readonly isImpossible: boolean;
  /** Cheap ones first. */
  readonly attributes: readonly AttributeCondition[];
  readonly prefix: readonly PrefixCondition[];
}

/** The configuration has been validated; a pattern that does not parse here is our own fault and throws. */
export function compileMatch(match: FilterMatch, session: FilterSession): CompiledMatch {
  return {
    isImpossible: !isPossible(match, session),
    attributes: attributeConditions(match),
    prefix: prefixConditions(match),
  };
}

function isPossible({ peerTypes, peers, peerAs }: FilterMatch, session: FilterSession): boolean {
  if (peerTypes !== undefined && !peerTypes.includes(session.peerType)) return false;
  if (peerAs !== undefined && !peerAs.includes(session.remoteAs)) return false;
  return (
    peers === undefined ||
    peers.some(
      (peer) =>
        isLike(peer, session.name) || isLike(peer, formatAddress(session.address)) || isInside(peer, session.address),
    )
  );
}

function isInside(text: string, address: IpAddress): boolean {
  const prefix = tryParsePrefix(text);
  return prefix !== undefined && containsAddress(prefix, address);
}

/** `*` stands for any text. */
function isLike(pattern: string, text: string): boolean {
  const [head = '', ...rest] = pattern.split('*');
  const tail = rest.pop();
  if (tail === undefined) return pattern === text;
  if (!text.startsWith(head) || text.length < head.length + tail.length || !text.endsWith(tail)) return false;
  let at = head.length;
  const end = text.length - tail.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

function attributeConditions(match: FilterMatch): readonly AttributeCondition[] {
  const {
    families,
    source,
    origins,
    interfaces,
    kernelMetric,
    med,
    localPreference,
    nextHops,
    asPathLength: hops,
    asPathPrefix,
    communities,
    asPath,
  } = match;
  const conditions: AttributeCondition[] = [];
  const add = (field: keyof FilterMatch, holds: AttributeCondition['holds']): void =>
    void conditions.push({ field, holds });
  if (families !== undefined) add('families', ({ route }) => families.includes(route.family === 4 ? 'ipv4' : 'ipv6'));
  if (source !== undefined) add('source', ({ route }) => source.includes(route.source));
  if (interfaces !== undefined)
    add(
      'interfaces',
      ({ route: { interfaceName } }) =>
        interfaceName !== undefined && interfaces.some((pattern) => isLike(pattern, interfaceName)),
    );
  if (kernelMetric !== undefined) {
    const wanted = kernelMetric === 'none' ? undefined : kernelMetric;
    add('kernelMetric', ({ route, metric = route.metric }) => metric === wanted);
  }
  if (nextHops !== undefined) {
    const ranges = nextHops.map(nextHopRange);
    add(
      'nextHops',
      ({ route, nextHop = route.nextHop }) =>
        nextHop !== undefined && ranges.some((range) => containsPrefix(range, hostPrefix(nextHop))),
    );
  }
  if (origins !== undefined) add('origins', (state) => origins.includes(attributesOf(state).origin));
  if (med !== undefined) add('med', (state) => isBetween(med, attributesOf(state).med ?? 0));
  if (localPreference !== undefined)
    add('localPreference', (state) => isBetween(localPreference, attributesOf(state).localPreference ?? 100));
  if (hops !== undefined) add('asPathLength', (state) => isBetween(hops, asPathLength(attributesOf(state).asPath)));
  if (asPathPrefix !== undefined) add('asPathPrefix', (state) => beginsWith(attributesOf(state), asPathPrefix));
  if (communities !== undefined) {
    const patterns = communities.map(communityPattern);
    add('communities', (state) => patterns.some((pattern) => hasCommunity(attributesOf(state), pattern)));
  }
  if (asPath !== undefined) {
    const patterns = asPath.map(asPathPattern);
    add('asPath', (state) => patterns.some((pattern) => pattern.test(formatAsPath(attributesOf(state).asPath))));
  }
  return conditions;
}

function prefixConditions({ prefixes, tags }: FilterMatch): readonly PrefixCondition[] {
  const conditions: PrefixCondition[] = [];
  if (tags !== undefined)
    conditions.push({
      field: 'tags',
      holds: (_family, _words, _at, _length, own) => tags.some((tag) => own.includes(tag)),
    });
  if (prefixes !== undefined) {
    const set = new PrefixSet(prefixes);
    conditions.push({ field: 'prefixes', holds: (family, words, at, length) => set.has(family, words, at, length) });
  }
  return conditions;
}

const isBetween = ({ min = 0, max = 0xffffffff }: NumberRange, value: number): boolean => value >= min && value <= max;

function beginsWith({ asPath }: PathAttributes, wanted: readonly number[]): boolean {
  const path = asPath.flatMap(({ type, members }) => (type === 'sequence' ? members : [-1]));
  return wanted.every((as, index) => path[index] === as);
}

/** "10.0.0.0/8", or one address. */
function nextHopRange(text: string): IpPrefix {
  return parsePrefix(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`);
}

export function communityPattern(text: string): CommunityPattern {
  const pattern = parseCommunityPattern(text);
  if (pattern === undefined) throw new Error(`Cannot compile filter: "${text}" is no community pattern`);
  return pattern;
}

function asPathPattern(text: string): { readonly test: (path: string) => boolean } {
  const parsed = parseAsPathPattern(text);
  if (parsed.type === 'error')
    throw new Error(`Cannot compile filter: AS path pattern "${text}" needs ${parsed.expected}`);
  return parsed.pattern;
}
