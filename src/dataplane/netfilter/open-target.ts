/** Chooses and opens the way policy is written on this machine. */
import type { Family } from '@tortie/policy/ruleset';
import { NetlinkSocket } from '../netlink/netlink-socket.js';
import { SystemError } from '../system-error.js';
import { hasKubeProxyTable } from './backend.js';
import type { Within } from './child.js';
import { NetfilterSetupError } from './family-tables.js';
import { openIptablesTarget } from './iptables-target.js';
import { hasAnyIptables } from './iptables-program.js';
import { NftTarget } from './nft/nft-target.js';
import type { PolicyTarget } from './policy-target.js';
import type { BackendSetting } from './status.js';

export interface TargetOptions {
  readonly families: readonly Family[];
  readonly backend: BackendSetting;
  readonly within: Within;
  readonly patrolInterval: number;
}

/**
 * 'auto' is iptables, since that is where people look for a pod network's rules, unless kube-proxy writes nftables
 * itself or the machine has no iptables. Throws NetfilterSetupError.
 */
export async function openTarget(options: TargetOptions): Promise<PolicyTarget> {
  const { backend } = options;
  if (backend === 'nftables') return openNft(options, 'it is configured');
  if (backend === 'auto' && kubeProxyUsesNftables(options.within))
    return openNft(options, 'kube-proxy has its table "kube-proxy" there');
  if (backend === 'auto' && !hasAnyIptables()) return openNft(options, 'iptables is not installed');
  return openIptablesTarget({ ...options, backend });
}

function openNft({ families, within }: TargetOptions, reason: string): PolicyTarget {
  try {
    return new NftTarget(families, within, reason);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new NetfilterSetupError(`Cannot write policy with nftables: ${error.message}`, { cause: error });
  }
}

function kubeProxyUsesNftables(within: Within): boolean {
  try {
    const socket = within(() => new NetlinkSocket({ family: 'netfilter' }));
    try {
      return hasKubeProxyTable(socket);
    } finally {
      socket.close();
    }
  } catch (error) {
    if (error instanceof SystemError) return false; // no netlink: openIptablesTarget will say what else is missing
    throw error;
  }
}
