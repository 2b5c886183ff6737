/**
 * The rules of part "nat": what leaves for addresses outside all pools goes out with an address of the node (natOutgoing), and ports of the
 * node lead to pods (hostPort). Pure.
 *
 *   nat PREROUTING, OUTPUT   host port at an address -> pod; host port at any address of the node -> pod
 *   nat POSTROUTING          a pod that reached itself by a host port, and what came from the node's loopback: masquerade;
 *                            from a pool with natOutgoing, to no pool and no node: masquerade
 *
 * The chain of POSTROUTING stands even where nothing asks for translation: with the last one of its kind nf_tables takes translation away
 * altogether, from connections that stand too (nf_nat_unregister_fn in net/netfilter/nf_nat_core.c).
 */
import {
  chainKey,
  setName,
  shortId,
  type Action,
  type AddressSet,
  type Chain,
  type DispatchMap,
  type Family,
  type Hook,
  type Match,
  type PortRange,
  type Rule,
  type Ruleset,
} from '@tortie/policy/ruleset';
import { containsPrefix, formatPrefix, type IpPrefix } from 'node-bgp/address';
import type { PortForward } from './host-ports.js';

/** How packets leave; Calico's FelixConfiguration has fields of the same names. */
export interface OutgoingSettings {
  /** natPortRange: source ports; default: the kernel's choice. */
  readonly ports?: PortRange;
  /** natOutgoingInterface...: only what leaves by it ("eth0", "bond+"); default: all. */
  readonly interface?: string;
  /** natOutgoingAddress, one of a family; default: that of the interface by which it leaves. */
  readonly addresses?: readonly { readonly family: Family; readonly address: string }[];
}

export interface NatInput {
  readonly families: readonly Family[];
  readonly pools: readonly { readonly prefix: IpPrefix; readonly natOutgoing: boolean }[];
  /** Of all nodes, canonical. */
  readonly nodeAddresses: Iterable<string>;
  readonly forwards: readonly PortForward[];
  readonly outgoing: OutgoingSettings;
  /** Of pods' host sides: "tort". */
  readonly podInterfacePrefix: string;
}

/** Set by a host port's chain on what a pod sends to itself. */
export const MARK_HAIRPIN = 0x00400000;

const SETS = { pools: 'nat-pools', leaving: 'nat-leaving', nodes: 'nat-nodes' } as const;
const CHAINS = {
  prerouting: 'TORTIE-NAT-PREROUTING',
  output: 'TORTIE-NAT-OUTPUT',
  postrouting: 'TORTIE-NAT-POSTROUTING',
  ports: 'TORTIE-NAT-PORTS',
  hairpin: 'TORTIE-NAT-HAIRPIN',
  outgoing: 'TORTIE-NAT-OUTGOING',
} as const;
const PROTOCOL_NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;
const LOOPBACK: Readonly<Record<Family, string>> = { 4: '127.0.0.0/8', 6: '::1/128' };

export function natRuleset(input: NatInput): Ruleset {
  const { forwards } = input;
  const leaving = input.pools.filter(({ natOutgoing }) => natOutgoing);
  const hooks: Hook[] = [];
  const chains: Chain[] = [];
  const chain = (name: string, rules: readonly Rule[]): void => void chains.push({ table: 'nat', name, rules });
  if (forwards.length > 0) {
    for (const each of forwardChains(forwards)) chains.push(each);
    chain(CHAINS.ports, portRules(forwards));
    chain(CHAINS.prerouting, [jump(CHAINS.ports)]);
    chain(CHAINS.output, [...notLoopback6(forwards), jump(CHAINS.ports)]);
    chain(CHAINS.hairpin, [
      { matches: [], action: { type: 'set-mark', value: 0, mask: MARK_HAIRPIN } },
      { matches: [], action: { type: 'masquerade', fullyRandom: true } },
    ]);
    hooks.push({ table: 'nat', builtin: 'PREROUTING', chain: CHAINS.prerouting });
    hooks.push({ table: 'nat', builtin: 'OUTPUT', chain: CHAINS.output });
  }
  if (leaving.length > 0) chain(CHAINS.outgoing, outgoingRules(input));
  chain(CHAINS.postrouting, [
    ...(forwards.length > 0 ? returningRules(input.podInterfacePrefix) : []),
    ...(leaving.length > 0 ? leavingRules(input.outgoing) : []),
  ]);
  hooks.push({ table: 'nat', builtin: 'POSTROUTING', chain: CHAINS.postrouting });
  return {
    sets: new Map((leaving.length > 0 ? setsOf(input) : []).map((set) => [set.name, set])),
    chains: new Map(chains.map((one) => [chainKey(one), one])),
    maps: new Map(mapsOf(forwards).map((map) => [chainKey(map), map])),
    hooks,
  };
}

const jump = (chain: string, matches: readonly Match[] = [], family?: Family): Rule => ({
  ...(family === undefined ? {} : { family }),
  matches,
  action: { type: 'jump', chain },
});

/** "TORTIE-NIP4": ports at one address; "TORTIE-NANY4": at any of the node's. */
const mapName = (forward: Pick<PortForward, 'family' | 'hostIP'>): string =>
  `TORTIE-N${forward.hostIP === undefined ? 'ANY' : 'IP'}${forward.family}`;

