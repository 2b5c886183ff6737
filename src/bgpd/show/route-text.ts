/** `tortie bgp routes` and `tortie bgp why`: the look of `show ip bgp`, and the answer to "why this one?". */
import type { RouteJson, WhyJson } from '../route-view.js';
import { counted, formatTable, type Column } from './text-table.js';

const LEGEND =
  'Status: * usable, > best, = multipath, S stale, x not usable; i internal. Origin: i IGP, e EGP, ? incomplete';

function statusOf(route: RouteJson): string {
  const usable = route.unusable === undefined ? '*' : 'x';
  const choice = route.isBest ? '>' : route.isMultipath ? '=' : ' ';
  return `${route.isStale ? 'S' : usable}${choice}${route.source === 'ibgp' || route.source === 'rr-client' ? 'i' : ' '}`;
}

/** Both halves of a pair. */
const nextHopText = ({ nextHop = '-', linkLocalNextHop }: Pick<RouteJson, 'nextHop' | 'linkLocalNextHop'>): string =>
  linkLocalNextHop === undefined ? nextHop : `${nextHop} (${linkLocalNextHop})`;

const COLUMNS: readonly Column<RouteJson>[] = [
  { title: '', text: statusOf },
  { title: 'Network', text: ({ prefix }) => prefix },
  {
    title: 'Next Hop',
    text: (route) => (route.nextHop === undefined ? (route.source === 'local' ? 'local' : '-') : nextHopText(route)),
  },
  { title: 'From', text: ({ peer }) => peer ?? '-' },
  { title: 'Metric', text: ({ med }) => (med === undefined ? '' : String(med)), align: 'right' },
  {
    title: 'LocPrf',
    text: ({ localPreference }) => (localPreference === undefined ? '' : String(localPreference)),
    align: 'right',
  },
  { title: 'Weight', text: ({ weight }) => String(weight), align: 'right' },
  {
    title: 'Path',
    text: ({ asPath, origin }) =>
      `${asPath}${asPath === '' ? '' : ' '}${origin === 'igp' ? 'i' : origin === 'egp' ? 'e' : '?'}`,
  },
];

export function formatRoutes(routes: readonly RouteJson[]): string {
  if (routes.length === 0) return 'No routes';
  return [LEGEND, '', formatTable(COLUMNS, routes), '', counted(routes.length, 'route')].join('\n');
}

/** Everything about a few routes, as for one prefix. */
export function formatRouteDetails(routes: readonly RouteJson[]): string {
  return routes
    .flatMap((route) => [
      `${route.prefix} ${route.source === 'local' ? 'is our own' : `from ${route.peer ?? '?'} (${route.source})`}` +
        `${route.nextHop === undefined ? '' : ` via ${nextHopText(route)}`}`,
      `    ${attributesText(route)}`,
      `    ${standingOf(route).join(', ')}`,
    ])
    .join('\n');
}

const standingOf = ({ isBest, isMultipath, isStale, unusable }: RouteJson): readonly string[] => [
  isBest ? 'best' : isMultipath ? 'multipath' : 'not chosen',
  ...(isStale ? ['stale'] : []),
  ...(unusable === undefined ? [] : [unusable]),
];

function attributesText(route: RouteJson): string {
  return [
    `path [${route.asPath}]`,
    `origin ${route.origin}`,
    ...(route.localPreference === undefined ? [] : [`local-pref ${route.localPreference}`]),
    ...(route.med === undefined ? [] : [`med ${route.med}`]),
    ...(route.weight === 0 ? [] : [`weight ${route.weight}`]),
    ...(route.communities === undefined ? [] : [`communities ${route.communities.join(' ')}`]),
    ...(route.largeCommunities === undefined ? [] : [`large ${route.largeCommunities.join(' ')}`]),
    ...(route.extendedCommunities === undefined ? [] : [`extended ${route.extendedCommunities.join(' ')}`]),
    ...(route.originatorId === undefined ? [] : [`originator ${route.originatorId}`]),
    ...(route.clusterList === undefined ? [] : [`clusters ${route.clusterList.join(' ')}`]),
    ...(route.pathId === undefined ? [] : [`path-id ${route.pathId}`]),
    ...(route.tags === undefined ? [] : [`tags ${route.tags.join(' ')}`]),
  ].join(', ');
}

export function formatWhy(why: WhyJson): string {
  const candidates = why.candidates.map((candidate, index) =>
    [
      `${index + 1}. ${candidate.isBest ? 'BEST' : candidate.isMultipath ? 'multipath' : 'lost'}: ` +
        `${candidate.source === 'local' ? 'our own' : `from ${candidate.peer ?? '?'}`}` +
        `${candidate.nextHop === undefined ? '' : ` via ${nextHopText(candidate)}`}`,
      `   ${attributesText(candidate)}`,
      `   ${candidate.decidedBy}: ${candidate.reason}`,
      ...(candidate.importedBy === undefined ? [] : [`   import: ${candidate.importedBy}`]),
    ].join('\n'),
  );
  const forwarding = (why.forwarding ?? []).map(
    ({ nextHop, interface: name, weight }) =>
      `${nextHop ?? 'on link'}${name === undefined ? '' : ` dev ${name}`} weight ${weight}`,
  );
  // What nobody has announced goes to nobody, which need not be said of each.
  const peers = why.isKnown ? why.peers : [];
  return [
    `${why.prefix}: ${why.candidates.length === 0 ? 'nobody has announced it' : counted(why.candidates.length, 'path')}`,
    ...candidates,
    ...(why.candidates.length === 0
      ? []
      : [
          forwarding.length === 0
            ? 'Forwarding: bgpd puts nothing into the kernel for it'
            : `Forwarding: ${forwarding.join(', ')}${why.kernelMetric === undefined ? '' : `, metric ${why.kernelMetric}`}`,
        ]),
    ...(peers.length === 0 ? [] : ['Advertised:']),
    ...peers.map(
      ({ peer, advertised, reason, asPath, ...hop }) =>
        `   ${peer}: ${advertised ? `yes${asPath === undefined ? '' : ` [${asPath}]`}` : 'no'}, ${reason}` +
        `${hop.nextHop === undefined ? '' : `, next hop ${nextHopText(hop)}`}`,
    ),
  ].join('\n');
}
