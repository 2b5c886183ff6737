/**
 * Services as the routers see them, in one rack: ranges, single addresses of Local Services with their endpoints, and what BGPFilter
 * makes of them. Endpoints are real pods, and slices come from the lab's controller.
 */
import { expect } from 'chai';
import { attempt, type CommandResult } from '../../src/lab/command.js';
import { labPaths } from '../../src/lab/state-dir.js';
import { tortieArgv } from '../../src/lab/tortie-argv.js';
import { ClaimFailed } from '../../src/lab/tour/narrator.js';
import { createPod, deletePod, getPod, isReady, soon, useRack } from './rack-fixture.js';
import { routesAt } from '../faults/bgp-rows.js';

const COUNT = 50;
const services = Array.from({ length: COUNT }, (_, index) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: `web-${index}`, namespace: 'default' },
  spec: {
    externalTrafficPolicy: 'Local',
    externalIPs: [`192.0.2.${128 + index}`, `2001:db8:2::${(index + 1).toString(16)}`],
    ipFamilyPolicy: 'RequireDualStack',
    type: 'NodePort',
    selector: { app: 'svc-web' },
    ports: [{ port: 80 }],
  },
}));

describe('a rack and its Services', function () {
  this.timeout(180_000);
  const rack = useRack('tsvc');

  const apply = (object: object): Promise<string> => rack().kubectl(['apply', '-f', '-'], JSON.stringify(object));
  const configure = (spec: object): Promise<string> =>
    rack().kubectl(['patch', 'bgpconfiguration', 'default', '--type=merge', '-p', JSON.stringify({ spec })]);
  /** Single addresses of the Services that tor1 hears from a node. */
  const singles = async (node: string): Promise<readonly string[]> => {
    const texts = [4, 6].map((family) => routesAt(rack(), 'tor1', 'protocol', `${node}_${family}`));
    return (await Promise.all(texts)).flatMap((text) => [
      ...new Set([...text.matchAll(/^(?:192\.0\.2\.\d+\/32|2001:db8:2::\S+\/128)/gm)].map(([prefix]) => prefix)),
    ]);
  };
  const webPod = (name: string, node: string): Promise<void> =>
    createPod(rack(), name, { labels: { app: 'svc-web' }, spec: { nodeName: node } });
  const startWeb = async (name: string, node: string): Promise<void> => {
    await webPod(name, node);
    await soon(`${name} to be ready`, async () => {
      const pod = await getPod(rack(), name);
      return pod !== undefined && isReady(pod);
    });
  };

  before(async () => {
    await configure({ serviceExternalIPs: [{ cidr: '192.0.2.128/25' }, { cidr: '2001:db8:2::/64' }] });
    await apply({ apiVersion: 'v1', kind: 'List', items: services });
  });

  it('announces single addresses of Local Services from the node that has their endpoint, and no other', async () => {
    await startWeb('web-a', 'node1');
    await soon('all of them from node1', async () => (await singles('node1')).length === 2 * COUNT);
    for (const node of ['node2', 'node3']) expect(await singles(node), node).to.deep.equal([]);
    for (const node of ['node1', 'node2', 'node3'])
      expect(await routesAt(rack(), 'tor1', 'protocol', `${node}_4`)).to.include('192.0.2.128/25');
  });

  it('moves them with their endpoint, and withdraws all when the last goes', async () => {
    await startWeb('web-b', 'node2');
    await soon('all of them from node2', async () => (await singles('node2')).length === 2 * COUNT);
    await deletePod(rack(), 'web-a');
    await soon('none from node1', async () => (await singles('node1')).length === 0);
    expect(await singles('node2')).to.have.length(2 * COUNT);
    await deletePod(rack(), 'web-b');
    await soon('none at all', async () => (await singles('node2')).length === 0);
    await startWeb('web-c', 'node2');
    await soon('all of them again', async () => (await singles('node2')).length === 2 * COUNT);
  });

  it('keeps them announced while the agent restarts', async () => {
    const started = (): Promise<string> =>
      rack().kubectl(['get', 'nodestatus', 'node2', '-o', 'jsonpath={.status.agent.startedAt}']);
    const before = await started();
    await rack().process({ name: 'node2 agent', action: 'kill' });
    let fewest = Infinity;
    await soon('another agent to have told bgpd', async () => {
      fewest = Math.min(fewest, (await singles('node2')).length);
      const conditions = await rack().kubectl(['get', 'nodestatus', 'node2', '-o', 'jsonpath={.status.conditions}']);
      return (await started()) !== before && /"status":"True","type":"BGPReady"/.test(conditions);
    });
    fewest = Math.min(fewest, (await singles('node2')).length);
    expect(fewest).to.equal(2 * COUNT);
  });

  it('lets a BGPFilter hold them back, live', async () => {
    const filter = (action: string): object => ({
      apiVersion: 'projectcalico.org/v3',
      kind: 'BGPFilter',
      metadata: { name: 'no-singles' },
      spec: { exportV4: [{ action, matchOperator: 'In', cidr: '192.0.2.128/25', prefixLength: { min: 32, max: 32 } }] },
    });
    await apply(filter('Reject'));
    await rack().kubectl([
      ...['patch', 'bgppeer', 'node2-tor1-ipv4', '--type=merge', '-p'],
      JSON.stringify({ spec: { filters: ['no-singles'] } }),
    ]);
    await soon('only those of IPv6', async () => (await singles('node2')).length === COUNT);
    expect(await routesAt(rack(), 'tor1', 'protocol', 'node2_4')).to.include('192.0.2.128/25');
    await apply(filter('Accept'));
    await soon('all of them again', async () => (await singles('node2')).length === 2 * COUNT);
  });

  it('gives a Service of type LoadBalancer an address of a pool, and tells the routers who has its endpoint', async () => {
    for (const [name, cidr] of [
      ['lb', '198.51.100.0/24'],
      ['lb6', '2001:db8:3::/120'],
    ] as const)
      await apply({
        apiVersion: 'projectcalico.org/v3',
        kind: 'IPPool',
        metadata: { name },
        spec: { cidr, allowedUses: ['LoadBalancer'] },
      });
    await configure({ serviceLoadBalancerIPs: [{ cidr: '198.51.100.0/24' }, { cidr: '2001:db8:3::/120' }] });
    await apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: 'balanced',
        namespace: 'default',
        annotations: { 'metallb.io/loadBalancerIPs': '198.51.100.7,2001:db8:3::7' },
      },
      spec: {
        type: 'LoadBalancer',
        externalTrafficPolicy: 'Local',
        ipFamilyPolicy: 'RequireDualStack',
        selector: { app: 'svc-web' },
        ports: [{ port: 80 }],
      },
    });
    await soon('its addresses', async () =>
      (
        await rack().kubectl(['get', 'service', 'balanced', '-o', 'jsonpath={.status.loadBalancer.ingress[*].ip}'])
      ).includes('198.51.100.7 2001:db8:3::7'),
    );
    const heard = (node: string): Promise<string> =>
      Promise.all([4, 6].map((family) => routesAt(rack(), 'tor1', 'protocol', `${node}_${family}`))).then((texts) =>
        texts.join('\n'),
      );
    await soon('both of them from node2', async () => {
      const text = await heard('node2');
      return text.includes('198.51.100.7/32') && text.includes('2001:db8:3::7/128');
    });
    for (const node of ['node1', 'node3']) {
      expect(await heard(node), node).to.include('198.51.100.0/24');
      expect(await heard(node), node).to.not.include('198.51.100.7/32');
    }
  });

  it('drops what comes for an address that no Service has, where it would circle', async () => {
    const circles = async (address: string): Promise<boolean> =>
      /exceeded/.test(await rack().output('outside', 'sh', '-c', `ping -c1 -W2 -t 64 ${address}; true`));
    await configure({ serviceClusterIPs: [{ cidr: '10.97.0.0/16' }, { cidr: 'fd00:97::/112' }] });
    for (const range of ['10.97.0.0/16', 'fd00:97::/112'])
      await soon(`${range} at both routers`, async () =>
        (await Promise.all(['tor1', 'tor2'].map((tor) => routesAt(rack(), tor)))).every((text) => text.includes(range)),
      );
    for (const address of ['10.97.1.1', 'fd00:97::1:1', '192.0.2.250', '2001:db8:2::ffff'])
      await soon(`nothing circles to ${address}`, async () => !(await circles(address)));
    // It was the nodes that dropped them.
    const rules = await Promise.all(
      ['node1', 'node2', 'node3'].map((node) => rack().output(node, 'sh', '-c', 'iptables-save -c -t mangle')),
    );
    expect(
      rules.some((text) => /^\[[1-9]\d*:\d+\] -A TORTIE-POSTROUTING /m.test(text)),
      rules.join(''),
    ).to.equal(true);
  });

  describe('as `tortie connectivity test` and `tortie doctor` see it', () => {
    const tortie = (...args: readonly string[]): Promise<CommandResult> =>
      attempt(tortieArgv(...args), undefined, {
        env: { ...process.env, KUBECONFIG: labPaths(rack().record.name).kubeconfig },
      });
    const left = (): Promise<string> =>
      rack().kubectl(['get', 'namespaces', '-l', 'app.kubernetes.io/managed-by=tortie-connectivity', '-o', 'name']);
    interface Report {
      readonly paths: readonly { readonly path: string; readonly family: number; readonly failed: number }[];
      readonly failures: readonly { readonly path: string; readonly met: string }[];
    }

    it('everything is as it should be, and nothing is left behind', async () => {
      const { code, stdout, stderr } = await tortie('connectivity', 'test', '--nodes', '2', '-o', 'json');
      expect(code, stdout + stderr).to.equal(0);
      const { paths } = JSON.parse(stdout) as Report;
      expect(new Set(paths.map(({ path, family }) => `${path} ${family}`)).size).to.equal(14);
      expect(stderr).to.include('Trying 44 paths from 6 clients');
      expect(await left()).to.equal('');
    });
    it('what a policy of the cluster takes away is named, and nothing is left behind', async () => {
      await apply({
        apiVersion: 'projectcalico.org/v3',
        kind: 'GlobalNetworkPolicy',
        metadata: { name: 'no-friends' },
        spec: { selector: "tortie.dev/role == 'closed'", types: ['Ingress'], ingress: [{ action: 'Deny' }], order: 1 },
      });
      const { code, stdout, stderr } = await tortie('connectivity', 'test', '--nodes', '1', '-o', 'json');
      await rack().kubectl(['delete', 'globalnetworkpolicy', 'no-friends']);
      expect(code, stdout + stderr).to.equal(1);
      const { failures } = JSON.parse(stdout) as Report;
      expect(new Set(failures.map(({ path, met }) => `${path}: ${met}`))).to.deep.equal(
        new Set(['policy-allows: nothing came back']),
      );
      expect(await left()).to.equal('');
    });
    it('all nodes are well, seen from anywhere', async () => {
      await soon('all sessions of all nodes', async () => (await tortie('bgp', 'summary', '--all-nodes')).code === 0);
      const { code, stdout } = await tortie('node', 'status', '-o', 'json');
      expect(code, stdout).to.equal(0);
      expect(stdout).to.include('"node": "node3"');
      expect((await tortie('node', 'status', 'nowhere')).code).to.equal(1);
      expect(await rack().output('node1', 'tortie', 'tor-verify')).to.include(': 0 errors, 0 warnings');
    });
    it('the doctor finds nothing wrong with a node', async () => {
      const node = 'node1';
      const config = labPaths(rack().record.name).node(node).cniConfig;
      await soon('a clean node', async () => {
        const text = await rack().output(
          node,
          'sh',
          '-c',
          `tortie doctor --node ${node} --cni-conf-dir ${config}; true`,
        );
        if (!/: 0 errors, 0 warnings/.test(text)) throw new ClaimFailed(text);
        return true;
      });
    });
  });
});
