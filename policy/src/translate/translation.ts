/** What a translator answers. */
import type { Policy } from '../model/policy.js';
import type { Problem } from '../problem.js';

/** A policy as far as it was understood, and what was not. No policy: the object as a whole is refused. */
export interface Translation {
  readonly policy?: Policy;
  readonly problems: readonly Problem[];
  /** Values in the object that the policy was made from, where it could be made again. */
  readonly weight?: number;
}
