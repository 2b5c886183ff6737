/**
 * projectcalico.org/v3 Tier to Tier.
 */
import type { Tier } from '../model/tier.js';
import { invalid, notSupported, type Problem } from '../problem.js';
import { own, readObject, type JsonObject } from '../validate/shape.js';

/** Without an order a tier comes last; without a default action it denies. */
export function translateTier(name: string, object: unknown, problems: Problem[]): Tier {
  const spec = readObject(own(object as JsonObject, 'spec'), 'spec', problems);
  const order = own(spec, 'order') ?? undefined;
  const action = own(spec, 'defaultAction') ?? 'Deny';
  if (order !== undefined && typeof order !== 'number') problems.push(invalid('spec.order', order, 'must be a number'));
  if (action !== 'Deny' && action !== 'Pass')
    problems.push(notSupported('spec.defaultAction', action, ['Deny', 'Pass']));
  return {
    name,
    order: typeof order === 'number' ? order : Infinity,
    defaultAction: action === 'Pass' ? 'pass' : 'deny',
  };
}
