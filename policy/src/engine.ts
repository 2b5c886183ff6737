import type { RulesetDelta, Ruleset } from './ruleset.js';
import type { PolicyEvent, ObjectKind } from './objects.js';
import type { Problem } from './problem.js';
import type { Explanation, Flow, Verdict } from './verdict/flow.js';

export interface EngineOptions {
  /** Interface name prefix of pods. Default "tort". */
  readonly podInterfacePrefix?: string;
  /** What happens to a packet from a pod to its own node once egress policy allows it. Default "accept". */
  readonly podToHost?: 'accept' | 'drop' | 'return';
}

/** What stands in the way of an object, part by part. */
export interface ObjectProblems {
  readonly kind: ObjectKind;
  readonly namespace: string;
  readonly name: string;
  readonly problems: readonly Problem[];
}

/**
 * Is a local endpoint's chain its real policy, or closed until something is known? `pod-unknown`: no pod object yet;
 * `namespace-unknown`: no namespace object; `finished`: the pod is Succeeded or Failed.
 */
export type EndpointState = 'no-endpoint' | 'pod-unknown' | 'namespace-unknown' | 'finished' | 'ready';

export interface Engine {
  /** Takes in one event; replays and duplicates are harmless. Never throws for what users wrote. */
  apply(event: PolicyEvent): void;
  /** What changed since the last flush (the first one builds everything). Empty deltas satisfy isEmptyDelta. */
  flush(): RulesetDelta;
  /** The whole ruleset as of the last flush. */
  ruleset(): Ruleset;
  verdict(flow: Flow): Verdict;
  explain(flow: Flow): Explanation;
  problems(): readonly ObjectProblems[];
  problemsOf(kind: ObjectKind, namespace: string, name: string): readonly Problem[];
  endpointState(namespace: string, name: string): EndpointState;
}
