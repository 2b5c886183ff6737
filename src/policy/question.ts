/**
 * What people type to name an end of a flow or a port, and how it is shown.
 */
import { tryParseAddress, type Family } from 'node-bgp/address';
import type { Flow, FlowEnd, FlowProtocol, PodObject } from '@tortie/policy';
import { UserError } from '../errors.js';

export interface Probe {
  readonly protocol: FlowProtocol;
  readonly port: number;
}

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;

/** "80", "80/TCP", "53/udp". @throws UserError */
export function parseProbe(text: string): Probe {
  const [number = '', name = 'TCP', ...rest] = text.split('/');
  const protocol = PROTOCOLS.find((one) => one === name.toUpperCase());
  const port = Number(number);
  if (protocol === undefined || rest.length > 0 || !/^\d+$/.test(number) || port < 1 || port > 65535)
    throw new UserError(
      `Cannot understand port "${text}": expected a number, with or without a protocol, such as 80 or 53/UDP`,
      2,
    );
  return { protocol, port };
}

/** "shop/web-0", "node:n1" or an address. @throws UserError */
export function parseEnd(text: string): FlowEnd {
  if (text.startsWith('node:')) return { type: 'node', name: text.slice(5) };
  const address = tryParseAddress(text);
  if (address !== undefined) return { type: 'address', address: text };
  const [namespace = '', name = '', ...rest] = text.split('/');
  if (namespace === '' || name === '' || rest.length > 0)
    throw new UserError(`Cannot understand "${text}": expected NAMESPACE/POD, node:NAME or an address`, 2);
  return { type: 'pod', namespace, name };
}

export function parseFamily(text: string): Family {
  if (text === '4' || text === '6') return text === '4' ? 4 : 6;
  throw new UserError(`Cannot understand address family "${text}": expected 4 or 6`, 2);
}

/** The family that an end fixes by being an address. */
export function familyOf(ends: readonly FlowEnd[]): Family | undefined {
  for (const end of ends) if (end.type === 'address') return end.address.includes(':') ? 6 : 4;
  return undefined;
}

export function formatEnd(end: FlowEnd): string {
  switch (end.type) {
    case 'pod':
      return `${end.namespace}/${end.name}`;
    case 'node':
      return `node:${end.name}`;
    case 'address':
      return end.address;
  }
}

export const formatProbe = (probe: Probe): string => `${probe.port}/${probe.protocol}`;

export const formatFlow = (flow: Flow): string =>
  `${formatEnd(flow.from)} -> ${formatEnd(flow.to)} ${flow.port}/${flow.protocol} IPv${flow.family}`;

/** Ports that a pod says it serves; TCP 80 for one that says nothing. */
export function declaredProbes(pod: PodObject): readonly Probe[] {
  const probes = new Map<string, Probe>();
  for (const container of [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])])
    for (const { containerPort, protocol = 'TCP' } of container.ports ?? []) {
      const known = PROTOCOLS.find((one) => one === protocol);
      if (containerPort !== undefined && known !== undefined)
        probes.set(`${containerPort}/${known}`, { protocol: known, port: containerPort });
    }
  return probes.size > 0 ? [...probes.values()] : [{ protocol: 'TCP', port: 80 }];
}
