/**
 * The Services engine: Services, EndpointSlices and this node's object in as events, one node's load-balancing rules out as deltas of the
 * ruleset that policy speaks, and answers about any connection.
 *
 * `apply` takes an object in and marks the Services it concerns; `flush` computes those again and reports what differs from the last
 * flush. An event costs in proportion to the Service it is about. Pure: no I/O, no clock; the same events in any order, with any
 * repetition, end in the same rules.
 *
 * Not here: the kernel, the API, health checks' sockets, connection tracking; the engine says what they should be.
 */
import { formatPrefix, hostPrefix, parseAddress, type IpAddress, type IpPrefix, formatAddress } from 'node-bgp/address';
import { networksContain, networksOf, unionNetworks } from '@tortie/policy/model/networks';
import type { Problem } from '@tortie/policy/problem';
import { NamedStore, sameChain } from '@tortie/policy/resolve/chain-store';
import { chainKey, setName, type Chain, type Hook, type Ruleset, type RulesetDelta } from '@tortie/policy/ruleset';
import { baseChains, hooksOf } from './compile/base-chains.js';
import { choiceChain, DROP, externalChain, firewallChain, NODE_PORT_SET, POD_SET, REJECT } from './compile/names.js';
import type { Frontend, FrontendSettings } from './model/frontend.js';
import type { NodeView } from './model/choice.js';
import { endpointKey } from './model/endpoint.js';
import { serviceKeyText, type Translated } from './model/service.js';
import { ZONE_LABEL, type ServiceEvent, type ServiceKind, type ServiceKubeObject } from './objects.js';
import { Claims, collision, type Claim } from './resolve/claims.js';
import { bigintText, nodeAddressesOf, withoutWhole } from './resolve/node-facts.js';
import { DatagramFrontends, type StaleDatagrams } from './resolve/datagrams.js';
import { PublishedSets } from './resolve/published.js';
import { buildService, type BuiltService } from './resolve/service-builder.js';
import { ServiceMaps } from './resolve/service-maps.js';
import { ServiceStore } from './resolve/service-store.js';
import { translateSlice } from './translate/endpoint-slice.js';
import { translateService } from './translate/service.js';
import { verdictOf, type Connection, type Verdict } from './verdict/oracle.js';

export interface ServicesOptions {
  /** Whose endpoints are local, and whose labels and addresses count. */
  readonly nodeName: string;
  /** Every connection through a cluster IP leaves with the node's address. Default false. */
  readonly masqueradeAll?: boolean;
  /** Local addresses that ports of the node are served on: ranges, or those that the node's object lists. Default: all. */
  readonly nodePortAddresses?: readonly IpPrefix[] | 'primary';
}

/** What stands in the way of an object, part by part. */
export interface ServiceProblems {
  readonly kind: ServiceKind;
  readonly namespace: string;
  readonly name: string;
  readonly problems: readonly Problem[];
}

export interface HealthCheck {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly localEndpoints: number;
}

/** A Service as the node serves it. */
export interface ServiceView {
  readonly translated: Translated | undefined;
  readonly built: BuiltService | undefined;
}

interface Held {
  readonly built: BuiltService;
  readonly claims: readonly Claim[];
}

export class ServicesEngine {
  private readonly store = new ServiceStore();
  private readonly claims = new Claims();
  private readonly chains = new NamedStore<Chain>(sameChain);
  private readonly sets = new PublishedSets();
  private readonly maps = new ServiceMaps();
  private readonly datagrams = new DatagramFrontends();
  /** BOUNDED by the cluster's Services. */
  private readonly held = new Map<string, Held>();
  private readonly dirty = new Set<string>();
  /** By "kind namespace/name"; only those with problems. */
  private readonly found = new Map<string, ServiceProblems>();
  private podRanges: readonly IpPrefix[] = [];
  private nodeAddresses: readonly IpAddress[] = [];
  private zone: string | undefined;
  private isBaseDirty = true;
  private hooks: readonly Hook[] = [];
  private toldHooks = '';

  constructor(private readonly options: ServicesOptions) {}

