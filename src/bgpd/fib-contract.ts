/** What the writer of kernel routes needs, and what it says of itself. */
import type { ForwardingSink } from 'node-bgp/rib/forwarding-entry';
import type { NetlinkSocket, NetlinkSocketOptions, watchKernel } from '../dataplane/netlink/index.js';
import type { FibProblem } from './fib-refusals.js';
import type { HopsCut } from './fib-table.js';
import type { KernelRouteContext } from './kernel-route.js';
import type { NexthopKernel } from './nexthop-objects.js';

export interface FibWriterOptions {
  /** A socket to the kernel; three are opened: for writing, for reading, for nexthop objects. */
  readonly open: (options?: NetlinkSocketOptions) => NetlinkSocket;
  /** The kernel's nexthop objects, if not by a socket from `open`. */
  readonly nexthops?: NexthopKernel;
  /** How many routes must lead the same way before they do so through a nexthop object; default 1,000. */
  readonly nexthopsFrom?: number;
  /** Once: there are none, and every route says itself where it leads. */
  readonly onNoNexthops: (reason: string) => void;
  readonly context: () => KernelRouteContext;
  /** Up to `limit` changes of the RIB; false when there are no more. */
  readonly take: (sink: ForwardingSink, limit: number) => boolean;
  /** Routes that the kernel refuses or somebody keeps taking away, and those where that is over. */
  readonly onProblem: (problem: FibProblem) => void;
  /** Routes lead over fewer next hops than the RIB has for them. */
  readonly onCut?: (cut: HopsCut) => void;
  /** So many routes were put right that nobody here had changed. */
  readonly onRepair?: (count: number) => void;
  /** The kernel's events; default: of this thread's namespace. */
  readonly watch?: typeof watchKernel;
}

export interface FibStatus {
  readonly routes: number;
  readonly refused: number;
  /** Left by a former process and not yet confirmed. */
  readonly stale: number;
  /** Somebody else changes them so often that they are put right only from time to time. The table as a whole counts as one. */
  readonly contested: number;
  /** Routes put right so far that somebody else had changed, or that the kernel had dropped. */
  readonly repaired: number;
}
