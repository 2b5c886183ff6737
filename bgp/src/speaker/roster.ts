/**
 * Which peers there are: they join, change, take another name and leave, as the configuration says, and those out of ranges as they
 * connect. Who is who is the directory's; here is what has to be done for one that comes or goes.
 */
import { CeaseCode } from '../iana.js';
import type { SpeakerConfig } from '../config.js';
import type { PeerId } from '../rib/rib-peer.js';
import type { Clock } from '../session/clock.js';
import { cease } from './cease.js';
import type { FailureMemory } from './failure-memory.js';
import type { Intake } from './intake.js';
import type { MaxPrefixHolds } from './max-prefix-holds.js';
import type { Notices } from './notices.js';
import type { PeerBfd } from './peer-bfd.js';
import type { PeerDirectory } from './peer-directory.js';
import { dynamicSettings, knownAddress, peerAddressText, type PeerSettings } from './peer-settings.js';
import type { PeerOwner } from './peer-owner.js';
import { Peer } from './peer.js';
import type { RestartHelper } from './restart-helper.js';
import type { RibDriver } from './rib-driver.js';
import type { Surroundings } from './surroundings.js';

export interface RosterOwner extends PeerOwner<Peer> {
  readonly clock: Clock;
  readonly directory: PeerDirectory;
  readonly failures: FailureMemory;
  readonly notices: Notices;
  readonly holds: MaxPrefixHolds;
  readonly intake: Intake;
  readonly helper: RestartHelper;
  readonly bfd: PeerBfd;
  readonly surroundings: Surroundings;
  readonly driver: RibDriver;
  idOf(peer: Peer): PeerId | undefined;
  forgetId(peer: Peer): void;
  refreshPolicy(peer: Peer): void;
}

export class Roster {
  constructor(private readonly owner: RosterOwner) {}

  add(settings: PeerSettings): Peer {
    const peer = new Peer(this.owner, settings);
    this.owner.directory.add(peer);
    this.owner.surroundings.check(peer);
    peer.start();
    return peer;
  }

  /** One out of a range. Undefined: it has failed too often to be met again just now. */
  addDynamic(settings: PeerSettings): Peer | undefined {
    if (this.owner.failures.deafness(settings.name) === 0) return this.add(settings);
    this.owner.refused(peerAddressText(settings), `Peer ${settings.name} has just failed, again and again`);
    return undefined;
  }

  /** New settings of a peer that stays. What held it down may be cured by them. */
  apply(peer: Peer, settings: PeerSettings): void {
    const before = peer.settings;
    if (peer.apply(settings).length > 0) this.owner.surroundings.check(peer);
    if (JSON.stringify(before.maxPrefixes) === JSON.stringify(settings.maxPrefixes)) return;
    this.owner.holds.release(peer);
    // A peer that has sent all that it has may send nothing more for days.
    this.owner.intake.keepsLimits(peer);
  }

  /** Names may go round: all at once. */
  rename(renamed: readonly { readonly from: string; readonly to: string }[]): void {
    const peers = renamed.flatMap(({ from, to }) => {
      const peer = this.owner.directory.all.get(from);
      return peer === undefined ? [] : [{ peer, to }];
    });
    this.owner.directory.rename(peers);
    this.owner.failures.rename(renamed);
    for (const { peer, to } of peers) {
      const id = this.owner.idOf(peer);
      if (id !== undefined) this.owner.driver.rib.renamePeer(id, to);
    }
  }

  remove(peer: Peer): void {
    const { owner } = this;
    peer.close(cease(CeaseCode.peerDeconfigured), 'Removed from the configuration');
    const id = owner.idOf(peer);
    if (id !== undefined) owner.helper.sweepAll(id, 'The peer was removed from the configuration');
    owner.forgetId(peer);
    if (!owner.directory.isDynamic(peer)) owner.failures.forget(peer.name);
    owner.notices.forget(peer);
    owner.holds.forget(peer);
    owner.directory.remove(peer);
    owner.bfd.forget(peer);
  }

  /** Peers out of ranges follow their range; one that has none any more goes. */
  applyRanges(config: SpeakerConfig): void {
    const { directory } = this.owner;
    for (const peer of [...directory.all.values()].filter((each) => directory.isDynamic(each))) {
      const range = directory.rangeFor(peer, config.dynamicPeers ?? []);
      if (range === undefined) {
        this.remove(peer);
        continue;
      }
      this.apply(peer, dynamicSettings(config, range, knownAddress(peer.settings), peer.settings.interfaceName));
      this.owner.refreshPolicy(peer);
    }
  }

  /** A peer out of a range exists as long as its session does, and as long as its stale routes do. */
  dropIfDynamic(peer: Peer): void {
    const { directory, helper } = this.owner;
    if (!directory.isDynamic(peer) || peer.isEstablished) return;
    this.owner.clock.soon(() => {
      const id = this.owner.idOf(peer);
      if (directory.has(peer) && peer.state === 'Active' && (id === undefined || !helper.holds(id))) this.remove(peer);
    });
  }
}
