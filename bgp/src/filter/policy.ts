/**
 * Filters of one session and direction as the RIB's RoutePolicy (rib/policy.ts).
 *
 * The filters a session names become one list of rules. Conditions about the session are settled when it is compiled, so two peers
 * that no rule tells apart have policies of equal keys and share an update group. For an attribute set the list is then *specialised*:
 * a small decision tree that asks about the prefix only what is left to ask, grown while it is used. All prefixes that
 * take the same way through it get the very same verdict object, so what it costs to apply a verdict is paid once per way.
 */
import { createHash } from 'node:crypto';
import type { Family } from '../address.js';
import type { FilterConfig, FilterRule } from '../config.js';
import type { PolicyReason, PolicyRoute, PolicyVerdict, SpecializedPolicy } from '../rib/policy.js';
import { compileSet } from './action.js';
import { attributesHold, prefixHolds, type CompiledPolicy, type CompiledRule } from './compiled-rule.js';
import { compileMatch, untouched, type FilterSession, type RouteState } from './condition.js';
import { explainPolicy, formatExplanation, ruleOf } from './explain.js';
import { wordsOf } from './prefix-set.js';

const REJECT: PolicyVerdict = { type: 'reject' };
const ACCEPT: PolicyVerdict = { type: 'accept' };

/** Compiles the filters of these names, run in this order. The configuration has been validated. */
export function compilePolicy(
  filters: Readonly<Record<string, FilterConfig>>,
  names: readonly string[],
  session: FilterSession,
): CompiledPolicy {
  const sources: unknown[] = [];
  const rules: CompiledRule[] = [];
  const add = (filter: string, index: number | undefined, rule: FilterRule): void => {
    const match = compileMatch(rule.match ?? {}, session);
    if (match.isImpossible) return;
    sources.push([folded(rule), rule.set?.prepend === undefined ? 0 : session.localAs]);
    rules.push({
      filter,
      index,
      name: rule.name,
      match,
      set: rule.set === undefined ? undefined : compileSet(rule.set, session),
      action: rule.action,
    });
  };
  for (const filter of names) {
    const config = Object.hasOwn(filters, filter) ? filters[filter] : undefined;
    if (config === undefined) throw new Error(`Cannot compile filters: there is none of the name "${filter}"`);
    for (const [index, rule] of config.rules.entries()) add(filter, index, rule);
    if (config.default !== undefined && config.default !== 'next') add(filter, undefined, { action: config.default });
  }
  return new Policy(rules, createHash('sha256').update(JSON.stringify(sources)).digest('base64'));
}

/** A rule without what the session has settled and what changes nothing. */
function folded({ match, set, action }: FilterRule): unknown {
  return { match: { ...match, peerTypes: undefined, peers: undefined, peerAs: undefined }, set, action };
}

/** Undecided at a rule that looks at the prefix; the ways on are made when first taken. */
interface Branch {
  readonly type: 'branch';
  readonly at: number;
  readonly state: RouteState;
  onMatch: TreeNode | undefined;
  onMiss: TreeNode | undefined;
}

type TreeNode = Branch | { readonly type: 'leaf'; readonly verdict: PolicyVerdict };

const REJECT_LEAF: TreeNode = { type: 'leaf', verdict: REJECT };
const ACCEPT_LEAF: TreeNode = { type: 'leaf', verdict: ACCEPT };

class Policy implements CompiledPolicy {
  readonly key: string;
  readonly rules: readonly CompiledRule[];
  readonly dependsOnPrefix: boolean;
  readonly dependsOnInterface: boolean;
  /** What a rule says about the receiving peer is in the key already. */
  readonly dependsOnPeer = false;
  readonly constant: PolicyVerdict | undefined;

