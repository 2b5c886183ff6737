/**
 * The chains that do not depend on policy: hooks, the order of the forward path, and the paths between pods and their own node.
 *
 *   raw    PREROUTING  a pod's packet must have a source that routes back to it, and is not for the node's loopback
 *   filter FORWARD     invalid drop, established accept, sender's chain, receiver's chain, accept
 *   filter INPUT       pod to its own node: the same, without a receiver; then `podToHost`
 *   filter OUTPUT      node to its own pods: what the node itself generates is always allowed
 *   mangle PREROUTING  what limits what a pod sends, POSTROUTING what it receives; there only while some pod is limited
 *   mangle POSTROUTING what is forwarded to a Service that nobody has translated; there only while this node announces some
 *
 * Packets of other interfaces leave after two comparisons; what the host does with them is not ours.
 */
import type { TunnelKind } from '../objects.js';
import type { Chain, Hook, Match, Rule, Table } from '../ruleset.js';
import { bgpPortRules } from './bgp-ports.js';
import type { DenyActions } from './denied-chain.js';
import {
  ALLOW_CHAIN,
  FROM_MAP,
  LIMIT_FROM_MAP,
  LIMIT_TO_MAP,
  MARK_ALLOW,
  MARK_PASS,
  NODE_SET,
  OPEN_SETS,
  PASS_CHAIN,
  SERVICE_RANGE_SET,
  TO_MAP,
} from './names.js';
import { tunnelInput, tunnelOutput, tunnelRules } from './tunnels.js';
import { neighbourDiscovery } from './neighbour-discovery.js';

export interface BaseSettings {
  readonly podInterfacePrefix: string;
  readonly podToHost: 'accept' | 'drop' | 'return';
  readonly podTunnels: 'accept' | 'drop';
  readonly podBgp: 'accept' | 'drop';
  /** Connections that each address of a pod may have opened at a time; undefined: as many as the node takes. */
  readonly podConnections?: number;
  readonly deny: DenyActions;
}

const HOOKS: readonly Hook[] = [
  { table: 'raw', builtin: 'PREROUTING', chain: 'TORTIE-PREROUTING' },
  { table: 'filter', builtin: 'INPUT', chain: 'TORTIE-INPUT' },
  { table: 'filter', builtin: 'FORWARD', chain: 'TORTIE-FORWARD' },
  { table: 'filter', builtin: 'OUTPUT', chain: 'TORTIE-OUTPUT' },
];

const MANGLE_HOOKS = {
  prerouting: { table: 'mangle', builtin: 'PREROUTING', chain: 'TORTIE-PREROUTING' },
  postrouting: { table: 'mangle', builtin: 'POSTROUTING', chain: 'TORTIE-POSTROUTING' },
} as const satisfies Readonly<Record<string, Hook>>;

/** What some nodes need at some times. */
export interface BaseNeeds {
  /** Ports on which BGP speakers listen, beside 179. */
  readonly listenPorts: readonly number[];
  readonly announcesServices: boolean;
  /** Some pod's interface has limits. */
  readonly limitsInterfaces: boolean;
  /** Kinds of tunnels to other nodes that this node has. */
  readonly tunnels: readonly TunnelKind[];
}

/**
 * A router sends it here because this node has told it to, and the node's own route for it is the way back: it would circle until its TTL
 * ends. Last on its way, behind whoever translates, answers or drops for Services; a route that leads nowhere would also stop what
 * the node itself sends before that is translated. What a connection brought along is translated, and never matches.
 */
const untranslated: Rule = {
  matches: [
    { type: 'state', states: ['new', 'invalid', 'untracked'] },
    { type: 'set', side: 'destination', set: SERVICE_RANGE_SET },
    { type: 'set', side: 'destination', set: NODE_SET, not: true },
    { type: 'local', side: 'source', not: true },
  ],
  action: { type: 'drop' },
  note: 'to a Service that nobody serves',
};

const INVALID: Rule = { matches: [{ type: 'state', states: ['invalid'] }], action: { type: 'drop' } };
const ESTABLISHED: Rule = {
  matches: [{ type: 'state', states: ['related', 'established'] }],
  action: { type: 'accept' },
};

/**
 * Before endpoints' chains are asked, and not in each of them: so they hold only what nf_tables has expressions of its own for, and an
 * endpoint that comes waits for nobody (docs/decisions/0053-adding-a-pod.md).
 */
