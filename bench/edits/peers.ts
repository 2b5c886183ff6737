/** Edits of BGPPeers, and of the Secrets they name. */
import { shortHash, type Context, type Row } from './context.js';
import { unset, type Edit, type Manifest, type Step } from './edit.js';
import { addBfd, addSession, FAMILIES, groundNode, type GroundNode, type RouterLink } from './model.js';

const SYSTEM_NAMESPACE = 'tortie-system';
const NODE_AS = 64512;

const bgpPeer = (name: string, spec: object): Manifest => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'BGPPeer',
  metadata: { name },
  spec,
});

const peerSlot = ({ peer }: RouterLink): string => `BGPPeer/${peer}`;

/** Objects applied and deleted again. */
const withObjects = (...objects: readonly Manifest[]): Pick<Edit, 'steps' | 'undo'> => ({
  steps: objects.map((object): Step => ({ type: 'apply', object })),
  undo: [...objects].reverse().map(
    ({ kind, metadata }): Step => ({
      type: 'delete',
      of: `${kind.toLowerCase()}/${metadata.name}`,
      ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
    }),
  ),
});

const withPatch = (of: string, patch: object): Pick<Edit, 'steps' | 'undo'> => ({
  steps: [{ type: 'patch', of, patch }],
  undo: [{ type: 'patch', of, patch: unset(patch) }],
});

/** Everywhere, or on one node; with what that is called in the spec. */
function anyNodes({ ground, choose }: Context): { readonly nodes: readonly GroundNode[]; readonly spec: object } {
  const node = choose.of(ground.nodes);
  return choose.of([
    { nodes: ground.nodes, spec: {} },
    { nodes: ground.nodes, spec: { nodeSelector: 'all()' } },
    { nodes: [node], spec: { node: node.name } },
    { nodes: [node], spec: { nodeSelector: `kubernetes.io/hostname == '${node.name}'` } },
    {
      nodes: ground.nodes.filter((other) => other !== node),
      spec: { nodeSelector: `kubernetes.io/hostname != '${node.name}'` },
    },
  ]);
}

function anyLink({ ground, choose }: Context): { readonly node: GroundNode; readonly link: RouterLink } {
  const node = choose.of(ground.nodes);
  return { node, link: choose.of(node.links) };
}

/** The session with the router goes, or stays down: the flows of that node and family lose one of their ways. */
const loses = (node: GroundNode, link: RouterLink): Pick<Edit, 'resets' | 'concerns'> => ({
  resets: (name, address) => name === node.name && address === link.address,
  concerns: ({ family, ends }) => family === link.family && ends.includes(node.name),
});

/** Valid values of the fields that do not matter while nobody answers. */
function anyFields({ choose }: Context, isInternal: boolean): Readonly<Record<string, unknown>> {
  const fields: readonly (readonly [string, unknown])[] = [
    ['holdTime', choose.of(['9s', '90s', '240s'])],
    ['keepaliveTime', choose.of(['1s', '3s', '500ms'])],
    ['maxRestartTime', choose.of(['0s', '60s', '4095s'])],
    ['numAllowedLocalASNumbers', choose.of([0, 1, 10, 11, 255])],
    ['nextHopMode', choose.of(['Auto', 'Self', 'Keep'])],
    ['keepOriginalNextHop', choose.chance(0.5)],
    ['sourceAddress', choose.of(['UseNodeIP', 'None'])],
    ['passive', choose.chance(0.5)],
    ['maxPrefixes', choose.of([1, 10_000, 4_294_967_295])],
    ['maxPrefixesRestartAfter', '30s'],
    ['reversePeering', choose.of(['Auto', 'Manual'])],
    ['bfd', choose.of<object>([{}, { enabled: false }, { intervalMilliseconds: 1000, multiplier: 255 }])],
    ...(isInternal ? [] : [['localASNumber', choose.of([65123, '1.10'])] as const]),
    choose.of([['ttlSecurity', choose.of([0, 1, 254, 255])] as const, ['multihop', choose.between(2, 255)] as const]),
  ];
  return Object.fromEntries(choose.some(fields, 0.3));
}

