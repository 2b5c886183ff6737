/**
 * What a change opens and closes: the policy engine of before and the one of after asked about every pair that may differ.
 *
 * Pods that no policy can tell apart (namespace, labels, service account, ports) are asked about once and counted.
 */
import {
  isPolicyKind,
  type Decision,
  type Flow,
  type FlowEnd,
  type PodObject,
  type PolicyEngine,
  type Verdict,
} from '@tortie/policy';
import { addressAt, formatAddress, tryParsePrefix } from 'node-bgp/address';
import { POLICY_KINDS, policyEventOf } from '../agent/policy-events.js';
import type { ClusterChange } from '../cluster/cluster.js';
import { formatDecision, policyName } from '../policy/diff.js';
import { engineOf, eventsOf, missingNamespaces, podsOf, type LoadedObject } from '../policy/objects.js';
import { declaredProbes, formatEnd, formatProbe } from '../policy/question.js';
import type { Finding } from './finding.js';
import { shadowFindings } from './shadow-plan.js';
import type { ObjectChange, World } from './world.js';

/** BOUNDED: verdicts asked for in one plan; what is left out is told. */
const MOST_VERDICTS = 100_000;
/** BOUNDED: pairs that are a line each. */
const MOST_LINES = 200;

export function planPolicy(before: World, after: World, changes: readonly ObjectChange[]): readonly Finding[] {
  const relevant = changes.filter(({ kind }) => POLICY_KINDS.has(kind) && kind !== 'nodes');
  if (relevant.length === 0) return [];
  const [was, is] = [loaded(before), loaded(after)];
  const { flows, kin, left } = questions(was, is, relevant);
  // One engine for both: what it takes to build one is most of the work.
  const engine = engineOf(eventsOf(was));
  const known = problemsOf(engine);
  const verdicts = flows.map((flow) => engine.verdict(flow));
  for (const event of eventsOf(missingNamespaces(is))) engine.apply(event);
  for (const { kind, after: object, before: former } of relevant) {
    const event = policyEventOf({
      kind,
      type: object === undefined ? 'delete' : 'upsert',
      object: object ?? former,
    } as ClusterChange);
    if (event !== undefined) engine.apply(event);
  }
  const lines = new Map<string, Line>();
  for (const [index, flow] of flows.entries()) compare(flow, verdicts[index], engine.verdict(flow), lines);
  return [
    ...[...problemsOf(engine)].filter(([key]) => !known.has(key)).map(([, finding]) => finding),
    ...shadowFindings(before, after),
    ...idleFindings(engine, relevant, podsOf(is)),
    ...told([...lines.values()], kin, left),
  ];
}

interface HostPolicySpec {
  readonly preDNAT?: boolean;
  readonly doNotTrack?: boolean;
}

/** Policies of the change that select no pod, after it. Of host endpoints nothing is said. */
function idleFindings(
  engine: PolicyEngine,
  changes: readonly ObjectChange[],
  pods: readonly PodObject[],
): readonly Finding[] {
  const suspects = new Map(
    changes.flatMap(({ kind, after }): readonly [string, Finding][] => {
      const policyKind = POLICY_KINDS.get(kind);
      if (after === undefined || policyKind === undefined || !isPolicyKind(policyKind)) return [];
      const { preDNAT, doNotTrack } = (after as { readonly spec?: HostPolicySpec }).spec ?? {};
      // Those are for host endpoints alone.
      if (preDNAT === true || doNotTrack === true) return [];
      const { namespace = '', name } = after.metadata;
      const object = objectName({ kind: policyKind, namespace, name });
      return [[object, { harm: 'change', area: 'policy', object, message: 'selects no pod' }]];
    }),
  );
  for (const { end } of kinOf(pods)) {
    if (suspects.size === 0) break;
    for (const family of [4, 6] as const) {
      const address = family === 4 ? '198.51.100.1' : '2001:db8:ffff::1';
      const outside: FlowEnd = { type: 'address', address };
      const probe = { family, protocol: 'TCP', port: 443 } as const;
      const { ingress } = engine.explain({ from: outside, to: end, ...probe });
      const { egress } = engine.explain({ from: end, to: outside, ...probe });
      for (const { policy, outcome } of [...ingress, ...egress])
        if (outcome !== 'does not select the pod') suspects.delete(objectName(policy));
    }
  }
  return [...suspects.values()];
}

