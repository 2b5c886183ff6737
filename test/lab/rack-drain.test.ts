/**
 * Nodes that are taken out of service, one after another, under traffic: what the routers hear of it, in which order, and that nothing is
 * lost of what can move.
 */
import { expect } from 'chai';
import type { WhyJson } from '../../src/bgpd/route-view.js';
import { attempt, type CommandResult } from '../../src/lab/command.js';
import { labPaths } from '../../src/lab/state-dir.js';
import { describeStream, startStream, type Stream, type StreamSpec } from '../../src/lab/stream.js';
import { tortieArgv } from '../../src/lab/tortie-argv.js';
import { ipOf } from '../../src/lab/tour/lab-view.js';
import { configureBird, routesAt } from '../faults/bgp-rows.js';
import { apply, readyPod, soon, useRack } from './rack-fixture.js';

const NODES = ['node1', 'node2', 'node3'];
const ECHO = 7;
/** The range that every node tells, and the addresses in it that only nodes with an endpoint do. */
const RANGE = { 4: '192.0.2.128/25', 6: '2001:db8:2::/64' } as const;
const EVERYWHERE = { 4: '192.0.2.130', 6: '2001:db8:2::2' } as const;
const LOCAL = { 4: '192.0.2.140', 6: '2001:db8:2::c' } as const;
const FAMILIES = [4, 6] as const;

interface NodeStatus {
  readonly status?: {
    readonly drain?: { readonly cause: string; readonly phase: string; readonly kept?: readonly string[] };
    readonly blocks?: readonly string[];
  };
}

const service = (name: string, addresses: Readonly<Record<4 | 6, string>>, externalTrafficPolicy: string): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: {
    type: 'NodePort',
    externalTrafficPolicy,
    externalIPs: Object.values(addresses),
    ipFamilyPolicy: 'RequireDualStack',
    selector: { app: 'drain-echo' },
    ports: [{ name: 'echo', port: ECHO, protocol: 'UDP' }],
  },
});

