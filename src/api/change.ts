/**
 * tortie.dev/v1alpha1 Change: objects that nodes take on trial, together, before they are anybody's plain objects (src/change).
 * Cluster-scoped. Types only.
 */
import type { KubeObject } from './meta.js';

export interface Change extends KubeObject {
  readonly spec: ChangeSpec;
  readonly status?: ChangeStatus;
}

export interface ChangeSpec {
  /** A node goes back by itself when nobody has confirmed so long after it took the Change. */
  readonly confirmSeconds: number;
  /** These nodes first, all at once. */
  readonly canary?: readonly string[];
  /** Then so many at a time, by name; default: all that are left. */
  readonly stepSize?: number;
  /** Sessions that a node must have Established; default: as many as it had. */
  readonly minSessions?: number;
  /** "namespace/pod:port": a TCP connection from each node that could make it before. */
  readonly probes?: readonly string[];
  /** One at least. */
  readonly objects?: readonly ChangeEntry[];
}

/** What becomes of one object. Exactly one of `object`, `labels` with `removedLabels`, and `remove`. */
export interface ChangeEntry {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  /** The whole object as it will stand, without status. */
  readonly object?: Readonly<Record<string, unknown>>;
  /** What was applied to make it stand so; confirming applies it again. */
  readonly given?: Readonly<Record<string, unknown>>;
  /** Of a Node or a Namespace, of which a Change carries nothing else: labels that are set... */
  readonly labels?: Readonly<Record<string, string>>;
  /** ...and labels that go. */
  readonly removedLabels?: readonly string[];
  /** The object goes. */
  readonly remove?: boolean;
}

/**
 *   Waiting     for another Change to end
 *   Trial       nodes take it, step by step; each may end it
 *   Reverting   nodes go back
 *   Reverted    all stand as before
 *   Confirming  its objects are being written as plain ones; nodes see it whole meanwhile
 *   Confirmed   its objects are plain ones
 */
export type ChangePhase = 'Waiting' | 'Trial' | 'Reverting' | 'Reverted' | 'Confirming' | 'Confirmed';

export interface ChangeStatus {
  readonly phase?: ChangePhase;
  /** A sentence: what it waits for, why it went back. */
  readonly message?: string;
  /** metadata.generation of the spec that is on trial. */
  readonly observedGeneration?: number;
  /** RFC 3339: when the present phase began. */
  readonly since?: string;
  /** The step whose nodes, and those of steps before it, take it; from 0. */
  readonly step?: number;
  /** How many steps there are. */
  readonly steps?: number;
  /** Nodes that are well with it, and all: "3/40". */
  readonly well?: string;
  /** Every node there was when the trial began. */
  readonly nodes?: readonly ChangeNodeStatus[];
}

/** Absent: no agent of it has been heard of; its node is not waited for. */
export type ChangeNodeState = 'Pending' | 'Taken' | 'Well' | 'Reverted' | 'Absent';

export interface ChangeNodeStatus {
  readonly name: string;
  readonly step: number;
  readonly state: ChangeNodeState;
  readonly message?: string;
}

/** In the NodeStatus of a node that has to do with a Change. */
export interface NodeChangeStatus {
  readonly name: string;
  readonly uid: string;
  readonly state: 'Taken' | 'Well' | 'Reverted';
  readonly message?: string;
}
