/** A clock that stands still until told otherwise; `soon` and timers run in the order of their time. */
import type { Clock } from 'node-bgp/session/clock';

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class FakeClock implements Clock {
  private time = 0;
  private order = 0;
  private entries: Entry[] = [];
  constructor(private readonly jitter: () => number = () => 0) {}

  now(): number {
    return this.time;
  }
  wallTime(): number {
    return 1_700_000_000_000 + this.time;
  }
  random(): number {
    return this.jitter();
  }
  soon(run: () => void): void {
    this.add(0, run);
  }
  afterPoll(run: () => void): void {
    this.add(0, () => this.add(0, run));
  }

  after(delay: number, run: () => void): { cancel(): void } {
    const entry = this.add(delay, run);
    return {
      cancel: () => {
        this.entries = this.entries.filter((each) => each !== entry);
      },
    };
  }

  /** Timers that have not fired: none may be left when everything is stopped. */
  get pending(): number {
    return this.entries.length;
  }

  /** Lets so many milliseconds pass. */
  advance(duration: number): void {
    const end = this.time + duration;
    for (let steps = 0; ; steps++) {
      if (steps > 1_000_000) throw new Error('The clock does not come to rest');
      const [next] = this.entries.sort((a, b) => a.at - b.at || a.order - b.order);
      if (next === undefined || next.at > end) break;
      this.entries.shift();
      this.time = next.at;
      next.run();
    }
    this.time = end;
  }

  private add(delay: number, run: () => void): Entry {
    const entry = { at: this.time + delay, order: this.order++, run };
    this.entries.push(entry);
    return entry;
  }
}