export const PEER_ROWS: readonly Row[] = [
  {
    kind: 'peer that nobody is',
    make: (context) => {
      const { choose } = context;
      const name = `soak-${shortHash(choose)}`;
      const family = choose.of(FAMILIES);
      const address =
        family === 'ipv4' ? `192.0.2.${choose.between(1, 254)}` : `2001:db8:ffff::${choose.between(1, 9999)}`;
      const port = choose.chance(0.3) ? choose.between(1, 65535) : undefined;
      const asNumber = choose.of<number | string>([NODE_AS, 65200, '65200', '2.7', 4_294_967_294]);
      const { nodes, spec } = anyNodes(context);
      const peerIP = port === undefined ? address : family === 'ipv4' ? `${address}:${port}` : `[${address}]:${port}`;
      return {
        kind: 'peer that nobody is',
        slots: [`address ${address}`],
        ...withObjects(bgpPeer(name, { ...spec, peerIP, asNumber, ...anyFields(context, asNumber === NODE_AS) })),
        effect: (model) => nodes.forEach((node) => addSession(model, node.name, { name, address, isUp: false })),
        told: nodes.map((node) => ({ where: `NodeStatus/${node.name}`, text: `Peer ${name} (${address}) is` })),
      };
    },
  },
  {
    kind: 'peer of all nodes that is one of them',
    make: ({ ground, choose }) => {
      const name = `soak-${shortHash(choose)}`;
      const self = choose.of(ground.nodes);
      const family = choose.of(FAMILIES);
      const suffix = family === 'ipv4' ? 'v4' : 'v6';
      return {
        kind: 'peer of all nodes that is one of them',
        slots: ['mesh'],
        ...withObjects(bgpPeer(name, { peerIP: self.loopback[family], asNumber: NODE_AS })),
        effect: (model) => {
          for (const node of ground.nodes)
            if (node === self)
              for (const other of ground.nodes.filter((each) => each !== self))
                addSession(model, self.name, {
                  name: `${name}-${other.name}-${suffix}`,
                  address: other.loopback[family],
                  isUp: true,
                });
            else addSession(model, node.name, { name, address: self.loopback[family], isUp: true });
        },
        told: [],
      };
    },
  },
  {
    kind: 'nodes that peer by peerSelector',
    make: ({ ground, choose }) => {
      const name = `soak-${shortHash(choose)}`;
      const a = choose.of(ground.nodes);
      const b = choose.of(ground.nodes.filter((node) => node !== a));
      return {
        kind: 'nodes that peer by peerSelector',
        slots: ['mesh'],
        ...withObjects(
          bgpPeer(name, {
            nodeSelector: `kubernetes.io/hostname == '${a.name}'`,
            peerSelector: `kubernetes.io/hostname == '${b.name}'`,
          }),
        ),
        effect: (model) => {
          for (const [node, other] of [
            [a, b],
            [b, a],
          ] as const)
            for (const family of FAMILIES)
              addSession(model, node.name, {
                name: `${name}-${other.name}-${family === 'ipv4' ? 'v4' : 'v6'}`,
                address: other.loopback[family],
                isUp: true,
              });
        },
        told: [],
      };
    },
  },
  {
    kind: 'link-local peer',
    make: ({ ground, choose }) => {
      const name = `soak-${shortHash(choose)}`;
      const node = choose.of(ground.nodes);
      const hasZone = choose.chance(0.5);
      const host = `fe80::${choose.between(1, 9999)}`;
      const address = hasZone ? `${host}%eth0` : host;
      return {
        kind: `link-local peer, ${hasZone ? 'with' : 'without'} its interface`,
        slots: [`address ${address}`],
        ...withObjects(bgpPeer(name, { node: node.name, peerIP: address, asNumber: 65001 })),
        effect: (model) => {
          if (hasZone) addSession(model, node.name, { name, address, isUp: false });
        },
        told: [{ where: `NodeStatus/${node.name}`, text: host }],
      };
    },
  },
  {
    kind: "twin of a router's peer",
    make: (context) => {
      const { node, link } = anyLink(context);
      const name = `zz-soak-${shortHash(context.choose)}`;
      return {
        kind: "twin of a router's peer",
        slots: [peerSlot(link)],
        ...withObjects(
          bgpPeer(name, { node: node.name, peerIP: link.address, asNumber: context.choose.of([65001, 65099]) }),
        ),
        effect: () => undefined,
        told: [
          { where: `NodeStatus/${node.name}`, text: name },
          { where: `BGPPeer/${name}`, text: link.address },
        ],
      };
    },
  },
  {
    kind: 'selector that selects nobody, or is none',
    make: ({ ground, choose }) => {
      const name = `soak-${shortHash(choose)}`;
      const field = choose.of(['nodeSelector', 'peerSelector']);
      const selector = choose.of(['has(nowhere)', "kubernetes.io/hostname == 'node99'", 'has(', "a === 'b'"]);
      const rest = field === 'peerSelector' ? {} : { peerIP: '192.0.2.250', asNumber: 65250 };
      return {
        kind: 'selector that selects nobody, or is none',
        slots: [],
        ...withObjects(bgpPeer(name, { [field]: selector, ...rest })),
        effect: () => undefined,
        told: ground.nodes.map((node) => ({ where: `NodeStatus/${node.name}`, text: `BGPPeer/${name} spec.${field}` })),
      };
    },
  },
  {
    kind: 'peer of a node that does not exist',
    make: ({ ground, choose }) => {
      const name = `soak-${shortHash(choose)}`;
      return {
        kind: 'peer of a node that does not exist',
        slots: [],
        ...withObjects(bgpPeer(name, { node: 'node99', peerIP: '192.0.2.251', asNumber: 65250 })),
        effect: () => undefined,
        told: [
          ...ground.nodes.map((node) => ({ where: `NodeStatus/${node.name}`, text: 'node99' })),
          { where: `BGPPeer/${name}`, text: 'node99' },
        ],
      };
    },
  },
  {
    kind: 'wrong AS number of a router',
    make: (context) => {
      const { node, link } = anyLink(context);
      const before = link.router === 'tor1' ? 65001 : 65002;
      const of = `bgppeer/${link.peer}`;
      return {
        kind: 'wrong AS number of a router',
        slots: [peerSlot(link)],
        steps: [{ type: 'patch', of, patch: { spec: { asNumber: 65099 } } }],
        undo: [{ type: 'patch', of, patch: { spec: { asNumber: before } } }],
        effect: (model) => void model.routerSessions.set(link.peer, 'down'),
        told: [{ where: `NodeStatus/${node.name}`, text: `Peer ${link.peer} (${link.address}) is` }],
        ...loses(node, link),
      };
    },
  },
  {
    kind: 'BFD with a router',
    make: (context) => {
      const { node, link } = anyLink(context);
      const bfd = context.choose.of<object>([{}, { intervalMilliseconds: 200 }, { multiplier: 5 }, { enabled: false }]);
      return {
        kind: 'BFD with a router',
        slots: [peerSlot(link)],
        ...withPatch(`bgppeer/${link.peer}`, { spec: { bfd } }),
        effect: (model) => {
          if (!('enabled' in bfd)) addBfd(model, node.name, link.address);
        },
        told: [],
        // BIRD 2.0 ends the BGP session when BFD says AdminDown, which RFC 5882 section 3.2 asks it not to.
        ...('enabled' in bfd ? {} : loses(node, link)),
      };
    },
  },
  {
    kind: 'own AS allowed in paths',
    make: (context) => {
      const { link } = anyLink(context);
      const numAllowedLocalASNumbers = context.choose.of([1, 2, 10, 11, 255]);
      return {
        kind: 'own AS allowed in paths',
        slots: [peerSlot(link)],
        steps: [{ type: 'patch', of: `bgppeer/${link.peer}`, patch: { spec: { numAllowedLocalASNumbers } } }],
        undo: [{ type: 'patch', of: `bgppeer/${link.peer}`, patch: { spec: { numAllowedLocalASNumbers: 1 } } }],
        effect: () => undefined,
        told: [],
      };
    },
  },
  {
    kind: 'password of a router',
    make: (context) => {
      const { choose } = context;
      const { node, link } = anyLink(context);
      const name = `soak-${shortHash(choose)}`;
      const what = choose.of([
        'missing',
        'key missing',
        'too long',
        'empty',
        'not the router’s',
        'missing, optional',
      ] as const);
      const value =
        { 'too long': 'x'.repeat(81), empty: '', 'not the router’s': 'y'.repeat(80) }[what as string] ?? 'z';
      const secret: Manifest = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace: SYSTEM_NAMESPACE },
        stringData: { [what === 'key missing' ? 'other' : 'key']: value },
      };
      const isOptional = what === 'missing, optional';
      const objects = withObjects(...(what.startsWith('missing') ? [] : [secret]));
      const patch = withPatch(`bgppeer/${link.peer}`, {
        spec: { password: { secretKeyRef: { name, key: 'key', ...(isOptional ? { optional: true } : {}) } } },
      });
      return {
        kind: `password of a router: ${what}`,
        slots: [peerSlot(link)],
        steps: [...objects.steps, ...patch.steps],
        undo: [...patch.undo, ...objects.undo],
        effect: (model) => {
          if (!isOptional) model.routerSessions.set(link.peer, what === 'not the router’s' ? 'down' : 'gone');
        },
        told: isOptional
          ? []
          : [{ where: `NodeStatus/${node.name}`, text: what === 'not the router’s' ? `Peer ${link.peer} (` : name }],
        ...(isOptional ? {} : loses(node, link)),
      };
    },
  },
  {
    kind: 'peer reached by a gateway',
    make: ({ ground, choose }) => {
      const name = `soak-${shortHash(choose)}`;
      const node = choose.of(ground.nodes);
      const link = choose.of(node.links);
      const address =
        link.family === 'ipv4' ? `198.51.100.${choose.between(1, 254)}` : `2001:db8:51::${choose.between(1, 999)}`;
      return {
        kind: 'peer reached by a gateway',
        slots: [`address ${address}`],
        ...withObjects(bgpPeer(name, { node: node.name, peerIP: address, asNumber: 65251, reachableBy: link.address })),
        effect: (model) => addSession(model, node.name, { name, address, isUp: false }),
        told: [{ where: `NodeStatus/${node.name}`, text: `Peer ${name} (${address}) is` }],
      };
    },
  },
  {
    kind: 'peer of pods, none of which is there',
    make: ({ choose, ground }) => {
      const name = `soak-${shortHash(choose)}`;
      const node = choose.of(ground.nodes);
      return {
        kind: 'peer of pods, none of which is there',
        slots: [],
        ...withObjects(bgpPeer(name, { node: node.name, localWorkloadSelector: "color == 'none'", asNumber: 65252 })),
        effect: () => undefined,
        told: [{ where: `NodeStatus/${node.name}`, text: name }],
      };
    },
  },
  {
    kind: "peer at another node's link",
    make: ({ ground, choose }) => {
      const node = choose.of(ground.nodes);
      const other = groundNode(ground, choose.of(ground.nodes.filter((each) => each !== node)).name);
      const name = `soak-${shortHash(choose)}`;
      const link = choose.of(other.links);
      return {
        kind: "peer at another node's link",
        slots: [`address ${link.nodeAddress}`],
        ...withObjects(
          bgpPeer(name, { node: node.name, peerIP: link.nodeAddress, asNumber: 65253, sourceAddress: 'None' }),
        ),
        effect: (model) => addSession(model, node.name, { name, address: link.nodeAddress, isUp: false }),
        told: [{ where: `NodeStatus/${node.name}`, text: `Peer ${name} (${link.nodeAddress}) is` }],
      };
    },
  },
];
