/**
 * Host ports: what of the node's ports leads to which pod. Two pods that want the same one are told apart here: the first has it, the
 * other is named and gets it when the first has gone. Pure.
 */
import { formatAddress, tryParseAddress, type Family } from 'node-bgp/address';

export const HOST_PORT_PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;
export type HostPortProtocol = (typeof HOST_PORT_PROTOCOLS)[number];

/** As a runtime asks for it: `runtimeConfig.portMappings` of the CNI conventions. */
export interface HostPort {
  readonly protocol: HostPortProtocol;
  /** 1 to 65,535 */
  readonly hostPort: number;
  readonly containerPort: number;
  /** An address of the node, canonical; absent: all of both families. "0.0.0.0" and "::" are all of one. */
  readonly hostIP?: string;
}

/** One pod of this node. */
export interface NatEndpoint {
  /** "namespace/name" */
  readonly pod: string;
  readonly addresses: readonly string[];
  readonly hostPorts: readonly HostPort[];
}

/** One rule of translation: of one family. */
export interface PortForward {
  readonly family: Family;
  readonly protocol: HostPortProtocol;
  /** Undefined: every address of the node. */
  readonly hostIP: string | undefined;
  readonly hostPort: number;
  /** The pod's. */
  readonly to: string;
  readonly containerPort: number;
  readonly pod: string;
}

export interface PortForwards {
  readonly forwards: readonly PortForward[];
  /** Sentences that name both pods. */
  readonly problems: readonly string[];
}

const ANY: Readonly<Record<Family, string>> = { 4: '0.0.0.0', 6: '::' };

/** `endpoints` in the order in which they came: who came first has a port that several want. */
export function portForwardsOf(endpoints: readonly NatEndpoint[], families: readonly Family[]): PortForwards {
  const forwards: PortForward[] = [];
  const problems: string[] = [];
  /** By family, protocol and port: who has it at which addresses. */
  const taken = new Map<string, PortForward[]>();
  for (const { pod, addresses, hostPorts } of endpoints)
    for (const hostPort of hostPorts)
      for (const forward of forwardsOf(pod, addresses, hostPort, families)) {
        const key = `${forward.family} ${forward.protocol} ${forward.hostPort}`;
        const others = taken.get(key) ?? [];
        const clash = others.find((one) => overlaps(one, forward));
        if (clash === undefined) {
          forwards.push(forward);
          taken.set(key, [...others, forward]);
        } else if (clash.pod !== pod || clash.containerPort !== forward.containerPort || clash.to !== forward.to)
          problems.push(
            `Host port ${describe(forward)} (IPv${forward.family}) of pod "${pod}" leads to pod "${clash.pod}", which had it first; ` +
              'expected one pod on this node with this port',
          );
      }
  return { forwards, problems };
}

function forwardsOf(
  pod: string,
  addresses: readonly string[],
  { protocol, hostPort, containerPort, hostIP }: HostPort,
  families: readonly Family[],
): readonly PortForward[] {
  const at = hostIP === undefined ? undefined : tryParseAddress(hostIP);
  return families.flatMap((family): readonly PortForward[] => {
    if (at !== undefined && at.family !== family) return [];
    const to = addresses.find((address) => tryParseAddress(address)?.family === family);
    if (to === undefined) return [];
    const address = at === undefined || formatAddress(at) === ANY[family] ? undefined : formatAddress(at);
    return [{ family, protocol, hostIP: address, hostPort, to, containerPort, pod }];
  });
}

const overlaps = (a: PortForward, b: PortForward): boolean =>
  a.hostIP === undefined || b.hostIP === undefined || a.hostIP === b.hostIP;

const describe = ({ protocol, hostIP, hostPort }: PortForward): string =>
  `${hostIP === undefined ? '' : `${hostIP} `}${protocol}/${hostPort}`;
