/** Random clusters of Services as one node sees them, and the connections worth asking about. */
import fc from 'fast-check';
import type { ServiceEvent, ServiceKubeObject, ServicesOptions } from '@tortie/services';
import { parsePrefix } from 'node-bgp/address';
import type { Packet } from './walk.js';

export const NODE = 'n1';
export const NODE_ADDRESS = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;
export const POD_RANGES = ['10.65.0.0/16', 'fd00:65::/64'].map((text) => parsePrefix(text));
const CLUSTER = { 4: '10.96.0.', 6: 'fd00:96::' } as const;
const OUTER = { 4: '198.51.100.', 6: '2001:db8:100::' } as const;
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;

type Family = 4 | 6;

export const arbitraryOptions: fc.Arbitrary<ServicesOptions> = fc.record({
  nodeName: fc.constant(NODE),
  masqueradeAll: fc.boolean(),
  nodePortAddresses: fc.constantFrom(undefined, undefined, 'primary' as const, [parsePrefix('192.0.2.0/24')]),
});

const arbitraryFamilies = fc.constantFrom<readonly Family[]>([4], [6], [4, 6]);
const outer = (family: Family) => fc.integer({ min: 1, max: 3 }).map((host) => `${OUTER[family]}${host}`);
const anyOuter = fc.oneof(outer(4), outer(6));

const arbitraryPort = (index: number) =>
  fc.record({
    name: fc.constant(`p${index}`),
    protocol: fc.constantFrom(...PROTOCOLS),
    port: fc.constantFrom(80, 443, 53),
    nodePort: fc.option(fc.constantFrom(30_080, 30_443, 30_053), { nil: undefined }),
  });

function arbitraryService(index: number): fc.Arbitrary<ServiceKubeObject> {
  return fc
    .record({
      families: arbitraryFamilies,
      type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer', 'LoadBalancer'),
      ports: fc
        .integer({ min: 1, max: 2 })
        .chain((count) => fc.tuple(...Array.from({ length: count }, (_, at) => arbitraryPort(at)))),
      externalIPs: fc.array(anyOuter, { maxLength: 2 }),
      ingress: fc.array(fc.record({ ip: anyOuter, ipMode: fc.constantFrom(undefined, 'VIP', 'Proxy') }), {
        maxLength: 2,
      }),
      internal: fc.constantFrom(undefined, 'Cluster', 'Local'),
      external: fc.constantFrom('Cluster', 'Local'),
      affinity: fc.constantFrom(undefined, 'None', 'ClientIP'),
      ranges: fc.constantFrom(
        undefined,
        undefined,
        ['203.0.113.0/24'],
        ['192.0.2.0/24', '2001:db8:9::/48'],
        ['0.0.0.0/0'],
      ),
      created: fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'),
      age: fc.nat(2),
    })
    .map((one) => ({
      metadata: { namespace: 'shop', name: `s${index}`, creationTimestamp: one.created },
      spec: {
        type: one.type,
        clusterIPs: one.families.map((family) => `${CLUSTER[family]}${index + 1}`),
        ports: one.ports.map(({ nodePort, ...port }) => (one.type === 'ClusterIP' ? port : { ...port, nodePort })),
        externalIPs: one.externalIPs,
        internalTrafficPolicy: one.internal,
        externalTrafficPolicy: one.external,
        sessionAffinity: one.affinity,
        loadBalancerSourceRanges: one.ranges,
      },
      status: { loadBalancer: { ingress: one.ingress } },
    }));
}

const condition = fc.constantFrom(undefined, true, true, false);

function arbitraryEndpoint(family: Family) {
  return fc
    .record({
      host: fc.integer({ min: 1, max: 6 }),
      node: fc.constantFrom(NODE, 'n2', 'n3', undefined),
      ready: condition,
      serving: condition,
      terminating: fc.constantFrom(undefined, false, true),
      zones: fc.constantFrom(undefined, ['a'], ['b'], ['a', 'b']),
      nodes: fc.constantFrom(undefined, undefined, [NODE], ['n2']),
    })
    .map((one) => ({
      addresses: [family === 4 ? `10.65.0.${one.host}` : `fd00:65::${one.host}`],
      nodeName: one.node,
      conditions: { ready: one.ready, serving: one.serving, terminating: one.terminating },
      hints: {
        forZones: one.zones?.map((name) => ({ name })),
        forNodes: one.nodes?.map((name) => ({ name })),
      },
    }));
}

