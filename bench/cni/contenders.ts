/**
 * What is measured: Tortie with both families, with IPv4 alone, with both families and nftables for its policy, and
 * the plugins ptp and host-local that ship with every runtime, which connect a pod to the node in the same way (a veth
 * and routes, no bridge), without policy.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CNI_BIN } from '../../src/lab/tortie-argv.js';
import { startNodeAgent, type Place, type Pool } from './node-agent.js';

/** Where Debian's containernetworking-plugins are; other distributions have them in /opt/cni/bin. */
const REFERENCE_PLUGINS = '/usr/lib/cni';

export interface Contender {
  readonly program: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The network configuration for standard input, but for prevResult. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The process that serves the plugin. */
  readonly servedBy?: number;
  /** Ends its processes. */
  readonly stop: () => Promise<void>;
}

const IPV4: Pool = { name: 'ipv4', cidr: '10.65.0.0/16', blockSize: 24 };
const IPV6: Pool = { name: 'ipv6', cidr: 'fd00:65::/112', blockSize: 120 };

export const CONTENDERS: Readonly<Record<string, (place: Place) => Promise<Contender>>> = {
  tortie: (place) => tortie(place, [IPV4, IPV6], 'auto'),
  'tortie-ipv4': (place) => tortie(place, [IPV4], 'auto'),
  'tortie-nftables': (place) => tortie(place, [IPV4, IPV6], 'nftables'),
  ptp: async (place) => ptp(place),
};

async function tortie(place: Place, pools: readonly Pool[], policyBackend: string): Promise<Contender> {
  const agent = await startNodeAgent(place, pools, policyBackend);
  return {
    program: join(CNI_BIN, 'tortie'),
    environment: { CNI_PATH: CNI_BIN },
    config: { cniVersion: '1.0.0', name: 'tortie', type: 'tortie', socket: agent.socketPath },
    servedBy: agent.agentPid,
    stop: () => agent.stop(),
  };
}

function ptp({ directory }: Place): Contender {
  const dataDir = join(directory, 'host-local');
  mkdirSync(dataDir, { recursive: true });
  const ipam = { type: 'host-local', dataDir, ranges: [[{ subnet: '10.66.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] };
  return {
    program: join(REFERENCE_PLUGINS, 'ptp'),
    environment: { CNI_PATH: REFERENCE_PLUGINS },
    config: { cniVersion: '1.0.0', name: 'reference', type: 'ptp', ipMasq: false, mtu: 1500, ipam },
    stop: async () => undefined,
  };
}