function mapsOf(forwards: readonly PortForward[]): readonly DispatchMap[] {
  const maps = new Map<string, { readonly map: Omit<DispatchMap, 'entries'>; readonly entries: Map<string, string> }>();
  for (const forward of forwards) {
    const { family, hostIP, protocol, hostPort } = forward;
    const name = mapName(forward);
    const found = maps.get(name) ?? {
      map: { table: 'nat', name, key: hostIP === undefined ? 'port' : 'destination-port', family, otherwise: 'return' },
      entries: new Map<string, string>(),
    };
    maps.set(name, found);
    found.entries.set(`${hostIP === undefined ? '' : `${hostIP},`}${protocol}:${hostPort}`, forwardChainName(forward));
  }
  return [...maps.values()].map(({ map, entries }) => ({ ...map, entries }));
}

/** 10 + 18 characters. */
const forwardChainName = ({ family, hostIP = '', protocol, hostPort }: PortForward): string =>
  `TORTIE-NP-${shortId(`${family}`, hostIP, protocol, `${hostPort}`)}`;

function forwardChains(forwards: readonly PortForward[]): readonly Chain[] {
  return forwards.map((forward) => {
    const { family, to, containerPort, protocol, pod, hostPort } = forward;
    const itself = `${to}/${family === 4 ? 32 : 128}`;
    return {
      table: 'nat',
      name: forwardChainName(forward),
      rules: [
        {
          family,
          matches: [{ type: 'network', side: 'source', prefix: itself }],
          action: { type: 'set-mark', value: MARK_HAIRPIN, mask: MARK_HAIRPIN },
        },
        {
          family,
          matches: [{ type: 'protocol', protocol: PROTOCOL_NUMBERS[protocol] }],
          action: { type: 'dnat', to, port: containerPort },
          note: `host port ${protocol}/${hostPort} of pod ${pod}`,
        },
      ],
    };
  });
}

/** First what names an address, then what takes all of the node's. */
function portRules(forwards: readonly PortForward[]): readonly Rule[] {
  const byName = new Map(forwards.map((forward) => [mapName(forward), forward]));
  return [...byName.entries()]
    .sort(([, a], [, b]) => Number(a.hostIP === undefined) - Number(b.hostIP === undefined) || a.family - b.family)
    .map(([name, { family, hostIP }]) =>
      jump(name, hostIP === undefined ? [{ type: 'local', side: 'destination' }] : [], family),
    );
}

/** No packet leaves a node with the source ::1; IPv4 has route_localnet for that. */
const notLoopback6 = (forwards: readonly PortForward[]): readonly Rule[] =>
  forwards.some(({ family }) => family === 6)
    ? [
        {
          family: 6,
          matches: [{ type: 'network', side: 'destination', prefix: LOOPBACK[6] }],
          action: { type: 'return' },
        },
      ]
    : [];

/** The pod's answers must come by the node: it knows the connection. */
const returningRules = (podInterfacePrefix: string): readonly Rule[] => [
  jump(CHAINS.hairpin, [{ type: 'mark', value: MARK_HAIRPIN, mask: MARK_HAIRPIN }]),
  jump(
    CHAINS.hairpin,
    [
      { type: 'network', side: 'source', prefix: LOOPBACK[4] },
      { type: 'out-interface', name: `${podInterfacePrefix}+` },
    ],
    4,
  ),
];

const leavingRules = ({ interface: by }: OutgoingSettings): readonly Rule[] => [
  {
    matches: [
      ...(by === undefined ? [] : [{ type: 'out-interface', name: by } as const]),
      { type: 'set', side: 'source', set: SETS.leaving },
      { type: 'set', side: 'destination', set: SETS.pools, not: true },
      { type: 'set', side: 'destination', set: SETS.nodes, not: true },
    ],
    action: { type: 'jump', chain: CHAINS.outgoing },
    note: 'natOutgoing',
  },
];

function outgoingRules({ families, outgoing: { ports, addresses = [] } }: NatInput): readonly Rule[] {
  return families.flatMap((family): readonly Rule[] => {
    const address = addresses.find((one) => one.family === family)?.address;
    const action = (range: PortRange | undefined): Action => {
      const own = range === undefined ? {} : { ports: range };
      return address === undefined
        ? { type: 'masquerade', fullyRandom: true, ...own }
        : { type: 'snat', to: address, ...own };
    };
    const withPorts = Object.values(PROTOCOL_NUMBERS).map(
      (protocol): Rule => ({ family, matches: [{ type: 'protocol', protocol }], action: action(ports) }),
    );
    return [...(ports === undefined ? [] : withPorts), { family, matches: [], action: action(undefined) }];
  });
}

function setsOf({ families, pools, nodeAddresses }: NatInput): readonly AddressSet[] {
  const nodes = [...nodeAddresses];
  const set = (
    family: Family,
    id: string,
    type: AddressSet['type'],
    members: Iterable<string>,
    note: string,
  ): AddressSet => ({
    name: setName(family, id),
    id,
    family,
    type,
    members: new Set(members),
    note,
  });
  return families.flatMap((family) => {
    const own = pools.filter(({ prefix }) => prefix.family === family);
    return [
      set(family, SETS.pools, 'network', disjoint(own.map(({ prefix }) => prefix)), 'all pools'),
      set(
        family,
        SETS.leaving,
        'network',
        disjoint(own.filter(({ natOutgoing }) => natOutgoing).map(({ prefix }) => prefix)),
        'pools with natOutgoing',
      ),
      set(
        family,
        SETS.nodes,
        'address',
        nodes.filter((address) => address.includes(':') === (family === 6)),
        'all nodes',
      ),
    ];
  });
}

/** Those that none of the others holds. */
const disjoint = (prefixes: readonly IpPrefix[]): readonly string[] =>
  prefixes
    .filter((prefix, index) =>
      prefixes.every(
        (other, at) => at === index || !containsPrefix(other, prefix) || (containsPrefix(prefix, other) && index < at),
      ),
    )
    .map(formatPrefix);
