/**
 * From anything to a SpeakerConfig, or to every problem it has: the shape of each field first, then what fields mean to
 * each other. A configuration that passes can be applied without a further check.
 */
import { containsPrefix, formatAddress, formatPrefix, parseAddress, parsePrefix, tryParseAddress } from '../address.js';
import type {
  DynamicPeersConfig,
  PeerConfig,
  RoleName,
  SessionFields,
  SpeakerConfig,
  UnnumberedPeerConfig,
} from '../config.js';
import { isObject, nearest, scopedAddress, widthOf, type JsonSchema, type Problem } from './schema.js';
import { speakerShape } from './shape.js';

export type { Problem } from './schema.js';

export type Validated =
  | { readonly type: 'valid'; readonly config: ParsedConfig }
  | { readonly type: 'invalid'; readonly problems: readonly Problem[] };

/** JSON Schema of the configuration, for editors. */
export const speakerSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Configuration of a BGP speaker',
  ...speakerShape.schema,
};

/** Checks everything and reports all at once; relations between fields only once each field by itself is right. */
export function validateConfig(value: unknown): Validated {
  const problems: Problem[] = [];
  speakerShape.check(value, '', problems);
  if (problems.length > 0) return { type: 'invalid', problems };
  const config = withoutNulls(value) as ParsedConfig;
  checkNames(config, problems);
  for (const [index, peer] of (config.peers ?? []).entries()) {
    checkPeer(config, peer, `peers[${index}]`, problems);
    checkSession(config, peer, remoteAsOf(config, peer), `peers[${index}]`, problems);
  }
  for (const [index, range] of (config.dynamicPeers ?? []).entries()) {
    checkRange(config, range, `dynamicPeers[${index}]`, problems);
    for (const remoteAs of [range.remoteAs].flat())
      checkSession(config, range, remoteAs, `dynamicPeers[${index}]`, problems);
  }
  checkOriginated(config, problems);
  checkFilters(config, problems);
  return problems.length > 0 ? { type: 'invalid', problems } : { type: 'valid', config };
}

/** A configuration that has been checked. */
export type ParsedConfig = SpeakerConfig & { readonly [PARSED]: true };
declare const PARSED: unique symbol;

/** From JSON, YAML or anything else that nobody has checked. Throws ConfigError with every problem. */
export function parseConfig(value: unknown): ParsedConfig {
  const validated = validateConfig(value);
  if (validated.type === 'invalid') throw new ConfigError(validated.problems);
  return validated.config;
}

/** A configuration that cannot be used; `problems` has every reason. Nothing was changed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(readonly problems: readonly Problem[]) {
    super(`Cannot use the configuration: ${problems.map(formatProblem).join('; ')}`);
  }
}

/** One sentence per problem: `peers[0].holdTime is 2; expected ...`. */
export function formatProblem(problem: Problem): string {
  const where = problem.path === '' ? 'the configuration' : problem.path;
  if (problem.value === undefined) return `${where}: expected ${problem.expected}`;
  const text =
    typeof problem.value === 'string' ? `"${problem.value}"` : (JSON.stringify(problem.value) ?? String(problem.value));
  return `${where} is ${text.length > 80 ? `${text.slice(0, 77)}...` : text}; expected ${problem.expected}`;
}

/** YAML writes an absent value as null. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, entry]) => entry !== null && entry !== undefined)
      .map(([key, entry]) => [key, withoutNulls(entry)]),
  );
}

/** The name of a peer in tables, queries and events. */
export const peerName = (peer: PeerConfig): string => peer.name ?? peerLocation(peer);

/** Its address in canonical form, "fe80::1%eth0" for a link-local one; "eth0" where only the interface is known. */
export function peerLocation(peer: PeerConfig): string {
  const address = scopedAddress(peer);
  return typeof address === 'string' ? canonicalPeerAddress(address) : (peer.interface ?? '');
}

/** 0 stands for any AS but our own. */
function remoteAsOf(config: SpeakerConfig, peer: PeerConfig): number {
  if (peer.remoteAs === 'internal') return peer.localAs ?? config.localAs;
  return peer.remoteAs === 'external' ? 0 : peer.remoteAs;
}

export function canonicalPeerAddress(text: string): string {
  const [plain = '', zone] = text.split('%');
  const address = formatAddress(parseAddress(plain));
  return zone === undefined ? address : `${address}%${zone}`;
}

