/** What could not be used, or deserves a word: told of a resource, and of the field in it, in the words of its own schema. */

/** Where something stands: "BGPPeer/rack-1", "spec.asNumber". */
export interface Place {
  readonly resource: string;
  /** Absent: the resource as a whole. */
  readonly field?: string;
}

export interface TopologyProblem extends Place {
  /** A sentence that goes on after the resource's name, the field in it: `spec.asNumber is "0"; expected ...`. */
  readonly message: string;
  /** `notice`: worth knowing; nothing that anybody asked for is missing on this node. */
  readonly severity: 'problem' | 'notice';
  /** This node has nothing of the resource: of a BGPPeer, no session. */
  readonly isLeftOut?: true;
}

/** Collects; the order in which things were found does not matter. */
export class Problems {
  private readonly found = new Map<string, TopologyProblem>();

  /** Something was asked for and left out. `text` goes on after the field: `is "0"; expected ...`. */
  problem(place: Place, text: string): void {
    this.add(place, text, 'problem');
  }

  notice(place: Place, text: string): void {
    this.add(place, text, 'notice');
  }

  /** In the order of resources, fields and texts; the same thing once. */
  list(): readonly TopologyProblem[] {
    return [...this.found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, problem]) => problem);
  }

  private add({ resource, field }: Place, text: string, severity: TopologyProblem['severity']): void {
    const message = field === undefined ? text : `${field} ${text}`;
    const key = `${resource}\n${field ?? ''}\n${message}`;
    if (this.found.get(key)?.severity === 'problem') return;
    this.found.set(key, { resource, ...(field === undefined ? {} : { field }), message, severity });
  }
}

/** A value as people see it in a sentence. */
export const quoted = (value: unknown): string => {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return `"${text.length > 80 ? `${text.slice(0, 77)}...` : text}"`;
};
