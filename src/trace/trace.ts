/**
 * The way of a first packet: what every node on it would do, asked of the same functions that the agents run (policy's oracle, the engine
 * of Services, the nodes' own BGP configurations). In the order of the kernel: a Service is translated before policy is asked, and policy
 * sees the pod behind it.
 *
 * Pure. Replies are not traced: they follow the connection. What routers, and networks behind them, do is not known here.
 */
import { PolicyEngine, type DirectionVerdict, type Explanation, type Flow, type FlowEnd } from '@tortie/policy';
import { ServicesEngine, type Connection, type Endpoint, type Verdict } from '@tortie/services';
import { tryParseAddress } from 'node-bgp/address';
import { POLICY_KINDS } from '../agent/policy-events.js';
import { podRangesOf } from '../agent/services/service-feed.js';
import { hostInterfaceName } from '../dataplane/endpoint-name.js';
import { networkOf } from '../plan/network.js';
import { ofKind, type World } from '../plan/world.js';
import { formatDecision } from '../policy/diff.js';
import { formatEndpoint, formatFrontend } from '../services/show.js';
import {
  addressesOfService,
  addressOf,
  endAt,
  flowEndOf,
  nameOf,
  nodeOf,
  type Question,
  type ServiceEnd,
  type Source,
} from './question.js';
import { Routing } from './routing.js';
import { verdictOfHops, verdictOfWays, type Hop, type Trace, type Way } from './trace-result.js';

/** Beside each hop what a live look at its node may ask. */
export interface TracedHop extends Hop {
  /** Of a policy hop. */
  readonly asked?: {
    readonly explanation: Explanation;
    readonly direction: 'egress' | 'ingress';
    /** The node's side of the pod that is judged. */
    readonly interfaceName?: string;
  };
  /** Of a hop that depends on the node's routes: where it goes. */
  readonly routedTo?: string;
}

export interface TraceOptions {
  /** Where agents look for BGP passwords. */
  readonly secretNamespace: string;
}

/** BOUNDED: of a Service told by a thousand nodes a few ways in are as good as all. */
const MOST_ENTRIES = 3;

export class Tracer {
  private readonly routing: Routing;
  private readonly policy = new PolicyEngine();
  private readonly engines = new Map<string, ServicesEngine>();

  constructor(
    private readonly world: World,
    options: TraceOptions,
  ) {
    this.routing = new Routing(world, networkOf(world, options));
    for (const [name, kind] of POLICY_KINDS)
      for (const object of ofKind(world, name)) this.policy.apply({ type: 'upsert', kind, object });
  }

  trace(question: Question): Trace & { readonly ways: readonly (Way & { readonly hops: readonly TracedHop[] })[] } {
    const { from, to, family, protocol, port } = question;
    const ways = this.ways(question).map(([where, hops]) => ({ to: where, hops, verdict: verdictOfHops(hops) }));
    return { from: nameOf(from), to: nameOf(to), family, protocol, port, ways, verdict: verdictOfWays(ways) };
  }

  private ways(question: Question): readonly (readonly [string, readonly TracedHop[]])[] {
    const { from, to, family } = question;
    const source = sourceHop(from, family);
    if (source.outcome === 'ends') return [[nameOf(to), [source]]];
    if (to.type === 'service') return this.throughService(question, to, source);
    return [[nameOf(to), [source, ...this.toEnd(question, to, { node: nodeOf(from), masquerade: false })]]];
  }

  // ---- Services

  private throughService(
    question: Question,
    to: ServiceEnd,
    source: TracedHop,
  ): readonly (readonly [string, readonly TracedHop[]])[] {
    const { from, family } = question;
    const address = to.address ?? this.addressFrom(from, to, family);
    if (address === undefined) {
      const message = `the Service has no IPv${family} address`;
      return [[nameOf(to), [source, ends('service', nodeOf(from), message, objectOf(to))]]];
    }
    const own = nodeOf(from);
    if (own !== undefined) return this.servedAt(question, to, address, own, [source]);
    const entries = this.routing.nodesTelling(address);
    if (entries.length === 0)
      return [
        [
          nameOf(to),
          [source, ends('entry', undefined, `no node tells routers of ${address}`, 'BGPConfiguration/default')],
        ],
      ];
    return entries.slice(0, MOST_ENTRIES).flatMap((node) => {
      const others = entries.length === 1 ? '' : `, one of ${entries.length} that are told to routers`;
      const entry: TracedHop = {
        step: 'entry',
        outcome: 'goes on',
        message: `routers send ${address} to ${node}${others}`,
        object: 'BGPConfiguration/default',
        evidence: [],
      };
      return this.servedAt(question, to, address, node, [source, entry]);
    });
  }

  private addressFrom(from: Source, { service }: ServiceEnd, family: 4 | 6): string | undefined {
    const all = addressesOfService(service).filter((address) => tryParseAddress(address)?.family === family);
    if (from.type !== 'outside') return all[0];
    return all.find((address) => this.routing.nodesTelling(address).length > 0) ?? all[0];
  }

