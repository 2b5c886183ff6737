/**
 * What the doctor's checks of one node are made from: a snapshot of the machine, gathered once (gather-node.ts). Types only.
 *
 * A part that could not be read is undefined, and said in `unread`; checks say nothing about it.
 */
import type { Family } from 'node-bgp/address';
import type { SummaryAnswer } from '../bgpd/show/summary-text.js';
import type { FeatureReport } from '../dataplane/features.js';
import type { LinkFact, RouteFact } from './kernel-witness.js';

export interface NodeFacts {
  readonly node: string;
  readonly features?: readonly FeatureReport[];
  /** By sysctl(8)'s name; one that the kernel does not have is absent. */
  readonly sysctls: ReadonlyMap<string, string>;
  readonly links?: readonly LinkFact[];
  /** Of the main table. */
  readonly routes?: readonly RouteFact[];
  /** Entries of the tables of ARP and ND. */
  readonly neighbours?: Readonly<Record<Family, number>>;
  readonly managers: readonly NetworkManager[];
  /** File names of the folder that the container runtime reads, as it sorts them. */
  readonly cniFiles?: readonly string[];
  /** Chains and tables of netfilter that are not ours: "iptables-nft: chain cali-FORWARD". */
  readonly chains: readonly string[];
  readonly bgpd: { readonly summary: SummaryAnswer } | { readonly problem: string };
  readonly listeners?: readonly Listener[];
  readonly unread: readonly Unread[];
}

export interface NetworkManager {
  readonly name: string;
  /** Below the host's /etc: those of ours that are not there as they should be. */
  readonly missing: readonly string[];
}

export interface Listener {
  /** Canonical. */
  readonly address: string;
  readonly port: number;
  /** Whose processes we see. */
  readonly owner?: { readonly pid: number; readonly name: string };
}

export interface Unread {
  /** "the kernel's routes" */
  readonly what: string;
  readonly why: string;
  /** It was not to be expected here: a container sees no other's processes. */
  readonly isExpected?: boolean;
}
