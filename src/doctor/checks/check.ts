/** What a check of one node is: a pure function of what was seen of the machine, and of the cluster where that could be asked. */
import type { ClusterFacts } from '../cluster-facts.js';
import type { CheckName, Severity } from '../finding.js';
import type { NodeFacts } from '../node-facts.js';

/** What it could not see it says nothing of: `unread` does. */
export type NodeCheck = (facts: NodeFacts, cluster: ClusterFacts | undefined) => readonly Said[];

/** A finding but for the node it is about. */
export interface Said {
  readonly check: CheckName;
  readonly severity: Severity;
  readonly evidence: string;
  readonly remedy: string;
}

/** At most some of many names. */
export function listed(names: readonly string[], say: (names: string, count: number) => Said): readonly Said[] {
  if (names.length === 0) return [];
  const shown = names.slice(0, 5).join(', ');
  return [say(names.length > 5 ? `${shown} and ${names.length - 5} more` : shown, names.length)];
}
