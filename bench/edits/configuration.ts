/** Edits of BGPConfiguration, IPPool and Node. */
import { containsPrefix, parsePrefix } from 'node-bgp/address';
import { shortHash, type Row } from './context.js';
import { unset, type Edit, type Manifest } from './edit.js';
import { addBfd, FAMILIES } from './model.js';

const DEFAULT = 'bgpconfiguration/default';
const EVERY_NODE = ['node1', 'node2', 'node3'];

const configured = (field: string, spec: object): Pick<Edit, 'slots' | 'steps' | 'undo'> => ({
  slots: [`BGPConfiguration ${field}`],
  steps: [{ type: 'patch', of: DEFAULT, patch: { spec } }],
  undo: [{ type: 'patch', of: DEFAULT, patch: unset({ spec }) }],
});

const onNodes = (text: string): Edit['told'] => EVERY_NODE.map((node) => ({ where: `NodeStatus/${node}`, text }));
const NOTHING: Pick<Edit, 'effect' | 'told'> = { effect: () => undefined, told: [] };

const covers =
  (range: string) =>
  (prefix: string): boolean =>
    containsPrefix(parsePrefix(range), parsePrefix(prefix));

const calico = (kind: string, name: string, spec: object): Manifest => ({
  apiVersion: 'projectcalico.org/v3',
  kind,
  metadata: { name },
  spec,
});
const made = (object: Manifest): Pick<Edit, 'steps' | 'undo'> => ({
  steps: [{ type: 'apply', object }],
  undo: [{ type: 'delete', of: `${object.kind.toLowerCase()}/${object.metadata.name}` }],
});

