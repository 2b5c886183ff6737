/** Signs of a kube-proxy in this network namespace: its chains, its nftables table, its IPVS interface. Looks only. */
import type { Family } from '@tortie/policy/ruleset';
import { listLinks } from '../netlink/link.js';
import { NetlinkSocket } from '../netlink/netlink-socket.js';
import { hasKubeProxyTable, legacyTables, nftChains } from './backend.js';
import { hereWithin, type Within } from './child.js';
import { findIptables } from './iptables-program.js';

/** The chain that kube-proxy's iptables mode begins with; kubelet writes others of the prefix, and never this one. */
const SERVICES_CHAIN = 'KUBE-SERVICES';
/** pkg/proxy/ipvs: the interface that holds the addresses of all Services. */
const IPVS_INTERFACE = 'kube-ipvs0';

/** What was found, for people; undefined when nothing. */
export async function kubeProxyRules(within: Within = hereWithin): Promise<string | undefined> {
  const socket = within(() => new NetlinkSocket({ family: 'netfilter' }));
  try {
    if (hasKubeProxyTable(socket)) return 'nftables has a table "kube-proxy"';
    for (const family of [4, 6] as const)
      if (nftChains(family, socket).includes(SERVICES_CHAIN))
        return `chain ${SERVICES_CHAIN} stands in iptables (IPv${family}, nft)`;
  } finally {
    socket.close();
  }
  for (const family of [4, 6] as const)
    if (await hasLegacyChain(family, within))
      return `chain ${SERVICES_CHAIN} stands in iptables (IPv${family}, legacy)`;
  return hasIpvsInterface(within) ? `there is an interface ${IPVS_INTERFACE}` : undefined;
}

async function hasLegacyChain(family: Family, within: Within): Promise<boolean> {
  // Reading a table that does not exist would create it.
  if (!legacyTables(family, within).includes('nat')) return false;
  const program = await findIptables('legacy', family, within);
  if (program === undefined) return false;
  try {
    return new RegExp(`^:${SERVICES_CHAIN} `, 'm').test(await program.save('nat'));
  } finally {
    program.close();
  }
}

function hasIpvsInterface(within: Within): boolean {
  const socket = within(() => new NetlinkSocket());
  try {
    return listLinks(socket).some(({ name }) => name === IPVS_INTERFACE);
  } finally {
    socket.close();
  }
}
