/**
 * Files of reachability cases: worlds (nodes, namespaces, pods, externals), steps of actions, and tables of who must reach
 * whom afterwards. The types of the schema "netpol-acceptance/v1"; read-case-file.ts turns JSON into them.
 *
 * Policies stay the JSON they are: they go to the engine as the API would hand them over.
 */
import type { Family } from 'node-bgp/address';
import type { KubeObject } from '@tortie/policy/objects';

export type Protocol = 'TCP' | 'UDP' | 'SCTP';

export type Labels = Readonly<Record<string, string>>;

export interface CaseNode {
  readonly name: string;
  /** At most one per family. */
  readonly ips: readonly string[];
  readonly labels: Labels;
}

export interface CaseNamespace {
  readonly name: string;
  readonly labels: Labels;
}

export interface CasePort {
  readonly name?: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** Declared on an init container that runs on (restartPolicy Always). */
  readonly sidecar?: boolean;
}

export interface CasePod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly ips: readonly string[];
  readonly node: string;
  readonly ports: readonly CasePort[];
  readonly hostNetwork?: boolean;
  readonly phase?: string;
  readonly terminating?: boolean;
}

export interface CaseExternal {
  readonly name: string;
  readonly ips: readonly string[];
}

export interface World {
  readonly nodes: readonly CaseNode[];
  readonly namespaces: readonly CaseNamespace[];
  readonly pods: readonly CasePod[];
  readonly externals: readonly CaseExternal[];
}

export type Action =
  | { readonly op: 'createPolicy' | 'updatePolicy'; readonly object: KubeObject }
  | { readonly op: 'deletePolicy'; readonly kind: string; readonly namespace?: string; readonly name: string }
  | { readonly op: 'createNamespace' | 'setNamespaceLabels'; readonly name: string; readonly labels: Labels }
  | { readonly op: 'deleteNamespace'; readonly name: string }
  | { readonly op: 'createPod'; readonly pod: CasePod }
  | { readonly op: 'setPodLabels'; readonly namespace: string; readonly name: string; readonly labels: Labels }
  | { readonly op: 'setPodPhase'; readonly namespace: string; readonly name: string; readonly phase: string }
  | { readonly op: 'setPodTerminating' | 'deletePod'; readonly namespace: string; readonly name: string };

/** "ns/pod", "node:name" or "ext:name". */
export type EndpointId = string;

/** One connection attempt that must be allowed or must be dropped. Cells left open by the file are not here. */
export interface Cell {
  readonly from: EndpointId;
  readonly to: EndpointId;
  readonly protocol: Protocol;
  readonly port: number;
  readonly family: Family;
  readonly allow: boolean;
}

export interface Step {
  readonly actions: readonly Action[];
  readonly cells: readonly Cell[];
}

export interface Case {
  readonly id: string;
  readonly title: string;
  readonly world: World;
  readonly steps: readonly Step[];
}

/** A case that cannot be run as written; all its problems, each naming the place. */
export interface BrokenCase {
  readonly id: string;
  readonly title: string;
  readonly problems: readonly string[];
}

/** An object that the API must accept or refuse. */
export interface ValidationObject {
  readonly id: string;
  readonly isValid: boolean;
  readonly object: KubeObject;
}

export interface CaseFile {
  readonly cases: readonly (Case | BrokenCase)[];
  readonly validation: readonly ValidationObject[];
}

export const isBroken = (one: Case | BrokenCase): one is BrokenCase => 'problems' in one;

/** The identity of a cell's question, without its answer. */
export const cellKey = (cell: Cell): string => `${cell.from} ${cell.to} ${cell.protocol} ${cell.port} ${cell.family}`;

export const formatCell = (cell: Cell): string =>
  `${cell.from} -> ${cell.to} ${cell.protocol} ${cell.port} IPv${cell.family}`;
