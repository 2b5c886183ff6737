/**
 * The verdict on a flow, straight from the policies: no sets, no chains, nothing compiled. What the kernel must do is what
 * this says.
 *
 * Both ends are judged, each by the policies that apply to it; the flow passes when both allow it.
 */
import { formatAddress, parseAddress, type Family, type IpAddress } from 'node-bgp/address';
import { networksContain, type Networks } from '../model/networks.js';
import { unionPacked, type PackedNetworks } from '../model/packed-networks.js';
import { hasPorts, portsContain, protocolNumber } from '../model/ports.js';
import type {
  Alternative,
  Direction,
  EntityMatch,
  IcmpMatch,
  NamedPortMatch,
  Policy,
  PolicyRule,
  ServiceMatch,
} from '../model/policy.js';
import { matchesNamespace, matchesSelection, type Selection } from '../model/selection.js';
import type { BgpPeers } from '../resolve/bgp-peers.js';
import type { Cluster, HostEntry, PodEntry } from '../resolve/cluster.js';
import { addressOf } from '../resolve/pod.js';
import { matchesSelector, type Labels, type Selector } from '../selector/selector.js';
import {
  atHostPoint,
  inDirection,
  withoutHostPolicies,
  type PolicyIndex,
  type TierPolicies,
} from '../resolve/policy-index.js';
import { isBgpPort } from '../compile/bgp-ports.js';
import { isTunnel } from '../compile/tunnels.js';
import type { FailsafePort } from '../compile/host-chains.js';
import { allowsByDefault } from '../resolve/calico-objects.js';
import type {
  Decision,
  DirectionVerdict,
  EndVerdict,
  Explanation,
  Flow,
  FlowEnd,
  PolicyTrace,
  RuleTrace,
  StagedAnswer,
  Verdict,
} from './flow.js';

/** One end, looked up: who it is and the address it has in the flow's family. */
interface End {
  readonly address?: IpAddress;
  /** A pod that policies can mean. */
  readonly entry?: PodEntry;
  readonly node?: string;
  /** A HostEndpoint that lists the address. */
  readonly host?: HostEntry;
  readonly missing?: string;
}

const NO_LABELS: Labels = new Map();

/** A flow in numbers. */
interface Packet {
  readonly family: Family;
  readonly protocol: number;
  readonly source: End;
  readonly destination: End;
  readonly sourcePort?: number;
  readonly destinationPort: number;
  readonly icmp?: { readonly type: number; readonly code: number };
}

export interface Failsafe {
  readonly inbound: readonly FailsafePort[];
  readonly outbound: readonly FailsafePort[];
}

export interface OracleSettings {
  readonly failsafe: Failsafe;
  readonly podTunnels: 'accept' | 'drop';
  /** Absent: pods reach BGP ports of nodes as policy has it. */
  readonly bgpPeers?: Pick<BgpPeers, 'isPeer' | 'listenPorts'>;
}

export class Oracle {
  private readonly failsafe: Failsafe;

  constructor(
    private readonly cluster: Cluster,
    private readonly policies: PolicyIndex,
    private readonly settings: OracleSettings,
  ) {
    this.failsafe = settings.failsafe;
  }

  verdict(flow: Flow): Verdict {
    const packet = this.packetOf(flow);
    const egress = this.judge(packet, 'egress');
    const ingress = this.judge(packet, 'ingress');
    return { allowed: egress.allowed && ingress.allowed, egress, ingress };
  }

  judgeEnd(flow: Flow, direction: Direction): EndVerdict {
    const staged: StagedAnswer[] = [];
    return { ...this.judge(this.packetOf(flow), direction, undefined, staged), staged };
  }

  explain(flow: Flow): Explanation {
    const packet = this.packetOf(flow);
    const traces: Record<Direction, PolicyTrace[]> = { egress: [], ingress: [] };
    const egress = this.judge(packet, 'egress', traces.egress);
    const ingress = this.judge(packet, 'ingress', traces.ingress);
    return {
      verdict: { allowed: egress.allowed && ingress.allowed, egress, ingress },
      egress: [...traces.egress, ...this.uninvolved(packet.source, 'egress')],
      ingress: [...traces.ingress, ...this.uninvolved(packet.destination, 'ingress')],
    };
  }

