/**
 * Versions of the CNI specification that Tortie speaks, and what differs between them on the wire:
 * - before 1.0.0 each of a result's `ips` says its family in a field `version`;
 * - CHECK came with 0.4.0; STATUS, GC and a result's `mtu` and route attributes came with 1.1.0.
 *
 * https://github.com/containernetworking/cni/blob/main/SPEC.md. 0.1.0 and 0.2.0, whose results hold a single address, are
 * left out on purpose: they cannot say "dual-stack".
 */
export const CNI_VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

export type CniVersion = (typeof CNI_VERSIONS)[number];

export const LATEST_CNI_VERSION: CniVersion = '1.1.0';

export type CniCommand = 'ADD' | 'DEL' | 'CHECK' | 'STATUS' | 'GC' | 'VERSION';

/** The version that a command came with; absent: from the beginning. */
const SINCE: Partial<Record<CniCommand, CniVersion>> = { CHECK: '0.4.0', STATUS: '1.1.0', GC: '1.1.0' };

export const isCniVersion = (text: string): text is CniVersion => (CNI_VERSIONS as readonly string[]).includes(text);

/** Is `version` at least `other`? */
export const isAtLeast = (version: CniVersion, other: CniVersion): boolean =>
  CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(other);

/** The version that introduced a command, if `version` is older than that. */
export function missingSince(command: CniCommand, version: CniVersion): CniVersion | undefined {
  const since = SINCE[command];
  return since === undefined || isAtLeast(version, since) ? undefined : since;
}
