/**
 * `runtimeConfig.portMappings`, what runtimes pass to a plugin whose object in the conflist has `capabilities: { portMappings: true }`
 * (containernetworking CONVENTIONS.md): a pod's `hostPort`s.
 */
import { formatAddress, tryParseAddress } from 'node-bgp/address';
import { errorOfProblems, type CniProblem } from './cni-error.js';
import type { CniNetworkConfig } from './contract.js';

export interface PortMapping {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly hostPort: number;
  readonly containerPort: number;
  /** Canonical; absent: every address of the node. */
  readonly hostIP?: string;
}

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;
/** BOUNDED: each is a chain in the kernel, in each family. */
export const MOST_PORT_MAPPINGS = 1_000;
const EXPECTED_PORT = 'a whole number from 1 to 65535';

/** Without those that have no host port: runtimes pass these too. @throws CniError that names every wrong field */
export function portMappingsOf({ raw }: Pick<CniNetworkConfig, 'raw'>): readonly PortMapping[] {
  const runtime = raw['runtimeConfig'];
  const list = isRecord(runtime) ? runtime['portMappings'] : undefined;
  if (list === undefined || list === null) return [];
  const problems: CniProblem[] = [];
  const field = 'runtimeConfig.portMappings';
  if (!Array.isArray(list) || list.length > MOST_PORT_MAPPINGS)
    problems.push({ field, value: list, expected: `a list of at most ${MOST_PORT_MAPPINGS} port mappings` });
  const mappings = (problems.length > 0 ? [] : (list as readonly unknown[])).flatMap((item, index) =>
    mappingOf(isRecord(item) ? item : {}, `${field}[${index}]`, problems),
  );
  if (problems.length > 0) throw errorOfProblems('invalidConfig', 'the network configuration', problems);
  return mappings;
}

function mappingOf(
  { hostPort, containerPort, protocol, hostIP }: Readonly<Record<string, unknown>>,
  field: string,
  problems: CniProblem[],
): readonly PortMapping[] {
  if (hostPort === undefined || hostPort === 0) return [];
  const wrong = (name: string, value: unknown, expected: string): void =>
    void problems.push({ field: `${field}.${name}`, value, expected });
  if (!isPort(hostPort)) wrong('hostPort', hostPort, EXPECTED_PORT);
  if (!isPort(containerPort)) wrong('containerPort', containerPort, EXPECTED_PORT);
  const name = typeof protocol === 'string' ? protocol.toLowerCase() : protocol === undefined ? 'tcp' : '';
  const known = PROTOCOLS.find((one) => one === name);
  if (known === undefined) wrong('protocol', protocol, PROTOCOLS.join(', '));
  const address = typeof hostIP === 'string' && hostIP !== '' ? tryParseAddress(hostIP) : undefined;
  if (hostIP !== undefined && hostIP !== '' && address === undefined) wrong('hostIP', hostIP, 'an address of the node');
  if (!isPort(hostPort) || !isPort(containerPort) || known === undefined) return [];
  return [
    { protocol: known, hostPort, containerPort, ...(address === undefined ? {} : { hostIP: formatAddress(address) }) },
  ];
}

const isPort = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535;
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