  /** Policies that might have been meant for this pod, being of its namespace or of all, and why they have no say. */
  private uninvolved({ entry }: End, direction: Direction): readonly PolicyTrace[] {
    if (entry?.pod === undefined) return [];
    const { namespace, pod } = entry;
    const traces: PolicyTrace[] = [];
    for (const policy of this.policies.all()) {
      const { subject, key, tier } = policy;
      if (
        policy.preDnat === true ||
        policy.doNotTrack === true ||
        !matchesNamespace(subject.namespace, namespace, this.cluster.namespaceLabels(namespace))
      )
        continue;
      if (!matchesSelector(subject.labels, pod.labels))
        traces.push({ tier, policy: key, outcome: 'does not select the pod', rules: [] });
      else if (policy[direction] === undefined)
        traces.push({ tier, policy: key, outcome: 'not for this direction', rules: [] });
    }
    return traces;
  }

  private packetOf(flow: Flow): Packet {
    const protocol = typeof flow.protocol === 'number' ? flow.protocol : protocolNumber(flow.protocol);
    if (protocol === undefined)
      throw new RangeError(
        `Cannot judge a flow of protocol "${flow.protocol}": expected TCP, UDP, SCTP, ICMP, ICMPv6 or a number`,
      );
    return {
      family: flow.family,
      protocol,
      destinationPort: flow.port,
      source: this.lookUp(flow.from, flow.family),
      destination: this.lookUp(flow.to, flow.family),
      ...(flow.sourcePort === undefined ? {} : { sourcePort: flow.sourcePort }),
      ...(flow.icmp === undefined ? {} : { icmp: flow.icmp }),
    };
  }

  private lookUp(end: FlowEnd, family: Family): End {
    const found = this.lookUpEnd(end, family);
    if (found.address === undefined || found.entry !== undefined) return found;
    const text = formatAddress(found.address);
    for (const host of this.cluster.allHosts()) if (host.addresses.includes(text)) return { ...found, host };
    return found;
  }

  private lookUpEnd(end: FlowEnd, family: Family): End {
    switch (end.type) {
      case 'pod':
        return this.lookUpPod(end.namespace, end.name, family);
      case 'node':
        return this.lookUpNode(end.name, family);
      case 'address':
        return this.lookUpAddress(end.address, family);
    }
  }

  private lookUpPod(namespace: string, name: string, family: Family): End {
    const entry = this.cluster.podEntry(namespace, name);
    if (entry?.pod === undefined) return { missing: `pod ${namespace}/${name} is not known` };
    if (entry.pod.hostNetwork) {
      const text = addressOf(entry.pod.addresses, family);
      return text === undefined
        ? this.lookUpNode(entry.pod.node, family)
        : { address: parseAddress(text), node: entry.pod.node };
    }
    const text = addressOf(entry.addresses, family);
    if (text !== undefined) return { address: parseAddress(text), entry };
    return { missing: `pod ${namespace}/${name} has no IPv${family} address` };
  }

  private lookUpNode(name: string, family: Family): End {
    const node = this.cluster.node(name);
    const text = addressOf(node?.addresses ?? [], family);
    if (text !== undefined) return { address: parseAddress(text), node: name };
    return { missing: node === undefined ? `node ${name} is not known` : `node ${name} has no IPv${family} address` };
  }

  private lookUpAddress(text: string, family: Family): End {
    const address = parseAddress(text);
    if (address.family !== family) return { missing: `${text} is no IPv${family} address` };
    const entry = this.cluster.podsWithAddress(text).find((one) => one.addresses.includes(text));
    if (entry !== undefined) return { address, entry };
    for (const node of this.cluster.allNodes()) if (node.addresses.includes(text)) return { address, node: node.name };
    return { address };
  }

