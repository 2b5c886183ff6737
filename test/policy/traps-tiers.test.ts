/** policy-traps 57-67: cluster tiers. The number in a title is the trap's. */
import { expect } from 'chai';
import { PolicyEngine, validateClusterPolicy } from '@tortie/policy';
import { expectCells, type Cell } from './cells.js';
import { eventsOf, clusterPolicy, networkPolicy, smallWorld, type World, type WorldPolicy } from './world.js';

const everyone = { namespaces: {} };
const pod = (app: string): unknown => ({ pods: { namespaceSelector: {}, podSelector: { matchLabels: { app } } } });
const cnp = (name: string, tier: string, priority: number, rules: unknown): WorldPolicy =>
  clusterPolicy('ClusterNetworkPolicy', name, { tier, priority, subject: everyone, ...(rules as object) });
const world = (...policies: readonly WorldPolicy[]): World => smallWorld({ policies });
const check = (policies: readonly WorldPolicy[], cells: readonly Cell[]): void =>
  expectCells(world(...policies), cells, { reference: false });
const ingress = (...rules: readonly unknown[]): unknown => ({ ingress: rules });

describe('policy/traps: cluster tiers', () => {
  const denyB = { action: 'Deny', from: [pod('b')] };
  const acceptB = { action: 'Accept', from: [pod('b')] };
  const passB = { action: 'Pass', from: [pod('b')] };

  it('57: the lower number goes first across policies and creation orders; inside a policy the first match', () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const policies = [cnp('one', 'Admin', 5, ingress(denyB)), cnp('two', 'Admin', 3, ingress(acceptB))];
      check(
        order.map((index) => policies[index]).filter((one) => one !== undefined),
        [['x/b', 'x/a', 'TCP/80', true]],
      );
    }
    check(
      [cnp('one', 'Admin', 5, ingress(denyB, acceptB))],
      [
        ['x/b', 'x/a', 'TCP/80', false],
        ['y/a', 'x/a', 'TCP/80', true],
      ],
    );
    // Numbers, not text: 10 is after 9.
    check(
      [cnp('one', 'Admin', 10, ingress(denyB)), cnp('two', 'Admin', 9, ingress(acceptB))],
      [['x/b', 'x/a', 'TCP/80', true]],
    );
  });

  it('58: selecting isolates nobody; what no rule matches falls through', () => {
    check(
      [cnp('one', 'Admin', 5, ingress(denyB)), cnp('two', 'Baseline', 5, {})],
      [
        ['y/a', 'x/a', 'TCP/80', true],
        ['out', 'x/a', 'TCP/80', true],
      ],
    );
  });

  it('59: Pass leaves the whole tier, and from Baseline to the default allow', () => {
    check(
      [cnp('one', 'Admin', 1, ingress(passB)), cnp('two', 'Admin', 2, ingress(denyB))],
      [['x/b', 'x/a', 'TCP/80', true]],
    );
    check(
      [
        cnp('one', 'Admin', 1, ingress(passB)),
        cnp('two', 'Admin', 2, ingress(denyB)),
        cnp('base', 'Baseline', 1, ingress(denyB)),
      ],
      [['x/b', 'x/a', 'TCP/80', false]],
    );
    check(
      [cnp('one', 'Baseline', 1, ingress(passB)), cnp('two', 'Baseline', 2, ingress(denyB))],
      [['x/b', 'x/a', 'TCP/80', true]],
    );
  });

  it('60: a NetworkPolicy hides Baseline in its own direction only, and finally', () => {
    const base = cnp('base', 'Baseline', 1, {
      ingress: [denyB, { action: 'Accept', from: [everyone] }],
      egress: [{ action: 'Deny', to: [pod('b')] }],
    });
    const allowB = networkPolicy('x', 'np', {
      podSelector: { matchLabels: { app: 'a' } },
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'b' } } }] }],
    });
    check(
      [base],
      [
        ['x/b', 'x/a', 'TCP/80', false],
        ['y/a', 'x/a', 'TCP/80', true],
        ['x/a', 'x/b', 'TCP/80', false],
      ],
    );
    check(
      [base, allowB],
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['y/a', 'x/a', 'TCP/80', false],
        ['x/a', 'x/b', 'TCP/80', false],
      ],
    );
  });

  it('61: Accept covers one end only', () => {
    const closed = networkPolicy('x', 'np', { podSelector: { matchLabels: { app: 'a' } }, policyTypes: ['Ingress'] });
    check(
      [cnp('one', 'Admin', 1, { egress: [{ action: 'Accept', to: [everyone] }] }), closed],
      [['y/a', 'x/a', 'TCP/80', false]],
    );
    check(
      [cnp('one', 'Admin', 1, { ingress: [{ action: 'Accept', from: [everyone] }] }), closed],
      [['y/a', 'x/a', 'TCP/80', true]],
    );
  });

  it('62: networks cover pods and nodes of their family; a Pass for pods before them lets pods be', () => {
    const deny = { action: 'Deny', to: [{ networks: ['0.0.0.0/0'] }] };
    check(
      [cnp('one', 'Admin', 1, { egress: [deny] })],
      [
        ['x/a', 'x/b', 'TCP/80', false, 4],
        ['x/a', 'x/b', 'TCP/80', true, 6],
        ['x/a', 'node:n2', 'TCP/80', false, 4],
        ['x/a', 'out', 'TCP/80', false, 4],
      ],
    );
    check(
      [cnp('one', 'Admin', 1, { egress: [{ action: 'Pass', to: [everyone] }, deny] })],
      [
        ['x/a', 'x/b', 'TCP/80', true, 4],
        ['x/a', 'out', 'TCP/80', false, 4],
      ],
    );
  });

  for (const unknown of [{ futurePeer: {} }, {}, { domainNames: ['example.com'] }, { networks: ['10.0.0.0/99'] }])
    it(`63: a peer of ${JSON.stringify(unknown)} makes Accept match nothing and Deny and Pass deny everything`, () => {
      const rule = (action: string): unknown => ({ egress: [{ action, to: [everyone, unknown] }] });
      check(
        [
          cnp('one', 'Admin', 1, rule('Accept')),
          cnp('two', 'Admin', 2, { egress: [{ action: 'Deny', to: [everyone] }] }),
        ],
        [['x/a', 'x/b', 'TCP/80', false]],
      );
      for (const action of ['Deny', 'Pass'])
        check(
          [cnp('one', 'Admin', 1, rule(action))],
          [
            ['x/a', 'x/b', 'TCP/80', false],
            ['x/a', 'out', 'UDP/53', false],
          ],
        );
      const engine = new PolicyEngine();
      for (const event of eventsOf(world(cnp('one', 'Admin', 1, rule('Deny'))))) engine.apply(event);
      expect(
        engine
          .problemsOf('ClusterNetworkPolicy', '', 'one')
          .map((problem) => problem.field)
          .join(),
      ).to.match(/^spec\.egress\[0\]\.to\[1\]/);
    });

  it('63: a port that is not understood lets Accept match less and Deny match all ports of its peers', () => {
    const rule = (action: string): unknown => ({
      ingress: [{ action, from: [pod('b')], protocols: [{ icmp: {} }, { tcp: { destinationPort: { number: 80 } } }] }],
    });
    check(
      [cnp('one', 'Admin', 1, rule('Deny'))],
      [
        ['x/b', 'x/a', 'TCP/81', false],
        ['y/a', 'x/a', 'TCP/80', true],
      ],
    );
    check(
      [cnp('one', 'Admin', 1, rule('Accept')), cnp('two', 'Admin', 2, ingress(denyB))],
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['x/b', 'x/a', 'TCP/81', false],
      ],
    );
  });

  it('64: a port name matches every protocol the pod declares it under', () => {
    const base = world(
      cnp('one', 'Admin', 1, {
        ingress: [{ action: 'Deny', from: [everyone], protocols: [{ destinationNamedPort: 'dns' }] }],
      }),
    );
    const pods = base.pods.map((one) => ({
      ...one,
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'dns', port: 5353, protocol: 'TCP' },
      ],
    }));
    expectCells(
      { ...base, pods },
      [
        ['x/b', 'x/a', 'UDP/53', false],
        ['x/b', 'x/a', 'TCP/5353', false],
        ['x/b', 'x/a', 'TCP/53', true],
        ['x/b', 'x/a', 'UDP/5353', true],
      ],
      { reference: false },
    );
  });

  it('65: the same number in different tiers is no tie', () => {
    check(
      [cnp('one', 'Baseline', 7, ingress(denyB)), cnp('two', 'Admin', 7, ingress(acceptB))],
      [['x/b', 'x/a', 'TCP/80', true]],
    );
  });

  it('66: what schema and prose allow', () => {
    const fields = (kind: 'ClusterNetworkPolicy' | 'AdminNetworkPolicy', rule: unknown): readonly string[] =>
      validateClusterPolicy(kind, {
        metadata: { name: 'p' },
        spec: {
          ...(kind === 'ClusterNetworkPolicy' ? { tier: 'Admin' } : {}),
          priority: 0,
          subject: everyone,
          ingress: [rule],
        },
      }).map((problem) => problem.field);
    const from = [everyone];
    for (const protocol of ['tcp', 'udp', 'sctp'])
      for (const [value, field] of [
        [{}, `${protocol}.destinationPort`],
        [{ destinationPort: null }, `${protocol}.destinationPort`],
        [{ destinationPort: {} }, `${protocol}.destinationPort`],
        [{ destinationPort: { number: 80, range: { start: 1, end: 2 } } }, `${protocol}.destinationPort`],
        [{ destinationPort: { range: {} } }, `${protocol}.destinationPort.range.start`],
        [{ destinationPort: { number: 0 } }, `${protocol}.destinationPort.number`],
      ] as const)
        expect(
          fields('ClusterNetworkPolicy', { action: 'Accept', from, protocols: [{ [protocol]: value }] })[0],
          JSON.stringify(value),
        ).to.equal(`spec.ingress[0].protocols[0].${field}`);
    const all = { tcp: { destinationPort: { range: { start: 1, end: 65535 } } } };
    expect(fields('ClusterNetworkPolicy', { action: 'Accept', from, protocols: [all] })).to.deep.equal([]);
    for (const [port, wrong] of [
      [{ portNumber: {} }, ['portNumber.port']],
      [{ portRange: { start: 80, end: 80 } }, []],
      [{ portRange: { start: 81, end: 80 } }, ['portRange']],
    ] as const)
      expect(fields('AdminNetworkPolicy', { action: 'Allow', from, ports: [port] })).to.deep.equal(
        wrong.map((field) => `spec.ingress[0].ports[0].${field}`),
      );
    expect(fields('ClusterNetworkPolicy', { action: 'Allow', from })).to.deep.equal(['spec.ingress[0].action']);
    expect(fields('AdminNetworkPolicy', { action: 'Allow', from })).to.deep.equal([]);
    expect(
      fields('ClusterNetworkPolicy', {
        action: 'Deny',
        from,
        protocols: [{ tcp: { destinationPort: { range: { start: 80, end: 80 } } } }],
      }),
    ).to.deep.equal(['spec.ingress[0].protocols[0].tcp.destinationPort.range']);
    expect(fields('ClusterNetworkPolicy', { action: 'Deny', from: [{ pods: { podSelector: {} } }] })).to.deep.equal([]);
    expect(fields('AdminNetworkPolicy', { action: 'Deny', from: [{ pods: { podSelector: {} } }] })).to.deep.equal([
      'spec.ingress[0].from[0].pods.namespaceSelector',
    ]);
    expect(
      fields('ClusterNetworkPolicy', { action: 'Deny', from: Array.from({ length: 26 }, () => everyone) }),
    ).to.deep.equal(['spec.ingress[0].from']);
    expect(
      fields('AdminNetworkPolicy', { action: 'Deny', from: Array.from({ length: 26 }, () => everyone) }),
    ).to.deep.equal([]);
    expect(fields('ClusterNetworkPolicy', { action: 'Deny', from: [] })).to.deep.equal(['spec.ingress[0].from']);
    expect(fields('ClusterNetworkPolicy', { action: 'Deny', from, protocols: [] })).to.deep.equal([
      'spec.ingress[0].protocols',
    ]);
    check(
      [cnp('one', 'Admin', 1, { ingress: [{ action: 'Deny', from, protocols: [all] }] })],
      [
        ['x/b', 'x/a', 'TCP/9', false],
        ['x/b', 'x/a', 'UDP/9', true],
      ],
    );
    // What nobody can read fails closed: a Deny denies everything, an Accept accepts nothing.
    check(
      [cnp('one', 'Admin', 1, { ingress: [{ action: 'Deny', from, protocols: [{ tcp: {} }] }] })],
      [
        ['x/b', 'x/a', 'TCP/9', false],
        ['x/b', 'x/a', 'UDP/9', false],
      ],
    );
  });

  it("67: a nodes peer is the nodes' addresses, hostNetwork pods and the pod's own node among them", () => {
    const base = world(
      cnp('one', 'Admin', 1, { egress: [{ action: 'Deny', to: [{ nodes: { matchLabels: { role: 'edge' } } }] }] }),
    );
    const host = {
      namespace: 'y',
      name: 'host',
      labels: {},
      ips: ['172.18.0.1', 'fc00::1'],
      node: 'n1',
      ports: [],
      hostNetwork: true,
    };
    const nodes = base.nodes.map((node) => ({ ...node, ...(node.name === 'n1' ? { labels: { role: 'edge' } } : {}) }));
    expectCells(
      { ...base, nodes, pods: [...base.pods, host] },
      [
        ['x/a', 'node:n1', 'TCP/80', false],
        ['x/b', 'node:n1', 'TCP/80', false],
        ['x/b', 'y/host', 'TCP/80', false],
        ['x/a', 'node:n2', 'TCP/80', true],
        ['x/a', 'x/b', 'TCP/80', true],
      ],
      { reference: false },
    );
  });

  it('a BaselineAdminNetworkPolicy that is not named default, or a policy without subject, is refused as a whole', () => {
    const deny = { subject: everyone, ingress: [denyB] };
    check([clusterPolicy('BaselineAdminNetworkPolicy', 'other', deny)], [['x/b', 'x/a', 'TCP/80', true]]);
    check([clusterPolicy('BaselineAdminNetworkPolicy', 'default', deny)], [['x/b', 'x/a', 'TCP/80', false]]);
    check(
      [clusterPolicy('AdminNetworkPolicy', 'p', { priority: 1, ingress: [denyB] })],
      [['x/b', 'x/a', 'TCP/80', true]],
    );
  });
});
