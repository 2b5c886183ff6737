/**
 * npm run bench -- plan [--nodes 1000] [--pods 10] [--policies 2000] [-o json]
 *
 * How long `tortie plan` thinks about a large cluster: racks of forty nodes with two routers each, four route reflectors, pods in 200
 * namespaces. Each change is planned twice; the second time counts, when the code is warm.
 */
import type { KubeObject } from '../../src/api/meta.js';
import { planOf } from '../../src/plan/plan.js';
import { apply, label, worldOf, type ObjectChange, type World } from '../../src/plan/world.js';
import { leave, readOptions } from '../options.js';

const USAGE = {
  area: 'plan',
  about: 'How long a plan of a change takes in a large cluster; pure computation, nothing of the machine is touched.',
  options: {
    nodes: { value: 'N', default: '1000', range: [8, 5_000], isWhole: true, about: 'of the cluster' },
    pods: { value: 'N', default: '10', range: [1, 50], isWhole: true, about: 'of each node' },
    policies: { value: 'N', default: '2000', range: [0, 10_000], isWhole: true, about: 'NetworkPolicies' },
  },
} as const;

const RACK = 40;
const REFLECTORS = 4;
const NAMESPACES = 200;

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const [nodes, pods, policies] = [read.values.nodes, read.values.pods, read.values.policies].map(Number) as [
    number,
    number,
    number,
  ];
  const world = worldOf(clusterOf(nodes, pods, policies));
  const results = CHANGES.map(({ what, changesOf }) => {
    const changes = changesOf(world);
    const plan = (): number => planOf(world, changes, { secretNamespace: 'tortie-system' }).length;
    plan();
    const start = performance.now();
    const findings = plan();
    const milliseconds = performance.now() - start;
    process.stdout.write(
      `${what.padEnd(44)}${milliseconds.toFixed(0).padStart(8)} ms ${String(findings).padStart(8)} lines\n`,
    );
    return { what, milliseconds, findings };
  });
  if (read.values.output === 'json') process.stdout.write(`${JSON.stringify({ results })}\n`);
  return 0;
}

const CHANGES: readonly { readonly what: string; readonly changesOf: (world: World) => readonly ObjectChange[] }[] = [
  { what: "a node's rack label changes", changesOf: (world) => [label(world, 'node7', 'rack=elsewhere')] },
  {
    what: 'all reflectors lose their label',
    changesOf: (world) => Array.from({ length: REFLECTORS }, (_, index) => label(world, `node${index}`, 'reflector-')),
  },
  {
    what: 'a policy opens a namespace',
    changesOf: (world) =>
      apply(world, [
        objectOf('networking.k8s.io/v1', 'NetworkPolicy', 'new', { podSelector: {}, ingress: [{}] }, 'ns3'),
      ]),
  },
  {
    what: 'a policy opens everything',
    changesOf: (world) =>
      apply(world, [
        objectOf('projectcalico.org/v3', 'GlobalNetworkPolicy', 'new', {
          selector: 'all()',
          order: 10,
          ingress: [{ action: 'Allow' }],
        }),
      ]),
  },
];

function clusterOf(nodes: number, pods: number, policies: number): readonly KubeObject[] {
  const racks = Math.ceil(nodes / RACK);
  const indexes = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
  return [
    ...indexes(nodes).flatMap((index) => nodeObjects(index, racks, pods)),
    ...indexes(NAMESPACES).map((index) => objectOf('v1', 'Namespace', `ns${index}`, {})),
    ...indexes(policies).map((index) =>
      objectOf(
        'networking.k8s.io/v1',
        'NetworkPolicy',
        `policy${index}`,
        {
          podSelector: { matchLabels: { app: `app${Math.floor(index / NAMESPACES) % pods}` } },
          ingress: [
            { from: [{ podSelector: { matchLabels: { app: `app${(Math.floor(index / NAMESPACES) + 1) % pods}` } } }] },
          ],
        },
        `ns${index % NAMESPACES}`,
      ),
    ),
    objectOf('projectcalico.org/v3', 'BGPConfiguration', 'default', { nodeToNodeMeshEnabled: false, asNumber: 64600 }),
    objectOf('projectcalico.org/v3', 'IPPool', 'pods', { cidr: '10.64.0.0/10' }),
    objectOf('projectcalico.org/v3', 'BGPPeer', 'reflectors', { peerSelector: 'has(reflector)' }),
    ...indexes(racks).flatMap((rack) =>
      [1, 2].map((router) =>
        objectOf('projectcalico.org/v3', 'BGPPeer', `rack${rack}-tor${router}`, {
          peerIP: `172.16.${rack}.${router}`,
          asNumber: 64512,
          nodeSelector: `rack == "${rack}"`,
        }),
      ),
    ),
  ];
}

function nodeObjects(index: number, racks: number, pods: number): readonly KubeObject[] {
  const name = `node${index}`;
  const range = `10.${64 + (index >> 8)}.${index & 255}`;
  const isReflector = index < REFLECTORS;
  const node = objectOf('v1', 'Node', name, {});
  return [
    {
      ...node,
      metadata: {
        ...node.metadata,
        labels: { rack: String(index % racks), ...(isReflector ? { reflector: 'yes' } : {}) },
        annotations: isReflector ? { 'projectcalico.org/RouteReflectorClusterID': '244.0.0.1' } : {},
      },
      status: {
        addresses: [
          { type: 'InternalIP', address: `10.0.${index >> 8}.${index & 255}` },
          { type: 'InternalIP', address: `fd00::${(index + 1).toString(16)}` },
        ],
      },
    } as unknown as KubeObject,
    objectOf('tortie.dev/v1alpha1', 'IPAMBlock', `block${index}`, { cidr: `${range}.0/26`, node: name, pool: 'pods' }),
    ...Array.from({ length: pods }, (_, pod): KubeObject => {
      const container = { name: 'main', ports: [{ containerPort: 80 }] };
      const spec = { nodeName: name, containers: [container] };
      const made = objectOf('v1', 'Pod', `pod${index}-${pod}`, spec, `ns${(index + 31 * pod) % NAMESPACES}`);
      return {
        ...made,
        metadata: { ...made.metadata, labels: { app: `app${pod}` } },
        status: { phase: 'Running', podIPs: [{ ip: `${range}.${pod + 1}` }] },
      } as unknown as KubeObject;
    }),
  ];
}

const objectOf = (apiVersion: string, kind: string, name: string, spec: object, namespace?: string): KubeObject =>
  ({
    apiVersion,
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    spec,
  }) as unknown as KubeObject;
