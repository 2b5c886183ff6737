/** All CustomResourceDefinitions that Tortie installs; manifests/crds holds the same as YAML (write-manifests.ts). */
import { bgpKinds } from './bgp-kinds.js';
import { calicoPolicyKinds } from './calico-policy-kinds.js';
import { changeKind } from './change-kind.js';
import { clusterPolicyKinds } from './cluster-policy-kinds.js';
import { ipamKinds } from './ipam-kinds.js';

export interface CustomResourceDefinition extends Readonly<Record<string, unknown>> {
  readonly metadata: { readonly name: string };
}

export const customResourceDefinitions = [
  ...ipamKinds,
  ...bgpKinds,
  ...calicoPolicyKinds,
  ...clusterPolicyKinds,
  changeKind,
] as unknown as readonly CustomResourceDefinition[];
