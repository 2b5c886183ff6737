/**
 * What the netfilter applier tells its caller: what it found, what it could not do and what it repaired. Plain data.
 */
import type { Family, Table } from '@tortie/policy/ruleset';

/** Which iptables writes the rules. */
export type Backend = 'legacy' | 'nft';

/** What may be configured: iptables of one backend or of the one the machine uses, or nftables without iptables. */
export type BackendSetting = 'auto' | Backend | 'nftables';

/** Something the kernel or a program refused. It is retried with backoff until it goes in or is no longer wanted. */
export interface NetfilterFailure {
  /** "filter/TORTIE-FORWARD", "set tortie4-abc", "hook filter/FORWARD" or "read filter". */
  readonly subject: string;
  readonly family: Family;
  /** One sentence with the rule or member as written and the kernel's or the program's own words. */
  readonly message: string;
  readonly attempts: number;
}

/** What somebody else changed and we put back. */
export interface DriftRepair {
  readonly family: Family;
  /** "chain filter/TORTIE-FORWARD: 2 rules differ", "set tortie4-abc: 1 member missing" ... */
  readonly findings: readonly string[];
}

export interface NetfilterStatus {
  readonly backends: ReadonlyMap<Family, { readonly backend: Backend | 'nftables'; readonly reason: string }>;
  /** False until the first whole state has been written: nothing is touched before. */
  readonly isSynced: boolean;
  /** Nothing waits to be written and nothing failed. */
  readonly isClean: boolean;
  readonly failures: readonly NetfilterFailure[];
  /** Somebody changes what is ours again and again, in a sentence. */
  readonly unrest?: string;
  /** How sets are written: over netlink from the process, or why by a child. */
  readonly setTransport: { readonly type: 'netlink' } | { readonly type: 'child'; readonly reason: string };
  readonly counters: NetfilterCounters;
}

export interface NetfilterCounters {
  readonly passes: number;
  /** Child processes that wrote rules. */
  readonly restores: number;
  readonly chainsWritten: number;
  readonly membersAdded: number;
  readonly membersRemoved: number;
  readonly driftsRepaired: number;
}

/** What one call achieved; `failures` are all that stand at this moment, older ones included. */
export interface ApplyResult {
  readonly failures: readonly NetfilterFailure[];
}

/** What start() found before anything was written. */
export interface Observation {
  readonly chains: number;
  readonly sets: number;
  readonly tables: readonly { readonly family: Family; readonly table: Table; readonly chains: number }[];
}
