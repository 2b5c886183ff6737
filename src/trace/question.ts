/** Whom a trace is asked of: pods, nodes, addresses and Services, found among the objects. */
import type { FlowEnd, FlowProtocol } from '@tortie/policy';
import { formatAddress, tryParseAddress, type Family } from 'node-bgp/address';
import type { Node, Pod, Service } from '../api/core.js';
import { UserError } from '../errors.js';
import { ofKind, type World } from '../plan/world.js';
import { parseProbe, type Probe } from '../policy/question.js';
import { identityOf } from '../topology/node-identity.js';

export interface PodEnd {
  readonly type: 'pod';
  readonly pod: Pod;
}
export interface NodeEnd {
  readonly type: 'node';
  readonly node: Node;
  /** A pod of the node's own network, where it is one that was asked for. */
  readonly pod?: string;
}
/** Nobody's of the cluster. */
export interface OutsideEnd {
  readonly type: 'outside';
  readonly address: string;
}
export interface ServiceEnd {
  readonly type: 'service';
  readonly service: Service;
  /** Its port's number or name; undefined: the only one. */
  readonly port: string | undefined;
  /** Where it was asked for by address. */
  readonly address?: string;
}

export type Source = PodEnd | NodeEnd | OutsideEnd;
export type Target = Source | ServiceEnd;

export interface Question {
  readonly from: Source;
  readonly to: Target;
  readonly family: Family;
  readonly protocol: FlowProtocol;
  /** Of the target; of a Service its own. */
  readonly port: number;
}

export interface AskedQuestion {
  readonly from: string;
  readonly to: string;
  /** "80", "53/UDP"; default: what the target says, else 80/TCP. */
  readonly port: string | undefined;
  /** "4" or "6"; default: what an address says, else 4. */
  readonly family: string | undefined;
}

/** @throws UserError with what was expected */
export function questionOf(world: World, asked: AskedQuestion): Question {
  const from = sourceOf(world, asked.from);
  const probe = asked.port === undefined ? undefined : parseProbe(asked.port);
  const to = targetOf(world, asked.to, probe);
  const family = familyOf(asked);
  if (to.type !== 'service') {
    const { port, protocol } = probe ?? declared(to) ?? { port: 80, protocol: 'TCP' };
    return { from, to, family, port, protocol };
  }
  const found = servicePort(to, probe);
  return { from, to, family, port: found.port, protocol: found.protocol ?? 'TCP' };
}

function sourceOf(world: World, text: string): Source {
  const end = plainEnd(world, text);
  if (end !== undefined) return end;
  throw new UserError(
    `Cannot trace from "${text}": expected NAMESPACE/POD of a pod that is there, node:NAME or an address`,
    2,
  );
}

function targetOf(world: World, text: string, probe: Probe | undefined): Target {
  const address = canonical(text);
  const byAddress = address === undefined ? undefined : serviceAt(world, address, probe);
  if (byAddress !== undefined) return byAddress;
  const [, namespace = '', name = '', port] = /^([^/:]+)\/([^/:]+)(?::([^/:]+))?$/.exec(text) ?? [];
  const service = (world.get('services')?.get(`${namespace}/${name}`) ?? undefined) as Service | undefined;
  const end = port === undefined ? plainEnd(world, text) : undefined;
  if (end !== undefined) return end;
  if (service !== undefined) return { type: 'service', service, port };
  throw new UserError(
    `Cannot trace to "${text}": expected NAMESPACE/POD or NAMESPACE/SERVICE:PORT that is there, node:NAME or an address`,
    2,
  );
}

const canonical = (text: string): string | undefined => {
  const address = tryParseAddress(text);
  return address === undefined ? undefined : formatAddress(address);
};

function plainEnd(world: World, text: string): Source | undefined {
  if (text.startsWith('node:')) {
    const node = world.get('nodes')?.get(text.slice(5)) as Node | undefined;
    return node === undefined ? undefined : { type: 'node', node };
  }
  const address = canonical(text);
  if (address !== undefined) return endAt(world, address);
  const pod = world.get('pods')?.get(text) as Pod | undefined;
  return pod === undefined ? undefined : (hostOf(world, pod) ?? { type: 'pod', pod });
}

/** Whoever has an address. */
export function endAt(world: World, address: string): Source {
  const pods = ofKind(world, 'pods').filter(({ status }) =>
    status?.podIPs?.some(({ ip }) => canonical(ip) === address),
  );
  const pod = pods.find(({ spec, status }) => spec.hostNetwork !== true && !hasEnded(status?.phase));
  if (pod !== undefined) return { type: 'pod', pod };
  const node = ofKind(world, 'nodes').find(
    (each) =>
      [...identityOf(each).addresses.values()].includes(address) ||
      each.status?.addresses?.some((own) => canonical(own.address) === address) === true,
  );
  return node === undefined ? { type: 'outside', address } : { type: 'node', node };
}

