/**
 * One reading of the kernel's routes against what should be there, while both go on changing: reading a hundred thousand takes a tenth of
 * a second, and neither timers nor new routes shall wait for it.
 *
 * It begins when the kernel has been told everything. From there on, whatever prefix is written is `touch`ed, and nothing is said about
 * it: the kernel's answer may be from before or after. For every other prefix, table and kernel agree, or somebody else has changed
 * the kernel.
 */
import type { Family, IpPrefix } from 'node-bgp/address';
import { setImmediate as turn } from 'node:timers/promises';
import { PROTOCOL_TORTIE_BGP, visitRoutes, type NetlinkSocket, type Route } from '../dataplane/netlink/index.js';
import { wordsOf } from 'node-bgp/rib/prefix-table';
import type { FibTable } from './fib-table.js';
import { isSameRoute } from './kernel-route.js';

/** BOUNDED: prefixes touched before the reading gives up; the next one will do. */
const MAX_TOUCHED = 65_536;
/** Prefixes looked at between turns of the event loop. */
const SLICE = 8192;

/** `delete`: nobody wants the route. Otherwise prefix `id` of the table is missing, or leads elsewhere. */
export type Correction = { readonly prefix: IpPrefix; readonly metric: number } & (
  | { readonly type: 'delete'; readonly route: Route }
  | { readonly type: 'add' | 'replace'; readonly id: number }
);

export class FibAudit {
  private readonly touched = new Set<string>();
  private found: Record<Family, Correction[]> = { 4: [], 6: [] };
  /** Prefixes of the table that the kernel has at the wanted metric, by number. Numbers beyond it came later, and are touched. */
  private readonly seen: Readonly<Record<Family, Uint8Array>>;

  /** `isSpared`: routes of ours that are not in the table and may stay for now. */
  constructor(
    private readonly table: FibTable,
    private readonly isSpared: (route: Route) => boolean,
  ) {
    this.seen = { 4: new Uint8Array(table.end(4)), 6: new Uint8Array(table.end(6)) };
  }

  /** A prefix is being written. */
  touch(family: Family, words: Uint32Array, at: number, length: number): void {
    if (this.touched.size < MAX_TOUCHED) this.touched.add(wordKey(family, words, at, length));
  }

  get isOverrun(): boolean {
    return this.touched.size >= MAX_TOUCHED;
  }

  /** Whether what was found about a prefix still stands. */
  stands({ prefix }: Correction): boolean {
    return this.touched.size === 0 || !this.touched.has(prefixKey(prefix));
  }

  /** What has to be written so that the kernel holds the table; ask `stands` for each when it is written. */
  async run(socket: NetlinkSocket): Promise<readonly Correction[]> {
    await visitRoutes(
      socket,
      { protocol: PROTOCOL_TORTIE_BGP },
      (route) => this.take(route),
      (family) => {
        this.found[family] = [];
        this.seen[family].fill(0);
      },
    );
    for (const family of [4, 6] as const)
      for (let id = 0; id < this.seen[family].length; id++) {
        if (id % SLICE === SLICE - 1) await turn();
        if (this.seen[family][id] === 0) this.miss(family, id);
      }
    return [...this.found[4], ...this.found[6]];
  }

  private take(route: Route): void {
    const { prefix } = route;
    const id = this.table.idOf(prefix);
    const shape = id < 0 ? undefined : this.table.shapeAt(prefix.family, id);
    if (shape?.metric !== route.metric) {
      if (!this.isSpared(route)) this.note({ type: 'delete', prefix, metric: route.metric, route });
      return;
    }
    if (id < this.seen[prefix.family].length) this.seen[prefix.family][id] = 1;
    if (!isSameRoute(route, shape.route)) this.note({ type: 'replace', prefix, metric: shape.metric, id });
  }

  private miss(family: Family, id: number): void {
    const shape = this.table.shapeAt(family, id);
    if (shape === undefined) return;
    this.note({ type: 'add', prefix: this.table.prefixOf(family, id), metric: shape.metric, id });
  }

  private note(correction: Correction): void {
    if (this.stands(correction)) this.found[correction.prefix.family].push(correction);
  }
}

function wordKey(family: Family, words: Uint32Array, at: number, length: number): string {
  return family === 4
    ? `${words[at] ?? 0}/${length}`
    : `${words[at] ?? 0} ${words[at + 1] ?? 0} ${words[at + 2] ?? 0} ${words[at + 3] ?? 0}/${length}`;
}

const prefixKey = (prefix: IpPrefix): string => wordKey(prefix.family, wordsOf(prefix), 0, prefix.length);