  private servedAt(
    question: Question,
    to: ServiceEnd,
    address: string,
    node: string,
    before: readonly TracedHop[],
  ): readonly (readonly [string, readonly TracedHop[]])[] {
    const { from, family, port, protocol } = question;
    const connection: Connection = {
      source: addressOf(from, family) ?? '',
      destination: address,
      protocol: String(protocol).toLowerCase() as Connection['protocol'],
      port,
      isFromNode: from.type === 'node',
      isToNode: false,
    };
    const verdict = this.servicesAt(node).verdict(connection);
    if (verdict.type === 'none')
      return [
        [
          nameOf(to),
          [...before, ends('service', node, `no Service serves ${address} on port ${port}/${protocol}`, objectOf(to))],
        ],
      ];
    if (verdict.type === 'refused')
      return [[nameOf(to), [...before, ends('service', node, REFUSALS[verdict.by], objectOf(to))]]];
    return verdict.choices.map(({ endpoint, masquerade }) => {
      const hops = [
        ...before,
        serviceHop(verdict, endpoint, node, objectOf(to)),
        ...(masquerade ? [masqueradeHop(node, objectOf(to), 'so that answers come back this way')] : []),
        ...this.toEnd({ ...question, port: endpoint.port }, endAt(this.world, endpoint.address), { node, masquerade }),
      ];
      return [formatEndpoint(endpoint), hops] as const;
    });
  }

  private servicesAt(node: string): ServicesEngine {
    const known = this.engines.get(node);
    if (known !== undefined) return known;
    const engine = new ServicesEngine({ nodeName: node });
    engine.apply({ type: 'pod-ranges', ranges: podRangesOf(ofKind(this.world, 'ipPools')) });
    for (const object of ofKind(this.world, 'nodes')) engine.apply({ type: 'upsert', kind: 'Node', object });
    for (const object of ofKind(this.world, 'services')) engine.apply({ type: 'upsert', kind: 'Service', object });
    for (const object of ofKind(this.world, 'endpointSlices'))
      engine.apply({ type: 'upsert', kind: 'EndpointSlice', object });
    this.engines.set(node, engine);
    return engine;
  }

  // ---- after Services

  /** @param at the node that the packet is on, undefined outside; `masquerade`: it has that node's address */
  private toEnd(
    question: Question,
    to: Source,
    at: { readonly node: string | undefined; readonly masquerade: boolean },
  ): readonly TracedHop[] {
    const { from, family } = question;
    const address = addressOf(to, family);
    if (address === undefined)
      return [ends('destination', nodeOf(to), `${nameOf(to)} has no IPv${family} address`, objectOf(to))];
    const there = nodeOf(to);
    const isAway = there !== at.node;
    const flow: Flow = {
      from: flowEndOf(from),
      to: flowEndOf(to),
      family,
      protocol: question.protocol,
      port: question.port,
    };
    // What a node masquerades another node sees come from it.
    const seen: FlowEnd =
      at.masquerade && isAway && at.node !== undefined ? { type: 'node', name: at.node } : flow.from;
    return [
      ...(nodeOf(from) === undefined ? [] : [this.policyHop(flow, 'egress', nodeOf(from))]),
      ...this.wayTo(question, to, address, at.node),
      ...(there === undefined ? [] : [this.policyHop({ ...flow, from: seen }, 'ingress', there)]),
      destinationHop(to, there, address),
    ];
  }

  private policyHop(flow: Flow, direction: 'egress' | 'ingress', node: string | undefined): TracedHop {
    const explanation = this.policy.explain(flow);
    const verdict = explanation.verdict[direction];
    const object = policyObject(verdict);
    return {
      step: 'policy',
      ...(node === undefined ? {} : { node }),
      outcome: verdict.allowed ? 'goes on' : 'ends',
      message: `${direction} ${formatDecision(verdict.decision)}`,
      ...(object === undefined ? {} : { object }),
      evidence: [],
      asked: { explanation, direction, ...interfaceOf(direction === 'egress' ? flow.from : flow.to) },
    };
  }

  private wayTo({ from, family }: Question, to: Source, address: string, at: string | undefined): readonly TracedHop[] {
    const there = nodeOf(to);
    if (there === undefined) return this.wayOut(from, address, at, family);
    if (there === at) return [{ ...localHop(to, there, address), routedTo: address }];
    // Nodes are found by the network's own routes.
    if (to.type === 'node')
      return [
        {
          step: at === undefined ? 'entry' : 'route',
          ...(at === undefined ? {} : { node: at, routedTo: address }),
          outcome: 'goes on',
          message: `${address} is the address of ${there}: the way of the nodes themselves`,
          object: `Node/${there}`,
          evidence: [],
        },
      ];
    return [
      at === undefined
        ? this.routing.fromOutside(there, address)
        : { ...this.routing.between(at, there, address), routedTo: address },
    ];
  }

