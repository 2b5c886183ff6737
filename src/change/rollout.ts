/**
 * How Changes go on in the cluster: which one is on trial, which step its nodes have come to, and when it is over. Pure; written by one
 * elected agent (rollout-loop.ts). Nodes go back by themselves, and say so; confirming is a person's.
 */
import type { Change, ChangeNodeState, ChangeNodeStatus, ChangeStatus, NodeChangeStatus } from '../api/change.js';
import { entryProblem } from './overlay.js';
import { parseProbe } from './probe.js';

/** What is known of a node. */
export interface NodeWord {
  readonly name: string;
  /** Has its agent been heard of lately? */
  readonly isHeard: boolean;
  readonly change: NodeChangeStatus | undefined;
}

/** A node that does not say that it is back is not waited for longer than this. */
const BACK_WITHIN = 60_000;
/** A node that has taken it says so within this time. */
const WORD_WITHIN = 3_000;
/** A node's own time ends first; this ends a trial that no node has taken. */
const SLACK = 10_000;

/** RFC 3339. */
export const now = (at = Date.now()): string => new Date(at).toISOString().replace(/\.\d+Z/, 'Z');

const isOver = ({ status }: Change): boolean => status?.phase === 'Reverted' || status?.phase === 'Confirmed';
const age = ({ metadata: { creationTimestamp = '', name } }: Change): string => `${creationTimestamp} ${name}`;

/** The statuses that are to be written: of those alone that change. @param at milliseconds since 1970 */
export function rolloutOf(
  changes: readonly Change[],
  nodes: readonly NodeWord[],
  at: number,
): readonly { readonly change: Change; readonly status: ChangeStatus }[] {
  const open = changes.filter((change) => !isOver(change)).sort((a, b) => (age(a) < age(b) ? -1 : 1));
  // One that has begun goes on, whatever its name.
  const current = open.find(({ status }) => status?.phase !== undefined && status.phase !== 'Waiting') ?? open[0];
  return open.flatMap((change) => {
    const status = change === current ? next(change, nodes, at) : waiting(change, current, at);
    const before = change.status ?? {};
    return JSON.stringify(ordered(before)) === JSON.stringify(ordered(status)) ? [] : [{ change, status }];
  });
}

const ordered = (status: ChangeStatus): unknown => Object.entries(status).sort(([a], [b]) => (a < b ? -1 : 1));

function waiting({ status }: Change, current: Change | undefined, at: number): ChangeStatus {
  return {
    phase: 'Waiting',
    message: `waits for Change/${current?.metadata.name ?? ''} to end`,
    since: status?.phase === 'Waiting' ? (status.since ?? now(at)) : now(at),
  };
}

function next(change: Change, nodes: readonly NodeWord[], at: number): ChangeStatus {
  const phase = change.status?.phase;
  if (phase === undefined || phase === 'Waiting') return begun(change, nodes, at);
  if (phase === 'Trial') return onTrial(change, nodes, at);
  if (phase === 'Reverting') return goingBack(change, nodes, at);
  return change.status ?? {};
}

// ---- the beginning

function begun({ spec, metadata }: Change, nodes: readonly NodeWord[], at: number): ChangeStatus {
  const generation = metadata.generation === undefined ? {} : { observedGeneration: metadata.generation };
  const since = now(at);
  const refused = refusalOf(spec, nodes);
  if (refused !== undefined)
    return { phase: 'Reverted', message: `nothing was changed: ${refused}`, since, ...generation };
  const steps = stepsOf(spec, nodes.map(({ name }) => name).sort());
  const listed = steps.flatMap((names, step) =>
    names.map((name): ChangeNodeStatus => {
      const isHeard = nodes.find((node) => node.name === name)?.isHeard === true;
      return { name, step, state: isHeard ? 'Pending' : 'Absent' };
    }),
  );
  return {
    phase: 'Trial',
    message: stepText(listed, 0, steps.length),
    since,
    ...generation,
    step: 0,
    steps: steps.length,
    well: wellText(listed),
    nodes: listed,
  };
}

function refusalOf(
  { canary = [], probes = [], objects = [] }: Change['spec'],
  nodes: readonly NodeWord[],
): string | undefined {
  if (nodes.length === 0) return 'there is no node';
  const stranger = canary.find((name) => !nodes.some((node) => node.name === name));
  if (stranger !== undefined) return `spec.canary names node "${stranger}", which is not there`;
  if (objects.length === 0) return 'spec.objects is empty; expected one object at least';
  for (const [index, probe] of probes.entries())
    if (parseProbe(probe) === undefined) return `spec.probes[${index}] is "${probe}"; expected namespace/pod:port`;
  for (const [index, entry] of objects.entries()) {
    const problem = entryProblem(entry);
    if (problem !== undefined) return `spec.objects[${index}] ${problem}`;
  }
  return undefined;
}