  constructor(rules: readonly CompiledRule[], key: string) {
    this.rules = rules;
    this.key = key;
    this.dependsOnPrefix = rules.some(({ match }) => match.prefix.length > 0);
    this.dependsOnInterface = rules.some(({ match }) => match.attributes.some(({ field }) => field === 'interfaces'));
    this.constant = constantOf(rules);
  }

  judge(route: PolicyRoute): PolicyVerdict {
    if (!this.dependsOnPrefix) return verdictOf(this.#grow(0, untouched(route)));
    const { prefix } = route;
    const words = prefix === undefined ? new Uint32Array(4) : Uint32Array.from(wordsOf(prefix));
    return this.specialize(route).decide(words, 0, prefix?.length ?? 0, route.tags);
  }

  specialize(route: PolicyRoute): SpecializedPolicy {
    const root = this.#grow(0, untouched(route));
    if (root.type === 'leaf') return { decide: () => root.verdict };
    return { decide: (words, at, length, tags) => this.#walk(root, route.family, words, at, length, tags) };
  }

  explain(route: PolicyRoute): PolicyReason {
    const explanation = explainPolicy(this, route);
    const { decidedBy } = explanation;
    return {
      text: formatExplanation(explanation),
      ...(decidedBy === undefined ? {} : { rule: ruleOf(decidedBy) }),
    };
  }

  #walk(
    root: TreeNode,
    family: Family,
    words: Uint32Array,
    at: number,
    length: number,
    tags: readonly string[],
  ): PolicyVerdict {
    let node = root;
    while (node.type === 'branch') {
      const rule = this.rules[node.at];
      const isMatch = rule !== undefined && prefixHolds(rule, family, words, at, length, tags);
      node = isMatch
        ? (node.onMatch ??= this.#enter(node.at, node.state))
        : (node.onMiss ??= this.#grow(node.at + 1, node.state));
    }
    return node.verdict;
  }

  /** The tree from a rule on: up to the first that has to see the prefix, or to the end. */
  #grow(from: number, state: RouteState): TreeNode {
    for (let at = from; at < this.rules.length; at++) {
      const rule = this.rules[at];
      if (rule === undefined || !attributesHold(rule, state)) continue;
      if (rule.match.prefix.length > 0) return { type: 'branch', at, state, onMatch: undefined, onMiss: undefined };
      return this.#enter(at, state);
    }
    return leafOf(state);
  }

  /** The tree behind a rule that matches. */
  #enter(at: number, state: RouteState): TreeNode {
    const rule = this.rules[at];
    if (rule === undefined || rule.action === 'reject') return REJECT_LEAF;
    const after = rule.set === undefined ? state : rule.set(state);
    return rule.action === 'accept' ? leafOf(after) : this.#grow(at + 1, after);
  }
}

/** Without conditions on prefixes every tree is a leaf. */
function verdictOf(root: TreeNode): PolicyVerdict {
  if (root.type === 'branch') throw new Error('A policy that does not depend on the prefix has asked for it');
  return root.verdict;
}

/** Where the first rule already decides about everything. */
function constantOf([first]: readonly CompiledRule[]): PolicyVerdict | undefined {
  if (first === undefined) return ACCEPT;
  if (first.match.prefix.length > 0 || first.match.attributes.length > 0 || first.action === 'next') return undefined;
  if (first.action === 'reject') return REJECT;
  return first.set === undefined ? ACCEPT : undefined;
}

function leafOf({ attributes, nextHop, weight, metric, choseMed }: RouteState): TreeNode {
  if (attributes === undefined && nextHop === undefined && weight === undefined && metric === undefined && !choseMed)
    return ACCEPT_LEAF;
  return {
    type: 'leaf',
    verdict: {
      type: 'accept',
      ...(attributes === undefined ? {} : { attributes }),
      ...(nextHop === undefined ? {} : { nextHop }),
      ...(weight === undefined ? {} : { weight }),
      ...(metric === undefined ? {} : { metric }),
      ...(choseMed ? { choseMed } : {}),
    },
  };
}
