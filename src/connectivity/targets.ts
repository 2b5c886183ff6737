/**
 * What `tortie connectivity test` tries, and what has to come of it. Pure; the text of targets is what a probing pod is started with.
 *
 * On each chosen node stand two servers: "open", that nobody guards, and "closed", which a NetworkPolicy opens for friends alone. From each
 * node try a stranger, a friend, and the node itself (a pod on the host's network). That the friend gets through shows that the silence
 * a stranger meets is the policy's, not a server's that is not there.
 */
import { tryParseAddress, type Family } from 'node-bgp/address';
import { UserError } from '../errors.js';

/** `answer`: by one of these names; `silence`: nothing, for a while; `reach`: anything that comes back, a refusal too. */
export type Expectation = 'answer' | 'silence' | 'reach';

export interface Target {
  /** What it is, for people: "pod on another node". */
  readonly path: PathName;
  readonly address: string;
  readonly port: number;
  readonly expect: Expectation;
  /** Names that may answer. */
  readonly names?: readonly string[];
}

export const PATHS = {
  'same-node': 'pod to pod on its node',
  'other-node': 'pod to pod on another node',
  'node-to-pod': 'node to pod',
  'pod-to-node': 'pod to node',
  service: 'pod to the cluster IP of a Service',
  'policy-allows': 'friend to a guarded pod',
  'policy-denies': 'stranger to a guarded pod',
} as const;
export type PathName = keyof typeof PATHS;

export interface Server {
  readonly name: string;
  readonly node: string;
  readonly kind: 'open' | 'closed';
  readonly addresses: readonly string[];
}

export type ClientKind = 'stranger' | 'friend' | 'node';

export interface Scene {
  readonly namespace: string;
  readonly servers: readonly Server[];
  readonly nodes: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  readonly service: { readonly addresses: readonly string[]; readonly port: number };
}

export const SERVER_PORT = 8080;
/** The kubelet's: whether it answers or refuses, the packet came. */
const NODE_PORT = 10250;

export const familyOf = (address: string): Family => (address.includes(':') ? 6 : 4);

/** What one client on a node tries. */
export function targetsOf(kind: ClientKind, node: string, scene: Scene): readonly Target[] {
  const open = scene.servers.filter((server) => server.kind === 'open');
  const closed = scene.servers.filter((server) => server.kind === 'closed');
  switch (kind) {
    case 'stranger':
      return [
        ...open.flatMap((server) =>
          toServer(server, server.node === node ? 'same-node' : 'other-node', 'answer', scene),
        ),
        ...closed.flatMap((server) => toServer(server, 'policy-denies', 'silence', scene)),
        ...scene.service.addresses.map(
          (address): Target => ({
            path: 'service',
            address,
            port: scene.service.port,
            expect: 'answer',
            names: open.map(({ name }) => nameOf(name, scene)),
          }),
        ),
        ...scene.nodes.flatMap(({ addresses }) =>
          addresses.map((address): Target => ({ path: 'pod-to-node', address, port: NODE_PORT, expect: 'reach' })),
        ),
      ];
    case 'friend':
      return closed.flatMap((server) => toServer(server, 'policy-allows', 'answer', scene));
    case 'node':
      return open.flatMap((server) => toServer(server, 'node-to-pod', 'answer', scene));
  }
}

const toServer = (server: Server, path: PathName, expect: Expectation, scene: Scene): readonly Target[] =>
  server.addresses.map((address) => ({
    path,
    address,
    port: SERVER_PORT,
    expect,
    names: [nameOf(server.name, scene)],
  }));

const nameOf = (pod: string, { namespace }: Pick<Scene, 'namespace'>): string => `${namespace}/${pod}`;

/** A client answers in a pod's termination message, which has 4096 octets: it names what went wrong, by number, and counts the rest. */
export interface ProbeResult {
  readonly tried: number;
  /** Index of the target, and what happened instead. */
  readonly failures: readonly (readonly [number, string])[];
}

export const MOST_MESSAGE = 4_000;

/** As much of it as a termination message takes. */
export function resultText(result: ProbeResult): string {
  for (let count = result.failures.length; count >= 0; count--) {
    const failures = result.failures.slice(0, count).map(([index, text]) => [index, text.slice(0, 120)] as const);
    const rest = result.failures.slice(count).map(([index]) => [index, ''] as const);
    const text = JSON.stringify({ tried: result.tried, failures: [...failures, ...rest] });
    if (Buffer.byteLength(text) <= MOST_MESSAGE) return text;
  }
  return JSON.stringify({ tried: result.tried, failures: [] });
}

/** What a probing pod is started with. @throws UserError */
export function readTargets(text: string): readonly Target[] {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    throw new UserError('Cannot read --targets: it is no JSON', 2);
  }
  if (!Array.isArray(read) || !read.every(isTarget))
    throw new UserError('Cannot read --targets: expected a list of path, address, port, expect and names', 2);
  return read;
}

function isTarget(value: unknown): value is Target {
  const { path, address, port, expect, names = [] } = (value ?? {}) as Partial<Target>;
  return (
    typeof path === 'string' &&
    Object.hasOwn(PATHS, path) &&
    typeof address === 'string' &&
    tryParseAddress(address) !== undefined &&
    typeof port === 'number' &&
    (expect === 'answer' || expect === 'silence' || expect === 'reach') &&
    Array.isArray(names)
  );
}