  /** What the policies of one end say. Pushes onto `trace`, when given, what each policy answered. */
  private judge(
    packet: Packet,
    direction: Direction,
    trace?: PolicyTrace[],
    staged: StagedAnswer[] = [],
  ): DirectionVerdict {
    const [own, peer] =
      direction === 'egress' ? [packet.source, packet.destination] : [packet.destination, packet.source];
    const settled = (allowed: boolean, decision: Decision): DirectionVerdict => ({ direction, allowed, decision });
    const missing = own.missing ?? peer.missing;
    if (missing !== undefined) return settled(false, { type: 'unknown', why: missing });
    const { entry } = own;
    if (own.host !== undefined) return this.judgeHost(packet, direction, own.host, peer, trace, staged);
    if (entry?.pod === undefined)
      return settled(true, { type: 'exempt', why: 'this end is not a pod on the pod network' });
    const isToNode = direction === 'egress' && peer.node !== undefined;
    if (isToNode && this.settings.podTunnels === 'drop' && isTunnel(packet.protocol, packet.destinationPort))
      return settled(false, { type: 'closed', why: 'a tunnel from a pod to a node' });
    if (isToNode && this.isStrangerToBgp(packet, entry.pod.node === peer.node))
      return settled(false, { type: 'closed', why: 'a BGP or BFD port of a node, and the pod is no peer there' });
    if (entry === peer.entry) return settled(true, { type: 'exempt', why: 'a pod always reaches itself' });
    if (direction === 'ingress' && peer.node !== undefined && peer.node === entry.pod.node)
      return settled(true, { type: 'exempt', why: "the pod's own node always reaches it" });
    if (!this.cluster.hasNamespace(entry.namespace))
      return settled(false, { type: 'unknown', why: `namespace ${entry.namespace} is not known` });
    const groups = inDirection(
      withoutHostPolicies(
        this.policies.applying(entry.namespace, entry.pod.labels, this.cluster.namespaceLabels(entry.namespace)),
      ),
      direction,
    );
    const decision = this.decide(packet, direction, groups, trace, staged);
    return settled(
      decision.type === 'default-allow' || (decision.type === 'rule' && decision.action === 'allow'),
      decision,
    );
  }

  private isStrangerToBgp({ protocol, destinationPort, source }: Packet, isOwnNode: boolean): boolean {
    const { bgpPeers } = this.settings;
    if (bgpPeers === undefined || !isBgpPort(protocol, destinationPort, bgpPeers.listenPorts)) return false;
    const text = source.address === undefined ? '' : formatAddress(source.address);
    return !bgpPeers.isPeer(text, isOwnNode ? 'own-node' : 'nodes');
  }

  /** A node's end that a HostEndpoint lists: asked where the kernel asks, early tables first. */
  private judgeHost(
    packet: Packet,
    direction: Direction,
    { host }: HostEntry,
    peer: End,
    trace: PolicyTrace[] | undefined,
    staged: StagedAnswer[],
  ): DirectionVerdict {
    const settled = (allowed: boolean, decision: Decision): DirectionVerdict => ({ direction, allowed, decision });
    if (peer.entry?.pod?.node === host.node)
      return settled(true, { type: 'exempt', why: 'host endpoints do not govern traffic with the pods of their node' });
    const ports = direction === 'ingress' ? this.failsafe.inbound : this.failsafe.outbound;
    if (ports.some((one) => one.protocol === packet.protocol && one.port === packet.destinationPort))
      return settled(true, { type: 'exempt', why: 'failsafe port of the host' });
    const groups = this.policies.applying(undefined, host.labels, NO_LABELS);
    for (const type of ['untracked', 'before-dnat', 'local'] as const) {
      const decision = this.decide(
        packet,
        direction,
        atHostPoint(groups, direction, type),
        trace,
        staged,
        type === 'local',
      );
      if (decision.type === 'rule') return settled(decision.action === 'allow', decision);
      if (decision.type === 'tier-default') return settled(false, decision);
    }
    return allowsByDefault(host)
      ? settled(true, { type: 'default-allow' })
      : settled(false, { type: 'host-default', host: host.name });
  }

