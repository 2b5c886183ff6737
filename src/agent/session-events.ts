/**
 * BGP sessions that come up or go down, as events beside the BGPPeer that asked for them, else beside the Node. What was there at the first
 * look is no news; a session that went and came between two looks is one. How it is now is in NodeStatus.
 */
import type { PeerSummary } from 'node-bgp/speaker/view';
import type { KindName } from '../api/kinds.js';
import type { Happening } from '../cluster/event-recorder.js';
import { inWordsOfResources } from '../topology/field-words.js';
import { userText } from '../user-text.js';

type Subject = Pick<Happening, 'kind' | 'object'>;

export interface SessionEventsOptions {
  readonly node: string;
  readonly record: (happening: Happening) => void;
  readonly get: (kind: KindName & ('bgpPeers' | 'nodes'), name: string) => Happening['object'] | undefined;
}

interface Seen {
  readonly isUp: boolean;
  readonly times: number;
}

export class SessionEvents {
  /** By peer's name. BOUNDED by the peers of the node. */
  private seen: ReadonlyMap<string, Seen> | undefined;

  constructor(private readonly options: SessionEventsOptions) {}

  looked(peers: readonly PeerSummary[]): void {
    const before = this.seen;
    this.seen = new Map(peers.map((peer) => [peer.name, { isUp: peer.isEstablished, times: peer.establishedCount }]));
    if (before === undefined) return;
    for (const peer of peers) {
      const last = before.get(peer.name);
      if (last !== undefined) this.compare(peer, last);
    }
  }

  private compare(peer: PeerSummary, last: Seen): void {
    const name = `${peer.name} (${peer.address}, AS ${peer.remoteAs})`;
    const reason = peer.heldDown ?? peer.lastError;
    const why = reason === undefined ? undefined : inWordsOfResources(reason);
    if (last.isUp && !peer.isEstablished)
      this.say(peer, 'Warning', 'SessionDown', `Session with ${name} went down${why === undefined ? '' : `: ${why}`}`);
    else if (last.isUp && peer.establishedCount > last.times)
      this.say(
        peer,
        'Warning',
        'SessionFlapped',
        `Session with ${name} went down and came up again${why === undefined ? '' : `: ${why}`}`,
      );
    else if (!last.isUp && peer.isEstablished) this.say(peer, 'Normal', 'SessionUp', `Session with ${name} came up`);
  }

  private say(peer: PeerSummary, type: Happening['type'], reason: string, text: string): void {
    const subject = this.subjectOf(peer);
    if (subject === undefined) return;
    this.options.record({
      ...subject,
      type,
      reason,
      action: 'Peering',
      note: `On node "${this.options.node}": ${userText(text)}`,
    });
  }

  private subjectOf({ name }: PeerSummary): Subject | undefined {
    const peer = this.options.get('bgpPeers', name);
    if (peer !== undefined) return { kind: 'bgpPeers', object: peer };
    const node = this.options.get('nodes', this.options.node);
    return node === undefined ? undefined : { kind: 'nodes', object: node };
  }
}
