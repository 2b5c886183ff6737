import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Node } from '../../src/api/core.js';
import type { JsonObject } from '../../src/apiserver/json.js';
import { loadManifests } from '../../src/apiserver/manifests.js';
import type { Manifest } from '../../src/install/manifest.js';
import { packageFile } from '../../src/lab/tortie-argv.js';
import { planFlannel, type FlannelPlan } from '../../src/migrate/flannel-plan.js';
import { migrateFlannelText } from '../../src/migrate/report.js';
import { ApiClient } from '../apiserver/api-client.js';

const node = (name: string, ...podCIDRs: readonly string[]): Node => ({
  metadata: { name },
  spec: podCIDRs.length === 0 ? {} : { podCIDR: podCIDRs[0] ?? '', podCIDRs },
});
const plan = (conf: object, nodes: readonly Node[], args: readonly string[] = ['--kube-subnet-mgr']): FlannelPlan =>
  planFlannel({ configuration: JSON.stringify(conf), args, nodes });
const specs = (objects: readonly Manifest[]): readonly unknown[] => objects.map(({ spec }) => spec);
const vxlan = { Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } };

describe('migrate flannel', () => {
  it('makes a pool of the network and a block of each podCIDR', () => {
    const { pools, blocks, left } = plan(
      vxlan,
      [node('a', '10.244.0.0/24'), node('b', '10.244.1.0/24')],
      ['--ip-masq'],
    );
    expect(specs(pools)).to.deep.equal([{ cidr: '10.244.0.0/16', blockSize: 24, natOutgoing: true }]);
    expect(specs(blocks)).to.deep.equal([
      { cidr: '10.244.0.0/24', node: 'a', pool: 'flannel-ipv4' },
      { cidr: '10.244.1.0/24', node: 'b', pool: 'flannel-ipv4' },
    ]);
    expect(left).to.deep.equal([]);
  });

  it('names what no block can be', () => {
    const nodes = ['10.244.0.0/24', '10.244.1.0/24', '10.244.2.0/25', '10.9.0.0/24'].map((cidr, index) =>
      node(`n${index}`, cidr),
    );
    const { blocks, left } = plan(vxlan, [...nodes, node('new')]);
    expect(blocks).to.have.length(2);
    expect(left).to.deep.equal([
      'Node n3: its podCIDR 10.9.0.0/24 lies outside 10.244.0.0/16',
      'Node new: has no IPv4 podCIDR',
      'Node n2: its podCIDR 10.244.2.0/25 is no block of /24, as most are',
    ]);
  });

  it('takes both families, and leaves shares out that are larger than a block', () => {
    const dual = { ...vxlan, EnableIPv6: true, IPv6Network: 'fd00:10::/112' };
    const small = plan(dual, [node('a', '10.244.0.0/24', 'fd00:10::/120')]);
    expect(specs(small.pools)).to.deep.include({ cidr: 'fd00:10::/112', blockSize: 120 });
    const large = plan({ ...dual, IPv6Network: 'fd00:10::/56' }, [node('a', '10.244.0.0/24', 'fd00:10::/64')]);
    expect(large.pools).to.have.length(1);
    expect(large.left.join()).to.contain('fd00:10::/56: nodes have shares of /64, which no block can be');
    const only6 = plan({ EnableIPv4: false, EnableIPv6: true, IPv6Network: 'fd00:10::/112' }, [
      node('a', 'fd00:10::/120'),
    ]);
    expect(specs(only6.blocks)).to.deep.equal([{ cidr: 'fd00:10::/120', node: 'a', pool: 'flannel-ipv6' }]);
  });

  it('says what pods reach while both run', () => {
    expect(plan(vxlan, []).meanwhile.join()).to.contain('do not reach one another');
    for (const Backend of [{ Type: 'host-gw' }, { Type: 'vxlan', DirectRouting: true }])
      expect(plan({ ...vxlan, Backend }, []).meanwhile.join()).to.contain('go on doing so');
  });

  it('refuses a configuration that is none, by field', () => {
    expect(() => plan({ Network: '10.244' }, [])).to.throw(
      'Cannot use Network "10.244" of net-conf.json: expected a CIDR',
    );
    expect(() => plan({ ...vxlan, EnableIPv6: true }, [])).to.throw('Cannot use IPv6Network ""');
    expect(() => planFlannel({ configuration: '{', args: [], nodes: [] })).to.throw('Cannot read net-conf.json');
  });

  describe('of a cluster', () => {
    let api: ApiClient;
    let directory: string;
    let kubeconfig: string;
    beforeEach(async () => {
      api = await ApiClient.start({ crds: loadManifests(packageFile('manifests/crds')) });
      directory = mkdtempSync(join(tmpdir(), `tortie-flannel-${process.pid}-`));
      kubeconfig = join(directory, 'kubeconfig');
      writeFileSync(
        kubeconfig,
        `{apiVersion: v1, kind: Config, current-context: x, contexts: [{name: x, context: {cluster: x, user: x}}],
          clusters: [{name: x, cluster: {server: "${api.url}", insecure-skip-tls-verify: true}}], users: [{name: x, user: {}}]}`,
      );
    });
    afterEach(async () => {
      await api.close();
      rmSync(directory, { recursive: true });
    });

    it('says that there is no flannel', async () => {
      const refused = await migrateFlannelText({ kubeconfig }).catch(String);
      expect(refused).to.contain('Cannot find flannel: expected a ConfigMap kube-flannel-cfg');
    });

    it('prints objects that its definitions accept', async () => {
      await api.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-flannel' } });
      await api.post('/api/v1/namespaces/kube-flannel/configmaps', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'kube-flannel-cfg' },
        data: { 'net-conf.json': JSON.stringify(vxlan) },
      });
      await api.post('/apis/apps/v1/namespaces/kube-flannel/daemonsets', {
        apiVersion: 'apps/v1',
        kind: 'DaemonSet',
        metadata: { name: 'kube-flannel-ds' },
        spec: {
          selector: { matchLabels: { app: 'flannel' } },
          template: {
            metadata: { labels: { app: 'flannel' } },
            spec: {
              containers: [{ name: 'kube-flannel', image: 'flannel', args: ['--ip-masq', '--kube-subnet-mgr'] }],
            },
          },
        },
      });
      await api.post('/api/v1/nodes', {
        apiVersion: 'v1',
        kind: 'Node',
        ...node('a', '10.244.7.0/24'),
      } as unknown as JsonObject);
      const text = await migrateFlannelText({ kubeconfig, print: true });
      expect(text).to.match(/^# IPPool flannel-ipv4: /);
      const objects = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
      expect(objects.map(({ kind }) => kind)).to.deep.equal(['IPPool', 'IPAMBlock']);
      expect(specs(objects)[0]).to.deep.include({ natOutgoing: true });
      for (const object of objects) {
        const path = `/apis/${object.apiVersion}/${object.kind.toLowerCase()}s?fieldValidation=Strict`;
        const { code, body } = await api.post(path, object as unknown as JsonObject);
        expect(code, JSON.stringify(body)).to.equal(201);
      }
    });
  });
});
