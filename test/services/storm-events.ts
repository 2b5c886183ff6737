/** A random history of Services and their endpoints, beside one Service that stays as it is. */
import type { ServiceEvent, ServiceKubeObject } from '@tortie/services';
import { addressOf, NET, POD_RANGES, type Place } from './rows.js';
import { ECHO_PORT } from './rack.js';

type Random = () => number;

/** Its cluster IPs, on port 80. */
export const STABLE = { 4: '10.96.200.1', 6: 'fd00:96::200:1' } as const;
const SERVICES = 24;
const FAMILIES = [4, 6] as const;
const PLACES: readonly Place[] = ['L1', 'L2', 'R1', 'R2'];

/** The node, pods' ranges and the Service that stays. */
export function firstEvents(): readonly ServiceEvent[] {
  const addresses = FAMILIES.map((family) => ({ type: 'InternalIP', address: NET[family].node }));
  const spec = { type: 'ClusterIP', clusterIPs: Object.values(STABLE), ports: [{ name: 'p', port: 80 }] };
  const stable = { metadata: { namespace: 'shop', name: 'stable' }, spec };
  const node = { metadata: { name: 'n1' }, status: { addresses } };
  return [
    { type: 'pod-ranges', ranges: POD_RANGES },
    upsert('Node', node),
    upsert('Service', stable),
    ...FAMILIES.map((family) => upsert('EndpointSlice', slice('stable', family, ['R1'], ECHO_PORT))),
  ];
}

export function randomEvent(random: Random): ServiceEvent {
  const index = Math.floor(random() * SERVICES);
  const name = `s${index}`;
  const chance = random();
  if (chance < 0.1) return { type: 'delete', kind: 'Service', namespace: 'shop', name };
  if (chance < 0.4) return upsert('Service', service(random, name, index));
  const family = random() < 0.5 ? 4 : 6;
  return upsert(
    'EndpointSlice',
    slice(
      name,
      family,
      PLACES.filter(() => random() < 0.5),
      8_080,
    ),
  );
}

const upsert = (kind: 'Service' | 'EndpointSlice' | 'Node', object: ServiceKubeObject): ServiceEvent => ({
  type: 'upsert',
  kind,
  object,
});

function service(random: Random, name: string, index: number): ServiceKubeObject {
  const isLocal = random() < 0.4;
  const spec = {
    type: 'LoadBalancer',
    clusterIPs: [`10.96.0.${index + 10}`, `fd00:96::${index + 10}`],
    ports: [{ name: 'p', port: 80, nodePort: 30_000 + index }],
    externalIPs: random() < 0.5 ? [`198.51.100.${index + 10}`] : [],
    externalTrafficPolicy: isLocal ? 'Local' : 'Cluster',
    ...(random() < 0.3 ? { loadBalancerSourceRanges: ['203.0.113.0/24', '2001:db8:9::/64'] } : {}),
  };
  const status = { loadBalancer: { ingress: [{ ip: `198.51.100.${index + 100}` }] } };
  const object = { metadata: { namespace: 'shop', name }, spec, status };
  return object;
}

function slice(name: string, family: 4 | 6, places: readonly Place[], port: number): ServiceKubeObject {
  const object = {
    metadata: { namespace: 'shop', name: `${name}-${family}`, labels: { 'kubernetes.io/service-name': name } },
    addressType: `IPv${family}`,
    ports: [{ name: 'p', protocol: 'TCP', port }],
    endpoints: places.map((place) => ({
      addresses: [addressOf(family, place)],
      nodeName: place.startsWith('L') ? 'n1' : 'n2',
      conditions: { ready: true },
    })),
  };
  return object;
}
