/**
 * Looks at one machine, once, and changes nothing: what the checks of a node judge (node-facts.ts). Each part by itself: what cannot be
 * read is said, and the rest is looked at all the same.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SummaryAnswer } from '../bgpd/show/summary-text.js';
import { BgpdClient } from '../bgpd/client.js';
import { HOST_FILES } from '../cni/host-files.js';
import { probeFeatures } from '../dataplane/features.js';
import { inNamespace } from '../dataplane/netns.js';
import { findIptables } from '../dataplane/netfilter/iptables-program.js';
import { formatSysctl, readSysctl, SysctlError } from '../dataplane/sysctl.js';
import { messageOf } from '../errors.js';
import { foreignChains } from './foreign-chains.js';
import { KernelWitness, type LinkFact } from './kernel-witness.js';
import { readListeners } from './listeners.js';
import type { NetworkManager, NodeFacts, Unread } from './node-facts.js';

export interface NodeLook {
  readonly node: string;
  /** Path of a network namespace; default: the caller's own. */
  readonly netns?: string;
  /** Where bgpd's socket is. */
  readonly runDir: string;
  /** Where the host's root is mounted; undefined: it is not, and host files are not looked at. */
  readonly hostRoot?: string;
  readonly cniConfDir: string;
}

const BGP_PORT = 179;
/** Where a running manager keeps its state, and how HOST_FILES call it. */
const MANAGERS = [
  { name: 'NetworkManager', runs: 'run/NetworkManager', files: 'NetworkManager' },
  { name: 'systemd-networkd', runs: 'run/systemd/netif', files: 'systemd' },
] as const;
const PLAIN_SYSCTLS = [
  ['net', 'ipv4', 'ip_forward'],
  ['net', 'ipv6', 'conf', 'all', 'forwarding'],
  ['net', 'ipv4', 'conf', 'all', 'rp_filter'],
  ['net', 'ipv4', 'fib_multipath_hash_policy'],
  ['net', 'ipv6', 'fib_multipath_hash_policy'],
  ['net', 'core', 'optmem_max'],
  ['net', 'netfilter', 'nf_conntrack_count'],
  ['net', 'netfilter', 'nf_conntrack_max'],
  ['net', 'ipv4', 'neigh', 'default', 'gc_thresh3'],
  ['net', 'ipv6', 'neigh', 'default', 'gc_thresh3'],
] as const;

export async function lookAtNode(look: NodeLook): Promise<NodeFacts> {
  const unread: Unread[] = [];
  const within = <T>(task: () => T): T => (look.netns === undefined ? task() : inNamespace(look.netns, task));
  const part = async <T>(what: string, read: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      unread.push({ what, why: messageOf(error) });
      return undefined;
    }
  };
  const kernel = await part("the kernel's links and routes", () => readKernel(within));
  const bgpd = await askBgpd(look.runDir);
  const ports = 'summary' in bgpd && bgpd.summary.isConfigured ? bgpd.summary.listen.map(({ port }) => port) : [];
  const features = await part('what the kernel can do', () => probeFeatures());
  const listeners = await part('who listens on the BGP port', () =>
    within(() => readListeners(new Set(ports.length === 0 ? [BGP_PORT] : ports))),
  );
  const cniFiles = await part(`network configurations in "${look.cniConfDir}"`, () => cniFilesOf(look.cniConfDir));
  const chains = await part('rules of other networks', () => foreignChains(within, findIptables));
  if (look.hostRoot === undefined)
    unread.push({ what: "the host's files", why: '--host-root does not say where they are', isExpected: true });
  return {
    node: look.node,
    sysctls: readSysctls(within, kernel?.links ?? [], unread),
    managers: look.hostRoot === undefined ? [] : managersOf(look.hostRoot),
    chains: chains ?? [],
    bgpd,
    unread,
    ...(kernel === undefined ? {} : kernel),
    ...(features === undefined ? {} : { features }),
    ...(listeners === undefined ? {} : { listeners }),
    ...(cniFiles === undefined ? {} : { cniFiles }),
  };
}

type Within = <T>(task: () => T) => T;

async function readKernel(within: Within): Promise<Required<Pick<NodeFacts, 'links' | 'routes' | 'neighbours'>>> {
  const witness = within(() => new KernelWitness());
  try {
    const links = await witness.links();
    const routes = await witness.routes();
    return { links, routes, neighbours: await witness.neighbours() };
  } finally {
    witness.close();
  }
}

async function askBgpd(runDir: string): Promise<NodeFacts['bgpd']> {
  try {
    return { summary: await new BgpdClient(runDir).get<SummaryAnswer>('/v1/summary') };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

function readSysctls(within: Within, links: readonly LinkFact[], unread: Unread[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const paths = [...PLAIN_SYSCTLS, ...links.map(({ name }) => ['net', 'ipv4', 'conf', name, 'rp_filter'])];
  within(() => {
    for (const path of paths)
      try {
        values.set(formatSysctl(path), readSysctl(path));
      } catch (error) {
        // A kernel, or a namespace of it, that has no such parameter; an interface that has gone since.
        if (!(error instanceof SysctlError && error.isMissing))
          unread.push({ what: formatSysctl(path), why: messageOf(error) });
      }
  });
  return values;
}

function managersOf(hostRoot: string): readonly NetworkManager[] {
  return MANAGERS.filter(({ runs }) => existsSync(join(hostRoot, runs))).map(({ name, files }) => ({
    name,
    missing: HOST_FILES.filter(({ manager }) => manager === files)
      .filter(({ path, content }) => textOf(join(hostRoot, 'etc', path)) !== content)
      .map(({ path }) => `/etc/${path}`),
  }));
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** What libcni looks at (ConfFiles), in its order. */
const cniFilesOf = (directory: string): readonly string[] =>
  readdirSync(directory)
    .filter((name) => /\.(conf|conflist|json)$/.test(name))
    .sort();
