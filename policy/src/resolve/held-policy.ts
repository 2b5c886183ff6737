/**
 * A policy whose rules are made from its object when a rule of this node needs them, and forgotten when none does.
 *
 * Most policies of a cluster select no pod of the node. Small ones are kept whole all the same; of a large one the node keeps whom it
 * selects and where it stands.
 */
import type { Direction, Policy, PolicyRule } from '../model/policy.js';

/** Values in an object from which it pays to make rules again. */
const LARGE = 1_024;

/** `again` makes an equal policy; it must not throw. */
export function holdPolicy(policy: Policy, weight: number, again: () => Policy | undefined): Policy {
  if (weight < LARGE) return policy;
  const { ingress, egress, ...head } = policy;
  const kept = new Map<Direction, WeakRef<readonly PolicyRule[]>>();
  if (ingress !== undefined) kept.set('ingress', new WeakRef(ingress));
  if (egress !== undefined) kept.set('egress', new WeakRef(egress));
  const rulesOf = (direction: Direction): readonly PolicyRule[] => {
    const known = kept.get(direction)?.deref();
    if (known !== undefined) return known;
    const made = again()?.[direction] ?? [];
    kept.set(direction, new WeakRef(made));
    return made;
  };
  for (const direction of kept.keys())
    Object.defineProperty(head, direction, { get: () => rulesOf(direction), enumerable: true });
  return head;
}
