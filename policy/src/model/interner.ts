/**
 * One object for equal content: pods of a ReplicaSet share their labels and ports, policies share selections and blocks. Held
 * weakly, so what nobody uses goes with the garbage and nobody has to count.
 */

export class Interner<T extends object> {
  /** BOUNDED by the distinct contents in use; entries of collected objects are dropped when the collector says so. */
  private readonly known = new Map<string, WeakRef<T>>();
  private readonly gone = new FinalizationRegistry<string>((key) => {
    if (this.known.get(key)?.deref() === undefined) this.known.delete(key);
  });

  /** The object known under this key, else `value`, which becomes it. Equal keys must mean equal content. */
  intern(key: string, value: T): T {
    const known = this.known.get(key)?.deref();
    if (known !== undefined) return known;
    this.known.set(key, new WeakRef(value));
    this.gone.register(value, key);
    return value;
  }
}
