/** The formats of the readers: what each wrote about our streams and files, as tables. */
import { existsSync, readFileSync } from 'node:fs';
import { keyOf, type Read, type Routes, type Table, type Told } from './reader-tables.js';

/** Two notations of one thing: both halves with a space, no next hop as nothing (our own routes). */
function hops(text: string): string {
  const words = text.split(',').join(' ');
  return ['255.255.255.255', '0.0.0.0', '::'].includes(words) ? '' : words;
}

class Tables {
  readonly tables = new Map<Table, Map<string, Told>>();

  /** A fact of a session, the last of its kind. */
  session(peer: string, what: string, value: string): void {
    this.add('sessions', `${peer} ${what}`, { asPath: value, nextHop: '' });
  }

  add(table: Table, key: string, told: Told): void {
    const routes = this.tables.get(table) ?? new Map<string, Told>();
    this.tables.set(table, routes.set(key, told));
  }

  remove(table: Table, key: string): void {
    this.tables.get(table)?.delete(key);
  }
}

const jsonLines = (file: string): readonly unknown[] =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as unknown)
    : [];

interface GobmpPrefix {
  readonly action: 'add' | 'del';
  readonly is_eor?: boolean;
  readonly peer_ip?: string;
  readonly prefix: string;
  readonly prefix_len: number;
  readonly path_id?: number;
  readonly nexthop?: string;
  readonly base_attrs?: { readonly as_path?: readonly number[] };
  readonly is_adj_rib_in_post_policy: boolean;
  readonly is_adj_rib_out_post_policy: boolean;
  readonly is_adj_rib_out: boolean;
  readonly is_loc_rib: boolean;
}

interface GobmpSession {
  readonly remote_ip: string;
  readonly ads_rib_in?: number;
  readonly local_rib?: number;
}

/** gobmp's message dump; types 74 to 76 are its unicast prefixes. */
export function readGobmp(file: string): Read {
  const result = new Tables();
  for (const line of jsonLines(file) as readonly {
    readonly msg_type: number;
    readonly msg_data: GobmpPrefix & GobmpSession;
  }[]) {
    const { msg_type: type, msg_data: data } = line;
    if (type === 10) result.session(data.remote_ip, 'state', data.action === 'add' ? 'up' : 'down');
    if (type === 1 && data.ads_rib_in !== undefined)
      result.session(data.remote_ip, 'adj-rib-in', String(data.ads_rib_in));
    if (type === 1 && data.local_rib !== undefined) result.session(data.remote_ip, 'loc-rib', String(data.local_rib));
    if (type < 74 || type > 76 || data.is_eor === true) continue;
    const table = gobmpTable(data);
    // It writes identifiers as signed numbers: those past 2^31 come out negative.
    const pathId = (data.path_id ?? 0) >>> 0;
    const key = keyOf(table === 'loc' ? '-' : (data.peer_ip ?? ''), `${data.prefix}/${data.prefix_len}`, pathId);
    if (data.action === 'del') result.remove(table, key);
    else
      result.add(table, key, { asPath: (data.base_attrs?.as_path ?? []).join(' '), nextHop: hops(data.nexthop ?? '') });
  }
  return result.tables;
}

function gobmpTable(data: GobmpPrefix): Table {
  if (data.is_loc_rib) return 'loc';
  if (data.is_adj_rib_out) return data.is_adj_rib_out_post_policy ? 'out-post' : 'out-pre';
  return data.is_adj_rib_in_post_policy ? 'in-post' : 'in-pre';
}

interface PmbmpdLine {
  readonly bmp_msg_type?: string;
  readonly log_type?: 'update' | 'withdraw' | 'end-of-rib';
  readonly is_loc?: number;
  readonly is_in?: number;
  readonly is_post?: number;
  readonly peer_ip: string;
  readonly ip_prefix: string;
  readonly as_path_id?: number;
  readonly as_path?: string;
  readonly bgp_nexthop?: string;
  /** RFC 7854 section 4.8. */
  readonly counter_type?: number;
  readonly counter_value?: number;
}

/** pmacct's message log. */
export function readPmbmpd(file: string): Read {
  const result = new Tables();
  for (const line of jsonLines(file) as readonly PmbmpdLine[]) {
    if (line.bmp_msg_type === 'peer_up' || line.bmp_msg_type === 'peer_down')
      result.session(line.peer_ip, 'state', line.bmp_msg_type.slice('peer_'.length));
    if (line.counter_type === 7) result.session(line.peer_ip, 'adj-rib-in', String(line.counter_value));
    if (line.counter_type === 8) result.session(line.peer_ip, 'loc-rib', String(line.counter_value));
    if (line.bmp_msg_type !== 'route_monitor' || line.log_type === 'end-of-rib') continue;
    const table: Table =
      line.is_loc === 1 ? 'loc' : `${line.is_in === 1 ? 'in' : 'out'}-${line.is_post === 1 ? 'post' : 'pre'}`;
    const key = keyOf(table === 'loc' ? '-' : line.peer_ip, line.ip_prefix, line.as_path_id);
    if (line.log_type === 'withdraw') result.remove(table, key);
    else result.add(table, key, { asPath: line.as_path ?? '', nextHop: hops(line.bgp_nexthop ?? '') });
  }
  return result.tables;
}

/** `bgpdump -m`: TABLE_DUMP2[_AP]|time|B|peer|AS|prefix|[path id|]AS path|origin|next hop|... */
export function readBgpdump(text: string): Routes {
  const routes = new Map<string, Told>();
  for (const line of text.split('\n')) {
    const [type, , , peer = '', , prefix = '', ...rest] = line.split('|');
    if (type !== 'TABLE_DUMP2' && type !== 'TABLE_DUMP2_AP') continue;
    const pathId = type === 'TABLE_DUMP2_AP' ? Number(rest.shift()) : 0;
    const [asPath = '', , nextHop = ''] = rest;
    routes.set(keyOf(peer, prefix, pathId), { asPath, nextHop: hops(nextHop) });
  }
  return routes;
}

/** Lines of our own Python scripts around a library: peer, prefix, path id, AS path, next hop, separated by tabs. */
export function readTabs(text: string): Routes {
  const routes = new Map<string, Told>();
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const [peer = '', prefix = '', pathId = '0', asPath = '', nextHop = ''] = line.split('\t');
    routes.set(keyOf(peer, prefix, Number(pathId)), { asPath, nextHop: hops(nextHop) });
  }
  return routes;
}
