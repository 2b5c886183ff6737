/**
 * Unnumbered peers: those that are told by their interface (config.ts) and get their address from whoever is heard there.
 *
 * In: which peers and links there are, routers that discovery hears, connections from link-local addresses. Out: an address in the
 * peer's settings, and the peer held down ('neighbour') while there is none. What a peer does with its address is what every other
 * peer does; only here is it learned and forgotten.
 *
 * A link may have a point-to-point IPv4 address as well, a /30 or /31: then FRR has its session there, dials the other end, and closes
 * what comes from a link-local address, without a word (docs/bgp.md). So a connection from that other end is the peer's too, and when our
 * own attempts fail, they go to the one and to the other by turns. Whichever gets to Established is the peer's address.
 *
 * An address is forgotten with the link, and replaced only while no session stands (discovery/neighbour.ts): a session is never
 * ended because somebody else is heard.
 */
import { formatAddress, parseAddress, type IpAddress } from '../address.js';
import type { OpenRouterSocket } from '../discovery/contract.js';
import { Discovery } from '../discovery/discovery.js';
import { hear, type Neighbour } from '../discovery/neighbour.js';
import type { Clock } from '../session/clock.js';
import { interfaceOf, isLinkLocal, linkLocalAddress, otherEnd, type LocalInterface } from '../session/interface.js';
import type { SpeakerEvent } from './event.js';
import type { PeerSettings } from './peer-settings.js';
import type { Peer } from './peer.js';

export interface UnnumberedOwner {
  readonly clock: Clock;
  readonly openRouterSocket: OpenRouterSocket;
  readonly peers: ReadonlyMap<string, Peer>;
  /** Undefined: nobody tells us, so every interface counts as up. */
  readonly trackedInterfaces: readonly LocalInterface[] | undefined;
  /** As told, or as Node sees them. */
  readonly links: readonly LocalInterface[];
  tell(event: SpeakerEvent): void;
  /** A peer has another address now: it must be found by it, and its key be in the kernel. */
  addressLearned(): void;
}

/** Milliseconds that attempts go to one address of a link with two before they go to the other: more with every turn. */
const FIRST_TURN = 5000;
const LONGEST_TURN = 60_000;

/** Attempts by turns. */
interface Turns {
  /** The address whose turn it is not. */
  readonly other: IpAddress;
  /** Clock milliseconds. */
  readonly since: number;
  readonly count: number;
}

export class UnnumberedPeers {
  /** By interface. BOUNDED by the configuration's peers. */
  private readonly neighbours = new Map<string, Neighbour>();
  /** By interface, of links with a point-to-point IPv4 address. BOUNDED as above. */
  private readonly turns = new Map<string, Turns>();
  private readonly discovery: Discovery;

  constructor(private readonly owner: UnnumberedOwner) {
    this.discovery = new Discovery({
      clock: owner.clock,
      open: (name, events) => owner.openRouterSocket(name, events),
      heard: (name, from) => this.heard(name, from),
      problem: (name, reason) => this.warn(name, reason),
    });
  }

  /** The settings of the configuration with what has been learned since. */
  withAddress(settings: PeerSettings): PeerSettings {
    if (!settings.isUnnumbered || settings.interfaceName === undefined) return settings;
    return { ...settings, address: this.neighbours.get(settings.interfaceName)?.address };
  }

  /**
   * The settings once for each address that a SYN of the peer may come from: of a link with two, both need the key before the first SYN is
   * there, for without it the kernel drops that in silence.
   */
  withAddresses(settings: PeerSettings): readonly PeerSettings[] {
    const known = this.withAddress(settings);
    const { isUnnumbered, interfaceName } = settings;
    if (!isUnnumbered || interfaceName === undefined) return [known];
    const others = [otherEnd(this.link(interfaceName)), this.turns.get(interfaceName)?.other].filter(
      (address) =>
        address !== undefined && !sameAddress(address, known.address) && !this.isNumbered(interfaceName, address),
    );
    return [known, ...others.map((address) => ({ ...known, address }))];
  }