function loaded(world: World): readonly LoadedObject[] {
  const objects = [...world].flatMap(([name, all]): readonly LoadedObject[] => {
    const kind = POLICY_KINDS.get(name);
    return kind === undefined ? [] : [...all.values()].map((object) => ({ kind, object }));
  });
  return [...missingNamespaces(objects), ...objects];
}

/** "NetworkPolicy/shop/web". */
const objectName = (policy: Parameters<typeof policyName>[0]): string => policyName(policy).replace(' ', '/');

/** What policies ask for that the engine does not take. */
const problemsOf = (engine: PolicyEngine): ReadonlyMap<string, Finding> =>
  new Map(
    engine.problems().flatMap((each) =>
      each.problems.map(({ message }): [string, Finding] => {
        const object = objectName(each);
        return [`${object}\n${message}`, { harm: 'refused', area: 'policy', object, message }];
      }),
    ),
  );

// ---- pairs

/** Pods that are alike to every policy: one of them, and how many there are. */
interface Kin {
  readonly end: FlowEnd;
  readonly pod: PodObject;
  readonly count: number;
}

interface Questions {
  readonly flows: readonly Flow[];
  readonly kin: readonly Kin[];
  /** Kinds of pods that there was no room for, and all that the change may concern. */
  readonly left: number;
}

function questions(
  was: readonly LoadedObject[],
  is: readonly LoadedObject[],
  changes: readonly ObjectChange[],
): Questions {
  // A pod that comes or goes with the change has nobody who would miss a pair.
  const stays = new Set(podsOf(was).map(nameOf));
  const kin = kinOf(podsOf(is).filter((pod) => stays.has(nameOf(pod))));
  const outside = outsideEnds(changes);
  const isConcerned = concern(changes);
  const flows: Flow[] = [];
  let left = 0;
  for (const one of kin.filter(({ end }) => isConcerned(end)))
    if (flows.length >= MOST_VERDICTS) left++;
    else for (const flow of flowsOf(one, kin, outside)) flows.push(flow);
  return { flows, kin, left };
}

function told(lines: readonly Line[], kin: readonly Kin[], left: number): readonly Finding[] {
  const closedFirst = [...lines].sort((a, b) => Number(a.isAllowed) - Number(b.isAllowed));
  const beyond = lines.length - MOST_LINES;
  return [
    ...closedFirst.slice(0, MOST_LINES).map((line) => findingOf(line, kin)),
    ...(beyond > 0 ? [more(`${beyond} more lines of this kind: tortie policy diff shows all`)] : []),
    ...(left === 0
      ? []
      : [more(`${left} more kinds of pods were not asked about: tortie policy diff -n NAMESPACE does`)]),
  ];
}

