/**
 * The nodes at the other ends of this node's tunnels, as one set for each kind of tunnel: nobody else brings packets into one
 * (compile/tunnels.ts).
 */
import { tryParseAddress } from 'node-bgp/address';
import { TUNNEL_PEER_SETS } from '../compile/names.js';
import type { TunnelKind, TunnelPeerAddresses } from '../objects.js';
import type { Family } from '../ruleset.js';
import type { SetStore } from './set-store.js';

const KINDS: readonly TunnelKind[] = ['vxlan', 'ipip'];

export class TunnelPeers {
  /** By address. BOUNDED by the cluster's nodes. */
  private readonly peers = { vxlan: new Map<string, Family>(), ipip: new Map<string, Family>() };
  private inUse: readonly TunnelKind[] = [];

  constructor(private readonly store: SetStore) {
    for (const kind of KINDS)
      store.create(TUNNEL_PEER_SETS[kind], 'address', `nodes with a tunnel to this one (${kind})`);
  }

  get kinds(): readonly TunnelKind[] {
    return this.inUse;
  }

  /** True when other kinds are in use than before. */
  set(given: TunnelPeerAddresses): boolean {
    for (const kind of KINDS) this.setKind(kind, given[kind] ?? []);
    const inUse = KINDS.filter((kind) => given[kind] !== undefined);
    const hasChanged = inUse.join() !== this.inUse.join();
    this.inUse = inUse;
    return hasChanged;
  }

  private setKind(kind: TunnelKind, addresses: readonly string[]): void {
    const known = this.peers[kind];
    const after = new Map(
      addresses.flatMap((text) => {
        const address = tryParseAddress(text);
        return address === undefined ? [] : [[text, address.family] as const];
      }),
    );
    // First the new ones: a set that is empty for a moment cuts everybody off.
    for (const [text, family] of after) {
      if (known.has(text)) continue;
      known.set(text, family);
      this.store.add(TUNNEL_PEER_SETS[kind], family, text);
    }
    for (const [text, family] of known) {
      if (after.has(text)) continue;
      known.delete(text);
      this.store.remove(TUNNEL_PEER_SETS[kind], family, text);
    }
  }
}
