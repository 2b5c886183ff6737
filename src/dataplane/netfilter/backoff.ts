/**
 * What was refused and when to try again: pauses double from one second to a minute, per subject. A subject whose content
 * changes is tried at once. The clock is the caller's, but for note().
 */
import type { Family } from '@tortie/policy/ruleset';
import type { NetfilterFailure } from './status.js';

const SHORTEST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;

interface Entry extends NetfilterFailure {
  /** What was tried: another content is another try. */
  readonly content: string;
  readonly retryAt: number;
}

export class Backoff {
  /** By family and subject. BOUNDED by the chains and sets there are. */
  private readonly entries = new Map<string, Entry>();

  /** Must this still wait? */
  isHeld(family: Family, subject: string, content: string, now: number): boolean {
    const entry = this.entries.get(`${family} ${subject}`);
    return entry !== undefined && entry.content === content && entry.retryAt > now;
  }

  failed(family: Family, subject: string, content: string, message: string, now: number): void {
    const key = `${family} ${subject}`;
    const before = this.entries.get(key);
    const attempts = before?.content === content ? before.attempts + 1 : 1;
    const pause = Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** Math.min(attempts - 1, 10));
    this.entries.set(key, { subject, family, message, attempts, content, retryAt: now + pause });
  }

  /** For subjects without content: a problem, or undefined when all is well. */
  note(family: Family, subject: string, problem: string | undefined): void {
    if (problem === undefined) this.succeeded(family, subject);
    else this.failed(family, subject, '', problem, Date.now());
  }

  succeeded(family: Family, subject: string): void {
    this.entries.delete(`${family} ${subject}`);
  }

  /** Of the subjects that `isAsked` recognises, forgets those that nobody wants any more. */
  keepOnly(family: Family, isAsked: (subject: string) => boolean, wanted: ReadonlySet<string>): void {
    for (const [key, entry] of this.entries)
      if (entry.family === family && isAsked(entry.subject) && !wanted.has(entry.subject)) this.entries.delete(key);
  }

  failures(): readonly NetfilterFailure[] {
    return [...this.entries.values()].map(({ subject, family, message, attempts }) => ({
      subject,
      family,
      message,
      attempts,
    }));
  }

  /** When the next try is due; undefined when nothing waits. */
  nextRetryAt(): number | undefined {
    let next: number | undefined;
    for (const { retryAt } of this.entries.values()) if (next === undefined || retryAt < next) next = retryAt;
    return next;
  }
}
