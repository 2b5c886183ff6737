/**
 * Nodes with one address: an object that was left over when a machine was renamed, or a mistake. Only one of them can have the session.
 *
 * The node that computes keeps what is its own. Of two others, the one whose kubelet is alive (condition Ready, which the API server
 * takes back 40 s after the last lease) goes before one of which nothing is known, then the older object, then the name: all
 * nodes choose alike, and an object that somebody has left behind never takes a living node's session.
 */
import type { Family } from 'node-bgp/address';
import type { NodeIdentity } from './node-identity.js';
import type { Problems } from './problems.js';

export function withoutTwins(
  nodes: readonly NodeIdentity[],
  selfName: string,
  problems: Problems,
): readonly NodeIdentity[] {
  const owners = new Map<string, NodeIdentity>();
  for (const node of nodes)
    for (const address of node.addresses.values()) {
      const other = owners.get(address);
      if (other === undefined || goesBefore(node, other, selfName)) owners.set(address, node);
    }
  return nodes.map((node) => {
    const lost = [...node.addresses].filter(([, address]) => owners.get(address) !== node);
    if (lost.length === 0) return node;
    for (const [, address] of lost) tell(node, address, owners.get(address)?.name ?? '', selfName, problems);
    const addresses = new Map<Family, string>(
      [...node.addresses].filter(([, address]) => owners.get(address) === node),
    );
    return { ...node, addresses, lost: lost.map(([family]) => family) };
  });
}

function goesBefore(a: NodeIdentity, b: NodeIdentity, selfName: string): boolean {
  if ((a.name === selfName) !== (b.name === selfName)) return a.name === selfName;
  if (a.doubt !== b.doubt) return a.doubt < b.doubt;
  // An object without a time is not known to be older than anything.
  if (a.createdAt !== b.createdAt) return a.createdAt !== '' && (b.createdAt === '' || a.createdAt < b.createdAt);
  return a.name < b.name;
}

function tell(node: NodeIdentity, address: string, owner: string, selfName: string, problems: Problems): void {
  const text = `has the address ${address} of node "${owner}"; expected an address of its own; no session with it`;
  if (owner === selfName) problems.problem({ resource: `Node/${node.name}` }, text);
  else problems.notice({ resource: `Node/${node.name}` }, text);
}
