/**
 * One way of holding a ruleset in the kernel, as the applier's loop (netfilter.ts) drives it: iptables with ipsets
 * (iptables-target.ts) or nftables (nft/nft-target.ts). A target keeps what is wanted and what it last saw; the loop decides when.
 */
import type { Family, Part, Ruleset, RulesetDelta } from '@tortie/policy/ruleset';
import type { Backoff } from './backoff.js';
import type { NetfilterStatus, Observation } from './status.js';

/** What was found otherwise than last written, in words, by family. */
export type Findings = ReadonlyMap<Family, readonly string[]>;

/** What a target did in one write; summed up in the status. */
export interface Written {
  readonly restores: number;
  readonly chainsWritten: number;
  readonly membersAdded: number;
  readonly membersRemoved: number;
}

export interface PolicyTarget {
  /** One part's whole; the other parts stay as they are. */
  takeWhole(ruleset: Ruleset, part: Part): void;
  takeDelta(delta: RulesetDelta, part: Part): void;
  /** What of ours is in the kernel, for people. */
  observe(): Promise<Observation>;
  /** Reads everything that these parts may have, for whole syncs of them. */
  lookAtAll(backoff: Backoff, parts: ReadonlySet<Part>): Promise<void>;
  /** Looks where drift is suspected, and at everything cheap when it is time. */
  look(backoff: Backoff): Promise<Findings>;
  /** Writes what differs and is not held back. `isWhole`: a family that could not be read is left out, and the answer is false. */
  write(backoff: Backoff, isWhole: boolean, written: (part: Partial<Written>) => void): Promise<boolean>;
  /** Removes what a predecessor wrote in another way. Called after every write until nothing is left to do. */
  sweepOthers(backoff: Backoff): Promise<void>;
  /** From the first sync on: calls when a look is due. Calling it again changes nothing. */
  watch(onAlarm: () => void): void;
  /** Failures that no retry will mend. */
  malformed(): NetfilterStatus['failures'];
  readonly isClean: boolean;
  /** When something that waits by itself is to be tried again, by Date.now(). */
  readonly retryAt: number | undefined;
  readonly backends: NetfilterStatus['backends'];
  readonly setTransport: NetfilterStatus['setTransport'];
  close(): void;
}
