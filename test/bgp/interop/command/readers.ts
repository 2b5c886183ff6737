/**
 * What other people's readers make of our MRT dumps and BMP streams: `npm run interop -- --readers`. Our speaker stands between all vendors
 * of a root, both families, ADD-PATH with those that can, all five tables told to each station; when it is quiet, what a reader has read is
 * held against what the speaker says of its own tables.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RouteJson } from '../../../../src/bgpd/route-view.js';
import type { SpeakerConfig } from 'node-bgp/config';
import { castOf } from '../cast.js';
import { eventually } from '../namespace.js';
import type { Root } from '../root.js';
import { PASSWORD, World } from '../world.js';
import { readBgpdump, readGobmp, readPmbmpd, readTabs } from './reader-output.js';
import {
  compare,
  keyOf,
  TABLES,
  type Read,
  type ReaderRow,
  type Routes,
  type Table,
  type Told,
} from './reader-tables.js';

const MONITOR = ['adj-rib-in', 'adj-rib-in-post-policy', 'loc-rib', 'adj-rib-out-pre-policy', 'adj-rib-out'] as const;
const GOBMP = { module: 'github.com/sbezverk/gobmp', version: 'v1.1.0', port: 5001 };
const PMBMPD_PORT = 5002;
/** The peer that goes at the end. */
const LEAVING = 'bird6';
/** From the Python index; the second is compiled from Rust where there is no wheel, which takes minutes. */
const PYTHON: Readonly<Record<string, string>> = { mrtparse: '2.2.0', 'pybgpkit-parser': '0.18.0' };

/** Everything is read while the speaker runs, and compared when it is quiet. */
export async function checkReaders(
  root: Root,
  cache: string,
  say: (line: string) => void,
): Promise<readonly ReaderRow[]> {
  const tools = installReaders(cache, say);
  const world = new World(castOf(root));
  try {
    await world.start();
    const { directory } = world;
    startStations(world, root, tools);
    await sleep(3000); // they listen when they have read their configurations; our speaker tries again in any case
    const config: SpeakerConfig = {
      ...world.config(PASSWORD, (peer, { features }) =>
        features.has('add-path') && peer.password !== undefined ? { ...peer, addPath: 'both' } : peer,
      ),
      bmp: [GOBMP.port, PMBMPD_PORT].map((port) => ({
        address: '127.0.0.1',
        port,
        monitor: [...MONITOR],
        statisticsInterval: 2,
      })),
    };
    await world.bgpd.configure(config);
    for (const { vendor } of world.parties) for (const family of [4, 6]) await world.up(`${vendor.name}${family}`);
    await quiet(world);
    const own = await ownTables(world);
    const dump = join(directory, 'table.mrt');
    await saveDump(world, dump);
    const rows = [...mrtRows(own, root, dump, tools)];
    const files = { gobmp: join(directory, 'gobmp.json'), pmbmpd: join(directory, 'pmbmpd.json') };
    const before = { gobmp: readGobmp(files.gobmp), pmbmpd: readPmbmpd(files.pmbmpd) };
    const versions = { gobmp: GOBMP.version.slice(1), pmbmpd: pmbmpdVersion(join(directory, 'pmbmpd.out')) };
    for (const name of ['gobmp', 'pmbmpd'] as const) rows.push(...bmpRows(own, name, versions[name], before[name]));
    // A session that ends is the last thing that the stations hear.
    const sessions = new Map([
      ...sessionsOf(own),
      [`${addressOf(world, LEAVING)} state`, { asPath: 'down', nextHop: '' }],
    ]);
    await world.bgpd.configure({ ...config, peers: (config.peers ?? []).filter(({ name }) => name !== LEAVING) });
    await sleep(3000);
    const after = { gobmp: readGobmp(files.gobmp), pmbmpd: readPmbmpd(files.pmbmpd) };
    for (const name of ['gobmp', 'pmbmpd'] as const) {
      const heard = new Map([...(before[name].get('sessions') ?? []), ...statesOf(after[name])]);
      rows.push(compare(name, versions[name], 'sessions', sessions, heard));
    }
    return rows;
  } finally {
    await world.stop();
  }
}

/** Peer, prefix, path id, AS path, next hop of each entry; an entry without a prefix is what the library could not read. */
const SCRIPTS: Readonly<Record<string, string>> = {
  mrtparse: `
import sys
from mrtparse import Reader
peers = []
def value(attribute): return attribute['value']
def name(attribute): return list(attribute['type'].values())[0]
for record in Reader(sys.argv[1]):
    data = record.data
    if 'peer_entries' in data: peers = [entry['peer_ip'] for entry in data['peer_entries']]
    for entry in data.get('rib_entries', []):
        path = hop = ''
        for attribute in entry['path_attributes']:
            if name(attribute) == 'AS_PATH': path = ' '.join(asn for segment in value(attribute) for asn in segment['value'])
            elif name(attribute) == 'NEXT_HOP': hop = value(attribute)
            elif name(attribute) == 'MP_REACH_NLRI': hop = ' '.join(value(attribute)['next_hop'])
        # It keeps the prefix's length under the record's own 'length'.
        prefix = '%s/%s' % (data['prefix'], data['length'])
        print(peers[entry['peer_index']], prefix, entry.get('path_id', 0), path, hop, sep='\\t')
`,
  'pybgpkit-parser': `
import sys
from pybgpkit_parser import Parser
for e in Parser(url=sys.argv[1]):
    print(e.peer_ip, e.prefix, 0, e.as_path or '', e.next_hop or '', sep='\t')
`,
};

