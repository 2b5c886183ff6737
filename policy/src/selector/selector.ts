/**
 * Label selectors of every API as one small syntax tree, with its meaning, its canonical text and its index terms.
 *
 * Kubernetes LabelSelectors (label-selector.ts) and Calico's expressions (calico-selector.ts) both end here. Meanings follow
 * apimachinery's labels.Requirement: `notIn` and `absent` hold for objects that lack the key, `present` holds for an empty value.
 * Equal selectors written differently have equal canonical text as far as order and repetition go; sharing of address sets hangs on it.
 */

export type Selector =
  | { readonly type: 'all' }
  | { readonly type: 'none' }
  | { readonly type: 'in'; readonly key: string; readonly values: readonly string[] }
  | { readonly type: 'not-in'; readonly key: string; readonly values: readonly string[] }
  | { readonly type: 'present'; readonly key: string }
  | { readonly type: 'absent'; readonly key: string }
  | { readonly type: 'contains' | 'starts-with' | 'ends-with'; readonly key: string; readonly text: string }
  | { readonly type: 'and' | 'or'; readonly terms: readonly Selector[] }
  | { readonly type: 'not'; readonly term: Selector };

export type Labels = ReadonlyMap<string, string>;

export const ALL: Selector = { type: 'all' };
export const NONE: Selector = { type: 'none' };

export function matchesSelector(selector: Selector, labels: Labels): boolean {
  switch (selector.type) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'in': {
      const value = labels.get(selector.key);
      return value !== undefined && selector.values.includes(value);
    }
    case 'not-in': {
      const value = labels.get(selector.key);
      return value === undefined || !selector.values.includes(value);
    }
    case 'present':
      return labels.has(selector.key);
    case 'absent':
      return !labels.has(selector.key);
    case 'contains':
      return labels.get(selector.key)?.includes(selector.text) ?? false;
    case 'starts-with':
      return labels.get(selector.key)?.startsWith(selector.text) ?? false;
    case 'ends-with':
      return labels.get(selector.key)?.endsWith(selector.text) ?? false;
    case 'and':
      return selector.terms.every((term) => matchesSelector(term, labels));
    case 'or':
      return selector.terms.some((term) => matchesSelector(term, labels));
    case 'not':
      return !matchesSelector(selector.term, labels);
  }
}

/** Conjunction, flattened: `all` vanishes, `none` swallows, order and repetition do not count. */
export const and = (terms: readonly Selector[]): Selector => combine('and', terms);
export const or = (terms: readonly Selector[]): Selector => combine('or', terms);

export function not(term: Selector): Selector {
  switch (term.type) {
    case 'all':
      return NONE;
    case 'none':
      return ALL;
    case 'in':
      return { type: 'not-in', key: term.key, values: term.values };
    case 'not-in':
      return { type: 'in', key: term.key, values: term.values };
    case 'present':
      return { type: 'absent', key: term.key };
    case 'absent':
      return { type: 'present', key: term.key };
    case 'not':
      return term.term;
    default:
      return { type: 'not', term };
  }
}

/** `in` or `not-in` with its values sorted and without repetition. */
export function valueTerm(type: 'in' | 'not-in', key: string, values: readonly string[]): Selector {
  return { type, key, values: [...new Set(values)].sort() };
}

function combine(type: 'and' | 'or', terms: readonly Selector[]): Selector {
  const [first] = terms;
  if (first !== undefined && terms.length === 1) return first;
  const [neutral, absorbing] = type === 'and' ? (['all', 'none'] as const) : (['none', 'all'] as const);
  const flat = new Map<string, Selector>();
  for (const term of terms)
    for (const one of term.type === type ? term.terms : [term]) flat.set(selectorText(one), one);
  const kept = [...flat]
    .filter(([, term]) => term.type !== neutral)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, term]) => term);
  if (kept.some((term) => term.type === absorbing)) return absorbing === 'all' ? ALL : NONE;
  const [only] = kept;
  if (only === undefined) return neutral === 'all' ? ALL : NONE;
  return kept.length === 1 ? only : { type, terms: kept };
}