describe('a rack whose nodes are drained', function () {
  this.timeout(240_000);
  const rack = useRack('tdrn');

  const tortie = (...args: readonly string[]): Promise<CommandResult> =>
    attempt(tortieArgv(...args), undefined, {
      env: { ...process.env, KUBECONFIG: labPaths(rack().record.name).kubeconfig },
    });
  const statusOf = async (node: string): Promise<NodeStatus['status']> =>
    (JSON.parse(await rack().kubectl(['get', 'nodestatus', node, '-o', 'json'])) as NodeStatus).status;
  const drainOf = async (node: string): Promise<string> => (await statusOf(node))?.drain?.phase ?? 'none';
  /** Of a prefix, what tor1 hears from a node: 'told', 'marked', or 'gone'. */
  const heard = async (node: string, prefix: string): Promise<'told' | 'marked' | 'gone'> => {
    const protocol = `${node}_${prefix.includes(':') ? 6 : 4}`;
    const text = await routesAt(rack(), 'tor1', prefix, 'all', 'protocol', protocol).catch(() => '');
    if (!text.includes('BGP.as_path')) return 'gone';
    return text.includes('(65535,0)') ? 'marked' : 'told';
  };
  const why = async (node: string, prefix: string): Promise<WhyJson['candidates']> =>
    (JSON.parse(await rack().output(node, 'tortie', 'bgp', 'why', prefix, '-o', 'json')) as WhyJson).candidates;
  const serviceRoutes = FAMILIES.flatMap((family) => [RANGE[family], `${LOCAL[family]}/${family === 4 ? 32 : 128}`]);
  const everyRoute = async (node: string, state: string): Promise<boolean> =>
    (await Promise.all(serviceRoutes.map((prefix) => heard(node, prefix)))).every((each) => each === state);
  const blocksHeard = async (node: string): Promise<boolean> => {
    const blocks = (await statusOf(node))?.blocks ?? [];
    return (
      blocks.length > 0 &&
      (await Promise.all(blocks.map((block) => heard(node, block)))).every((each) => each === 'told')
    );
  };
  const inService = (node: string): Promise<boolean> =>
    soon(`${node} in service`, async () => (await drainOf(node)) === 'none' && (await everyRoute(node, 'told')));

  const streams = async (node: string): Promise<readonly Stream[]> => {
    const view = rack();
    const [outside] = view.rack.outside;
    const there = await view.pod((pod) => pod.name === `echo-${node}`);
    const elsewhere = await view.pod((pod) => pod.name.startsWith('echo-') && pod.node !== node);
    const specs = FAMILIES.flatMap((family): readonly StreamSpec[] => {
      const way = (label: string, netns: string | undefined, to: string, isFresh = true): StreamSpec => ({
        label: `${label}, IPv${family}`,
        netns: netns ?? '',
        to,
        port: ECHO,
        protocol: 'udp',
        isFresh,
      });
      return [
        // Flows that stay: a source port that comes again while a node still tracks its last use is lost now and then, drained or not.
        ...[1, 2, 3].map((each) =>
          way(`outside to a Service of all nodes, flow ${each}`, outside?.netns, EVERYWHERE[family], false),
        ),
        way('outside to a Local Service', outside?.netns, LOCAL[family]),
        way('outside to a pod of the node', outside?.netns, ipOf(there, family)),
        way('a pod elsewhere to one of the node', elsewhere.netns, ipOf(there, family)),
        way('a pod of the node to a Service', there.netns, EVERYWHERE[family]),
      ];
    });
    const started: Stream[] = [];
    for (const spec of specs) started.push(await startStream(spec));
    return started;
  };
  const nothingLost = async (running: readonly Stream[]): Promise<void> => {
    const results = await Promise.all(running.map((stream) => stream.stop()));
    // All of them at once: which flows lose is what tells why.
    const hurt = results.filter(({ lost, error, received }) => lost > 0 || error !== '' || received <= 100);
    expect(hurt.map(describeStream)).to.deep.equal([]);
  };

  before(async () => {
    await rack().kubectl([
      ...['patch', 'bgpconfiguration', 'default', '--type=merge', '-p'],
      JSON.stringify({ spec: { serviceExternalIPs: FAMILIES.map((family) => ({ cidr: RANGE[family] })) } }),
    ]);
    await apply(rack(), service('everywhere', EVERYWHERE, 'Cluster'), service('local', LOCAL, 'Local'));
    for (const node of NODES)
      await readyPod(rack(), `echo-${node}`, {
        labels: { app: 'drain-echo' },
        ports: [{ containerPort: ECHO, protocol: 'UDP' }],
        spec: { nodeName: node, terminationGracePeriodSeconds: 1 },
      });
    for (const node of NODES) await inService(node);
  });

  for (const node of NODES)
    it(`${node}: marked, then left to others, and back, and no packet is lost`, async () => {
      const running = await streams(node);
      /** States of the range at the router, in order. */
      const seen: string[] = [];
      let isWatching = true;
      const watching = (async (): Promise<void> => {
        while (isWatching) {
          const state = await heard(node, RANGE[4]);
          if (seen.at(-1) !== state) seen.push(state);
        }
      })();
      try {
        const { code, stdout, stderr } = await tortie('drain', node);
        expect(code, stdout + stderr).to.equal(0);
        await soon('nothing of Services from it', () => everyRoute(node, 'gone'));
        expect(await blocksHeard(node), 'blocks of pods that are there').to.equal(true);
        expect((await statusOf(node))?.drain).to.include({ cause: 'Requested', phase: 'Withdrawn' });
        const undone = await tortie('drain', node, '--undo');
        expect(undone.code, undone.stdout + undone.stderr).to.equal(0);
        await inService(node);
      } finally {
        isWatching = false;
        await watching;
        await nothingLost(running);
      }
      expect(seen).to.deep.equal(['told', 'marked', 'gone', 'told']);
    });

  it('of a node that is not there it says so', async () => {
    const { code, stderr } = await tortie('drain', 'nowhere');
    expect([code, stderr.trim()]).to.deep.equal([1, 'Cannot drain: there is no node "nowhere"']);
  });

  it('a node that is drained stays so while its agent starts anew', async () => {
    expect((await tortie('drain', 'node1')).code).to.equal(0);
    const startedAt = (): Promise<string> =>
      rack().kubectl(['get', 'nodestatus', 'node1', '-o', 'jsonpath={.status.agent.startedAt}']);
    const before = await startedAt();
    await rack().process({ name: 'node1 agent', action: 'kill' });
    const seen = new Set<string>();
    await soon('another agent that has told bgpd', async () => {
      seen.add(await heard('node1', RANGE[4]));
      const conditions = await rack().kubectl(['get', 'nodestatus', 'node1', '-o', 'jsonpath={.status.conditions}']);
      return (await startedAt()) !== before && /"status":"True","type":"BGPReady"/.test(conditions);
    });
    seen.add(await heard('node1', RANGE[4]));
    expect([...seen]).to.deep.equal(['gone']);
    expect((await tortie('drain', 'node1', '--undo')).code).to.equal(0);
    await inService('node1');
  });

  it('keeps told what nobody else would tell, marked, and says so', async () => {
    for (const node of NODES) await rack().kubectl(['annotate', 'node', node, 'tortie.dev/drain=now']);
    await soon('all nodes past their wait', async () =>
      (await Promise.all(NODES.map(drainOf))).every((phase) => phase === 'Withdrawn'),
    );
    for (const node of NODES) expect(await everyRoute(node, 'marked'), node).to.equal(true);
    // Inside the AS the preference says it: RFC 8326 section 4.2.
    const inside = (await why('node1', RANGE[4])).filter(({ source }) => source === 'ibgp');
    expect(inside.map(({ localPreference }) => localPreference)).to.deep.equal([0, 0]);
    const { code, stdout } = await tortie('drain', 'node2', '--timeout', '1', '-o', 'json');
    expect(code, stdout).to.equal(1);
    expect((JSON.parse(stdout) as { drain: { kept: readonly string[] } }).drain.kept).to.have.members(serviceRoutes);
    await nothingLost(
      await streams('node2').then((running) => new Promise((resolve) => setTimeout(() => resolve(running), 2_000))),
    );
    for (const node of NODES) await rack().kubectl(['annotate', 'node', node, 'tortie.dev/drain-']);
    for (const node of NODES) await inService(node);
  });

  it('leaves a router that drains its own route for another way, and comes back to it', async () => {
    const undo: (() => Promise<void>)[] = [];
    const best = async (): Promise<string> =>
      (await why('node1', '198.18.0.0/24'))
        .filter(({ isBest }) => isBest)
        .map(({ peer }) => peer ?? '')
        .join();
    const known = (community: string): string =>
      `protocol static drained { ipv4; route 198.18.0.0/24 blackhole { ${community} }; }`;
    try {
      undo.push(await configureBird(rack(), 'tor1', known('bgp_community.add((65535, 0));')));
      undo.push(await configureBird(rack(), 'tor2', known('bgp_community.add((65001, 7));')));
      await soon('the way by tor2', async () => (await best()) === 'node1-tor2-ipv4');
      const drained = (await why('node1', '198.18.0.0/24')).find(({ peer }) => peer === 'node1-tor1-ipv4');
      expect(drained).to.include({ isBest: false, isMultipath: false });
      expect(drained?.reason).to.match(/LOCAL_PREF/i);
      await undo.shift()?.();
      undo.unshift(await configureBird(rack(), 'tor1', known('bgp_community.add((65001, 7));')));
      await soon(
        'both ways again',
        async () =>
          (await why('node1', '198.18.0.0/24')).filter(({ isMultipath, isBest }) => isBest || isMultipath).length === 2,
      );
    } finally {
      for (const each of undo) await each();
    }
  });

  it("goes by the autoscaler's taint", async () => {
    await rack().kubectl(['taint', 'node', 'node3', 'ToBeDeletedByClusterAutoscaler=1:NoSchedule']);
    await soon('nothing of Services from node3', () => everyRoute('node3', 'gone'));
    expect((await statusOf('node3'))?.drain?.cause).to.equal('Autoscaler');
    await rack().kubectl(['taint', 'node', 'node3', 'ToBeDeletedByClusterAutoscaler-']);
    await inService('node3');
  });

  it('a cordon drains nothing; evictions after it do, and blocks go with the last pod', async () => {
    await rack().kubectl(['cordon', 'node2']);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(await everyRoute('node2', 'told')).to.equal(true);
    expect(await drainOf('node2')).to.equal('none');
    const blocks = (await statusOf('node2'))?.blocks ?? [];
    expect(blocks).to.have.length.greaterThan(0);
    await rack().kubectl([
      'drain',
      'node2',
      '--force',
      '--ignore-daemonsets',
      '--delete-emptydir-data',
      '--timeout=60s',
    ]);
    await soon('everything gone from node2', async () =>
      (await Promise.all(blocks.map((block) => heard('node2', block)))).every((state) => state === 'gone'),
    );
    await soon('the drain at its end', async () => (await drainOf('node2')) === 'Empty');
    expect((await statusOf('node2'))?.drain?.cause).to.equal('Evicted');
    expect(await heard('node2', RANGE[6])).to.equal('gone');
    await rack().kubectl(['uncordon', 'node2']);
    await soon(
      'node2 in service',
      async () => (await heard('node2', RANGE[4])) === 'told' && (await blocksHeard('node2')),
    );
  });
});
