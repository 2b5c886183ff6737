/**
 * When to read the kernel back: soon after something was lost, once the burst is over, and never so often that reading is all that is
 * done: after one that took a second there is none for four.
 */

const SOON = 200;
/** A burst is over when nothing came for so long, or when it has lasted so long that its end is not waited for. */
const QUIET = 60;
const LONGEST_BURST = 500;
/** Of the time that the last reading took. */
const REST = 4;

export class ResyncTimer {
  private timer: NodeJS.Timeout | undefined;
  private firstAsked = 0;
  private lastAsked = 0;
  private began = 0;
  private notBefore = 0;

  constructor(private readonly run: () => void) {}

  get isPending(): boolean {
    return this.timer !== undefined;
  }

  /** Something was lost. */
  request(delay = SOON): void {
    const now = performance.now();
    this.lastAsked = now;
    if (this.timer !== undefined) return;
    this.firstAsked = now;
    this.arm(Math.max(delay, this.notBefore - now));
  }

  /** A reading begins: whatever was lost until here is about to be seen. */
  begin(): void {
    this.began = performance.now();
    this.stop();
  }

  end(): void {
    const now = performance.now();
    this.notBefore = now + REST * (now - this.began);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private arm(delay: number): void {
    this.timer = setTimeout(() => {
      const now = performance.now();
      if (now - this.lastAsked < QUIET && now - this.firstAsked < LONGEST_BURST) return this.arm(QUIET);
      this.timer = undefined;
      this.run();
    }, delay);
    this.timer.unref();
  }
}
