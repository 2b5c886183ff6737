/**
 * What the resources say about a session, as the daemon's fields: one row for each. Whether a value can be used is for
 * the daemon's rules.
 */
import type { BGPPeerSpec } from '../api/bgp.js';
import type { Family } from 'node-bgp/address';
import { bfdFields } from './bfd.js';
import type { Cluster } from './cluster.js';
import { exportNames, importNames } from './filter-names.js';
import type { DraftField, DraftFields, PeerFieldName } from './peer-draft.js';
import { passwordOf } from './peer-password.js';
import type { Place } from './problems.js';
import { parseAsNumber, parseDuration } from './values.js';

export const isEmpty = (text: string | undefined): text is '' | undefined => text === undefined || text === '';

interface Row {
  readonly from: keyof BGPPeerSpec;
  readonly to: PeerFieldName;
  /** Undefined: it is no such text; the daemon is shown the text, and says what it wants. */
  readonly read?: (value: unknown) => unknown;
  /** What happens without it; absent: no session. */
  readonly fallback?: string;
}

const asNumber = (value: unknown): unknown => parseAsNumber(value as number | string);
const DURATION = 'a duration such as 90s or 1m30s';
/** Up to whole seconds: what is under a second must not become 0, which turns a timer off. */
const seconds = (value: unknown): unknown => {
  const exact = parseDuration(String(value));
  return exact === undefined ? undefined : Math.ceil(exact);
};

const ROWS: readonly Row[] = [
  // Calico's BIRD shows the peer this AS alone.
  { from: 'localASNumber', to: 'localAs', read: asNumber },
  { from: 'keepaliveTime', to: 'keepaliveTime', read: seconds, fallback: 'using a third of the hold time' },
  { from: 'maxRestartTime', to: 'gracefulRestartTime', read: seconds, fallback: 'using 120s' },
  { from: 'numAllowedLocalASNumbers', to: 'allowLocalAs', fallback: 'using 0' },
  { from: 'passive', to: 'passive', fallback: 'using false' },
  { from: 'maxPrefixes', to: 'maxPrefixes', fallback: 'using 10000' },
  {
    from: 'maxPrefixesRestartAfter',
    to: 'maxPrefixesRestartAfter',
    read: seconds,
    fallback: 'staying down until cleared',
  },
];

/** Sessions between nodes cross whatever the underlay is; Calico's cross it to every router. */
export const ANY_DISTANCE = 255;
/** 255 - 254: the least TTL that can be asked for (RFC 5082). */
const MOST_TTL_SECURITY_HOPS = 254;

/** Settings that routers and selected nodes share; undefined when the peer cannot be used as written. */
export function fieldsOf(spec: BGPPeerSpec, resource: string, cluster: Cluster): DraftFields | undefined {
  const placeOf = (field: keyof BGPPeerSpec): Place => ({ resource, field: `spec.${field}` });
  const password = passwordOf(spec.password, placeOf('password'), cluster);
  if (password === undefined) return undefined;
  const rows = ROWS.flatMap(({ from, to, read, fallback }) => {
    const written = spec[from];
    if (written === undefined || written === '') return [];
    return [[to, draftField(written, read, placeOf(from), fallback)] as const];
  });
  return new Map<PeerFieldName, DraftField>([
    ...password,
    ...holdTimeOf(spec, placeOf('holdTime'), cluster),
    ...rows,
    ...(rows.some(([name]) => name === 'localAs') ? [['localAsOnly', { value: true }] as const] : []),
    ...bfdFields(spec.bfd, placeOf('bfd')),
    ...nextHopOf(spec),
  ]);
}

/** Of the mesh: what BGPConfiguration says; undefined while its password is not there. */
export function meshFieldsOf(cluster: Cluster): DraftFields | undefined {
  const { spec, placeOf } = cluster.configuration;
  const password = passwordOf(spec.nodeMeshPassword, placeOf('nodeMeshPassword'), cluster);
  if (password === undefined) return undefined;
  const restart = spec.nodeMeshMaxRestartTime;
  return new Map<PeerFieldName, DraftField>([
    ...password,
    ...clusterHoldTime(cluster),
    ...(restart === undefined || restart === ''
      ? []
      : [
          [
            'gracefulRestartTime',
            draftField(restart, seconds, placeOf('nodeMeshMaxRestartTime'), 'using 120s'),
          ] as const,
        ]),
    ...bfdFields(spec.nodeMeshBfd, placeOf('nodeMeshBfd')),
  ]);
}

