/** Which Service a client spoke to: by address, protocol and port, as Services list them. Pure. */
import type { Service } from '../api/core.js';
import type { FlowService } from './flow.js';

const NUMBERS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

const ANY_NODE = 'node';

export class ServiceNames {
  private known: Map<string, FlowService> | undefined;

  /** @param services all there are, by whatever key */
  constructor(private readonly services: () => Iterable<Service>) {}

  changed(): void {
    this.known = undefined;
  }

  /** @param isNode the address is a node's: it may be a node port */
  find(address: string, protocol: number, port: number, isNode: () => boolean): FlowService | undefined {
    this.known ??= this.index();
    const own = this.known.get(keyOf(address, protocol, port));
    if (own !== undefined) return own;
    const nodePort = this.known.get(keyOf(ANY_NODE, protocol, port));
    return nodePort !== undefined && isNode() ? nodePort : undefined;
  }

  private index(): Map<string, FlowService> {
    const known = new Map<string, FlowService>();
    for (const { metadata, spec, status } of this.services()) {
      const addresses = [
        ...(spec?.clusterIPs ?? [spec?.clusterIP ?? '']),
        ...(spec?.externalIPs ?? []),
        ...(status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip ?? ''),
      ].filter((address) => address !== '' && address !== 'None');
      for (const { protocol = 'TCP', port, nodePort } of spec?.ports ?? []) {
        const service: FlowService = { namespace: metadata.namespace ?? '', name: metadata.name, port };
        for (const address of addresses) known.set(keyOf(address, NUMBERS[protocol] ?? 0, port), service);
        if (nodePort !== undefined) known.set(keyOf(ANY_NODE, NUMBERS[protocol] ?? 0, nodePort), service);
      }
    }
    return known;
  }
}

const keyOf = (address: string, protocol: number, port: number): string => `${address} ${protocol} ${port}`;