export const CONFIGURATION_ROWS: readonly Row[] = [
  {
    kind: 'mesh off',
    make: () => ({
      kind: 'mesh off',
      ...configured('mesh', { nodeToNodeMeshEnabled: false }),
      slots: ['mesh'],
      effect: (model) => void (model.hasMesh = false),
      told: [],
      resets: (_, address) => address.startsWith('10.0.0.') || /^fd00::\d+$/.test(address),
    }),
  },
  {
    kind: 'log level',
    make: ({ choose }) => ({
      kind: 'log level',
      slots: ['BGPConfiguration logSeverityScreen'],
      steps: [
        {
          type: 'patch',
          of: DEFAULT,
          patch: { spec: { logSeverityScreen: choose.of(['Trace', 'debug', 'WARNING', 'Fatal']) } },
        },
      ],
      undo: [{ type: 'patch', of: DEFAULT, patch: { spec: { logSeverityScreen: 'Info' } } }],
      ...NOTHING,
    }),
  },
  {
    kind: 'listen port',
    make: ({ choose }) => ({
      kind: 'listen port',
      ...configured('listenPort', { listenPort: choose.of([1179, 1790, 65535, 179]) }),
      ...NOTHING,
    }),
  },
  {
    kind: 'configuration of one node',
    make: ({ choose, ground }) => {
      const name = `node.${choose.of([...ground.nodes.map((node) => node.name), 'nowhere'])}`;
      const spec = Object.fromEntries(
        choose.some([
          ['logSeverityScreen', 'Debug'],
          ['listenPort', choose.of([179, 1180])],
          ['bindMode', choose.of(['None', 'NodeIP'])],
          ['ignoredInterfaces', ['docker*']],
        ]),
      );
      return {
        kind: 'configuration of one node',
        slots: [],
        ...made(calico('BGPConfiguration', name, spec)),
        ...NOTHING,
        told: name === 'node.nowhere' ? [{ where: `BGPConfiguration/${name}`, text: 'nowhere' }] : [],
      };
    },
  },
  {
    kind: 'bind mode',
    make: () => ({ kind: 'bind mode', ...configured('bindMode', { bindMode: 'NodeIP' }), ...NOTHING }),
  },
  {
    kind: 'interfaces that are not there ignored',
    make: () => ({
      kind: 'interfaces that are not there ignored',
      ...configured('ignoredInterfaces', { ignoredInterfaces: ['docker*', 'eth9'] }),
      ...NOTHING,
    }),
  },
  {
    kind: 'ranges of Services',
    make: ({ choose }) => {
      const clusterIps = choose.some(['10.96.0.0/16', '10.97.0.0/16', 'fd00:96::/112'], 0.6);
      const balancers = choose.some(['198.51.100.0/24', '2001:db8:96::/64', '10.96.0.0/16'], 0.4);
      const list = (ranges: readonly string[]): object => ranges.map((cidr) => ({ cidr }));
      return {
        kind: 'ranges of Services',
        ...configured('services', { serviceClusterIPs: list(clusterIps), serviceLoadBalancerIPs: list(balancers) }),
        effect: (model) => [...clusterIps, ...balancers].forEach((cidr) => model.serviceRanges.add(cidr)),
        told: [],
      };
    },
  },
  {
    kind: 'external addresses of Services',
    make: ({ choose }) => {
      const ranges = choose.some(['192.0.2.0/24', '2001:db8:97::/64'], 0.6);
      // No Service has the single address; the other is nobody's to announce.
      const others = choose.some(['203.0.113.7/32', 'fe80::/64'], 0.5);
      const wrong = others.includes('fe80::/64') ? ['"fe80::/64"'] : [];
      return {
        kind: 'external addresses of Services',
        ...configured('externalIPs', { serviceExternalIPs: [...ranges, ...others].map((cidr) => ({ cidr })) }),
        effect: (model) => ranges.forEach((cidr) => model.serviceRanges.add(cidr)),
        told: wrong.flatMap((text) => [...onNodes(text), { where: 'BGPConfiguration/default', text }]),
      };
    },
  },
  {
    kind: 'addresses of Services one by one',
    make: () => ({
      kind: 'addresses of Services one by one',
      ...configured('services', {
        serviceLoadBalancerAggregation: 'Disabled',
        serviceLoadBalancerIPs: [{ cidr: '198.51.100.0/24' }],
      }),
      ...NOTHING,
    }),
  },
  {
    kind: 'communities on prefixes',
    make: ({ choose }) => {
      const value = `64512:${choose.between(0, 65535)}`;
      const range = choose.of(['10.65.0.0/16', '10.0.0.0/8', 'fd00:65::/112', '203.0.113.0/24']);
      const isKnown = choose.chance(0.6);
      const unknown = choose.of(['nobody', '65536:100', '1:2:3:4']);
      return {
        kind: 'communities on prefixes',
        ...configured('communities', {
          communities: [{ name: 'soak', value }],
          prefixAdvertisements: [{ cidr: range, communities: ['soak', ...(isKnown ? [] : [unknown])] }],
        }),
        effect: (model) => void model.advertisements.push({ covers: covers(range), communities: [value] }),
        told: isKnown
          ? []
          : [
              ...onNodes('spec.prefixAdvertisements[0].communities[1]'),
              { where: 'BGPConfiguration/default', text: unknown },
            ],
      };
    },
  },
  {
    kind: 'password of the mesh that is not there',
    make: ({ choose }) => {
      const name = `soak-${shortHash(choose)}`;
      return {
        kind: 'password of the mesh that is not there',
        ...configured('nodeMeshPassword', { nodeMeshPassword: { secretKeyRef: { name, key: 'key' } } }),
        slots: ['mesh'],
        effect: (model) => void (model.hasMesh = false),
        told: [...onNodes(name), { where: 'BGPConfiguration/default', text: name }],
        resets: (_, address) => address.startsWith('10.0.0.') || /^fd00::\d+$/.test(address),
      };
    },
  },
  {
    kind: 'password of the mesh',
    make: ({ choose }) => {
      const name = `soak-${shortHash(choose)}`;
      const config = configured('nodeMeshPassword', { nodeMeshPassword: { secretKeyRef: { name, key: 'key' } } });
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace: 'tortie-system' },
        stringData: { key: 'k'.repeat(choose.between(1, 80)) },
      };
      return {
        kind: 'password of the mesh',
        slots: ['mesh'],
        steps: [{ type: 'apply', object: secret }, ...config.steps],
        undo: [...config.undo, { type: 'delete', of: `secret/${name}`, namespace: 'tortie-system' }],
        ...NOTHING,
        resets: (_, address) => address.startsWith('10.0.0.') || /^fd00::\d+$/.test(address),
      };
    },
  },
  {
    kind: 'restart time that cannot be',
    make: ({ choose }) => {
      const text = choose.of(['2h', '4096s']);
      return {
        kind: 'restart time that cannot be',
        ...configured('nodeMeshMaxRestartTime', { nodeMeshMaxRestartTime: text }),
        // The API refuses it without a mesh, as Calico's does.
        slots: ['mesh'],
        effect: () => undefined,
        told: [...onNodes('nodeMeshMaxRestartTime'), { where: 'BGPConfiguration/default', text }],
      };
    },
  },
  {
    kind: 'BFD of the mesh',
    make: ({ ground }) => ({
      kind: 'BFD of the mesh',
      ...configured('nodeMeshBfd', { nodeMeshBfd: {} }),
      slots: ['mesh'],
      effect: (model) => {
        for (const node of ground.nodes)
          for (const other of ground.nodes)
            if (other !== node) for (const family of FAMILIES) addBfd(model, node.name, other.loopback[family]);
      },
      told: [],
    }),
  },
  {
    kind: 'pool beside',
    make: ({ choose }) => {
      const name = `soak-${shortHash(choose)}`;
      const spec = choose.of<object>([
        { cidr: '10.77.0.0/16', blockSize: 26, assignmentMode: 'Manual' },
        { cidr: '10.78.0.0/16', disabled: true },
        { cidr: 'fd00:77::/112', blockSize: 122, disabled: true, disableBGPExport: true },
        { cidr: '10.79.0.0/20', nodeSelector: 'has(nowhere)' },
        { cidr: '10.81.0.0/20', natOutgoing: true, assignmentMode: 'Manual' },
      ]);
      return { kind: 'pool beside', slots: [], ...made(calico('IPPool', name, spec)), ...NOTHING };
    },
  },
  {
    kind: 'pool that overlaps',
    make: ({ choose }) => {
      const name = `zz-soak-${shortHash(choose)}`;
      const cidr = choose.of(['10.65.128.0/17', '10.64.0.0/15', 'fd00:65::/116']);
      return {
        kind: 'pool that overlaps',
        slots: ['overlap'],
        ...made(calico('IPPool', name, { cidr })),
        effect: () => undefined,
        told: [...onNodes(name), { where: `IPPool/${name}`, text: cidr }],
      };
    },
  },
  {
    kind: 'pool with what is not built',
    make: ({ choose }) => {
      const name = `soak-${shortHash(choose)}`;
      const spec = { ipipMode: 'Always', vxlanMode: 'Always' };
      const [field = ''] = Object.keys(spec);
      return {
        kind: 'pool with what is not built',
        slots: [],
        ...made(calico('IPPool', name, { cidr: '10.80.0.0/16', disabled: true, ...spec })),
        effect: () => undefined,
        told: [...onNodes(field), { where: `IPPool/${name}`, text: field }],
      };
    },
  },
  {
    kind: 'pool disabled',
    make: ({ choose }) => {
      const pool = choose.of(['pods-ipv4', 'pods-ipv6']);
      const of = `ippool/${pool}`;
      return {
        kind: 'pool disabled',
        slots: [pool],
        steps: [{ type: 'patch', of, patch: { spec: { disabled: true } } }],
        undo: [{ type: 'patch', of, patch: { spec: { disabled: null } } }],
        ...NOTHING,
      };
    },
  },
  {
    kind: 'pool not exported',
    make: ({ choose }) => {
      const family = choose.of(FAMILIES);
      const pool = `pods-${family}`;
      const of = `ippool/${pool}`;
      return {
        kind: 'pool not exported',
        slots: [pool],
        steps: [{ type: 'patch', of, patch: { spec: { disableBGPExport: true } } }],
        undo: [{ type: 'patch', of, patch: { spec: { disableBGPExport: null } } }],
        effect: (model) => void model.silentPools.add(pool),
        told: [],
        concerns: (flow) => flow.family === family,
      };
    },
  },
  {
    kind: 'label that keeps Services away',
    make: ({ choose, ground }) => {
      const { name } = choose.of(ground.nodes);
      const patch = {
        metadata: {
          labels: { 'node.kubernetes.io/exclude-from-external-load-balancers': choose.of(['', 'true', 'false']) },
        },
      };
      return {
        kind: 'label that keeps Services away',
        slots: [`Node/${name} label`],
        steps: [{ type: 'patch', of: `node/${name}`, patch }],
        undo: [{ type: 'patch', of: `node/${name}`, patch: unset(patch) }],
        effect: (model) => void model.excludedNodes.add(name),
        told: [],
      };
    },
  },
  {
    kind: 'annotation of a node',
    make: ({ choose, ground }) => {
      const { name, loopback } = choose.of(ground.nodes);
      const [key, value, isTold] = choose.of<readonly [string, string, boolean]>([
        ['projectcalico.org/ASNumber', '64512', false],
        ['projectcalico.org/ASNumber', 'sixty', true],
        ['projectcalico.org/IPv4Address', `${loopback.ipv4}/24`, false],
        ['projectcalico.org/IPv4Address', 'here', true],
        ['projectcalico.org/IPv6Address', `${loopback.ipv6}/64`, false],
        ['projectcalico.org/IPv6Address', 'fe80::1', true],
        ['projectcalico.org/RouteReflectorClusterID', 'no quad', true],
        ['example.org/anything', 'x', false],
      ]);
      const patch = { metadata: { annotations: { [key]: value } } };
      const isReflector = key.endsWith('ClusterID');
      return {
        kind: 'annotation of a node',
        slots: [`Node/${name} annotation`, ...(isReflector ? ['mesh'] : [])],
        steps: [{ type: 'patch', of: `node/${name}`, patch }],
        undo: [{ type: 'patch', of: `node/${name}`, patch: unset(patch) }],
        // What is no dotted quad makes a reflector of the node all the same, as in Calico, and so takes it out of the mesh.
        effect: (model) => {
          if (isReflector) model.meshIsDown.add(name);
        },
        told: isTold ? [{ where: `NodeStatus/${name}`, text: key }] : [],
        resets: (_, address) => isReflector && (address.startsWith('10.0.0.') || /^fd00::\d+$/.test(address)),
      };
    },
  },
  {
    kind: "node object with another's address",
    make: ({ choose, ground }) => {
      const name = `${choose.of(['aaa', 'zzz'])}-${shortHash(choose)}`;
      const of = choose.of(ground.nodes);
      const address = of.loopback.ipv4;
      return {
        kind: "node object with another's address",
        slots: [`Node ${address}`],
        ...made({
          apiVersion: 'v1',
          kind: 'Node',
          metadata: {
            name,
            annotations: { 'projectcalico.org/IPv4Address': `${address}/32`, 'projectcalico.org/ASNumber': '64999' },
          },
        }),
        effect: () => undefined,
        told: [{ where: `NodeStatus/${of.name}`, text: name }],
      };
    },
  },
];
