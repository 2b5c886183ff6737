/** Calico selectors over labels, parsed once each. */
import { parseCalicoSelector } from '@tortie/policy/selector/calico-selector';
import { matchesSelector, type Selector } from '@tortie/policy/selector/selector';

/** BOUNDED: emptied when it holds more than anybody has resources. */
const parsed = new Map<string, Selector>();
const MOST = 10_000;

/** @throws SelectorError with a sentence about the text */
export function selectorMatches(text: string, labels: ReadonlyMap<string, string>): boolean {
  let selector = parsed.get(text);
  if (selector === undefined) {
    selector = parseCalicoSelector(text);
    if (parsed.size >= MOST) parsed.clear();
    parsed.set(text, selector);
  }
  return matchesSelector(selector, labels);
}
