/**
 * Turns the RIB's crank: input goes in as it comes, and once per turn of the event loop, after everything readable has been read,
 * the RIB works and its output is written to those peers whose sockets take it.
 *
 * Bounds: a peer that does not read holds back its own output only. At most OUTPUT_MARK bytes wait in its socket's queue; the rest
 * stays in the RIB as "changed since" marks, not as bytes.
 */
import type { Family } from '../address.js';
import type { ForwardingSink } from '../rib/forwarding-entry.js';
import type { PeerId, RibPeer } from '../rib/rib-peer.js';
import type { Rib, RibEvents, RibOptions } from '../rib/contract.js';
import { createRib } from '../rib/index.js';
import type { Clock } from '../session/clock.js';
import type { Session } from '../session/session.js';

/** Octets queued in a socket above which no more is encoded for it. */
const OUTPUT_MARK = 512 * 1024;
/** Octets taken from the RIB at a time. */
const OUTPUT_SLICE = 256 * 1024;

interface Attached {
  readonly session: Session;
  /** The socket has said "enough"; `writable` clears it. */
  isBlocked: boolean;
}

export interface RibDriverEvents extends Pick<RibEvents, 'forwardingReady' | 'nextHopAdded'> {
  /** UPDATEs that were written to a peer. */
  readonly sent: (id: PeerId, buffers: readonly Uint8Array[]) => void;
}

export class RibDriver {
  readonly rib: Rib;
  private readonly attached = new Map<PeerId, Attached>();
  private readonly ready = new Set<PeerId>();
  private isScheduled = false;
  private isStopped = false;
  /** In this turn of the event loop input has been worked off at once already. */
  private hasRun = false;
  private idleWaiters: (() => void)[] = [];

  /** `predecessor`: stopped, empty, and with withdrawals that its reader has not taken yet. */
  constructor(
    options: RibOptions,
    private readonly clock: Clock,
    private readonly events: RibDriverEvents,
    private predecessor?: RibDriver,
  ) {
    this.rib = createRib(options, {
      forwardingReady: events.forwardingReady,
      nextHopAdded: events.nextHopAdded,
      wanted: () => this.schedule(),
      outputReady: (id) => {
        this.ready.add(id);
        this.schedule();
      },
    });
  }

  up(peer: RibPeer, session: Session): PeerId {
    const id = this.rib.peerUp(peer);
    this.attached.set(id, { session, isBlocked: false });
    this.schedule();
    return id;
  }

  down(id: PeerId, keep: 'drop' | readonly Family[]): void {
    this.attached.delete(id);
    this.ready.delete(id);
    this.rib.peerDown(id, keep);
    this.schedule();
  }

  writable(id: PeerId): void {
    const attached = this.attached.get(id);
    if (attached === undefined) return;
    attached.isBlocked = false;
    this.pump(id);
  }

  /** After any input. */
  schedule(): void {
    if (this.isScheduled || this.isStopped) return;
    this.isScheduled = true;
    this.clock.soon(() => this.work());
  }

  /**
   * A read has been handed over. The first of a turn is worked off at once, which saves a lone update the way around the event loop;
   * what else is readable in the same turn waits for its end and goes out together.
   */
  inputDone(): void {
    if (this.hasRun || this.isStopped) return this.schedule();
    this.hasRun = true;
    this.clock.soon(() => {
      this.hasRun = false;
    });
    this.work();
  }

  takeForwarding(sink: ForwardingSink, limit?: number): boolean {
    if (this.predecessor?.takeForwarding(sink, limit) === true) return true;
    this.predecessor = undefined;
    return this.rib.takeForwarding(sink, limit);
  }

  /** The end of a RIB whose peers have all gone: works off what that leaves to withdraw, at once. */
  retire(): void {
    this.stop();
    this.rib.originate([]);
    while (this.rib.run());
  }

  stop(): void {
    this.isStopped = true;
    this.attached.clear();
    this.ready.clear();
    for (const resume of this.idleWaiters.splice(0)) resume();
  }

  private work(): void {
    if (this.isStopped) return;
    // Whatever asks for work meanwhile gets a turn of its own.
    this.isScheduled = false;
    if (this.rib.run()) this.schedule();
    for (const id of [...this.ready]) this.pump(id);
    if (!this.isScheduled) for (const resume of this.idleWaiters.splice(0)) resume();
  }

  /** Resolves when all that has come in so far has been worked off. */
  whenIdle(): Promise<void> {
    this.schedule();
    return this.isStopped ? Promise.resolve() : new Promise((resolve) => this.idleWaiters.push(resolve));
  }

  private pump(id: PeerId): void {
    const attached = this.attached.get(id);
    if (attached === undefined) {
      this.ready.delete(id);
      return;
    }
    while (!attached.isBlocked && this.ready.has(id)) {
      if (attached.session.queuedBytes > OUTPUT_MARK) attached.isBlocked = true;
      else {
        const { buffers, messages } = this.rib.takeOutput(id, OUTPUT_SLICE);
        if (buffers.length === 0) this.ready.delete(id);
        else {
          if (!attached.session.writeUpdates(buffers, messages)) attached.isBlocked = true;
          this.events.sent(id, buffers);
        }
      }
    }
  }
}
