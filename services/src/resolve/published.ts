/** Sets by name, given whole each time, and what changed in them since the last drain. */
import type { AddressSet, SetChange } from '@tortie/policy/ruleset';

export interface SetsDelta {
  readonly created: readonly AddressSet[];
  readonly changed: readonly SetChange[];
  readonly deleted: readonly string[];
}

export class PublishedSets {
  private readonly sets = new Map<string, AddressSet>();
  /** As it was at the last drain, for every set touched since. */
  private readonly before = new Map<string, AddressSet | undefined>();

  put(set: AddressSet): void {
    this.remember(set.name);
    this.sets.set(set.name, set);
  }

  delete(name: string): void {
    this.remember(name);
    this.sets.delete(name);
  }

  all(): ReadonlyMap<string, AddressSet> {
    return this.sets;
  }

  drain(): SetsDelta {
    const created: AddressSet[] = [];
    const changed: SetChange[] = [];
    const deleted: string[] = [];
    for (const [name, old] of this.before) {
      const now = this.sets.get(name);
      if (now === undefined) {
        if (old !== undefined) deleted.push(name);
      } else if (old === undefined) created.push(now);
      else {
        const added = [...now.members.keys()].filter((member) => !old.members.has(member));
        const removed = [...old.members.keys()].filter((member) => !now.members.has(member));
        if (added.length + removed.length > 0) changed.push({ name, added, removed });
      }
    }
    this.before.clear();
    return { created, changed, deleted };
  }

  private remember(name: string): void {
    if (!this.before.has(name)) this.before.set(name, this.sets.get(name));
  }
}
