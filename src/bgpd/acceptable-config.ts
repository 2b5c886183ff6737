/**
 * What of a saved configuration can be used by a bgpd that does not accept all of it, because an older or newer one has written it: peer by
 * peer, prefix by prefix. Half of the sessions are better than none until whoever gave the configuration gives the next; a file that a
 * person names is refused whole.
 *
 * What cannot be is left out and named. A field that is not known goes alone; a filter that cannot be used rejects everything, since nobody
 * knows what it was to hold back. Without localAs and routerId there is nothing.
 */
import type { FilterConfig } from 'node-bgp/config';
import { isObject, type Problem } from 'node-bgp/config/schema';
import { formatProblem, validateConfig, type ParsedConfig } from 'node-bgp/config/validate';
import { pathSteps } from './config-path.js';

export interface Acceptable {
  readonly config: ParsedConfig;
  /** A sentence for each thing that was left out; empty: nothing was. */
  readonly leftOut: readonly string[];
}

const REJECT_ALL: FilterConfig = { rules: [], default: 'reject' };
const NEEDED: ReadonlySet<string> = new Set(['localAs', 'routerId']);
/** BOUNDED: what is left out may bring other problems to light, of relations between what is left. */
const MOST_ROUNDS = 16;

/** Undefined when nothing of it can be used. */
export function acceptableConfig(value: unknown): Acceptable | undefined {
  if (!isObject(value)) return undefined;
  // A copy in which nothing is shared: parts of it change.
  const rest = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
  const leftOut: string[] = [];
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const validated = validateConfig(rest);
    if (validated.type === 'valid') return { config: validated.config, leftOut };
    if (!leaveOut(rest, validated.problems, leftOut)) return undefined;
  }
  return undefined;
}

/** False when nothing can be done. Unknown fields first: without them their owner may be right. */
function leaveOut(rest: Record<string, unknown>, problems: readonly Problem[], leftOut: string[]): boolean {
  const unknown = problems.filter(isUnknownField);
  const elements = new Map<string, Set<number>>();
  for (const problem of unknown.length > 0 ? unknown : problems) {
    const [field = '', second] = pathSteps(problem.path);
    if (field === '' || NEEDED.has(field)) return false;
    const list = rest[field];
    if (isUnknownField(problem)) {
      removeField(rest, pathSteps(problem.path));
      leftOut.push(`${formatProblem(problem)}; the field is left out`);
    } else if (Array.isArray(list) && second !== undefined) {
      const indexes = elements.get(field) ?? new Set();
      elements.set(field, indexes.add(Number(second)));
      leftOut.push(`${formatProblem(problem)}; ${nameOf(list[Number(second)], field)} is left out`);
    } else if (field === 'filters' && isObject(list) && second !== undefined) {
      // One that says nothing and is refused has a name that cannot be; peers that name it are next.
      const isHopeless = list[second] === REJECT_ALL;
      const { [second]: _, ...others } = list;
      rest[field] = isHopeless ? others : { ...others, [second]: REJECT_ALL };
      leftOut.push(
        `${formatProblem(problem)}; filter "${second}" ${isHopeless ? 'is left out' : 'rejects everything'}`,
      );
    } else {
      rest[field] = undefined;
      leftOut.push(`${formatProblem(problem)}; "${field}" is left out`);
    }
  }
  for (const [field, indexes] of elements)
    rest[field] = (rest[field] as readonly unknown[]).filter((_, index) => !indexes.has(index));
  return true;
}

/** Not in a filter: without one of its conditions a rule would let more through. */
const isUnknownField = ({ path, expected }: Problem): boolean =>
  expected.startsWith('a known field') && pathSteps(path)[0] !== 'filters';

function removeField(whole: object, steps: readonly string[]): void {
  let owner: unknown = whole;
  for (const step of steps.slice(0, -1)) owner = (owner as Readonly<Record<string, unknown>> | undefined)?.[step];
  if (typeof owner === 'object' && owner !== null) Reflect.deleteProperty(owner, steps.at(-1) ?? '');
}

/** 'peer "spine1"' */
function nameOf(element: unknown, field: string): string {
  const noun = { peers: 'peer', dynamicPeers: 'range', originate: 'prefix' }[field] ?? `an entry of "${field}"`;
  const { name, address, range, prefix, interface: link } = isObject(element) ? element : {};
  const called = [name, address, range, prefix, link].find((each) => typeof each === 'string');
  return called === undefined ? noun : `${noun} "${called}"`;
}
