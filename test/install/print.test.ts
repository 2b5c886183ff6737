import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { UserError } from '../../src/errors.js';
import { podSubnets } from '../../src/install/cluster-look.js';
import type { Manifest } from '../../src/install/manifest.js';
import { installText, type InstallFlags } from '../../src/install/print.js';
import { parseApiServer, parseAsNumber, parsePodCidr, parseRouterPeer } from '../../src/install/settings.js';
import { loadManifests } from '../../src/apiserver/manifests.js';
import { ApiClient, configMap } from '../apiserver/api-client.js';

const CRDS = fileURLToPath(new URL('../../../manifests/crds', import.meta.url));
const plain: InstallFlags = { print: true, asNumber: '64512' };
const objectsIn = (text: string): readonly Manifest[] =>
  parseAllDocuments(text).map((document) => document.toJS() as Manifest);
const specs = (text: string, kind: string): readonly unknown[] =>
  objectsIn(text)
    .filter((object) => object.kind === kind)
    .map(({ spec, data }) => spec ?? data);
const refusal = (flags: InstallFlags): Promise<string> =>
  installText(flags).then(
    () => 'printed',
    (error: unknown) => {
      expect(error).to.be.instanceOf(UserError);
      return String(error);
    },
  );

describe('tortie install', () => {
  describe('of a cluster that it looks at', () => {
    let api: ApiClient;
    let directory: string;
    let asked: InstallFlags;
    beforeEach(async () => {
      api = await ApiClient.start({ crds: loadManifests(CRDS) });
      directory = mkdtempSync(join(tmpdir(), `tortie-install-${process.pid}-`));
      const kubeconfig = join(directory, 'kubeconfig');
      writeFileSync(
        kubeconfig,
        `{apiVersion: v1, kind: Config, current-context: x, contexts: [{name: x, context: {cluster: x, user: x}}],
          clusters: [{name: x, cluster: {server: "${api.url}", insecure-skip-tls-verify: true}}], users: [{name: x, user: {}}]}`,
      );
      asked = { ...plain, kubeconfig };
    });
    afterEach(async () => {
      await api.close();
      rmSync(directory, { recursive: true });
    });
    const kubeadm = (subnet: string): Promise<unknown> =>
      api.post('/api/v1/namespaces/kube-system/configmaps', {
        ...configMap('kubeadm-config', { ClusterConfiguration: `networking:\n  podSubnet: ${subnet}\n` }),
      });

    it('takes the pods of kubeadm, both families, and a mesh', async () => {
      await kubeadm('10.244.0.0/16,fd00:10::/112');
      const text = await installText(asked);
      expect(specs(text, 'IPPool')).to.deep.equal([
        { cidr: '10.244.0.0/16', blockSize: 26 },
        { cidr: 'fd00:10::/112', blockSize: 122 },
      ]);
      expect(specs(text, 'BGPConfiguration')).to.deep.equal([{ asNumber: 64512, nodeToNodeMeshEnabled: true }]);
      expect(text).to.match(/^# Kubernetes v1\.\d+/);
      expect(text).to.contain('# ATTENTION: no DaemonSet kube-proxy');
    });

    it('leaves pools that are there alone', async () => {
      await api.post('/apis/projectcalico.org/v3/ippools', {
        apiVersion: 'projectcalico.org/v3',
        kind: 'IPPool',
        metadata: { name: 'theirs' },
        spec: { cidr: '10.9.0.0/16' },
      });
      const text = await installText(asked);
      expect(specs(text, 'IPPool')).to.deep.equal([]);
      expect(text).to.contain('# pools: theirs, which are there');
    });

    it('asks for what nothing says', async () => expect(await refusal(asked)).to.contain('expected --pod-cidr'));

    it('says which cluster does not answer', async () => {
      const { url } = api;
      await api.close();
      expect(await refusal(asked)).to.contain(`Cannot look at the cluster at ${url}`);
      api = await ApiClient.start();
    });
  });

  it('prints routers, another image and the API server, as asked', async () => {
    const text = await installText({
      ...plain,
      kubernetes: '1.37',
      podCidr: ['10.244.0.0/16'],
      peer: ['192.0.2.1=65001', '2001:db8::1=64512'],
      image: 'registry.example/tortie:7',
      apiServer: '192.0.2.10:6443',
    });
    expect(specs(text, 'BGPPeer')).to.deep.equal([
      { peerIP: '192.0.2.1', asNumber: 65001, numAllowedLocalASNumbers: 1 },
      { peerIP: '2001:db8::1', asNumber: 64512 },
    ]);
    expect(specs(text, 'BGPConfiguration')).to.deep.equal([{ asNumber: 64512, nodeToNodeMeshEnabled: false }]);
    expect(specs(text, 'ConfigMap')).to.deep.include({
      KUBERNETES_SERVICE_HOST: '192.0.2.10',
      KUBERNETES_SERVICE_PORT: '6443',
    });
    expect(new Set(text.match(/ image: .*/g))).to.deep.equal(new Set([' image: registry.example/tortie:7']));
    expect(text).to.contain('x-kubernetes-validations').and.to.contain('ValidatingAdmissionPolicy');
  });

  it('leaves out what an older API server does not know', async () => {
    const text = await installText({ ...plain, kubernetes: '1.21', podCidr: ['10.244.0.0/16'] });
    expect(text).to.not.contain('x-kubernetes-validations').and.to.not.contain('ValidatingAdmissionPolicy');
  });

  it('refuses what it cannot use, by name', async () => {
    expect(await refusal({ asNumber: '1' })).to.contain('expected --print');
    expect(await refusal({ ...plain, kubernetes: '1.20', podCidr: ['10.0.0.0/8'] })).to.contain(
      'expected 1.21 or newer',
    );
    for (const wrong of [
      () => parsePodCidr('10.244.0.0'),
      () => parseAsNumber('0', '--as-number'),
      () => parseAsNumber('4294967296', '--as-number'),
      () => parseRouterPeer('192.0.2.1'),
      () => parseRouterPeer('tor1=65001'),
      () => parseApiServer('192.0.2.10'),
      () => parseApiServer('2001:db8::1:6443'),
    ])
      expect(wrong).to.throw(UserError, 'expected');
    expect(parseApiServer('[2001:db8::10]:6443')).to.deep.equal({ host: '2001:db8::10', port: 6443 });
  });

  it('reads no subnet where there is none', () => {
    for (const configuration of [undefined, '', 'networking: {}', 'networking:\n  podSubnet: 7'])
      expect(podSubnets(configuration), configuration ?? 'none').to.deep.equal([]);
  });
});
