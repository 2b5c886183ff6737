/** A node with pods, policies and made-up events of its kernel, for tests of flows. */
import { PolicyEngine, type PolicyEvent } from '@tortie/policy';
import type { ConnectionEvent, ConnectionState } from '../../src/dataplane/netlink/conntrack-events.js';
import type { LoggedPacket } from '../../src/dataplane/netlink/packet-log.js';
import type { FlowService } from '../../src/flows/flow.js';
import { Identities, type PodFacts } from '../../src/flows/identities.js';
import { FlowRecorder } from '../../src/flows/recorder.js';

export interface TestPod {
  readonly namespace: string;
  readonly name: string;
  readonly ip: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly isLocal: boolean;
  readonly deployment?: string;
}

export const PODS: readonly TestPod[] = [
  ...['a', 'b'].map((suffix, index) => ({
    namespace: 'shop',
    name: `web-7d9-${suffix}`,
    ip: `10.65.0.${index + 1}`,
    labels: { app: 'web', 'pod-template-hash': '7d9' },
    isLocal: true,
    deployment: 'web',
  })),
  { namespace: 'shop', name: 'db-0', ip: '10.65.0.10', labels: { app: 'db' }, isLocal: true },
  { namespace: 'other', name: 'x', ip: '10.65.1.1', labels: { app: 'x' }, isLocal: false },
];

const factsOf = ({ labels, deployment }: TestPod): PodFacts => ({
  labels,
  ownerReferences:
    deployment === undefined
      ? []
      : [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${deployment}-7d9`, uid: 'u', controller: true }],
});

export const clusterEvents = (pods: readonly TestPod[] = PODS): readonly PolicyEvent[] => [
  ...[...new Set(pods.map(({ namespace }) => namespace))].map(
    (name): PolicyEvent => ({ type: 'upsert', kind: 'Namespace', object: { metadata: { name } } }),
  ),
  {
    type: 'upsert',
    kind: 'Node',
    object: {
      metadata: { name: 'n1' },
      status: { addresses: [{ type: 'InternalIP', address: '192.0.2.11' }] },
    } as never,
  },
  ...pods.map(
    ({ namespace, name, ip, labels, isLocal }): PolicyEvent => ({
      type: 'upsert',
      kind: 'Pod',
      object: {
        metadata: { namespace, name, labels },
        spec: { nodeName: isLocal ? 'n1' : 'n2' },
        status: { podIPs: [{ ip }] },
      } as never,
    }),
  ),
];

export const networkPolicy = (namespace: string, name: string, spec: object): PolicyEvent => ({
  type: 'upsert',
  kind: 'NetworkPolicy',
  object: { metadata: { namespace, name }, spec } as never,
});

export interface TestNode {
  readonly engine: PolicyEngine;
  readonly recorder: FlowRecorder;
  readonly identities: Identities;
  readonly options: ConstructorParameters<typeof FlowRecorder>[0];
}

export function testNode(
  policies: readonly PolicyEvent[] = [],
  services: ReadonlyMap<string, FlowService> = new Map(),
): TestNode {
  const engine = new PolicyEngine({ nodeName: 'n1', denyReports: { group: 1, perSecond: 10, burst: 10 } });
  for (const event of clusterEvents()) engine.apply(event);
  for (const [index, { namespace, name, ip, isLocal }] of PODS.entries())
    if (isLocal)
      engine.apply({
        type: 'endpoint-upsert',
        endpoint: { namespace, name, interface: `tort${index}`, addresses: [ip] },
      });
  for (const event of policies) engine.apply(event);
  engine.flush();
  const identities = new Identities({
    holderOf: (address) => engine.holderOf(address),
    podFacts: (namespace, name) => {
      const pod = PODS.find((one) => one.namespace === namespace && one.name === name);
      return pod && factsOf(pod);
    },
  });
  const options = {
    node: 'n1',
    identities,
    judge: engine,
    serviceOf: (address: string, protocol: number, port: number) => services.get(`${address} ${protocol} ${port}`),
    lingering: () => 30_000,
  };
  return { engine, identities, options, recorder: new FlowRecorder(options) };
}

export interface Talk {
  readonly from: string;
  readonly to: string;
  /** What the client spoke to, where that was translated. */
  readonly through?: readonly [address: string, port: number];
  readonly port?: number;
  readonly sourcePort?: number;
  readonly protocol?: number;
  readonly id?: number;
}

export function connection({
  from,
  to,
  through,
  port = 80,
  sourcePort = 40_000,
  protocol = 6,
  id = 1,
}: Talk): ConnectionState {
  const [destination, destinationPort] = through ?? [to, port];
  return {
    family: 4,
    id,
    zone: 0,
    original: { protocol, source: from, destination, sourcePort, destinationPort },
    reply: { protocol, source: to, destination: from, sourcePort: port, destinationPort: sourcePort },
    status: 0,
    sent: { packets: 0, bytes: 0 },
    answered: { packets: 0, bytes: 0 },
    isCounted: true,
  };
}

export const begins = (talk: Talk): ConnectionEvent => ({ type: 'new', connection: connection(talk) });

export const ends = (talk: Talk, sent = 100, answered = 1000): ConnectionEvent => ({
  type: 'ended',
  connection: {
    ...connection(talk),
    sent: { packets: 2, bytes: sent },
    answered: { packets: 3, bytes: answered },
    start: 1_000,
    stop: 41_000,
  },
});

export function reported(
  prefix: string,
  { from, to, port = 80, sourcePort = 40_000, protocol = 6 }: Talk,
): LoggedPacket {
  return {
    prefix,
    family: 4,
    bytes: 60,
    tuple: { protocol, source: from, destination: to, sourcePort, destinationPort: port },
  };
}
