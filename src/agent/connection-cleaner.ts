/**
 * Connection tracking entries of an address are forgotten before another pod gets it, and not while that pod waits.
 *
 * Finding them means walking the kernel's whole table, 10 ms and more a family. So it is done in the background: after a pod's
 * interface is gone, for every free address of a block that is new to this process, and at its start. While nobody has an address,
 * packets to it end in the block's blackhole and leave no entry; an address once clean stays so. Only a pod that gets an address
 * sooner than that waits for the walk.
 */
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

/** Freed addresses rest for 30 s; a walk costs as much for a hundred addresses as for one, so it waits for company. */
const DELAY = 5_000;
const RETRY = 2_000;

export class ConnectionCleaner {
  /** Addresses that may have entries. BOUNDED by the addresses of the node's blocks. */
  private readonly dirty = new Set<string>();
  /** Since the last walk began. BOUNDED likewise. */
  private readonly marked = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private walk: Promise<void> | undefined;
  private isStopped = false;

  constructor(
    private readonly forget: (addresses: readonly string[]) => Promise<void>,
    private readonly log: Logger,
    private readonly delay = DELAY,
  ) {}

  /** These may have entries of somebody who had them before; nobody has them now. */
  mark(addresses: Iterable<string>): void {
    for (const address of addresses) {
      this.dirty.add(address);
      this.marked.add(address);
    }
    if (this.dirty.size > 0) this.wake(this.delay);
  }

  /** Resolves when these have none. @throws what the kernel said */
  async ensure(addresses: readonly string[]): Promise<void> {
    // One walk serves all that wait; what was marked while it ran needs another.
    while (addresses.some((address) => this.dirty.has(address))) await this.clean();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private wake(delay: number): void {
    if (this.timer !== undefined || this.isStopped) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.clean().catch((error: unknown) => {
        this.log.warn({ problem: messageOf(error) }, 'Cannot forget connections of free addresses; trying again');
        this.wake(RETRY);
      });
    }, delay);
    this.timer.unref();
  }

  /** The walk that is under way, or a new one. */
  private clean(): Promise<void> {
    this.walk ??= this.forgetDirty().finally(() => (this.walk = undefined));
    return this.walk;
  }

  /** An address is clean when its walk has ended well, unless it was marked again meanwhile. */
  private async forgetDirty(): Promise<void> {
    const walked = [...this.dirty];
    this.marked.clear();
    await this.forget(walked);
    for (const address of walked) if (!this.marked.has(address)) this.dirty.delete(address);
  }
}
