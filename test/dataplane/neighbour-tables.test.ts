/**
 * A pod with NET_RAW cannot fill the node's neighbour tables, which all pods and uplinks share, with sources that it invents: neither by
 * ARP nor by any message of neighbour discovery, nor by asking for answers. Each guard is taken away once, and the entries come.
 */
import { expect } from 'chai';
import { CaseNode } from '../../src/cases/kernel/case-node.js';
import { ClusterState } from '../../src/cases/cluster-state.js';
import type { CasePod } from '../../src/cases/case-file.js';
import {
  advertisement,
  arpRequest,
  echoRequest,
  PacketSocket,
  routerAdvertisement,
  routerSolicitation,
  solicitation,
} from './packet-socket.js';
import { exec, ip, nameOf, ScratchNamespaces } from './scratch-namespaces.js';

const POD: CasePod = {
  namespace: 'x',
  name: 'a',
  labels: {},
  ips: ['10.65.0.10', 'fd00:65::10'],
  node: 'n1',
  ports: [],
};
const NODE = ['10.0.0.1', 'fd00::1'] as const;
const GATEWAY = 'fe80::ecee:eeff:feee:eeee';
const GATEWAY_MAC = new Uint8Array(6).fill(0xee);
const GROUP = 'ff02::1:ffee:eeee';
const INVENTED = 50;

const sources = (make: (n: string) => string): readonly string[] =>
  Array.from({ length: INVENTED }, (_, n) => make((n + 1).toString(16)));
const linkLocal = sources((n) => `fe80::bad:${n}`);
const elsewhere = sources((n) => `2001:db8::${n}`);
const ipv4 = Array.from({ length: INVENTED }, (_, n) => `192.0.2.${n + 1}`);

const MESSAGES: readonly { readonly what: string; readonly frames: readonly Uint8Array[] }[] = [
  { what: 'ARP requests for the gateway', frames: ipv4.map((from) => arpRequest(from, '169.254.1.1')) },
  { what: 'ARP requests for the node', frames: ipv4.map((from) => arpRequest(from, NODE[0])) },
  { what: 'gratuitous ARP', frames: ipv4.map((from) => arpRequest(from, from)) },
  ...[
    { of: 'link-local', from: linkLocal },
    { of: 'foreign', from: elsewhere },
  ].flatMap(({ of, from }) => [
    { what: `neighbour solicitations of ${of} sources`, frames: from.map((one) => solicitation(one, GATEWAY, GROUP)) },
    { what: `neighbour advertisements of ${of} sources`, frames: from.map((one) => advertisement(one, one)) },
    { what: `router solicitations of ${of} sources`, frames: from.map(routerSolicitation) },
    { what: `router advertisements of ${of} sources`, frames: from.map(routerAdvertisement) },
    { what: `echo requests of ${of} sources`, frames: from.map((one) => echoRequest(one, GATEWAY, GATEWAY_MAC)) },
  ]),
];

describe("the node's neighbour tables", function () {
  this.timeout(60_000);
  const namespaces = new ScratchNamespaces('tneigh');
  const nodes: CaseNode[] = [];
  after(async () => {
    for (const node of nodes) await node.close();
    namespaces.removeAll();
  });

  async function build(backend: 'legacy' | 'nft' | 'nftables') {
    const [path, pod] = [namespaces.create(), namespaces.create()];
    for (const value of [
      'ipv4.conf.all.rp_filter=0',
      'ipv4.conf.default.rp_filter=0',
      'ipv4.ip_forward=1',
      'ipv6.conf.all.forwarding=1',
      'ipv6.conf.default.accept_dad=0',
    ])
      exec(path, 'sysctl', '-qw', `net.${value}`);
    for (const address of NODE) ip(path, 'address', 'add', address, 'dev', 'lo');
    // A way to everywhere: no source is without a route.
    ip(path, 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1');
    for (const end of ['up0', 'up1']) ip(path, 'link', 'set', end, 'up');
    for (const family of ['-4', '-6']) ip(path, family, 'route', 'add', 'default', 'dev', 'up0');
    const node = await CaseNode.create(nameOf(path), backend);
    nodes.push(node);
    node.begin();
    const ofWorld = [{ name: 'n1', ips: [...NODE], labels: {} }];
    node.feed(
      new ClusterState({ nodes: ofWorld, namespaces: [{ name: 'x', labels: {} }], pods: [POD], externals: [] }).start(),
    );
    // Of a pod that no policy selects, a source that is not its own goes no further than the interface's chain.
    const allow = { podSelector: {}, policyTypes: ['Egress'], egress: [{}] };
    const policy = { metadata: { namespace: 'x', name: 'all' }, spec: allow };
    node.feed([{ type: 'upsert', kind: 'NetworkPolicy', object: policy }]);
    const { spec } = node.connect(POD, nameOf(pod));
    expect(await node.settle()).to.deep.equal([]);
    return { path, pod, hostInterface: spec.hostInterface };
  }

  /** Entries of the pod's interface that are not of the pod's addresses, after each kind of message. */
  function invented({ path, pod, hostInterface }: Awaited<ReturnType<typeof build>>): ReadonlyMap<string, number> {
    const socket = new PacketSocket(pod, 'eth0');
    const entries = (): readonly string[] =>
      ['-4', '-6'].flatMap((family) =>
        ip(path, family, 'neigh', 'show', 'dev', hostInterface, 'nud', 'all')
          .split('\n')
          .filter((line) => line !== '' && !/ NOARP$| NOARP /.test(line))
          .map((line) => line.split(' ')[0] ?? '')
          .filter((address) => !POD.ips.includes(address)),
      );
    const counts = new Map<string, number>();
    for (const { what, frames } of MESSAGES) {
      ip(path, 'neigh', 'flush', 'dev', hostInterface);
      socket.send(...frames);
      counts.set(what, entries().length);
    }
    socket.close();
    return counts;
  }

  const none = new Map(MESSAGES.map(({ what }) => [what, 0]));

  for (const backend of ['legacy', 'nft', 'nftables'] as const)
    it(`${backend}: hold no source that a pod invents, and the pod itself is still found`, async () => {
      const world = await build(backend);
      expect(invented(world)).to.deep.equal(none);
      for (const [family, gateway, destination] of [
        ['-4', '169.254.1.1', NODE[0]],
        ['-6', GATEWAY, NODE[1]],
      ] as const) {
        // Also a guest that asks who its gateway is, and a node that has forgotten who the pod is.
        ip(world.pod, 'neigh', 'del', gateway, 'dev', 'eth0');
        ip(world.path, 'neigh', 'flush', 'dev', world.hostInterface);
        exec(world.pod, 'ping', family, '-n', '-c', '1', '-W', '5', destination);
      }
    });

  it('would hold them without the guards', async () => {
    const world = await build('nftables');
    exec(world.path, 'sysctl', '-qw', `net.ipv4.conf.${world.hostInterface}.rp_filter=0`);
    exec(world.path, 'nft', 'flush', 'chain', 'inet', 'tortie', 'raw-TORTIE-PREROUTING');
    const counts = invented(world);
    // Most of them: what the pod's interface says of itself meanwhile, and the kernel's rate limits, take one or two away.
    const filling = [...counts].filter(([, count]) => count > INVENTED / 2).map(([what]) => what);
    expect(filling, JSON.stringify([...counts])).to.include.members([
      'ARP requests for the gateway',
      'ARP requests for the node',
      'neighbour solicitations of link-local sources',
      'neighbour solicitations of foreign sources',
      'router solicitations of link-local sources',
      'router solicitations of foreign sources',
      'echo requests of link-local sources',
    ]);
  });
});
