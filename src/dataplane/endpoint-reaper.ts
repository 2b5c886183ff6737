/**
 * Deletes interfaces that are out of use, in the background and many at once: the kernel blocks its caller for 16 to 40 ms per
 * veth, but takes a whole interface group in one request at half a millisecond each. Whoever retires an interface has put it
 * into DOOMED_GROUP, and down; that group in the kernel is the whole queue, so a crash loses nothing.
 */
import { DOOMED_GROUP } from './endpoint-name.js';
import { writeGroupDeletion } from './netlink/link.js';
import { NetlinkSocket } from './netlink/netlink-socket.js';

/**
 * A deletion holds the lock that every network change waits for, so it is begun when nothing was retired for a while, or the
 * oldest has waited long enough.
 */
const QUIET_TIME = 100;
const LONGEST_WAIT = 1_000;
/** After a failure. */
const RETRY_TIME = 1_000;

export class EndpointReaper {
  private readonly socket: NetlinkSocket;
  private timer: NodeJS.Timeout | undefined;
  /** When the first of those that wait was doomed. */
  private oldest: number | undefined;
  private running: Promise<void> | undefined;
  private isClosed = false;

  /** Works in the calling thread's namespace. @param onFailure hears why interfaces remain; they are tried again. */
  constructor(private readonly onFailure: (error: Error) => void) {
    this.socket = new NetlinkSocket();
  }

  /** Something was doomed; it will be deleted soon. */
  schedule(): void {
    if (this.isClosed) return;
    const now = performance.now();
    this.oldest ??= now;
    clearTimeout(this.timer);
    this.wake(Math.max(0, Math.min(QUIET_TIME, this.oldest + LONGEST_WAIT - now)));
  }

  /** Deletes what is doomed now; resolves when that is gone or has failed (and will be tried again). */
  async drain(): Promise<void> {
    // Two requests at once would share a socket: wait for the running one, then delete what came after it.
    while (this.running !== undefined) await this.running;
    if (this.isClosed) return;
    this.running = this.deleteGroup().finally(() => {
      this.running = undefined;
    });
    await this.running;
  }

  /** Waits for the request in flight; what is still doomed stays for the next start. */
  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.timer);
    await this.running;
    this.socket.close();
  }

  private wake(delay: number): void {
    this.timer = setTimeout(() => void this.drain(), delay);
    this.timer.unref();
  }

  private async deleteGroup(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.oldest = undefined;
    try {
      const { batch } = this.socket;
      batch.clear();
      writeGroupDeletion(batch, DOOMED_GROUP);
      const [failure] = await this.socket.transactAsync(batch);
      // ENODEV: the group is empty, because the pods' namespaces went first and took the veths with them.
      if (failure !== undefined && failure.code !== 'ENODEV') throw failure.error;
    } catch (error) {
      this.onFailure(error instanceof Error ? error : new Error(String(error)));
      if (!this.isClosed) this.wake(RETRY_TIME);
    }
  }
}
