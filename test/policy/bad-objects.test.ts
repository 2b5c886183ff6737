/** Objects that no API server should have let in: each refused part is named, nothing is opened by it, and the rest goes on. */
import { expect } from 'chai';
import {
  MARK_SPACE,
  PolicyEngine,
  renderIptables,
  renderNftables,
  validateClusterPolicy,
  type KubeObject,
  type PolicyEvent,
} from '@tortie/policy';
import { expectCells } from './cells.js';
import { calicoPolicy, eventsOf, hostEndpoint, networkPolicy, smallWorld, upsert, type WorldPolicy } from './world.js';

const problemsOf = (policy: WorldPolicy): readonly string[] => {
  const engine = new PolicyEngine();
  for (const event of eventsOf(smallWorld({ policies: [policy] }), 'n1')) engine.apply(event);
  engine.flush();
  return engine.problems().flatMap((one) => one.problems.map((problem) => problem.message));
};

describe('policy: bad objects', () => {
  const app = { podSelector: { matchLabels: { app: 'a' } } };
  const good = { from: [{ podSelector: { matchLabels: { app: 'b' } } }] };

  const refused: readonly (readonly [title: string, rule: unknown, message: RegExp])[] = [
    [
      'an invalid CIDR',
      { from: [{ ipBlock: { cidr: '10.0.0.0/33' } }] },
      /cidr: Invalid value: "10\.0\.0\.0\/33": must be a valid CIDR/,
    ],
    [
      'an except of the wrong family',
      { from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['fd00::/8'] } }] },
      /except\[0\]: Invalid value: "fd00::\/8": must be a strict subset/,
    ],
    [
      'a bad selector',
      { from: [{ podSelector: { matchExpressions: [{ key: 'a', operator: 'Like' }] } }] },
      /operator: Invalid value: "Like": not a valid selector operator/,
    ],
    ['an endPort without port', { ports: [{ endPort: 90 }] }, /endPort: Invalid value: 90/],
    ['a rule of another type', 'everyone', /ingress\[0\]: Invalid value: "everyone": must be an object/],
    ['ports of another type', { ports: 80 }, /ports: Invalid value: 80: must be an array/],
    ['a list of another type', { from: 'everyone' }, /from: Invalid value: "everyone": must be an array/],
    ['an unknown protocol', { ports: [{ protocol: 'ICMP' }] }, /protocol: Unsupported value: "ICMP"/],
  ];
  for (const [title, rule, message] of refused)
    it(`${title}: named, and the policy's other rules stand`, () => {
      const policy = networkPolicy('x', 'p', { ...app, ingress: [rule, good] });
      expect(problemsOf(policy).join('\n')).to.match(message);
      expectCells(
        smallWorld({ policies: [policy] }),
        [
          ['x/b', 'x/a', 'TCP/80', true],
          ['y/a', 'x/a', 'TCP/80', false],
        ],
        { reference: false },
      );
    });

  it('a bad podSelector selects nobody, and says so', () => {
    const policy = networkPolicy('x', 'p', { podSelector: { matchLabels: { 'a b': 'c' } }, ingress: [] });
    expect(problemsOf(policy)).to.have.length(1);
    expectCells(smallWorld({ policies: [policy] }), [['y/a', 'x/a', 'TCP/80', true]], { reference: false });
  });

  it('nonsense of any shape never throws', () => {
    const engine = new PolicyEngine();
    for (const spec of [
      undefined,
      null,
      7,
      'x',
      [],
      { podSelector: [] },
      { ingress: [null, 7, 'x', [[]]] },
      { ingress: [{ from: [null, 7], ports: [null, 'x'] }] },
      { policyTypes: 'Ingress' },
      { subject: 7 },
      { selector: 7, ingress: [{ action: 7, source: 7 }] },
      { order: 'first', tier: 7 },
    ])
      for (const kind of [
        'NetworkPolicy',
        'ClusterNetworkPolicy',
        'AdminNetworkPolicy',
        'BaselineAdminNetworkPolicy',
        'CalicoNetworkPolicy',
        'GlobalNetworkPolicy',
        'StagedNetworkPolicy',
        'Tier',
        'NetworkSet',
        'HostEndpoint',
        'EndpointSlice',
      ] as const) {
        engine.apply({
          type: 'upsert',
          kind,
          object: { metadata: { namespace: 'x', name: 'default' }, spec } as KubeObject,
        });
        engine.flush();
      }
    for (const object of [
      { spec: { containers: null, initContainers: null }, status: { podIPs: null } },
      {},
      { spec: { containers: [{ ports: null }] } },
    ])
      engine.apply({
        type: 'upsert',
        kind: 'Pod',
        object: { metadata: { namespace: 'x', name: 'p', labels: null }, ...object } as KubeObject,
      });
    expect(engine.problems().length).to.be.greaterThan(5);
  });

  const calico: readonly (readonly [title: string, rule: unknown, field: string])[] = [
    ['a selector that does not parse', { source: { selector: 'app = "b"' } }, 'spec.ingress[0].source.selector'],
    ['an unknown action', { action: 'Permit' }, 'spec.ingress[0].action'],
    ['ports without a protocol', { destination: { ports: [80] } }, 'spec.ingress[0].destination.ports'],
    ['ports of ICMP', { protocol: 'ICMP', destination: { ports: [80] } }, 'spec.ingress[0].destination.ports'],
    ['a bad port', { protocol: 'TCP', destination: { ports: ['90:80'] } }, 'spec.ingress[0].destination.ports[0]'],
    ['a bad net', { source: { nets: ['10.0.0.0/40'] } }, 'spec.ingress[0].source.nets[0]'],
    ['an unknown protocol', { protocol: 'QUIC' }, 'spec.ingress[0].protocol'],
    ['ICMP fields without ICMP', { protocol: 'TCP', icmp: { type: 8 } }, 'spec.ingress[0].icmp'],
    ['an ICMP code without type', { protocol: 'ICMP', icmp: { code: 0 } }, 'spec.ingress[0].icmp.type'],
    ['HTTP matches', { http: { methods: ['GET'] } }, 'spec.ingress[0].http'],
    [
      'services beside selectors',
      { source: { services: { name: 's' }, selector: 'all()' } },
      'spec.ingress[0].source.selector',
    ],
    ['services at the wrong end', { destination: { services: { name: 's' } } }, 'spec.ingress[0].destination.services'],
    ['a wrong ipVersion', { ipVersion: 5 }, 'spec.ingress[0].ipVersion'],
  ];
  for (const [title, rule, field] of calico)
    it(`Calico: ${title}: an Allow matches nothing, a Deny what it can`, () => {
      const of = (action: string): WorldPolicy =>
        calicoPolicy('CalicoNetworkPolicy', 'x', 'p', {
          selector: 'app == "a"',
          ingress: [
            { action, ...(rule as object) },
            { action: 'Allow', source: { notNets: ['203.0.113.0/24'] } },
          ],
        });
      const engine = new PolicyEngine();
      for (const event of eventsOf(smallWorld({ policies: [of('Deny')] }), 'n1')) engine.apply(event);
      expect(engine.problemsOf('CalicoNetworkPolicy', 'x', 'p').map((problem) => problem.field)).to.deep.equal([field]);
      const reaches = engine.verdict({
        from: { type: 'address', address: '203.0.113.1' },
        to: { type: 'pod', namespace: 'x', name: 'a' },
        family: 4,
        protocol: 'TCP',
        port: 80,
      }).allowed;
      expect(reaches).to.equal(false);
      expectCells(
        smallWorld({ policies: [of('Allow')] }),
        [['x/b', 'x/a', 'TCP/80', true]].map(
          ([from, to, probe]) => [String(from), String(to), String(probe), title !== 'an unknown action'] as const,
        ),
        { reference: false },
      );
    });

  it('Calico: a policy whose own selector does not parse applies to nobody', () => {
    const policy = calicoPolicy('GlobalNetworkPolicy', '', 'g', { selector: 'app ==', ingress: [] });
    expect(problemsOf(policy)[0]).to.match(/^spec\.selector: Invalid value: "app ==": Cannot parse selector/);
    expectCells(smallWorld({ policies: [policy] }), [['x/b', 'x/a', 'TCP/80', true]], { reference: false });
  });

  it('Calico: every problem of an object at once, also beside a selector that does not parse', () => {
    const policy = calicoPolicy('GlobalNetworkPolicy', '', 'g', {
      selector: 'app ==',
      order: 'first',
      ingress: [
        { action: 'Allow', http: { methods: ['GET'] } },
        { action: 'Allow', source: { nets: ['x'] } },
      ],
    });
    const fields = problemsOf(policy).map((problem) => problem.slice(0, problem.indexOf(':')));
    expect(fields).to.have.members([
      'spec.selector',
      'spec.order',
      'spec.ingress[0].http',
      'spec.ingress[1].source.nets[0]',
    ]);
  });

  it('names with quotes, dollars and line breaks cannot leave their comment', () => {
    const engine = new PolicyEngine();
    const name = 'a"; -j ACCEPT\n-A FORWARD -j ACCEPT\n$(reboot)';
    for (const event of eventsOf(
      smallWorld({ policies: [networkPolicy('x', name, { ingress: [{ ports: [{ port: 1 }] }] })] }),
      'n1',
    ))
      engine.apply(event);
    engine.flush();
    for (const line of renderIptables(engine.ruleset(), 4).split('\n')) {
      expect(line).to.match(/^($|[*:#]|-A TORTIE-|-I |COMMIT)/);
      expect((line.match(/"/g) ?? []).length % 2).to.equal(0);
      expect(line).to.not.include('$(');
    }
    for (const line of renderNftables(engine.ruleset()).split('\n')) expect(line).to.match(/^($|(add|flush|delete) )/);
  });

  it('a set of 10,000 entries is one set, and one change of it one member', () => {
    const engine = new PolicyEngine();
    const nets = Array.from({ length: 10_000 }, (_, i) => `10.${i >> 8}.${i & 255}.${(i * 2) % 256}/32`);
    const set = (list: readonly string[]): PolicyEvent =>
      upsert('GlobalNetworkSet', {
        metadata: { name: 'big', labels: { big: 'yes' } },
        spec: { nets: list },
      } as KubeObject);
    for (const event of [
      ...eventsOf(
        smallWorld({
          policies: [
            calicoPolicy('GlobalNetworkPolicy', '', 'g', {
              ingress: [{ action: 'Allow', source: { selector: 'has(big)' } }],
            }),
          ],
        }),
        'n1',
      ),
      set(nets),
    ])
      engine.apply(event);
    const first = engine.flush();
    expect(Math.max(...first.setsCreated.map((one) => one.members.size))).to.equal(10_000);
    engine.apply(set([...nets.slice(1), '192.0.2.77/32']));
    const second = engine.flush();
    expect(second.chainsUpserted).to.deep.equal([]);
    expect(second.setsChanged.map((change) => [change.added, change.removed])).to.deep.equal([
      [['192.0.2.77/32'], [nets[0]]],
    ]);
  });

  it('marks stay inside the bits that are ours', () => {
    const engine = new PolicyEngine({ nodeName: 'n1' });
    for (const event of eventsOf(
      smallWorld({
        policies: [
          calicoPolicy('GlobalNetworkPolicy', '', 'g', {
            doNotTrack: true,
            applyOnForward: true,
            ingress: [{ action: 'Pass' }, { action: 'Allow' }],
          }),
          calicoPolicy('GlobalNetworkPolicy', '', 'h', { ingress: [{ action: 'Pass' }] }),
        ],
      }),
      'n1',
    ))
      engine.apply(event);
    engine.apply(hostEndpoint('h', { node: 'n1', interfaceName: 'eth0' }));
    engine.flush();
    const marks = [...engine.ruleset().chains.values()]
      .flatMap((chain) => chain.rules.map((rule) => rule.action))
      .flatMap((action) => (action.type === 'set-mark' ? [action.mask | action.value] : []));
    expect(marks.length).to.be.greaterThan(4);
    for (const bits of marks) expect((bits & ~MARK_SPACE) >>> 0).to.equal(0);
  });

  it('cluster policies: every problem of an object at once', () => {
    const object = {
      metadata: { name: 'p', namespace: 'x' },
      spec: {
        tier: 'Top',
        priority: 1001,
        subject: {},
        ingress: [{ action: 'Permit', from: [], protocols: [] }],
        egress: [
          {
            action: 'Accept',
            to: [{ networks: ['x'] }, { nodes: {}, pods: {} }],
            protocols: [{ destinationNamedPort: 'a' }],
          },
        ],
      },
    };
    expect(validateClusterPolicy('ClusterNetworkPolicy', object).map((problem) => problem.field)).to.deep.equal([
      'metadata.namespace',
      'spec.tier',
      'spec.priority',
      'spec.subject',
      'spec.ingress[0].action',
      'spec.ingress[0].from',
      'spec.ingress[0].protocols',
      'spec.egress[0].to[0].networks[0]',
      'spec.egress[0].to[1]',
      'spec.egress[0]',
    ]);
  });
});
