/**
 * Gives Services of type LoadBalancer their addresses, and writes them where everybody looks: `status.loadBalancer.ingress`.
 *
 *   watch -> ledger (who has what) -> assign -> held in the ledger -> status written against the version that was read
 *
 * The statuses are the only record. Every candidate keeps the ledger, the leader alone writes; what it has decided counts as taken
 * until a status shows it, or an outcome that is not known is old enough to be ruled out. Why a Service waits stands in its condition
 * and in an event. Nothing is taken from a Service that this controller does not serve (loadBalancerClass).
 */
import { formatAddress, tryParseAddress, type IpAddress, type IpPrefix } from 'node-bgp/address';
import type { Service } from '../../api/core.js';
import { objectKey, type Cluster, type ClusterChange } from '../../cluster/cluster.js';
import type { Happening } from '../../cluster/event-recorder.js';
import { ApiError, type Datastore } from '../../datastore/datastore.js';
import { messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import { assign, type Assignment } from './assignment.js';
import { AddressLedger, type AddressUse } from './ledger.js';
import { loadBalancerPoolsOf, poolOf, type LoadBalancerPool } from './pools.js';
import { happeningOf, hasCondition, isLeftOver, statusWith, statusWithout } from './service-status.js';
import { asksByName, wishOf } from './wish.js';

export interface AddressLoopOptions {
  readonly cluster: Cluster;
  readonly datastore: Pick<Datastore, 'get' | 'replaceStatus'>;
  readonly isLeader: () => boolean;
  /** Values of spec.loadBalancerClass that are ours; a Service without one is, too. */
  readonly classes: readonly string[];
  /** Calico's KubeControllersConfiguration, assignIPs: whether Services without a class must ask by name. */
  readonly assignIPs: 'AllServices' | 'RequestedServicesOnly';
  readonly matches: (selector: string, labels: ReadonlyMap<string, string>) => boolean;
  readonly parseReserved: (text: string) => IpPrefix | undefined;
  /** Decides and says, and writes nothing. */
  readonly isDryRun: boolean;
  /** Says it in an event. */
  readonly record: (happening: Happening) => void;
  readonly log: Logger;
}

const MOST_WRITES = 8;
const RETRY = 1_000;
/** The watch is a moment behind what was read. */
const STALE_RETRY = 100;
/** A write whose answer was lost has arrived by then, or never will: requests give up in 15 s. */
const UNKNOWN_FOR = 30_000;

/** Decided, and not seen in a status yet. */
interface Held {
  readonly addresses: readonly IpAddress[];
  readonly timer: NodeJS.Timeout;
}

export class AddressLoop {
  private readonly ledger = new AddressLedger();
  private pools: readonly LoadBalancerPool[] = [];
  private reserved: readonly IpPrefix[] = [];
  /** Services to look at, in turn. BOUNDED by the Services there are, as the maps below. */
  private readonly due = new Set<string>();
  private readonly pending = new Set<string>();
  private readonly busy = new Set<string>();
  private readonly held = new Map<string, Held>();
  /** Outcome last written or found written. */
  private readonly told = new Map<string, string>();
  private isRunning = false;
  private isStopped = false;
  private wake: NodeJS.Immediate | undefined;

  constructor(private readonly options: AddressLoopOptions) {}

  /** After the first sync. */
  start(): void {
    const { cluster } = this.options;
    this.readPools();
    this.readReservations();
    for (const key of cluster.all('services').keys()) this.enter(key);
    cluster.onChange((change) => this.changed(change));
    this.isRunning = true;
    this.everything();
  }

  stop(): void {
    this.isStopped = true;
    clearImmediate(this.wake);
    for (const { timer } of this.held.values()) clearTimeout(timer);
  }

  /** Looks at all Services anew; whoever has just been elected has to. */
  everything(): void {
    if (!this.isRunning) return;
    // Those who have an address first, and seniors before juniors: nobody new gets what somebody has.
    const services = [...this.options.cluster.all('services').entries()].sort(([, a], [, b]) =>
      seniority(a) < seniority(b) ? -1 : 1,
    );
    for (const [key] of services) if (this.currentOf(key).length > 0) this.due.add(key);
    for (const [key] of services) this.due.add(key);
    this.run();
  }

  /** Services that wait for an address. */
  get waiting(): ReadonlySet<string> {
    return this.pending;
  }

  private changed({ kind, object, type }: ClusterChange): void {
    if (kind === 'services') {
      const key = objectKey(object.metadata.namespace, object.metadata.name);
      this.release(key, object as Service, type === 'delete');
      if (this.enter(key)) this.retryPending();
      this.due.add(key);
    } else if (kind === 'ipPools') {
      this.readPools();
      for (const key of this.options.cluster.all('services').keys()) {
        this.enter(key);
        this.due.add(key);
      }
    } else if (kind === 'ipReservations') {
      this.readReservations();
      this.retryPending();
    } else if (kind === 'namespaces') this.retryPending();
    else return;
    this.run();
  }

  private retryPending(): void {
    for (const key of this.pending) this.due.add(key);
  }

  private readPools(): void {
    this.pools = loadBalancerPoolsOf(this.options.cluster.all('ipPools').values());
  }

  private readReservations(): void {
    const { cluster, parseReserved } = this.options;
    this.reserved = [...cluster.all('ipReservations').values()]
      .flatMap(({ spec }) => spec.reservedCIDRs ?? [])
      .map(parseReserved)
      .filter((prefix) => prefix !== undefined);
  }

  /** What was decided is seen, or cannot come true any more. */
  private release(key: string, { status, metadata }: Service, isGone: boolean): void {
    const held = this.held.get(key);
    if (held === undefined) return;
    const seen = new Set((status?.loadBalancer?.ingress ?? []).map(({ ip }) => canonical(ip)));
    const isSeen = held.addresses.every((address) => seen.has(formatAddress(address)));
    if (isGone || metadata.deletionTimestamp !== undefined || isSeen) this.letGo(key);
  }

  private letGo(key: string): void {
    clearTimeout(this.held.get(key)?.timer);
    this.held.delete(key);
  }

  /** Brings the ledger up to date; true when an address became free. */
  private enter(key: string): boolean {
    const service = this.options.cluster.all('services').get(key);
    if (service === undefined) {
      this.pending.delete(key);
      this.told.delete(key);
      return this.ledger.delete(key);
    }
    return this.ledger.set(key, this.useOf(service), [
      ...this.currentOf(key),
      ...(this.held.get(key)?.addresses ?? []),
      // Whatever else stands in a pool is nobody's to give.
      ...addressesOf(service.spec?.externalIPs ?? []),
    ]);
  }

  private currentOf(key: string): readonly IpAddress[] {
    const ingress = this.options.cluster.all('services').get(key)?.status?.loadBalancer?.ingress ?? [];
    return addressesOf(ingress.flatMap(({ ip }) => ip ?? []));
  }

  private useOf(service: Service): AddressUse {
    const { metadata, spec = {} } = service;
    const selector = Object.entries(spec.selector ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      sharingKey: wishOf(service).sharingKey,
      ports: (spec.ports ?? []).map(({ protocol = 'TCP', port }) => `${protocol}/${port}`),
      backends: spec.externalTrafficPolicy === 'Local' ? JSON.stringify([metadata.namespace, selector]) : undefined,
      // Who is served by somebody else gives nothing up for us.
      seniority: `${this.isOurs(service) ? 1 : 0} ${seniority(service)}`,
    };
  }

  private isOurs(service: Service): boolean {
    const { classes, assignIPs } = this.options;
    const { spec = {}, metadata } = service;
    if (spec.type !== 'LoadBalancer' || metadata.deletionTimestamp !== undefined) return false;
    if (spec.loadBalancerClass !== undefined) return classes.includes(spec.loadBalancerClass);
    return (assignIPs === 'AllServices' || asksByName(service)) && !this.isOfSomebodyElse(service);
  }

  /**
   * Clusters have load balancers of their own, most of them without a class: what has got its address elsewhere is left alone, and so is
   * everybody where there is no pool for Services at all.
   */
  private isOfSomebodyElse({ status }: Service): boolean {
    if (hasCondition(status)) return false;
    const ingress = status?.loadBalancer?.ingress ?? [];
    const isOurs = (ip: string | undefined): boolean => {
      const address = tryParseAddress(ip ?? '');
      return address !== undefined && poolOf(this.pools, address) !== undefined;
    };
    return this.pools.length === 0 || ingress.some(({ ip }) => !isOurs(ip));
  }

  private run(): void {
    if (!this.isRunning || this.isStopped || this.wake !== undefined) return;
    this.wake = setImmediate(() => {
      this.wake = undefined;
      for (const key of this.due) {
        if (!this.options.isLeader() || this.busy.size >= MOST_WRITES) return;
        if (this.busy.has(key)) continue;
        this.due.delete(key);
        void this.look(key);
      }
    });
  }

  /** Decides on one Service at once, and writes what is new. */
  private async look(key: string): Promise<void> {
    const { cluster, isDryRun, log } = this.options;
    const service = cluster.all('services').get(key);
    if (service === undefined || !this.isOurs(service)) {
      this.pending.delete(key);
      if (service !== undefined && isLeftOver(service)) await this.clear(key, service);
      return;
    }
    const outcome = this.decide(key, service);
    this.pending[outcome.isPending ? 'add' : 'delete'](key);
    const text = JSON.stringify([outcome.reason, outcome.message, outcome.addresses.map(formatAddress)]);
    if (this.told.get(key) === text && this.isWritten(key, outcome)) return;
    if (isDryRun) {
      this.told.set(key, text);
      log.info({ service: key, addresses: outcome.addresses.map(formatAddress) }, `Would say: ${outcome.message}`);
      return;
    }
    this.hold(key, outcome.addresses);
    this.busy.add(key);
    try {
      if (await this.write(key, service, outcome)) this.told.set(key, text);
      else this.lookAgain(key, STALE_RETRY);
      if (this.isWritten(key, outcome)) this.letGo(key);
    } catch (error) {
      log.warn({ service: key, problem: messageOf(error) }, 'Cannot write the addresses of a Service; trying again');
      // Refused is refused; anything else may have come true.
      if (error instanceof ApiError) this.forget(key);
      this.lookAgain(key, RETRY);
    }
    this.busy.delete(key);
    this.run();
  }

  private lookAgain(key: string, pause: number): void {
    setTimeout(() => {
      this.due.add(key);
      this.run();
    }, pause).unref();
  }

  /** It was of type LoadBalancer once. */
  private async clear(key: string, { metadata }: Service): Promise<void> {
    const { datastore, isDryRun, isLeader, log } = this.options;
    this.told.delete(key);
    if (isDryRun) return;
    this.busy.add(key);
    try {
      const fresh = await datastore.get('services', metadata.name, metadata.namespace);
      if (fresh !== undefined && isLeftOver(fresh) && isLeader())
        await datastore.replaceStatus('services', { ...fresh, status: statusWithout(fresh) });
    } catch (error) {
      log.debug({ service: key, problem: messageOf(error) }, 'Cannot clear the status of a Service; trying again');
      this.lookAgain(key, RETRY);
    }
    this.busy.delete(key);
    this.run();
  }

  private decide(key: string, service: Service): Assignment {
    const { cluster, matches } = this.options;
    const namespace = cluster.get('namespaces', service.metadata.namespace ?? '');
    const labels = new Map(Object.entries(namespace?.metadata.labels ?? {}));
    return assign({
      service: key,
      wish: wishOf(service),
      use: this.useOf(service),
      current: [...this.currentOf(key), ...(this.held.get(key)?.addresses ?? [])],
      pools: this.pools,
      selectsNamespace: (selector) => {
        try {
          return matches(selector, labels);
        } catch {
          // Told of the pool, by the agents.
          return false;
        }
      },
      ledger: this.ledger,
      reserved: this.reserved,
    });
  }

  private isWritten(key: string, { addresses }: Assignment): boolean {
    const current = this.currentOf(key).map(formatAddress);
    return (
      current.length === addresses.length && addresses.every((address) => current.includes(formatAddress(address)))
    );
  }

  private hold(key: string, addresses: readonly IpAddress[]): void {
    this.letGo(key);
    const timer = setTimeout(() => this.forget(key), UNKNOWN_FOR).unref();
    this.held.set(key, { addresses, timer });
    this.enter(key);
  }

  private forget(key: string): void {
    this.letGo(key);
    if (this.enter(key)) this.retryPending();
    this.run();
  }

  /** False: the Service is not any more what was decided on. */
  private async write(key: string, decided: Service, outcome: Assignment): Promise<boolean> {
    const { datastore, isLeader, record, log } = this.options;
    const { name, namespace = '' } = decided.metadata;
    const fresh = await datastore.get('services', name, namespace);
    if (fresh === undefined || fresh.metadata.uid !== decided.metadata.uid) return true;
    if (fresh.metadata.resourceVersion !== decided.metadata.resourceVersion && isOther(fresh, decided)) return false;
    const status = statusWith(fresh, outcome);
    if (status === undefined) return true;
    if (!isLeader()) return false;
    try {
      await datastore.replaceStatus('services', { ...fresh, status });
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) return false;
      throw error;
    }
    log.info({ service: key, reason: outcome.reason }, outcome.message);
    record(happeningOf(fresh, outcome));
    return true;
  }
}

/** Older first; of one second by uid. */
const seniority = ({ metadata }: Service): string => `${metadata.creationTimestamp ?? ''} ${metadata.uid ?? ''}`;

const canonical = (text: string | undefined): string | undefined => {
  const address = tryParseAddress(text ?? '');
  return address && formatAddress(address);
};

const addressesOf = (texts: readonly string[]): readonly IpAddress[] =>
  texts.map(tryParseAddress).filter((address) => address !== undefined);

/** Is what was read something else than what was decided on? The watch may be a moment behind. */
function isOther(fresh: Service, decided: Service): boolean {
  const read = ({ spec, metadata, status }: Service): string =>
    JSON.stringify([
      spec,
      metadata.deletionTimestamp,
      Object.keys(decided.metadata.annotations ?? {}).map((key) => metadata.annotations?.[key]),
      (status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip),
    ]);
  return read(fresh) !== read(decided);
}
