/**
 * What the node looks like around the speaker: its interfaces and the routes that others have put into the kernel.
 *
 * In: both, whole, whenever they change. Out: peers held down while their link is not there ('link'), what the RIB resolves next hops
 * through, BFD and unnumbered peers told of their links. Until somebody tells of interfaces, links are not tracked: a route reflector
 * or collector forwards nothing.
 */
import type { IpAddress } from '../address.js';
import type { SpeakerConfig } from '../config.js';
import type { KernelRoute, Rib } from '../rib/contract.js';
import { systemInterfaces, type LocalInterface } from '../session/interface.js';
import { connectedPrefixes, linkProblem, linksOf, readdressed, sessionLink } from './connectivity.js';
import { countingRoutes, isOnDevice } from './kernel-routes.js';
import type { PeerBfd } from './peer-bfd.js';
import type { Peer } from './peer.js';
import type { RibDriver } from './rib-driver.js';
import type { UnnumberedPeers } from './unnumbered.js';

export interface SurroundingsOwner {
  readonly peers: ReadonlyMap<string, Peer>;
  readonly bfd: PeerBfd;
  readonly unnumbered: UnnumberedPeers;
  readonly isConfigured: boolean;
  /** Once configured. */
  readonly config: SpeakerConfig;
  readonly driver: RibDriver;
  refreshPolicy(peer: Peer): void;
}

export class Surroundings {
  private interfaces: readonly LocalInterface[] = [];
  private isTracking = false;
  private kernelRoutes: readonly KernelRoute[] = [];
  private countingRoutes: readonly KernelRoute[] = [];
  /** Patterns of interfaces that are no links. */
  private ignored: readonly string[] = [];

  constructor(private readonly owner: SurroundingsOwner) {}

  /** Undefined: nobody tells us. */
  get tracked(): readonly LocalInterface[] | undefined {
    return this.isTracking ? this.interfaces : undefined;
  }
  /** As told, or as Node sees them. */
  get links(): readonly LocalInterface[] {
    return this.tracked ?? systemInterfaces();
  }

  setInterfaces(interfaces: readonly LocalInterface[]): void {
    const { owner } = this;
    const before = this.interfaces;
    this.isTracking = true;
    this.interfaces = interfaces;
    for (const peer of owner.peers.values()) {
      this.check(peer, before);
      owner.bfd.update(peer); // on the link or behind a router: another kind of BFD session
    }
    owner.unnumbered.update(before);
    if (!owner.isConfigured) return;
    owner.driver.rib.setConnected(this.connected());
    this.refreshOver(readdressed(before, interfaces));
    owner.driver.schedule();
  }

  /** Another list of them is another set of links. */
  setIgnored(patterns: readonly string[]): void {
    if (patterns.join(' ') === this.ignored.join(' ')) return;
    this.ignored = patterns;
    if (this.isTracking) this.setInterfaces(this.interfaces);
  }

  setKernelRoutes(routes: readonly KernelRoute[]): void {
    this.kernelRoutes = routes;
    if (this.owner.isConfigured) this.applyKernelRoutes();
  }

  /** New ones, or the configuration counts others among them. */
  applyKernelRoutes(): void {
    const { owner } = this;
    const before = this.countingRoutes;
    this.countingRoutes = countingRoutes(this.kernelRoutes, owner.config);
    for (const peer of owner.peers.values()) {
      const { address } = peer.settings;
      // Others keep the words by which they are held: those are about an interface that was.
      if (address !== undefined && isOnDevice(before, address) !== isOnDevice(this.countingRoutes, address))
        this.check(peer);
    }
    this.tellRoutes(owner.driver.rib);
    owner.driver.schedule();
  }

  /** A RIB that has just been made learns what is known. */
  applyTo(rib: Rib): void {
    this.tellRoutes(rib);
    if (this.isTracking) rib.setConnected(this.connected());
  }

  /** Addresses whose routes in the kernel matter: those of next hops, and of neighbours that have to be on a link. */
  *targets(): Iterable<IpAddress> {
    if (this.owner.isConfigured) yield* this.owner.driver.rib.nextHopTargets();
    for (const { settings } of this.owner.peers.values()) {
      const address = settings.isSingleHop && settings.interfaceName === undefined ? settings.address : undefined;
      if (address !== undefined) yield address;
    }
  }

  /** Holds a peer down whose link is not there, and lets it go when it is. */
  check(peer: Peer, before: readonly LocalInterface[] = this.interfaces): void {
    if (!this.isTracking) return;
    const problem = linkProblem(peer.settings, this.interfaces, before, this.ignored, (address) =>
      isOnDevice(this.countingRoutes, address),
    );
    if (problem === undefined) peer.unblock('link');
    else peer.block('link', problem);
  }

  private tellRoutes(rib: Rib): void {
    const counting = new Set(this.countingRoutes);
    const left = this.kernelRoutes.filter((route) => route.prefix.length === 0 && !counting.has(route));
    rib.setKernelRoutes(this.countingRoutes, [...new Set(left.map(({ prefix }) => prefix.family))]);
  }

  private connected(): ReturnType<typeof connectedPrefixes> {
    return connectedPrefixes(linksOf(this.interfaces, this.ignored));
  }

  /** Sessions that came up before their link had its addresses have said what next hop they could. */
  private refreshOver(links: ReadonlySet<string>): void {
    for (const peer of links.size === 0 ? [] : this.owner.peers.values()) {
      const local = peer.session?.endpoints?.local.address;
      const link = local === undefined ? undefined : sessionLink(peer.settings, local, this.interfaces);
      if (link !== undefined && links.has(link.name)) this.owner.refreshPolicy(peer);
    }
  }
}