  /** Takes in one event; replays and duplicates are harmless. Never throws for what users wrote. */
  apply(event: ServiceEvent): void {
    switch (event.type) {
      case 'pod-ranges':
        return this.setPodRanges(event.ranges);
      case 'upsert': {
        const { namespace = '', name = '' } = event.object.metadata ?? {};
        return this.applyObject(event.kind, namespace, name, event.object);
      }
      case 'delete':
        return this.applyObject(event.kind, event.namespace ?? '', event.name, undefined);
    }
  }

  /** What changed since the last flush; the first one builds everything. */
  flush(): RulesetDelta {
    this.settle();
    const [chains, sets, maps] = [this.chains.drain(), this.sets.drain(), this.maps.drain()];
    const text = JSON.stringify(this.hooks);
    const hooks = text === this.toldHooks ? {} : { hooks: this.hooks };
    this.toldHooks = text;
    return {
      setsCreated: sets.created,
      setsChanged: sets.changed,
      setsDeleted: sets.deleted,
      chainsUpserted: chains.upserted,
      chainsDeleted: chains.deleted,
      mapsUpserted: maps.upserted,
      mapsChanged: maps.changed,
      mapsDeleted: [],
      ...hooks,
    };
  }

  /** The whole ruleset, a snapshot as of now. */
  ruleset(): Ruleset {
    this.settle();
    return {
      sets: new Map(this.sets.all()),
      chains: new Map(this.chains.all()),
      maps: this.maps.all(),
      hooks: this.hooks,
    };
  }

  problems(): readonly ServiceProblems[] {
    this.settle();
    const all = new Map(this.found);
    for (const { claim, winner } of this.claims.losers()) {
      const { namespace, name } = claim.service;
      const key = `Service ${namespace}/${name}`;
      const known = all.get(key)?.problems ?? [];
      all.set(key, { kind: 'Service', namespace, name, problems: [...known, collision(claim, winner)] });
    }
    return [...all.values()];
  }

  /** Of a Service and its slices. */
  problemsOf(namespace: string, name: string): readonly ServiceProblems[] {
    const slices = this.store.get(`${namespace}/${name}`)?.slices;
    return this.problems().filter(
      (one) =>
        one.namespace === namespace && (one.kind === 'Service' ? one.name === name : slices?.has(one.name) === true),
    );
  }

  service(namespace: string, name: string): ServiceView | undefined {
    this.settle();
    const key = `${namespace}/${name}`;
    const entry = this.store.get(key);
    return entry === undefined ? undefined : { translated: entry.translated, built: this.held.get(key)?.built };
  }

  /** All Services that the node serves. */
  *services(): IterableIterator<BuiltService> {
    this.settle();
    for (const { built } of this.held.values()) yield built;
  }

  /** Ports on which load balancers ask whether this node has ready endpoints, and how many it has. */
  healthChecks(): readonly HealthCheck[] {
    this.settle();
    const checks: HealthCheck[] = [];
    for (const { built } of this.held.values()) {
      const { healthCheckNodePort: port, namespace, name } = built.service;
      if (port === undefined) continue;
      // Those that end serve while none is ready, but nobody new is to be led here (kube-proxy's LocalReadyEndpoints).
      const ready = built.ports.flatMap(({ backend }) => backend.local.filter(({ isReady }) => isReady));
      const local = new Set(ready.map(({ address }) => address));
      checks.push({ namespace, name, port, localEndpoints: local.size });
    }
    return checks;
  }

  /** Tracked connections to look for since the last call; undefined when none can have become wrong. */
  takeStaleDatagrams(): StaleDatagrams | undefined {
    this.settle();
    return this.datagrams.drain();
  }

  /** Ports of Services whose policy is Local and that have no endpoint on this node, though elsewhere. */
  withoutLocalEndpoints(): { readonly internal: number; readonly external: number } {
    this.settle();
    const count = { internal: 0, external: 0 };
    for (const { built } of this.held.values())
      for (const { choice } of built.ports) {
        if (!choice.hasAny || choice.local.length > 0) continue;
        if (built.service.isInternalLocal) count.internal++;
        if (built.service.isExternalLocal) count.external++;
      }
    return count;
  }