  /** Call after anything that changes which peers there are or which links are up; `before` are the interfaces as they were. */
  update(before?: readonly LocalInterface[]): void {
    const interfaces = this.owner.trackedInterfaces;
    const names = new Set<string>();
    for (const { settings } of this.unnumbered()) {
      const { interfaceName, isShutdown } = settings;
      const isUp = interfaces === undefined || interfaces.some((link) => link.name === interfaceName && link.isUp);
      if (interfaceName !== undefined && !isShutdown && isUp) names.add(interfaceName);
    }
    for (const name of [...this.neighbours.keys()])
      if (!names.has(name)) {
        this.neighbours.delete(name);
        this.turns.delete(name);
      }
    for (const peer of this.unnumbered()) this.settle(peer);
    this.discovery.configure(names);
    const isMoved = [...names].some(
      (name) => !sameAddress(otherEnd(linkNamed(before, name)), otherEnd(linkNamed(interfaces, name))),
    );
    if (before !== undefined && isMoved) this.owner.addressLearned();
    if (before === undefined || interfaces === undefined) return;
    // Duplicate address detection is over, or the address is another one: say so at once.
    for (const name of names)
      if (ownAddress(before, name) !== ownAddress(interfaces, name)) this.discovery.refresh(name);
  }

  /** The peer that a connection from this address is from; undefined if it is nobody's, or a rival's. */
  claim(address: IpAddress, zone: string | undefined, local: string): Peer | undefined {
    const link = address.family === 4 ? this.linkOf(address, local) : undefined;
    const interfaceName = link?.name ?? (isLinkLocal(address) ? zone : undefined);
    const peer = interfaceName === undefined ? undefined : this.on(interfaceName);
    if (interfaceName === undefined || peer === undefined) return undefined;
    const { blockedBy } = peer;
    // Held down for another reason: `accept` refuses it, and says why.
    if (blockedBy !== undefined && blockedBy.reason !== 'neighbour') return peer;
    this.heard(interfaceName, address);
    return sameAddress(peer.settings.address, address) || this.isOneOfTwo(interfaceName, address) ? peer : undefined;
  }

  /** The session is with this address, of the two that the peer may have. */
  up(peer: Peer, remote: string): void {
    const { isUnnumbered, interfaceName = '', address: known } = peer.settings;
    if (!isUnnumbered || remote === '') return;
    const address = parseAddress(remote.split('%')[0] ?? '');
    if (sameAddress(address, known)) return;
    const now = this.owner.clock.now();
    this.turns.set(interfaceName, { other: known ?? address, since: now, count: 0 });
    this.neighbours.set(interfaceName, { address, heardAt: now, rivals: [] });
    const text = `${formatAddress(address)}%${interfaceName}`;
    this.owner.tell({ type: 'neighbour-found', peer: peer.name, address: text });
    peer.adopt(this.withAddress(peer.settings));
    this.owner.addressLearned();
  }

  /** Nobody answers there, or he closes: the other address of the link, if it has one, is next. */
  attemptFailed(peer: Peer): void {
    const { isUnnumbered, interfaceName = '', address } = peer.settings;
    if (!isUnnumbered || address === undefined) return;
    const now = this.owner.clock.now();
    const turns = this.turns.get(interfaceName);
    const other = address.family === 4 ? turns?.other : otherEnd(this.link(interfaceName));
    if (other === undefined || sameAddress(other, address)) return;
    if (turns === undefined) this.turns.set(interfaceName, { other, since: now, count: 0 });
    else if (now - turns.since >= Math.min(LONGEST_TURN, FIRST_TURN * 2 ** turns.count))
      this.owner.clock.soon(() => {
        const isIdle = peer.state === 'Idle' || peer.state === 'Active' || peer.state === 'Connect';
        if (!isIdle || !sameAddress(peer.settings.address, address)) return;
        this.turns.set(interfaceName, { other: address, since: now, count: turns.count + 1 });
        this.neighbours.set(interfaceName, { address: other, heardAt: now, rivals: [] });
        if (turns.count === 0) this.warn(interfaceName, byTurns(interfaceName, address, other));
        this.settle(peer);
      });
  }

  stop(): void {
    this.discovery.stop();
  }

