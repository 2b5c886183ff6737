/**
 * All peers by name, and which of them a connection belongs to. Peers out of a range are made when they connect, up to the
 * range's limit, and live as long as their session does, or their stale routes.
 */
import { containsAddress, formatAddress, parseAddress, parsePrefix, type IpAddress } from '../address.js';
import type { DynamicPeersConfig } from '../config.js';
import type { Connection } from '../transport/transport.js';
import { knownAddress } from './peer-settings.js';
import type { Peer } from './peer.js';

const DEFAULT_LIMIT = 100;

export interface PeerDirectoryOwner {
  readonly ranges: () => readonly DynamicPeersConfig[];
  /** Makes the peer of an address out of a range, and adds it; undefined, and told, if it is not to be met now. */
  readonly make: (range: DynamicPeersConfig, address: IpAddress, interfaceName: string | undefined) => Peer | undefined;
  readonly refused: (address: string, reason: string) => void;
  /** The unnumbered peer on whose interface this address is; `local` is our end of the connection. */
  readonly unnumbered: (address: IpAddress, interfaceName: string | undefined, local: string) => Peer | undefined;
}

export class PeerDirectory {
  readonly all = new Map<string, Peer>();
  private readonly rangeOf = new Map<Peer, string>();
  /** Made when a connection comes in: with hundreds of peers a search through all of them shows in a mass reconnect. */
  private byAddress: ReadonlyMap<string, readonly Peer[]> | undefined;

  constructor(private readonly owner: PeerDirectoryOwner) {}

  add(peer: Peer): void {
    this.all.set(peer.name, peer);
    this.byAddress = undefined;
  }

  remove(peer: Peer): void {
    this.all.delete(peer.name);
    this.byAddress = undefined;
    this.rangeOf.delete(peer);
  }

  rename(renamed: readonly { readonly peer: Peer; readonly to: string }[]): void {
    for (const { peer } of renamed) this.all.delete(peer.name);
    for (const { peer, to } of renamed) {
      peer.rename(to);
      this.all.set(to, peer);
    }
  }

  /** Addresses of peers may have changed. */
  settingsChanged(): void {
    this.byAddress = undefined;
  }

  has(peer: Peer): boolean {
    return this.all.get(peer.name) === peer;
  }

  isDynamic(peer: Peer): boolean {
    return this.rangeOf.has(peer);
  }

  /** The range of a dynamic peer as it is configured now; undefined if it is gone or no longer holds the peer. */
  rangeFor(peer: Peer, ranges: readonly DynamicPeersConfig[]): DynamicPeersConfig | undefined {
    const range = ranges.find(({ name }) => name === this.rangeOf.get(peer));
    return range !== undefined && containsAddress(parsePrefix(range.range), knownAddress(peer.settings))
      ? range
      : undefined;
  }

  /** The peer that a connection is from; undefined, and told, if there is none. */
  find(connection: Connection): Peer | undefined {
    const [text = '', zone] = connection.remote.address.split('%');
    const address = parseAddress(text);
    const local = connection.local.address.split('%')[0] ?? '';
    const configured = this.configured(address, zone, local) ?? this.owner.unnumbered(address, zone, local);
    if (configured !== undefined) return configured;
    const range = this.range(address, zone);
    if (range === undefined) this.owner.refused(connection.remote.address, 'No peer has this address');
    return range === undefined ? undefined : this.dynamic(range, address, zone, text);
  }

  private configured(address: IpAddress, zone: string | undefined, local: string): Peer | undefined {
    this.byAddress ??= indexByAddress(this.all.values());
    const candidates = (this.byAddress.get(formatAddress(address)) ?? []).filter(
      ({ settings }) => settings.interfaceName === undefined || settings.interfaceName === zone,
    );
    return (
      candidates.find(({ settings }) => settings.localAddress === local) ??
      candidates.find(({ settings }) => settings.localAddress === undefined)
    );
  }

  /** The narrowest that holds the address. */
  private range(address: IpAddress, zone: string | undefined): DynamicPeersConfig | undefined {
    const [narrowest] = this.owner
      .ranges()
      .filter(
        (range) =>
          containsAddress(parsePrefix(range.range), address) &&
          (range.interface === undefined || range.interface === zone),
      )
      .sort((a, b) => parsePrefix(b.range).length - parsePrefix(a.range).length);
    return narrowest;
  }

  private dynamic(
    range: DynamicPeersConfig,
    address: IpAddress,
    zone: string | undefined,
    text: string,
  ): Peer | undefined {
    const limit = range.limit ?? DEFAULT_LIMIT;
    const used = [...this.rangeOf.values()].filter((name) => name === range.name).length;
    if (used >= limit) {
      this.owner.refused(text, `Range "${range.name}" has all its ${limit} peers`);
      return undefined;
    }
    const peer = this.owner.make(range, address, zone);
    if (peer !== undefined) this.rangeOf.set(peer, range.name);
    return peer;
  }
}

function indexByAddress(peers: Iterable<Peer>): ReadonlyMap<string, readonly Peer[]> {
  const index = new Map<string, Peer[]>();
  for (const peer of peers) {
    if (peer.settings.address === undefined) continue;
    const key = formatAddress(peer.settings.address);
    const alike = index.get(key);
    if (alike === undefined) index.set(key, [peer]);
    else alike.push(peer);
  }
  return index;
}