/** What could be installed; the rest is left out, by name. */
interface Tools {
  readonly gobmp: string | undefined;
  /** Name of a library: its folder. */
  readonly python: ReadonlyMap<string, string>;
}

function installReaders(cache: string, say: (line: string) => void): Tools {
  const folder = join(cache, 'readers');
  mkdirSync(folder, { recursive: true });
  const gobmp = join(folder, 'gobmp');
  if (!existsSync(gobmp)) buildGobmp(folder, gobmp, say);
  const python = new Map<string, string>();
  for (const [name, version] of Object.entries(PYTHON)) {
    const target = join(folder, `${name}-${version}`);
    if (!existsSync(target)) {
      say(`Installing ${name} ${version}`);
      const pip = ['-m', 'pip', 'install', '--quiet', '--target', target, `${name}==${version}`];
      const { status, stderr } = spawnSync('python3', pip, { encoding: 'utf8' });
      if (status !== 0) say(`Without ${name}: ${stderr.trim().split('\n').slice(-2).join(' ')}`);
    }
    if (existsSync(target)) python.set(name, target);
  }
  return { gobmp: existsSync(gobmp) ? gobmp : undefined, python };
}

/** Its command is no module of its own, so that `go install` does not find it. */
function buildGobmp(folder: string, binary: string, say: (line: string) => void): void {
  const source = join(folder, 'gobmp-source');
  mkdirSync(source, { recursive: true });
  writeFileSync(join(source, 'go.mod'), `module readers\n\ngo 1.24\n\nrequire ${GOBMP.module} ${GOBMP.version}\n`);
  say(`Building gobmp ${GOBMP.version}`);
  const build = spawnSync('go', ['build', '-mod=mod', '-o', binary, `${GOBMP.module}/cmd/gobmp`], {
    cwd: source,
    encoding: 'utf8',
    env: { ...process.env, CGO_ENABLED: '0' },
  });
  if (build.status !== 0)
    say(`Without gobmp: ${build.error?.message ?? build.stderr.trim().split('\n').slice(-2).join(' ')}`);
}

function startStations(world: World, root: Root, { gobmp }: Tools): void {
  const { directory, dutNamespace } = world;
  if (gobmp !== undefined)
    dutNamespace.daemon(join(directory, 'gobmp.log'), [
      gobmp,
      `--source-port=${GOBMP.port}`,
      '--dump=file',
      `--msg-file=${join(directory, 'gobmp.json')}`,
      '--logtostderr',
    ]);
  const config = join(directory, 'pmbmpd.conf');
  writeFileSync(
    config,
    `daemonize: false
bmp_daemon_ip: 127.0.0.1
bmp_daemon_port: ${PMBMPD_PORT}
bmp_daemon_msglog_output: json
bmp_daemon_msglog_file: ${join(directory, 'pmbmpd.json')}
logfile: ${join(directory, 'pmbmpd.out')}
`,
  );
  dutNamespace.daemon(join(directory, 'pmbmpd.log'), root.argv('pmbmpd', '-f', config));
}

/** Until nothing has changed in any table for two seconds, and the stations have had the time to write. */
async function quiet(world: World): Promise<void> {
  let last = '';
  await eventually('the tables stand still', async () => {
    const now = JSON.stringify([...(await ownTables(world))].map(([table, routes]) => [table, [...routes]]));
    await sleep(2000);
    const isStill = now === last;
    last = now;
    return isStill;
  });
  await sleep(2000);
}

async function ownTables(world: World): Promise<Read> {
  const tables = new Map<Table, Map<string, Told>>();
  const add = (table: Table, peer: string, routes: readonly RouteJson[]): void => {
    const into = tables.get(table) ?? new Map<string, Told>();
    tables.set(table, into);
    for (const { prefix, pathId, asPath, nextHop = '' } of routes)
      into.set(keyOf(peer, prefix, pathId), { asPath, nextHop });
  };
  const addresses = new Map<string, string>();
  for (const { vendor, site } of world.parties)
    for (const [name, address] of [
      [`${vendor.name}4`, site.ipv4.local],
      [`${vendor.name}6`, site.ipv6.local],
    ] as const) {
      addresses.set(name, address);
      add('in-pre', address, await world.bgpd.routes(`received=${name}&policy=before`));
      add('in-post', address, await world.bgpd.routes(`received=${name}`));
      add('out-post', address, await world.bgpd.routes(`advertised=${name}`));
    }
  const best = await world.bgpd.routes('');
  // A path identifier of the Loc-RIB is that of the session which it came from: the table itself has none (RFC 9069).
  add(
    'loc',
    '-',
    best.map((route) => ({ ...route, pathId: 0 })),
  );
  for (const { prefix } of best)
    for (const route of await world.bgpd.routes(`prefix=${encodeURIComponent(prefix)}`))
      add('mrt', addresses.get(route.peer ?? '') ?? '0.0.0.0', [route]);
  return tables;
}

