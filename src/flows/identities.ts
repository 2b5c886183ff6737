/**
 * Who an address is: the workload with its owner and labels, looked up once until something of the cluster changes. Pure.
 */
import { createHash } from 'node:crypto';
import type { AddressHolder, FlowEnd as PolicyEnd } from '@tortie/policy';
import type { OwnerReference } from '../api/meta.js';
import type { FlowEnd, LabelSet } from './flow.js';

export interface PodFacts {
  readonly labels?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface Identity {
  /** One for all replicas of a workload; an address outside has its own. */
  readonly key: string;
  readonly end: FlowEnd;
  /** A pod of this node. */
  readonly isLocal: boolean;
  /** As the policy engine asks for it. */
  readonly policyEnd: PolicyEnd;
}

export interface IdentitySource {
  holderOf(address: string): AddressHolder | undefined;
  podFacts(namespace: string, name: string): PodFacts | undefined;
}

/** BOUNDED: begun anew when full. */
const MOST_ADDRESSES = 16_384;

export class Identities {
  private known = new Map<string, Identity>();
  /** By labels as text. BOUNDED: begun anew when full. */
  private labelSets = new Map<string, LabelSet>();

  constructor(private readonly source: IdentitySource) {}

  /** Something of pods, nodes or endpoints is another. */
  changed(): void {
    if (this.known.size > 0) this.known = new Map();
  }

  of(address: string): Identity {
    const known = this.known.get(address);
    if (known !== undefined) return known;
    if (this.known.size >= MOST_ADDRESSES) this.known = new Map();
    const identity = this.lookUp(address);
    this.known.set(address, identity);
    return identity;
  }

  /** Of a set of labels that an identity named. */
  labels(id: string): LabelSet | undefined {
    for (const set of this.labelSets.values()) if (set.id === id) return set;
    return undefined;
  }

  allLabels(): Iterable<LabelSet> {
    return this.labelSets.values();
  }

  private lookUp(address: string): Identity {
    const holder = this.source.holderOf(address);
    if (holder === undefined)
      return {
        key: address,
        end: { type: 'outside', address },
        isLocal: false,
        policyEnd: { type: 'address', address },
      };
    if (holder.type === 'node')
      return {
        key: `node ${holder.name} ${address}`,
        end: { type: 'node', name: holder.name, address },
        isLocal: false,
        policyEnd: { type: 'address', address },
      };
    const { namespace, name, isLocal } = holder;
    const facts = this.source.podFacts(namespace, name);
    const owner = ownerOf(facts ?? {});
    const labels = this.labelSet(facts?.labels ?? {});
    return {
      key: owner === undefined ? `${namespace}/${name}` : `${namespace}/${owner.kind}/${owner.name} ${labels.id}`,
      end: { type: 'pod', namespace, name, labels: labels.id, ...(owner === undefined ? {} : { owner }) },
      isLocal,
      policyEnd: { type: 'pod', namespace, name },
    };
  }

  private labelSet(labels: Readonly<Record<string, string>>): LabelSet {
    const kept = Object.entries(labels)
      .filter(([key]) => !OF_ONE_REPLICA.has(key))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const text = JSON.stringify(kept);
    const known = this.labelSets.get(text);
    if (known !== undefined) return known;
    if (this.labelSets.size >= MOST_ADDRESSES) this.labelSets = new Map();
    const id = createHash('sha256').update(text).digest('base64url').slice(0, 12);
    const set: LabelSet = { id, labels: Object.fromEntries(kept) };
    this.labelSets.set(text, set);
    return set;
  }
}

/** Labels by which replicas of one workload differ. */
const OF_ONE_REPLICA = new Set([
  'pod-template-hash',
  'controller-revision-hash',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
  'batch.kubernetes.io/controller-uid',
  'controller-uid',
  'batch.kubernetes.io/job-completion-index',
]);

/** The pod's controller; of a Deployment's ReplicaSet the Deployment, by the hash in its name. */
export function ownerOf({ ownerReferences = [], labels = {} }: PodFacts): FlowEnd['owner'] {
  const controller = ownerReferences.find((owner) => owner.controller === true);
  if (controller === undefined) return undefined;
  const { kind, name } = controller;
  const suffix = `-${labels['pod-template-hash'] ?? ''}`;
  if (kind === 'ReplicaSet' && suffix !== '-' && name.endsWith(suffix))
    return { kind: 'Deployment', name: name.slice(0, -suffix.length) };
  return { kind, name };
}
