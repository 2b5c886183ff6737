import { expect } from 'chai';
import type { KubeObject } from '../../src/api/meta.js';
import type { Finding } from '../../src/plan/finding.js';
import { exitCodeOf } from '../../src/plan/finding.js';
import { planOf } from '../../src/plan/plan.js';
import { apply, cordon, label, remove, removeNode, type ObjectChange, type World } from '../../src/plan/world.js';
import { block, calico, node, object, pod, RACKS, router, service, slice, TORS, world } from './scene.js';

const OPTIONS = { secretNamespace: 'tortie-system' };
const plan = (before: World, changes: readonly ObjectChange[]): readonly Finding[] => planOf(before, changes, OPTIONS);
const lines = (findings: readonly Finding[], harm?: Finding['harm']): readonly string[] =>
  findings
    .filter((finding) => harm === undefined || finding.harm === harm)
    .map(({ object, field, node, message }) =>
      [object, field, node === undefined ? undefined : `${node}:`, message]
        .filter((word) => word !== undefined)
        .join(' '),
    );

describe('plan', () => {
  const racks = world(...RACKS);
  const both = world(...RACKS, ...TORS);

  it('says nothing of a change that changes nothing', () => {
    expect(plan(both, apply(both, TORS))).to.deep.equal([]);
    expect(plan(both, [cordon(both, 'node1')])).to.deep.equal([]);
    expect(exitCodeOf([])).to.equal(0);
  });

  it('names the outage of the label: reflectors that nobody selects any more', () => {
    const first = plan(racks, [label(racks, 'node1', 'reflector-')]);
    expect(exitCodeOf(first)).to.equal(2);
    const changes = [label(racks, 'node1', 'reflector-'), label(racks, 'node3', 'reflector-')];
    const findings = plan(racks, changes);
    expect(exitCodeOf(findings)).to.equal(3);
    const cut = lines(findings, 'cut');
    expect(cut).to.include('BGPPeer/reflectors spec.peerSelector is "reflector == "yes""; it selects no node');
    expect(cut).to.include('BGPPeer/reflectors node2: the session with node node1 vanishes; the node has none left');
    expect(cut).to.include('Node/node4 node4: 3 nodes (node1, node2, node3) will have no path to 10.65.4.0/26');
    const selector = findings.find(({ field }) => field === 'spec.peerSelector');
    expect(selector?.evidence).to.equal('seen by every node');
    const session = findings.find(({ message, node }) => node === 'node2' && /vanishes/.test(message));
    expect(session?.evidence).to.include('metadata.labels.reflector');
  });

  it('tells a way that is lost from one that is left by way of routers', () => {
    const changes = [label(both, 'node1', 'reflector-'), label(both, 'node3', 'reflector-')];
    const findings = plan(both, changes);
    expect(lines(findings, 'loss')).to.include(
      'Node/node4 node4: 3 nodes (node1, node2, node3) will know a way to 10.65.4.0/26 from routers alone',
    );
    expect(lines(findings, 'cut').filter((line) => /no path|none left/.test(line))).to.deep.equal([]);
  });

  it('names the last session with a router, and a router that nobody asks for', () => {
    const moved = plan(both, [label(both, 'node2', 'rack=c')]);
    expect(lines(moved, 'cut')).to.deep.equal([
      'BGPPeer/tor-a node2: the session with router 10.0.1.1 vanishes; the node has none left with a router',
    ]);
    const gone = plan(both, remove(both, [TORS[1] as KubeObject]));
    expect(lines(gone, 'cut')).to.include(
      'BGPPeer/tor-b node4: the session with router 10.0.2.1 vanishes; the node has none left with a router',
    );
  });

  it('names what forces a reset, and what is new', () => {
    const wrong = plan(both, apply(both, [router('tor-a', '10.0.1.1', 'rack == "a"', { asNumber: 64513 })]));
    expect(lines(wrong)).to.deep.equal([
      'BGPPeer/tor-a node1: the session with router 10.0.1.1 is reset: remoteAs changes',
      'BGPPeer/tor-a node2: the session with router 10.0.1.1 is reset: remoteAs changes',
    ]);
    expect(wrong[0]?.evidence).to.equal('BGPPeer/tor-a changes spec.asNumber');
    const more = plan(racks, apply(racks, TORS));
    expect(lines(more, 'gain')).to.include('BGPPeer/tor-b node3: a session with router 10.0.2.1 appears');
  });

  it('asks the filters what routers are told', () => {
    const filter = calico('BGPFilter', 'hush', {
      exportV4: [{ action: 'Reject', matchOperator: 'In', cidr: '10.65.2.0/24' }],
    });
    const peer = router('tor-a', '10.0.1.1', 'rack == "a"', { filters: ['hush'] });
    const findings = plan(both, apply(both, [filter, peer]));
    expect(lines(findings, 'loss')).to.deep.equal(['Node/node2 node2: 10.0.1.1 is told no more of 10.65.2.0/26']);
    // Node 1 reflects, and its router is told by it: both peers of rack a have the filter, so only rack b hears.
    const reject = calico('BGPFilter', 'hush', { exportV4: [{ action: 'Reject' }] });
    const alone = world(...RACKS, TORS[0] as KubeObject);
    expect(lines(plan(alone, apply(alone, [reject, peer])), 'cut')).to.include(
      'Node/node2 node2: no router hears of 10.65.2.0/26 any more',
    );
  });

  it('names what a peer asks for in vain', () => {
    const lone = router('lone', '10.0.9.1', 'rack == "z"', { filters: ['none'] });
    expect(lines(plan(both, apply(both, [lone])))).to.deep.equal([
      'BGPPeer/lone spec.nodeSelector is "rack == "z""; it selects no node',
    ]);
    const keyed = router('tor-a', '10.0.1.1', 'rack == "a"', {
      password: { secretKeyRef: { name: 'bgp', key: 'tor-a' } },
    });
    const known = world(
      ...RACKS,
      ...TORS,
      object('v1', 'Secret', 'other', { metadata: { namespace: 'tortie-system' } }),
    );
    expect(lines(plan(known, apply(known, [keyed])), 'refused').join()).to.match(/BGPPeer\/tor-a spec.password/);
  });

  it('names two nodes with one router id, and two owners of one prefix', () => {
    const twin = plan(
      both,
      apply(
        both,
        [block('10.65.1.0/26', 'node4')].map((each) => ({ ...each, metadata: { name: 'twin' } })),
      ),
    );
    expect(lines(twin, 'cut')).to.include('Node/node1 prefix 10.65.1.0/26 is that of 2 nodes: node1, node4');
  });

  it('counts a node that goes, and nobody misses what was its own', () => {
    const findings = plan(both, removeNode(both, 'node4'));
    expect(lines(findings, 'cut')).to.deep.equal([]);
    const reflector = plan(racks, [...removeNode(racks, 'node1'), ...removeNode(racks, 'node3')]);
    expect(lines(reflector, 'cut')).to.include('Node/node4 node4: 1 node (node2) will have no path to 10.65.4.0/26');
  });

  describe('of pools', () => {
    const nodes = world(...RACKS);

    it('names the pods that a pool takes with it, and nodes that no pool serves', () => {
      const pool = RACKS.find(({ kind }) => kind === 'IPPool') as KubeObject;
      const gone = plan(nodes, remove(nodes, [pool]));
      expect(lines(gone, 'cut')).to.include('IPPool/pods goes, with 4 addresses in use in it');
      expect(lines(gone, 'cut')).to.include(
        'IPPool no pool gives IPv4 addresses to new pods of node1, node2, node3, node4 any more',
      );
      const fenced = plan(
        nodes,
        apply(nodes, [calico('IPPool', 'pods', { cidr: '10.65.0.0/16', nodeSelector: 'rack == "a"' })]),
      );
      expect(lines(fenced, 'cut')).to.deep.equal([
        'IPPool no pool gives IPv4 addresses to new pods of node3, node4 any more',
      ]);
    });

    it('says what each field means for those that are there', () => {
      const turned = calico('IPPool', 'pods', {
        cidr: '10.66.0.0/16',
        natOutgoing: true,
        vxlanMode: 'CrossSubnet',
        disabled: true,
      });
      const found = lines(plan(nodes, apply(nodes, [turned])));
      expect(found).to.include(
        "IPPool/pods spec.natOutgoing what 4 addresses in use send out of the pools leaves with the node's address",
      );
      expect(found.join('\n')).to.match(/IPPool\/pods spec.cidr cannot be changed/);
      expect(found).to.include('IPPool/pods spec.disabled gives no new addresses; 4 addresses in use keep theirs');
      expect(found.join('\n')).to.match(
        /spec.vxlanMode packets of 4 addresses in use between nodes of different subnets are wrapped/,
      );
    });

    it('refuses an overlap by the name of the other', () => {
      const found = plan(nodes, apply(nodes, [calico('IPPool', 'late', { cidr: '10.65.64.0/18' })]));
      expect(lines(found, 'refused').join()).to.match(/IPPool\/late .*overlaps.*pods/);
    });
  });

  describe('of Services', () => {
    const configured = calico('BGPConfiguration', 'default', {
      nodeToNodeMeshEnabled: false,
      asNumber: 64600,
      serviceExternalIPs: [{ cidr: '192.0.2.0/24' }],
    });
    const shop = world(...RACKS, ...TORS, configured, service('web'), slice('web-1', 'web', ['node2', 'node4']));

    it('names an address that loses its last advertiser', () => {
      const one = plan(shop, apply(shop, [slice('web-1', 'web', ['node2'])]));
      expect(lines(one, 'loss')).to.include(
        'BGPConfiguration/default 192.0.2.10/32 is announced by 1 nodes instead of 2',
      );
      const none = plan(shop, apply(shop, [slice('web-1', 'web', [])]));
      expect(lines(none, 'cut')).to.deep.equal(['BGPConfiguration/default 192.0.2.10/32 loses its last advertiser']);
      expect(exitCodeOf(none)).to.equal(3);
    });

    it('does not guard the address of a Service that goes', () => {
      const gone = plan(shop, remove(shop, [service('web')]));
      expect(lines(gone, 'cut')).to.deep.equal([]);
      expect(lines(gone, 'loss')).to.include('BGPConfiguration/default 192.0.2.10/32 loses its last advertiser');
    });
  });

  describe('of policy', () => {
    const deny = object('networking.k8s.io/v1', 'NetworkPolicy', 'closed', {
      metadata: { namespace: 'shop' },
      spec: { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress'] },
    });
    const shop = world(
      ...RACKS,
      object('v1', 'Namespace', 'lab'),
      pod('lab', 'curl', 'node1', '10.65.1.9', { app: 'curl' }),
    );

    it('names pairs that close, once for pods that are alike, with the policy that does it', () => {
      const findings = plan(shop, apply(shop, [deny]));
      expect(lines(findings, 'loss')).to.include(
        'NetworkPolicy/shop/closed lab/curl -> shop/web-1 80/TCP IPv4 becomes denied (1 x 4 pods alike)',
      );
      const open = world(...[...shop.values()].flatMap((each) => [...each.values()]), deny);
      expect(lines(plan(open, remove(open, [deny])), 'change')).to.include(
        'NetworkPolicy/shop/closed lab/curl -> shop/web-1 80/TCP IPv4 becomes allowed (1 x 4 pods alike)',
      );
    });

    it('names a policy that selects no pod', () => {
      const idle = object('networking.k8s.io/v1', 'NetworkPolicy', 'idle', {
        metadata: { namespace: 'shop' },
        spec: { podSelector: { matchLabels: { app: 'wbe' } }, policyTypes: ['Ingress'] },
      });
      expect(lines(plan(shop, apply(shop, [idle, deny])), 'change')).to.deep.equal([
        'NetworkPolicy/shop/idle selects no pod',
      ]);
      const tiered = calico('GlobalNetworkPolicy', 'late', {
        selector: 'app == "web"',
        types: ['Egress'],
        order: 9_999,
      });
      expect(lines(plan(shop, apply(shop, [tiered])), 'change')).to.deep.equal([]);
    });

    it('names what the engine does not take of a policy', () => {
      const odd = object('networking.k8s.io/v1', 'NetworkPolicy', 'odd', {
        metadata: { namespace: 'shop' },
        spec: { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: 'rubbish' } }] }] },
      });
      expect(lines(plan(shop, apply(shop, [odd])), 'refused').join()).to.match(/NetworkPolicy\/shop\/odd .*rubbish/);
    });
  });

  it('applies as kubectl does: what was given before and is no more goes, what others wrote stays', () => {
    const last = JSON.stringify({ metadata: { name: 'node2', labels: { old: 'x' } } });
    const before = world(
      node(2, { old: 'x', kubelet: 'y' }, { 'kubectl.kubernetes.io/last-applied-configuration': last }),
    );
    const [change] = apply(before, [object('v1', 'Node', 'node2', { metadata: { labels: { fresh: 'z' } } })]);
    expect(change?.after?.metadata.labels).to.deep.equal({ rack: 'a', kubelet: 'y', fresh: 'z' });
    expect(change?.after).to.have.property('status');
  });

  it('refuses what it does not understand', () => {
    expect(() => label(both, 'node2', 'rack')).to.throw('expected KEY=VALUE, or KEY-');
    expect(() => removeNode(both, 'node9')).to.throw(
      'there is no node "node9"; expected one of: node1, node2, node3, node4',
    );
  });
});
