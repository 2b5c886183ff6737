/**
 * Calico's fields of BGPPeer, BGPConfiguration, BGPFilter and IPPool from `kubectl apply` to a router that nobody here wrote: BIRD. One
 * rack for all of them. The far routers are BIRDs on the outside host, two hops from node1, one for each way to set up a session.
 */
import { expect } from 'chai';
import { join } from 'node:path';
import type { BfdStatus } from 'node-bgp/bfd/contract';
import { findPlace } from '../../src/lab/devices.js';
import { labPaths } from '../../src/lab/state-dir.js';
import type { LabView } from '../../src/lab/tour/lab-view.js';
import { requestOverUnixSocket } from '../../src/unix-http.js';
import { NODE1, far, FAR, birdConfig, bgpPeer, bgpFilter, FILTERS } from './far-routers.js';
import { RackBird } from './rack-bird.js';
import { apply, deletePod, patch, readyPod, soon, useRack } from './rack-fixture.js';
import { speakingPod } from './speaking-pod.js';

describe("lab, Calico's BGP fields at a router", function () {
  this.timeout(90_000);
  const rack = useRack('f');
  const birds = new Map<number, RackBird>();
  let block = '';

  before(async function () {
    this.timeout(90_000);
    const view = rack();
    const { netns } = await findPlace(view.record.name, 'outside');
    for (const router of FAR) {
      await view.output(
        'outside',
        'ip',
        'address',
        'add',
        `${far(router.index)}/${router.index < 22 ? 32 : 128}`,
        'dev',
        'lo',
      );
      birds.set(router.index, await RackBird.start(netns, birdConfig(router)));
    }
    await apply(
      view,
      ...FILTERS,
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'far', namespace: 'tortie-system' },
        stringData: { k: 'far-key' },
      },
      ...FAR.map(bgpPeer),
    );
    await patch(view, 'bgpconfiguration/default', {
      communities: [{ name: 'pods', value: '64512:111' }],
      prefixAdvertisements: [
        { cidr: '10.65.0.0/16', communities: ['pods', '64512:112', '4200000000:7:8'] },
        { cidr: '10.96.0.0/12', communities: ['64512:96'] },
      ],
      serviceClusterIPs: [{ cidr: '10.96.0.0/16' }],
      serviceExternalIPs: [{ cidr: '192.0.2.0/24' }],
    });
    block = await soon(
      'a block of node1',
      async () =>
        /blackhole (10\.65\.\S+)/.exec(await view.output('node1', 'ip', 'route', 'show', 'type', 'blackhole'))?.[1],
    );
  });
  after(async () => {
    for (const bird of birds.values()) await bird.stop();
  });

  const birdc = (index: number, ...words: readonly string[]): Promise<string> => {
    const bird = birds.get(index);
    if (bird === undefined) throw new Error(`There is no far router ${index}`);
    return bird.birdc(...words);
  };
  /** What a node's bgpd answers. */
  const ask = async <T>(node: string, path: string): Promise<T> => {
    const socket = join(labPaths(rack().record.name).node(node).run, 'bgpd.sock');
    return (await requestOverUnixSocket(socket, 'GET', path)).body as T;
  };
  const bfdOf = async (node: string): Promise<readonly BfdStatus[]> =>
    (await ask<{ readonly sessions: readonly BfdStatus[] }>(node, '/v1/bfd')).sessions;
  const established = (index: number): Promise<string> =>
    soon(`far${index} to be Established`, async () => {
      const text = await birdc(index, 'show', 'protocols', 'all', 'node');
      return /BGP state:\s+Established/.test(text) && text;
    });
  /** What the far router has of a prefix, once that is as it should be. */
  const routeAt = (index: number, prefix: string, pattern: RegExp): Promise<string> =>
    soon(`far${index} to have ${prefix} with ${pattern.source}`, async () => {
      await established(index);
      const text = await birdc(index, 'show', 'route', prefix, 'protocol', 'node', 'all').catch(() => '');
      return pattern.test(text) && text;
    });
  const prefixesAt = async (index: number): Promise<readonly string[]> => {
    const text = await birdc(index, 'show', 'route', 'protocol', 'node');
    return [...text.matchAll(/^(\d\S+)\s/gm)].flatMap(([, prefix]) => prefix ?? []).sort();
  };
  const problemsOf = async (view: LabView, node: string): Promise<string> =>
    view.kubectl(['get', 'nodestatus', node, '-o', 'jsonpath={.status.conditions[?(@.type=="BGPReady")].message}']);

  it('peers with a router behind a router, and says the communities of prefixAdvertisements', async () => {
    const pods = await routeAt(11, block, /BGP\.community: \(64512,111\) \(64512,112\)\n/);
    expect(pods)
      .to.match(/BGP\.as_path: 64512\n/)
      .and.match(/BGP\.next_hop: 10\.0\.0\.1\n/);
    expect(pods).to.match(/BGP\.large_community: \(4200000000, 7, 8\)\n/);
    const service = await routeAt(11, '10.96.0.0/16', /BGP\.community: \(64512,96\)\n/);
    expect(service).to.not.contain('large_community');
    await routeAt(11, '192.0.2.0/24', /BGP\.as_path: 64512\n/);
  });

  it('runs BFD as long as the resource wants it, with its interval', async () => {
    await established(11);
    const session = (state: string): Promise<string> =>
      soon(`BFD ${state}`, async () => {
        const text = await birdc(11, 'show', 'bfd', 'sessions');
        const line = text.split('\n').find((each) => each.startsWith(NODE1));
        return (line?.split(/\s+/)[2] ?? 'none') === state && `${text} `;
      });
    await session('Up');
    const mine = (await bfdOf('node1')).find(({ config }) => config.peer === far(11));
    expect(mine?.config).to.deep.include({
      multihop: true,
      transmitInterval: 200,
      receiveInterval: 200,
      multiplier: 3,
    });
    await patch(rack(), 'bgppeer/far-11', { bfd: { enabled: false } });
    await soon(
      'BFD off at the node',
      async () => !(await bfdOf('node1')).some(({ config }) => config.peer === far(11)),
    );
    await patch(rack(), 'bgppeer/far-11', { bfd: { enabled: null, multiplier: 5 } });
    await session('Up');
  });

  it('runs BFD between the nodes with nodeMeshBfd, and not without', async () => {
    const mesh = async (): Promise<number> => (await bfdOf('node2')).filter(({ state }) => state === 'up').length;
    await patch(rack(), 'bgpconfiguration/default', { nodeMeshBfd: {} });
    await soon('four BFD sessions of node2', async () => (await mesh()) === 4);
    await patch(rack(), 'bgpconfiguration/default', { nodeMeshBfd: null });
    await soon('no BFD session of node2', async () => (await mesh()) === 0);
  });

  it('exports what the first rule of a BGPFilter that matches says, changed as it says', async () => {
    const text = await routeAt(12, block, /BGP\.community: \(64512,111\) \(64512,112\) \(64512,222\)\n/);
    expect(text).to.match(/BGP\.as_path: 64512 64512 65556\n/);
    expect(text).to.match(/BGP\.large_community: .*\(64512, 1, 2\)/);
    const others = (await prefixesAt(12)).filter((prefix) => !/^10\.65\.\S+\/26$/.test(prefix));
    expect(others, 'the service range and node1 have other communities').to.deep.equal([]);
  });

  it('filters between two nodes that peerSelector makes peers, at both ends', async () => {
    const view = rack();
    const exchanged = async (node: string, other: string): Promise<string> => {
      const { peers } = await ask<{
        readonly peers: readonly {
          readonly name: string;
          readonly isEstablished: boolean;
          readonly families: Readonly<Record<string, { readonly received: number; readonly advertised: number }>>;
        }[];
      }>(node, '/v1/summary');
      const found = peers.find(({ name }) => name === `pair-${other}-v4`);
      const { received, advertised } = found?.families['ipv4'] ?? {};
      return found?.isEstablished === true ? `${received} in, ${advertised} out` : 'not up';
    };
    const pair = (filters: readonly string[]): object => ({
      apiVersion: 'projectcalico.org/v3',
      kind: 'BGPPeer',
      metadata: { name: 'pair' },
      spec: {
        nodeSelector: "kubernetes.io/hostname == 'node2'",
        peerSelector: "kubernetes.io/hostname == 'node3'",
        filters,
      },
    });
    await apply(view, bgpFilter('nothing', { exportV4: [{ action: 'Reject' }] }), pair(['nothing']));
    for (const [node, other] of [
      ['node2', 'node3'],
      ['node3', 'node2'],
    ] as const)
      await soon(`${node} to tell ${other} nothing`, async () => (await exchanged(node, other)) === '0 in, 0 out');
    await apply(view, pair([]));
    await soon(
      'both to tell their block and both ranges of Services',
      async () => (await exchanged('node2', 'node3')) === '3 in, 3 out',
    );
    await view.kubectl(['delete', 'bgppeer', 'pair']);
  });

  it('is another AS to one peer, with nothing else in the path', async () => {
    await routeAt(13, block, /BGP\.as_path: 65546\n/);
    // That peer's own AS: the session is internal.
    await routeAt(10, block, /BGP\.as_path: ?\n/);
  });

  it('asks for the hops that packets may have come (GTSM), and for a password', async () => {
    await established(14);
    await established(15);
    // This one's packets come with a TTL of 64.
    await established(16);
    await patch(rack(), 'bgppeer/far-16', { ttlSecurity: 3 });
    await soon(
      'a session from too far to end',
      async () => !/Established/.test(await birdc(16, 'show', 'protocols', 'all', 'node')),
    );
    await patch(rack(), 'bgppeer/far-16', { ttlSecurity: null });
    await established(16);
  });

  it('passes on what a filter accepts, with the next hop that nextHopMode and keepOriginalNextHop ask for', async () => {
    const routers = ['10.1.1.2', '10.1.2.0'];
    const hops = await Promise.all(
      [16, 17, 18, 19, 20].map(async (index) => {
        const hop = /BGP\.next_hop: (\S+)/.exec(await routeAt(index, '10.0.255.1/32', /next_hop/))?.[1] ?? '';
        return [index, routers.includes(hop) ? 'original' : hop];
      }),
    );
    expect(hops).to.deep.equal([
      [16, NODE1],
      [17, 'original'],
      [18, 'original'],
      [19, 'original'],
      [20, NODE1],
    ]);
    expect(await prefixesAt(16)).to.deep.equal(['10.0.255.1/32']);
  });

  it('keeps a route to a peer through reachableBy, and imports what its filter accepts at the priority it sets', async () => {
    const view = rack();
    const hostRoute = (): Promise<string> => view.output('node1', 'ip', 'route', 'show', far(21), 'proto', 'tortie');
    await soon('the host route', async () => (await hostRoute()).includes('via 10.1.1.2 dev eth0'));
    await established(21);
    await view.output('node1', 'ip', 'route', 'del', far(21), 'proto', 'tortie');
    await soon('the host route to be back', async () => (await hostRoute()).includes('via 10.1.1.2 dev eth0'));
    const route = (prefix: string): Promise<string> =>
      view.output('node1', 'ip', 'route', 'show', prefix, 'proto', 'tortie-bgp');
    await soon('the first prefix', async () => /via 10\.1\.1\.2 .*metric 77/.test(await route('198.51.100.0/26')));
    await soon('the second prefix', async () => / metric 20/.test(await route('198.51.100.64/26')));
    expect(await route('198.51.100.128/26')).to.equal('');
    await patch(view, 'bgppeer/far-21', { reachableBy: '192.0.2.99' });
    await soon('the object to say that the gateway is on no link', async () =>
      (await view.kubectl(['get', 'bgppeer', 'far-21', '-o', 'jsonpath={.status.conditions[*].message}'])).includes(
        'spec.reachableBy is "192.0.2.99"; expected a gateway on a link of this node',
      ),
    );
    await patch(view, 'bgppeer/far-21', { reachableBy: 'fd00:1:0:1::2' });
    await soon('the other family to be told', async () =>
      (await problemsOf(view, 'node1')).includes('BGPPeer/far-21 spec.reachableBy'),
    );
    await view.kubectl(['delete', 'bgppeer', 'far-21']);
    await soon('the host route to go with its peer', async () => (await hostRoute()) === '' && 'gone');
  });

  it('does the same over IPv6', async () => {
    const view = rack();
    await soon('the host route', async () =>
      (await view.output('node1', 'ip', '-6', 'route', 'show', far(22), 'proto', 'tortie')).includes(
        'via fd00:1:0:1::2 dev eth0',
      ),
    );
    const own = await soon(
      'a block of node1',
      async () =>
        /blackhole (fd00:65:\S+)/.exec(
          await view.output('node1', 'ip', '-6', 'route', 'show', 'type', 'blackhole'),
        )?.[1],
    );
    await routeAt(22, own, /BGP\.as_path: 65546\n(.*\n)*.*BGP\.community: \(64512,6\)\n/);
    expect((await prefixesAt(22)).filter((prefix) => !/^fd00:65:\S+\/122$/.test(prefix))).to.deep.equal([]);
    const route = (prefix: string): Promise<string> =>
      view.output('node1', 'ip', '-6', 'route', 'show', prefix, 'proto', 'tortie-bgp');
    await soon('the prefix that is let in', async () =>
      /via fd00:1:0:1::2 dev eth0.* metric 88/.test(await route('2001:db8:a::/48')),
    );
    expect(await route('2001:db8:b::/48')).to.equal('');
  });

  it('announces no block of a pool with disableBGPExport, to routers or nodes', async () => {
    const view = rack();
    await apply(view, {
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: { name: 'quiet' },
      spec: { cidr: '10.77.0.0/16', disableBGPExport: true, nodeSelector: "kubernetes.io/hostname == 'node1'" },
    });
    const pod = await readyPod(view, 'quiet', {
      annotations: { 'cni.projectcalico.org/ipv4pools': '["quiet"]' },
      spec: { nodeName: 'node1' },
    });
    expect(pod.status.podIP).to.match(/^10\.77\./);
    const seen = async (): Promise<readonly string[]> => [
      await view.output('tor1', 'birdc', 'show', 'route'),
      await view.output('node2', 'ip', 'route'),
      await birdc(11, 'show', 'route'),
    ];
    expect((await seen()).join('\n')).to.not.contain('10.77.');
    // The same pool, open: the proof that it would have been seen.
    await patch(view, 'ippool/quiet', { disableBGPExport: false });
    await soon('the block everywhere', async () => (await seen()).every((text) => text.includes('10.77.')));
    await patch(view, 'ippool/quiet', { disableBGPExport: true });
    await soon('the block nowhere', async () => (await seen()).every((text) => !text.includes('10.77.')));
    await deletePod(view, 'quiet');
  });

  it('listens where bindMode and the port of node.NAME say, and the others dial that port', async () => {
    const view = rack();
    const listening = async (): Promise<readonly string[]> =>
      [...(await view.output('node3', 'ss', '-Hltn')).matchAll(/\s(\S+:(?:179|1790))\s/g)]
        .flatMap(([, socket]) => socket ?? [])
        .sort();
    expect(await listening()).to.deep.equal(['0.0.0.0:179', '[::]:179']);
    await apply(view, {
      apiVersion: 'projectcalico.org/v3',
      kind: 'BGPConfiguration',
      metadata: { name: 'node.node3' },
      spec: { listenPort: 1790, bindMode: 'NodeIP', logSeverityScreen: 'Debug' },
    });
    await soon('node3 to listen there only', async () => {
      const sockets = await listening();
      return sockets.join() === '10.0.0.3:1790,[fd00::3]:1790' && 'yes';
    });
    const dialled = async (): Promise<boolean> => {
      const { peers } = await ask<{ readonly peers: readonly { readonly name: string; readonly port?: number }[] }>(
        'node1',
        '/v1/config',
      );
      return peers.filter(({ name, port }) => name.startsWith('mesh-node3') && port === 1790).length === 2;
    };
    await soon('node1 to be told of the port', dialled);
    await soon('the mesh of node1 to be up', async () => {
      const { peers } = await ask<{
        readonly peers: readonly { readonly name: string; readonly isEstablished: boolean }[];
      }>('node1', '/v1/summary');
      return peers.filter(({ name, isEstablished }) => name.startsWith('mesh-node3') && isEstablished).length === 2;
    });
    await view.kubectl(['delete', 'bgpconfiguration', 'node.node3']);
    await soon('node3 to listen everywhere again', async () => {
      const sockets = await listening();
      return sockets.join() === '0.0.0.0:179,[::]:179' && 'yes';
    });
  });

  it('writes routes at the normal priority of their family', async () => {
    const view = rack();
    const metrics = async (): Promise<string> => {
      const ipv4 = await view.output('node1', 'ip', '-4', 'route', 'show', '10.0.255.2', 'proto', 'tortie-bgp');
      const ipv6 = await view.output('node1', 'ip', '-6', 'route', 'show', 'default', 'proto', 'tortie-bgp');
      return [ipv4, ipv6].map((text) => [...new Set(text.match(/metric \d+/g))].join()).join(' and ');
    };
    await soon('the default', async () => (await metrics()) === 'metric 20 and metric 20');
    await patch(view, 'bgpconfiguration/default', { ipv4NormalRoutePriority: 700, ipv6NormalRoutePriority: 800 });
    await soon('what the resource says', async () => (await metrics()) === 'metric 700 and metric 800');
    await patch(view, 'bgpconfiguration/default', { ipv4NormalRoutePriority: null, ipv6NormalRoutePriority: null });
    await soon('the default again', async () => (await metrics()) === 'metric 20 and metric 20');
  });

  it('takes an ignored interface for no link', async () => {
    const view = rack();
    await patch(view, 'bgpconfiguration/default', { ignoredInterfaces: ['eth1'] });
    await soon('no way over eth1', async () => {
      const text = await view.output('node1', 'ip', 'route', 'show', '10.0.255.2', 'proto', 'tortie-bgp');
      return !text.includes('eth1') && 'none';
    });
    await patch(view, 'bgpconfiguration/default', { ignoredInterfaces: null });
    await soon('the way over eth1', async () =>
      (await view.output('node1', 'ip', 'route', 'show', '10.0.255.2', 'proto', 'tortie-bgp')).includes('eth1'),
    );
  });

  speakingPod(rack, routeAt);
});
