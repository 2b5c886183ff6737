/**
 * The host endpoints of this node and the base chains, which lead to them. There are a handful at most, so any change that may
 * concern them makes all their chains anew; stores report only what differs.
 */
import { baseChains, hooksOf, type BaseNeeds, type BaseSettings } from '../compile/base-chains.js';
import { compileHosts, type HostPlan, type HostSettings } from '../compile/host-chains.js';
import type { Policy } from '../model/policy.js';
import type { HostInterface } from '../objects.js';
import { chainKey, type Chain, type Hook, type Table } from '../ruleset.js';
import type { Labels } from '../selector/selector.js';
import { allowsByDefault, type HostEndpoint } from './calico-objects.js';
import type { NamedStore } from './chain-store.js';
import type { Cluster } from './cluster.js';
import { usesIn, type PolicyChains } from './policy-chains.js';
import type { PolicyIndex } from './policy-index.js';

const NO_LABELS: Labels = new Map();

export class HostEndpoints {
  private isDirty = true;
  private interfaces: readonly HostInterface[] = [];
  private needs: Omit<BaseNeeds, 'listenPorts'> = { announcesServices: false, limitsInterfaces: false, tunnels: [] };
  private hooks: readonly Hook[] = [];
  private hooksChanged = true;
  /** Chains now in the store that are ours. */
  private written = new Map<string, Chain>();

  constructor(
    private readonly nodeName: string | undefined,
    private readonly cluster: Cluster,
    private readonly policies: PolicyIndex,
    private readonly policyChains: PolicyChains,
    private readonly chains: NamedStore<Chain>,
    private readonly settings: BaseSettings & HostSettings,
    private readonly listenPorts: () => readonly number[],
  ) {}

  touch(): void {
    this.isDirty = true;
  }

  /** Kubernetes' own policies never mean a host. */
  policyChanged(before: Policy | undefined, after: Policy | undefined): void {
    if ([before, after].some((policy) => policy?.subject.scope === 'endpoints')) this.touch();
  }

  setInterfaces(interfaces: readonly HostInterface[]): void {
    this.interfaces = interfaces;
    this.touch();
  }

  setNeeds(needs: Partial<typeof this.needs>): void {
    const after = { ...this.needs, ...needs };
    const isSame =
      after.announcesServices === this.needs.announcesServices &&
      after.limitsInterfaces === this.needs.limitsInterfaces &&
      after.tunnels === this.needs.tunnels;
    if (!isSame) this.touch();
    this.needs = after;
  }

  settle(): void {
    if (!this.isDirty) return;
    this.isDirty = false;
    const plans = this.plans();
    this.policyChains.use(
      this,
      usesIn(
        plans.flatMap(({ groups }) =>
          groups.flatMap(({ policies }) => policies.map((policy) => ({ policy, table: tableOf(policy) }))),
        ),
      ),
    );
    const hosts = compileHosts(plans, this.settings);
    const wanted = new Map(
      [
        ...baseChains(this.settings, hosts.jumps, { ...this.needs, listenPorts: this.listenPorts() }),
        ...hosts.chains,
      ].map((chain) => [chainKey(chain), chain]),
    );
    for (const [key, chain] of this.written) if (!wanted.has(key)) this.chains.delete(chain);
    for (const chain of wanted.values()) this.chains.put(chain);
    this.written = wanted;
    const base = hooksOf(this.settings, this.needs);
    const further = hosts.hooks.filter(
      (hook) => !base.some((one) => one.table === hook.table && one.builtin === hook.builtin),
    );
    const hooks = [...base, ...further];
    this.hooksChanged ||= JSON.stringify(hooks) !== JSON.stringify(this.hooks);
    this.hooks = hooks;
  }

  /** All hooks; `changed` since the last drain. */
  drain(): { readonly hooks: readonly Hook[]; readonly changed: boolean } {
    const changed = this.hooksChanged;
    this.hooksChanged = false;
    return { hooks: this.hooks, changed };
  }

  allHooks(): readonly Hook[] {
    return this.hooks;
  }

  /** One plan per interface: the first host endpoint by name has it. */
  private plans(): readonly HostPlan[] {
    const byInterface = new Map<string, HostPlan>();
    const own = [...this.cluster.allHosts()].map((entry) => entry.host).filter((host) => host.node === this.nodeName);
    for (const host of own.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const interfaceName = this.interfaceOf(host);
      // Pods' interfaces are not the host's to govern.
      if (
        interfaceName === undefined ||
        byInterface.has(interfaceName) ||
        interfaceName.startsWith(this.settings.podInterfacePrefix)
      )
        continue;
      byInterface.set(interfaceName, {
        interfaceName,
        allowsByDefault: allowsByDefault(host),
        groups: this.policies.applying(undefined, host.labels, NO_LABELS),
      });
    }
    return [...byInterface.values()].sort((a, b) => (a.interfaceName < b.interfaceName ? -1 : 1));
  }

  /** A host endpoint that names no interface is on the one that has an address of its. */
  private interfaceOf(host: HostEndpoint): string | undefined {
    if (host.interfaceName !== '') return host.interfaceName;
    return this.interfaces.find((one) => one.addresses.some((address) => host.addresses.includes(address)))?.name;
  }
}

/** The table in which host endpoints ask a policy. */
function tableOf(policy: Policy): Table {
  if (policy.doNotTrack === true) return 'raw';
  return policy.preDnat === true ? 'mangle' : 'filter';
}
