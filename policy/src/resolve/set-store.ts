/**
 * Address sets with counted members, and what changed in them since the last drain.
 *
 * A member is in a set as long as at least one owner put it there: an address moves from a dying pod to a new one, add before
 * remove, without ever leaving. Changes that cancel out between two drains are not reported. A set dies when the last
 * rule that names it lets go, at the next drain and not before, so that a rewritten rule keeps its set.
 *
 * The unspecified address is in no set of addresses, whoever puts it there: nobody has it, and hash:ip refuses it (errno 4353), and with
 * it the changes that it came among.
 */
import { setName, type AddressSet, type Family, type SetChange, type SetType } from '../ruleset.js';

interface TrackedSet extends AddressSet {
  /** Owners per member. BOUNDED by the cluster's pods times ports. */
  readonly owners: Map<string, number>;
  /** Net change since the last drain: true for added, false for removed. */
  readonly changes: Map<string, boolean>;
  published: boolean;
}

export interface SetDelta {
  readonly created: readonly AddressSet[];
  readonly changed: readonly SetChange[];
  readonly deleted: readonly string[];
}

export class SetStore {
  private readonly sets = new Map<string, TrackedSet>();
  private readonly touched = new Set<TrackedSet>();
  private readonly deleted = new Set<string>();

  /** Both families' sets of this id, empty. */
  create(id: string, type: SetType, note: string): void {
    for (const family of [4, 6] as const) this.createOne(id, family, type, note);
  }

  add(id: string, family: Family, member: string): void {
    const set = this.get(id, family);
    if (isNobody(set, member)) return;
    const owners = set.owners.get(member) ?? 0;
    set.owners.set(member, owners + 1);
    if (owners === 0) this.note(set, member, true);
  }

  remove(id: string, family: Family, member: string): void {
    const set = this.get(id, family);
    if (isNobody(set, member)) return;
    const owners = set.owners.get(member);
    if (owners === undefined) throw new Error(`Cannot remove ${member} from set ${set.name}: it is not a member`);
    if (owners > 1) set.owners.set(member, owners - 1);
    else {
      set.owners.delete(member);
      this.note(set, member, false);
    }
  }

  destroy(id: string): void {
    for (const family of [4, 6] as const) {
      const set = this.get(id, family);
      this.sets.delete(set.name);
      this.touched.delete(set);
      if (set.published) this.deleted.add(set.name);
    }
  }

  /** All sets with their members as they are now. */
  snapshot(): ReadonlyMap<string, AddressSet> {
    return new Map([...this.sets].map(([name, set]) => [name, snapshot(set)]));
  }

  /** Everything since the last drain. */
  drain(): SetDelta {
    const created: AddressSet[] = [];
    const changed: SetChange[] = [];
    for (const set of this.touched) {
      // A snapshot: whoever applies the delta may do so after the next event has come in.
      if (!set.published) created.push(snapshot(set));
      else if (set.changes.size > 0) changed.push(changeOf(set));
      set.published = true;
      set.changes.clear();
    }
    const deleted = [...this.deleted].sort();
    this.touched.clear();
    this.deleted.clear();
    return { created, changed, deleted };
  }

  /** A set that dies and comes back between two drains starts over: its kernel name is the same, its content may not be. */
  private createOne(id: string, family: Family, type: SetType, note: string): void {
    const name = setName(family, id);
    if (this.deleted.has(name)) throw new Error(`Cannot create set ${name}: its deletion has not been drained`);
    const owners = new Map<string, number>();
    const set: TrackedSet = {
      name,
      id,
      family,
      type,
      note,
      members: owners,
      owners,
      changes: new Map(),
      published: false,
    };
    this.sets.set(name, set);
    this.touched.add(set);
  }

  private get(id: string, family: Family): TrackedSet {
    const set = this.sets.get(setName(family, id));
    if (set === undefined) throw new Error(`Cannot find set ${setName(family, id)}`);
    return set;
  }

  private note(set: TrackedSet, member: string, added: boolean): void {
    if (!set.published) return;
    const known = set.changes.get(member);
    if (known === undefined) set.changes.set(member, added);
    else if (known !== added) set.changes.delete(member);
    this.touched.add(set);
  }
}

const isNobody = ({ type }: AddressSet, member: string): boolean =>
  type === 'address' && (member === '0.0.0.0' || member === '::');

function changeOf(set: TrackedSet): SetChange {
  const added: string[] = [];
  const removed: string[] = [];
  for (const [member, isAdded] of set.changes) (isAdded ? added : removed).push(member);
  return { name: set.name, added, removed };
}

function snapshot(set: TrackedSet): AddressSet {
  return {
    name: set.name,
    id: set.id,
    family: set.family,
    type: set.type,
    note: set.note,
    members: new Set(set.owners.keys()),
  };
}
