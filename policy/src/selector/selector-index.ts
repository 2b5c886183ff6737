/**
 * Finds the selectors that an object might match without asking every selector: each is filed under the scope and the label
 * terms that its objects must have, and an object asks for its own terms only.
 *
 * `candidates` may name too many (the caller evaluates the selector) and never too few. BOUNDED by the policies in use.
 */
import { indexTerm, type Labels } from './selector.js';

/** Filed under every object, whatever its labels. */
const ANY_LABELS = '';

export interface IndexKey {
  /** Namespace that objects must be in; undefined for every namespace. */
  readonly namespace?: string;
  /** requiredTerms of the selector over the object's own labels, or over its namespace's labels. */
  readonly terms?: { readonly of: 'object' | 'namespace'; readonly anyOf: readonly string[] };
}

export class SelectorIndex<T> {
  private readonly buckets = new Map<string, Set<T>>();

  add(key: IndexKey, item: T): void {
    for (const bucket of bucketsOf(key)) {
      const items = this.buckets.get(bucket);
      if (items === undefined) this.buckets.set(bucket, new Set([item]));
      else items.add(item);
    }
  }

  remove(key: IndexKey, item: T): void {
    for (const bucket of bucketsOf(key)) {
      const items = this.buckets.get(bucket);
      if (items?.delete(item) === true && items.size === 0) this.buckets.delete(bucket);
    }
  }

  /** Each item at most once. */
  candidates(namespace: string | undefined, labels: Labels, namespaceLabels: Labels): ReadonlySet<T> {
    const found = new Set<T>();
    for (const scope of namespace === undefined ? [undefined] : [undefined, namespace]) {
      this.collect(scope, 'object', ANY_LABELS, found);
      for (const [key, value] of labels) {
        this.collect(scope, 'object', indexTerm(key), found);
        this.collect(scope, 'object', indexTerm(key, value), found);
      }
    }
    for (const [key, value] of namespaceLabels) {
      this.collect(undefined, 'namespace', indexTerm(key), found);
      this.collect(undefined, 'namespace', indexTerm(key, value), found);
    }
    return found;
  }

  private collect(namespace: string | undefined, of: 'object' | 'namespace', term: string, into: Set<T>): void {
    const items = this.buckets.get(bucketKey(namespace, of, term));
    if (items !== undefined) for (const item of items) into.add(item);
  }
}

function bucketsOf(key: IndexKey): readonly string[] {
  if (key.terms === undefined) return [bucketKey(key.namespace, 'object', ANY_LABELS)];
  const { of, anyOf } = key.terms;
  return anyOf.map((term) => bucketKey(of === 'namespace' ? undefined : key.namespace, of, term));
}

const bucketKey = (namespace: string | undefined, of: 'object' | 'namespace', term: string): string =>
  `${of === 'object' ? 'o' : 'n'}${namespace ?? '*'}\u0001${term}`;