  /** What holds an address and port, or a port of the node; keys as frontendKey makes them. */
  frontend(key: string): Frontend | undefined {
    this.settle();
    return this.claims.winner(key)?.frontend;
  }

  /** This node's own, as its object lists them. */
  addressesOfNode(): readonly string[] {
    return this.nodeAddresses.map(formatAddress);
  }

  get pods(): readonly IpPrefix[] {
    return this.podRanges;
  }

  servesNodePorts(address: string): boolean {
    const { nodePortAddresses } = this.options;
    if (nodePortAddresses === undefined) return true;
    const ranges = nodePortAddresses === 'primary' ? this.nodeAddresses.map(hostPrefix) : nodePortAddresses;
    return networksContain(ranges, parseAddress(address));
  }

  /** What would happen to this connection on this node? */
  verdict(connection: Connection): Verdict {
    return verdictOf(this, connection);
  }

  private applyObject(kind: ServiceKind, namespace: string, name: string, object: ServiceKubeObject | undefined): void {
    switch (kind) {
      case 'Service':
        return this.applyService(namespace, name, object);
      case 'EndpointSlice':
        return this.applySlice(namespace, name, object);
      case 'Node':
        if (name === this.options.nodeName) this.applyNode(object);
    }
  }

  private applyService(namespace: string, name: string, object: ServiceKubeObject | undefined): void {
    const key = `${namespace}/${name}`;
    const translated = object === undefined ? undefined : translateService(namespace, name, object);
    this.store.setService(key, translated);
    this.report('Service', namespace, name, translated?.problems ?? []);
    this.dirty.add(key);
  }

  private applySlice(namespace: string, name: string, object: ServiceKubeObject | undefined): void {
    const read = object === undefined ? undefined : translateSlice(namespace, name, object, this.options.nodeName);
    this.report('EndpointSlice', namespace, name, read?.problems ?? []);
    for (const key of this.store.setSlice(namespace, name, read?.slice)) this.dirty.add(key);
  }

  private applyNode(object: ServiceKubeObject | undefined): void {
    const zone = object?.metadata?.labels?.[ZONE_LABEL] || undefined;
    const addresses = nodeAddressesOf(object);
    const isNews =
      zone !== this.zone || JSON.stringify(addresses, bigintText) !== JSON.stringify(this.nodeAddresses, bigintText);
    this.zone = zone;
    this.nodeAddresses = addresses;
    if (isNews) this.everything();
  }

  private setPodRanges(ranges: readonly IpPrefix[]): void {
    const hadRanges = this.podRanges.length > 0;
    this.podRanges = unionNetworks(ranges);
    this.isBaseDirty = true;
    if (hadRanges !== this.podRanges.length > 0) this.everything();
  }

  private everything(): void {
    this.isBaseDirty = true;
    for (const key of this.store.keys()) this.dirty.add(key);
  }

  private settle(): void {
    if (this.isBaseDirty) this.writeBase();
    if (this.dirty.size === 0) return;
    const keys = new Set<string>();
    for (const key of this.dirty) for (const touched of this.rebuild(key)) keys.add(touched);
    this.dirty.clear();
    for (const key of keys) this.writeFrontend(key);
    this.hooks = this.wantedHooks();
  }

  private writeBase(): void {
    this.isBaseDirty = false;
    const { nodePortAddresses } = this.options;
    const knowsPods = this.podRanges.length > 0;
    const settings = {
      masqueradeAll: this.options.masqueradeAll === true,
      knowsPods,
      limitsNodePorts: nodePortAddresses !== undefined,
    };
    for (const chain of baseChains(settings)) this.chains.put(chain);
    this.putNetworks(POD_SET, this.podRanges, 'ranges of pods');
    if (nodePortAddresses === 'primary')
      this.putNetworks(NODE_PORT_SET, this.nodeAddresses.map(hostPrefix), "the node's addresses");
    else if (nodePortAddresses !== undefined) this.putNetworks(NODE_PORT_SET, nodePortAddresses, 'nodePortAddresses');
    this.hooks = this.wantedHooks();
  }