async function saveDump(world: World, file: string): Promise<void> {
  const socket = join(world.bgpd.directory, 'bgpd.sock');
  execFileSync('curl', ['--silent', '--fail', '--unix-socket', socket, '--output', file, 'http://localhost/v1/mrt']);
  await Promise.resolve();
}

function mrtRows(own: Read, root: Root, dump: string, { python }: Tools): readonly ReaderRow[] {
  const table = own.get('mrt') ?? new Map<string, Told>();
  const bgpdump = spawnSync('unshare', ['--mount', ...root.argv('bgpdump', '-m', dump)], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const rows = [compare('bgpdump', '1.6.2', 'mrt', table, readBgpdump(bgpdump.stdout))];
  for (const [name, folder] of python) {
    const env = { ...process.env, PYTHONPATH: folder };
    const { stdout, stderr } = spawnSync('python3', ['-c', SCRIPTS[name] ?? '', dump], {
      encoding: 'utf8',
      env,
      maxBuffer: 1 << 26,
    });
    if (stderr !== '') process.stderr.write(stderr);
    // The Python face of bgpkit-parser has no path identifiers: paths of one peer to one prefix are one.
    const comparable = name === 'mrtparse' ? table : withoutPathIds(table);
    rows.push(compare(name, PYTHON[name] ?? '', 'mrt', comparable, readTabs(stdout)));
  }
  return rows;
}

/**
 * Before export policy is one path of a prefix, the best, and here policy rejects nothing: without ADD-PATH it is what was sent, of which
 * policy had not changed path and next hop yet. What a session with ADD-PATH has been offered nobody can be asked.
 */
function expected(own: Read, table: Table, read: Read): Routes | undefined {
  if (table !== 'out-pre') return own.get(table);
  const [sent, told] = [own.get('out-post') ?? new Map<string, Told>(), read.get('out-pre') ?? new Map<string, Told>()];
  const peerOf = (key: string): string => key.split(' ')[0] ?? '';
  const withAddPath = new Set([...sent.keys()].filter((key) => !key.endsWith(' 0')).map(peerOf));
  return new Map([
    ...[...sent]
      .filter(([key]) => !withAddPath.has(peerOf(key)))
      .map(([key, each]) => [key, told.get(key) ?? each] as const),
    ...[...told].filter(([key]) => withAddPath.has(peerOf(key))),
  ]);
}

const withoutPathIds = (routes: Routes): Routes =>
  new Map([...routes].map(([key, told]) => [key.replace(/ \d+$/, ' 0'), told]));

/** What stations are to have heard of sessions: each is up, with so many routes. */
function sessionsOf(own: Read): Map<string, Told> {
  const sessions = new Map<string, Told>();
  const add = (peer: string, what: string, value: string): unknown =>
    sessions.set(`${peer} ${what}`, { asPath: value, nextHop: '' });
  const counts = new Map<string, number>();
  for (const key of own.get('in-pre')?.keys() ?? []) {
    const peer = key.split(' ')[0] ?? '';
    counts.set(peer, (counts.get(peer) ?? 0) + 1);
  }
  for (const [peer, count] of counts) {
    add(peer, 'state', 'up');
    add(peer, 'adj-rib-in', String(count));
  }
  add('0.0.0.0', 'state', 'up');
  add('0.0.0.0', 'loc-rib', String(own.get('loc')?.size ?? 0));
  return sessions;
}

const statesOf = (read: Read): readonly (readonly [string, Told])[] =>
  [...(read.get('sessions') ?? [])].filter(([key]) => key.endsWith(' state'));

function addressOf(world: World, name: string): string {
  const party = world.parties.find(({ vendor }) => name === `${vendor.name}6`);
  return party?.site.ipv6.local ?? '';
}

function bmpRows(own: Read, name: string, version: string, read: Read): readonly ReaderRow[] {
  const none: Routes = new Map();
  return TABLES.filter((table) => table !== 'mrt' && table !== 'sessions').map((table) =>
    compare(name, version, table, expected(own, table, read) ?? none, read.get(table) ?? none),
  );
}

/** From its own log: "pmbmpd 1.7.8-git". */
function pmbmpdVersion(log: string): string {
  return existsSync(log) ? (/pmbmpd (\d[\d.]*)/.exec(readFileSync(log, 'utf8'))?.[1] ?? '?') : '?';
}
