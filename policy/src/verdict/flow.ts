/**
 * A connection attempt and the answer to it: the question and answer types of the verdict oracle.
 *
 * Addresses are real: after Service DNAT, before any SNAT. A verdict is for the first packet; replies and related ICMP
 * errors follow the connection and are never judged.
 */
import type { Family } from 'node-bgp/address';
import type { PolicyKey } from '../model/policy.js';

export type FlowProtocol = 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'ICMPv6' | number;

export type FlowEnd =
  /** A hostNetwork pod counts as its node. */
  | { readonly type: 'pod'; readonly namespace: string; readonly name: string }
  /** A process in the node's own network namespace. */
  | { readonly type: 'node'; readonly name: string }
  /** Whoever has this address: a pod, a node, or somebody outside. */
  | { readonly type: 'address'; readonly address: string };

export interface Flow {
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  readonly family: Family;
  readonly protocol: FlowProtocol;
  /** Destination port; ignored for protocols without ports. */
  readonly port: number;
  readonly sourcePort?: number;
  readonly icmp?: { readonly type: number; readonly code: number };
}

/** Identity of a policy object. */
export type PolicyRef = PolicyKey;

/** What settled one direction. */
export type Decision =
  | {
      readonly type: 'rule';
      readonly tier: string;
      readonly policy: PolicyRef;
      readonly rule: number;
      readonly action: 'allow' | 'deny';
    }
  /** Policies of the tier select the pod, none of their rules matched, and the tier denies then. */
  | { readonly type: 'tier-default'; readonly tier: string; readonly policies: readonly PolicyRef[] }
  /** No policy isolates this pod in this direction, or all of them passed. */
  | { readonly type: 'default-allow' }
  /** No policy decides, and the host endpoint has no profile that allows then. */
  | { readonly type: 'host-default'; readonly host: string }
  /** Outside policy: not a pod, the pod's own node, the pod itself. */
  | { readonly type: 'exempt'; readonly why: string }
  /** Outside policy too: dropped whatever it says. */
  | { readonly type: 'closed'; readonly why: string }
  /** Labels of the pod or its namespace are not known yet, or the end has no address of this family: nothing passes. */
  | { readonly type: 'unknown'; readonly why: string };

export interface DirectionVerdict {
  readonly direction: 'egress' | 'ingress';
  readonly allowed: boolean;
  readonly decision: Decision;
}

/** What a staged policy would have done, had it been in force. */
export interface StagedAnswer {
  readonly tier: string;
  readonly policy: PolicyRef;
  /** Undefined: none of its rules matched. */
  readonly rule?: number;
  readonly action: 'allow' | 'deny' | 'pass' | 'none';
}

/** One direction's verdict, and what the staged policies said that were asked before it was settled. */
export interface EndVerdict extends DirectionVerdict {
  readonly staged: readonly StagedAnswer[];
}

export interface Verdict {
  readonly allowed: boolean;
  /** Judged at the sender. */
  readonly egress: DirectionVerdict;
  /** Judged at the receiver. */
  readonly ingress: DirectionVerdict;
}

/** Why one rule did not decide, or that it did. */
export interface RuleTrace {
  readonly rule: number;
  readonly outcome:
    | 'matched'
    | 'peer does not match'
    | 'port or protocol does not match'
    | 'other condition does not match';
  readonly action: 'allow' | 'deny' | 'pass' | 'log';
}

export interface PolicyTrace {
  readonly tier: string;
  readonly policy: PolicyRef;
  readonly outcome:
    | 'decided'
    | 'passed'
    | 'no rule matched'
    | 'does not select the pod'
    | 'not for this direction'
    | 'not reached'
    | 'staged';
  readonly rules: readonly RuleTrace[];
}

/**
 * A verdict with every policy that was or might have been asked: first those that apply, in order, then the others of
 * the pod's namespace or of all.
 */
export interface Explanation {
  readonly verdict: Verdict;
  readonly egress: readonly PolicyTrace[];
  readonly ingress: readonly PolicyTrace[];
}
