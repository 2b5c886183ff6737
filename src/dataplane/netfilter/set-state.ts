/**
 * The address sets of both families: what is wanted, what still has to be written, and what the kernel was found to hold
 * otherwise. Owned by the applier; it does no I/O, it hands out operations and takes back refusals.
 *
 * Work comes in two halves around the writing of rules: `additions` (sets a rule may refer to, members a rule may
 * need) before, `removals` (members nobody may match any more, sets nobody refers to any more) after.
 */
import { AddressError } from 'node-bgp/address';
import {
  partOfSet,
  type AddressSet,
  type Family,
  type Members,
  type Part,
  type SetChange,
  type SetType,
} from '@tortie/policy/ruleset';
import { MOST_REMEMBERED } from '@tortie/policy/render/nftables';
import type { HandedOver } from './parts.js';
import { memberKey, parseMember, quickKey } from './set-member.js';
import type { NewSet, SetHeader } from './set-protocol.js';
import type { SetOperation, SetRefusal } from './set-transport.js';

/** maxelem of a new set: memory is taken as members come, and ipset's default of 65,536 is less than a large cluster's pods. */
const MAX_ELEMENTS = 1 << 20;

interface WantedSet {
  readonly name: string;
  readonly type: SetType;
  readonly family: Family;
  /** By memberKey. BOUNDED by what the ruleset holds. */
  readonly members: Set<string>;
  /** The kernel's rules fill it: what is in it is nobody's drift. */
  readonly timeoutSeconds?: number;
}

interface Pending {
  /** The set must be created; or, 'replace', made anew under a temporary name and swapped in. */
  make?: 'create' | 'replace';
  readonly add: Set<string>;
  readonly remove: Set<string>;
}

export interface SetFailure {
  readonly set: string;
  readonly family: Family;
  readonly message: string;
}

export class SetState {
  private readonly wanted = new Map<string, WantedSet>();
  private readonly pending = new Map<string, Pending>();
  private readonly doomed = new Set<string>();
  /** Members that no kernel will take, by set and text: the engine's fault, told once and dropped with the set or member. */
  private readonly malformed = new Map<string, SetFailure>();
  private temporary = 0;

  constructor(private readonly handed: HandedOver) {}

  create(set: AddressSet): void {
    const { name, type, family, timeoutSeconds } = set;
    const wanted: WantedSet = {
      name,
      type,
      family,
      members: new Set(),
      ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    };
    this.wanted.set(set.name, wanted);
    const pending = this.pendingOf(set.name);
    // A set that waits for its destruction still holds its old members.
    pending.make = this.doomed.delete(set.name) ? 'replace' : 'create';
    for (const text of set.members.keys()) this.addMember(wanted, text);
  }

  change(change: SetChange): void {
    const wanted = this.wanted.get(change.name);
    if (wanted === undefined) throw new Error(`Cannot change set "${change.name}": no such set was created`);
    for (const text of change.added) this.addMember(wanted, text);
    for (const text of change.removed) this.removeMember(wanted, text);
  }

  delete(name: string): void {
    this.wanted.delete(name);
    this.pending.delete(name);
    this.doomed.add(name);
    for (const key of this.malformed.keys()) if (key.startsWith(`${name} `)) this.malformed.delete(key);
  }

  /** Forgets everything of a part, for a whole new state; observe() then says what of the old one is nobody's. */
  reset(part: Part): void {
    for (const names of [this.wanted, this.pending, this.doomed])
      for (const name of [...names.keys()]) if (partOfSet(name) === part) names.delete(name);
    for (const [key, { set }] of [...this.malformed]) if (partOfSet(set) === part) this.malformed.delete(key);
  }

  /** Takes the list of our sets in the kernel. Returns what is not as last written, and which sets deserve a look at their members. */
  observe(headers: readonly SetHeader[]): {
    readonly findings: readonly string[];
    readonly suspects: readonly string[];
  } {
    const findings: string[] = [];
    const suspects: string[] = [];
    const present = new Map(headers.map((header) => [header.name, header]));
    for (const set of this.wanted.values()) {
      const header = present.get(set.name);
      const pending = this.pending.get(set.name);
      if (header === undefined) {
        if (pending?.make === undefined) findings.push(`set ${set.name} is missing`);
        this.make(set, 'create');
      } else if (header.type !== set.type || header.family !== set.family) {
        findings.push(`set ${set.name} is a ${header.kernelType}`);
        this.make(set, 'replace');
      } else if (
        pending?.make !== undefined ||
        (set.timeoutSeconds === undefined && header.elements !== set.members.size)
      )
        suspects.push(set.name);
    }
    for (const name of present.keys()) {
      // A doomed one is our own, and waits until the kernel lets go of it.
      if (this.wanted.has(name) || this.doomed.has(name) || !this.handed.hasSet(name)) continue;
      findings.push(`set ${name} is nobody's`);
      this.doomed.add(name);
    }
    return { findings, suspects };
  }

