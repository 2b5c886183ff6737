/**
 * Stands between the watches and the node's copy of the cluster: keeps the plain objects of every kind that a Change may carry, and hands
 * on what is seen of them through the layers that lie over them. Layers are laid and taken away in one turn of the event loop, so that no
 * loop ever sees half of them.
 *
 * It can begin with objects that were kept (`standIn`) where no server answers: what the first list does not have goes then.
 */
import { kinds, type KindName, type ObjectOf } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import type { WatchSink } from '../datastore/datastore.js';
import { trim } from '../datastore/trim.js';
import { CHANGE_KINDS, isAsWished, layerKey, seenThrough, type Layer, type Layers } from './overlay.js';

const NONE: Layers = new Map();

export class ObjectLayers implements WatchSink<KindName> {
  private layers: Layers = NONE;
  /** By `layerKey`. BOUNDED by the objects of the cluster, which the copy holds anyway. */
  private readonly plain = new Map<string, KubeObject>();
  /** By kind: what was stood in for and has not been heard of since, by `layerKey`. */
  private readonly standIns = new Map<KindName, Map<string, KubeObject>>();

  /** @param keep what a node keeps of an object, as the watch of its kind was told */
  constructor(
    private readonly target: WatchSink<KindName>,
    private readonly keep: (kind: KindName, object: KubeObject) => KubeObject,
  ) {}

  upsert<K extends KindName>(kind: K, object: ObjectOf[K]): void {
    const key = layerKey(kind, object.metadata);
    this.standIns.get(kind)?.delete(key);
    if (!CHANGE_KINDS.includes(kind)) return this.target.upsert(kind, object);
    const before = this.seen(key);
    this.plain.set(key, object);
    this.tell(kind, before, this.seen(key));
  }

  delete<K extends KindName>(kind: K, object: ObjectOf[K]): void {
    const key = layerKey(kind, object.metadata);
    this.standIns.get(kind)?.delete(key);
    if (!CHANGE_KINDS.includes(kind)) return this.target.delete(kind, object);
    const before = this.seen(key);
    this.plain.delete(key);
    this.tell(kind, before, this.seen(key));
  }

  firstListDone(kind: KindName): void {
    for (const object of this.standIns.get(kind)?.values() ?? []) this.delete(kind, object as ObjectOf[typeof kind]);
    this.standIns.delete(kind);
    this.target.firstListDone(kind);
  }

  health(kind: KindName, problem: string | undefined): void {
    this.target.health(kind, problem);
  }

  /** From now on these lie over the plain objects, and no others. */
  lay(layers: Layers): void {
    const keys = new Map([...this.layers, ...layers].map(([key, { kind }]) => [key, kind]));
    const before = new Map([...keys.keys()].map((key) => [key, this.seen(key)]));
    this.layers = new Map([...layers].map(([key, layer]) => [key, this.cut(layer)]));
    for (const [key, kind] of keys) {
      const [was, is] = [before.get(key), this.seen(key)];
      if (was !== is) this.tell(kind, was, is);
    }
  }

  /** Does a layer lie over it? */
  covers(key: string): boolean {
    return this.layers.has(key);
  }

  /** Are all plain objects as the layers have them? Then taking these away changes nothing. */
  isCaughtUp(): boolean {
    return [...this.layers].every(([key]) => isAsWished(this.seen(key), this.plain.get(key)));
  }

  /** Plain objects of a kind that a Change may carry. */
  plainOf(kind: KindName): readonly KubeObject[] {
    return [...this.plain].filter(([key]) => key.startsWith(`${kind} `)).map(([, object]) => object);
  }

  /** Objects of before, where nobody can be asked how they are: they are taken for all there are of these kinds. */
  standIn(objects: ReadonlyMap<KindName, readonly KubeObject[]>): void {
    for (const [kind, all] of objects) {
      this.standIns.set(kind, new Map());
      for (const object of all) this.upsert(kind, object as ObjectOf[typeof kind]);
      this.standIns.set(kind, new Map(all.map((object) => [layerKey(kind, object.metadata), object])));
      this.target.firstListDone(kind);
    }
  }

  private seen(key: string): KubeObject | undefined {
    const layer = this.layers.get(key);
    const plain = this.plain.get(key);
    return layer === undefined ? plain : seenThrough(layer, plain);
  }

  private tell(kind: KindName, before: KubeObject | undefined, after: KubeObject | undefined): void {
    if (after !== undefined) this.target.upsert(kind, after as ObjectOf[typeof kind]);
    else if (before !== undefined) this.target.delete(kind, before as ObjectOf[typeof kind]);
  }

  /** Like what a watch delivers. */
  private cut({ kind, entry, madeAt }: Layer): Layer {
    if (entry.object === undefined) return { kind, entry, madeAt };
    const object = this.keep(kind, trim(kind, entry.object as unknown as ObjectOf[typeof kind]));
    return { kind, entry: { ...entry, object: object as unknown as Readonly<Record<string, unknown>> }, madeAt };
  }
}

/** "BGPPeer/rack-a" */
export const layerName = ({ kind, entry: { namespace, name } }: Layer): string =>
  `${kinds[kind].kind}/${namespace === undefined ? '' : `${namespace}/`}${name}`;
