/**
 * The machine's interfaces as the speaker wants them: which have a carrier, and which addresses are on them. Listed once, then kept
 * up to date by kernel events; told anew when something that matters has changed.
 *
 * IPv6 addresses whose duplicate detection still runs are left out: nothing can be sent from them. An interface with nothing but a
 * link-local address is left out unless somebody asks for it by name: a node has one for each pod.
 */
import { isLinkLocal, type LocalInterface } from 'node-bgp/session/interface';
import {
  askSilentNeighbours,
  listInterfaceAddresses,
  listLinks,
  watchKernel,
  type InterfaceAddress,
  type KernelEvent,
  type KernelWatch,
  type Link,
  type NetlinkSocket,
} from '../dataplane/netlink/index.js';

export interface InterfaceWatchOptions {
  readonly socket: NetlinkSocket;
  /** All interfaces, after a change. */
  readonly onChange: (interfaces: readonly LocalInterface[]) => void;
  /** An interface went down or lost an address: the kernel may have dropped routes without a word. */
  readonly onLoss: () => void;
  /** An interface came up, or an address is usable now: routes that the kernel refused may find favour. */
  readonly onGain: () => void;
}

export class InterfaceWatch {
  private readonly links = new Map<number, Link>();
  private readonly addresses = new Map<string, InterfaceAddress>();
  private readonly indexes = new Map<string, number>();
  private wantedNames: ReadonlySet<string> = new Set();
  private watch: KernelWatch | undefined;
  private told = '';
  private isScheduled = false;

  constructor(private readonly options: InterfaceWatchOptions) {}

  /** Subscribes, lists, and tells for the first time before it returns. */
  start(): void {
    this.watch = watchKernel({ link: true, address: true }, (event) => this.take(event));
    this.list();
    this.tell();
  }

  stop(): void {
    this.watch?.close();
  }

  /** Interfaces that count even without a routable address: those of unnumbered peers. */
  setWanted(names: ReadonlySet<string>): void {
    this.wantedNames = names;
    if (this.watch !== undefined) this.tell();
  }

  indexOf(name: string): number | undefined {
    return this.indexes.get(name);
  }

  /** Of an interface that carries packets now; undefined of any other. */
  nameOf(index: number): string | undefined {
    const link = this.links.get(index);
    return isRunning(link) ? link?.name : undefined;
  }

  get current(): readonly LocalInterface[] {
    return [...this.links.values()]
      .map((link) => ({
        name: link.name,
        isUp: link.isUp && link.hasCarrier,
        addresses: [...this.addresses.values()]
          .filter(({ interfaceIndex, isTentative }) => interfaceIndex === link.index && !isTentative)
          .map(({ address, prefixLength, peer }) => ({
            address,
            length: prefixLength,
            ...(peer === undefined ? {} : { peer }),
          })),
      }))
      .filter(
        ({ name, addresses }) =>
          this.wantedNames.has(name) || addresses.some(({ address }) => address.family === 4 || !isLinkLocal(address)),
      );
  }

  private list(): void {
    this.links.clear();
    this.addresses.clear();
    for (const link of listLinks(this.options.socket)) this.links.set(link.index, link);
    for (const address of listInterfaceAddresses(this.options.socket)) this.addresses.set(keyOf(address), address);
  }

  private take(event: KernelEvent): void {
    switch (event.type) {
      case 'link': {
        const { link, isGone } = event;
        const before = this.links.get(link.index);
        if (isGone) this.removeLink(link.index);
        else this.links.set(link.index, link);
        if (isRunning(before) && (isGone || !isRunning(link))) this.options.onLoss();
        if (!isRunning(before) && !isGone && isRunning(link)) this.returned(link);
        break;
      }
      case 'address':
        if (event.isGone) {
          this.addresses.delete(keyOf(event.address));
          this.options.onLoss();
        } else {
          this.addresses.set(keyOf(event.address), event.address);
          if (!event.address.isTentative) this.options.onGain();
        }
        break;
      case 'resync':
        this.list();
        this.options.onLoss();
        break;
      case 'route':
      case 'nexthop':
      case 'neighbour':
        return;
    }
    // A carrier that is gone is told at once; what comes in one burst is told once.
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      if (this.watch !== undefined) this.tell();
    });
  }

  /**
   * With the carrier duplicate detection begins anew, and the kernel says when it is over but not that it has begun:
   * until then nothing can be sent from an address that we knew as usable, and the kernel refuses it as a route's
   * source. Next hops are asked for at once, before routes lead to them. Links without a name here are left alone: one
   * comes up with each pod.
   */
  private returned(link: Link): void {
    const isNamed = this.wantedNames.has(link.name);
    const routable = [...this.addresses.values()].filter(
      ({ interfaceIndex, address }) => interfaceIndex === link.index && (address.family === 4 || !isLinkLocal(address)),
    );
    if (isNamed || routable.length > 0) askSilentNeighbours(this.options.socket, link.index);
    if (isNamed || routable.some(({ address }) => address.family === 6))
      for (const address of listInterfaceAddresses(this.options.socket))
        if (address.interfaceIndex === link.index) this.addresses.set(keyOf(address), address);
    this.options.onGain();
  }

  private removeLink(index: number): void {
    this.links.delete(index);
    for (const [key, { interfaceIndex }] of this.addresses) if (interfaceIndex === index) this.addresses.delete(key);
  }

  private tell(): void {
    this.indexes.clear();
    for (const { name, index } of this.links.values()) this.indexes.set(name, index);
    const interfaces = this.current;
    const text = JSON.stringify(interfaces, (_, value: unknown) =>
      typeof value === 'bigint' ? value.toString(36) : value,
    );
    if (text === this.told) return;
    this.told = text;
    this.options.onChange(interfaces);
  }
}

const isRunning = (link: Link | undefined): boolean => link?.isUp === true && link.hasCarrier;

const keyOf = ({ interfaceIndex, address, prefixLength }: InterfaceAddress): string =>
  `${interfaceIndex} ${address.family} ${address.value} ${prefixLength}`;
