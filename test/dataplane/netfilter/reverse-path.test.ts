/**
 * A pod cannot send under an address that is not its own: not another pod's, not one from outside. Proven with packets, by the
 * whole production path in a namespace, on every backend and in both families. Each packet that must not come is sent once more
 * with the rule taken out, and comes: nothing else here would have stopped it.
 */
import { expect } from 'chai';
import { CaseNode } from '../../../src/cases/kernel/case-node.js';
import { ClusterState } from '../../../src/cases/cluster-state.js';
import type { CasePod } from '../../../src/cases/case-file.js';
import { exec, ip, nameOf, ScratchNamespaces } from '../scratch-namespaces.js';

const pod = (name: string, last: string): CasePod => ({
  namespace: 'x',
  name,
  labels: { sends: name === 'a' ? 'yes' : 'no' },
  ips: [`10.65.0.${last}`, `fd00:65::${last}`],
  node: 'n1',
  ports: [],
});

const FOREIGN = { 4: '192.0.2.66', 6: '2001:db8::66' } as const;
const NODE = { 4: '10.0.0.1', 6: 'fd00::1' } as const;

describe('the reverse-path drop', function () {
  this.timeout(60_000);
  const namespaces = new ScratchNamespaces('trpf');
  const nodes: CaseNode[] = [];
  after(async () => {
    for (const node of nodes) await node.close();
    namespaces.removeAll();
  });

  /** Echo requests that reached a namespace. Its own counters: whoever sends gets no answer when the source is not his. */
  const echoes = (namespace: string, family: 4 | 6): number => {
    if (family === 6) return Number(/^Icmp6InEchos\s+(\d+)/m.exec(exec(namespace, 'cat', '/proc/net/snmp6'))?.[1]);
    const [names = [], values = []] = exec(namespace, 'cat', '/proc/net/snmp')
      .split('\n')
      .filter((line) => line.startsWith('Icmp: '))
      .map((line) => line.split(' '));
    return Number(values[names.indexOf('InEchos')]);
  };

  /** How many of two echo requests arrive. */
  function arriving(from: string, to: string, source: string, destination: string): number {
    const family = source.includes(':') ? 6 : 4;
    const before = echoes(to, family);
    // No answer can come to a source that is not here: `|| true`. The second request has had its time when ping ends.
    const command = `ping -${family} -n -c 2 -i 0.05 -W 0.2 -I ${source} ${destination} || true`;
    exec(from, 'sh', '-c', command);
    return echoes(to, family) - before;
  }

  async function build(backend: 'legacy' | 'nft' | 'nftables') {
    const [path, a, b, c] = [namespaces.create(), namespaces.create(), namespaces.create(), namespaces.create()];
    // The way out, where an answer to a foreign source would go, and no check of the kernel's own.
    ip(path, 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1');
    for (const end of ['up0', 'up1']) ip(path, 'link', 'set', end, 'up');
    for (const [which, value] of [
      ['net.ipv4.conf.all.rp_filter', '0'],
      ['net.ipv4.conf.default.rp_filter', '0'],
      ['net.ipv4.ip_forward', '1'],
      ['net.ipv6.conf.all.forwarding', '1'],
      ['net.ipv6.conf.default.accept_dad', '0'],
    ] as const)
      exec(path, 'sysctl', '-qw', `${which}=${value}`);
    ip(path, 'address', 'add', `${NODE[4]}/32`, 'dev', 'lo');
    ip(path, 'address', 'add', `${NODE[6]}/128`, 'dev', 'lo');
    ip(path, 'route', 'add', 'default', 'dev', 'up0');
    ip(path, '-6', 'route', 'add', 'default', 'dev', 'up0');
    const node = await CaseNode.create(nameOf(path), backend);
    nodes.push(node);
    const pods = [pod('a', '10'), pod('b', '20'), pod('c', '30')];
    const nodesOfWorld = [{ name: 'n1', ips: [NODE[4], NODE[6]], labels: {} }];
    const world = { nodes: nodesOfWorld, namespaces: [{ name: 'x', labels: {} }], pods, externals: [] };
    node.begin();
    node.feed(new ClusterState(world).start());
    // A pod that some policy selects: of one that none does, a foreign source is nobody's and dropped for that too.
    const spec = { podSelector: { matchLabels: { sends: 'yes' } }, policyTypes: ['Egress'], egress: [{}] };
    const policy = { metadata: { namespace: 'x', name: 'all' }, spec };
    node.feed([{ type: 'upsert', kind: 'NetworkPolicy', object: policy }]);
    for (const [index, one] of pods.entries()) {
      const { spec: endpoint } = node.connect(one, nameOf([a, b, c][index] ?? a));
      // The kernel's own check of IPv4, which ARP needs, would hide ours.
      exec(path, 'sysctl', '-qw', `net.ipv4.conf.${endpoint.hostInterface}.rp_filter=0`);
    }
    expect(await node.settle()).to.deep.equal([]);
    // What a pod with NET_ADMIN can do.
    for (const source of ['10.65.0.20/32', `${FOREIGN[4]}/32`, 'fd00:65::20/128', `${FOREIGN[6]}/128`])
      ip(a, 'address', 'add', source, 'dev', 'lo');
    return { path, a, c };
  }

  function removeRule(path: string, backend: 'legacy' | 'nft' | 'nftables'): void {
    if (backend !== 'nftables') {
      for (const program of ['iptables', 'ip6tables'])
        exec(path, `${program}-${backend}`, '-t', 'raw', '-F', 'TORTIE-PREROUTING');
      return;
    }
    const listing = exec(path, 'nft', '-a', 'list', 'table', 'inet', 'tortie');
    let chain = '';
    let removed = 0;
    for (const line of listing.split('\n')) {
      chain = /^\tchain (\S+) \{/.exec(line)?.[1] ?? chain;
      const handle = /fib saddr \. iif .*# handle (\d+)$/.exec(line)?.[1];
      if (handle === undefined) continue;
      exec(path, 'nft', 'delete', 'rule', 'inet', 'tortie', chain, 'handle', handle);
      removed++;
    }
    expect(removed, listing).to.equal(1);
  }

  for (const backend of ['legacy', 'nft', 'nftables'] as const)
    it(`${backend}: another's source goes nowhere, one's own everywhere`, async () => {
      const { path, a, c } = await build(backend);
      const flows = ([4, 6] as const).flatMap((family) =>
        [
          { what: 'its own', source: family === 4 ? '10.65.0.10' : 'fd00:65::10' },
          { what: "another pod's", source: family === 4 ? '10.65.0.20' : 'fd00:65::20' },
          { what: 'a foreign', source: FOREIGN[family] },
        ].flatMap((one) => [
          { ...one, to: 'a pod', namespace: c, destination: family === 4 ? '10.65.0.30' : 'fd00:65::30' },
          { ...one, to: 'the node', namespace: path, destination: NODE[family] },
        ]),
      );
      const seen = (): readonly string[] =>
        flows.map(({ what, source, to, namespace, destination }) => {
          const count = arriving(a, namespace, source, destination);
          return `${what} source ${source} to ${to}: ${count === 2 ? 'arrives' : count === 0 ? 'dropped' : `${count} of 2`}`;
        });
      const expected = (isHeld: boolean): readonly string[] =>
        flows.map(
          ({ what, source, to }) =>
            `${what} source ${source} to ${to}: ${what === 'its own' || !isHeld ? 'arrives' : 'dropped'}`,
        );
      expect(seen()).to.deep.equal(expected(true));
      removeRule(path, backend);
      expect(seen(), 'without the rule').to.deep.equal(expected(false));
    });
});
