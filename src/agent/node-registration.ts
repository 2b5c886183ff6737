/**
 * Nodes without a kubelet: whoever runs on a host without Kubernetes says itself that the host is there, and under which addresses.
 * What somebody else has written of a Node stays.
 */
import { createSocket } from 'node:dgram';
import type { Node } from '../api/core.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { messageOf, UserError } from '../errors.js';

/** Says that its addresses are ours to write. */
const REGISTERED = 'tortie.dev/registered';
const MOST_TRIES = 10;

/** The Node of this name; made if there is none. */
export async function ensureNode(datastore: Datastore, name: string): Promise<Node> {
  const found = await datastore.get('nodes', name);
  if (found !== undefined) return found;
  const labels = { 'kubernetes.io/hostname': name, [REGISTERED]: 'true' };
  return datastore.create('nodes', { metadata: { name, labels } } as Node).catch(async (error: unknown) => {
    const other =
      error instanceof ApiError && error.reason === 'AlreadyExists' ? await datastore.get('nodes', name) : undefined;
    if (other === undefined) throw error;
    return other;
  });
}

export async function ensureNamespaces(datastore: Datastore, names: readonly string[]): Promise<void> {
  for (const name of names) {
    if ((await datastore.get('namespaces', name)) !== undefined) continue;
    const labels = { 'kubernetes.io/metadata.name': name };
    await datastore.create('namespaces', { metadata: { name, labels } }).catch((error: unknown) => {
      if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
    });
  }
}

/**
 * Writes down that this host is there.
 * @param addresses of the host, one a family; empty: those from which it would reach the world
 */
export async function registerNode(datastore: Datastore, name: string, addresses: readonly string[]): Promise<Node> {
  const own = addresses.length > 0 ? addresses : await outgoingAddresses();
  if (own.length === 0)
    throw new UserError(`Cannot register node "${name}": this host has no default route; expected --node-address`);
  const wanted = own.map((address) => ({ type: 'InternalIP', address }));
  for (let attempt = 0; attempt < MOST_TRIES; attempt++) {
    const node = await ensureNode(datastore, name);
    const said = node.status?.addresses ?? [];
    const isOurs = node.metadata.labels?.[REGISTERED] === 'true';
    if (said.length > 0 && (!isOurs || JSON.stringify(said) === JSON.stringify(wanted))) return node;
    try {
      return await datastore.replaceStatus('nodes', { ...node, status: { ...node.status, addresses: wanted } } as Node);
    } catch (error) {
      if (!(error instanceof ApiError && error.reason === 'Conflict')) throw error;
    }
  }
  throw new Error(`Cannot register node "${name}": somebody else writes it all the time`);
}

/** From which addresses packets to the world would go; nothing is sent (RFC 5737, RFC 3849). */
async function outgoingAddresses(): Promise<readonly string[]> {
  const found = await Promise.all([sourceTowards('udp4', '192.0.2.1'), sourceTowards('udp6', '2001:db8::1')]);
  return found.filter((address) => address !== undefined);
}

function sourceTowards(type: 'udp4' | 'udp6', target: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(type);
    const end = (address: string | undefined): void => {
      socket.close();
      resolve(address);
    };
    socket.on('error', () => end(undefined));
    try {
      socket.connect(9, target, (error?: Error) => end(error instanceof Error ? undefined : socket.address().address));
    } catch (error) {
      reject(new Error(`Cannot look for this host's address: ${messageOf(error)}`));
    }
  });
}