function arbitrarySlice(index: number, services: number): fc.Arbitrary<ServiceKubeObject> {
  return fc
    .record({
      family: fc.constantFrom<Family>(4, 6),
      service: fc.nat(services - 1),
      ports: fc.subarray([0, 1], { minLength: 1 }),
    })
    .chain(({ family, service, ports }) =>
      fc
        .tuple(fc.array(arbitraryEndpoint(family), { maxLength: 4 }), fc.constantFrom(...PROTOCOLS))
        .map(([endpoints, protocol]) => ({
          metadata: {
            namespace: 'shop',
            name: `slice-${index}`,
            labels: { 'kubernetes.io/service-name': `s${service}` },
          },
          addressType: family === 4 ? 'IPv4' : 'IPv6',
          endpoints,
          ports: ports.map((at) => ({ name: `p${at}`, protocol, port: 8_080 + at })),
        })),
    );
}

const node: fc.Arbitrary<ServiceKubeObject> = fc.constantFrom('a', 'c', undefined).map((zone) => ({
  metadata: { name: NODE, ...(zone === undefined ? {} : { labels: { 'topology.kubernetes.io/zone': zone } }) },
  status: { addresses: Object.values(NODE_ADDRESS).map((address) => ({ type: 'InternalIP', address })) },
}));

/** A cluster as the events that make it, one object an event. */
export const arbitraryWorld: fc.Arbitrary<readonly ServiceEvent[]> = fc.integer({ min: 1, max: 3 }).chain((count) =>
  fc
    .tuple(
      fc.tuple(...Array.from({ length: count }, (_, index) => arbitraryService(index))),
      fc
        .array(fc.nat(), { maxLength: 4 })
        .chain((list) => fc.tuple(...list.map((_, index) => arbitrarySlice(index, count)))),
      node,
      fc.boolean(),
    )
    .map(([services, slices, self, knowsPods]): readonly ServiceEvent[] => [
      { type: 'pod-ranges', ranges: knowsPods ? POD_RANGES : [] },
      { type: 'upsert', kind: 'Node', object: self },
      ...services.map((object) => ({ type: 'upsert', kind: 'Service', object }) as const),
      ...slices.map((object) => ({ type: 'upsert', kind: 'EndpointSlice', object }) as const),
    ]),
);

/** Every kind of source to every kind of destination that such a cluster has. */
export function* connections(): Generator<Packet> {
  for (const family of [4, 6] as const) {
    const pods = family === 4 ? '10.65.0.' : 'fd00:65::';
    const self = NODE_ADDRESS[family];
    const destinations = [
      ...[1, 2, 3].flatMap((host) => [`${CLUSTER[family]}${host}`, `${OUTER[family]}${host}`]),
      self,
      family === 4 ? '127.0.0.1' : '::1',
      family === 4 ? '203.0.113.77' : '2001:db8:77::1',
    ];
    const sources = [
      { source: `${pods}1`, isFromNode: false },
      { source: `${pods}9`, isFromNode: false },
      { source: self, isFromNode: true },
      { source: family === 4 ? '203.0.113.9' : '2001:db8:9::9', isFromNode: false },
      { source: family === 4 ? '198.51.100.1' : '2001:db8:100::1', isFromNode: true },
    ];
    for (const destination of destinations)
      for (const from of sources)
        for (const protocol of ['tcp', 'udp', 'sctp'] as const)
          for (const port of [80, 443, 53, 30_080, 30_443, 30_053])
            yield {
              family,
              destination,
              ...from,
              protocol,
              port,
              isToNode: destination === self || destination === '127.0.0.1' || destination === '::1',
            };
  }
}
