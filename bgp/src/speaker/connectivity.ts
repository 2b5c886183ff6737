/**
 * Is a peer reachable by what the interfaces say? A direct eBGP neighbour whose link is gone must not be believed in until the
 * hold time runs out: the session ends with the carrier, and its routes with it.
 */
import { formatAddress, isLoopback, parseAddress, prefixOf, type IpAddress } from '../address.js';
import { interfaceOf, interfaceTowards, type LocalInterface } from '../session/interface.js';
import type { ConnectedPrefix } from '../rib/contract.js';
import { knownAddress, type PeerSettings } from './peer-settings.js';

/** Does one of these patterns (`*` for any text, `?` for one character) name the interface? */
export function isIgnored(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => globOf(pattern).test(name));
}

const globOf = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern.replace(/[^*?]+|\*+|\?/g, (part) => (part === '?' ? '.' : part.startsWith('*') ? '.*' : escaped(part)))}$`,
  );

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

/** The interfaces whose prefixes are links: all but the ignored ones. */
export const linksOf = (
  interfaces: readonly LocalInterface[],
  ignored: readonly string[],
): readonly LocalInterface[] =>
  ignored.length === 0 ? interfaces : interfaces.filter(({ name }) => !isIgnored(name, ignored));

/**
 * The sentence why there can be no session, undefined if there can. `before`: the interfaces as they were; `isOnDevice`: a route says that
 * the address is on a link.
 */
export function linkProblem(
  settings: PeerSettings,
  interfaces: readonly LocalInterface[],
  before: readonly LocalInterface[],
  ignored: readonly string[],
  isOnDevice: (address: IpAddress) => boolean,
): string | undefined {
  const { localAddress, interfaceName, isSingleHop } = settings;
  if (localAddress !== undefined && interfaceName === undefined && !isOurs(interfaces, parseAddress(localAddress)))
    return `Local address ${localAddress} is on no interface`;
  if (interfaceName !== undefined) return downText(interfaces, interfaceName);
  const address = knownAddress(settings);
  if (!isSingleHop || interfaceTowards(linksOf(interfaces, ignored), address) !== undefined) return undefined;
  if (isOnDevice(address)) return undefined;
  const onIgnored = interfaceTowards(interfaces, address);
  if (onIgnored !== undefined)
    return `${formatAddress(address)} is on ${onIgnored.name}, one of "ignoredInterfaces"; a peer there needs "multihop"`;
  const was = interfaceTowards(before, address);
  const isDown = was === undefined ? undefined : downText(interfaces, was.name);
  return (
    isDown ??
    `No interface that is up has a prefix with ${formatAddress(address)} in it; a peer further away needs "multihop"`
  );
}

/** The interface that a session runs over. Several may have the same link-local address; there the peer's own one counts. */
export function sessionLink(
  { interfaceName }: PeerSettings,
  localAddress: string,
  interfaces: readonly LocalInterface[],
): LocalInterface | undefined {
  if (interfaceName !== undefined) return interfaces.find(({ name }) => name === interfaceName);
  return interfaceOf(interfaces, parseAddress(localAddress.split('%')[0] ?? ''));
}

/** Names of the interfaces whose addresses are others than before. */
export function readdressed(before: readonly LocalInterface[], after: readonly LocalInterface[]): ReadonlySet<string> {
  const textOf = ({ addresses }: LocalInterface): string =>
    addresses.map(({ address, length }) => `${address.family} ${address.value} ${length}`).join(',');
  const old = new Map(before.map((link) => [link.name, textOf(link)]));
  return new Set(after.filter((link) => old.get(link.name) !== textOf(link)).map(({ name }) => name));
}

/** What the RIB resolves next hops through: prefixes on links that are up. */
export function connectedPrefixes(interfaces: readonly LocalInterface[]): readonly ConnectedPrefix[] {
  return interfaces
    .filter(({ isUp }) => isUp)
    .flatMap(({ name, addresses }) =>
      addresses.map(({ address, length, peer }) => ({
        prefix: prefixOf(peer ?? address, length),
        interfaceName: name,
      })),
    );
}

/** All of 127.0.0.0/8 is local, though only one of it shows on `lo`. */
const isOurs = (interfaces: readonly LocalInterface[], address: IpAddress): boolean =>
  isLoopback(address) || interfaceOf(interfaces, address) !== undefined;

function downText(interfaces: readonly LocalInterface[], name: string): string | undefined {
  const link = interfaces.find((each) => each.name === name);
  if (link === undefined) return `Interface ${name} does not exist`;
  return link.isUp ? undefined : `Interface ${name} is down or has lost its carrier`;
}
