/** Services, pools and an API server of a few lines, for tests of load-balancer addresses. */
import type { KindName, ObjectOf } from '../../../src/api/kinds.js';
import type { IPPool, IPPoolSpec } from '../../../src/api/ipam.js';
import type { Service, ServiceSpec } from '../../../src/api/core.js';
import { Cluster } from '../../../src/cluster/cluster.js';
import type { Happening } from '../../../src/cluster/event-recorder.js';
import { AddressLoop, type AddressLoopOptions } from '../../../src/controller/load-balancer/address-loop.js';
import { ApiError, type Datastore } from '../../../src/datastore/datastore.js';
import { trim } from '../../../src/datastore/trim.js';
import { selectorMatches } from '../../../src/agent/node-selector.js';
import { parseReserved } from '../../../src/agent/reservations.js';
import { createLogger } from '../../../src/log.js';

export const poolOf = (name: string, cidr: string, spec: Partial<IPPoolSpec> = {}): IPPool => ({
  metadata: { name },
  spec: { cidr, allowedUses: ['LoadBalancer'], ...spec },
});

let uids = 0;
export const serviceOf = (name: string, spec: ServiceSpec = {}, annotations: Record<string, string> = {}): Service => ({
  metadata: {
    name,
    namespace: 'shop',
    uid: `uid-${String(++uids).padStart(6, '0')}`,
    creationTimestamp: '2026-12-01T00:00:00Z',
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  },
  spec: {
    type: 'LoadBalancer',
    clusterIP: '10.96.0.1',
    ipFamilies: ['IPv4'],
    ipFamilyPolicy: 'SingleStack',
    ports: [{ port: 80 }],
    selector: { app: name },
    ...spec,
  },
});

/** Keeps Services as an API server does: versions, compare-and-swap, and a watch that may lag. */
export class ServiceServer {
  readonly services = new Map<string, Service>();
  readonly events: Happening[] = [];
  readonly record = (happening: Happening): void => void this.events.push(happening);
  /** What watchers have not heard yet. */
  private readonly unheard: (() => void)[] = [];
  private version = 0;
  /** Decides the fate of each write: undefined lets it pass. 'lost': it comes true, and the answer is lost. */
  fault: () => 'lost' | 'away' | undefined = () => undefined;
  lags = false;

  constructor(private readonly sinks: readonly Cluster[]) {}

  readonly datastore: Pick<Datastore, 'get' | 'replaceStatus'> = {
    get: async <K extends KindName>(_: K, name: string, namespace?: string) =>
      this.services.get(`${namespace ?? ''}/${name}`) as ObjectOf[K] | undefined,
    replaceStatus: async (_kind, object) => {
      await new Promise(setImmediate);
      const fault = this.fault();
      if (fault === 'away') throw new Error('no route to the API server');
      const { metadata, status } = object as Service;
      const before = this.services.get(`${metadata.namespace ?? ''}/${metadata.name}`);
      if (before === undefined) throw new ApiError('gone', 404, 'NotFound');
      if (before.metadata.resourceVersion !== metadata.resourceVersion) throw new ApiError('stale', 409, 'Conflict');
      const after = this.put({ ...before, ...(status === undefined ? {} : { status }) });
      if (fault === 'lost') throw new Error('the connection broke');
      return after as typeof object;
    },
  };

  put(service: Service): Service {
    const stored = { ...service, metadata: { ...service.metadata, resourceVersion: String(++this.version) } };
    this.services.set(`${service.metadata.namespace ?? ''}/${service.metadata.name}`, stored);
    this.tell((sink) => sink.upsert('services', trim('services', stored)));
    return stored;
  }

  /** Keeps the status; as a user's apply does. */
  apply(service: Service): void {
    const before = this.services.get(`${service.metadata.namespace ?? ''}/${service.metadata.name}`);
    const { uid = '', creationTimestamp = '' } = before?.metadata ?? service.metadata;
    const isTyped = service.spec?.type === 'LoadBalancer';
    this.put({
      ...service,
      metadata: { ...service.metadata, uid, creationTimestamp },
      ...(before?.status === undefined
        ? {}
        : { status: isTyped ? before.status : { ...before.status, loadBalancer: {} } }),
    });
  }

  delete(key: string): void {
    const before = this.services.get(key);
    if (before === undefined) return;
    this.services.delete(key);
    this.tell((sink) => sink.delete('services', trim('services', before)));
  }

  /** Watchers hear of everything, or of the next thing. */
  hear(most = Infinity): void {
    for (const each of this.unheard.splice(0, most)) each();
  }

  ingressOf(name: string): readonly string[] {
    return (this.services.get(`shop/${name}`)?.status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip ?? '');
  }

  conditionOf(name: string): string {
    const [condition] = this.services.get(`shop/${name}`)?.status?.conditions ?? [];
    return condition === undefined ? '' : `${condition.status} ${condition.reason}: ${condition.message}`;
  }

  private tell(change: (sink: Cluster) => void): void {
    for (const sink of this.sinks) this.unheard.push(() => change(sink));
    if (!this.lags) this.hear();
  }
}

export const newCluster = (): Cluster => new Cluster(['services', 'namespaces', 'ipPools', 'ipReservations']);

export const loopOf = (
  cluster: Cluster,
  datastore: AddressLoopOptions['datastore'],
  more: Partial<AddressLoopOptions> = {},
): AddressLoop =>
  new AddressLoop({
    cluster,
    datastore,
    isLeader: () => true,
    classes: ['calico'],
    assignIPs: 'AllServices',
    matches: selectorMatches,
    parseReserved,
    isDryRun: false,
    record: () => undefined,
    log: createLogger('test', { level: 'silent' }),
    ...more,
  });

/** Lets everything that is under way come to its end. */
export async function settle(turns = 60): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
}
