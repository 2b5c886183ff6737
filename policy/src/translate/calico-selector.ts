/**
 * Calico selector text as it stands in policies, with the labels that Calico itself puts on things.
 *
 * Those labels live under hidden keys in the label maps (pod.ts, calico-objects.ts), so that no Kubernetes selector meets them; here
 * `projectcalico.org/...` keys become those, and keys of a service account's own labels get their prefix.
 */
import { invalid, type Problem } from '../problem.js';
import { parseCalicoSelector, SelectorError } from '../selector/calico-selector.js';
import { and, ALL, not, or, type Selector } from '../selector/selector.js';
import { CALICO_NAME_LABEL } from '../resolve/cluster.js';
import { KIND_LABEL, NAME_LABEL } from '../resolve/calico-objects.js';
import { NAMESPACE_LABEL, ORCHESTRATOR_LABEL, SERVICE_ACCOUNT_LABEL, SERVICE_ACCOUNT_PREFIX } from '../resolve/pod.js';
import type { NamespaceCondition } from '../model/selection.js';

type KeyMap = (key: string) => string;

const endpointKey: KeyMap = (key) => {
  switch (key) {
    case 'projectcalico.org/namespace':
      return NAMESPACE_LABEL;
    case 'projectcalico.org/orchestrator':
      return ORCHESTRATOR_LABEL;
    case 'projectcalico.org/serviceaccount':
      return SERVICE_ACCOUNT_LABEL;
    case 'projectcalico.org/kind':
      return KIND_LABEL;
    case 'projectcalico.org/name':
      return NAME_LABEL;
    default:
      return key;
  }
};
const namespaceKey: KeyMap = (key) => (key === 'projectcalico.org/name' ? CALICO_NAME_LABEL : key);
const accountKey: KeyMap = (key) =>
  key === 'projectcalico.org/name' ? SERVICE_ACCOUNT_LABEL : `${SERVICE_ACCOUNT_PREFIX}${key}`;

/** undefined when the text is refused; the problem says where and why. */
function parse(text: string, field: string, key: KeyMap, problems: Problem[]): Selector | undefined {
  try {
    return renamed(parseCalicoSelector(text), key);
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    problems.push(invalid(field, text, error.message));
    return undefined;
  }
}

/** Over the labels of endpoints and network sets. */
export const parseEndpointSelector = (text: string, field: string, problems: Problem[]): Selector | undefined =>
  parse(text, field, endpointKey, problems);

/** Over the labels of the endpoint's service account; no service account has none. */
export const parseAccountSelector = (text: string, field: string, problems: Problem[]): Selector | undefined =>
  parse(text, field, accountKey, problems);

/**
 * Over namespaces. `global()` stands alone and means what is in no namespace: endpoints of namespaces never lack their namespace's name, so
 * inside a longer expression it is false for them, which is what it says.
 */
export function parseNamespaceSelector(
  text: string,
  field: string,
  problems: Problem[],
): NamespaceCondition | undefined {
  if (/^\s*global\(\s*\)\s*$/.test(text)) return { type: 'global' };
  const selector = parse(text, field, namespaceKey, problems);
  return selector === undefined ? undefined : { type: 'selector', selector };
}

function renamed(selector: Selector, key: KeyMap): Selector {
  switch (selector.type) {
    case 'all':
    case 'none':
      return selector;
    case 'in':
    case 'not-in':
      return { ...selector, key: key(selector.key) };
    case 'present':
    case 'absent':
      return { ...selector, key: key(selector.key) };
    case 'contains':
    case 'starts-with':
    case 'ends-with':
      return { ...selector, key: key(selector.key) };
    case 'and':
      return and(selector.terms.map((term) => renamed(term, key)));
    case 'or':
      return or(selector.terms.map((term) => renamed(term, key)));
    case 'not':
      return not(renamed(selector.term, key));
  }
}

/** Both must hold; `undefined` for either leaves the other. */
export const both = (a: Selector | undefined, b: Selector | undefined): Selector => and([a ?? ALL, b ?? ALL]);
