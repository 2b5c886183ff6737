/**
 * Part "nat" from events to deltas, as the policy engine is for policy: pools, nodes and the pods of this node in, rules out. No I/O.
 *
 * Everything is compiled anew at a change, which a node's few hundred pods allow; only differences go on. The nodes' addresses, which
 * may be many thousands, are looked at only where one of them changed.
 */
import { changeBetween } from '@tortie/policy/ruleset-change';
import type { Family, Ruleset, RulesetDelta } from '@tortie/policy/ruleset';
import { tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import { portForwardsOf, type NatEndpoint, type PortForward, type PortForwards } from './host-ports.js';
import { natRuleset, type OutgoingSettings } from './nat-rules.js';

export type NatEvent =
  | { readonly type: 'pools'; readonly pools: readonly { readonly cidr: string; readonly natOutgoing?: boolean }[] }
  /** Canonical addresses; none: the node is gone. */
  | { readonly type: 'node'; readonly name: string; readonly addresses: readonly string[] }
  /** In the order in which they came. */
  | { readonly type: 'endpoints'; readonly endpoints: readonly NatEndpoint[] };

export interface NatEngineOptions {
  readonly families: readonly Family[];
  readonly outgoing: OutgoingSettings;
  readonly podInterfacePrefix: string;
}

const NOTHING: Ruleset = { sets: new Map(), chains: new Map(), maps: new Map(), hooks: [] };

export class NatEngine {
  private pools: readonly { readonly prefix: IpPrefix; readonly natOutgoing: boolean }[] = [];
  /** BOUNDED by the nodes of the cluster. */
  private readonly nodes = new Map<string, readonly string[]>();
  private wanted: PortForwards = { forwards: [], problems: [] };
  private held: Ruleset = NOTHING;
  /** As in `held`. */
  private heldForwards: readonly PortForward[] = [];
  private moved: readonly PortForward[] = [];
  private isDirty = true;

  constructor(private readonly options: NatEngineOptions) {}

  apply(event: NatEvent): void {
    switch (event.type) {
      case 'pools':
        this.pools = event.pools.flatMap(({ cidr, natOutgoing = false }) => {
          const prefix = tryParsePrefix(cidr);
          return prefix === undefined || prefix.length === 0 ? [] : [{ prefix, natOutgoing }];
        });
        break;
      case 'node':
        if ((this.nodes.get(event.name) ?? []).join() === event.addresses.join()) return;
        if (event.addresses.length === 0) this.nodes.delete(event.name);
        else this.nodes.set(event.name, event.addresses);
        break;
      case 'endpoints':
        this.wanted = portForwardsOf(event.endpoints, this.options.families);
        break;
    }
    this.isDirty = true;
  }

  /** What changed since the last flush. */
  flush(): RulesetDelta {
    const before = this.held;
    if (this.isDirty)
      this.held = natRuleset({
        ...this.options,
        pools: this.pools,
        nodeAddresses: [...this.nodes.values()].flat(),
        forwards: this.wanted.forwards,
      });
    this.isDirty = false;
    this.moved = [...this.moved, ...differences(this.heldForwards, this.wanted.forwards)];
    this.heldForwards = this.wanted.forwards;
    return changeBetween(before, this.held);
  }

  /** Ports whose way changed with what `flush` told since the last call; connections made before know nothing of it. */
  takeMoved(): readonly PortForward[] {
    const { moved } = this;
    this.moved = [];
    return moved;
  }

  /** As of the last flush. */
  ruleset(): Ruleset {
    return this.held;
  }

  /** What cannot be had, in sentences. */
  problems(): readonly string[] {
    return this.wanted.problems;
  }
}

function differences(before: readonly PortForward[], after: readonly PortForward[]): readonly PortForward[] {
  const key = (forward: PortForward): string => JSON.stringify(forward);
  const old = new Set(before.map(key));
  const now = new Set(after.map(key));
  return [...before.filter((one) => !now.has(key(one))), ...after.filter((one) => !old.has(key(one)))];
}
