/**
 * The second opinion on Calico's policies (with NetworkPolicies beside them), read literally. Selectors are looked up in a table of
 * texts and plain predicates (calico-worlds.ts), so that the engine's parser is not its own witness.
 */
import { containsAddress, parseAddress, parsePrefix } from 'node-bgp/address';
import { directionAllows, isolatingRules, type Endpoint, type Probe } from './reference.js';
import { isPlumbed, type World, type WorldPod, type WorldPolicy } from './world.js';

export type Attributes = ReadonlyMap<string, string>;
export type SelectorTable = ReadonlyMap<string, (labels: Attributes) => boolean>;

export interface CalicoEntity {
  readonly selector?: string;
  readonly notSelector?: string;
  readonly namespaceSelector?: string;
  readonly serviceAccounts?: { readonly names?: readonly string[]; readonly selector?: string };
  readonly nets?: readonly string[];
  readonly notNets?: readonly string[];
  readonly ports?: readonly (number | string)[];
  readonly notPorts?: readonly (number | string)[];
}
interface CalicoRule {
  readonly action: string;
  readonly ipVersion?: number;
  readonly protocol?: string | number;
  readonly notProtocol?: string | number;
  readonly source?: CalicoEntity;
  readonly destination?: CalicoEntity;
}
interface CalicoSpec {
  readonly tier?: string;
  readonly order?: number;
  readonly selector?: string;
  readonly namespaceSelector?: string;
  readonly serviceAccountSelector?: string;
  readonly types?: readonly string[];
  readonly ingress?: readonly CalicoRule[];
  readonly egress?: readonly CalicoRule[];
}

const NUMBERS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };
const has = (table: SelectorTable, text: string | undefined, labels: Attributes): boolean => {
  if (text === undefined || text === '') return true;
  const matches = table.get(text);
  if (matches === undefined) throw new Error(`No predicate for ${text}`);
  return matches(labels);
};

export class CalicoReference {
  constructor(
    private readonly world: World,
    private readonly table: SelectorTable,
  ) {}

  verdict(from: Endpoint, to: Endpoint, probe: Probe): boolean {
    if (from.pod !== undefined && from.pod === to.pod) return true;
    return this.judge('egress', from, to, from, to, probe) && this.judge('ingress', to, from, from, to, probe);
  }

  private judge(
    direction: 'ingress' | 'egress',
    own: Endpoint,
    peer: Endpoint,
    from: Endpoint,
    to: Endpoint,
    probe: Probe,
  ): boolean {
    const { pod } = own;
    if (pod === undefined || (direction === 'ingress' && peer.node === pod.node && peer.node !== undefined))
      return true;
    for (const tier of this.tiers()) {
      const answer = this.askTier(tier, direction, own, pod, peer, from, to, probe);
      if (answer !== 'next') return answer === 'allow';
    }
    return true;
  }

  /** Policies of a tier in order; NetworkPolicies stand in the default tier at order 1000 and are asked together. */
  private askTier(
    tier: { readonly name: string; readonly pass: boolean },
    direction: 'ingress' | 'egress',
    own: Endpoint,
    pod: WorldPod,
    peer: Endpoint,
    from: Endpoint,
    to: Endpoint,
    probe: Probe,
  ): 'allow' | 'deny' | 'next' {
    const calico = this.world.policies.filter(
      (policy) =>
        isCalico(policy) && (specOf(policy).tier ?? 'default') === tier.name && this.applies(policy, direction, pod),
    );
    const order = (policy: WorldPolicy): number => specOf(policy).order ?? Infinity;
    const sorted = calico.sort((a, b) => order(a) - order(b) || (nameOf(a) < nameOf(b) ? -1 : 1));
    const isolated = tier.name === 'default' && isolatingRules(this.world, direction, pod) !== undefined;
    const before = (policy: WorldPolicy): boolean => order(policy) < 1000;
    const first = this.askPolicies(sorted.filter(before), direction, from, to, probe);
    if (first !== undefined) return first;
    if (isolated && directionAllows(this.world, direction, own, peer, to, probe)) return 'allow';
    const second = this.askPolicies(
      sorted.filter((policy) => !before(policy)),
      direction,
      from,
      to,
      probe,
    );
    if (second !== undefined) return second;
    return (sorted.length > 0 || isolated) && !tier.pass ? 'deny' : 'next';
  }

