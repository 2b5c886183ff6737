/** Limits of pods' interfaces, with packets: connections and packets beyond their number get no answer, another pod's do. */
import { expect } from 'chai';
import type { CasePod } from '../../../src/cases/case-file.js';
import { ClusterState } from '../../../src/cases/cluster-state.js';
import { CaseNode } from '../../../src/cases/kernel/case-node.js';
import { hostInterfaceName } from '../../../src/dataplane/endpoint-name.js';
import type { InterfaceLimits } from '@tortie/policy/objects';
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

describe("limits of pods' interfaces", function () {
  this.timeout(60_000);
  const namespaces = new ScratchNamespaces('tlimit');
  const nodes: CaseNode[] = [];
  after(async () => {
    for (const node of nodes) await node.close();
    namespaces.removeAll();
  });

  for (const backend of ['legacy', 'nft', 'nftables'] as const)
    it(`${backend}: hold each way, are of one pod, and go`, async () => {
      const [path, a, b] = [namespaces.create(), namespaces.create(), namespaces.create()];
      for (const value of ['ipv4.ip_forward=1', 'ipv6.conf.all.forwarding=1', 'ipv6.conf.default.accept_dad=0'])
        exec(path, 'sysctl', '-qw', `net.${value}`);
      for (const address of NODE) ip(path, 'address', 'add', address, 'dev', 'lo');
      const node = await CaseNode.create(nameOf(path), backend);
      nodes.push(node);
      node.begin();
      const pods = [pod('a', '10'), pod('b', '20')];
      const ofWorld = [{ name: 'n1', ips: [...NODE], labels: {} }];
      node.feed(
        new ClusterState({ nodes: ofWorld, namespaces: [{ name: 'x', labels: {} }], pods, externals: [] }).start(),
      );
      for (const [index, one] of pods.entries()) node.connect(one, nameOf([a, b][index] ?? a));
      const limit = async (ofA: InterfaceLimits | undefined): Promise<void> => {
        const limits = new Map(ofA === undefined ? [] : [[hostInterfaceName('x', 'a'), ofA]]);
        node.feed([{ type: 'interface-limits', limits }]);
        expect(await node.settle()).to.deep.equal([]);
      };
      /** How many of eight pings, each a connection of its own, are answered. */
      const answered = (from: string, destination: string): number => {
        const one = `ping -n -c 1 -W 1 ${destination} >/dev/null && echo yes`;
        const command = `${Array.from({ length: 8 }, () => `(${one}) &`).join(' ')} wait`;
        return exec(from, 'sh', '-c', command).match(/yes/g)?.length ?? 0;
      };
      await limit({ egress: { connections: 3 } });
      for (const destination of ['10.65.0.20', 'fd00::1'])
        expect(answered(a, destination), destination).to.be.within(1, 3);
      expect(answered(b, '10.65.0.10'), 'into the pod').to.equal(8);
      await limit({ ingress: { connections: 2 } });
      expect(answered(b, '10.65.0.10'), 'into the pod, limited').to.equal(2);
      expect(answered(path, 'fd00:65::10'), 'from the node').to.equal(2);
      expect(answered(a, '10.65.0.20'), 'out of the pod').to.equal(8);
      await limit({ egress: { packets: { perSecond: 1, burst: 2 } } });
      expect(answered(a, '10.65.0.20'), 'packets out of the pod').to.be.within(1, 5);
      expect(answered(b, '10.0.0.1'), 'of another pod').to.equal(8);
      await limit(undefined);
      expect(answered(a, '10.65.0.20'), 'once nothing is limited').to.equal(8);
    });
});