/** Canonical and readable: 'app in {"db", "web"} && has(tier)'. Keys are quoted when they are not plain words. */
export function selectorText(selector: Selector): string {
  switch (selector.type) {
    case 'all':
      return 'all()';
    case 'none':
      return 'none()';
    case 'in':
    case 'not-in':
      return valuesText(selector.type, selector.key, selector.values);
    case 'present':
      return `has(${keyText(selector.key)})`;
    case 'absent':
      return `!has(${keyText(selector.key)})`;
    case 'contains':
      return `${keyText(selector.key)} contains ${JSON.stringify(selector.text)}`;
    case 'starts-with':
      return `${keyText(selector.key)} starts with ${JSON.stringify(selector.text)}`;
    case 'ends-with':
      return `${keyText(selector.key)} ends with ${JSON.stringify(selector.text)}`;
    case 'and':
    case 'or':
      return termsText(selector);
    case 'not':
      return `!(${selectorText(selector.term)})`;
  }
}

/** Nested expressions ask for their parts' text at every level: each is written once. */
const textsInUse = new WeakMap<Selector, string>();

function termsText(selector: Extract<Selector, { readonly type: 'and' | 'or' }>): string {
  const known = textsInUse.get(selector);
  if (known !== undefined) return known;
  const other = selector.type === 'and' ? 'or' : 'and';
  const text = selector.terms
    .map((term) => (term.type === other ? `(${selectorText(term)})` : selectorText(term)))
    .join(selector.type === 'and' ? ' && ' : ' || ');
  textsInUse.set(selector, text);
  return text;
}

function valuesText(type: 'in' | 'not-in', key: string, values: readonly string[]): string {
  const [only] = values;
  if (values.length === 1 && only !== undefined)
    return `${keyText(key)} ${type === 'in' ? '==' : '!='} ${JSON.stringify(only)}`;
  return `${keyText(key)} ${type === 'in' ? 'in' : 'not in'} {${values.map((value) => JSON.stringify(value)).join(', ')}}`;
}

const keyText = (key: string): string => (/^[A-Za-z0-9_./-]+$/.test(key) ? key : JSON.stringify(key));

/** A label that must be there, with or without a value: `term(key)` or `term(key, value)`. */
export const indexTerm = (key: string, value?: string): string => (value === undefined ? key : `${key}\u0000${value}`);

/** One selector is filed under no more terms than this; past it, a less particular place costs less than so many. */
const MOST_TERMS = 64;

/**
 * Terms of which every matching object has at least one; undefined when objects without any particular label may match.
 * The fewest and most particular are chosen, because they decide how many selectors a label change must look at.
 */
export function requiredTerms(selector: Selector): readonly string[] | undefined {
  switch (selector.type) {
    case 'none':
      return [];
    case 'in':
      return selector.values.length > MOST_TERMS
        ? [indexTerm(selector.key)]
        : selector.values.map((value) => indexTerm(selector.key, value));
    case 'present':
    case 'contains':
    case 'starts-with':
    case 'ends-with':
      return [indexTerm(selector.key)];
    case 'and': {
      let best: readonly string[] | undefined;
      for (const term of selector.terms) {
        const terms = requiredTerms(term);
        if (terms !== undefined && (best === undefined || termCost(terms) < termCost(best))) best = terms;
      }
      return best;
    }
    case 'or': {
      const all = new Set<string>();
      for (const term of selector.terms) {
        const terms = requiredTerms(term);
        if (terms === undefined) return undefined;
        for (const one of terms) all.add(one);
        if (all.size > MOST_TERMS) return undefined;
      }
      return [...all];
    }
    case 'all':
    case 'not-in':
    case 'absent':
    case 'not':
      return undefined;
  }
}

/** Terms with a value are met by few objects, bare keys by many. */
const termCost = (terms: readonly string[]): number =>
  terms.reduce((cost, term) => cost + (term.includes('\u0000') ? 1 : 16), 0);
