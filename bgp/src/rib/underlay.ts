/**
 * What is reached without BGP: prefixes on links, and the kernel's routes that others made (static ones, an IGP's, the default). The
 * longest match counts, as in the kernel; of two routes for a prefix the one with the lower metric, and a link before a route.
 *
 * Routes of BGP are not in here, so what it answers never depends on what BGP makes of the answer.
 */
import type { Family, IpAddress } from '../address.js';
import type { ConnectedPrefix, KernelRoute } from './contract.js';
import type { ForwardingHop } from './forwarding-entry.js';
import { PrefixTable, wordsOf } from './prefix-table.js';

/** How an address is reached. */
export interface UnderlayWay {
  /** None: the kernel has a route that says that nothing is there (unreachable, blackhole, all links down). */
  readonly hops: readonly ForwardingHop[];
  /** Of the prefix that matched. */
  readonly length: number;
  /** 0: on a link. */
  readonly metric: number;
}

const NO_HOPS: readonly ForwardingHop[] = [];
/** A gateway away is further than a link, whatever metric the kernel has for it. */
const LEAST_METRIC = 1;
const MOST_METRIC = 0xfffffffe;

interface Entry {
  readonly connected: ConnectedPrefix | undefined;
  readonly route: KernelRoute | undefined;
}

export class Underlay {
  readonly #interfaces = new Set<string>();
  readonly #tables: Readonly<Record<Family, { readonly prefixes: PrefixTable; readonly entries: Entry[] }>> = {
    4: { prefixes: new PrefixTable(4), entries: [] },
    6: { prefixes: new PrefixTable(6), entries: [] },
  };

  constructor(connected: readonly ConnectedPrefix[], routes: readonly KernelRoute[]) {
    for (const each of connected) {
      this.#interfaces.add(each.interfaceName);
      // Two links with the same prefix: the first one listed carries it, as the kernel's lower metric would.
      this.#change(each.prefix, (entry) => ({ ...entry, connected: entry.connected ?? each }));
    }
    for (const route of routes)
      this.#change(route.prefix, (entry) =>
        entry.route !== undefined && entry.route.metric <= route.metric ? entry : { ...entry, route },
      );
  }

  isUp(interfaceName: string): boolean {
    return this.#interfaces.has(interfaceName);
  }

  /** The way to an address given in words, too; `isDirect`: only over links. undefined: there is none. */
  match(address: IpAddress, words: Uint32Array, isDirect: boolean): UnderlayWay | undefined {
    const { prefixes, entries } = this.#tables[address.family];
    const isMeant = (id: number): boolean => !isDirect || isLink(entries[id] as Entry);
    const id = prefixes.longestMatch(words, 0, words.length * 32, 0, isMeant);
    if (id < 0) return undefined;
    const { connected, route } = entries[id] as Entry;
    const length = prefixes.lengths[id] as number;
    if (connected !== undefined)
      return { hops: [{ address, interfaceName: connected.interfaceName, weight: 1 }], length, metric: 0 };
    return route === undefined ? { hops: NO_HOPS, length, metric: 0 } : throughRoute(route, address, length);
  }

  #change(prefix: ConnectedPrefix['prefix'], change: (entry: Entry) => Entry): void {
    const { prefixes, entries } = this.#tables[prefix.family];
    const id = prefixes.intern(wordsOf(prefix), 0, prefix.length);
    entries[id] = change(entries[id] ?? { connected: undefined, route: undefined });
  }
}

const isOnLink = ({ hops }: KernelRoute): boolean =>
  hops.length > 0 && hops.every(({ address }) => address === undefined);

const isLink = ({ connected, route }: Entry): boolean =>
  connected !== undefined || (route !== undefined && isOnLink(route));

const throughRoute = (route: KernelRoute, address: IpAddress, length: number): UnderlayWay => ({
  hops: route.hops.map((hop) => (hop.address === undefined ? { ...hop, address } : hop)),
  length,
  metric: isOnLink(route) ? 0 : Math.min(Math.max(route.metric, LEAST_METRIC), MOST_METRIC),
});
