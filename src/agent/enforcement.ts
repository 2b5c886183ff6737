/**
 * Which refusals of the kernel concern one endpoint: everything but what belongs to other endpoints, or to policies and sets that
 * its chains never come to. A rule that the kernel does not take keeps new pods away only where it would have held.
 */
import { endpointChainName } from '@tortie/policy/compile/names';
import type { Ruleset } from '@tortie/policy';
import type { NetfilterFailure } from './policy-loop.js';

const OTHERS = /^(?:chain |rule )?filter\/TORTIE-(?:P[IO]|FROM|TO)-|^set /;

export function failuresFor(
  ruleset: Ruleset,
  hostInterface: string,
  failures: readonly NetfilterFailure[],
): readonly NetfilterFailure[] {
  if (failures.length === 0) return failures;
  const own = reachableFrom(ruleset, [
    'TORTIE-POD-FORWARD',
    endpointChainName('egress', hostInterface),
    endpointChainName('ingress', hostInterface),
  ]);
  return failures.filter(({ subject }) => !OTHERS.test(subject) || own.some((name) => subject.includes(name)));
}

/** Names of chains and sets that packets of these chains meet. */
function reachableFrom(ruleset: Ruleset, start: readonly string[]): readonly string[] {
  const seen = new Set<string>(start);
  const open = [...start];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    for (const rule of ruleset.chains.get(`filter/${name}`)?.rules ?? []) {
      const targets = rule.action.type === 'jump' || rule.action.type === 'goto' ? [rule.action.chain] : [];
      for (const match of rule.matches) if (match.type === 'set' || match.type === 'set-port') seen.add(match.set);
      for (const target of targets)
        if (!seen.has(target)) {
          seen.add(target);
          open.push(target);
        }
    }
  }
  return [...seen];
}
