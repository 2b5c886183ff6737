/**
 * Unnumbered peers: those that are told by their interface (config.ts) and get their address from whoever is heard there.
 *
 * In: which peers and links there are, routers that discovery hears, connections from link-local addresses. Out: an address in the
 * peer's settings, and the peer held down ('neighbour') while there is none. What a peer does with its address is what every other
 * peer does; only here is it learned and forgotten.
 *
 * An address is forgotten with the link, and replaced only while no session stands (discovery/neighbour.ts): a session is never
 * ended because somebody else is heard.
 */
import { formatAddress, type IpAddress } from '../address.js';
import type { OpenRouterSocket } from '../discovery/contract.js';
import { Discovery } from '../discovery/discovery.js';
import { hear, type Neighbour } from '../discovery/neighbour.js';
import type { Clock } from '../session/clock.js';
import { isLinkLocal, linkLocalAddress, type LocalInterface } from '../session/interface.js';
import type { SpeakerEvent } from './event.js';
import type { PeerSettings } from './peer-settings.js';
import type { Peer } from './peer.js';

export interface UnnumberedOwner {
  readonly clock: Clock;
  readonly openRouterSocket: OpenRouterSocket;
  readonly peers: ReadonlyMap<string, Peer>;
  /** Undefined: nobody tells us, so every interface counts as up. */
  readonly trackedInterfaces: readonly LocalInterface[] | undefined;
  tell(event: SpeakerEvent): void;
  /** A peer has another address now: it must be found by it, and its key be in the kernel. */
  addressLearned(): void;
}

export class UnnumberedPeers {
  /** By interface. BOUNDED by the configuration's peers. */
  private readonly neighbours = new Map<string, Neighbour>();
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

  /** Call after anything that changes which peers there are or which links are up; `before` are the interfaces as they were. */
  update(before?: readonly LocalInterface[]): void {
    const interfaces = this.owner.trackedInterfaces;
    const names = new Set<string>();
    for (const { settings } of this.unnumbered()) {
      const { interfaceName, isShutdown } = settings;
      const isUp = interfaces === undefined || interfaces.some((link) => link.name === interfaceName && link.isUp);
      if (interfaceName !== undefined && !isShutdown && isUp) names.add(interfaceName);
    }
    for (const name of [...this.neighbours.keys()]) if (!names.has(name)) this.neighbours.delete(name);
    for (const peer of this.unnumbered()) this.settle(peer);
    this.discovery.configure(names);
    if (before === undefined || interfaces === undefined) return;
    // Duplicate address detection is over, or the address is another one: say so at once.
    for (const name of names)
      if (ownAddress(before, name) !== ownAddress(interfaces, name)) this.discovery.refresh(name);
  }

  /** The peer that a connection from this address is from; undefined if it is nobody's, or a rival's. */
  claim(address: IpAddress, interfaceName: string | undefined): Peer | undefined {
    if (interfaceName === undefined || !isLinkLocal(address)) return undefined;
    const peer = this.on(interfaceName);
    if (peer === undefined) return undefined;
    const { blockedBy } = peer;
    // Held down for another reason: `accept` refuses it, and says why.
    if (blockedBy !== undefined && blockedBy.reason !== 'neighbour') return peer;
    this.heard(interfaceName, address);
    return sameAddress(peer.settings.address, address) ? peer : undefined;
  }

  stop(): void {
    this.discovery.stop();
  }

  /** True: news, and the router is our neighbour now. */
  private heard(name: string, from: IpAddress): boolean {
    const peer = this.on(name);
    if (peer === undefined || this.isNumbered(name, from)) return false;
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

const sameAddress = (a: IpAddress | undefined, b: IpAddress | undefined): boolean =>
  a?.family === b?.family && a?.value === b?.value;

const ownAddress = (interfaces: readonly LocalInterface[], name: string): bigint | undefined =>
  linkLocalAddress(interfaces.find((link) => link.name === name))?.value;
