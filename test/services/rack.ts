/**
 * A node in namespaces for packets of Services: two local pods and a client pod, a neighbour with two more pods, and the world outside.
 * Everything answers through the node, whatever its source, so that a server sees whether it was masqueraded.
 */
import { createServer, Socket, type Server } from 'node:net';
import { AF_INET, AF_INET6 } from '../../src/dataplane/libc.js';
import { listenInNamespace, socketInNamespace } from '../../src/dataplane/netns.js';
import { exec, ip, type ScratchNamespaces } from '../dataplane/scratch-namespaces.js';
import { addressOf, NET, sourceOf, TARGET_PORT, type From, type Place } from './rows.js';

const FAMILIES = [4, 6] as const;
type Family = 4 | 6;

/** Every endpoint says back what it hears there. */
export const ECHO_PORT = 8_081;

export interface HeldConnection {
  /** Rejects when the answer does not come, or the connection has ended. */
  echo(text: string): Promise<void>;
  close(): void;
}

export interface Rack {
  readonly node: string;
  /** "L1 10.65.0.9": who answered and whom it saw; "reject", "drop" after `patience` milliseconds. */
  connect(family: Family, from: From, destination: string, port: number, patience: number): Promise<string>;
  /** A connection that stays, to somebody's ECHO_PORT. */
  hold(family: Family, from: From, destination: string, port: number): Promise<HeldConnection>;
  namespaceOf(from: From | Place): string;
  close(): void;
}

export async function buildRack(namespaces: ScratchNamespaces): Promise<Rack> {
  const node = namespaces.create();
  exec(
    node,
    'sysctl',
    '-qw',
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
    'net.ipv4.conf.all.rp_filter=0',
    // Refusals are looked at here, not how many of them a host sends.
    'net.ipv4.icmp_ratelimit=0',
    'net.ipv6.icmp.ratelimit=0',
  );
  const pods = new Map<string, string>();
  for (const [name, host] of [
    ['L1', 1],
    ['L2', 2],
    ['pod', 9],
  ] as const) {
    const pod = namespaces.create();
    pods.set(name, pod);
    link(node, pod, `tort${name}`);
    for (const family of FAMILIES) {
      const address = NET[family].pod(host);
      addAddress(pod, 'eth0', address, family);
      ip(node, ...flag(family), 'route', 'add', address, 'dev', `tort${name}`);
    }
    viaLinkLocal(pod, node, `tort${name}`);
  }
  const remote = namespaces.create();
  pods.set('R1', remote).set('R2', remote);
  link(node, remote, 'remote');
  viaLinkLocal(remote, node, 'remote');
  for (const family of FAMILIES)
    for (const place of ['R1', 'R2'] as const) {
      addAddress(remote, 'eth0', addressOf(family, place), family);
      ip(node, ...flag(family), 'route', 'add', addressOf(family, place), 'dev', 'remote');
    }
  const outside = namespaces.create();
  pods.set('outside', outside).set('other outside', outside).set('node', node);
  link(node, outside, 'uplink');
  for (const family of FAMILIES) {
    const { node: own, client, other } = NET[family];
    addAddress(node, 'uplink', own, family);
    for (const address of [client, other]) {
      addAddress(outside, 'eth0', address, family);
      ip(node, ...flag(family), 'route', 'add', address, 'dev', 'uplink');
    }
  }
  viaLinkLocal(outside, node, 'uplink');
  // A node has a way out for everything; what is not a Service's is lost there.
  ip(node, 'route', 'add', 'default', 'via', NET[4].client, 'dev', 'uplink', 'onlink', 'src', NET[4].node);
  ip(node, '-6', 'route', 'add', 'default', 'via', NET[6].client, 'dev', 'uplink', 'onlink', 'src', NET[6].node);
  const servers = await serve(pods);
  const namespaceOf = (from: From | Place): string => {
    const found = pods.get(from);
    if (found === undefined) throw new Error(`No namespace for ${from}`);
    return found;
  };
  return {
    node,
    connect: (family, from, destination, port, patience) =>
      connect(namespaceOf(from), family, sourceOf(family, from), destination, port, patience),
    hold: (family, from, destination, port) =>
      hold(namespaceOf(from), family, sourceOf(family, from), destination, port),
    namespaceOf,
    close: () => servers.forEach((server) => server.close()),
  };
}

const flag = (family: Family): readonly string[] => (family === 6 ? ['-6'] : []);

