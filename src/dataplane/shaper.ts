/**
 * Makes pods send and receive no faster than they may. What a pod receives passes a token bucket at the exit of its host side; what it
 * sends is led over an interface of its own (ifb, "torq..." beside "tort...") and passes one there, before policy sees it. On the node,
 * where the pod cannot take it away.
 *
 * State is in the kernel: each look compares what stands with what is wanted, so a restart or somebody's `tc qdisc del` needs no more.
 */
import type { PodRates, Rate } from '../shaping/pod-limits.js';
import { INTERFACE_PREFIX } from './endpoint-name.js';
import { listLinks, writeLinkDeletion, type Link } from './netlink/link.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';
import {
  entryRedirect,
  listTrafficControl,
  writeEntryDeletion,
  writeEntryRedirect,
  writeExitDeletion,
  writeIfb,
  writeTokenBucket,
  type TokenBucket,
  type TrafficControl,
} from './netlink/traffic-control.js';

/** Of the interfaces over which what pods send is led. */
export const SHAPER_PREFIX = 'torq';
/** Of these interfaces, beside that of the doomed ones (endpoint-name.ts). */
const SHAPER_GROUP = 1_953_460_853;
/** How long a packet may wait in a bucket, in seconds: Calico's and the bandwidth plugin's 25 ms. */
const LATENCY = 0.025;
/** Ethernet's, which a bucket counts. */
const LINK_HEADER = 14;

export const shaperName = (hostInterface: string): string =>
  `${SHAPER_PREFIX}${hostInterface.slice(INTERFACE_PREFIX.length)}`;

export class Shaper {
  /**
   * Bursts as written, by interface index: the kernel tells them in its own units, so what a predecessor wrote is written once more.
   * BOUNDED by the interfaces that are limited.
   */
  private bursts: ReadonlyMap<number, string> = new Map();

  constructor(private readonly socket: NetlinkSocket) {}

  /** `wanted` by host interface; an interface that is not there is left for later. Returns sentences about what the kernel refused. */
  level(wanted: ReadonlyMap<string, PodRates>): readonly string[] {
    const links = new Map(listLinks(this.socket).map((link) => [link.name, link]));
    const problems: string[] = [];
    const attempt = (write: () => void, about: string): boolean => {
      this.socket.batch.clear();
      write();
      const [failure] = this.socket.transact(this.socket.batch);
      if (failure !== undefined)
        problems.push(`Cannot limit ${about}: ${describe(failure.error.message, failure.error.code)}`);
      return failure === undefined;
    };
    const { batch } = this.socket;
    const standing = listTrafficControl(this.socket);
    const bursts = new Map<number, string>();
    for (const [name, link] of links) {
      if (!name.startsWith(INTERFACE_PREFIX)) continue;
      const { ingress, egress } = wanted.get(name) ?? {};
      const now = standing.get(link.index);
      this.levelExit(link, ingress, now, bursts, attempt);
      if (egress !== undefined) this.levelEntry(link, egress, links, standing, bursts, attempt);
      else if (now?.hasEntry === true && isShaper(links.get(shaperName(name))))
        attempt(() => writeEntryDeletion(batch, link.index), name);
    }
    // Last: what is still led over an interface that is gone is dropped.
    for (const [name, link] of links) {
      const isOrphan =
        name.startsWith(SHAPER_PREFIX) && link.group === SHAPER_GROUP && !this.needsShaper(name, wanted, links);
      if (isOrphan) attempt(() => writeLinkDeletion(batch, { index: link.index }), name);
    }
    this.bursts = bursts;
    return problems;
  }

  private needsShaper(name: string, wanted: ReadonlyMap<string, PodRates>, links: ReadonlyMap<string, Link>): boolean {
    const host = `${INTERFACE_PREFIX}${name.slice(SHAPER_PREFIX.length)}`;
    return wanted.get(host)?.egress !== undefined && links.has(host);
  }

  private levelExit(
    { index, name, mtu }: Link,
    rate: Rate | undefined,
    standing: TrafficControl | undefined,
    bursts: Map<number, string>,
    attempt: (write: () => void, about: string) => boolean,
  ): void {
    const { batch } = this.socket;
    if (rate === undefined) {
      if (standing?.rate !== undefined) attempt(() => writeExitDeletion(batch, index), name);
      return;
    }
    const bucket = bucketOf(rate, mtu);
    const written = `${bucket.burst} ${bucket.peak?.burst ?? 0}`;
    const isSameRate = standing?.rate === bucket.rate && standing.peak === (bucket.peak?.rate ?? 0);
    const isRight = isSameRate && this.bursts.get(index) === written;
    if (isRight || attempt(() => writeTokenBucket(batch, index, bucket), name)) bursts.set(index, written);
  }

  private levelEntry(
    host: Link,
    rate: Rate,
    links: ReadonlyMap<string, Link>,
    standing: ReadonlyMap<number, TrafficControl>,
    bursts: Map<number, string>,
    attempt: (write: () => void, about: string) => boolean,
  ): void {
    const { batch } = this.socket;
    const name = shaperName(host.name);
    let shaper = links.get(name);
    if (shaper === undefined) {
      if (!attempt(() => writeIfb(batch, name, SHAPER_GROUP, host.mtu), host.name)) return;
      shaper = listLinks(this.socket).find((link) => link.name === name);
    }
    if (shaper === undefined) return;
    this.levelExit(shaper, rate, standing.get(shaper.index), bursts, attempt);
    const over = standing.get(host.index)?.hasEntry === true ? entryRedirect(this.socket, host.index) : undefined;
    if (over === shaper.index) return;
    const to = shaper.index;
    // A redirection of before leads to an interface that is gone.
    if (over !== undefined) attempt(() => writeEntryDeletion(batch, host.index), host.name);
    attempt(() => writeEntryRedirect(batch, host.index, to), host.name);
  }
}

/** By it an entry that is watched is known as ours: other agents and the bandwidth plugin watch entries too. */
export const isShaper = (link: Link | undefined): boolean =>
  link?.name.startsWith(SHAPER_PREFIX) === true && link.group === SHAPER_GROUP;

/** A packet that the second bucket cannot hold would never go. */
const bucketOf = ({ rate, burst, peak }: Rate, mtu: number): TokenBucket => ({
  rate,
  burst,
  limit: Math.ceil(rate * LATENCY) + burst,
  ...(peak === undefined ? {} : { peak: { rate: peak.rate, burst: Math.max(peak.burst ?? 0, mtu + LINK_HEADER) } }),
});

/** ENOENT and EOPNOTSUPP are how the kernel says that it has no such kind. */
const describe = (message: string, code: string): string =>
  ['ENOENT', 'EOPNOTSUPP'].includes(code)
    ? `${message}; expected a kernel with sch_tbf, sch_ingress, cls_u32, act_mirred and ifb (CONFIG_NET_SCH_TBF ...)`
    : message;
