/**
 * The kernel rules that one object may still become, and the loop over its list of rules that keeps to it.
 *
 * Peers times ports can be millions where the object is small. Rules are translated in order until one would pass the bound; that one and
 * those after it are left out, and the translator's closing rule stands for them.
 */
import { MOST_CONDITIONS, MOST_KERNEL_RULES } from '../model/bounds.js';
import { chunkPorts } from '../model/ports.js';
import type { EntityMatch, PolicyRule } from '../model/policy.js';
import { invalid, type Problem } from '../problem.js';
import type { PortRange } from '../ruleset.js';

/** Thrown by `spend` and caught by `translateInBudget`: the rule is one too many. */
class OverBudget extends Error {
  override readonly name = 'OverBudget';
}

export class RuleBudget {
  private left = MOST_KERNEL_RULES;

  /** Call before making so many alternatives. @throws OverBudget */
  spend(kernelRules: number, conditions = 0): void {
    if (conditions > MOST_CONDITIONS)
      throw new OverBudget(`needs ${conditions} conditions at once, of at most ${MOST_CONDITIONS}`);
    if (kernelRules > this.left)
      throw new OverBudget(
        `needs ${kernelRules} kernel rules where ${this.left} are left of the ${MOST_KERNEL_RULES} that one object may need`,
      );
    this.left -= kernelRules;
  }
}

/** Every rule in its place, as far as the budget goes. `closing`: what stands for the rules left out; none: nothing. */
export function translateInBudget(
  list: readonly unknown[],
  field: string,
  problems: Problem[],
  translate: (value: unknown, field: string) => Omit<PolicyRule, 'index'>,
  closing?: Omit<PolicyRule, 'index'>,
): readonly PolicyRule[] {
  const rules: PolicyRule[] = [];
  for (const [index, value] of list.entries())
    try {
      rules.push({ index, ...translate(value, `${field}[${index}]`) });
    } catch (error) {
      if (!(error instanceof OverBudget)) throw error;
      const fate = closing === undefined ? 'match nothing' : 'deny everything';
      problems.push(invalid(`${field}[${index}]`, undefined, `${error.message}; this rule and those after it ${fate}`));
      if (closing !== undefined) rules.push({ index, ...closing });
      break;
    }
  return rules;
}

/** Kernel rules of a list of ports: no list is one. */
export const rulesOfPorts = (ports: readonly PortRange[] | undefined): number =>
  ports === undefined ? 1 : chunkPorts(ports).length;

/** Blocks are one rule per family. */
export const rulesOfPeer = (entity: EntityMatch): number =>
  entity.networks === undefined && entity.notNetworks === undefined ? 1 : 2;

/** Conditions that stand in each of an entity's rules. */
export const conditionsOf = (entity: EntityMatch): number =>
  chunkPorts(entity.notPorts ?? []).length + (entity.notNamedPorts?.length ?? 0);
