/**
 * Chains that other networks left in iptables, of either backend and family. Reads only: a table of the legacy backend is asked for only
 * where it exists, because the program would make it.
 */
import { readFileSync } from 'node:fs';
import type { Family } from 'node-bgp/address';
import type { IptablesProgram } from '../dataplane/netfilter/iptables-program.js';
import type { Within } from '../dataplane/netfilter/child.js';
import type { Backend } from '../dataplane/netfilter/status.js';

/** Beginnings of chain names, and whose they are. */
const OWNERS = [
  [/^cali-/, 'Calico'],
  [/^(OLD_)?CILIUM_/, 'Cilium'],
  [/^FLANNEL-/, 'flannel'],
  [/^KUBE-ROUTER-|^KUBE-POD-FW-|^KUBE-NWPLCY-/, 'kube-router'],
  [/^WEAVE/, 'Weave Net'],
  [/^ANTREA-/, 'Antrea'],
] as const;
const TABLES = ['raw', 'mangle', 'nat', 'filter'] as const;
type Table = (typeof TABLES)[number];

type Find = (backend: Backend, family: Family, within: Within) => Promise<IptablesProgram | undefined>;

/** One sentence part a network, backend and family: "23 chains of Calico in iptables-nft, such as cali-FORWARD". */
export async function foreignChains(within: Within, find: Find): Promise<readonly string[]> {
  const found: string[] = [];
  for (const backend of ['legacy', 'nft'] as const)
    for (const family of [4, 6] as const) {
      const program = await find(backend, family, within);
      if (program === undefined) continue;
      try {
        const names: string[] = [];
        for (const table of tablesOf(backend, family, within)) names.push(...chainsIn(await program.save(table)));
        found.push(...sentences(names, `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}`));
      } finally {
        program.close();
      }
    }
  return found;
}

function tablesOf(backend: Backend, family: Family, within: Within): readonly Table[] {
  if (backend === 'nft') return TABLES;
  const file = `/proc/thread-self/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`;
  const names = within(() => {
    try {
      return readFileSync(file, 'utf8').split('\n');
    } catch (error) {
      // A kernel without legacy iptables, or where nobody has used it.
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
      throw error;
    }
  });
  return TABLES.filter((table) => names.includes(table));
}

const chainsIn = (saved: string): readonly string[] => [...saved.matchAll(/^:(\S+) /gm)].map(([, name = '']) => name);

/** Exported for its test. */
export function sentences(chains: readonly string[], where: string): readonly string[] {
  return OWNERS.flatMap(([pattern, owner]) => {
    const theirs = chains.filter((name) => pattern.test(name));
    return theirs.length === 0
      ? []
      : [`${theirs.length} chain${theirs.length === 1 ? '' : 's'} of ${owner} in ${where}, such as ${theirs[0] ?? ''}`];
  });
}
