/** Checks of the cluster as a whole: pure functions of its objects. */
import { identityOf, type NodeIdentity } from '../../topology/node-identity.js';
import { configurationOf } from '../../topology/configuration.js';
import { Problems } from '../../topology/problems.js';
import { parseAsNumber } from '../../topology/values.js';
import { CLEANER } from '../../uninstall/node-cleaner.js';
import type { ClusterFacts } from '../cluster-facts.js';
import { nodeName, type Finding } from '../finding.js';

type ClusterCheck = (facts: ClusterFacts) => readonly Finding[];

const CLUSTER = 'cluster';
/** Of manifests/base; where the server has no such policies it cannot hold them. */
export const GUARDS = [
  'changes.tortie.dev',
  'ipamblocks.tortie.dev',
  'nodeaddresses.tortie.dev',
  'nodes.tortie.dev',
  'nodestatuses.tortie.dev',
  'tiers.tortie.dev',
];
const OTHER_NETWORKS =
  /^(calico-node|canal|cilium|kube-flannel(-ds)?|kube-router|weave-net|antrea-agent|ovnkube-node)$/;

export function checkCluster(facts: ClusterFacts): readonly Finding[] {
  return CLUSTER_CHECKS.flatMap((check) => check(facts));
}

const addresses: ClusterCheck = ({ nodes }) => {
  const owners = groupBy(
    nodes.map(identityOf).flatMap((node) => [...node.addresses.values()].map((at) => [at, node] as const)),
  );
  return [...owners].flatMap(([address, shared]) =>
    shared.length < 2
      ? []
      : [
          {
            check: 'duplicate-address',
            severity: 'error',
            where: CLUSTER,
            evidence: `Nodes ${namesOf(shared)} have one address, ${address}`,
            remedy: 'Delete the Node that was left behind (kubectl delete node), or give one another --node-ip.',
          },
        ],
  );
};

/** As computed, and as nodes say that they have it: RFC 6286 asks for one that is unique in the AS. */
const routerIds: ClusterCheck = ({ nodes, nodeStatuses }) => {
  const told = new Map(nodeStatuses.map(({ metadata, status }) => [metadata.name, status?.bgp?.routerId]));
  const owners = groupBy(nodes.map(identityOf).map((node) => [told.get(node.name) ?? node.routerId, node] as const));
  return [...owners].flatMap(([id, shared]) =>
    // One address, one identifier: that has been said.
    shared.length < 2 || new Set(shared.map((node) => [...node.addresses.values()].join())).size < 2
      ? []
      : [
          {
            check: 'duplicate-router-id',
            severity: 'error',
            where: CLUSTER,
            evidence: `Nodes ${namesOf(shared)} have the BGP identifier ${id}; routers refuse one of two such sessions`,
            remedy:
              "Give them IPv4 addresses of their own (an identifier without one is made of the node's name): rename one.",
          },
        ],
  );
};

/** RFC 4271 9.1.2: a route with our own AS in its path is left out. */
const asLoop: ClusterCheck = ({ nodes, bgpConfigurations, bgpPeers }) => {
  const { spec, asNumber } = configurationOf('', bgpConfigurations, new Problems());
  const routers = bgpPeers.filter(({ spec: peer }) => (peer.peerIP ?? '') !== '');
  const isExternal = routers.filter((peer) => parseAsNumber(peer.spec.asNumber) !== asNumber);
  const deaf = isExternal.filter((peer) => (peer.spec.numAllowedLocalASNumbers ?? 0) === 0);
  if (spec.nodeToNodeMeshEnabled !== false || bgpPeers.length !== isExternal.length || deaf.length === 0) return [];
  const sharing = groupBy(nodes.map(identityOf).map((node) => [node.asNumber ?? asNumber, node] as const));
  return [...sharing].flatMap(([as, shared]) =>
    shared.length < 2
      ? []
      : [
          {
            check: 'as-loop',
            severity: 'warning',
            where: CLUSTER,
            evidence:
              `Nodes ${namesOf(shared)} are all AS ${as} and hear of each other only through routers of other ASes ` +
              `(BGPPeer/${deaf[0]?.metadata.name ?? ''}): what comes back with AS ${as} in its path is left out`,
            remedy:
              'Give each node its own AS (annotation projectcalico.org/ASNumber), set numAllowedLocalASNumbers: 1, or have the routers ' +
              'send a default route or replace the AS (as-override); then --ignore as-loop.',
          },
        ],
  );
};

