/**
 * Somebody who changes what is ours again and again (another controller, a script in a loop) must not have us write as often. A few repairs
 * follow at once; after that the looks that lead to them are put off, longer each time, and it is said. What the ruleset itself asks for is
 * never put off.
 */

/** Repairs that are counted: those of so many milliseconds. */
const WINDOW = 10_000;
const AT_ONCE = 5;
const SHORTEST_PAUSE = 250;
/** Nobody's rules may be away for longer than this. */
const LONGEST_PAUSE = 5_000;

export class Unrest {
  /** When something was put back. BOUNDED by what can happen in the window. */
  private repairs: readonly number[] = [];
  private pause = 0;
  private heldUntil = 0;

  /** Something of ours was put back, at this time in milliseconds. */
  repaired(now: number): void {
    this.repairs = [...this.recent(now), now];
    if (this.repairs.length <= AT_ONCE) {
      this.pause = 0;
      return;
    }
    this.pause = Math.min(LONGEST_PAUSE, Math.max(SHORTEST_PAUSE, this.pause * 2));
    this.heldUntil = now + this.pause;
  }

  /** Milliseconds that a look has to wait. */
  wait(now: number): number {
    return Math.max(0, this.heldUntil - now);
  }

  /** A sentence while it lasts. */
  describe(now: number): string | undefined {
    const { length } = this.recent(now);
    if (length <= AT_ONCE) return undefined;
    return (
      `Somebody keeps changing Tortie's rules: put back ${length} times in ${WINDOW / 1000} s; ` +
      `looking again ${this.pause / 1000} s after each time (\`nft monitor\`, \`iptables-save\` tell who and what)`
    );
  }

  private recent(now: number): readonly number[] {
    return this.repairs.filter((at) => at > now - WINDOW);
  }
}
