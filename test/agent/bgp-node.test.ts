/**
 * What users write, through the agent's BGP into real daemons: two nodes and a router in network namespaces. Whatever is wrong with
 * one object, sessions stay, a new block of the node reaches the router, and the object is named for as long as it is wrong.
 */
import { expect } from 'chai';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SpeakerSummary } from 'node-bgp/speaker/view';
import { BgpLoop } from '../../src/agent/bgp-loop.js';
import { bgpReportOf } from '../../src/agent/bgp-status.js';
import { BGP_KINDS, NodeTopology } from '../../src/agent/node-topology.js';
import type { BGPConfigurationSpec, BGPFilterSpec, BGPPeerSpec } from '../../src/api/bgp.js';
import type { KindName } from '../../src/api/kinds.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { createLogger } from '../../src/log.js';
import { requestOverUnixSocket } from '../../src/unix-http.js';

const CLI = new URL('../../src/cli.js', import.meta.url).pathname;
const KINDS: readonly KindName[] = ['nodes', ...BGP_KINDS];

/** A bgpd of its own, in a namespace. */
class Daemon {
  readonly directory = mkdtempSync(join(tmpdir(), 'tortie-bgp-node-'));
  private child: ChildProcess | undefined;

  constructor(private readonly namespace: string) {}

  get socket(): string {
    return join(this.directory, 'bgpd.sock');
  }

