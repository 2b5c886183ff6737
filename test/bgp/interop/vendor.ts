/** What the scenarios need of somebody else's BGP daemon. One file per vendor fills it in. */
import type { Namespace } from './namespace.js';

export interface Site {
  readonly namespace: Namespace;
  readonly directory: string;
  /** 1..: part of all its addresses. */
  readonly index: number;
  readonly as: number;
  readonly dutAs: number;
  readonly password: string;
  /** The session over IPv4: both families, TCP-MD5. */
  readonly ipv4: { readonly local: string; readonly dut: string };
  /** The session over IPv6: IPv6 only (FRR: IPv4 with extended next hops too), GTSM. */
  readonly ipv6: { readonly local: string; readonly dut: string };
  /** Its own prefixes; the first address of each is on its `lo`. */
  readonly prefix4: string;
  readonly prefix6: string;
}

export type Feature =
  | 'kernel'
  | 'restarts'
  | 'bounce'
  | 'roles'
  | 'churn'
  | 'local-as'
  | 'refresh'
  | 'gtsm'
  | 'add-path'
  | 'large-communities'
  | 'extended-next-hop'
  | 'bfd'
  | 'communities';

/** For what a vendor has no feature for: no scenario asks. */
export const cannot = (what: string) => (): Promise<never> => Promise.reject(new Error(`This vendor cannot ${what}`));

export interface Vendor {
  readonly name: string;
  /** What it can do, in the version that Debian has. */
  readonly features: ReadonlySet<Feature>;
  /** The session on which it runs BFD. */
  readonly bfdFamily?: 4 | 6;
  start(site: Site): Promise<void>;
  /** kill -9, and up again as an operator would bring it up after a crash. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** Its own words about a route that it learned from us; empty if it has none. */
  routeText(prefix: string): Promise<string>;
  /** Asks us for all routes again, over the IPv4 session. */
  refresh(): Promise<void>;
  /** Resets the IPv4 session from its end. */
  bounce(): Promise<void>;
  /** Takes a session up that it holds idle for half a minute because we have ended it; most need no telling. */
  nudge(address: string): Promise<void>;
  /** Announces or withdraws CHURN prefixes. */
  churn(on: boolean): Promise<void>;
  /** Runs BFD on the session of `bfdFamily`, or on none: where it does all the time without harm, this does nothing. */
  setBfd(on: boolean): Promise<void>;
  /** Makes the IPv6 session one of our AS, or external again. */
  setInternal(on: boolean): Promise<void>;
  /** Communities as it prints them. */
  community(high: number, low: number): string;
  /** For messages when something is missing. */
  status(): Promise<string>;
}
