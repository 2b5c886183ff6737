/** networking.k8s.io/v1 NetworkPolicy. Types only; the meaning is in @tortie/policy. */
import type { TransportProtocol } from './core.js';
import type { IntOrString, KubeObject, LabelSelector } from './meta.js';

export interface NetworkPolicy extends KubeObject {
  readonly spec?: NetworkPolicySpec;
}

export interface NetworkPolicySpec {
  /** Missing, null or empty: all pods of the namespace. */
  readonly podSelector?: LabelSelector;
  readonly policyTypes?: readonly ('Ingress' | 'Egress')[];
  readonly ingress?: readonly NetworkPolicyIngressRule[];
  readonly egress?: readonly NetworkPolicyEgressRule[];
}

export interface NetworkPolicyIngressRule {
  /** Absent or empty: from everywhere. */
  readonly from?: readonly NetworkPolicyPeer[];
  /** Absent or empty: every port of every protocol. */
  readonly ports?: readonly NetworkPolicyPort[];
}

export interface NetworkPolicyEgressRule {
  readonly to?: readonly NetworkPolicyPeer[];
  readonly ports?: readonly NetworkPolicyPort[];
}

export interface NetworkPolicyPeer {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

export interface NetworkPolicyPort {
  /** Default TCP. */
  readonly protocol?: TransportProtocol;
  readonly port?: IntOrString;
  /** Inclusive; needs a numeric `port`. */
  readonly endPort?: number;
}
