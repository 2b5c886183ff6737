/**
 * BFD for sessions that ask for it (RFC 5880, RFC 5882): a BFD session exists while its BGP session is Established, and when the path
 * fails, the BGP session ends with Cease / BFD Down (RFC 9384). Its routes are dropped, not kept: the path is known to be broken.
 *
 * The BFD engine and its thread are made with the first session that asks.
 */
import { formatAddress } from '../address.js';
import { bfdKey, type BfdEvent, type BfdSessionConfig, type BfdStatus } from '../bfd/contract.js';
import type { BfdState } from '../bfd/packet.js';
import { CeaseCode } from '../iana.js';
import { interfaceTowards, type LocalInterface } from '../session/interface.js';
import { peerAddressText } from './peer-settings.js';
import { cease } from './cease.js';
import type { Peer } from './peer.js';

export interface BfdPort {
  set(owner: string, sessions: readonly BfdSessionConfig[]): void;
  status(): Promise<readonly BfdStatus[]>;
  close(): Promise<void>;
}

const DEFAULT_INTERVAL = 300;
const DEFAULT_MULTIPLIER = 3;

export class PeerBfd {
  private port: BfdPort | undefined;
  /** Of Established sessions, by BFD key. BOUNDED by the sessions. */
  private byKey = new Map<string, Peer[]>();
  private readonly states = new Map<string, BfdState>();

  constructor(
    private readonly makePort: (onEvent: (event: BfdEvent) => void) => BfdPort,
    private readonly interfaces: () => readonly LocalInterface[],
    private readonly warn: (peer: Peer | undefined, reason: string) => void,
  ) {}

  /** Call after anything that changes which sessions are up or what they want. */
  update(peers: Iterable<Peer>): void {
    const byKey = new Map<string, Peer[]>();
    const sessions: BfdSessionConfig[] = [];
    for (const peer of peers) {
      const session = this.sessionOf(peer);
      if (session === undefined) continue;
      const key = bfdKey(session);
      byKey.set(key, [...(byKey.get(key) ?? []), peer]);
      sessions.push(session);
    }
    this.byKey = byKey;
    for (const key of this.states.keys()) if (!byKey.has(key)) this.states.delete(key);
    if (this.port === undefined && sessions.length === 0) return;
    this.port ??= this.makePort((event) => this.heard(event));
    this.port.set('bgp', sessions);
  }

  /** undefined: no BFD for this peer now. */
  stateOf(peer: Peer): BfdState | undefined {
    for (const [key, peers] of this.byKey) if (peers.includes(peer)) return this.states.get(key) ?? 'down';
    return undefined;
  }

  status(): Promise<readonly BfdStatus[]> {
    return this.port?.status() ?? Promise.resolve([]);
  }

  async close(): Promise<void> {
    await this.port?.close();
  }

  private sessionOf(peer: Peer): BfdSessionConfig | undefined {
    const { settings, session } = peer;
    const local = session?.endpoints?.local.address.split('%')[0];
    if (settings.bfd === undefined || local === undefined) return undefined;
    const { transmitInterval = DEFAULT_INTERVAL, receiveInterval = DEFAULT_INTERVAL, multiplier = DEFAULT_MULTIPLIER } = settings.bfd;
    return { peer: peerAddressText(settings), localAddress: local, multihop: this.isMultihop(peer), transmitInterval, receiveInterval, multiplier };
  }

  /** RFC 5883 section 3: whether the peer is on the link decides, not what kind of session runs over it. */
  private isMultihop({ settings }: Peer): boolean {
    if (settings.isSingleHop || settings.interfaceName !== undefined) return false;
    const link = interfaceTowards(this.interfaces(), settings.address);
    return link === undefined || link.addresses.every(({ address }) => formatAddress(address) === formatAddress(settings.address));
  }

  private heard(event: BfdEvent): void {
    if (event.type === 'problem') return this.warn(undefined, event.reason);
    const peers = this.byKey.get(event.key) ?? [];
    if (peers.length > 0) this.states.set(event.key, event.to);
    if (!event.isFailure) return;
    for (const peer of peers) peer.fail(cease(CeaseCode.bfdDown), `BFD says that the path to ${event.peer} has failed: ${event.reason}`);
  }
}