  start(...more: readonly string[]): void {
    const argv = ['bgpd', '--run-dir', this.directory, '--state-dir', join(this.directory, 'state'), ...more];
    this.child = spawn('ip', ['netns', 'exec', this.namespace, process.execPath, CLI, ...argv], { stdio: 'ignore' });
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'close');
  }

  async ask<T>(path: string): Promise<T> {
    return (await requestOverUnixSocket(this.socket, 'GET', path)).body as T;
  }

  async end(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The agent's BGP on one node. */
class NodeBgp {
  blocks: { readonly cidr: string; readonly pool: string }[] = [];
  readonly loop: BgpLoop;

  constructor(node: string, cluster: Cluster, daemon: Daemon) {
    const log = createLogger('test', { level: 'silent' });
    const topology = new NodeTopology({
      node,
      namespace: 'tortie-system',
      cluster,
      onDemand: { need: () => undefined },
      kernel: { links: () => [{ name: 'eth0', prefixes: ['10.9.0.0/24'] }], loopbackAddresses: () => new Set() },
      blocks: () => this.blocks,
      endpoints: () => [],
      log,
      onWanted: () => undefined,
    });
    this.loop = new BgpLoop({
      socketPath: daemon.socket,
      compute: (heldFilters) => topology.compute(heldFilters),
      log,
      onHealth: () => undefined,
    });
    cluster.onChange(() => this.loop.changed());
  }

  get problems(): readonly string[] {
    const { problems, warnings = [] } = bgpReportOf(this.loop.status()).aspect;
    return [...problems, ...warnings];
  }
}

describe('BGP of a node, from resources to sessions', function () {
  this.timeout(120_000);
  const [first, second] = ['a', 'b'].map((end) => `tbn${process.pid}${end}`) as [string, string];
  const ip = (...argv: readonly string[]): string => execFileSync('ip', argv, { encoding: 'utf8' });
  const cluster = new Cluster(KINDS);
  let daemons: readonly [Daemon, Daemon, Daemon];
  let nodes: readonly [NodeBgp, NodeBgp];

  const until = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
    for (let left = 600; left > 0; left--) {
      try {
        if (await holds()) return;
      } catch {
        // A daemon that is not there yet.
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(
      `It never came true: ${what}; problems: ${nodes.map(({ problems }) => problems.join('; ')).join(' | ')}`,
    );
  };
  const isWell = (): boolean => nodes.every(({ problems }) => problems.length === 0);
  const routes = async (): Promise<readonly string[]> => {
    const { routes } = await daemons[2].ask<{ readonly routes: readonly { readonly prefix: string }[] }>('/v1/routes');
    return routes.map(({ prefix }) => prefix);
  };
  /** When each session of node1 came up: what flaps shows. */
  const upSince = async (): Promise<Readonly<Record<string, string>>> => {
    const { peers } = await daemons[0].ask<SpeakerSummary>('/v1/summary');
    return Object.fromEntries(
      peers.filter(({ isEstablished }) => isEstablished).map(({ address, since }) => [address, since]),
    );
  };
  const peer = (name: string, spec: BGPPeerSpec): void => cluster.upsert('bgpPeers', { metadata: { name }, spec });
  const noPeer = (name: string): void => cluster.delete('bgpPeers', { metadata: { name }, spec: {} });
  const configuration = (spec: BGPConfigurationSpec): void =>
    cluster.upsert('bgpConfigurations', { metadata: { name: 'default' }, spec });
  const filter = (name: string, spec: BGPFilterSpec): void =>
    cluster.upsert('bgpFilters', { metadata: { name }, spec });
  let count = 0;
  /** A block more, which the router hears of. */
  const claim = async (pool = 'v4'): Promise<string> => {
    const cidr = `10.65.${++count}.0/26`;
    nodes[0].blocks.push({ cidr, pool });
    nodes[0].loop.changed();
    await until(`${cidr} is at the router`, async () => (await routes()).includes(cidr));
    return cidr;
  };
  const tor: BGPPeerSpec = { node: 'node1', peerIP: '10.9.0.3', asNumber: 65001 };

  before(async () => {
    for (const namespace of [first, second]) ip('netns', 'add', namespace);
    ip('-n', first, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', second);
    for (const [namespace, addresses] of [
      [first, ['10.9.0.1/24']],
      [second, ['10.9.0.2/24', '10.9.0.3/24']],
    ] as const) {
      ip('-n', namespace, 'link', 'set', 'lo', 'up');
      for (const address of addresses) ip('-n', namespace, 'addr', 'add', address, 'dev', 'eth0');
      ip('-n', namespace, 'link', 'set', 'eth0', 'up');
    }
    daemons = [new Daemon(first), new Daemon(second), new Daemon(second)];
    nodes = [new NodeBgp('node1', cluster, daemons[0]), new NodeBgp('node2', cluster, daemons[1])];
    const file = join(daemons[2].directory, 'tor.yaml');
    writeFileSync(
      file,
      JSON.stringify({
        localAs: 65001,
        routerId: '10.9.0.3',
        listen: [{ address: '10.9.0.3' }],
        requirePolicy: false,
        peers: [{ address: '10.9.0.1', remoteAs: 64512, localAddress: '10.9.0.3', connectRetryTime: 1 }],
      }),
    );
    daemons[0].start();
    daemons[1].start();
    daemons[2].start('--config', file);
    // The router shares the second namespace: node2 leaves its address to it.
    configuration({ bindMode: 'NodeIP' });
    for (const n of [1, 2])
      cluster.upsert('nodes', {
        metadata: { name: `node${n}` },
        status: { addresses: [{ type: 'InternalIP', address: `10.9.0.${n}` }] },
      });
    peer('tor', tor);
    for (const { loop } of nodes) loop.start();
    await until('all sessions are up', isWell);
  });
  after(async () => {
    for (const { loop } of nodes ?? []) loop.stop();
    for (const daemon of daemons ?? []) await daemon.end();
    for (const namespace of [first, second]) ip('netns', 'del', namespace);
  });

  const faults: readonly (readonly [string, () => void, () => void, RegExp])[] = [
    [
      'a Node object left over with its address',
      () =>
        cluster.upsert('nodes', {
          metadata: { name: 'node1-old', annotations: { 'projectcalico.org/IPv4Address': '10.9.0.1/32' } },
        }),
      () => cluster.delete('nodes', { metadata: { name: 'node1-old' } }),
      /^Node\/node1-old has the address 10\.9\.0\.1/,
    ],
    [
      'a link-local peer without its link',
      () => peer('bad', { node: 'node1', peerIP: 'fe80::1', asNumber: 65001 }),
      () => noPeer('bad'),
      /^BGPPeer\/bad spec\.peerIP is "fe80::1"/,
    ],
    [
      'a password of 81 octets',
      () => {
        cluster.upsert('secrets', {
          metadata: { name: 'long', namespace: 'tortie-system' },
          data: { key: Buffer.from('x'.repeat(81)).toString('base64') },
        });
        peer('bad', {
          node: 'node1',
          peerIP: '10.9.0.9',
          asNumber: 1,
          password: { secretKeyRef: { name: 'long', key: 'key' } },
        });
      },
      () => noPeer('bad'),
      /^BGPPeer\/bad spec\.password\.secretKeyRef names key "key" of secret "tortie-system\/long"/,
    ],
    [
      'values of BGPConfiguration that cannot be',
      () =>
        configuration({
          bindMode: 'NodeIP',
          nodeMeshMaxRestartTime: '2h',
          prefixAdvertisements: [{ cidr: '10.65.0.0/16', communities: ['65536:100'] }],
        }),
      () => configuration({ bindMode: 'NodeIP' }),
      /^BGPConfiguration\/default spec\.nodeMeshMaxRestartTime is "2h"/,
    ],
    [
      'a rule that cannot be, in a filter of the router',
      () => {
        filter('odd', {
          importV4: [{ action: 'Accept', cidr: '10.0.0.0/8', matchOperator: 'In', prefixLength: { min: 28, max: 24 } }],
        });
        peer('tor', { ...tor, filters: ['odd'] });
      },
      () => peer('tor', tor),
      /^BGPFilter\/odd spec\.importV4\[0\]\.prefixLength/,
    ],
  ];
  for (const [what, make, undo, told] of faults)
    it(`lives with ${what}`, async () => {
      const before = await upSince();
      make();
      await until('it is told', () => nodes[0].problems.some((text) => told.test(text)));
      await claim();
      expect(await upSince()).to.deep.equal(before);
      undo();
      await until('it is no longer told', isWell);
      expect(await upSince()).to.deep.equal(before);
    });

  it('filters as a BGPFilter says, and goes on so when that is deleted', async () => {
    const before = await upSince();
    const [kept, held] = [await claim(), await claim()];
    filter('only', { exportV4: [{ action: 'Reject', cidr: held, matchOperator: 'Equal' }] });
    peer('tor', { ...tor, filters: ['only'] });
    await until('it is held back', async () => !(await routes()).includes(held));
    cluster.delete('bgpFilters', { metadata: { name: 'only' }, spec: {} });
    await until('it is told', () =>
      nodes[0].problems.some((text) => text.startsWith('BGPPeer/tor spec.filters[0] is "only"')),
    );
    await claim();
    expect(await routes())
      .to.include(kept)
      .and.not.to.include(held);
    expect(await upSince()).to.deep.equal(before);
    peer('tor', tor);
    await until('it is there again', async () => (await routes()).includes(held));
    await until('nothing is told', isWell);
    expect(await upSince()).to.deep.equal(before);
  });

  it('announces nothing of a pool that stays inside', async () => {
    cluster.upsert('ipPools', { metadata: { name: 'quiet' }, spec: { cidr: '10.76.0.0/16', disableBGPExport: true } });
    nodes[0].blocks.push({ cidr: '10.76.0.0/26', pool: 'quiet' });
    await claim();
    expect(await routes()).to.not.include('10.76.0.0/26');
  });

  it('lets an explicit peer take over the session of the mesh', async () => {
    const before = await upSince();
    peer('explicit', { node: 'node1', peerIP: '10.9.0.2', asNumber: 64512, reversePeering: 'Manual' });
    await until('it has its name', async () =>
      (await daemons[0].ask<SpeakerSummary>('/v1/summary')).peers.some(({ name }) => name === 'explicit'),
    );
    await claim();
    expect(await upSince()).to.deep.equal(before);
    noPeer('explicit');
    await until('the mesh has it again', async () =>
      (await daemons[0].ask<SpeakerSummary>('/v1/summary')).peers.some(({ name }) => name === 'mesh-node2-v4'),
    );
    expect(await upSince()).to.deep.equal(before);
  });

  it('listens on another port without losing a session, and finds peers there afterwards', async () => {
    const before = await upSince();
    configuration({ bindMode: 'NodeIP', listenPort: 1790 });
    await until('both listen there', async () => {
      const summaries = await Promise.all(
        [daemons[0], daemons[1]].map((each) => each.ask<SpeakerSummary>('/v1/summary')),
      );
      return summaries.every(({ listen }) => listen.length === 1 && listen[0]?.port === 1790);
    });
    await until('all is well', isWell);
    expect(await upSince()).to.deep.equal(before);
    await requestOverUnixSocket(daemons[0].socket, 'POST', '/v1/clear', { peer: 'mesh-node2-v4' });
    await until('it is back', async () => {
      const now = (await upSince())['10.9.0.2'];
      return now !== undefined && now !== before['10.9.0.2'];
    });
    configuration({ bindMode: 'NodeIP' });
    await until('all is well again', isWell);
  });

  it('tells a bgpd that has lost all it knew', async () => {
    await daemons[0].kill();
    await until('it is told', () => nodes[0].problems.length > 0);
    rmSync(join(daemons[0].directory, 'state'), { recursive: true, force: true });
    daemons[0].start();
    await until('all is well', isWell);
    await claim();
  });
});