export const UNDECIDED: Rule = {
  matches: [],
  action: { type: 'set-mark', value: 0, mask: MARK_ALLOW | MARK_PASS },
};

/**
 * RFC 1122 3.2.1.3 (g), RFC 4291 2.5.3: never on a link. What a node binds there is for itself alone, and host sides of veths have
 * route_localnet set, so the kernel does not see to it.
 */
const LOOPBACK = [
  { family: 4, prefix: '127.0.0.0/8' },
  { family: 6, prefix: '::1/128' },
] as const;

/**
 * Every link-local source routes back, so the reverse path lets a pod invent as many as it likes, and each that solicits or wants an answer
 * becomes an entry of the node's neighbour table, which all pods and uplinks share. Nothing needs one: the pod's entry of its gateway is
 * permanent, Linux solicits from the address of the packet that waits (RFC 4861 7.2.2), and duplicates are detected from `::`.
 */
const linkLocalSource = (fromPod: Match): Rule => ({
  family: 6,
  matches: [fromPod, { type: 'network', side: 'source', prefix: 'fe80::/10' }],
  action: { type: 'drop' },
  note: 'link-local source of a pod',
});

/**
 * In mangle: behind connection tracking, before anything has said what becomes of the packet, and once for pods' packets to the node and
 * to all others. The count is the rule's own, and iptables-legacy forgets it whenever it writes the rule's table: this one is written
 * least of all.
 */
const connectionLimit = (fromPod: Match, { podConnections }: BaseSettings): readonly Rule[] =>
  podConnections === undefined
    ? []
    : [
        {
          matches: [fromPod, { type: 'state', states: ['new'] }, { type: 'connections', moreThan: podConnections }],
          action: { type: 'drop' },
          note: 'more connections than one pod may have',
        },
      ];

/** The hooks that stand whatever host endpoints there are. */
export const hooksOf = (
  { podConnections }: BaseSettings,
  { announcesServices, limitsInterfaces }: Omit<BaseNeeds, 'listenPorts' | 'tunnels'>,
): readonly Hook[] => [
  ...HOOKS,
  ...(podConnections !== undefined || limitsInterfaces ? [MANGLE_HOOKS.prerouting] : []),
  ...(announcesServices || limitsInterfaces ? [MANGLE_HOOKS.postrouting] : []),
];

