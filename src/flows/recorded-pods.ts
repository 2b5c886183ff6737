/**
 * Recorded ends as the policy engine asks for them: the pod that still is, or one made up of what was recorded of it, namespace and labels.
 * Pure.
 */
import { formatAddress, parsePrefix, addressAt } from 'node-bgp/address';
import type { FlowEnd as PolicyEnd, PodObject, PolicyEvent } from '@tortie/policy';
import { endText, type FlowEnd, type LabelSet } from './flow.js';

/** For benchmarks and made-up things (RFC 2544, RFC 4193): no pod of a cluster has them. */
const MADE_UP = [parsePrefix('198.18.0.0/15'), parsePrefix('fd74:6f72:7469::/64')] as const;
const MOST_MADE_UP = 131_070;

export class RecordedPods {
  private readonly live: ReadonlySet<string>;
  /** By namespace, workload and labels: their name. BOUNDED by MADE_UP. */
  private readonly madeUp = new Map<string, string>();
  private readonly made: PolicyEvent[] = [];

  /** @param pods that are there now; @param labels that flows name, by id */
  constructor(
    pods: readonly PodObject[],
    private readonly labels: ReadonlyMap<string, LabelSet['labels']>,
  ) {
    this.live = new Set(pods.map(({ metadata }) => `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`));
  }

  /** Pods to tell an engine of before it judges. */
  get events(): readonly PolicyEvent[] {
    return this.made;
  }

  /** Undefined: too little was recorded to judge by. */
  endOf(end: FlowEnd, node: string): PolicyEnd | undefined {
    const { type, namespace = '', name = '', address } = end;
    if (type === 'outside') return address === undefined ? undefined : { type: 'address', address };
    if (type === 'node') return { type: 'node', name };
    if (this.live.has(`${namespace}/${name}`)) return { type: 'pod', namespace, name };
    const labels = end.labels === undefined ? undefined : this.labels.get(end.labels);
    if (labels === undefined) return undefined;
    const key = `${endText(end)} ${end.labels ?? ''}`;
    const known = this.madeUp.get(key) ?? this.makeUp(key, namespace, name, labels, node);
    return known === undefined ? undefined : { type: 'pod', namespace, name: known };
  }

  private makeUp(
    key: string,
    namespace: string,
    name: string,
    labels: LabelSet['labels'],
    node: string,
  ): string | undefined {
    const number = this.madeUp.size + 1;
    if (number > MOST_MADE_UP) return undefined;
    const given = `recorded-${number}-${name}`.slice(0, 253);
    this.madeUp.set(key, given);
    const podIPs = MADE_UP.map((prefix) => ({ ip: formatAddress(addressAt(prefix, number)) }));
    this.made.push({
      type: 'upsert',
      kind: 'Pod',
      object: {
        metadata: { namespace, name: given, labels },
        spec: { nodeName: node },
        status: { podIPs },
      } as PodObject,
    });
    return given;
  }
}
