/**
 * The node's own address in each of its tunnels, out of the pools that have the tunnel (allowedUses: Tunnel). What the node itself
 * sends to pods of other nodes comes from it, so that answers find the way back through the tunnel, and nothing between the nodes has
 * to know pods' addresses.
 *
 * It is in the journal as a pod's address is, and survives restarts. It is given back when the tunnel ends, and exchanged when its
 * pool is gone. Without one the tunnel carries pods' packets all the same.
 */
import { NODE_NETWORK, type Allocator, type Owner } from '@tortie/ipam';
import { containsAddress, parseAddress, tryParsePrefix, type Family, type IpAddress } from 'node-bgp/address';
import type { IPPool } from '../api/ipam.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { IpamLoop } from './ipam-loop.js';

/** A tunnel that wants an address. */
export interface TunnelNeed {
  readonly name: string;
  readonly family: Family;
  /** Names of its pools. */
  readonly pools: readonly string[];
}

export interface TunnelAddressesOptions {
  readonly allocator: Pick<Allocator, 'addressesOfOwner' | 'release'>;
  readonly ipam: Pick<IpamLoop, 'assignToNode'>;
  readonly pool: (name: string) => IPPool | undefined;
  /** Interfaces that may have had one. */
  readonly names: readonly string[];
  readonly log: Logger;
  /** Addresses were assigned or given back. */
  readonly onChange: (released: readonly string[]) => void;
}

const RETRY = 10_000;

export const tunnelOwner = (name: string): Owner => ({
  network: NODE_NETWORK,
  containerId: 'tunnel',
  interfaceName: name,
  namespace: '',
  pod: '',
});

export class TunnelAddresses {
  private needs: readonly TunnelNeed[] = [];
  /** By tunnel. */
  private readonly failures = new Map<string, string>();
  private isRunning = false;
  private isDirty = false;
  private isStopped = false;
  private retry: NodeJS.Timeout | undefined;

  constructor(private readonly options: TunnelAddressesOptions) {}

  /** All tunnels as they are now. */
  want(needs: readonly TunnelNeed[]): void {
    this.needs = needs;
    this.isDirty = true;
    void this.run();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.retry);
  }

  of(name: string): readonly IpAddress[] {
    return this.options.allocator.addressesOfOwner(tunnelOwner(name)).map(parseAddress);
  }

  problems(): readonly string[] {
    return [...this.failures.values()];
  }

  private async run(): Promise<void> {
    if (this.isRunning) return;
    this.isRunning = true;
    clearTimeout(this.retry);
    while (this.isDirty && !this.isStopped) {
      this.isDirty = false;
      for (const name of this.options.names) await this.level(name);
    }
    this.isRunning = false;
    if (this.failures.size === 0 || this.isStopped) return;
    this.retry = setTimeout(() => this.want(this.needs), RETRY).unref();
  }

  private async level(name: string): Promise<void> {
    const { allocator, ipam, log, onChange } = this.options;
    const need = this.needs.find((one) => one.name === name);
    try {
      if (this.of(name).some((address) => !this.serves(need, address)))
        onChange(await allocator.release(tunnelOwner(name)));
      if (need !== undefined && this.of(name).length === 0) {
        const addresses = await ipam.assignToNode(tunnelOwner(name), need.family, need.pools);
        log.info({ tunnel: name, addresses }, 'This node has an address in the tunnel');
        onChange([]);
      }
      this.failures.delete(name);
    } catch (error) {
      const message = messageOf(error);
      if (this.failures.get(name) !== message) log.warn({ tunnel: name }, message);
      this.failures.set(name, message);
      onChange([]);
    }
  }

  private serves(need: TunnelNeed | undefined, address: IpAddress): boolean {
    return (need?.pools ?? []).some((name) => {
      const prefix = tryParsePrefix(this.options.pool(name)?.spec.cidr ?? '');
      return prefix !== undefined && containsAddress(prefix, address);
    });
  }
}