  private decide(
    packet: Packet,
    direction: Direction,
    groups: readonly TierPolicies[],
    trace: PolicyTrace[] | undefined,
    staged: StagedAnswer[],
    tiersDeny = true,
  ): Decision {
    let decision: Decision | undefined;
    for (const { tier, policies } of groups) {
      let passed = false;
      for (const policy of policies) {
        const reached = decision === undefined && !passed;
        const answer = reached ? this.ask(policy, direction, packet, trace !== undefined) : undefined;
        trace?.push({
          tier: tier.name,
          policy: policy.key,
          outcome: outcomeOf(policy, answer),
          rules: answer?.rules ?? [],
        });
        if (answer !== undefined && policy.staged === true) staged.push(stagedAnswer(policy, answer.rule));
        if (answer === undefined || policy.staged === true || answer.rule === undefined) continue;
        const { action, index } = answer.rule;
        if (action === 'pass') passed = true;
        else
          decision = {
            type: 'rule',
            tier: tier.name,
            policy: policy.key,
            rule: index,
            action: action === 'allow' ? 'allow' : 'deny',
          };
        if (trace === undefined) break;
      }
      const acting = policies.filter((policy) => policy.staged !== true);
      if (tiersDeny && decision === undefined && !passed && tier.defaultAction === 'deny' && acting.length > 0)
        decision = { type: 'tier-default', tier: tier.name, policies: acting.map((policy) => policy.key) };
      if (decision !== undefined && trace === undefined) break;
    }
    return decision ?? { type: 'default-allow' };
  }

  /** The first rule that settles or passes, and on request what every rule before it lacked. */
  private ask(
    policy: Policy,
    direction: Direction,
    packet: Packet,
    traced: boolean,
  ): { readonly rule?: PolicyRule; readonly rules: readonly RuleTrace[] } {
    const rules: RuleTrace[] = [];
    for (const rule of policy[direction] ?? []) {
      const matched = rule.alternatives.some((alternative) => this.matches(alternative, packet));
      if (traced)
        rules.push({
          rule: rule.index,
          action: rule.action,
          outcome: matched ? 'matched' : this.lacking(rule, direction, packet),
        });
      if (matched && rule.action !== 'log') return { rule, rules };
    }
    return { rules };
  }

  private lacking(rule: PolicyRule, direction: Direction, packet: Packet): RuleTrace['outcome'] {
    const peer = rule.alternatives.filter((one) =>
      direction === 'egress'
        ? this.entityMatches(one.destination, packet, packet.destination)
        : this.entityMatches(one.source, packet, packet.source),
    );
    if (peer.length === 0) return 'peer does not match';
    return peer.some((one) => this.portMatches(one, packet))
      ? 'other condition does not match'
      : 'port or protocol does not match';
  }

  private matches(alternative: Alternative, packet: Packet): boolean {
    return (
      (alternative.family === undefined || alternative.family === packet.family) &&
      this.portMatches(alternative, packet) &&
      this.entityMatches(alternative.source, packet, packet.source) &&
      this.entityMatches(alternative.destination, packet, packet.destination)
    );
  }

  private portMatches(alternative: Alternative, packet: Packet): boolean {
    if (alternative.protocol !== undefined && alternative.protocol !== packet.protocol) return false;
    if (alternative.notProtocol !== undefined && alternative.notProtocol === packet.protocol) return false;
    if (!portsMatch(alternative.source, packet, packet.source, packet.sourcePort)) return false;
    if (!portsMatch(alternative.destination, packet, packet.destination, packet.destinationPort)) return false;
    if (alternative.icmp !== undefined && !icmpMatches(alternative.icmp, packet)) return false;
    if (alternative.notIcmp !== undefined && icmpMatches(alternative.notIcmp, packet)) return false;
    return true;
  }

  private entityMatches(entity: EntityMatch | undefined, packet: Packet, end: End): boolean {
    if (entity === undefined || end.address === undefined) return entity === undefined;
    if (entity.networks !== undefined && !networksContain(entity.networks, end.address)) return false;
    if (entity.notNetworks !== undefined && networksContain(entity.notNetworks, end.address)) return false;
    if (entity.service !== undefined && !this.serves(entity.service, packet, end.address)) return false;
    if (entity.nodes !== undefined && !this.isNode(entity.nodes, end.address)) return false;
    if (entity.selection !== undefined && !this.selects(entity.selection, end)) return false;
    return entity.notSelection === undefined || !this.selects(entity.notSelection, end);
  }