  private askPolicies(
    policies: readonly WorldPolicy[],
    direction: 'ingress' | 'egress',
    from: Endpoint,
    to: Endpoint,
    probe: Probe,
  ): 'allow' | 'deny' | 'next' | undefined {
    for (const policy of policies)
      for (const rule of specOf(policy)[direction] ?? []) {
        if (rule.action === 'Log' || !this.ruleMatches(rule, policy.object.metadata?.namespace, from, to, probe))
          continue;
        return rule.action === 'Allow' ? 'allow' : rule.action === 'Deny' ? 'deny' : 'next';
      }
    return undefined;
  }

  private applies(policy: WorldPolicy, direction: 'ingress' | 'egress', pod: WorldPod): boolean {
    const spec = specOf(policy);
    const [ingress, egress] = [(spec.ingress ?? []).length > 0, (spec.egress ?? []).length > 0];
    const types = spec.types ?? (egress ? (ingress ? ['Ingress', 'Egress'] : ['Egress']) : ['Ingress']);
    if (!types.includes(direction === 'ingress' ? 'Ingress' : 'Egress')) return false;
    if (
      policy.kind === 'CalicoNetworkPolicy'
        ? policy.object.metadata?.namespace !== pod.namespace
        : !has(this.table, spec.namespaceSelector, this.namespace(pod.namespace))
    )
      return false;
    return (
      has(this.table, spec.selector, this.labels(pod)) &&
      has(this.table, spec.serviceAccountSelector, this.account(pod))
    );
  }

  private ruleMatches(
    rule: CalicoRule,
    namespace: string | undefined,
    from: Endpoint,
    to: Endpoint,
    probe: Probe,
  ): boolean {
    const number = NUMBERS[probe.protocol];
    const is = (protocol: string | number): boolean =>
      (typeof protocol === 'number' ? protocol : NUMBERS[protocol]) === number;
    if (rule.ipVersion !== undefined && (rule.ipVersion === 6) !== from.ip.includes(':')) return false;
    if (rule.protocol !== undefined && !is(rule.protocol)) return false;
    if (rule.notProtocol !== undefined && is(rule.notProtocol)) return false;
    return (
      this.entityMatches(rule.source ?? {}, namespace, from, 40000, probe) &&
      this.entityMatches(rule.destination ?? {}, namespace, to, probe.port, probe)
    );
  }

  private entityMatches(
    entity: CalicoEntity,
    namespace: string | undefined,
    end: Endpoint,
    port: number,
    probe: Probe,
  ): boolean {
    const within = (nets: readonly string[]): boolean =>
      nets.some((net) =>
        containsAddress(
          parsePrefix(net.includes('/') ? net : `${net}/${net.includes(':') ? 128 : 32}`),
          parseAddress(end.ip),
        ),
      );
    const listed = (ports: readonly (number | string)[]): boolean =>
      ports.some((one) => this.portIs(one, end, port, probe));
    if ((entity.nets ?? []).length > 0 && !within(entity.nets ?? [])) return false;
    if (within(entity.notNets ?? [])) return false;
    if ((entity.ports ?? []).length > 0 && !listed(entity.ports ?? [])) return false;
    if (listed(entity.notPorts ?? [])) return false;
    const { notSelector } = entity;
    if (notSelector !== undefined && this.holders(end).some((holder) => has(this.table, notSelector, holder.labels)))
      return false;
    const selects =
      entity.selector !== undefined ||
      entity.namespaceSelector !== undefined ||
      entity.serviceAccounts !== undefined ||
      (notSelector !== undefined && namespace !== undefined);
    return !selects || this.holders(end).some((holder) => this.holderMatches(entity, namespace, holder));
  }