function checkNames(config: SpeakerConfig, problems: Problem[]): void {
  const names = new Map<string, string>();
  const claim = (name: string, path: string, remedy: string): void => {
    const first = names.get(name);
    if (first !== undefined) problems.push({ path, value: name, expected: `${remedy}; ${first} has the same` });
    else names.set(name, path);
  };
  const sessions = new Map<string, string>();
  for (const [index, peer] of (config.peers ?? []).entries()) {
    const field = peer.address === undefined ? 'interface' : 'address';
    if (peer.name === undefined)
      claim(peerName(peer), `peers[${index}].${field}`, `an ${field} or a "name" of its own`);
    else claim(peer.name, `peers[${index}].name`, 'a name of its own');
    const session =
      peer.address === undefined
        ? peerLocation(peer)
        : `${peerLocation(peer)} ${peer.port ?? 179} ${peer.localAddress ?? ''}`;
    const first = sessions.get(session);
    if (first !== undefined && peer.name !== undefined)
      problems.push({
        path: `peers[${index}].${field}`,
        value: peer[field],
        expected: `an ${field} of its own; ${first} has the same`,
      });
    else if (first === undefined) sessions.set(session, `peers[${index}].${field}`);
  }
  for (const [index, range] of (config.dynamicPeers ?? []).entries())
    claim(range.name, `dynamicPeers[${index}].name`, 'a name of its own');
}

function checkPeer(config: SpeakerConfig, peer: PeerConfig, path: string, problems: Problem[]): void {
  const problem = (field: string, value: unknown, expected: string): void => {
    problems.push({ path: `${path}.${field}`, value, expected });
  };
  const location = peerLocation(peer);
  const [plain = '', zone] = location.split('%');
  if (peer.address === undefined) checkUnnumbered(peer, problem);
  else {
    const isIpv6 = plain.includes(':');
    if (parseAddress(plain).value === 0n || isMulticast(plain))
      problem('address', peer.address, 'the address of a host');
    if (peer.interface !== undefined && peer.interface !== zone)
      problem(
        'interface',
        peer.interface,
        zone === undefined
          ? 'no interface beside an address that is not link-local'
          : `the interface of the address, ${zone}`,
      );
    if (peer.localAddress !== undefined) {
      if (peer.localAddress.includes(':') !== isIpv6)
        problem(
          'localAddress',
          peer.localAddress,
          `an address of the same family as the peer's, ${isIpv6 ? 'IPv6' : 'IPv4'}`,
        );
      else if (peer.localAddress.includes('%') && peer.localAddress.split('%')[1] !== zone)
        problem(
          'localAddress',
          peer.localAddress,
          `an address of the peer's own interface, ${zone ?? 'which is none here'}`,
        );
      else if (canonicalPeerAddress(peer.localAddress) === location && (peer.port ?? 179) === 179)
        problem('localAddress', peer.localAddress, "another address than the peer's");
    }
  }
  if (peer.passive === true && (config.listen?.length ?? 1) === 0)
    problem('passive', true, 'a "listen" entry: a passive peer has to be able to connect');
}

/** Everything about it happens on one link. */
function checkUnnumbered(
  peer: UnnumberedPeerConfig,
  problem: (field: string, value: unknown, expected: string) => void,
): void {
  const { interface: name, localAddress } = peer;
  if (localAddress !== undefined && localAddress.split('%')[1] !== name)
    problem(
      'localAddress',
      localAddress,
      `a link-local address of the peer's own interface, such as "fe80::1%${name}"`,
    );
  if (peer.multihop !== undefined) problem('multihop', peer.multihop, 'nothing: an unnumbered peer is on the link');
  if (peer.ttlSecurityHops !== undefined && peer.ttlSecurityHops > 1)
    problem('ttlSecurityHops', peer.ttlSecurityHops, '1: an unnumbered peer is on the link');
}

const isMulticast = (text: string): boolean => {
  const address = tryParseAddress(text);
  return (
    address !== undefined && (address.family === 4 ? address.value >> 28n === 0xen : address.value >> 120n === 0xffn)
  );
};

/** What the types of SessionConfig forbid together, a file can still hold. */
interface UncheckedSession extends SessionFields {
  readonly multihop?: number;
  readonly ttlSecurityHops?: number;
  readonly nextHopSelf?: boolean;
  readonly nextHopUnchanged?: boolean;
  readonly localAs?: number;
  readonly localAsOnly?: boolean;
  readonly role?: RoleName;
  readonly roleStrict?: boolean;
}