function draftField(written: unknown, read: Row['read'], place: Place, fallback: string | undefined): DraftField {
  const value = read === undefined ? written : (read(written) ?? written);
  const isUnread = read === seconds && read(written) === undefined;
  return {
    value,
    place,
    written,
    ...(isUnread ? { expected: DURATION } : {}),
    ...(fallback === undefined ? {} : { fallback }),
  };
}

/** The peer's own, or the cluster's. */
function holdTimeOf(spec: BGPPeerSpec, place: Place, cluster: Cluster): DraftFields {
  return spec.holdTime === undefined || spec.holdTime === ''
    ? clusterHoldTime(cluster)
    : new Map([['holdTime', draftField(spec.holdTime, seconds, place, 'using 90s')]]);
}

function clusterHoldTime({ configuration: { spec, placeOf } }: Cluster): DraftFields {
  return spec.holdTime === undefined || spec.holdTime === ''
    ? new Map()
    : new Map([['holdTime', draftField(spec.holdTime, seconds, placeOf('holdTime'), 'using 90s')]]);
}

/** Calico: nextHopMode, where it is given, goes before the field it has replaced. */
function nextHopOf({ nextHopMode, keepOriginalNextHop }: BGPPeerSpec): DraftFields {
  const mode = nextHopMode ?? (keepOriginalNextHop === true ? 'Keep' : 'Auto');
  if (mode === 'Keep') return new Map([['nextHopUnchanged', { value: true }]]);
  return mode === 'Self' ? new Map([['nextHopSelf', { value: true }]]) : new Map();
}

/** How far an external peer may be that says nothing about it. */
export interface Distance {
  readonly isInternal: boolean;
  /** Hops; undefined: one, on the link. */
  readonly external: number | undefined;
}

/** A speaker refuses multihop and ttlSecurity together, and multihop of an internal session, which may cross any number of hops. */
export function distanceOf(
  { ttlSecurity = 0, multihop }: BGPPeerSpec,
  resource: string,
  { isInternal, external }: Distance,
  { problems }: Cluster,
): DraftFields {
  const at = { resource, field: 'spec.multihop' };
  if (ttlSecurity > 0) {
    if (multihop !== undefined)
      problems.problem(
        at,
        `is ${multihop} beside spec.ttlSecurity ${ttlSecurity}, which already says how far the peer is; going by spec.ttlSecurity`,
      );
    const place = { resource, field: 'spec.ttlSecurity' };
    return new Map([
      ['ttlSecurityHops', { value: Math.min(ttlSecurity, MOST_TTL_SECURITY_HOPS), place, written: ttlSecurity }],
    ]);
  }
  if (isInternal) {
    if (multihop !== undefined)
      problems.notice(
        at,
        `is ${multihop} beside the node's own AS number; a session inside an AS may cross any number of hops`,
      );
    return new Map();
  }
  if (multihop !== undefined) return new Map([['multihop', { value: multihop, place: at }]]);
  return external === undefined ? new Map() : new Map([['multihop', { value: external }]]);
}

export const localAsOf = (fields: DraftFields, { self, configuration }: Cluster): unknown =>
  fields.get('localAs')?.value ?? self.asNumber ?? configuration.asNumber;

export function filterFields(
  family: Family,
  filters: readonly string[],
  to: 'mesh' | 'peers' | 'clients',
  place: Place,
): readonly (readonly [PeerFieldName, DraftField])[] {
  const at = { ...place, field: 'spec.filters' };
  return [
    ...(filters.length === 0
      ? []
      : [['import', { value: importNames(filters, family), place: at, written: filters }] as const]),
    ['export', { value: exportNames(filters, family, to), place: at, written: filters }],
  ];
}

export const asNumberField = ({ asNumber }: BGPPeerSpec, resource: string): DraftField => ({
  value: parseAsNumber(asNumber) ?? NaN,
  place: { resource, field: 'spec.asNumber' },
  written: String(asNumber ?? ''),
});