  private putNetworks(id: string, ranges: readonly IpPrefix[], note: string): void {
    const union = unionNetworks(ranges);
    for (const family of [4, 6] as const) {
      const members = new Set(networksOf(union, family).flatMap(withoutWhole).map(formatPrefix));
      this.sets.put({ name: setName(family, id), id, family, type: 'network', members, note });
    }
  }

  private wantedHooks(): readonly Hook[] {
    return hooksOf({
      refusals: !this.maps.isEmpty('refuse', 'refuse-port'),
      firewalls: !this.maps.isEmpty('firewall'),
    });
  }

  /** Computes one Service again; returns the addresses and ports that it claimed or claims. */
  private rebuild(key: string): ReadonlySet<string> {
    const before = this.held.get(key);
    const entry = this.store.get(key);
    const translated = entry?.translated;
    const built =
      entry === undefined || translated?.type !== 'service'
        ? undefined
        : buildService(translated.service, entry, this.nodeView(), this.frontendSettings());
    const claims = built?.frontends.map((frontend): Claim => ({ frontend, service: built.service })) ?? [];
    if (built === undefined) this.held.delete(key);
    else this.held.set(key, { built, claims });
    this.replaceRules(before?.built, built);
    return this.claims.replace(before?.claims ?? [], claims);
  }

  private replaceRules(before: BuiltService | undefined, after: BuiltService | undefined): void {
    const chains = new Set(after?.chains.map(chainKey));
    for (const chain of before?.chains ?? []) if (!chains.has(chainKey(chain))) this.chains.delete(chain);
    for (const chain of after?.chains ?? []) this.chains.put(chain);
    const sets = new Set(after?.sets.map(({ name }) => name));
    for (const { name } of before?.sets ?? []) if (!sets.has(name)) this.sets.delete(name);
    for (const set of after?.sets ?? []) this.sets.put(set);
  }

  private writeFrontend(key: string): void {
    const frontend = this.claims.winner(key)?.frontend;
    const [family, entry] = [key.startsWith('4') ? 4 : 6, key.slice(2)] as const;
    if (!entry.includes('tcp:')) this.datagrams.set(key, frontend && this.serversOf(frontend));
    const isPort = !entry.includes(',');
    this.maps.set(isPort ? 'serve-port' : 'serve', family, entry, frontend && servedBy(frontend));
    this.maps.set(isPort ? 'refuse-port' : 'refuse', family, entry, frontend && refusedBy(frontend));
    if (!isPort)
      this.maps.set(
        'firewall',
        family,
        entry,
        frontend?.sources === undefined ? undefined : firewallChain(frontend.backend.id),
      );
  }

  private serversOf({ backend }: Frontend): ReadonlySet<string> {
    const built = this.held.get(serviceKeyText(backend.service))?.built;
    const port = built?.ports.find((one) => one.backend === backend);
    return new Set(port?.endpoints.filter(({ isServing }) => isServing).map(endpointKey));
  }

  private nodeView(): NodeView {
    return { name: this.options.nodeName, zone: this.zone };
  }

  private frontendSettings(): FrontendSettings {
    return {
      masqueradeAll: this.options.masqueradeAll === true,
      knowsPods: this.podRanges.length > 0,
      nodeAddresses: this.nodeAddresses,
    };
  }

  private report(kind: ServiceKind, namespace: string, name: string, problems: readonly Problem[]): void {
    const key = `${kind} ${namespace}/${name}`;
    if (problems.length > 0) this.found.set(key, { kind, namespace, name, problems });
    else this.found.delete(key);
  }
}

/** The chain that a frontend's packets go to, if any origin is served. */
function servedBy({ kind, paths, backend }: Frontend): string | undefined {
  const { id } = backend;
  const path = [paths.pod, paths.node, paths.outside].find(({ type }) => type === 'balance');
  if (path?.type !== 'balance') return undefined;
  return kind === 'cluster-ip' ? choiceChain(id, path.list) : externalChain(id);
}

/** What happens to packets that were not given an endpoint before. */
function refusedBy({ paths }: Frontend): string | undefined {
  switch (paths.outside.type) {
    case 'balance':
      return undefined;
    case 'drop':
      return DROP;
    case 'reject':
      return REJECT;
  }
}
