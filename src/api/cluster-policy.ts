/**
 * policy.networking.k8s.io: ClusterNetworkPolicy v1alpha2, AdminNetworkPolicy and BaselineAdminNetworkPolicy v1alpha1, all
 * cluster-scoped. Types only; sig-network-policy-api v0.2.0 and v0.1.x.
 */
import type { Condition, KubeObject, LabelSelector } from './meta.js';

/** Exactly one field is set. */
export interface ClusterPolicySubject {
  readonly namespaces?: LabelSelector;
  readonly pods?: NamespacedPods;
}

export interface NamespacedPods {
  /** Optional in v1alpha2 (absent: all namespaces), required in v1alpha1. */
  readonly namespaceSelector?: LabelSelector;
  readonly podSelector: LabelSelector;
}

export interface ClusterPolicyStatus {
  readonly conditions?: readonly Condition[];
}

/** Exactly one field is set. networks, nodes and domainNames are egress only. */
export interface ClusterPolicyPeer {
  readonly namespaces?: LabelSelector;
  readonly pods?: NamespacedPods;
  readonly networks?: readonly string[];
  readonly nodes?: LabelSelector;
  readonly domainNames?: readonly string[];
}

export interface ClusterNetworkPolicy extends KubeObject {
  readonly spec: ClusterNetworkPolicySpec;
  readonly status?: ClusterPolicyStatus;
}

export interface ClusterNetworkPolicySpec {
  readonly tier: 'Admin' | 'Baseline';
  /** 0..1000, the lower wins. */
  readonly priority: number;
  readonly subject: ClusterPolicySubject;
  readonly ingress?: readonly ClusterNetworkPolicyIngressRule[];
  readonly egress?: readonly ClusterNetworkPolicyEgressRule[];
}

interface ClusterNetworkPolicyRule {
  readonly name?: string;
  readonly action: 'Accept' | 'Deny' | 'Pass';
  readonly protocols?: readonly ClusterPolicyProtocol[];
}

export interface ClusterNetworkPolicyIngressRule extends ClusterNetworkPolicyRule {
  readonly from: readonly ClusterPolicyPeer[];
}

export interface ClusterNetworkPolicyEgressRule extends ClusterNetworkPolicyRule {
  readonly to: readonly ClusterPolicyPeer[];
}

/** Exactly one field is set. */
export interface ClusterPolicyProtocol {
  readonly tcp?: { readonly destinationPort?: ClusterPolicyPort };
  readonly udp?: { readonly destinationPort?: ClusterPolicyPort };
  readonly sctp?: { readonly destinationPort?: ClusterPolicyPort };
  readonly destinationNamedPort?: string;
}

/** Exactly one field is set. */
export interface ClusterPolicyPort {
  readonly number?: number;
  readonly range?: { readonly start: number; readonly end: number };
}

export interface AdminNetworkPolicy extends KubeObject {
  readonly spec: AdminNetworkPolicySpec;
  readonly status?: ClusterPolicyStatus;
}

export interface AdminNetworkPolicySpec {
  /** 0..1000, the lower wins. */
  readonly priority: number;
  readonly subject: ClusterPolicySubject;
  readonly ingress?: readonly AdminNetworkPolicyIngressRule[];
  readonly egress?: readonly AdminNetworkPolicyEgressRule[];
}

interface AdminNetworkPolicyRule {
  readonly name?: string;
  /** Pass is for AdminNetworkPolicy only. */
  readonly action: 'Allow' | 'Deny' | 'Pass';
  readonly ports?: readonly AdminPolicyPort[];
}

export interface AdminNetworkPolicyIngressRule extends AdminNetworkPolicyRule {
  readonly from: readonly ClusterPolicyPeer[];
}

export interface AdminNetworkPolicyEgressRule extends AdminNetworkPolicyRule {
  readonly to: readonly ClusterPolicyPeer[];
}

/** Exactly one field is set. */
export interface AdminPolicyPort {
  /** Protocol defaults to TCP. */
  readonly portNumber?: { readonly protocol?: string; readonly port: number };
  readonly portRange?: { readonly protocol?: string; readonly start: number; readonly end: number };
  readonly namedPort?: string;
}

/** A singleton named "default". */
export interface BaselineAdminNetworkPolicy extends KubeObject {
  readonly spec: Omit<AdminNetworkPolicySpec, 'priority'>;
  readonly status?: ClusterPolicyStatus;
}
