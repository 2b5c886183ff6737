/**
 * What the RIB asks of an import or export policy.
 *
 * Policy runs once per attribute set and peer (import) or update group (export), not once per prefix: the answer is cached.
 * So a policy says beforehand whether its answer can depend on the prefix (prefix lists, tags); only then is it asked again for
 * each prefix. Attributes are parsed only if the policy looks at them.
 */
import type { Family, IpAddress, IpPrefix } from '../address.js';
import type { PathAttributes } from '../codec/attribute.js';

/** The route a policy judges. Getters are computed on first use. */
export interface PolicyRoute {
  readonly family: Family;
  /** Only when the policy said `dependsOnPrefix`. */
  readonly prefix: IpPrefix | undefined;
  /** Tags of a prefix of our own; empty for learned ones. Only when the policy said `dependsOnPrefix`. */
  readonly tags: readonly string[];
  readonly source: 'local' | 'ebgp' | 'ibgp';
  readonly attributes: PathAttributes;
  readonly nextHop: IpAddress | undefined;
  /** Kernel metric that import policy asked for. */
  readonly metric?: number;
  /**
   * Interface that the next hop is reached over, as BIRD's `ifname`: undefined where there is none (our own prefixes, a next hop out of
   * reach) or more than one (several ways).
   */
  readonly interfaceName: string | undefined;
  /** Name, address and interface of the peer the route was learned from; undefined for our own. */
  readonly from: PolicyPeer | undefined;
  /** The peer it is going to; undefined on import. Peers of one update group are equal in all a policy may see. */
  readonly to: PolicyPeer | undefined;
}

export interface PolicyPeer {
  readonly name: string;
  readonly address: IpAddress;
  readonly remoteAs: number;
  readonly interfaceName: string | undefined;
}

export type PolicyVerdict =
  | { readonly type: 'reject' }
  | {
      readonly type: 'accept';
      /** Absent: unchanged. Identity matters: an equal but new object costs an encoding. */
      readonly attributes?: PathAttributes;
      readonly nextHop?: IpAddress;
      readonly weight?: number;
      /** Kernel metric. */
      readonly metric?: number;
      /** The policy says what MED is, even if it is the value that was there: then it may go to another AS (RFC 4271 section 5.1.4). */
      readonly choseMed?: boolean;
    };

export interface RoutePolicy {
  /** Two policies with the same key do the same; peers whose keys are equal share an update group. */
  readonly key: string;
  readonly dependsOnPrefix: boolean;
  /** Does it look at the interface of the next hop? Then it is asked again when that changes. Default false. */
  readonly dependsOnInterface?: boolean;
  /** Does it look at name, address, AS or interface of the receiving peer? Then that peer gets an update group of its own. */
  readonly dependsOnPeer: boolean;
  /** The verdict, if it is the same for every route: then nobody needs to ask. */
  readonly constant?: PolicyVerdict;
  judge(route: PolicyRoute): PolicyVerdict;
  /** The policy for all prefixes of one attribute set; `route` comes without prefix and stays good as long as the set lives. */
  specialize?(route: PolicyRoute): SpecializedPolicy;
  /** Which rule decided about a route, for people. */
  explain?(route: PolicyRoute): PolicyReason;
}

/** A rule by the names under which its author knows it. */
export interface PolicyRule {
  readonly filter: string;
  /** Index in the filter; absent: the filter's default. */
  readonly index?: number;
  readonly name?: string;
}

export interface PolicyReason {
  /** 'filter "tor-in" rule 2 (no bogons) rejected it' */
  readonly text: string;
  /** Absent: no rule decided. */
  readonly rule?: PolicyRule;
}

export interface SpecializedPolicy {
  /** Address in unsigned 32-bit `words` from `at` on. The same object for the same verdict, as far as possible. */
  decide(words: Uint32Array, at: number, length: number, tags: readonly string[]): PolicyVerdict;
}

/** A policy at work: asked about one set of the RIB after the other, by their numbers. */
export interface ReadPolicy {
  readonly policy: RoutePolicy;
  /** The verdict on a set, for a prefix if the policy looks at prefixes. */
  verdict(set: number, prefix: number | undefined): PolicyVerdict;
}
