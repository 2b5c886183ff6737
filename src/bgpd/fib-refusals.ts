/**
 * Routes that the kernel does not take, each with the reason, told once when it begins and once when it is over. BOUNDED by the RIB.
 */
import { formatPrefix, type IpPrefix } from 'node-bgp/address';
import {
  decodeRouteChange,
  type BatchFailure,
  type NetlinkBatch,
  type NetlinkError,
} from '../dataplane/netlink/index.js';

export interface FibProblem {
  readonly prefix: string;
  /** `refused`: the kernel does not take the route. `contested`: somebody keeps taking it away. */
  readonly type: 'refused' | 'contested';
  /** Undefined: solved. */
  readonly reason: string | undefined;
}

export class FibRefusals {
  private readonly reasons = new Map<string, string>();

  constructor(private readonly tell: (problem: FibProblem) => void) {}

  get size(): number {
    return this.reasons.size;
  }

  has(prefix: IpPrefix, metric: number): boolean {
    return this.reasons.size > 0 && this.reasons.has(routeKey(prefix, metric));
  }

  /** It is wanted no more. */
  forget(prefix: IpPrefix, metric: number): void {
    this.over(prefix, metric);
  }

  /** Notes what the kernel refused of a batch, and what it takes again. True: a nexthop object was missing, its routes are not to blame. */
  settle(batch: NetlinkBatch, failures: readonly BatchFailure[], mayMissObjects: boolean): boolean {
    if (failures.length === 0 && this.reasons.size === 0) return false;
    const failed = new Map(failures.map((failure) => [failure.index, failure.error]));
    let missesObjects = false;
    for (let index = 0; index < batch.count; index++) {
      const message = decodeRouteChange(batch.bytes, batch.offsetOf(index), batch.offsetOf(index + 1));
      if (message.isDelete) continue; // ESRCH and ENOENT: the kernel was faster
      const error = failed.get(index);
      if (error !== undefined && error.code === 'EINVAL' && message.nexthopId !== undefined && mayMissObjects)
        missesObjects = true;
      else this.note(message.prefix, message.metric, error);
    }
    return missesObjects;
  }

  private over(prefix: IpPrefix, metric: number): void {
    if (this.reasons.delete(routeKey(prefix, metric)))
      this.tell({ prefix: formatPrefix(prefix), type: 'refused', reason: undefined });
  }

  private note(prefix: IpPrefix, metric: number, error: NetlinkError | undefined): void {
    const key = routeKey(prefix, metric);
    if (error === undefined) {
      this.over(prefix, metric);
      return;
    }
    const reason =
      error.code === 'EEXIST'
        ? `somebody else has a route to it with metric ${metric}`
        : error.message.replace(`Cannot ${error.subject}: `, '');
    if (this.reasons.get(key) === reason) return;
    this.reasons.set(key, reason);
    this.tell({ prefix: formatPrefix(prefix), type: 'refused', reason });
  }
}

/** A route's place in the kernel's table. */
export const routeKey = ({ family, value, length }: IpPrefix, metric: number): string =>
  `${family} ${value.toString(36)} ${length} ${metric}`;