  private link(name: string): LocalInterface | undefined {
    return this.owner.links.find((link) => link.name === name);
  }

  /** The link at whose other end this IPv4 address is. */
  private linkOf(address: IpAddress, local: string): LocalInterface | undefined {
    const link = interfaceOf(this.owner.links, parseAddress(local));
    return sameAddress(otherEnd(link), address) ? link : undefined;
  }

  /** The peer is known by its link-local address and this is its IPv4 one, or the other way round. */
  private isOneOfTwo(name: string, address: IpAddress): boolean {
    const known = this.neighbours.get(name)?.address;
    const ipv4 = otherEnd(this.link(name));
    if (known === undefined || ipv4 === undefined || known.family === address.family) return false;
    return sameAddress(known.family === 4 ? known : address, ipv4);
  }

  /** True: news, and the router is our neighbour now. */
  private heard(name: string, from: IpAddress): boolean {
    const peer = this.on(name);
    if (peer === undefined || this.isNumbered(name, from)) return false;
    const known = this.neighbours.get(name);
    if (known !== undefined && this.isOneOfTwo(name, from)) {
      this.neighbours.set(name, { ...known, heardAt: this.owner.clock.now() });
      if (known.address.family === 4)
        this.turns.set(name, { since: 0, count: 0, ...this.turns.get(name), other: from });
      return false;
    }
    const verdict = hear(this.neighbours.get(name), { now: this.owner.clock.now(), from, isUp: peer.isEstablished });
    this.neighbours.set(name, verdict.neighbour);
    switch (verdict.type) {
      case 'known':
        return false;
      case 'found':
        this.owner.tell({ type: 'neighbour-found', peer: peer.name, address: `${formatAddress(from)}%${name}` });
        this.settle(peer);
        return true;
      case 'rival':
        if (verdict.isNew)
          this.warn(
            name,
            `Router ${formatAddress(from)} is on interface ${name} too; the session is for ` +
              `${formatAddress(verdict.neighbour.address)}, which was there first`,
          );
        return false;
    }
  }

  /** Gives the peer the address that was learned, or holds it down. */
  private settle(peer: Peer): void {
    const settings = this.withAddress(peer.settings);
    const { address, interfaceName = '' } = settings;
    if (address === undefined) peer.block('neighbour', `No router has been heard on interface ${interfaceName}`);
    if (!sameAddress(address, peer.settings.address)) {
      peer.apply(settings);
      this.owner.addressLearned();
    }
    if (address !== undefined) peer.unblock('neighbour');
  }

  /** Somebody with a configured address of its own is no discovery. */
  private isNumbered(name: string, from: IpAddress): boolean {
    return [...this.owner.peers.values()].some(
      ({ settings }) =>
        !settings.isUnnumbered && settings.interfaceName === name && sameAddress(settings.address, from),
    );
  }

  private warn(name: string, reason: string): void {
    const peer = this.on(name);
    if (peer !== undefined) this.owner.tell({ type: 'peer-warning', peer: peer.name, reason });
  }

  private on(name: string): Peer | undefined {
    return this.unnumbered().find(({ settings }) => settings.interfaceName === name);
  }

  private unnumbered(): readonly Peer[] {
    return [...this.owner.peers.values()].filter(({ settings }) => settings.isUnnumbered);
  }
}

const byTurns = (name: string, address: IpAddress, other: IpAddress): string =>
  `Nobody takes a session at ${formatAddress(address)} on interface ${name}: ${formatAddress(other)}, the other end of its IPv4 ` +
  'address, and this one are tried by turns; FRR prefers the former unless it is told "interface v6only"';

const sameAddress = (a: IpAddress | undefined, b: IpAddress | undefined): boolean =>
  a?.family === b?.family && a?.value === b?.value;

const ownAddress = (interfaces: readonly LocalInterface[], name: string): bigint | undefined =>
  linkLocalAddress(interfaces.find((link) => link.name === name))?.value;

const linkNamed = (links: readonly LocalInterface[] | undefined, name: string): LocalInterface | undefined =>
  links?.find((link) => link.name === name);
