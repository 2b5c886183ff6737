/**
 * The kernel's rules of the policies that judge a flow, with their packet counters, when one end of the flow lives on this machine.
 */
import { nftChainName, type Explanation, type PolicyTrace } from '@tortie/policy';
import { policyChainName } from '@tortie/policy/compile/names';
import { runChild } from '../dataplane/netfilter/child.js';
import type { Family } from 'node-bgp/address';
import { policyName } from './diff.js';
import type { KernelRule } from './explain.js';

/** Rules of iptables (either backend) and of nft; none when this machine has none of ours. */
export async function readKernelRules(explanation: Explanation, family: Family): Promise<readonly KernelRule[]> {
  const wanted = new Map<string, Pick<KernelRule, 'policy' | 'direction'>>();
  for (const direction of ['egress', 'ingress'] as const)
    for (const trace of explanation[direction])
      if (isAsked(trace))
        wanted.set(policyChainName(direction, trace.policy), { policy: policyName(trace.policy), direction });
  return readChains(wanted, family);
}

/** Rules of the chains of these names, of table filter. */
export async function readChains(wanted: Wanted, family: Family): Promise<readonly KernelRule[]> {
  if (wanted.size === 0) return [];
  const dumps = await Promise.all([
    dump(family === 4 ? 'iptables-save' : 'ip6tables-save', ['-c', '-t', 'filter']),
    dump('nft', ['list', 'table', 'inet', 'tortie']),
  ]);
  return [...parseIptables(dumps[0] ?? '', wanted), ...parseNft(dumps[1] ?? '', wanted)];
}

const isAsked = (trace: PolicyTrace): boolean =>
  !['not reached', 'does not select the pod', 'not for this direction'].includes(trace.outcome);

/** Nothing when the tool or the table is missing: the verdict does not depend on it. */
async function dump(program: string, args: readonly string[]): Promise<string> {
  const outcome = await runChild(program, args).catch(() => undefined);
  return outcome?.status === 0 ? outcome.stdout : '';
}

export type Wanted = ReadonlyMap<string, Pick<KernelRule, 'policy' | 'direction'>>;

/** "[12:720] -A TORTIE-PI-... -p tcp ... -j DROP" */
export function parseIptables(text: string, wanted: Wanted): readonly KernelRule[] {
  const rules: KernelRule[] = [];
  for (const line of text.split('\n')) {
    const match = /^\[(\d+):\d+\] -A (\S+) (.*)$/.exec(line);
    const about = wanted.get(match?.[2] ?? '');
    if (match !== null && about !== undefined)
      rules.push({
        ...about,
        packets: Number(match[1]),
        line: (match[3] ?? '').replace(/-m comment --comment (?:"[^"]*"|\S+) ?/g, ''),
      });
  }
  return rules;
}

/** Rules inside "chain NAME { ... }", one a line. */
export function parseNft(text: string, wanted: Wanted): readonly KernelRule[] {
  const names = new Map([...wanted].map(([name, about]) => [nftChainName({ table: 'filter', name }), about]));
  const rules: KernelRule[] = [];
  let about: Pick<KernelRule, 'policy' | 'direction'> | undefined;
  for (const line of text.split('\n').map((one) => one.trim())) {
    const chain = /^chain (\S+) \{$/.exec(line);
    if (chain !== null) about = names.get(chain[1] ?? '');
    else if (line === '}') about = undefined;
    else if (about !== undefined && line !== '') {
      const packets = Number(/counter packets (\d+)/.exec(line)?.[1] ?? 0);
      rules.push({
        ...about,
        packets,
        line: line.replace(/ counter packets \d+ bytes \d+/, '').replace(/ comment "[^"]*"$/, ''),
      });
    }
  }
  return rules;
}
