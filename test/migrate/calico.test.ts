import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import type { KindName } from '../../src/api/kinds.js';
import type { Manifest } from '../../src/install/manifest.js';
import type { JsonObject } from '../../src/apiserver/json.js';
import { loadManifests } from '../../src/apiserver/manifests.js';
import { planCalico, type CalicoObject, type CalicoResources } from '../../src/migrate/calico-plan.js';
import { migrateCalicoText, wordsOf } from '../../src/migrate/report.js';
import { ApiClient } from '../apiserver/api-client.js';

const CRDS = fileURLToPath(new URL('../../../manifests/crds', import.meta.url));

const nothing: CalicoResources = {
  served: new Map(),
  stored: new Map(),
  ipamConfigs: [],
  blocks: [],
  otherKinds: [],
};
const stored = (kind: KindName, ...objects: readonly CalicoObject[]): CalicoResources => ({
  ...nothing,
  stored: new Map([[kind, objects]]),
});
const pool: CalicoObject = { metadata: { name: 'default' }, spec: { cidr: '10.244.0.0/16', blockSize: 26 } };
const block = (cidr: string, affinity: string | undefined, more = {}): CalicoObject => ({
  metadata: { name: cidr.replaceAll(/[./]/g, '-') },
  spec: { cidr, ...(affinity === undefined ? {} : { affinity }), allocations: [null, 0], ...more },
});

describe('migrate calico', () => {
  it('takes what is stored, without what Calico and servers have added', () => {
    const { objects } = planCalico(
      stored('bgpPeers', {
        metadata: {
          name: 'tor1',
          uid: 'u',
          resourceVersion: '7',
          labels: { rack: '1' },
          annotations: { 'projectcalico.org/metadata': '{"uid":"x"}', note: 'kept' },
        },
        spec: { peerIP: '192.0.2.1', asNumber: 65001 },
      }),
    );
    expect(objects).to.deep.equal([
      {
        manifest: {
          apiVersion: 'projectcalico.org/v3',
          kind: 'BGPPeer',
          metadata: { name: 'tor1', labels: { rack: '1' }, annotations: { note: 'kept' } },
          spec: { peerIP: '192.0.2.1', asNumber: 65001 },
        },
        problems: [],
      },
    ]);
  });

  it('says which fields are refused, and which are not known', () => {
    const { objects } = planCalico(
      stored('ipPools', {
        ...pool,
        spec: { ...pool.spec, ipipMode: 'Always', vxlanMode: 'Always', newer: { field: true } },
      }),
    );
    expect(objects[0]?.problems).to.have.length(2);
    expect(objects[0]?.problems[0]).to.equal('spec.newer is not known here, and would be dropped');
    expect(objects[0]?.problems[1]).to.contain('spec.ipipMode is "Always"; expected Never');
  });

  it('takes an object that is in both groups once, under the name that Calico serves', () => {
    const policy = (name: string, order: number): CalicoObject => ({
      metadata: { name, namespace: 'shop' },
      spec: { order, selector: 'all()' },
    });
    const { objects } = planCalico({
      ...nothing,
      served: new Map([['calicoNetworkPolicies', [policy('web', 1)]]]),
      stored: new Map([['calicoNetworkPolicies', [policy('default.web', 1), policy('sec.web', 2)]]]),
    });
    expect(objects.map(({ manifest }) => manifest.metadata.name)).to.deep.equal(['web', 'sec.web']);
  });

  it('keeps the owners of blocks, and says why a block has none', () => {
    const { blocks, left } = planCalico({
      ...stored('ipPools', pool, { metadata: { name: 'six' }, spec: { cidr: 'fd00:1::/64' } }),
      blocks: [
        block('10.244.1.0/26', 'host:node1'),
        block('fd00:1::40/122', 'host:node.example'),
        block('10.244.2.0/26', undefined),
        block('10.244.3.0/26', 'host:node1', { deleted: true }),
        block('10.99.0.0/26', 'host:node2'),
        block('10.244.4.0/26', 'virtual:load-balancer'),
      ],
    });
    expect(blocks.map(({ metadata, spec }) => [metadata.name, spec])).to.deep.equal([
      ['10-244-1-0-26', { cidr: '10.244.1.0/26', node: 'node1', pool: 'default' }],
      ['fd00-1--40-122', { cidr: 'fd00:1::40/122', node: 'node.example', pool: 'six' }],
    ]);
    expect(left).to.have.length(4);
    for (const cidr of ['10.244.2.0/26', '10.244.3.0/26', '10.99.0.0/26', '10.244.4.0/26'])
      expect(left.join('\n')).to.contain(cidr);
  });

  it('shows no terminal commands of what it reads', () =>
    expect(wordsOf({ objects: [], blocks: [], left: ['IPAMBlock \u001b[2J'] })).to.not.contain('\u001b'));

  it('reads a cluster by either group, and prints what that cluster then takes', async () => {
    const definition = (plural: string, kind: string): JsonObject => ({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `${plural}.crd.projectcalico.org` },
      spec: {
        group: 'crd.projectcalico.org',
        names: { plural, kind, singular: kind.toLowerCase(), listKind: `${kind}List` },
        scope: 'Cluster',
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        ],
      },
    });
    const crds = [
      ...loadManifests(CRDS),
      definition('ippools', 'IPPool'),
      definition('ipamblocks', 'IPAMBlock'),
      definition('felixconfigurations', 'FelixConfiguration'),
    ];
    const api = await ApiClient.start({ crds });
    const directory = mkdtempSync(join(tmpdir(), `tortie-migrate-${process.pid}-`));
    try {
      const kubeconfig = join(directory, 'kubeconfig');
      writeFileSync(
        kubeconfig,
        `{apiVersion: v1, kind: Config, current-context: x, contexts: [{name: x, context: {cluster: x, user: x}}],
          clusters: [{name: x, cluster: {server: "${api.url}", insecure-skip-tls-verify: true}}], users: [{name: x, user: {}}]}`,
      );
      const create = async (plural: string, kind: string, object: CalicoObject): Promise<void> => {
        const path = `/apis/crd.projectcalico.org/v1/${plural}`;
        const reply = await api.post(path, { apiVersion: 'crd.projectcalico.org/v1', kind, ...object } as never);
        expect(reply.code).to.equal(201);
      };
      await create('ippools', 'IPPool', pool);
      await create('ipamblocks', 'IPAMBlock', block('10.244.1.0/26', 'host:node1'));
      await create('felixconfigurations', 'FelixConfiguration', { metadata: { name: 'default' }, spec: {} });
      expect(await migrateCalicoText({ kubeconfig })).to.equal(
        '1 objects of projectcalico.org: 1 act as a whole, 0 not\n1 blocks keep their nodes\nleft out:\n' +
          '  FelixConfiguration: not served here; docs/calico.md says what is used instead\n',
      );
      const printed = parseAllDocuments(await migrateCalicoText({ kubeconfig, print: true })).map(
        (document) => document.toJS() as Manifest,
      );
      expect(printed.map(({ kind }) => kind)).to.deep.equal(['IPPool', 'IPAMBlock']);
      for (const object of printed) {
        const plural = object.kind === 'IPPool' ? 'ippools' : 'ipamblocks';
        const reply = await api.post(`/apis/${object.apiVersion}/${plural}?fieldValidation=Strict`, object as never);
        expect(reply.code, JSON.stringify(reply.body)).to.equal(201);
      }
    } finally {
      await api.close();
      rmSync(directory, { recursive: true });
    }
  });
});
