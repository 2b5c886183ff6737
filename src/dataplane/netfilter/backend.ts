/**
 * Which of the two iptables backends to write to, when nobody says: the one that the rest of the machine uses. Rules in
 * both are evaluated, so the wrong choice works, but nobody who looks would find our rules beside kube-proxy's.
 *
 * The order is that of kubernetes-sigs/iptables-wrappers, which kube-proxy's image uses: chains of kubelet and kube-proxy decide
 * (kubelet puts KUBE-IPTABLES-HINT into mangle for this purpose), then the backend with more rules, then the machine's
 * own `iptables`. Looking must not change anything: reading a legacy table would create it, so /proc is asked first.
 */
import { readFileSync } from 'node:fs';
import type { Family } from '@tortie/policy/ruleset';
import { NetlinkBatch } from '../netlink/batch.js';
import { forEachAttribute } from '../netlink/message.js';
import { NetlinkError } from '../netlink/netlink-error.js';
import type { NetlinkSocket } from '../netlink/netlink-socket.js';
import type { Within } from './child.js';
import { defaultBackend, findIptables } from './iptables-program.js';
import type { Backend } from './status.js';

export interface BackendChoice {
  readonly backend: Backend;
  /** For people: "chains KUBE-* are in its tables". */
  readonly reason: string;
}

/** What one backend holds of other people. */
export interface Evidence {
  readonly kubeChains: number;
  readonly chains: number;
}

/** Undefined when nothing speaks for either. Pure; exported for its test. */
export function chooseByEvidence(nft: Evidence, legacy: Evidence): BackendChoice | undefined {
  if (nft.kubeChains > 0) return { backend: 'nft', reason: `${nft.kubeChains} KUBE-* chains are in its tables` };
  if (legacy.kubeChains > 0)
    return { backend: 'legacy', reason: `${legacy.kubeChains} KUBE-* chains are in its tables` };
  if (nft.chains === legacy.chains) return undefined;
  const backend = nft.chains > legacy.chains ? 'nft' : 'legacy';
  return {
    backend,
    reason: `others have ${Math.max(nft.chains, legacy.chains)} chains there and ${Math.min(nft.chains, legacy.chains)} in the other`,
  };
}

/**
 * Decides for one family. `socket` is a netfilter socket of the namespace, if this process can speak netlink;
 * `fallback` what the other family uses.
 */
export async function detectBackend(
  family: Family,
  within: Within,
  socket: NetlinkSocket | undefined,
  fallback: BackendChoice | undefined,
): Promise<BackendChoice | undefined> {
  const nft = await nftEvidence(family, within, socket);
  const legacy = await legacyEvidence(family, within);
  const chosen = chooseByEvidence(nft, legacy);
  if (chosen !== undefined) return chosen;
  if (fallback !== undefined) return { backend: fallback.backend, reason: 'it is what the other family uses' };
  const backend = await defaultBackend(family);
  return backend === undefined ? undefined : { backend, reason: "it is what this machine's iptables writes to" };
}

const isOthers = (chain: string): boolean => !chain.startsWith('TORTIE-') && !BUILTIN.has(chain);
const BUILTIN: ReadonlySet<string> = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']);

const evidenceOf = (chains: readonly string[]): Evidence => {
  const others = chains.filter(isOthers);
  return { kubeChains: others.filter((chain) => chain.startsWith('KUBE-')).length, chains: others.length };
};

/** Legacy tables that exist in the namespace; reading /proc creates none. */
export function legacyTables(family: Family, within: Within): readonly string[] {
  try {
    const file = `/proc/thread-self/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`;
    return within(() => readFileSync(file, 'utf8'))
      .split('\n')
      .filter((name) => name !== '');
  } catch (error) {
    if (isNoEntry(error)) return []; // the kernel has no legacy iptables at all
    throw error;
  }
}

/** Whether the kernel speaks IPv6 at all in this namespace. */
export function hasIpv6(within: Within): boolean {
  try {
    within(() => readFileSync('/proc/thread-self/net/if_inet6'));
    return true;
  } catch (error) {
    if (isNoEntry(error)) return false;
    throw error;
  }
}

async function legacyEvidence(family: Family, within: Within): Promise<Evidence> {
  const tables = legacyTables(family, within);
  const program = tables.length === 0 ? undefined : await findIptables('legacy', family, within);
  if (program === undefined) return { kubeChains: 0, chains: 0 };
  const chains: string[] = [];
  for (const table of ['filter', 'nat', 'mangle', 'raw'] as const)
    if (tables.includes(table)) for (const each of chainsOf(await program.save(table))) chains.push(each);
  return evidenceOf(chains);
}

async function nftEvidence(family: Family, within: Within, socket: NetlinkSocket | undefined): Promise<Evidence> {
  if (socket !== undefined) return evidenceOf(nftChains(family, socket));
  const program = await findIptables('nft', family, within);
  if (program === undefined) return { kubeChains: 0, chains: 0 };
  const chains: string[] = [];
  for (const table of ['filter', 'nat', 'mangle', 'raw'] as const)
    for (const each of chainsOf(await program.save(table))) chains.push(each);
  return evidenceOf(chains);
}

const chainsOf = (saved: string): readonly string[] => [...saved.matchAll(/^:(\S+) /gm)].map((match) => match[1] ?? '');

/** kube-proxy's nftables mode keeps a table of that name in both families. */
export const hasKubeProxyTable = (socket: NetlinkSocket): boolean =>
  ([4, 6] as const).some((family) =>
    nftList(family, socket, NFT_MSG_GETTABLE).some(({ table }) => table === 'kube-proxy'),
  );

const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETTABLE = 1;
const NFT_MSG_GETCHAIN = 4;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const IPTABLES_TABLES: ReadonlySet<string> = new Set(['filter', 'nat', 'mangle', 'raw', 'security']);

/** Chains of the tables that iptables-nft uses. One dump; no child, and no complaint about tables iptables cannot read. */
export const nftChains = (family: Family, socket: NetlinkSocket): readonly string[] =>
  nftList(family, socket, NFT_MSG_GETCHAIN)
    .filter(({ table }) => IPTABLES_TABLES.has(table))
    .map(({ name }) => name);

function nftList(
  family: Family,
  socket: NetlinkSocket,
  message: number,
): readonly { readonly table: string; readonly name: string }[] {
  const found: { table: string; name: string }[] = [];
  const batch = new NetlinkBatch(64);
  batch.beginMessage((NFNL_SUBSYS_NFTABLES << 8) | message, 0, () => 'list tables and chains of nftables');
  batch.u8(family === 4 ? 2 : 10);
  batch.u8(0);
  batch.u16be(0);
  batch.endMessage();
  try {
    socket.dump(
      batch,
      ({ body }) => {
        let table = '';
        let name = '';
        forEachAttribute(body, 4, body.length, (type, start, end) => {
          if (type === NFTA_CHAIN_TABLE) table = body.text(start, end);
          else if (type === NFTA_CHAIN_NAME && message === NFT_MSG_GETCHAIN) name = body.text(start, end);
        });
        found.push({ table, name });
      },
      () => void (found.length = 0),
    );
  } catch (error) {
    // A kernel without nftables answers the request with EINVAL or EOPNOTSUPP: then nobody has anything there.
    if (!(error instanceof NetlinkError)) throw error;
    return [];
  }
  return found;
}

const isNoEntry = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';