  private holderMatches(entity: CalicoEntity, namespace: string | undefined, holder: Holder): boolean {
    if (entity.namespaceSelector === 'global()') {
      if (holder.namespace !== undefined) return false;
    } else if (entity.namespaceSelector !== undefined) {
      if (
        holder.namespace === undefined ||
        !has(this.table, entity.namespaceSelector, this.namespace(holder.namespace))
      )
        return false;
    } else if (namespace !== undefined && holder.namespace !== namespace) return false;
    if (!has(this.table, entity.selector, holder.labels)) return false;
    const accounts = entity.serviceAccounts;
    if (accounts === undefined) return true;
    if (holder.pod === undefined) return false;
    return (
      ((accounts.names ?? []).length === 0 ||
        (accounts.names ?? []).includes(holder.pod.serviceAccount ?? 'default')) &&
      has(this.table, accounts.selector, this.account(holder.pod))
    );
  }

  private portIs(one: number | string, end: Endpoint, port: number, probe: Probe): boolean {
    if (typeof one === 'number') return one === port;
    if (/^\d+:\d+$/.test(one)) return Number(one.split(':')[0]) <= port && port <= Number(one.split(':')[1]);
    return (end.pod?.ports ?? []).some(
      (declared) => declared.name === one && declared.protocol === probe.protocol && declared.port === port,
    );
  }

  /** Whoever has this address: the pod, and every network set that covers it. */
  private holders(end: Endpoint): readonly Holder[] {
    const sets = (this.world.networkSets ?? []).filter((set) =>
      set.nets.some((net) => containsAddress(parsePrefix(net), parseAddress(end.ip))),
    );
    return [
      ...(end.pod !== undefined && isPlumbed(end.pod)
        ? [{ namespace: end.pod.namespace, labels: this.labels(end.pod), pod: end.pod }]
        : []),
      ...sets.map(
        (set): Holder => ({
          ...(set.namespace === undefined ? {} : { namespace: set.namespace }),
          labels: new Map([
            ...Object.entries(set.labels),
            ...(set.namespace === undefined ? [] : [['projectcalico.org/namespace', set.namespace] as const]),
          ]),
        }),
      ),
    ];
  }

  private labels(pod: WorldPod): Attributes {
    return new Map([
      ...Object.entries(pod.labels),
      ['projectcalico.org/namespace', pod.namespace],
      ['projectcalico.org/orchestrator', 'k8s'],
    ]);
  }

  private namespace(name: string): Attributes {
    return new Map([
      ...Object.entries(this.world.namespaces.find((one) => one.name === name)?.labels ?? {}),
      ['projectcalico.org/name', name],
    ]);
  }

  private account(pod: WorldPod): Attributes {
    const found = (this.world.serviceAccounts ?? []).find(
      (one) => one.namespace === pod.namespace && one.name === (pod.serviceAccount ?? 'default'),
    );
    return new Map(Object.entries(found?.labels ?? {}));
  }

  private tiers(): readonly { readonly name: string; readonly pass: boolean }[] {
    const own = (this.world.tiers ?? []).map((tier) => ({
      name: tier.name,
      order: tier.order ?? Infinity,
      pass: tier.defaultAction === 'Pass',
    }));
    return [...own, { name: 'default', order: 1_000_000, pass: false }].sort((a, b) =>
      a.order === b.order ? (a.name < b.name ? -1 : 1) : a.order - b.order,
    );
  }
}

interface Holder {
  readonly namespace?: string;
  readonly labels: Attributes;
  readonly pod?: WorldPod;
}

const isCalico = (policy: WorldPolicy): boolean =>
  policy.kind === 'CalicoNetworkPolicy' || policy.kind === 'GlobalNetworkPolicy';
const specOf = (policy: WorldPolicy): CalicoSpec => policy.object.spec as CalicoSpec;
const nameOf = (policy: WorldPolicy): string => policy.object.metadata?.name ?? '';
