/**
 * Which endpoints a policy or a peer means: a condition on the namespace and one on the endpoint's own labels.
 *
 * Equal selections have equal `key`, and whatever is built from a selection (an address set, an index entry) is shared by key.
 */
import { Interner } from './interner.js';
import { shortId } from '../ruleset.js';
import { ALL, matchesSelector, requiredTerms, selectorText, type Labels, type Selector } from '../selector/selector.js';
import type { IndexKey } from '../selector/selector-index.js';

export type NamespaceCondition =
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'selector'; readonly selector: Selector }
  /** Cluster-scoped objects only: Calico's global(). */
  | { readonly type: 'global' }
  | { readonly type: 'any' }
  | { readonly type: 'everywhere' };

/** `pods` for the Kubernetes APIs; `endpoints` also finds network sets and host endpoints, as Calico's selectors do. */
export type SelectionScope = 'pods' | 'endpoints';

export interface Selection {
  readonly key: string;
  readonly scope: SelectionScope;
  readonly namespace: NamespaceCondition;
  readonly labels: Selector;
}

export function selectionOf(
  namespace: NamespaceCondition,
  labels: Selector,
  scope: SelectionScope = 'pods',
): Selection {
  const condition: NamespaceCondition =
    namespace.type === 'selector' && namespace.selector.type === 'all' ? { type: 'any' } : namespace;
  const text = `${scope} ${selectorText(labels)} ${namespaceText(condition)}`;
  const key = text.length <= LONGEST_KEY ? text : `${text.slice(0, 200)}... ${shortId(text)}`;
  return inUse.intern(key, { key, scope, namespace: condition, labels });
}

/** Keys are kept and compared often: a longer one is its beginning and a hash of all. */
const LONGEST_KEY = 1_024;

/** Policies say the same thing many times. */
const inUse = new Interner<Selection>();

/** Every pod of the cluster. */
export const EVERY_POD: Selection = selectionOf({ type: 'any' }, ALL);

export function matchesNamespace(
  condition: NamespaceCondition,
  namespace: string | undefined,
  namespaceLabels: Labels,
): boolean {
  switch (condition.type) {
    // A selector over namespaces, even an empty one, means objects that are in a namespace.
    case 'any':
      return namespace !== undefined;
    case 'name':
      return condition.name === namespace;
    case 'selector':
      return namespace !== undefined && matchesSelector(condition.selector, namespaceLabels);
    case 'global':
      return namespace === undefined;
    case 'everywhere':
      return true;
  }
}

export function matchesSelection(
  selection: Selection,
  namespace: string | undefined,
  labels: Labels,
  namespaceLabels: Labels,
): boolean {
  return matchesNamespace(selection.namespace, namespace, namespaceLabels) && matchesSelector(selection.labels, labels);
}

/** Can anything ever match? */
export const selectsNothing = (selection: Selection): boolean =>
  selection.labels.type === 'none' ||
  (selection.namespace.type === 'selector' && selection.namespace.selector.type === 'none');

/** Where a SelectorIndex files this selection: by its own labels where they say something, else by the namespace's. */
export function selectionIndexKey(selection: Selection): IndexKey {
  const namespace = selection.namespace.type === 'name' ? selection.namespace.name : undefined;
  const own = requiredTerms(selection.labels);
  const byOwn: IndexKey = own === undefined ? { namespace } : { namespace, terms: { of: 'object', anyOf: own } };
  if (selection.namespace.type !== 'selector') return byOwn;
  const byNamespace = requiredTerms(selection.namespace.selector);
  if (byNamespace === undefined || own?.every((term) => term.includes('\u0000')) === true) return byOwn;
  return { terms: { of: 'namespace', anyOf: byNamespace } };
}

function namespaceText(condition: NamespaceCondition): string {
  switch (condition.type) {
    case 'any':
      return 'in any namespace';
    case 'name':
      return `in namespace ${condition.name}`;
    case 'selector':
      return `in namespaces ${selectorText(condition.selector)}`;
    case 'global':
      return 'outside namespaces';
    case 'everywhere':
      return 'everywhere';
  }
}
