/** What `tortie agent` is started with, and the kinds of object that it lists and watches. */
import type { DenyReports, EngineOptions } from '@tortie/policy';
import type { KindName } from '../api/kinds.js';
import type { Datastore } from '../datastore/datastore.js';
import type { Logger } from '../log.js';
import type { OutgoingSettings } from '../nat/nat-rules.js';
import type { DrainSettings } from './drain-loop.js';
import type { NodeKernel } from './kernel.js';
import { BGP_KINDS } from './node-topology.js';
import type { FlowKernel, FlowSettings } from './flow-loop.js';
import type { PodLimits } from './pod-limits.js';
import { POLICY_KINDS } from './policy-events.js';
import type { ServiceKernel, ServiceSettings } from './services/service-proxy.js';

/** What an operator sets about policy; the engine's defaults stand for the rest. */
export type PolicySettings = Pick<EngineOptions, 'podToHost' | 'failsafeInbound' | 'failsafeOutbound'> & PodLimits;

/** Where pods' addresses come from. */
export interface AddressSettings {
  /** The node's own spec.podCIDRs, for pods that ask for no pool. */
  readonly usesNodeCidrs: boolean;
  /** The annotation ipAddrsNoIpam is followed. */
  readonly mayBypassIpam: boolean;
}

export interface AgentOptions {
  readonly node: string;
  readonly version: string;
  readonly datastore: Datastore;
  readonly kernel: NodeKernel;
  readonly runDir: string;
  readonly stateDir: string;
  /** Namespace of the secrets that hold BGP passwords. */
  readonly namespace: string;
  /** Of pods' interfaces, in octets; default: what the uplinks carry. */
  readonly mtu?: number;
  readonly addresses?: AddressSettings;
  readonly policy?: PolicySettings;
  /** How this node is taken out of service; default: DRAIN_DEFAULTS. */
  readonly drain?: DrainSettings;
  /** Without it nobody here looks at Services. */
  readonly services?: { readonly settings: ServiceSettings; readonly kernel: ServiceKernel };
  /** Without it nobody here records flows. */
  readonly flows?: { readonly settings: FlowSettings; readonly kernel: FlowKernel; readonly reports: DenyReports };
  /** How natOutgoing translates. */
  readonly outgoing?: OutgoingSettings;
  readonly log: Logger;
}

/** Every kind the agent lists and watches; manifests/base/rbac.yaml grants them. */
export const AGENT_KINDS: readonly KindName[] = [
  ...new Set<KindName>([
    ...POLICY_KINDS.keys(),
    ...BGP_KINDS,
    'ipamBlocks',
    'ipReservations',
    'ipamConfigurations',
    'changes',
  ]),
];
/** Those it watches when something on this node reads them. */
export const LATER_KINDS: readonly KindName[] = ['services'];