const hasEnded = (phase: string | undefined): boolean => phase === 'Succeeded' || phase === 'Failed';

function hostOf(world: World, { spec, metadata }: Pod): NodeEnd | undefined {
  const node =
    spec.hostNetwork === true ? (world.get('nodes')?.get(spec.nodeName ?? '') as Node | undefined) : undefined;
  return node && { type: 'node', node, pod: `${metadata.namespace ?? ''}/${metadata.name}` };
}

export function addressesOfService({ spec = {}, status }: Service): readonly string[] {
  const { clusterIP = '', clusterIPs = [clusterIP], externalIPs = [] } = spec;
  const ingress = (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []);
  return [...clusterIPs, ...externalIPs, ...ingress].map(canonical).filter((address) => address !== undefined);
}

function serviceAt(world: World, address: string, probe: Probe | undefined): ServiceEnd | undefined {
  const there = ofKind(world, 'services').filter((service) => addressesOfService(service).includes(address));
  // Several may share an address, each with ports of its own.
  const serves = ({ spec }: Service): boolean =>
    spec?.ports?.some(
      ({ port, protocol = 'TCP' }) => port === (probe?.port ?? 80) && protocol === (probe?.protocol ?? 'TCP'),
    ) === true;
  const service = there.find(serves) ?? (probe === undefined ? there[0] : undefined);
  return service && { type: 'service', service, port: probe === undefined ? undefined : `${probe.port}`, address };
}

function servicePort(
  { service, port }: ServiceEnd,
  probe: Probe | undefined,
): { port: number; protocol?: FlowProtocol } {
  const { ports = [] } = service.spec ?? {};
  const wanted = port ?? (probe === undefined ? undefined : `${probe.port}`);
  const found = ports.filter(
    (each) =>
      (wanted === undefined || each.name === wanted || `${each.port}` === wanted) &&
      (probe === undefined || (each.protocol ?? 'TCP') === probe.protocol),
  );
  const [first] = found;
  if (first !== undefined && (wanted !== undefined || found.length === 1)) return first;
  const { namespace = '', name } = service.metadata;
  throw new UserError(
    `Cannot trace to port "${wanted ?? ''}" of Service "${namespace}/${name}": expected one of ` +
      (ports.map((each) => `${each.name ?? each.port}`).join(', ') || 'none, it has no port'),
    2,
  );
}

function declared(end: Source): Probe | undefined {
  if (end.type !== 'pod') return undefined;
  const [first] = end.pod.spec.containers.flatMap(({ ports = [] }) => ports);
  return first && { port: first.containerPort, protocol: first.protocol ?? 'TCP' };
}

function familyOf({ from, to, family }: AskedQuestion): Family {
  const fixed = [from, to].map((text) => tryParseAddress(text)?.family).filter((each) => each !== undefined);
  const wanted = family === undefined ? undefined : family === '4' ? 4 : family === '6' ? 6 : NaN;
  const all = new Set([...fixed, ...(wanted === undefined ? [] : [wanted])]);
  if (Number.isNaN(wanted) || all.size > 1)
    throw new UserError(
      `Cannot trace with --family ${family ?? ''} from "${from}" to "${to}": expected 4 or 6, the same at both ends`,
      2,
    );
  return all.has(6) ? 6 : 4;
}

/** The address of an end in a family; undefined: it has none. */
export function addressOf(end: Source, family: Family): string | undefined {
  const isOf = (text: string): boolean => tryParseAddress(text)?.family === family;
  switch (end.type) {
    case 'pod':
      return (end.pod.status?.podIPs ?? []).map(({ ip }) => ip).find(isOf);
    case 'node':
      return identityOf(end.node).addresses.get(family);
    case 'outside':
      return isOf(end.address) ? end.address : undefined;
  }
}

export const nodeOf = (end: Source): string | undefined =>
  end.type === 'pod' ? end.pod.spec.nodeName : end.type === 'node' ? end.node.metadata.name : undefined;

export const flowEndOf = (end: Source): FlowEnd =>
  end.type === 'pod'
    ? { type: 'pod', namespace: end.pod.metadata.namespace ?? '', name: end.pod.metadata.name }
    : end.type === 'node'
      ? { type: 'node', name: end.node.metadata.name }
      : { type: 'address', address: end.address };

export function nameOf(end: Target): string {
  switch (end.type) {
    case 'pod':
      return `${end.pod.metadata.namespace ?? ''}/${end.pod.metadata.name}`;
    case 'node':
      return end.pod ?? `node:${end.node.metadata.name}`;
    case 'outside':
      return end.address;
    case 'service':
      return `${end.service.metadata.namespace ?? ''}/${end.service.metadata.name}`;
  }
}
