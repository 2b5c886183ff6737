/** Finds and removes what we wrote through iptables and ipset, for when policy is written another way, or by nobody. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Family, Table } from '@tortie/policy/ruleset';
import { ChildError, type Within } from './child.js';
import { ownChains, sweepBackend } from './family-tables.js';
import { openSets } from './open-sets.js';
import type { Backend } from './status.js';

const LONGEST_PAUSE = 1_500;
const BACKENDS = ['nft', 'legacy'] as const satisfies readonly Backend[];

export interface IptablesLeftovers {
  readonly chains: readonly {
    readonly family: Family;
    readonly backend: Backend;
    readonly table: Table;
    readonly names: readonly string[];
  }[];
  readonly sets: readonly string[];
}

/** What of ours is there. Changes nothing. @throws ChildError, SystemError */
export async function lookAtIptables(families: readonly Family[], within: Within): Promise<IptablesLeftovers> {
  const chains: IptablesLeftovers['chains'][number][] = [];
  for (const family of families)
    for (const backend of BACKENDS)
      for (const [table, names] of await ownChains(family, backend, within))
        chains.push({ family, backend, table, names });
  return { chains, sets: await ownSets(within) };
}

async function ownSets(within: Within): Promise<readonly string[]> {
  const { transport, reason } = openSets(within);
  try {
    return (await transport.headers()).map(({ name }) => name);
  } catch (error) {
    // Without the ipset program there never were sets that it could have made.
    if (error instanceof ChildError && reason !== undefined) return [];
    throw error;
  } finally {
    transport.close();
  }
}

/** Chains and jumps of both backends, then the sets. Why it could not, or undefined. */
export async function sweepIptables(families: readonly Family[], within: Within): Promise<string | undefined> {
  for (const family of families)
    for (const backend of BACKENDS) {
      const problem = await sweepBackend(family, backend, within);
      if (problem !== undefined) return problem;
    }
  return sweepSets(within);
}

async function sweepSets(within: Within): Promise<string | undefined> {
  const { transport, reason } = openSets(within);
  try {
    for (let pause = 10; ; pause *= 2) {
      const headers = await transport.headers();
      const refusals = await transport.apply(headers.map((header) => ({ type: 'destroy', name: header.name })));
      // The kernel frees the rules that were just deleted, and with them their hold on the sets, some time later.
      if (pause > LONGEST_PAUSE || !refusals.some((refusal) => refusal.cause === 'in-use'))
        return refusals.find((refusal) => refusal.cause !== 'missing')?.message;
      await sleep(pause);
    }
  } catch (error) {
    // Without the ipset program there never were sets that it could have left.
    if (error instanceof ChildError && reason !== undefined) return undefined;
    throw error;
  } finally {
    transport.close();
  }
}
