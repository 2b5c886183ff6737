/**
 * Finds the routers on interfaces, and makes us known to them, by Router Solicitations and Advertisements (RFC 4861): what FRR and
 * Cumulus do for `neighbor eth0 interface`. Who of those heard becomes the peer is neighbour.ts's decision; the session is the speaker's.
 *
 * In: the interfaces that are wanted and up, messages, time. Out: `heard`, `problem`. One socket per interface, opened with the
 * interface and tried again every interval if that fails.
 *
 * When it speaks: at once when the interface is there (an advertisement, and a solicitation, so that nobody waits for the other's
 * interval), then every ten seconds; to a single neighbour when that one asks, or is heard for the first time: it may have missed all
 * before. Answers to strangers are BOUNDED to one every 100 ms on an interface; who asks in vain asks again (RFC 4861 section 6.3.7).
 */
import type { IpAddress } from '../address.js';
import type { Clock } from '../session/clock.js';
import { isLinkLocal } from '../session/interface.js';
import { DiscoveryError, type OpenRouterSocket, type RouterSocket } from './contract.js';
import { ADVERTISEMENT_INTERVAL } from './neighbour.js';
import { decodeRouterMessage, encodeAdvertisement, encodeSolicitation } from './router-message.js';

const LEAST_BETWEEN_ANSWERS = 100;
/** Duplicate address detection takes a second or two; until it is over nothing can be sent. */
const SEND_RETRY = 500;

export interface DiscoveryOwner {
  readonly clock: Clock;
  readonly open: OpenRouterSocket;
  /** A router has advertised itself. True: it was not known before, so it should hear of us at once. */
  heard(interfaceName: string, from: IpAddress): boolean;
  /** Nothing can be heard or said on the interface; tried again by and by. */
  problem(interfaceName: string, reason: string): void;
}

interface Link {
  readonly name: string;
  socket: RouterSocket | undefined;
  timer: { cancel(): void } | undefined;
  answeredAt: number;
  /** Clock milliseconds since which our own address has been awaited. */
  waitsSince: number | undefined;
  /** Told once per reason. */
  problem: string | undefined;
}

export class Discovery {
  /** BOUNDED by the configuration's peers. */
  private readonly links = new Map<string, Link>();

  constructor(private readonly owner: DiscoveryOwner) {}

  /** Exactly these interfaces; all of them are up. */
  configure(names: ReadonlySet<string>): void {
    for (const [name, link] of this.links) if (!names.has(name)) this.close(link);
    for (const name of names) {
      if (this.links.has(name)) continue;
      const link: Link = {
        name,
        socket: undefined,
        timer: undefined,
        answeredAt: -LEAST_BETWEEN_ANSWERS,
        waitsSince: undefined,
        problem: undefined,
      };
      this.links.set(name, link);
      this.open(link);
    }
  }

  /** Addresses or state of an interface have changed: what could not be said may be possible now. */
  refresh(name: string): void {
    const link = this.links.get(name);
    if (link !== undefined) this.announce(link);
  }

  stop(): void {
    for (const link of [...this.links.values()]) this.close(link);
  }

  private open(link: Link): void {
    try {
      link.socket = this.owner.open(link.name, {
        onMessage: (bytes, from) => this.take(link, bytes, from),
        onFailure: (reason) => this.failed(link, reason),
      });
    } catch (error) {
      if (!(error instanceof DiscoveryError)) throw error;
      return this.failed(link, error.message);
    }
    this.announce(link);
  }

  private failed(link: Link, reason: string): void {
    link.socket = undefined;
    if (this.links.get(link.name) !== link) return;
    this.tell(link, reason);
    this.later(link, ADVERTISEMENT_INTERVAL, () => this.open(link));
  }

  private close(link: Link): void {
    this.links.delete(link.name);
    link.timer?.cancel();
    link.socket?.close();
    link.socket = undefined;
  }

  /** Both messages at once, then advertisements for as long as the link is there. */
  private announce(link: Link): void {
    const { socket } = link;
    if (socket === undefined) return;
    const problem = socket.send(encodeSolicitation(socket.linkLayer), 'all-routers');
    if (problem === undefined) return this.advertise(link);
    this.unsent(link, socket, problem);
  }

  private advertise(link: Link): void {
    const { socket } = link;
    if (socket === undefined) return;
    const problem = socket.send(encodeAdvertisement(socket.linkLayer), 'all-nodes');
    if (problem !== undefined) return this.unsent(link, socket, problem);
    link.problem = undefined;
    link.waitsSince = undefined;
    // RFC 4861 section 6.2.4: unsynchronised.
    this.later(link, ADVERTISEMENT_INTERVAL * (1 - this.owner.clock.random() / 4), () => this.advertise(link));
  }

  private unsent(link: Link, socket: RouterSocket, problem: string): void {
    switch (problem) {
      case 'EADDRNOTAVAIL':
        return this.awaitAddress(link);
      // The interface is gone, or another one has its name now.
      case 'ENODEV':
      case 'ENXIO':
        socket.close();
        return this.failed(link, `Interface ${link.name} is gone`);
      default:
        this.tell(link, `Cannot send Router Advertisements on interface ${link.name}: ${problem}`);
        return this.later(link, ADVERTISEMENT_INTERVAL, () => this.announce(link));
    }
  }

  /** Often at first, while duplicate detection may be at work; an interface without IPv6 is told, and asked less often. */
  private awaitAddress(link: Link): void {
    const now = this.owner.clock.now();
    link.waitsSince ??= now;
    const isLong = now - link.waitsSince >= ADVERTISEMENT_INTERVAL;
    if (isLong) this.tell(link, `Interface ${link.name} has no IPv6 link-local address: nobody can find us there`);
    this.later(link, isLong ? ADVERTISEMENT_INTERVAL : SEND_RETRY, () => this.announce(link));
  }

  private tell(link: Link, reason: string): void {
    if (link.problem !== reason) this.owner.problem(link.name, reason);
    link.problem = reason;
  }

  private take(link: Link, bytes: Uint8Array, from: IpAddress): void {
    if (link.socket === undefined) return;
    const message = decodeRouterMessage(bytes);
    switch (message.type) {
      case 'invalid':
        return;
      // Section 6.1.1 allows the unspecified source to who has no address yet: no router that we could talk to.
      case 'solicitation':
        return isLinkLocal(from) ? this.answer(link, from) : undefined;
      // Section 6.1.2: of a link-local address.
      case 'advertisement':
        if (isLinkLocal(from) && this.owner.heard(link.name, from)) this.answer(link, from);
        return;
    }
  }

  /** What cannot be sent is no loss: the next advertisement follows within the interval. */
  private answer(link: Link, to: IpAddress): void {
    const now = this.owner.clock.now();
    const { socket } = link;
    if (socket === undefined || now - link.answeredAt < LEAST_BETWEEN_ANSWERS) return;
    link.answeredAt = now;
    socket.send(encodeAdvertisement(socket.linkLayer), to);
  }

  private later(link: Link, delay: number, run: () => void): void {
    link.timer?.cancel();
    link.timer = this.owner.clock.after(delay, run);
  }
}
