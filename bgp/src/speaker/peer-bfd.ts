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
import type { Clock } from '../session/clock.js';
import { interfaceTowards, type LocalInterface } from '../session/interface.js';
import { knownAddress, peerAddressText } from './peer-settings.js';
import { cease } from './cease.js';
import type { Peer } from './peer.js';

export interface BfdPort {
  set(owner: string, sessions: readonly BfdSessionConfig[]): void;
  status(): Promise<readonly BfdStatus[]>;
  close(): Promise<void>;
}

const DEFAULT_INTERVAL = 300;
const DEFAULT_MULTIPLIER = 3;

/** What a peer has asked of BFD. */
interface Wish {
  readonly key: string;
  readonly session: BfdSessionConfig;
}

export class PeerBfd {
  private port: BfdPort | undefined;
  /** Of Established sessions that have BFD. BOUNDED by the sessions. */
  private readonly wishes = new Map<Peer, Wish>();
  /** The same by BFD key: two peers may share a session. */
  private readonly byKey = new Map<string, Set<Peer>>();
  private readonly states = new Map<string, BfdState>();
  private isTold = false;
  private isOutdated = false;
  private isClosed = false;

  constructor(
    private readonly makePort: (onEvent: (event: BfdEvent) => void) => BfdPort,
    private readonly clock: Pick<Clock, 'soon'>,
    private readonly interfaces: () => readonly LocalInterface[],
    private readonly warn: (peer: Peer | undefined, reason: string) => void,
  ) {}

  /** Call after anything that changes whether the peer's session is up, or what it wants. */
  update(peer: Peer): void {
    const session = this.sessionOf(peer);
    const before = this.wishes.get(peer);
    if (session === undefined ? before === undefined : before !== undefined && isSame(before.session, session)) return;
    if (before !== undefined) this.drop(peer, before);
    if (session !== undefined) this.keep(peer, { key: bfdKey(session), session });
    if (before !== undefined && !this.byKey.has(before.key)) this.states.delete(before.key);
    this.tell();
  }

  /** The peer itself is gone. */
  forget(peer: Peer): void {
    const before = this.wishes.get(peer);
    if (before === undefined) return;
    this.drop(peer, before);
    if (!this.byKey.has(before.key)) this.states.delete(before.key);
    this.tell();
  }

  /** undefined: no BFD for this peer now. */
  stateOf(peer: Peer): BfdState | undefined {
    const wish = this.wishes.get(peer);
    return wish === undefined ? undefined : (this.states.get(wish.key) ?? 'down');
  }

  status(): Promise<readonly BfdStatus[]> {
    return this.port?.status() ?? Promise.resolve([]);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.port?.close();
  }

  private keep(peer: Peer, wish: Wish): void {
    this.wishes.set(peer, wish);
    const peers = this.byKey.get(wish.key);
    if (peers === undefined) this.byKey.set(wish.key, new Set([peer]));
    else peers.add(peer);
  }

  private drop(peer: Peer, { key }: Wish): void {
    this.wishes.delete(peer);
    const peers = this.byKey.get(key);
    peers?.delete(peer);
    if (peers?.size === 0) this.byKey.delete(key);
  }

  /**
   * The engine wants the whole set. The first change of a turn of the event loop is told at once, the others of that turn together: with
   * hundreds of sessions that come up at the same moment the whole set for each of them would be a square.
   */
  private tell(): void {
    if (this.isTold) {
      this.isOutdated = true;
      return;
    }
    this.isTold = true;
    this.isOutdated = false;
    this.clock.soon(() => {
      this.isTold = false;
      if (this.isOutdated && !this.isClosed) this.tell();
    });
    this.port ??= this.makePort((event) => this.heard(event));
    this.port.set(
      'bgp',
      [...this.wishes.values()].map(({ session }) => session),
    );
  }

  private sessionOf(peer: Peer): BfdSessionConfig | undefined {
    const { settings, session } = peer;
    const local = session?.endpoints?.local.address.split('%')[0];
    if (settings.bfd === undefined || local === undefined) return undefined;
    const {
      transmitInterval = DEFAULT_INTERVAL,
      receiveInterval = DEFAULT_INTERVAL,
      multiplier = DEFAULT_MULTIPLIER,
    } = settings.bfd;
    const multihop = this.isMultihop(peer);
    // RFC 5881 section 4: not over several hops, and not from a link-local address.
    const { echoInterval } = settings.bfd;
    const echo = echoInterval === undefined || multihop || local.startsWith('fe80:') ? {} : { echoInterval };
    return {
      peer: peerAddressText(settings),
      localAddress: local,
      multihop,
      transmitInterval,
      receiveInterval,
      multiplier,
      ...echo,
    };
  }

  /** RFC 5883 section 3: whether the peer is on the link decides, not what kind of session runs over it. */
  private isMultihop({ settings }: Peer): boolean {
    if (settings.isSingleHop || settings.interfaceName !== undefined) return false;
    const link = interfaceTowards(this.interfaces(), knownAddress(settings));
    return (
      link === undefined ||
      link.addresses.every(({ address }) => formatAddress(address) === formatAddress(knownAddress(settings)))
    );
  }

  private heard(event: BfdEvent): void {
    if (event.type === 'problem') return this.warn(undefined, event.reason);
    const peers = [...(this.byKey.get(event.key) ?? [])];
    if (peers.length > 0) this.states.set(event.key, event.to);
    if (!event.isFailure) return;
    for (const peer of peers)
      peer.fail(cease(CeaseCode.bfdDown), `BFD says that the path to ${event.peer} has failed: ${event.reason}`);
  }
}

const isSame = (a: BfdSessionConfig, b: BfdSessionConfig): boolean =>
  bfdKey(a) === bfdKey(b) &&
  a.transmitInterval === b.transmitInterval &&
  a.receiveInterval === b.receiveInterval &&
  a.multiplier === b.multiplier &&
  a.echoInterval === b.echoInterval;
