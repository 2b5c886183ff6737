/** Removes what we wrote through iptables and ipset, for when policy is written another way. */
import type { Family } from '@tortie/policy/ruleset';
import { ChildError, type Within } from './child.js';
import { sweepBackend } from './family-tables.js';
import { openSets } from './open-sets.js';

/** Chains and jumps of both backends, then the sets. Why it could not, or undefined. */
export async function sweepIptables(families: readonly Family[], within: Within): Promise<string | undefined> {
  for (const family of families)
    for (const backend of ['nft', 'legacy'] as const) {
      const problem = await sweepBackend(family, backend, within);
      if (problem !== undefined) return problem;
    }
  return sweepSets(within);
}

async function sweepSets(within: Within): Promise<string | undefined> {
  const { transport, reason } = openSets(within);
  try {
    const headers = await transport.headers();
    const refusals = await transport.apply(headers.map((header) => ({ type: 'destroy', name: header.name })));
    return refusals.find((refusal) => refusal.cause !== 'missing')?.message;
  } catch (error) {
    // Without the ipset program there never were sets that it could have left.
    if (error instanceof ChildError && reason !== undefined) return undefined;
    throw error;
  } finally {
    transport.close();
  }
}