  /** Takes one set's members in the kernel; marks the difference. Returns what differs, in words. */
  compare(name: string, present: Pick<Members, 'has' | 'keys'>): readonly string[] {
    const set = this.wanted.get(name);
    if (set === undefined || this.pending.get(name)?.make === 'replace') return [];
    const known = this.pending.get(name);
    const pending: Pending = { add: new Set(), remove: new Set() };
    const isKernels = set.timeoutSeconds !== undefined;
    for (const key of set.members) if (!present.has(key)) pending.add.add(key);
    if (!isKernels) for (const key of present.keys()) if (!set.members.has(key)) pending.remove.add(key);
    this.pending.set(name, pending);
    if (pending.add.size + pending.remove.size === 0) this.pending.delete(name);
    // What we ourselves have still to write is nobody's doing.
    const missing = countBeyond(pending.add, known?.add);
    const extra = countBeyond(pending.remove, known?.remove);
    return [
      ...(missing > 0 ? [`set ${name}: ${missing} members are missing`] : []),
      ...(extra > 0 ? [`set ${name}: ${extra} members are too many`] : []),
    ];
  }

  /** Every set must be made from nothing: what holds them is going to be. */
  remakeAll(): void {
    for (const set of this.wanted.values()) this.make(set, 'create');
    this.doomed.clear();
  }

  /** Creations and additions that wait. */
  additions(): readonly SetOperation[] {
    const operations: SetOperation[] = [];
    for (const [name, pending] of this.pending) {
      const set = this.wanted.get(name);
      if (set === undefined) continue;
      if (pending.make === 'replace') for (const each of this.replacement(set)) operations.push(each);
      else if (pending.make === 'create') operations.push({ type: 'create', set: newSet(set, name) });
      if (pending.make !== 'replace' && pending.add.size > 0)
        operations.push({ type: 'add', set, members: [...pending.add] });
    }
    return operations;
  }

  /** Removals and destructions that wait; to be written only once no rule needs what they remove. */
  removals(): readonly SetOperation[] {
    const operations: SetOperation[] = [];
    for (const [name, pending] of this.pending) {
      const set = this.wanted.get(name);
      if (set !== undefined && pending.remove.size > 0)
        operations.push({ type: 'delete', set, members: [...pending.remove] });
    }
    for (const name of this.doomed) operations.push({ type: 'destroy', name });
    return operations;
  }

  /** Operations were written, but for the refused. What was refused stays pending. */
  done(operations: readonly SetOperation[], refusals: readonly SetRefusal[]): readonly SetFailure[] {
    const failures: SetFailure[] = [];
    for (const operation of operations) {
      const refused = refusals.filter((refusal) => sameOperation(refusal.operation, operation));
      for (const each of this.settle(operation, refused)) failures.push(each);
    }
    return failures;
  }

  /** What nothing but a new ruleset can mend. */
  malformedMembers(): readonly SetFailure[] {
    return [...this.malformed.values()];
  }

  /** "set NAME" of everything that waits. */
  unsettled(): ReadonlySet<string> {
    return new Set([...this.pending.keys(), ...this.doomed].map((name) => `set ${name}`));
  }

  get isClean(): boolean {
    return this.pending.size === 0 && this.doomed.size === 0 && this.malformed.size === 0;
  }

  has(name: string): boolean {
    return this.wanted.has(name);
  }

  /** Undefined when it is not wanted. */
  typeOf(name: string): SetType | undefined {
    return this.wanted.get(name)?.type;
  }

  /** Is it to be destroyed? */
  isDoomed(name: string): boolean {
    return this.doomed.has(name);
  }

  get names(): readonly string[] {
    return [...this.wanted.keys()];
  }

  private addMember(set: WantedSet, text: string): void {
    const key = this.keyOf(set, text);
    if (key === undefined || set.members.has(key)) return;
    set.members.add(key);
    const pending = this.pendingOf(set.name);
    pending.remove.delete(key);
    pending.add.add(key);
  }

  private removeMember(set: WantedSet, text: string): void {
    this.malformed.delete(`${set.name} ${text}`);
    const key = this.keyOf(set, text, true);
    if (key === undefined || !set.members.delete(key)) return;
    const pending = this.pendingOf(set.name);
    pending.add.delete(key);
    pending.remove.add(key);
  }

  private keyOf(set: WantedSet, text: string, isRemoval = false): string | undefined {
    const quick = quickKey(set.type, set.family, text);
    if (quick !== undefined) return quick;
    try {
      const key = memberKey(parseMember(set.type, set.family, text));
      return key === text ? text : key; // share the caller's string: there may be 100,000 of them
    } catch (error) {
      if (!(error instanceof AddressError)) throw error;
      if (!isRemoval)
        this.malformed.set(`${set.name} ${text}`, { set: set.name, family: set.family, message: error.message });
      return undefined;
    }
  }