  private wayOut(from: Source, address: string, at: string | undefined, family: 4 | 6): readonly TracedHop[] {
    if (at === undefined)
      return [
        {
          step: 'entry',
          outcome: 'not known',
          message: `${address} is nobody's of the cluster, and so is the source`,
          evidence: [],
        },
      ];
    const own = from.type === 'pod' ? addressOf(from, family) : undefined;
    const pool = own === undefined ? undefined : this.routing.poolOf(own);
    const leaves = pool?.spec.natOutgoing === true && this.routing.poolOf(address) === undefined;
    const routers = this.routing.routersOf(at).map((session) => session.address);
    const inPool = this.routing.poolOf(address);
    const way: TracedHop =
      inPool === undefined
        ? {
            step: 'route',
            node: at,
            outcome: 'not known',
            message: `${address} is outside the cluster: it goes by what routers tell ${at} (--live on ${at} says)`,
            object: `Node/${at}`,
            evidence: routers.length === 0 ? ['no session with a router'] : [`routers: ${routers.join(', ')}`],
            routedTo: address,
          }
        : ends('route', at, `${address} is in a pool, and nobody has it`, `IPPool/${inPool.metadata.name}`);
    return [
      ...(leaves
        ? [masqueradeHop(at, `IPPool/${pool.metadata.name}`, 'natOutgoing, to an address outside all pools')]
        : []),
      way,
    ];
  }
}

const REFUSALS = {
  reject: 'refused with ICMP port unreachable: no endpoint serves it anywhere',
  drop: 'dropped: the policy is Local and no endpoint is on this node',
  'source-range': 'dropped: the source is not in loadBalancerSourceRanges',
} as const;

const interfaceOf = (end: FlowEnd): { readonly interfaceName?: string } =>
  end.type === 'pod' ? { interfaceName: hostInterfaceName(end.namespace, end.name) } : {};

const ends = (step: Hop['step'], node: string | undefined, message: string, object: string): TracedHop => ({
  step,
  ...(node === undefined ? {} : { node }),
  outcome: 'ends',
  object,
  message,
  evidence: [],
});

function objectOf(end: Source | ServiceEnd): string {
  switch (end.type) {
    case 'pod':
      return `Pod ${nameOf(end)}`;
    case 'node':
      return `Node/${end.node.metadata.name}`;
    case 'outside':
      return end.address;
    case 'service':
      return `Service ${nameOf(end)}`;
  }
}

function sourceHop(from: Source, family: 4 | 6): TracedHop {
  const address = addressOf(from, family);
  const node = nodeOf(from);
  if (address === undefined) return ends('source', node, `${nameOf(from)} has no IPv${family} address`, objectOf(from));
  const phase = from.type === 'pod' ? (from.pod.status?.phase ?? 'Running') : 'Running';
  if (phase !== 'Running' && phase !== 'Pending')
    return ends('source', node, `${nameOf(from)} is ${phase}`, objectOf(from));
  return {
    step: 'source',
    ...(node === undefined ? {} : { node }),
    outcome: 'goes on',
    message: `${nameOf(from)} sends from ${address}`,
    evidence: [],
  };
}

function serviceHop(
  { frontend, choices }: Verdict & { readonly type: 'balanced' },
  endpoint: Endpoint,
  node: string,
  object: string,
): TracedHop {
  const chance = choices.length === 1 ? 'the only endpoint' : `one of ${choices.length}, by chance`;
  return {
    step: 'service',
    node,
    outcome: 'goes on',
    object,
    message: `translated to ${formatEndpoint(endpoint)}: ${chance}`,
    evidence: [formatFrontend(frontend)],
  };
}

const masqueradeHop = (node: string, object: string, why: string): TracedHop => ({
  step: 'nat',
  node,
  outcome: 'goes on',
  object,
  message: `the source becomes the address of ${node}: ${why}`,
  evidence: [],
});

function localHop(to: Source, node: string, address: string): TracedHop {
  const message =
    to.type === 'pod'
      ? `${address} on ${hostInterfaceName(to.pod.metadata.namespace ?? '', to.pod.metadata.name)}, its own interface`
      : `${address} is the node's own`;
  return { step: 'route', node, outcome: 'goes on', message, object: objectOf(to), evidence: [] };
}

function destinationHop(to: Source, node: string | undefined, address: string): TracedHop {
  const phase = to.type === 'pod' ? (to.pod.status?.phase ?? 'Running') : 'Running';
  if (phase === 'Succeeded' || phase === 'Failed')
    return ends('destination', node, `${nameOf(to)} is ${phase}`, objectOf(to));
  return {
    step: 'destination',
    ...(node === undefined ? {} : { node }),
    outcome: 'goes on',
    message: node === undefined ? `${address}: whether it answers is not known here` : `${nameOf(to)}, ${address}`,
    evidence: [],
  };
}

/** "NetworkPolicy shop/deny"; undefined: no object decides. */
function policyObject({ decision }: DirectionVerdict): string | undefined {
  const named = (policy: { readonly kind: string; readonly namespace: string; readonly name: string }): string =>
    `${policy.kind} ${policy.namespace === '' ? '' : `${policy.namespace}/`}${policy.name}`;
  if (decision.type === 'rule') return named(decision.policy);
  if (decision.type === 'tier-default') return decision.policies.map(named).join(', ');
  return decision.type === 'host-default' ? `HostEndpoint/${decision.host}` : undefined;
}