const nameOf = ({ metadata }: PodObject): string => `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;

function kinOf(pods: readonly PodObject[]): readonly Kin[] {
  const kin = new Map<string, Kin>();
  for (const pod of pods) {
    const { metadata, spec, status } = pod;
    if (status?.phase === 'Succeeded' || status?.phase === 'Failed' || spec?.hostNetwork === true) continue;
    const ports = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].map(({ ports }) => ports ?? []);
    const families = (status?.podIPs ?? []).map(({ ip = '' }) => (ip.includes(':') ? 6 : 4));
    const labels = Object.entries(metadata?.labels ?? {}).sort();
    const key = JSON.stringify([metadata?.namespace, labels, spec?.serviceAccountName, ports, families]);
    const known = kin.get(key);
    const end: FlowEnd = { type: 'pod', namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' };
    kin.set(key, known === undefined ? { end, pod, count: 1 } : { ...known, count: known.count + 1 });
  }
  return [...kin.values()];
}

/** Somebody outside: one whom no policy means, and one of every range that the changed objects name. */
function outsideEnds(changes: readonly ObjectChange[]): readonly FlowEnd[] {
  const ranges = new Set(['198.51.100.1/32', '2001:db8:ffff::1/128']);
  const walk = (value: unknown): void => {
    if (typeof value === 'string' && /^[0-9a-f.:]+\/\d+$/i.test(value)) ranges.add(value);
    else if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) walk(inner);
  };
  for (const { kind, before, after } of changes)
    if (kind !== 'pods') for (const object of [before, after]) walk((object as { spec?: unknown } | undefined)?.spec);
  return [...ranges].slice(0, MOST_OUTSIDE).flatMap((text): readonly FlowEnd[] => {
    const range = tryParsePrefix(text);
    if (range === undefined) return [];
    const isOne = range.length === (range.family === 4 ? 32 : 128);
    return [{ type: 'address', address: formatAddress(isOne ? range : addressAt(range, 1n)) }];
  });
}

/** BOUNDED: a policy may name thousands of ranges. */
const MOST_OUTSIDE = 20;

/** Whose verdicts the change may touch: a namespaced policy those of its namespace, everything else all. */
function concern(changes: readonly ObjectChange[]): (end: FlowEnd) => boolean {
  const namespaces = new Set<string>();
  for (const { kind, before, after } of changes) {
    const namespace = (after ?? before)?.metadata.namespace;
    if (!['networkPolicies', 'calicoNetworkPolicies'].includes(kind) || namespace === undefined) return () => true;
    namespaces.add(namespace);
  }
  return (end) => end.type === 'pod' && namespaces.has(end.namespace);
}

/** To this one from everybody, on the ports that it serves, and from it to everybody, on theirs; of both families. */
function* flowsOf(one: Kin, kin: readonly Kin[], outside: readonly FlowEnd[]): Generator<Flow> {
  for (const family of [4, 6] as const) {
    const ofFamily = outside.filter((end) => end.type === 'address' && end.address.includes(':') === (family === 6));
    for (const probe of declaredProbes(one.pod))
      for (const from of [...kin.map(({ end }) => end), ...ofFamily]) yield { from, to: one.end, family, ...probe };
    for (const other of kin)
      if (other !== one)
        for (const probe of declaredProbes(other.pod)) yield { from: one.end, to: other.end, family, ...probe };
    for (const to of ofFamily) yield { from: one.end, to, family, protocol: 'TCP', port: 443 };
  }
}

interface Line {
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  readonly probe: string;
  readonly isAllowed: boolean;
  readonly families: Set<number>;
  readonly decision: Decision;
}

function compare(flow: Flow, before: Verdict | undefined, after: Verdict, lines: Map<string, Line>): void {
  if (before === undefined || before.allowed === after.allowed || isNoFlow(before) || isNoFlow(after)) return;
  const probe = formatProbe(flow);
  const key = `${formatEnd(flow.from)} ${formatEnd(flow.to)} ${probe} ${String(after.allowed)}`;
  const known = lines.get(key);
  if (known !== undefined) return void known.families.add(flow.family);
  // What denies now; what denied before.
  const [closed] = [after, before].flatMap(({ egress, ingress }) =>
    [egress, ingress].filter(({ allowed }) => !allowed),
  );
  if (closed === undefined) return;
  lines.set(key, {
    from: flow.from,
    to: flow.to,
    probe,
    isAllowed: after.allowed,
    families: new Set([flow.family]),
    decision: closed.decision,
  });
}

/** One of the ends has no address of the family. */
const isNoFlow = ({ egress, ingress }: Verdict): boolean =>
  [egress, ingress].some(({ decision }) => decision.type === 'unknown');

function findingOf({ from, to, probe, isAllowed, families, decision }: Line, kin: readonly Kin[]): Finding {
  const numbers = [from, to].map((end) => kin.find((one) => one.end === end)?.count ?? 1);
  const alike = numbers.some((count) => count > 1) ? ` (${numbers.join(' x ')} pods alike)` : '';
  const words = isAllowed ? 'becomes allowed' : 'becomes denied';
  const on = families.size === 2 ? '' : ` IPv${[...families].join('')}`;
  return {
    harm: isAllowed ? 'change' : 'loss',
    area: 'policy',
    object: objectOf(decision),
    message: `${formatEnd(from)} -> ${formatEnd(to)} ${probe}${on} ${words}${alike}`,
    evidence: `${isAllowed ? 'so far ' : ''}${formatDecision(decision)}`,
  };
}

function objectOf(decision: Decision): string {
  if (decision.type === 'rule') return objectName(decision.policy);
  if (decision.type === 'tier-default') {
    const [policy] = decision.policies;
    return policy === undefined ? `Tier/${decision.tier}` : objectName(policy);
  }
  return 'NetworkPolicy';
}

const more = (message: string): Finding => ({ harm: 'change', area: 'policy', object: 'NetworkPolicy', message });
