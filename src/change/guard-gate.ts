/**
 * Stands before the layers: hands on what guards let through, and holds the rest as it was. What was handed on last stands on disk while
 * anybody asks for a guard, so that an agent that starts anew holds what the one before it held.
 *
 * Objects of the kinds that guards look at are handed on together, when all of them are listed.
 */
import type { KindName, ObjectOf } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import type { WatchSink } from '../datastore/datastore.js';
import { GUARD_KINDS, hasGuards, isSameToGuards, type GuardedObjects, type GuardKind } from './guard.js';
import { layerKey } from './overlay.js';

export interface GuardGateOptions {
  readonly target: WatchSink<KindName>;
  /** Why a node may not follow; undefined: it may. */
  readonly stops: (before: GuardedObjects, after: GuardedObjects) => string | undefined;
  /** A Change that somebody confirmed says so of this object already. */
  readonly isCovered: (key: string) => boolean;
  /** What is held has changed. */
  readonly onHeld: (held: readonly Held[]) => void;
  /** What is to be kept on disk; undefined: nothing. */
  readonly onStanding: (objects: GuardedObjects | undefined) => void;
}

export interface Held {
  readonly kind: GuardKind;
  readonly name: string;
  /** A sentence. */
  readonly reason: string;
}

type Mutable = Record<GuardKind, Map<string, KubeObject>>;
const emptyObjects = (): Mutable => ({
  nodes: new Map(),
  bgpConfigurations: new Map(),
  bgpPeers: new Map(),
  ipPools: new Map(),
});

const isGuardKind = (kind: KindName): kind is GuardKind => (GUARD_KINDS as readonly KindName[]).includes(kind);

export class GuardGate implements WatchSink<KindName> {
  /** What the API server has. BOUNDED by the objects of the cluster, as the copy is. */
  private readonly plain = emptyObjects();
  /** What was handed on. */
  private readonly standing = emptyObjects();
  /** By `layerKey`. */
  private readonly held = new Map<string, Held>();
  private readonly listed = new Set<GuardKind>();
  private restored: GuardedObjects | undefined;
  private isOpen = false;
  private isKept = false;

  constructor(private readonly options: GuardGateOptions) {}

  /** What an agent before this one handed on. Call before anything is watched. */
  restore(objects: GuardedObjects): void {
    this.restored = objects;
  }

  upsert<K extends KindName>(kind: K, object: ObjectOf[K]): void {
    if (!isGuardKind(kind)) return this.options.target.upsert(kind, object);
    this.plain[kind].set(object.metadata.name, object);
    this.consider(kind, object.metadata.name);
  }

  delete<K extends KindName>(kind: K, object: ObjectOf[K]): void {
    if (!isGuardKind(kind)) return this.options.target.delete(kind, object);
    this.plain[kind].delete(object.metadata.name);
    this.consider(kind, object.metadata.name);
  }

  firstListDone(kind: KindName): void {
    if (!isGuardKind(kind)) return this.options.target.firstListDone(kind);
    this.listed.add(kind);
    if (!this.isOpen && GUARD_KINDS.every((each) => this.listed.has(each))) this.open();
  }

  health(kind: KindName, problem: string | undefined): void {
    this.options.target.health(kind, problem);
  }

  /** Something else that guards look at has changed: what is held may go on. */
  again(): void {
    const [first] = this.held.values();
    if (first !== undefined) this.consider(first.kind, first.name);
  }

  private open(): void {
    this.isOpen = true;
    const { restored } = this;
    for (const kind of GUARD_KINDS)
      for (const [name, object] of (restored ?? this.plain)[kind]) {
        this.standing[kind].set(name, object);
        this.options.target.upsert(kind, object as never);
      }
    if (restored !== undefined) this.catchUp();
    for (const kind of GUARD_KINDS) this.options.target.firstListDone(kind);
    this.keep();
  }

  /** All that changed while no agent was there: as one change, or one by one. */
  private catchUp(): void {
    const changed = GUARD_KINDS.flatMap((kind) =>
      [...new Set([...this.plain[kind].keys(), ...this.standing[kind].keys()])].map((name) => ({ kind, name })),
    );
    if (this.options.stops(this.standing, this.plain) === undefined || !hasGuards(this.standing)) {
      for (const { kind, name } of changed) this.handOn(kind, name);
      return;
    }
    for (const { kind, name } of changed) this.consider(kind, name);
  }

  private consider(kind: GuardKind, name: string): void {
    if (!this.isOpen) return;
    const key = layerKey(kind, { name });
    const isSame = isSameToGuards(this.standing[kind].get(name), this.plain[kind].get(name));
    if ((isSame && !this.held.has(key)) || this.options.isCovered(key) || !hasGuards(this.standing))
      return this.follow(kind, name);
    const all = [...this.held.values(), { kind, name }];
    const reason = this.options.stops(this.standing, this.withPlain(all));
    if (reason === undefined) {
      for (const each of all) this.handOn(each.kind, each.name);
      return this.tellHeld(() => this.held.clear());
    }
    const alone = this.held.size === 0 ? reason : this.options.stops(this.standing, this.withPlain([{ kind, name }]));
    if (alone === undefined || isSame) return this.follow(kind, name);
    this.tellHeld(() => this.held.set(key, { kind, name, reason: alone }));
  }

  private follow(kind: GuardKind, name: string): void {
    this.handOn(kind, name);
    const key = layerKey(kind, { name });
    if (this.held.has(key)) this.tellHeld(() => this.held.delete(key));
    // Guards that nobody asks for any more hold nothing.
    if (this.held.size > 0 && !hasGuards(this.standing)) {
      for (const each of this.held.values()) this.handOn(each.kind, each.name);
      this.tellHeld(() => this.held.clear());
    }
  }

  private handOn(kind: GuardKind, name: string): void {
    const [before, after] = [this.standing[kind].get(name), this.plain[kind].get(name)];
    if (before === after) return;
    if (after === undefined) {
      this.standing[kind].delete(name);
      this.options.target.delete(kind, before as never);
    } else {
      this.standing[kind].set(name, after);
      this.options.target.upsert(kind, after as never);
    }
    if (!isSameToGuards(before, after)) this.keep();
  }

  private withPlain(keys: readonly { readonly kind: GuardKind; readonly name: string }[]): GuardedObjects {
    const objects: Mutable = { ...this.standing };
    for (const kind of new Set(keys.map((each) => each.kind))) objects[kind] = new Map(this.standing[kind]);
    for (const { kind, name } of keys) {
      const object = this.plain[kind].get(name);
      if (object === undefined) objects[kind].delete(name);
      else objects[kind].set(name, object);
    }
    return objects;
  }

  private tellHeld(change: () => void): void {
    const before = JSON.stringify([...this.held]);
    change();
    if (JSON.stringify([...this.held]) !== before) this.options.onHeld([...this.held.values()]);
  }

  private keep(): void {
    const isWanted = hasGuards(this.standing);
    if (isWanted) this.options.onStanding(this.standing);
    else if (this.isKept || this.restored !== undefined) this.options.onStanding(undefined);
    this.isKept = isWanted;
  }
}