function link(node: string, other: string, name: string): void {
  ip(
    node,
    'link',
    'add',
    name,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    other.slice(other.lastIndexOf('/') + 1),
  );
  ip(node, 'link', 'set', name, 'up');
  exec(node, 'sysctl', '-qw', `net.ipv4.conf.${name}.rp_filter=0`);
  ip(other, 'link', 'set', 'eth0', 'up');
}

function addAddress(namespace: string, device: string, address: string, family: Family): void {
  ip(
    namespace,
    'address',
    'add',
    `${address}/${family === 4 ? 32 : 128}`,
    'dev',
    device,
    ...(family === 6 ? ['nodad'] : []),
  );
}

/** Default routes through the node, which answers for 169.254.1.1 and fe80::1 on this link. */
function viaLinkLocal(namespace: string, node: string, name: string): void {
  ip(node, 'address', 'add', '169.254.1.1/32', 'dev', name, 'scope', 'link');
  ip(node, 'address', 'add', 'fe80::1/64', 'dev', name, 'nodad');
  ip(namespace, 'route', 'add', '169.254.1.1', 'dev', 'eth0');
  ip(namespace, 'route', 'add', 'default', 'via', '169.254.1.1');
  ip(namespace, '-6', 'route', 'add', 'default', 'via', 'fe80::1', 'dev', 'eth0');
}

async function serve(pods: ReadonlyMap<string, string>): Promise<readonly Server[]> {
  const servers: Server[] = [];
  for (const place of ['L1', 'L2', 'R1', 'R2'] as const)
    for (const family of FAMILIES) {
      const namespace = pods.get(place);
      if (namespace === undefined) throw new Error(`No namespace for ${place}`);
      const server = createServer((connection) => {
        connection.on('error', () => undefined);
        connection.end(`${place} ${connection.remoteAddress ?? ''}`);
      });
      const fd = listenInNamespace(namespace, addressOf(family, place as Place), TARGET_PORT);
      await new Promise<void>((resolve) => server.listen({ fd }, resolve));
      const echo = createServer((connection) => void connection.on('error', () => undefined).pipe(connection));
      const echoFd = listenInNamespace(namespace, addressOf(family, place as Place), ECHO_PORT);
      await new Promise<void>((resolve) => echo.listen({ fd: echoFd }, resolve));
      servers.push(server, echo);
    }
  return servers;
}

const ECHO_WITHIN = 30_000;

async function hold(
  namespace: string,
  family: Family,
  source: string,
  destination: string,
  port: number,
): Promise<HeldConnection> {
  const fd = socketInNamespace(namespace, family === 4 ? AF_INET : AF_INET6);
  const socket = new Socket({ fd, manualStart: true } as ConstructorParameters<typeof Socket>[0]);
  socket.on('error', () => undefined); // 'close' follows, and is what an echo hears
  const echo = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      let heard = '';
      const end = (problem?: string): void => {
        clearTimeout(timer);
        socket.off('data', listen).off('close', closed);
        if (problem === undefined) resolve();
        else reject(new Error(`The connection to ${destination} ${problem}`));
      };
      const listen = (chunk: Buffer): void => {
        heard += chunk.toString('utf8');
        if (heard === text) end();
      };
      const closed = (): void => end('has ended');
      const timer = setTimeout(() => end(`answered "${heard}" to "${text}" in ${ECHO_WITHIN} ms`), ECHO_WITHIN);
      socket.on('data', listen).on('close', closed).write(text);
    });
  socket.connect({ host: destination, port, localAddress: source });
  await echo('hello');
  return { echo, close: () => socket.destroy() };
}

function connect(
  namespace: string,
  family: Family,
  source: string,
  destination: string,
  port: number,
  patience: number,
): Promise<string> {
  const fd = socketInNamespace(namespace, family === 4 ? AF_INET : AF_INET6);
  const socket = new Socket({ fd, manualStart: true } as ConstructorParameters<typeof Socket>[0]);
  return new Promise((resolve) => {
    let text = '';
    const end = (outcome: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => end('drop'), patience);
    socket
      .setEncoding('utf8')
      .on('data', (chunk) => (text += chunk))
      .on('end', () => end(text))
      .on('error', (error: NodeJS.ErrnoException) =>
        end(error.code === 'ECONNREFUSED' ? 'reject' : String(error.code)),
      );
    socket.connect({ host: destination, port, localAddress: source });
  });
}
