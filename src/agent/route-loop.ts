/**
 * The node's own routes, and its addresses on pods' interfaces, against what the kernel has: after every change of blocks, endpoints or
 * BGP peers, after every kernel event that may concern them, and once in a while for what no event told.
 */
import { bitsOf } from 'node-bgp/address';
import type { OwnBlock } from '@tortie/ipam';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { GatewayRoute, PeeringAddress } from '../topology/node-side.js';
import type { TopologyProblem } from '../topology/problems.js';
import type { OverlayHop, OwnRoutes, RouteKernel } from './kernel.js';

/** Pods bring their routes along; this is the check behind them, and in a burst one check serves many. */
const COALESCE = 50;
/** Between two checks, however many events: CNI calls wait for the same thread. */
const LEAST_PAUSE = 250;
const RETRY = 1_000;
/** An event can be lost when the kernel's queue overflows. */
const RESYNC = 30_000;

export interface RouteLoopOptions {
  readonly kernel: RouteKernel;
  readonly desired: () => {
    readonly blocks: readonly OwnBlock[];
    readonly endpoints: readonly { readonly hostInterface: string; readonly addresses: readonly string[] }[];
    readonly gateways: readonly GatewayRoute[];
    readonly peering: readonly PeeringAddress[];
    readonly overlay: readonly OverlayHop[];
  };
  readonly log: Logger;
  readonly onHealth: () => void;
}

export class RouteLoop {
  private isStarted = false;
  private levelledAt = -Infinity;
  private timer: NodeJS.Timeout | undefined;
  private resync: NodeJS.Timeout | undefined;
  private refused: readonly string[] = [];
  /** A former process may have left some. */
  private mayHavePeering = true;

  constructor(private readonly options: RouteLoopOptions) {}

  start(): void {
    this.isStarted = true;
    this.level();
    this.resync = setInterval(() => this.level(), RESYNC);
  }

  stop(): void {
    this.isStarted = false;
    clearTimeout(this.timer);
    clearInterval(this.resync);
  }

  changed(): void {
    if (!this.isStarted || this.timer !== undefined) return;
    const pause = Math.max(COALESCE, this.levelledAt + LEAST_PAUSE - performance.now());
    this.timer = setTimeout(() => this.level(), pause);
  }

  problems(): readonly string[] {
    return this.refused;
  }

  /** Those that are the fault of a field that somebody wrote. */
  fieldProblems(): readonly TopologyProblem[] {
    return this.options.desired().gateways.flatMap(({ field: place }): readonly TopologyProblem[] => {
      const sentence = this.refused.find((text) => text.startsWith(`${place} `));
      const [resource = '', field = ''] = place.split(' ');
      return sentence === undefined
        ? []
        : [{ resource, field, message: sentence.slice(resource.length + 1), severity: 'problem' }];
    });
  }

  private level(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (!this.isStarted) return;
    this.levelledAt = performance.now();
    let refused: readonly string[];
    try {
      const desired = this.options.desired();
      refused = [...this.options.kernel.level(routesOf(desired)), ...this.levelPeering(desired.peering)];
    } catch (error) {
      refused = [messageOf(error)];
    }
    if (refused.length > 0) this.timer = setTimeout(() => this.level(), RETRY);
    if (refused.join() === this.refused.join()) return;
    for (const problem of refused) this.options.log.error(problem);
    this.refused = refused;
    this.options.onHealth();
  }

  /** Hardly any node has such an address: one that never had does not read hundreds of interfaces for each new pod. */
  private levelPeering(peering: readonly PeeringAddress[]): readonly string[] {
    if (peering.length === 0 && !this.mayHavePeering) return [];
    const refused = this.options.kernel.levelPeering(peering);
    this.mayHavePeering = peering.length > 0 || refused.length > 0;
    return refused;
  }
}

function routesOf({ blocks, endpoints, gateways, overlay }: ReturnType<RouteLoopOptions['desired']>): OwnRoutes {
  return {
    // A block of one address is its pod's own host route; a blackhole would collide with it.
    blocks: blocks.map(({ prefix }) => prefix).filter((prefix) => prefix.length < bitsOf(prefix.family)),
    pods: endpoints.flatMap(({ hostInterface, addresses }) => addresses.map((address) => ({ address, hostInterface }))),
    gateways,
    overlay,
  };
}