/** Names of nodes, step by step. */
export function stepsOf(
  { canary = [], stepSize }: Change['spec'],
  names: readonly string[],
): readonly (readonly string[])[] {
  const rest = names.filter((name) => !canary.includes(name));
  const size = stepSize ?? Math.max(rest.length, 1);
  const steps: (readonly string[])[] = canary.length === 0 ? [] : [[...new Set(canary)]];
  for (let first = 0; first < rest.length; first += size) steps.push(rest.slice(first, first + size));
  return steps;
}

// ---- on trial

function onTrial(change: Change, words: readonly NodeWord[], at: number): ChangeStatus {
  const { status = {}, metadata, spec } = change;
  const end = (message: string): ChangeStatus => ({ ...status, phase: 'Reverting', message, since: now(at) });
  if (metadata.generation !== status.observedGeneration) return end('its spec was changed while it was on trial');
  const begunAt = Date.parse(status.since ?? '');
  if (at - begunAt >= spec.confirmSeconds * 1000 + SLACK)
    return end(`nobody confirmed it within ${spec.confirmSeconds} s`);
  const { step = 0, steps = 1 } = status;
  const nodes = (status.nodes ?? []).map((node) => heard(node, change, words));
  const isDone = (each: ChangeNodeStatus): boolean =>
    each.step > step || each.state === 'Well' || each.state === 'Absent';
  const back = nodes.find(({ state }) => state === 'Reverted');
  if (back !== undefined) return { ...end(`node ${back.name}: ${back.message ?? 'went back'}`), nodes };
  const following = nodes.every(isDone) && step + 1 < steps ? step + 1 : step;
  return { ...status, step: following, nodes, well: wellText(nodes), message: stepText(nodes, following, steps) };
}

/** A node's entry by its own latest word. */
function heard(node: ChangeNodeStatus, { metadata }: Change, words: readonly NodeWord[]): ChangeNodeStatus {
  const word = words.find(({ name }) => name === node.name);
  const { name, step } = node;
  if (word === undefined) return { name, step, state: 'Absent', message: 'the node was deleted' };
  if (word.change === undefined || word.change.uid !== metadata.uid)
    return node.state === 'Pending' || node.state === 'Absent'
      ? { name, step, state: word.isHeard ? 'Pending' : 'Absent' }
      : node;
  const { state, message } = word.change;
  return { name, step, state, ...(message === undefined ? {} : { message }) };
}

const wellText = (nodes: readonly ChangeNodeStatus[]): string =>
  `${nodes.filter(({ state }) => state === 'Well').length}/${nodes.length}`;

const LISTED = 5;

function stepText(nodes: readonly ChangeNodeStatus[], step: number, steps: number): string {
  const waited = nodes.filter((each) => each.step <= step && each.state !== 'Well' && each.state !== 'Absent');
  const names = waited.slice(0, LISTED).map(({ name }) => name);
  const more = waited.length - names.length;
  if (waited.length === 0 && step + 1 >= steps) return 'all nodes are well with it; it waits to be confirmed';
  return `step ${step + 1} of ${steps}: waits for ${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

// ---- the way back

function goingBack(change: Change, words: readonly NodeWord[], at: number): ChangeStatus {
  const { status = {} } = change;
  const nodes = (status.nodes ?? []).map((node) => heard(node, change, words));
  const hasIt = (state: ChangeNodeState): boolean => state === 'Taken' || state === 'Well';
  const left = nodes.filter(({ state }) => hasIt(state)).map(({ name }) => name);
  // Who has taken it just now may not have said so.
  const mayHaveIt = nodes.some(({ state, step }) => state === 'Pending' && step <= (status.step ?? 0));
  const isEarly = mayHaveIt && at - Date.parse(status.since ?? '') < WORD_WITHIN;
  const isLate = at - Date.parse(status.since ?? '') >= BACK_WITHIN;
  const counted = { ...status, nodes, well: wellText(nodes) };
  if (isEarly || (left.length > 0 && !isLate)) return counted;
  const silent =
    left.length === 0 ? '' : `; not heard of: ${left.slice(0, LISTED).join(', ')}, which go back by themselves`;
  return { ...counted, phase: 'Reverted', since: now(at), message: `${status.message ?? ''}${silent}` };
}
