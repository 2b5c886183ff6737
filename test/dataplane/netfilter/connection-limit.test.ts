/** A share of the connection table per pod, with packets: one that has taken its own is refused more, and another is not. */
import { expect } from 'chai';
import { CaseNode } from '../../../src/cases/kernel/case-node.js';
import { ClusterState } from '../../../src/cases/cluster-state.js';
import type { CasePod } from '../../../src/cases/case-file.js';
import { connectionLimitProblem } from '../../../src/dataplane/netfilter/connection-limit.js';
import { exec, ip, nameOf, ScratchNamespaces } from '../scratch-namespaces.js';

const pod = (name: string, last: string): CasePod => ({
  namespace: 'x',
  name,
  labels: {},
  ips: [`10.65.0.${last}`, `fd00:65::${last}`],
  node: 'n1',
  ports: [],
});
const NODE = ['10.0.0.1', 'fd00::1'] as const;
const MOST = 5;

describe("a pod's share of connections", function () {
  this.timeout(60_000);
  const namespaces = new ScratchNamespaces('tshare');
  const nodes: CaseNode[] = [];
  after(async () => {
    for (const node of nodes) await node.close();
    namespaces.removeAll();
  });

  it('can be counted by this kernel', () => {
    expect(connectionLimitProblem(['nftables', 'nft', 'legacy'])).to.equal(undefined);
  });

  for (const backend of ['legacy', 'nft', 'nftables'] as const)
    it(`${backend}: is held for each pod by itself, to the node and beyond, and given back`, async () => {
      const [path, a, b] = [namespaces.create(), namespaces.create(), namespaces.create()];
      for (const value of ['ipv4.ip_forward=1', 'ipv6.conf.all.forwarding=1', 'ipv6.conf.default.accept_dad=0'])
        exec(path, 'sysctl', '-qw', `net.${value}`);
      for (const address of NODE) ip(path, 'address', 'add', address, 'dev', 'lo');
      const node = await CaseNode.create(nameOf(path), backend);
      nodes.push(node);
      node.begin({ podConnections: MOST });
      const pods = [pod('a', '10'), pod('b', '20')];
      const ofWorld = [{ name: 'n1', ips: [...NODE], labels: {} }];
      const world = { nodes: ofWorld, namespaces: [{ name: 'x', labels: {} }], pods, externals: [] };
      node.feed(new ClusterState(world).start());
      for (const [index, one] of pods.entries()) node.connect(one, nameOf([a, b][index] ?? a));
      expect(await node.settle()).to.deep.equal([]);
      /** How many of eight pings, each a connection of its own, are answered. */
      const answered = (from: string, destination: string): number => {
        const one = `ping -n -c 1 -W 1 ${destination} >/dev/null && echo yes`;
        const command = `${Array.from({ length: 8 }, () => `(${one}) &`).join(' ')} wait`;
        return exec(from, 'sh', '-c', command).match(/yes/g)?.length ?? 0;
      };
      for (const destination of NODE) {
        expect(answered(a, destination), destination).to.equal(MOST);
        expect(answered(a, destination), `${destination}, its share taken`).to.equal(0);
        expect(answered(b, destination), `${destination}, another pod`).to.equal(MOST);
      }
      expect(answered(a, '10.65.0.20'), 'to another pod').to.equal(0);
      // What forgets its connections gives them back, and nobody has to be told.
      expect(await node.settle()).to.deep.equal([]);
      expect(answered(a, '10.65.0.20'), 'once they are over').to.equal(MOST);
      // Another change of policy does not reset the count.
      const policy = { metadata: { namespace: 'x', name: 'p' }, spec: { podSelector: {}, ingress: [{}] } };
      node.feed([{ type: 'upsert', kind: 'NetworkPolicy', object: policy }]);
      expect(await node.settle({ keepConnections: true })).to.deep.equal([]);
      expect(answered(a, '10.65.0.20'), 'after a change of policy').to.equal(0);
    });
});
