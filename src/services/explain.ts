/**
 * What becomes of a connection from a pod to a Service, in the order in which the kernel decides: the Service's choice, what policy says of
 * each endpoint (it sees the pod behind the Service at both ends), the source address that arrives, and where it is routed.
 */
import type { Flow, FlowEnd, FlowProtocol, PodObject } from '@tortie/policy';
import type { Connection, Endpoint, Frontend, Verdict } from '@tortie/services';
import { UserError } from '../errors.js';
import { formatDecision } from '../policy/diff.js';
import type { ServiceWorld } from './objects.js';
import { formatEndpoint, formatFrontend } from './show.js';

export interface Question {
  readonly from: FlowEnd;
  readonly namespace: string;
  readonly name: string;
  /** A port's number or name; undefined: the only one. */
  readonly port: string | undefined;
  readonly family: 4 | 6;
}

export interface Answer {
  readonly connection: Connection;
  readonly verdict: Verdict;
  readonly endpoints: readonly {
    readonly endpoint: Endpoint;
    readonly source: string;
    readonly policy: string;
    readonly isAllowed: boolean;
    readonly route: string;
  }[];
}

/** "shop/web:http", "shop/web:80" or "shop/web". @throws UserError */
export function parseServiceEnd(text: string): Pick<Question, 'namespace' | 'name' | 'port'> {
  const match = /^([^/:]+)\/([^/:]+)(?::([^/:]+))?$/.exec(text);
  if (match === null) throw new UserError(`Cannot understand Service "${text}": expected NAMESPACE/NAME:PORT`, 2);
  const [, namespace = '', name = '', port] = match;
  return { namespace, name, port };
}

/** @throws UserError when there is no such Service, port or source */
export function explainConnection(world: ServiceWorld, question: Question): Answer {
  const frontend = clusterFrontend(world, question);
  const connection: Connection = {
    source: sourceOf(world, question),
    destination: frontend.address ?? '',
    protocol: frontend.protocol,
    port: frontend.port,
    isFromNode: question.from.type === 'node',
    isToNode: false,
  };
  const verdict = world.engine.verdict(connection);
  const choices = verdict.type === 'balanced' ? verdict.choices : [];
  return {
    connection,
    verdict,
    endpoints: choices.map(({ endpoint, masquerade }) => {
      const flow: Flow = {
        from: question.from,
        to: endOf(world.pods, endpoint),
        family: question.family,
        protocol: frontend.protocol.toUpperCase() as FlowProtocol,
        port: endpoint.port,
      };
      const { allowed, egress, ingress } = world.policy.verdict(flow);
      return {
        endpoint,
        source: masquerade ? `the address of node ${world.node}` : connection.source,
        isAllowed: allowed,
        policy: `egress ${formatDecision(egress.decision)}, ingress ${formatDecision(ingress.decision)}`,
        route: endpoint.isLocal
          ? "this node's own interface to the pod"
          : `BGP's route to node ${endpoint.nodeName ?? '?'}`,
      };
    }),
  };
}

export function formatAnswer(question: Question, { connection, verdict, endpoints }: Answer): string {
  const { source, destination, port, protocol } = connection;
  const lines = [
    `${source} to ${question.namespace}/${question.name}, ${destination} port ${port}/${protocol.toUpperCase()}`,
  ];
  if (verdict.type === 'none') return [...lines, '1. no Service has this address'].join('\n');
  lines.push(`1. the Service: ${formatFrontend(verdict.frontend)}`);
  if (verdict.type === 'refused') return [...lines, `2. ${REFUSALS[verdict.by]}`].join('\n');
  const affinity = verdict.frontend.backend.affinitySeconds;
  lines.push(
    `2. the choice: ${endpoints.length === 1 ? 'the only endpoint' : `one of ${endpoints.length}, by chance`}` +
      (affinity === undefined ? '' : `; a client that came within ${affinity} s goes where it went`),
  );
  for (const { endpoint, source: seen, isAllowed, policy, route } of endpoints)
    lines.push(
      `   ${formatEndpoint(endpoint)}`,
      `     policy: ${isAllowed ? 'ALLOWED' : 'DENIED'}: ${policy}`,
      `     source that arrives: ${seen}`,
      `     route: ${route}`,
    );
  return lines.join('\n');
}

const REFUSALS = {
  reject: 'refused with ICMP port unreachable: no endpoint serves it anywhere',
  drop: 'dropped: the policy is Local and no endpoint is on this node',
  'source-range': 'dropped: the source is not in loadBalancerSourceRanges',
} as const;

function clusterFrontend({ engine }: ServiceWorld, { namespace, name, port, family }: Question): Frontend {
  const view = engine.service(namespace, name);
  if (view?.built === undefined) {
    const reason = view?.translated?.type === 'none' ? view.translated.reason : 'there is none';
    throw new UserError(`Cannot explain Service "${namespace}/${name}": ${reason}`);
  }
  const candidates = view.built.frontends.filter((one) => one.kind === 'cluster-ip' && one.family === family);
  const found = candidates.find(
    ({ backend }) => port === undefined || backend.port.name === port || `${backend.port.port}` === port,
  );
  if (found === undefined || (port === undefined && candidates.length > 1))
    throw new UserError(
      `Cannot explain port "${port ?? ''}" of Service "${namespace}/${name}" in IPv${family}: expected one of ` +
        (candidates.map(({ backend }) => backend.port.name || backend.port.port).join(', ') ||
          'none, it has no such address'),
    );
  return found;
}

function sourceOf({ pods, engine, node }: ServiceWorld, { from, family }: Question): string {
  const isFamily = (ip: string): boolean => ip.includes(':') === (family === 6);
  if (from.type === 'address') return from.address;
  if (from.type === 'node') {
    const own = engine.addressesOfNode().find(isFamily);
    if (own === undefined) throw new UserError(`Cannot explain: node "${node}" has no IPv${family} address`);
    return own;
  }
  const pod = pods.find(({ metadata }) => metadata?.namespace === from.namespace && metadata.name === from.name);
  const ip = (pod?.status?.podIPs ?? []).map((one) => one.ip ?? '').find((one) => one !== '' && isFamily(one));
  if (ip === undefined)
    throw new UserError(
      `Cannot explain: pod "${from.namespace}/${from.name}" is not there or has no IPv${family} address`,
    );
  return ip;
}

/** Policy judges pods by name where it can, since an address may be a host's. */
function endOf(pods: readonly PodObject[], { address }: Endpoint): FlowEnd {
  const pod = pods.find(
    ({ spec, status }) => spec?.hostNetwork !== true && (status?.podIPs ?? []).some(({ ip }) => ip === address),
  );
  const { namespace, name } = pod?.metadata ?? {};
  return namespace === undefined || name === undefined
    ? { type: 'address', address }
    : { type: 'pod', namespace, name };
}

/** On which node the question is asked: the source's. */
export function nodeOf(from: FlowEnd, pods: readonly PodObject[]): string | undefined {
  if (from.type === 'node') return from.name;
  if (from.type !== 'pod') return undefined;
  return pods.find(({ metadata }) => metadata?.namespace === from.namespace && metadata.name === from.name)?.spec
    ?.nodeName;
}
