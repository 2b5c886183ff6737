/**
 * Tunnels to other nodes: pools, nodes and blocks to a plan (overlay/overlay-plan.ts), the plan to the kernel.
 *
 *   who may send into the tunnels -> policy in the kernel -> the tunnels, with their addresses and peers -> routes (route-loop.ts)
 *
 * In this order when tunnels come. What the kernel refuses is repeated, and told on the pool that asks for it; packets to its pods
 * then go as BGP has it.
 */
import type { PolicyEvent, TunnelPeerAddresses } from '@tortie/policy';
import { formatAddress, type Family, type IpAddress } from 'node-bgp/address';
import type { Cluster, ClusterChange } from '../cluster/cluster.js';
import {
  OVERHEAD,
  TUNNEL_NAMES,
  type Tunnel,
  type TunnelFailure,
  type TunnelName,
} from '../dataplane/tunnel-devices.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import {
  overlayPlanOf,
  type EncapsulationKind,
  type OverlayPlan,
  type OverlayProblem,
  type PlannedTunnel,
} from '../overlay/overlay-plan.js';
import type { NodeKernel, OverlayHop } from './kernel.js';
import type { TunnelAddresses } from './tunnel-addresses.js';

const COALESCE = 50;
const RETRY = 2_000;
/** For what no event told. */
const RESYNC = 30_000;

export interface OverlayLoopOptions {
  readonly node: string;
  readonly cluster: Cluster;
  readonly kernel: Pick<NodeKernel, 'levelTunnels' | 'links'>;
  readonly addresses: TunnelAddresses;
  /** Of the links below the tunnels, in octets. */
  readonly uplinkMtu: () => number | undefined;
  readonly policy: { take(event: PolicyEvent): void; settled(): Promise<unknown> };
  readonly log: Logger;
  /** Routes through tunnels changed. */
  readonly onRoutes: () => void;
  readonly onHealth: () => void;
}

const nameOf = (kind: EncapsulationKind, family: Family): TunnelName =>
  kind === 'ipip' ? TUNNEL_NAMES.ipip4 : family === 4 ? TUNNEL_NAMES.vxlan4 : TUNNEL_NAMES.vxlan6;

export class OverlayLoop {
  private plan: OverlayPlan = { tunnels: [], routes: [], problems: [] };
  private failures: readonly TunnelFailure[] = [];
  private isStarted = false;
  private isRunning = false;
  private isDirty = false;
  /** A former process may have left some. */
  private mayHaveTunnels = true;
  private timer: NodeJS.Timeout | undefined;
  private resync: NodeJS.Timeout | undefined;
  private toldPeers = '{}';

  constructor(private readonly options: OverlayLoopOptions) {}

  /** Call once everything is listed, and before routes are first looked at. Resolves when the kernel was first told. */
  async start(): Promise<void> {
    this.options.cluster.onChange((change) => {
      if (concerns(change)) this.changed();
    });
    this.isStarted = true;
    this.isDirty = true;
    await this.run();
    this.resync = setInterval(() => {
      if (this.mayHaveTunnels) this.changed();
    }, RESYNC);
  }

  stop(): void {
    this.isStarted = false;
    clearTimeout(this.timer);
    clearInterval(this.resync);
  }

  changed(): void {
    this.isDirty = true;
    if (!this.isStarted || this.isRunning || this.timer !== undefined) return;
    this.timer = setTimeout(() => void this.run(), COALESCE);
  }

  routes(): readonly OverlayHop[] {
    return this.plan.routes.map(({ prefix, gateway, through }) => ({
      prefix,
      gateway,
      ...(through === undefined ? {} : { interfaceName: nameOf(through.kind, through.family) }),
    }));
  }

  /** What pods' interfaces have to leave room for. */
  overhead(): number {
    return Math.max(0, ...this.plan.tunnels.map(({ kind, family }) => OVERHEAD[nameOf(kind, family)]));
  }

  /** What a user should mend, by pool. */
  poolProblems(): readonly OverlayProblem[] {
    return [
      ...this.plan.problems,
      ...this.failures.flatMap(({ name, message }) =>
        this.plan.tunnels
          .filter(({ kind, family }) => nameOf(kind, family) === name)
          .flatMap(({ pools }) => pools)
          .map(({ pool, field }) => ({ pool, field, message: `Cannot use ${field} of pool "${pool}": ${message}` })),
      ),
    ];
  }

  problems(): readonly string[] {
    return [...this.poolProblems().map(({ message }) => message), ...this.options.addresses.problems()];
  }

  private async run(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isRunning = true;
    this.isDirty = false;
    const before = this.problems().join();
    try {
      await this.level();
    } catch (error) {
      this.options.log.error({ problem: messageOf(error) }, 'Cannot make the tunnels to other nodes; trying again');
      this.failures = this.plan.tunnels.map(({ kind, family }) => ({
        name: nameOf(kind, family),
        message: messageOf(error),
      }));
    }
    this.isRunning = false;
    if (this.problems().join() !== before) {
      for (const problem of this.problems()) this.options.log.warn(problem);
      this.options.onHealth();
    }
    if (!this.isStarted) return;
    if (this.isDirty) this.changed();
    else if (this.failures.length > 0) this.timer = setTimeout(() => void this.run(), RETRY);
  }

  private async level(): Promise<void> {
    const { addresses, cluster, kernel, node, onRoutes } = this.options;
    this.plan = overlayPlanOf({
      nodeName: node,
      nodes: [...cluster.all('nodes').values()],
      pools: [...cluster.all('ipPools').values()],
      blocks: [...cluster.all('ipamBlocks').values()],
      links: kernel.links(),
    });
    addresses.want(
      this.plan.tunnels.map(({ kind, family, pools }) => ({
        name: nameOf(kind, family),
        family,
        pools: pools.map(({ pool }) => pool),
      })),
    );
    await this.tellPolicy();
    if (this.plan.tunnels.length > 0 || this.mayHaveTunnels) {
      this.failures = kernel.levelTunnels(this.plan.tunnels.map((tunnel) => this.tunnelOf(tunnel)));
      this.mayHaveTunnels = this.plan.tunnels.length > 0 || this.failures.length > 0;
    }
    onRoutes();
  }

  private tunnelOf({ kind, family, local, mac, peers }: PlannedTunnel): Tunnel {
    const name = nameOf(kind, family);
    const uplink = this.options.uplinkMtu();
    return {
      name,
      kind,
      local,
      mac,
      ...(uplink === undefined ? {} : { mtu: uplink - OVERHEAD[name] }),
      addresses: this.options.addresses.of(name),
      peers,
    };
  }

  /** Before a tunnel takes anything in, everybody but nodes is kept from it. */
  private async tellPolicy(): Promise<void> {
    const peers: { -readonly [K in keyof TunnelPeerAddresses]: readonly string[] } = {};
    const texts = (all: readonly { readonly address: IpAddress }[]): readonly string[] =>
      all.map(({ address }) => formatAddress(address));
    for (const tunnel of this.plan.tunnels)
      peers[tunnel.kind] = [...(peers[tunnel.kind] ?? []), ...texts(tunnel.peers)];
    const text = JSON.stringify(peers);
    if (text === this.toldPeers) return;
    this.options.policy.take({ type: 'tunnel-peers', peers });
    await this.options.policy.settled();
    this.toldPeers = text;
  }
}

function concerns({ kind, isStatusOnly }: ClusterChange): boolean {
  if (kind === 'nodes' || kind === 'ipamBlocks') return true;
  return kind === 'ipPools' && isStatusOnly !== true;
}
