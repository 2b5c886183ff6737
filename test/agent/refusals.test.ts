import { expect } from 'chai';
import { nodeProblemsOf, refusalSentences } from '../../src/agent/object-problem-sources.js';
import { ANNOTATION_REFUSALS, FIELD_REFUSALS, refusalsOf } from '../../src/agent/refusals.js';
import type { KindName } from '../../src/api/kinds.js';
import type { KubeObject } from '../../src/api/meta.js';
import { Cluster } from '../../src/cluster/cluster.js';

const object = (spec: unknown, annotations?: Readonly<Record<string, string>>): KubeObject =>
  ({ metadata: { name: 'x', ...(annotations === undefined ? {} : { annotations }) }, spec }) as unknown as KubeObject;

const refusals = (kind: KindName, each: KubeObject): readonly string[] =>
  refusalsOf(kind, each as Parameters<typeof refusalsOf>[1]).map(({ message }) => message);

/** What asks for something, and what asks for nothing, of every row. */
const examples: readonly (readonly [KindName, string, unknown, unknown, object?])[] = [
  ['ipPools', 'allowedUses', ['Workload', 'LoadBalancer'], ['Workload', 'Tunnel']],
  ['ipPools', 'nodeSelector', "rack == 'a'", 'all()', { allowedUses: ['LoadBalancer'] }],
  ['ipPools', 'ipipMode', 'Always', 'Never', { cidr: '10.65.0.0/16', vxlanMode: 'Always' }],
  ['ipReservations', 'reservedCIDRs', ['10.65.0.0/30', 'rubbish'], ['10.65.0.0/30', '10.65.0.9', 'fd00::/64']],
  ['ipamConfigurations', 'autoAllocateBlocks', false, true],
  ['bgpConfigurations', 'programClusterRoutes', 'Disabled', 'Enabled'],
  ['hostEndpoints', 'profiles', ['projectcalico-default-allow', 'kns.shop'], ['projectcalico-default-allow']],
];

describe('agent/refusals', () => {
  it('has an example of every row', () => {
    const tried = examples.map(([kind, field]) => `${kind} spec.${field}`);
    expect(FIELD_REFUSALS.map(({ kind, field }) => `${kind} ${field}`)).to.have.members(tried);
  });

  it('names what is asked for and not built', () => {
    for (const [kind, field, asked, , beside = {}] of examples) {
      const found = refusals(kind, object({ [field]: asked, ...beside }));
      expect(found, field).to.have.length(1);
      expect(found[0]).to.match(new RegExp(`^spec\\.${field} is ".*"; expected `));
    }
    for (const { kind, name } of ANNOTATION_REFUSALS) {
      const key = name.endsWith('/') ? `${name}dscp` : name;
      const [sentence] = refusals(kind, object({}, { [key]: 'v' }));
      expect(sentence).to.include(`metadata.annotations[${key}] is "v"; expected none`);
    }
  });

  it('says nothing of what is absent, or asks for nothing', () => {
    for (const [kind, field, , nothing, beside = {}] of examples) {
      expect(refusals(kind, object({ [field]: nothing, ...beside })), field).to.deep.equal([]);
      expect(refusals(kind, object({})), field).to.deep.equal([]);
    }
    expect(refusals('pods', object({}, { 'cni.projectcalico.org/ipv4pools': '[]', other: 'x' }))).to.deep.equal([]);
  });

  it('cuts a value of any length', () => {
    const [sentence = ''] = refusals('ipReservations', object({ reservedCIDRs: Array(5000).fill('rubbish') }));
    expect(sentence.length).to.be.below(400);
  });

  it('finds the objects that the loops of a node speak of', () => {
    const at = (resource: string, severity: 'problem' | 'notice') => ({
      resource,
      field: 'spec.x',
      message: 'm',
      severity,
    });
    const found = nodeProblemsOf(
      [
        at('BGPPeer/a', 'problem'),
        at('BGPPeer/b', 'notice'),
        at('BGPFilter/f', 'notice'),
        at('Node/n', 'problem'),
        at('BGPConfiguration/node.n', 'problem'),
      ],
      [{ pool: 'p', field: 'spec.cidr', message: 'overlaps' }],
    );
    expect(found.map(({ kind, key }) => `${kind} ${key}`)).to.deep.equal([
      'bgpPeers a',
      'bgpFilters f',
      'bgpConfigurations node.n',
      'ipPools p',
    ]);
  });

  it('names bandwidths that are none', () => {
    expect(
      refusals(
        'pods',
        object({}, { 'kubernetes.io/ingress-bandwidth': 'fast', 'kubernetes.io/egress-bandwidth': '1M' }),
      ),
    ).to.deep.equal([
      'metadata.annotations[kubernetes.io/ingress-bandwidth] is "fast"; expected bits a second from 1k to 1P, such as 10M',
    ]);
  });

  it('speaks of the objects of the cluster and of the pods of the node, by name', () => {
    const cluster = new Cluster([
      'ipPools',
      'ipReservations',
      'ipamConfigurations',
      'bgpConfigurations',
      'hostEndpoints',
      'namespaces',
      'pods',
    ]);
    cluster.upsert('ipPools', { metadata: { name: 'pods' }, spec: { cidr: 'fd00:65::/112', ipipMode: 'Always' } });
    for (const name of ['here', 'elsewhere'])
      cluster.upsert('pods', {
        metadata: { name, namespace: 'shop', annotations: { 'qos.projectcalico.org/egressPacketRate': '1M' } },
        spec: { containers: [] },
      });
    const sentences = refusalSentences(cluster, ['shop/here', 'shop/gone']);
    expect(sentences.map((sentence) => sentence.split(' ')[0])).to.deep.equal(['IPPool/pods', 'Pod/shop/here']);
  });
});
