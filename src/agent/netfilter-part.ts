/** One part's view of the netfilter applier: its own rulesets and deltas, and the failures that are its own. */
import { partOfChain, partOfSet, type Part } from '@tortie/policy/ruleset';
import type { Netfilter as Applier } from '../dataplane/netfilter/netfilter.js';
import type { Netfilter, NetfilterFailure } from './policy-loop.js';

/** Failures that belong to no part (a table that cannot be read) are policy's. */
export function partOfFailure({ subject }: Pick<NetfilterFailure, 'subject'>): Part {
  const chain = /TORTIE-[^ :]*/.exec(subject)?.[0];
  if (chain !== undefined) return partOfChain(chain);
  const set = /tortie[46]-[^ :]*/.exec(subject)?.[0];
  return set === undefined ? 'policy' : partOfSet(set);
}

export function netfilterOf(applier: Pick<Applier, 'sync' | 'apply' | 'status'>, part: Part): Netfilter {
  const own = <T extends NetfilterFailure>(failures: readonly T[]): readonly T[] =>
    failures.filter((failure) => partOfFailure(failure) === part);
  return {
    sync: async (ruleset) => ({ failures: own((await applier.sync(ruleset, part)).failures) }),
    apply: async (delta) => ({ failures: own((await applier.apply(delta, part)).failures) }),
    failures: () => own(applier.status().failures),
    unrest: () => applier.status().unrest,
  };
}