const nodeStatuses: ClusterCheck = ({ nodes, nodeStatuses: statuses }) => {
  const byName = new Map(statuses.map((status) => [status.metadata.name, status]));
  return nodes.flatMap(({ metadata: { name } }): readonly Finding[] => {
    const conditions = byName.get(name)?.status?.conditions;
    const where = nodeName(name);
    if (conditions === undefined)
      return [
        {
          check: 'node-status',
          severity: 'error',
          where,
          evidence: 'No agent has reported for this Node',
          remedy: 'See whether its pod of the DaemonSet tortie-node runs, and the log of its container "agent".',
        },
      ];
    const ready = conditions.find(({ type }) => type === 'Ready');
    if (ready?.status === 'Unknown')
      return [
        {
          check: 'node-status',
          severity: 'error',
          where,
          evidence: ready.message,
          remedy: 'See whether its agent runs and reaches the API server.',
        },
      ];
    return conditions
      .filter(({ type, status }) => type !== 'Ready' && status === 'False')
      .map(({ type, reason, message }) => ({
        check: 'node-status',
        severity: reason === 'Problems' ? 'error' : 'warning',
        where,
        evidence: `${type} is False: ${message}`,
        remedy: 'docs/troubleshooting.md explains the conditions; the log of the agent says when it began.',
      }));
  });
};

const objects: ClusterCheck = ({ judged }) =>
  judged.flatMap(({ name, conditions }) =>
    conditions
      .filter(({ type, status }) => type === 'Accepted' && status === 'False')
      .map(({ message }) => ({
        check: 'object' as const,
        severity: 'warning' as const,
        where: CLUSTER,
        evidence: `${name} is not accepted as a whole: ${message}`,
        remedy: 'Mend the field that is named; the rest of the object acts meanwhile.',
      })),
  );

const pools: ClusterCheck = ({ ipPools }) =>
  ipPools.some(({ spec }) => spec.disabled !== true)
    ? []
    : [
        {
          check: 'pool',
          severity: 'error',
          where: CLUSTER,
          evidence: ipPools.length === 0 ? 'There is no IPPool' : `All ${ipPools.length} IPPools are disabled`,
          remedy: 'Make one (docs/ipam.md): without it no pod gets an address.',
        },
      ];

const guards: ClusterCheck = ({ guards: there }) => {
  const missing = there === undefined ? [] : GUARDS.filter((name) => !there.includes(name));
  return missing.length === 0
    ? []
    : [
        {
          check: 'guard',
          severity: 'warning',
          where: CLUSTER,
          evidence: `There is no ValidatingAdmissionPolicy ${missing.join(', ')}: whoever has the token of one agent may write for others`,
          remedy: 'Apply manifests/base/node-guard.yaml and tier-guard.yaml (docs/security.md).',
        },
      ];
};

const otherNetworks: ClusterCheck = ({ daemonSets = [] }) => {
  const running = daemonSets.filter((name) => OTHER_NETWORKS.test(name));
  return running.length === 0
    ? []
    : [
        {
          check: 'other-network',
          severity: 'warning',
          where: CLUSTER,
          evidence: `DaemonSets of other networks are there: ${running.join(', ')}`,
          remedy: 'Two networks on a node take turns at its pods: see docs/migration.md, or delete them.',
        },
      ];
};

/** Its pods clean a node whenever no daemon of ours answers there: at each start of the machine, before the agent. */
const uninstallation: ClusterCheck = ({ daemonSets = [] }) =>
  daemonSets.includes(CLEANER)
    ? [
        {
          check: 'uninstallation',
          severity: 'error',
          where: CLUSTER,
          evidence: `The DaemonSet ${CLEANER} is there: it takes Tortie off each node that starts`,
          remedy: `If Tortie is to stay, delete it (kubectl delete daemonset -n tortie-system ${CLEANER}); else say it again.`,
        },
      ]
    : [];

const unread: ClusterCheck = ({ unread: parts }) =>
  parts.map(({ what, why, isExpected = false }) => ({
    check: 'unread',
    severity: isExpected ? 'info' : 'warning',
    where: CLUSTER,
    evidence: `Not looked at: ${what}: ${why}`,
    remedy: "Ask as somebody who may list them: --kubeconfig with an administrator's.",
  }));

const CLUSTER_CHECKS: readonly ClusterCheck[] = [
  addresses,
  routerIds,
  asLoop,
  nodeStatuses,
  objects,
  pools,
  guards,
  otherNetworks,
  uninstallation,
  unread,
];

function groupBy<K>(entries: readonly (readonly [K, NodeIdentity])[]): ReadonlyMap<K, readonly NodeIdentity[]> {
  const groups = new Map<K, NodeIdentity[]>();
  for (const [key, node] of entries) {
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [node]);
    else group.push(node);
  }
  return groups;
}

const MOST_NAMES = 5;

function namesOf(nodes: readonly NodeIdentity[]): string {
  const names = nodes.slice(0, MOST_NAMES).map(({ name }) => `"${name}"`);
  return `${names.join(', ')}${nodes.length > MOST_NAMES ? ` and ${nodes.length - MOST_NAMES} more` : ''}`;
}
