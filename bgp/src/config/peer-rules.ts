/**
 * What one peer, or one range of peers, has to be like beyond the shape of its fields: what RFCs and the kernel want of fields together.
 * Every rule looks at one peer and the frame around it (our AS, where we listen, names of filters); rules between peers are in validate.ts.
 */
import { formatAddress, isHostAddress, isLoopback, parseAddress } from '../address.js';
import type {
  CapabilityName,
  PeerConfig,
  RoleName,
  SessionFields,
  SpeakerConfig,
  UnnumberedPeerConfig,
} from '../config.js';
import { joinPath, nearest, scopedAddress, type Problem } from './schema.js';

/** The name of a peer in tables, queries and events. */
export const peerName = (peer: PeerConfig): string => peer.name ?? peerLocation(peer);

/** Its address in canonical form, "fe80::1%eth0" for a link-local one; "eth0" where only the interface is known. */
export function peerLocation(peer: PeerConfig): string {
  const address = scopedAddress(peer);
  return typeof address === 'string' ? canonicalPeerAddress(address) : (peer.interface ?? '');
}

/** 0 stands for any AS but our own. */
export function remoteAsOf(config: SpeakerConfig, peer: PeerConfig): number {
  if (peer.remoteAs === 'internal') return peer.localAs ?? config.localAs;
  return peer.remoteAs === 'external' ? 0 : peer.remoteAs;
}

export function canonicalPeerAddress(text: string): string {
  const [plain = '', zone] = text.split('%');
  const address = formatAddress(parseAddress(plain));
  return zone === undefined ? address : `${address}%${zone}`;
}

export function checkPeer(config: SpeakerConfig, peer: PeerConfig, path: string, problems: Problem[]): void {
  const problem = (field: string, value: unknown, expected: string): void => {
    problems.push({ path: joinPath(path, field), value, expected });
  };
  const location = peerLocation(peer);
  const [plain = '', zone] = location.split('%');
  if (peer.address === undefined) checkUnnumbered(peer, problem);
  else {
    const isIpv6 = plain.includes(':');
    if (!isPlace(plain)) problem('address', peer.address, HOST);
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
      else if (!isPlace(peer.localAddress.split('%')[0] ?? '')) problem('localAddress', peer.localAddress, HOST);
      else if (canonicalPeerAddress(peer.localAddress) === location && listensOn(config, peer.port ?? 179))
        problem('localAddress', peer.localAddress, "another address than the peer's");
    }
  }
  if (peer.passive === true && (config.listen?.length ?? 1) === 0)
    problem('passive', true, 'a "listen" entry: a passive peer has to be able to connect');
}

/** Whether the speaker itself accepts on this port: it cannot be its own peer. */
const listensOn = ({ listen = [{ address: '::' }] }: SpeakerConfig, port: number): boolean =>
  listen.some((each) => (each.port ?? 179) === port);

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

const HOST = 'the address of a host';

/** Can a daemon be there? On this host, too: a speaker on loopback is how a library is tried. */
export function isPlace(text: string): boolean {
  const address = parseAddress(text);
  return isHostAddress(address) || isLoopback(address);
}

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
  readonly addPath?: 'send' | 'receive' | 'both';
  readonly addPathLimit?: number;
}

/** What RFCs and the kernel want of fields together. */
export function checkSession(
  config: SpeakerConfig,
  session: UncheckedSession,
  remoteAs: number,
  path: string,
  problems: Problem[],
): void {
  const problem = (field: keyof UncheckedSession, expected: string): void => {
    problems.push({ path: joinPath(path, field), value: session[field], expected });
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
  if (session.localAsOnly === true && session.localAs === undefined) problem('localAsOnly', 'a "localAs" beside it');
  if (session.addPathLimit !== undefined && session.addPath !== 'send' && session.addPath !== 'both')
    problem('addPathLimit', 'an "addPath" beside it that is send or both');
  if (session.nextHopSelf === true && session.nextHopUnchanged === true)
    problem('nextHopUnchanged', 'nothing beside nextHopSelf');
  if (
    session.holdTime !== undefined &&
    session.holdTime > 0 &&
    session.delayOpenTime !== undefined &&
    session.delayOpenTime >= 240
  )
    problem('delayOpenTime', 'less than 240 s, when the peer gives up');
  checkCapabilities(session, path, problems);
  if (session.families !== undefined && new Set(session.families).size !== session.families.length)
    problem('families', 'each family once');
  checkReferences(config, session, path, problems);
}

/** Filters that a session names are there. */
export function checkReferences(
  config: SpeakerConfig,
  session: Pick<SessionFields, 'import' | 'export'>,
  path: string,
  problems: Problem[],
): void {
  for (const direction of ['import', 'export'] as const)
    for (const [index, name] of (session[direction] ?? []).entries())
      if (config.filters?.[name] === undefined || !Object.hasOwn(config.filters, name))
        problems.push({
          path: `${joinPath(path, direction)}[${index}]`,
          value: name,
          expected: filterExpected(config, name),
        });
}

/** What is switched off cannot be asked for beside it, and what is switched on has to be asked for. */
function checkCapabilities(session: UncheckedSession, path: string, problems: Problem[]): void {
  const { capabilities = {}, families = ['ipv4'], addPath, extendedNextHop, role } = session;
  const problem = (name: CapabilityName, expected: string): void => {
    problems.push({ path: joinPath(joinPath(path, 'capabilities'), name), value: capabilities[name], expected });
  };
  if (capabilities.multiprotocol === false && !families.includes('ipv4'))
    problem(
      'multiprotocol',
      'true: without it a session carries ipv4 alone (RFC 4760), which "families" does not name',
    );
  if (capabilities.addPath === false && addPath !== undefined) problem('addPath', 'nothing beside addPath');
  if (capabilities.extendedNextHop === false && extendedNextHop === true)
    problem('extendedNextHop', 'nothing beside extendedNextHop');
  if (capabilities.addPath === true && addPath === undefined)
    problem('addPath', 'an "addPath" of the session beside it, which says for which way');
  if (capabilities.role === true && role === undefined) problem('role', 'a "role" of the session beside it');
}

function filterExpected(config: SpeakerConfig, name: string): string {
  const near = nearest(name, Object.keys(config.filters ?? {}));
  return `the name of an entry of "filters"${near === undefined ? '' : `; did you mean "${near}"?`}`;
}
