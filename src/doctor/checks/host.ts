/** The machine around Tortie: network managers, addresses, routes to pods, what other networks left, what the runtime reads. */
import { CONFLIST_NAME } from '../../cni/conflist.js';
import { BLACKHOLE, UNICAST, type RouteFact } from '../kernel-witness.js';
import { isPodInterface } from '../uplinks.js';
import { listed, type NodeCheck } from './check.js';

/** Names that other networks give to interfaces of the host. */
const FOREIGN_INTERFACES = [
  [/^cali|^vxlan(-v6)?\.calico$|^wireguard\.cali|^wg-v6\.cali/, 'Calico'],
  [/^cilium_|^lxc/, 'Cilium'],
  [/^flannel|^cni0$/, 'flannel'],
  [/^weave$|^vethwe/, 'Weave Net'],
  [/^kube-bridge$|^dummy-router/, 'kube-router'],
  [/^antrea-/, 'Antrea'],
  [/^ovn-k8s-/, 'OVN-Kubernetes'],
] as const;
/** rtm_protocol (linux/rtnetlink.h; Felix chose its own). */
const FOREIGN_ROUTES = [
  [12, 'BIRD'],
  [80, "Calico's Felix"],
] as const;

const managers: NodeCheck = ({ managers: running }) =>
  running.flatMap(({ name, missing }) =>
    missing.length === 0
      ? []
      : [
          {
            check: 'network-manager',
            severity: 'warning',
            evidence: `${name} runs, and ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not there as the agent writes it`,
            remedy: 'Start the agent with --host-etc-dir /etc, then reload the manager (docs/host.md).',
          },
        ],
  );

const nodeAddress: NodeCheck = ({ node, links }, cluster) => {
  const object = cluster?.nodes.find(({ metadata }) => metadata.name === node);
  if (cluster === undefined || links === undefined) return [];
  if (object === undefined)
    return [
      {
        check: 'node-address',
        severity: 'error',
        evidence: `The API server knows no Node "${node}"`,
        remedy: 'Give the name that the kubelet registered: --node, or NODE_NAME.',
      },
    ];
  const own = new Set(links.flatMap(({ addresses }) => addresses.map(({ address }) => address)));
  return (object.status?.addresses ?? [])
    .filter(({ type, address }) => type === 'InternalIP' && !own.has(address.toLowerCase()))
    .map(({ address }) => ({
      check: 'node-address',
      severity: 'error',
      evidence: `Node "${node}" has the address ${address}, and no interface of this machine has`,
      remedy:
        "This is another machine, or the kubelet's --node-ip is out of date: restart the kubelet with the right one.",
    }));
};

const podRoutes: NodeCheck = ({ node, routes, links }, cluster) => {
  if (routes === undefined || cluster === undefined) return [];
  const ours = new Map((links ?? []).filter(({ name }) => isPodInterface(name)).map((link) => [link.index, link]));
  const byPrefix = new Map(routes.map((route) => [route.prefix, route]));
  const leads = (route: RouteFact | undefined): boolean =>
    route?.type === UNICAST && route.nextHops.some(({ interfaceIndex }) => ours.has(interfaceIndex));
  const lost = (cluster.pods ?? [])
    .filter(
      ({ spec, status, metadata }) =>
        spec.hostNetwork !== true && status?.phase === 'Running' && metadata.deletionTimestamp === undefined,
    )
    .flatMap(({ metadata, status }) =>
      (status?.podIPs ?? [])
        .filter(({ ip }) => !leads(byPrefix.get(`${ip}/${ip.includes(':') ? 128 : 32}`)))
        .map(({ ip }) => `${ip} of pod "${metadata.namespace ?? 'default'}/${metadata.name}"`),
    );
  const blocks = cluster.nodeStatuses.find(({ metadata }) => metadata.name === node)?.status?.blocks ?? [];
  const open = blocks.filter((cidr) => !/\/(32|128)$/.test(cidr) && byPrefix.get(cidr)?.type !== BLACKHOLE);
  return [
    ...listed(lost, (names, count) => ({
      check: 'pod-route',
      severity: 'error',
      evidence: `The kernel has no route to ${count} addresses of this node's pods over an interface of ours: ${names}`,
      remedy:
        'See the condition RoutesReady of NodeStatus and the log of the agent; a pod of another network has to be made anew.',
    })),
    ...listed(open, (names, count) => ({
      check: 'pod-route',
      severity: 'warning',
      evidence: `The kernel has no blackhole for ${count} blocks of this node: ${names}; packets to unused addresses may circle`,
      remedy: 'See the condition RoutesReady of NodeStatus, and who takes the routes away (`ip monitor route`).',
    })),
  ];
};

const leftovers: NodeCheck = ({ links = [], routes = [], chains }) => {
  const foreign = links.flatMap(({ name }) => {
    const owner = FOREIGN_INTERFACES.find(([pattern]) => pattern.test(name))?.[1];
    return owner === undefined ? [] : [`${name} (${owner})`];
  });
  return [
    ...listed(foreign, (names, count) => ({
      check: 'leftover',
      severity: 'warning',
      evidence: `${count} interfaces of other networks are there: ${names}`,
      remedy: 'Once no pod of that network is left: `ip link delete NAME`, or restart the node.',
    })),
    ...FOREIGN_ROUTES.flatMap(([number, owner]) =>
      listed(
        routes.filter(({ protocol }) => protocol === number).map(({ prefix }) => prefix),
        (names, count) => ({
          check: 'leftover',
          severity: 'warning',
          evidence: `${count} routes of ${owner} are in the main table: ${names}`,
          remedy: `Stop it if it still runs; then \`ip route flush proto ${number}\` and \`ip -6 route flush proto ${number}\`.`,
        }),
      ),
    ),
    ...chains.map((evidence) => ({
      check: 'leftover' as const,
      severity: 'warning' as const,
      evidence,
      remedy: 'Rules of a network that has gone still judge packets: restart the node, or delete its chains.',
    })),
  ];
};

const cniConfig: NodeCheck = ({ cniFiles }) => {
  if (cniFiles === undefined) return [];
  if (!cniFiles.includes(CONFLIST_NAME))
    return [
      {
        check: 'cni-config',
        severity: 'error',
        evidence: `There is no ${CONFLIST_NAME} in the folder of network configurations (there: ${cniFiles.join(', ') || 'none'})`,
        remedy: 'The agent writes it once the node can serve pods: see its /readyz, and its option --cni-conf-dir.',
      },
    ];
  const [first = ''] = cniFiles;
  return first === CONFLIST_NAME
    ? []
    : [
        {
          check: 'cni-config',
          severity: 'error',
          evidence: `The container runtime reads ${first} first, not ${CONFLIST_NAME}`,
          remedy: `Take ${first} away if its network has gone; runtimes use the first file by name.`,
        },
      ];
};

const unread: NodeCheck = ({ unread: parts }) =>
  parts.map(({ what, why, isExpected = false }) => ({
    check: 'unread',
    severity: isExpected ? 'info' : 'warning',
    evidence: `Not looked at: ${what}: ${why}`,
    remedy: 'Run it as root on the node, or in the container "agent" of its pod.',
  }));

export const HOST_CHECKS: readonly NodeCheck[] = [managers, nodeAddress, podRoutes, leftovers, cniConfig, unread];
