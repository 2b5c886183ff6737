/**
 * Ways to filter between the two pods, each filling a node's namespace: no rules at all; an established-accept and nothing else, which
 * is the least a stateful filter does; plain linear iptables, one rule per policy, as tutorials have it; and Tortie's three backends.
 */
import { PolicyEngine } from '@tortie/policy/engine';
import { hostInterfaceName } from '../../src/dataplane/endpoint-name.js';
import { createNetfilter, type Netfilter } from '../../src/dataplane/netfilter/netfilter.js';
import type { BackendSetting } from '../../src/dataplane/netfilter/status.js';
import { clusterEvents, endpointEvent, podAt, policyEvent, type ClusterSize } from './cluster.js';
import { run, type Rig } from './rig.js';

export interface Contender {
  /** Milliseconds to bring a node from nothing to all policies. */
  readonly load: number;
  /** Milliseconds to change one policy that selects local pods; the median of some. Undefined where there is nothing to change. */
  changeOne(): Promise<number | undefined>;
  stop(): Promise<void>;
}

export type ContenderName = 'none' | 'established' | 'linear-legacy' | 'linear-nft' | 'legacy' | 'nft' | 'nftables';

export const CONTENDERS: Readonly<Record<ContenderName, (rig: Rig, size: ClusterSize) => Promise<Contender>>> = {
  none: async () => still,
  established: async (rig) => {
    for (const program of ['iptables-legacy-restore', 'ip6tables-legacy-restore'])
      run(
        'ip',
        ['netns', 'exec', rig.node, program],
        '*filter\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\nCOMMIT\n',
      );
    return still;
  },
  'linear-legacy': (rig, size) => linear(rig, size, 'legacy'),
  'linear-nft': (rig, size) => linear(rig, size, 'nft'),
  legacy: (rig, size) => tortie(rig, size, 'legacy'),
  nft: (rig, size) => tortie(rig, size, 'nft'),
  nftables: (rig, size) => tortie(rig, size, 'nftables'),
};

const still: Contender = { load: 0, changeOne: async () => undefined, stop: async () => undefined };
const CHANGES = 21;

async function linear(rig: Rig, size: ClusterSize, backend: 'legacy' | 'nft'): Promise<Contender> {
  const rules = Array.from(
    { length: size.policies },
    (_, i) => `-A FORWARD -s 172.${16 + (i >> 14)}.${(i >> 6) & 255}.${i & 63} -p tcp --dport 80 -j DROP`,
  );
  const start = performance.now();
  run(
    'ip',
    ['netns', 'exec', rig.node, `iptables-${backend}-restore`],
    `*filter\n${rules.join('\n')}\n-A FORWARD -j ACCEPT\nCOMMIT\n`,
  );
  const load = performance.now() - start;
  const changeOne = async (): Promise<number | undefined> => {
    if (size.policies === 0) return undefined;
    const times: number[] = [];
    for (let i = 0; i < CHANGES; i++) {
      const begin = performance.now();
      run('ip', [
        'netns',
        'exec',
        rig.node,
        `iptables-${backend}`,
        '-R',
        'FORWARD',
        '1',
        '-s',
        `198.18.0.${i}`,
        '-p',
        'tcp',
        '--dport',
        '80',
        '-j',
        'DROP',
      ]);
      times.push(performance.now() - begin);
    }
    return median(times);
  };
  return { load, changeOne, stop: async () => undefined };
}

async function tortie(rig: Rig, size: ClusterSize, backend: BackendSetting): Promise<Contender> {
  const engine = new PolicyEngine();
  for (const event of clusterEvents(size)) engine.apply(event);
  for (let i = 0; i < size.local; i++) {
    const { namespace, name } = podAt(size, i);
    engine.apply(endpointEvent(size, i, hostInterfaceName(namespace, name)));
  }
  engine.flush();
  const netfilter = await createNetfilter({ families: [4, 6], backend, within: rig.within, patrolInterval: 0 });
  const start = performance.now();
  const { failures } = await netfilter.sync(engine.ruleset());
  const load = performance.now() - start;
  if (failures[0] !== undefined) throw new Error(failures[0].message);
  return { load, changeOne: () => changeOnePolicy(engine, netfilter, size), stop: () => netfilter.stop() };
}

/** Event to kernel: a port of a policy of the first namespace comes and goes. */
async function changeOnePolicy(
  engine: PolicyEngine,
  netfilter: Netfilter,
  size: ClusterSize,
): Promise<number | undefined> {
  if (size.policies === 0) return undefined;
  const times: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    const event = policyEvent(7, 0);
    if (event.type !== 'upsert') throw new Error('a policy is upserted');
    const { metadata, spec } = event.object as { metadata: object; spec: object };
    const changed = {
      metadata,
      spec: { ...spec, ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 7000 + i }] }] },
    };
    const begin = performance.now();
    engine.apply({ ...event, object: changed });
    const { failures } = await netfilter.apply(engine.flush());
    times.push(performance.now() - begin);
    if (failures[0] !== undefined) throw new Error(failures[0].message);
  }
  return median(times);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}