  private serves(service: ServiceMatch, packet: Packet, address: IpAddress): boolean {
    const text = formatAddress(address);
    return this.cluster
      .serviceEndpoints(service.namespace, service.name)
      .some(
        (endpoint) =>
          endpoint.address === text &&
          (!service.withPorts ||
            endpoint.ports.some((port) => port.protocol === packet.protocol && port.port === packet.destinationPort)),
      );
  }

  private isNode(selector: Selector, address: IpAddress): boolean {
    const text = formatAddress(address);
    for (const node of this.cluster.allNodes())
      if (node.addresses.includes(text) && matchesSelector(selector, node.labels)) return true;
    return false;
  }

  private selects(selection: Selection, end: End): boolean {
    const { entry, host, address } = end;
    if (
      entry?.pod !== undefined &&
      matchesSelection(selection, entry.namespace, entry.pod.labels, this.cluster.namespaceLabels(entry.namespace))
    )
      return true;
    if (selection.scope === 'pods') return false;
    if (host !== undefined && matchesSelection(selection, undefined, host.host.labels, NO_LABELS)) return true;
    for (const set of this.cluster.allNetworkSets()) {
      const namespaceLabels = set.namespace === undefined ? NO_LABELS : this.cluster.namespaceLabels(set.namespace);
      if (
        address !== undefined &&
        networksContain(networksOfSet(set.networks), address) &&
        matchesSelection(selection, set.namespace, set.labels, namespaceLabels)
      )
        return true;
    }
    return false;
  }
}

/** Unpacked once by whoever asks for verdicts. */
const unpacked = new WeakMap<PackedNetworks, Networks>();

function networksOfSet(packed: PackedNetworks): Networks {
  const known = unpacked.get(packed) ?? unionPacked([packed]);
  unpacked.set(packed, known);
  return known;
}

/** A rule that names ports is about protocols that have them; a flow whose source port is left open meets any positive list. */
function portsMatch(entity: EntityMatch | undefined, packet: Packet, end: End, port: number | undefined): boolean {
  if (entity?.namedPort !== undefined && !declares(end, packet, port, entity.namedPort)) return false;
  if (entity?.notNamedPorts?.some((name) => declares(end, packet, port, name)) === true) return false;
  if (entity?.ports === undefined && entity?.notPorts === undefined) return true;
  if (
    entity.ports !== undefined &&
    (!hasPorts(packet.protocol) || (port !== undefined && !portsContain(entity.ports, port)))
  )
    return false;
  return (
    entity.notPorts === undefined ||
    !hasPorts(packet.protocol) ||
    port === undefined ||
    !portsContain(entity.notPorts, port)
  );
}

function declares(end: End, packet: Packet, port: number | undefined, wanted: NamedPortMatch): boolean {
  if (wanted.protocol !== undefined && wanted.protocol !== packet.protocol) return false;
  const ports = end.entry?.pod?.ports ?? end.host?.host.ports ?? [];
  return ports.some((one) => one.name === wanted.name && one.protocol === packet.protocol && one.port === port);
}

function icmpMatches(wanted: IcmpMatch, packet: Packet): boolean {
  if (wanted.type === undefined) return true;
  return (
    packet.icmp !== undefined &&
    packet.icmp.type === wanted.type &&
    (wanted.code === undefined || packet.icmp.code === wanted.code)
  );
}

const stagedAnswer = ({ tier, key }: Policy, rule: PolicyRule | undefined): StagedAnswer => ({
  tier,
  policy: key,
  ...(rule === undefined || rule.action === 'log' ? { action: 'none' } : { rule: rule.index, action: rule.action }),
});

function outcomeOf(policy: Policy, answer: { readonly rule?: PolicyRule } | undefined): PolicyTrace['outcome'] {
  if (answer === undefined) return 'not reached';
  if (policy.staged === true) return 'staged';
  if (answer.rule === undefined) return 'no rule matched';
  return answer.rule.action === 'pass' ? 'passed' : 'decided';
}
