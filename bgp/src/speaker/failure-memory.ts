/**
 * What went wrong with each peer, by its name: one out of a range is made anew for each of its connections, and must not be new each time.
 */
import type { Clock } from '../session/clock.js';
import { PeerFailures } from './peer-failures.js';

/** BOUNDED: more than any configuration has peers. The oldest is forgotten first. */
const MOST = 16_384;

export class FailureMemory {
  private readonly byName = new Map<string, PeerFailures>();

  constructor(private readonly clock: Clock) {}

  of(name: string): PeerFailures {
    const known = this.byName.get(name);
    if (known !== undefined) return known;
    const [oldest] = this.byName.keys();
    if (this.byName.size >= MOST && oldest !== undefined) this.byName.delete(oldest);
    const failures = new PeerFailures(this.clock);
    this.byName.set(name, failures);
    return failures;
  }

  /** Milliseconds until a connection of its own is taken again; 0: now. */
  deafness(name: string): number {
    return this.byName.get(name)?.deafness ?? 0;
  }

  /** Names may go round: all at once. What one peer did is not held against the next one of its name. */
  rename(renamed: readonly { readonly from: string; readonly to: string }[]): void {
    const moved = renamed.map(({ from, to }) => ({ to, failures: this.byName.get(from) }));
    for (const { from } of renamed) this.byName.delete(from);
    for (const { to, failures } of moved) if (failures !== undefined) this.byName.set(to, failures);
  }

  forget(name: string): void {
    this.byName.delete(name);
  }
}
