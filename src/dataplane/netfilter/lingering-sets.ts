/**
 * Sets that the kernel calls in use although the last rule that referred to them is gone: nf_tables frees a deleted rule's
 * matches some time later, in a worker. Their destruction is tried again soon and silently; only after a while it is a failure.
 */

const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 320;
/** After so long, somebody else's rule refers to the set. */
const PATIENCE = 3_000;

interface Wait {
  readonly since: number;
  readonly pause: number;
  /** Undefined once patience is over: from then on it is a failure like any other. */
  readonly nextTry: number | undefined;
}

export class LingeringSets {
  /** BOUNDED by the sets there are. */
  private readonly waits = new Map<string, Wait>();

  /** Must its destruction still wait? */
  isWaiting(name: string, now: number): boolean {
    const wait = this.waits.get(name);
    return wait?.nextTry !== undefined && wait.nextTry > now;
  }

  /** It is in use. True while that is to be expected. */
  met(name: string, now: number): boolean {
    const wait = this.waits.get(name);
    if (wait !== undefined && now - wait.since > PATIENCE) {
      this.waits.set(name, { ...wait, nextTry: undefined });
      return false;
    }
    const pause = wait === undefined ? FIRST_PAUSE : Math.min(LONGEST_PAUSE, wait.pause * 2);
    this.waits.set(name, { since: wait?.since ?? now, pause, nextTry: now + pause });
    return true;
  }

  gone(name: string): void {
    this.waits.delete(name);
  }

  /** Of the sets that are still to be destroyed. */
  nextTryAt(isDoomed: (name: string) => boolean): number | undefined {
    let next: number | undefined;
    for (const [name, { nextTry }] of this.waits) {
      if (!isDoomed(name)) this.waits.delete(name);
      else if (nextTry !== undefined && (next === undefined || nextTry < next)) next = nextTry;
    }
    return next;
  }
}
