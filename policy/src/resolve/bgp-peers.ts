/** Pods that are BGP peers, as sets: of this node, and of any. Told from outside: what makes a peer is no matter of policy. */
import { BGP_PEER_SETS } from '../compile/names.js';
import type { BgpPeerAddresses } from '../objects.js';
import { canonicalAddresses } from './pod.js';
import { familyOf } from './set-need.js';
import type { SetStore } from './set-store.js';

export class BgpPeers {
  /** BOUNDED by the peers that resources name. */
  private readonly members = { 'own-node': new Set<string>(), nodes: new Set<string>() };
  private ports: readonly number[] = [];

  constructor(private readonly store: SetStore) {
    store.create(BGP_PEER_SETS['own-node'], 'address', "BGP peers of this node's");
    store.create(BGP_PEER_SETS.nodes, 'address', 'BGP peers of nodes');
  }

  get listenPorts(): readonly number[] {
    return this.ports;
  }

  isPeer(address: string, of: 'own-node' | 'nodes'): boolean {
    return this.members[of].has(address);
  }

  /** True when the ports are others than before. */
  set({ ofNode, ofAny, listenPorts }: BgpPeerAddresses): boolean {
    this.level('own-node', canonical(ofNode));
    this.level('nodes', canonical(ofAny));
    const before = this.ports;
    this.ports = [...new Set(listenPorts)].sort((a, b) => a - b);
    return before.join() !== this.ports.join();
  }

  private level(of: 'own-node' | 'nodes', wanted: ReadonlySet<string>): void {
    const members = this.members[of];
    for (const address of wanted)
      if (!members.has(address)) this.store.add(BGP_PEER_SETS[of], familyOf(address), address);
    for (const address of members)
      if (!wanted.has(address)) this.store.remove(BGP_PEER_SETS[of], familyOf(address), address);
    members.clear();
    for (const address of wanted) members.add(address);
  }
}

const canonical = (texts: readonly string[]): ReadonlySet<string> =>
  new Set(texts.flatMap((text) => canonicalAddresses([text])));
