/**
 * What becomes of a flannel cluster under Tortie: its network is a pool with flannel's masquerading, each node's share of it
 * (spec.podCIDRs, which flannel's kube subnet manager takes) a block of that node. Pure; nothing here writes.
 */
import { containsPrefix, formatPrefix, tryParsePrefix, type Family, type IpPrefix } from 'node-bgp/address';
import { parsePools } from '@tortie/ipam';
import { blockName } from '../agent/kubernetes-block-store.js';
import type { Node } from '../api/core.js';
import { apiVersionOf, kinds } from '../api/kinds.js';
import { messageOf, UserError } from '../errors.js';
import type { Manifest } from '../install/manifest.js';

/** As read. */
export interface FlannelResources {
  /** `net-conf.json` of the ConfigMap kube-flannel-cfg. */
  readonly configuration: string;
  /** Arguments of flanneld, as the DaemonSet has them. */
  readonly args: readonly string[];
  readonly nodes: readonly Node[];
}

export interface FlannelPlan {
  readonly pools: readonly Manifest[];
  readonly blocks: readonly Manifest[];
  /** How nodes reach one another while some have flannel and some Tortie; sentences. */
  readonly meanwhile: readonly string[];
  /** Sentences about what is left out. */
  readonly left: readonly string[];
}

interface NetConf {
  readonly EnableIPv4?: boolean;
  readonly Network?: string;
  readonly EnableIPv6?: boolean;
  readonly IPv6Network?: string;
  readonly Backend?: { readonly Type?: string; readonly DirectRouting?: boolean };
}

/** @throws UserError when the configuration is none */
export function planFlannel({ configuration, args, nodes }: FlannelResources): FlannelPlan {
  const conf = parseConfiguration(configuration);
  const networks = [
    ...(conf.EnableIPv4 === false ? [] : [networkOf('Network', conf.Network)]),
    ...(conf.EnableIPv6 === true ? [networkOf('IPv6Network', conf.IPv6Network)] : []),
  ];
  const isMasquerading = args.some((arg) => /^--?ip-masq(=true)?$/.test(arg));
  const families = networks.map((network) => planOf(network, nodes, isMasquerading));
  return {
    pools: families.flatMap(({ pools }) => pools),
    blocks: families.flatMap(({ blocks }) => blocks),
    meanwhile: meanwhileOf(conf),
    left: families.flatMap(({ left }) => left),
  };
}

function parseConfiguration(text: string): NetConf {
  try {
    return JSON.parse(text) as NetConf;
  } catch (error) {
    throw new UserError(`Cannot read net-conf.json of ConfigMap kube-flannel-cfg: ${messageOf(error)}`);
  }
}

function networkOf(field: string, text: string | undefined): IpPrefix {
  const network = text === undefined ? undefined : tryParsePrefix(text);
  if (network === undefined)
    throw new UserError(`Cannot use ${field} "${text ?? ''}" of net-conf.json: expected a CIDR, such as 10.244.0.0/16`);
  return network;
}

function planOf(network: IpPrefix, nodes: readonly Node[], natOutgoing: boolean): Omit<FlannelPlan, 'meanwhile'> {
  const cidr = formatPrefix(network);
  const shares = nodes.map((node) => ({ name: node.metadata.name, range: shareOf(node, network.family) }));
  const left = shares.flatMap(({ name, range }) => {
    if (range === undefined) return [`Node ${name}: has no IPv${network.family} podCIDR`];
    return containsPrefix(network, range)
      ? []
      : [`Node ${name}: its podCIDR ${formatPrefix(range)} lies outside ${cidr}`];
  });
  const inside = shares.flatMap(({ name, range }) =>
    range !== undefined && containsPrefix(network, range) ? [{ name, range }] : [],
  );
  const blockSize = commonLength(inside.map(({ range }) => range.length));
  const name = `flannel-ipv${network.family}`;
  const spec = { cidr, ...(blockSize === undefined ? {} : { blockSize }), ...(natOutgoing ? { natOutgoing } : {}) };
  if (parsePools([{ name, ...spec }]).problems.length > 0)
    return {
      pools: [],
      blocks: [],
      left: [
        ...left,
        `${cidr}: nodes have shares of /${blockSize ?? '?'}, which no block can be; make a pool outside ${cidr}, ` +
          'so that no address is given twice while flannel has pods',
      ],
    };
  const isBlock = ({ range }: { readonly range: IpPrefix }): boolean => range.length === blockSize;
  return {
    pools: [{ apiVersion: apiVersionOf(kinds.ipPools), kind: kinds.ipPools.kind, metadata: { name }, spec }],
    blocks: inside.filter(isBlock).map(({ name: node, range }) => ({
      apiVersion: apiVersionOf(kinds.ipamBlocks),
      kind: kinds.ipamBlocks.kind,
      metadata: { name: blockName(formatPrefix(range)) },
      spec: { cidr: formatPrefix(range), node, pool: name },
    })),
    left: [
      ...left,
      ...inside
        .filter((share) => !isBlock(share))
        .map(
          ({ name: node, range }) =>
            `Node ${node}: its podCIDR ${formatPrefix(range)} is no block of /${blockSize ?? '?'}, as most are`,
        ),
    ],
  };
}

function shareOf({ spec }: Node, family: Family): IpPrefix | undefined {
  const texts = spec?.podCIDRs ?? (spec?.podCIDR === undefined ? [] : [spec.podCIDR]);
  return texts.map(tryParsePrefix).find((range) => range?.family === family);
}

/** The one that most have; undefined of none. */
function commonLength(lengths: readonly number[]): number | undefined {
  const count = (length: number): number => lengths.filter((each) => each === length).length;
  return [...new Set(lengths)].sort((a, b) => count(b) - count(a))[0];
}

function meanwhileOf({ Backend = {} }: NetConf): readonly string[] {
  const { Type = 'udp', DirectRouting = false } = Backend;
  if (Type === 'host-gw' || (Type === 'vxlan' && DirectRouting))
    return [
      `backend ${Type}${DirectRouting ? ' with DirectRouting' : ''}: in one subnet nodes that have flannel send to a node's address, ` +
        'and go on doing so when that node has Tortie, for as long as its Node keeps the annotations flannel.alpha.coreos.com/*',
      'towards nodes that still have flannel the routers, or the nodes, need static routes for their podCIDRs: flannel tells nobody by BGP',
    ];
  return [
    `backend ${Type}: nodes that still have flannel put packets into a tunnel that a node with Tortie does not end; ` +
      'pods of the two do not reach one another: hand over all nodes at once, or, in one subnet, change the backend to host-gw first',
  ];
}