/** What RFCs and the kernel want of fields together. */
function checkSession(
  config: SpeakerConfig,
  session: UncheckedSession,
  remoteAs: number,
  path: string,
  problems: Problem[],
): void {
  const problem = (field: keyof UncheckedSession, expected: string): void => {
    problems.push({ path: `${path}.${field}`, value: session[field], expected });
  };
  const localAs = session.localAs ?? config.localAs;
  const isInternal = remoteAs === localAs;
  if (session.multihop !== undefined && session.ttlSecurityHops !== undefined)
    problem('multihop', 'nothing beside ttlSecurityHops, which already says how far the peer is');
  if (isInternal && session.multihop !== undefined)
    problem('multihop', 'nothing: an internal session may cross any number of hops');
  if (!isInternal && session.routeReflectorClient === true)
    problem('routeReflectorClient', `a peer of our own AS ${localAs} (RFC 4456)`);
  if (isInternal && session.role !== undefined) problem('role', 'an external peer (RFC 9234 section 4)');
  if (session.roleStrict === true && session.role === undefined) problem('roleStrict', 'a "role" beside it');
  if (isInternal && session.localAs !== undefined && session.localAs !== config.localAs)
    problem('localAs', `an external peer; ${remoteAs} is the local AS of this session`);
  if (session.localAsOnly === true && session.localAs === undefined) problem('localAsOnly', 'a "localAs" beside it');
  if (session.nextHopSelf === true && session.nextHopUnchanged === true)
    problem('nextHopUnchanged', 'nothing beside nextHopSelf');
  if (
    session.holdTime !== undefined &&
    session.holdTime > 0 &&
    session.delayOpenTime !== undefined &&
    session.delayOpenTime >= 240
  )
    problem('delayOpenTime', 'less than 240 s, when the peer gives up');
  if (session.families !== undefined && new Set(session.families).size !== session.families.length)
    problem('families', 'each family once');
  for (const direction of ['import', 'export'] as const)
    for (const [index, name] of (session[direction] ?? []).entries())
      if (config.filters?.[name] === undefined || !Object.hasOwn(config.filters, name))
        problems.push({ path: `${path}.${direction}[${index}]`, value: name, expected: filterExpected(config, name) });
}

function filterExpected(config: SpeakerConfig, name: string): string {
  const near = nearest(name, Object.keys(config.filters ?? {}));
  return `the name of an entry of "filters"${near === undefined ? '' : `; did you mean "${near}"?`}`;
}

function checkRange(config: SpeakerConfig, range: DynamicPeersConfig, path: string, problems: Problem[]): void {
  const prefix = parsePrefix(range.range);
  if (formatPrefix(prefix) === 'fe80::/10' && range.interface === undefined)
    problems.push({
      path: `${path}.interface`,
      value: undefined,
      expected: 'an interface: link-local addresses are those of one link',
    });
  if ((config.listen?.length ?? 1) === 0)
    problems.push({
      path: `${path}.range`,
      value: range.range,
      expected: 'a "listen" entry: peers out of a range have to be able to connect',
    });
  for (const [index, other] of (config.dynamicPeers ?? []).entries())
    if (
      other !== range &&
      other.range === range.range &&
      other.interface === range.interface &&
      `dynamicPeers[${index}]` < path
    )
      problems.push({
        path: `${path}.range`,
        value: range.range,
        expected: `a range of its own; dynamicPeers[${index}] has the same`,
      });
}

/** RFC 4291 2.5.6, RFC 1112, RFC 4291 2.7. */
const NEVER_ROUTED = ['fe80::/10', '224.0.0.0/4', 'ff00::/8'].map((text) => parsePrefix(text));

function checkOriginated(config: SpeakerConfig, problems: Problem[]): void {
  const seen = new Map<string, number>();
  for (const [index, { prefix }] of (config.originate ?? []).entries()) {
    const parsed = parsePrefix(prefix);
    const key = parsed.family === 4 ? prefix : formatPrefix(parsed); // IPv4 text that was let in has one form
    const first = seen.get(key);
    if (first !== undefined)
      problems.push({
        path: `originate[${index}].prefix`,
        value: prefix,
        expected: `each prefix once; originate[${first}] has it`,
      });
    else seen.set(key, index);
    if (NEVER_ROUTED.some((range) => containsPrefix(range, parsed)))
      problems.push({
        path: `originate[${index}].prefix`,
        value: prefix,
        expected: 'a unicast prefix that may leave the link',
      });
  }
}

function checkFilters(config: SpeakerConfig, problems: Problem[]): void {
  for (const [name, filter] of Object.entries(config.filters ?? {}))
    for (const [ruleIndex, rule] of filter.rules.entries())
      for (const [index, match] of (rule.match?.prefixes ?? []).entries()) {
        const length = Number(match.prefix.split('/')[1]);
        const [min, max] = [match.minLength ?? length, match.maxLength ?? Math.max(length, match.minLength ?? length)];
        if (max < min || max > widthOf(match.prefix))
          problems.push({
            path: `filters.${name}.rules[${ruleIndex}].match.prefixes[${index}]`,
            value: match,
            expected: `minLength <= maxLength <= ${widthOf(match.prefix)}`,
          });
      }
}
