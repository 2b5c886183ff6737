/**
 * A cluster of engines, one per node, and the way a packet takes through them: the test's stand-in for a rack.
 */
import {
  PolicyEngine,
  renderIptables,
  renderNftables,
  type AddressSet,
  type Chain,
  type DispatchMap,
  type EngineOptions,
  type Ruleset,
  type RulesetDelta,
  chainKey,
} from '@tortie/policy';

import type { Family } from 'node-bgp/address';
import { parseIptables, programOf, run, type Packet, type Program } from './interpreter.js';
import { NftTable } from './nft-interpreter.js';
import type { Endpoint, Probe } from './reference.js';
import { eventsOf, interfaceOf, type World } from './world.js';

const NUMBERS = { TCP: 6, UDP: 17, SCTP: 132 } as const;

export interface RackNode {
  readonly name: string;
  readonly engine: PolicyEngine;
}

export type Reading = 'neutral' | 'iptables' | 'nftables';
export const READINGS: readonly Reading[] = ['neutral', 'iptables', 'nftables'];

/** One engine per node, fed and flushed. */
export function rackOf(world: World, options: EngineOptions = {}): readonly RackNode[] {
  return world.nodes.map(({ name }) => {
    const engine = new PolicyEngine(options);
    for (const event of eventsOf(world, name)) engine.apply(event);
    engine.flush();
    return { name, engine };
  });
}

export function programFor(engine: PolicyEngine, family: Family, reading: Reading): Program {
  const ruleset = engine.ruleset();
  switch (reading) {
    case 'neutral':
      return programOf(ruleset, family);
    case 'iptables':
      return parseIptables(renderIptables(ruleset, family), ruleset.sets);
    case 'nftables': {
      const table = new NftTable();
      table.run(renderNftables(ruleset));
      return table.program(family);
    }
  }
}

/** Does a new connection get from one end to the other through the compiled rules of the nodes on its way? */
export function passes(
  programs: ReadonlyMap<string, Program>,
  family: Family,
  from: Endpoint,
  to: Endpoint,
  probe: Probe,
): boolean {
  if (from.pod !== undefined && from.pod === to.pod) return true;
  const base = {
    family,
    table: 'filter' as const,
    state: 'new' as const,
    source: from.ip,
    destination: to.ip,
    protocol: NUMBERS[probe.protocol],
    sourcePort: 40000,
    destinationPort: probe.port,
  };
  return packetsOf(base, from, to).every(([node, packet]) => {
    const program = programs.get(node);
    return program === undefined || run(program, packet) !== 'drop';
  });
}

type Base = Omit<Packet, 'builtin'>;

/** The hooks a packet meets: one node's when both ends are there, else the sender's and then the receiver's. */
function packetsOf(base: Base, from: Endpoint, to: Endpoint): readonly (readonly [node: string, packet: Packet])[] {
  const here = (end: Endpoint): string | undefined => end.pod?.node ?? end.node;
  const veth = (end: Endpoint): string | undefined =>
    end.pod === undefined ? undefined : interfaceOf(end.pod.namespace, end.pod.name);
  const [source, target] = [here(from), here(to)];
  if (source !== undefined && source === target) {
    if (from.pod === undefined && to.pod === undefined) return [];
    if (from.pod === undefined) return [[source, { ...base, builtin: 'OUTPUT', out: veth(to), localSource: true }]];
    if (to.pod === undefined) return [[source, { ...base, builtin: 'INPUT', in: veth(from), localDestination: true }]];
    return [[source, { ...base, builtin: 'FORWARD', in: veth(from), out: veth(to) }]];
  }
  const packets: (readonly [string, Packet])[] = [];
  if (source !== undefined && from.pod !== undefined)
    packets.push([source, { ...base, builtin: 'FORWARD', in: veth(from), out: 'eth0' }]);
  if (target !== undefined && to.pod !== undefined)
    packets.push([target, { ...base, builtin: 'FORWARD', in: 'eth0', out: veth(to) }]);
  return packets;
}

/** A ruleset kept by deltas alone, as a kernel would hold it; throws where a kernel would refuse. */
export class Replica {
  readonly sets = new Map<string, AddressSet & { readonly members: Set<string> }>();
  readonly chains = new Map<string, Chain>();
  readonly maps = new Map<string, DispatchMap>();
  private hooks: Ruleset['hooks'] = [];

  apply(delta: RulesetDelta): void {
    for (const set of delta.setsCreated) {
      if (this.sets.has(set.name)) throw new Error(`Set ${set.name} exists already`);
      this.sets.set(set.name, { ...set, members: new Set(set.members.keys()) });
    }
    for (const change of delta.setsChanged) for (const member of change.added) this.member(change.name, member, true);
    for (const chain of delta.chainsUpserted) this.chains.set(chainKey(chain), chain);
    for (const map of delta.mapsUpserted) this.maps.set(chainKey(map), map);
    for (const name of delta.chainsDeleted)
      if (!this.chains.delete(chainKey(name))) throw new Error(`Chain ${name.name} does not exist`);
    for (const name of delta.mapsDeleted)
      if (!this.maps.delete(chainKey(name))) throw new Error(`Map ${name.name} does not exist`);
    for (const change of delta.setsChanged)
      for (const member of change.removed) this.member(change.name, member, false);
    this.hooks = delta.hooks ?? this.hooks;
    for (const name of delta.setsDeleted) if (!this.sets.delete(name)) throw new Error(`Set ${name} does not exist`);
    this.checkReferences();
  }

  ruleset(): Ruleset {
    return { sets: this.sets, chains: this.chains, maps: this.maps, hooks: this.hooks };
  }

  private member(name: string, member: string, added: boolean): void {
    const members = this.sets.get(name)?.members;
    if (members === undefined) throw new Error(`Set ${name} does not exist`);
    if (members.has(member) === added)
      throw new Error(`Set ${name} ${added ? 'already has' : 'does not have'} ${member}`);
    if (added) members.add(member);
    else members.delete(member);
  }

  /** A kernel refuses rules that name missing chains or sets, and the deletion of what rules name. */
  private checkReferences(): void {
    for (const chain of this.chains.values())
      for (const rule of chain.rules) {
        if ((rule.action.type === 'jump' || rule.action.type === 'goto') && !this.has(chain.table, rule.action.chain))
          throw new Error(`Chain ${chain.name} goes to ${rule.action.chain}, which does not exist`);
        for (const match of rule.matches)
          if ((match.type === 'set' || match.type === 'set-port') && !this.sets.has(`tortie4-${match.set}`))
            throw new Error(`Chain ${chain.name} names set ${match.set}, which does not exist`);
      }
    for (const map of this.maps.values())
      for (const chain of map.entries.values())
        if (!this.has(map.table, chain)) throw new Error(`Map ${map.name} goes to ${chain}, which does not exist`);
  }

  private has(table: string, name: string): boolean {
    return this.chains.has(`${table}/${name}`) || this.maps.has(`${table}/${name}`);
  }
}

/** A ruleset as comparable text, whatever order it was built in. */
export function rulesetText(ruleset: Ruleset): string {
  const lines = [
    ...[...ruleset.sets.values()].map(
      (set) => `set ${set.name} ${set.type} ${[...set.members.keys()].sort().join(' ')}`,
    ),
    ...[...ruleset.chains.values()].map((chain) => `chain ${chainKey(chain)} ${JSON.stringify(chain.rules)}`),
    ...[...ruleset.maps.values()].map((map) => `map ${chainKey(map)} ${JSON.stringify([...map.entries].sort())}`),
  ];
  return lines.sort().join('\n');
}