  private pendingOf(name: string): Pending {
    let pending = this.pending.get(name);
    if (pending === undefined) this.pending.set(name, (pending = { add: new Set(), remove: new Set() }));
    return pending;
  }

  private make(set: WantedSet, how: 'create' | 'replace'): void {
    this.pending.set(set.name, { make: how, add: new Set(set.members), remove: new Set() });
  }

  /** All members in a new set under a temporary name, swapped in one step: rules never see it empty. */
  private replacement(set: WantedSet): readonly SetOperation[] {
    const other = `tortie${set.family}-swap${this.temporary++}`;
    const fresh = newSet(set, other);
    return [
      { type: 'create', set: fresh },
      { type: 'add', set: fresh, members: [...set.members] },
      { type: 'swap', name: set.name, other },
      { type: 'destroy', name: other },
    ];
  }

  private settle(operation: SetOperation, refusals: readonly SetRefusal[]): readonly SetFailure[] {
    switch (operation.type) {
      case 'create':
        return this.settleCreate(operation.set, refusals);
      case 'add':
        return this.settleMembers(operation, 'add', refusals);
      case 'delete':
        return this.settleMembers(operation, 'remove', refusals);
      case 'swap': {
        const [refusal] = refusals;
        if (refusal === undefined) this.pending.delete(operation.name);
        return refusal === undefined
          ? []
          : [{ set: operation.name, family: this.familyOf(operation.name), message: refusal.message }];
      }
      case 'destroy': {
        const [refusal] = refusals;
        if (refusal === undefined || refusal.cause === 'missing') this.doomed.delete(operation.name);
        else {
          this.doomed.add(operation.name);
          return [{ set: operation.name, family: this.familyOf(operation.name), message: refusal.message }];
        }
        return [];
      }
    }
  }

  private settleCreate(set: NewSet, refusals: readonly SetRefusal[]): readonly SetFailure[] {
    const [refusal] = refusals;
    const pending = this.pending.get(set.name);
    if (refusal === undefined || refusal.cause === 'exists') {
      if (pending?.make === 'create') delete pending.make;
      this.dropIfEmpty(set.name);
      return [];
    }
    return [{ set: set.name, family: set.family, message: refusal.message }];
  }

  private settleMembers(
    operation: SetOperation & { readonly type: 'add' | 'delete' },
    which: 'add' | 'remove',
    refusals: readonly SetRefusal[],
  ): readonly SetFailure[] {
    const { name, family } = operation.set;
    const pending = this.pending.get(name);
    const isWhole = refusals.some((refusal) => refusal.member === undefined);
    const refused = new Set(refusals.map(({ member }) => member));
    if (!isWhole) for (const member of operation.members) if (!refused.has(member)) pending?.[which].delete(member);
    const set = this.wanted.get(name);
    if (set !== undefined && refusals.some((refusal) => refusal.cause === 'full')) this.make(set, 'replace');
    else if (set !== undefined && refusals.some((refusal) => refusal.cause === 'missing')) this.make(set, 'create');
    this.dropIfEmpty(name);
    return refusals.map((refusal) => ({ set: name, family, message: refusal.message }));
  }

  private dropIfEmpty(name: string): void {
    const pending = this.pending.get(name);
    if (pending !== undefined && pending.make === undefined && pending.add.size + pending.remove.size === 0)
      this.pending.delete(name);
  }

  private familyOf(name: string): Family {
    return name.startsWith('tortie6-') ? 6 : 4;
  }
}

function newSet(set: WantedSet, name: string): NewSet {
  let maxElements = MAX_ELEMENTS;
  while (maxElements < set.members.size * 2) maxElements *= 2;
  const { type, family, timeoutSeconds } = set;
  if (timeoutSeconds !== undefined) return { name, type, family, maxElements: MOST_REMEMBERED, timeoutSeconds };
  return { name, type, family, maxElements };
}

/** Bulk adds are cut into messages, so a refusal's operation may be a part of ours. */
function sameOperation(refused: SetOperation, operation: SetOperation): boolean {
  if (refused.type !== operation.type) return false;
  switch (refused.type) {
    case 'create':
      return operation.type === 'create' && refused.set.name === operation.set.name;
    case 'add':
    case 'delete':
      return (operation.type === 'add' || operation.type === 'delete') && refused.set.name === operation.set.name;
    case 'swap':
      return operation.type === 'swap' && refused.name === operation.name;
    case 'destroy':
      return operation.type === 'destroy' && refused.name === operation.name;
  }
}

function countBeyond(keys: ReadonlySet<string>, known: ReadonlySet<string> | undefined): number {
  let count = 0;
  for (const key of keys) if (known?.has(key) !== true) count++;
  return count;
}