/** `jumps`: dispatch chains of host endpoints, by the built-in chain they hang under. */
export function baseChains(
  settings: BaseSettings,
  jumps: ReadonlyMap<string, readonly string[]>,
  { listenPorts, announcesServices, limitsInterfaces, tunnels }: BaseNeeds,
): readonly Chain[] {
  const fromPod: Match = { type: 'in-interface', name: `${settings.podInterfacePrefix}+` };
  const toPod: Match = { type: 'out-interface', name: `${settings.podInterfacePrefix}+` };
  // Nobody's policy holds an open endpoint, so its packets need no look at which interface they are of.
  const sent: Rule = {
    matches: [fromPod, { type: 'set', side: 'source', set: OPEN_SETS.egress, not: true }],
    action: { type: 'jump', chain: FROM_MAP },
  };
  const received: Rule = {
    matches: [toPod, { type: 'set', side: 'destination', set: OPEN_SETS.ingress, not: true }],
    action: { type: 'jump', chain: TO_MAP },
  };
  const toLoopback = LOOPBACK.map(
    ({ family, prefix }): Rule => ({
      family,
      matches: [fromPod, { type: 'network', side: 'destination', prefix }],
      action: { type: 'drop' },
      note: "pod to the node's loopback",
    }),
  );
  // The node's own connections from its loopback to a host port come back so, translated: the pod answers, it does not ask.
  const toLoopbackUnasked = toLoopback.map(
    (rule): Rule => ({
      ...rule,
      matches: [...rule.matches, { type: 'state', states: ['invalid', 'new', 'related', 'untracked'] }],
    }),
  );
  const jumpTo = (chain: string, match: Match): Rule => ({ matches: [match], action: { type: 'jump', chain } });
  const goto = (match: Match, chain: string): Rule => ({ matches: [match], action: { type: 'goto', chain } });
  const filter = (name: string, rules: readonly Rule[]): Chain => ({ table: 'filter', name, rules });
  const hosts = (builtin: string): readonly Rule[] =>
    (jumps.get(builtin) ?? []).map((chain) => ({ matches: [], action: { type: 'jump', chain } }));
  const closed = settings.deny({ type: 'closed', direction: 'egress' });
  const closedTo = (to: 'nodes' | 'own-node'): readonly Rule[] =>
    [
      ...(settings.podTunnels === 'drop' ? tunnelRules(fromPod, to) : []),
      ...(settings.podBgp === 'drop' ? bgpPortRules(fromPod, to, listenPorts) : []),
    ].map((rule) => ({ ...rule, action: closed }));
  const only = (table: Table, name: string, rules: readonly Rule[]): readonly Chain[] =>
    rules.length > 0 ? [{ table, name, rules }] : [];
  return [
    {
      table: 'raw',
      name: 'TORTIE-PREROUTING',
      rules: [
        { matches: [fromPod, { type: 'reverse-path-fails' }], action: { type: 'drop' }, note: 'spoofed source' },
        linkLocalSource(fromPod),
        ...toLoopback,
        ...hosts('raw/PREROUTING'),
      ],
    },
    ...only('raw', 'TORTIE-OUTPUT', hosts('raw/OUTPUT')),
    ...only('mangle', 'TORTIE-PREROUTING', [
      ...connectionLimit(fromPod, settings),
      ...(limitsInterfaces ? [jumpTo(LIMIT_FROM_MAP, fromPod)] : []),
      ...hosts('mangle/PREROUTING'),
    ]),
    ...only('mangle', 'TORTIE-POSTROUTING', [
      ...(limitsInterfaces ? [jumpTo(LIMIT_TO_MAP, toPod)] : []),
      ...(announcesServices ? [untranslated] : []),
    ]),
    filter('TORTIE-FORWARD', [
      ...hosts('filter/FORWARD'),
      goto(fromPod, 'TORTIE-POD-FORWARD'),
      goto(toPod, 'TORTIE-POD-FORWARD'),
    ]),
    filter('TORTIE-POD-FORWARD', [
      INVALID,
      ESTABLISHED,
      ...closedTo('nodes'),
      UNDECIDED,
      sent,
      UNDECIDED,
      received,
      { matches: [], action: { type: 'accept' } },
    ]),
    // Once more behind somebody's DNAT.
    filter('TORTIE-INPUT', [
      ...toLoopbackUnasked,
      ...tunnelInput(tunnels),
      goto(fromPod, 'TORTIE-POD-INPUT'),
      ...hosts('filter/INPUT'),
    ]),
    filter('TORTIE-POD-INPUT', [
      INVALID,
      ESTABLISHED,
      ...neighbourDiscovery({ type: 'accept' }),
      ...closedTo('own-node'),
      UNDECIDED,
      sent,
      ...podToHost(settings.podToHost),
    ]),
    filter('TORTIE-OUTPUT', [
      // Not "source is a node address": in OUTPUT without a local source only what IPVS forwards can appear.
      { matches: [toPod, { type: 'local', side: 'source' }], action: { type: 'accept' }, note: 'node to its own pods' },
      goto(toPod, 'TORTIE-POD-FORWARD'),
      ...tunnelOutput(tunnels),
      ...hosts('filter/OUTPUT'),
    ]),
    ...verdictTables(jumps).flatMap((table): readonly Chain[] => [
      {
        table,
        name: ALLOW_CHAIN,
        rules: [{ matches: [], action: { type: 'set-mark', value: MARK_ALLOW, mask: MARK_ALLOW } }],
      },
      {
        table,
        name: PASS_CHAIN,
        rules: [{ matches: [], action: { type: 'set-mark', value: MARK_PASS, mask: MARK_PASS } }],
      },
    ]),
  ];
}

/** Tables that hold chains of policies. */
function verdictTables(jumps: ReadonlyMap<string, readonly string[]>): readonly Table[] {
  const isUsed = (table: Table): boolean => [...jumps.keys()].some((builtin) => builtin.startsWith(`${table}/`));
  return ['filter', ...(isUsed('raw') ? (['raw'] as const) : []), ...(isUsed('mangle') ? (['mangle'] as const) : [])];
}

function podToHost(setting: BaseSettings['podToHost']): readonly Rule[] {
  return setting === 'return' ? [] : [{ matches: [], action: { type: setting }, note: 'pod to its own node' }];
}
