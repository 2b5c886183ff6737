/** `tortie node status` and `tortie bgp summary --all-nodes`: the whole cluster as its agents report it (NodeStatus). Pure. */
import type { Node } from '../api/core.js';
import type { NodeBgpPeerStatus, NodeDrainStatus, NodeStatus } from '../api/node-status.js';
import { formatTable, formatUptime, type Column } from '../bgpd/show/text-table.js';

export interface NodeRow {
  readonly node: string;
  /** "True", "False", "Unknown"; "-": no agent has reported. */
  readonly ready: string;
  readonly asNumber?: number;
  readonly routerId?: string;
  /** "7/8" */
  readonly sessions?: string;
  readonly blocks: readonly string[];
  readonly version?: string;
  readonly heartbeatTime?: string;
  /** Of a node that is taken out of service. */
  readonly drain?: NodeDrainStatus;
  /** Conditions that are not as they should be, with their message. */
  readonly problems: readonly { readonly type: string; readonly message: string }[];
}

/** Every Node, and what has a NodeStatus and no Node any more. */
export function nodeRows(nodes: readonly Node[], statuses: readonly NodeStatus[]): readonly NodeRow[] {
  const byName = new Map(statuses.map((status) => [status.metadata.name, status]));
  const names = new Set([...nodes.map(({ metadata }) => metadata.name), ...byName.keys()]);
  const known = new Set(nodes.map(({ metadata }) => metadata.name));
  return [...names].sort().map((node) => rowOf(node, byName.get(node), known.has(node)));
}

function rowOf(node: string, object: NodeStatus | undefined, hasNode: boolean): NodeRow {
  const { conditions = [], bgp, blocks = [], agent, drain } = object?.status ?? {};
  return {
    node,
    ready: conditions.find(({ type }) => type === 'Ready')?.status ?? '-',
    ...(bgp?.asNumber === undefined ? {} : { asNumber: bgp.asNumber }),
    ...(bgp?.routerId === undefined ? {} : { routerId: bgp.routerId }),
    ...(bgp?.sessions === undefined ? {} : { sessions: bgp.sessions }),
    blocks,
    ...(agent?.version === undefined ? {} : { version: agent.version }),
    ...(agent?.heartbeatTime === undefined ? {} : { heartbeatTime: agent.heartbeatTime }),
    ...(drain === undefined ? {} : { drain }),
    problems: [
      ...(hasNode ? [] : [{ type: 'Node', message: 'There is no such Node any more' }]),
      ...(conditions.length > 0 ? [] : [{ type: 'Ready', message: 'No agent has reported' }]),
      ...conditions
        .filter(({ type, status }) => status !== 'True' && (type !== 'Ready' || status === 'Unknown'))
        .map(({ type, message }) => ({ type, message })),
    ],
  };
}

export const isNodeWell = ({ ready, problems }: NodeRow): boolean => ready === 'True' && problems.length === 0;

/** Shown where a node drains. */
const DRAIN: Column<NodeRow> = { title: 'DRAIN', text: ({ drain }) => drain?.phase ?? '-' };

/** @param now milliseconds since 1970 */
export function formatNodes(rows: readonly NodeRow[], now: number): string {
  const columns: readonly Column<NodeRow>[] = [
    { title: 'NODE', text: ({ node }) => node },
    { title: 'READY', text: ({ ready }) => ready },
    { title: 'AS', text: ({ asNumber }) => String(asNumber ?? '-'), align: 'right' },
    { title: 'ROUTER ID', text: ({ routerId }) => routerId ?? '-' },
    { title: 'BGP', text: ({ sessions }) => sessions ?? '-', align: 'right' },
    { title: 'BLOCKS', text: ({ blocks }) => String(blocks.length), align: 'right' },
    { title: 'VERSION', text: ({ version }) => version ?? '-' },
    { title: 'HEARD', text: ({ heartbeatTime }) => ageOf(heartbeatTime, now), align: 'right' },
    ...(rows.some(({ drain }) => drain !== undefined) ? [DRAIN] : []),
    { title: 'NOT WELL', text: ({ problems }) => problems.map(({ type }) => type).join(',') || '-' },
  ];
  return formatTable(columns, rows);
}

/** One node, with its sessions and every sentence. */
export function formatNode(row: NodeRow, peers: readonly NodeBgpPeerStatus[], now: number): string {
  return [
    formatNodes([row], now),
    ...(row.blocks.length === 0 ? [] : ['', `Blocks: ${row.blocks.join(', ')}`]),
    ...(peers.length === 0
      ? []
      : [
          '',
          formatSessions(
            peers.map((peer) => ({ node: row.node, ...peer })),
            now,
          ),
        ]),
    ...(row.drain === undefined ? [] : ['', row.drain.message]),
    ...(row.problems.length === 0 ? [] : ['', ...row.problems.map(({ type, message }) => `${type}: ${message}`)]),
  ].join('\n');
}

export interface SessionRow extends NodeBgpPeerStatus {
  readonly node: string;
}

/** @param node only this one's */
export function sessionRows(statuses: readonly NodeStatus[], node?: string): readonly SessionRow[] {
  return [...statuses]
    .filter(({ metadata }) => node === undefined || metadata.name === node)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(({ metadata, status }) => (status?.bgp?.peers ?? []).map((peer) => ({ node: metadata.name, ...peer })));
}

export const isSessionUp = ({ state }: NodeBgpPeerStatus): boolean => state === 'Established';

export function formatSessions(rows: readonly SessionRow[], now: number): string {
  const number = (value: number | undefined): string => String(value ?? '-');
  const columns: readonly Column<SessionRow>[] = [
    { title: 'NODE', text: ({ node }) => node },
    { title: 'NEIGHBOR', text: ({ name, address }) => name ?? address },
    { title: 'ADDRESS', text: ({ address }) => address },
    { title: 'AS', text: ({ asNumber }) => number(asNumber), align: 'right' },
    { title: 'STATE', text: ({ state }) => state },
    { title: 'UP/DOWN', text: ({ since }) => ageOf(since, now), align: 'right' },
    { title: 'TIMES UP', text: ({ establishedCount }) => number(establishedCount), align: 'right' },
    {
      title: 'ACC/RCVD',
      text: ({ acceptedPrefixes, receivedPrefixes }) => `${number(acceptedPrefixes)}/${number(receivedPrefixes)}`,
      align: 'right',
    },
    { title: 'SENT', text: ({ advertisedPrefixes }) => number(advertisedPrefixes), align: 'right' },
    { title: 'INFO', text: ({ lastError }) => lastError ?? '' },
  ];
  return formatTable(columns, rows);
}

function ageOf(time: string | undefined, now: number): string {
  const at = time === undefined ? NaN : Date.parse(time);
  return Number.isNaN(at) ? '-' : formatUptime(Math.max(0, (now - at) / 1000));
}
