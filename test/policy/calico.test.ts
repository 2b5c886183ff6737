/** Calico's policies, feature by feature, through every reading of the rules. */
import { expect } from 'chai';
import { PolicyEngine, renderIptables, type KubeObject, type PolicyEvent, type Rule } from '@tortie/policy';
import { expectCells, type Cell } from './cells.js';
import { parseIptables, programOf, run, type Packet } from './interpreter.js';
import { calicoPolicy, eventsOf, interfaceOf, smallWorld, upsert, type World, type WorldPolicy } from './world.js';

const np = (spec: unknown, name = 'p', namespace = 'x'): WorldPolicy =>
  calicoPolicy('CalicoNetworkPolicy', namespace, name, spec);
const gnp = (spec: unknown, name = 'g'): WorldPolicy => calicoPolicy('GlobalNetworkPolicy', '', name, spec);
const check = (policies: readonly WorldPolicy[], cells: readonly Cell[], change: Partial<World> = {}): void =>
  expectCells(smallWorld({ policies, ...change }), cells, { reference: false });

function engineOf(policies: readonly WorldPolicy[], events: readonly PolicyEvent[] = []): PolicyEngine {
  const engine = new PolicyEngine();
  for (const event of [...eventsOf(smallWorld({ policies }), 'n1'), ...events]) engine.apply(event);
  engine.flush();
  return engine;
}

/** A packet into x/a from outside, as both readings judge it. */
function intoA(engine: PolicyEngine, change: Partial<Packet>, family: 4 | 6 = 4): string {
  const packet: Packet = {
    family,
    table: 'filter',
    builtin: 'FORWARD',
    in: 'eth0',
    out: interfaceOf('x', 'a'),
    source: family === 4 ? '192.0.2.9' : '2001:db8::9',
    destination: family === 4 ? '10.65.0.1' : 'fd00:65::a:1',
    protocol: 6,
    sourcePort: 40000,
    destinationPort: 80,
    state: 'new',
    ...change,
  };
  const [neutral, text] = [
    programOf(engine.ruleset(), family),
    parseIptables(renderIptables(engine.ruleset(), family), engine.ruleset().sets),
  ].map((program) => run(program, packet));
  expect(text).to.equal(neutral);
  return neutral ?? 'drop';
}

describe('policy/calico', () => {
  const app = 'app == "a"';

  it('types default by the rules there are', () => {
    const closed: readonly Cell[] = [
      ['x/b', 'x/a', 'TCP/80', false],
      ['x/a', 'y/b', 'TCP/80', true],
    ];
    check([np({ selector: app })], closed);
    check(
      [np({ selector: app, egress: [{ action: 'Deny' }] })],
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['x/a', 'y/b', 'TCP/80', false],
      ],
    );
    check(
      [np({ selector: app, ingress: [{ action: 'Allow' }], egress: [{ action: 'Deny' }] })],
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['x/a', 'y/b', 'TCP/80', false],
      ],
    );
    check(
      [np({ selector: app, types: ['Egress'], ingress: [{ action: 'Deny' }] })],
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['x/a', 'y/b', 'TCP/80', false],
      ],
    );
  });

  it('order decides, fractions and none at all included; equal orders go by name', () => {
    const [allow, deny] = [
      { selector: app, ingress: [{ action: 'Allow' }] },
      { selector: app, ingress: [{ action: 'Deny' }] },
    ];
    const toA = (allowed: boolean): readonly Cell[] => [['x/b', 'x/a', 'TCP/80', allowed]];
    check([np({ ...deny, order: 1.5 }, 'a'), np({ ...allow, order: 1.25 }, 'b')], toA(true));
    check([np({ ...deny }, 'a'), np({ ...allow, order: 1e9 }, 'b')], toA(true));
    check([np({ ...deny, order: -3 }, 'z'), np({ ...allow, order: 0 }, 'a')], toA(false));
    check([np({ ...deny, order: 1 }, 'b'), np({ ...allow, order: 1 }, 'a')], toA(true));
    check([gnp({ ...deny, order: 1 }), np({ ...allow, order: 2 })], toA(false));
  });

  it('stands beside NetworkPolicy in the default tier at order 1000', () => {
    const isolate: WorldPolicy = {
      kind: 'NetworkPolicy',
      object: {
        metadata: { namespace: 'x', name: 'np' },
        spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] },
      } as KubeObject,
    };
    check([isolate, gnp({ order: 999, ingress: [{ action: 'Deny' }] })], [['x/b', 'x/a', 'TCP/80', false]]);
    check(
      [isolate, gnp({ order: 1001, ingress: [{ action: 'Deny' }] })],
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['y/a', 'x/a', 'TCP/80', false],
      ],
    );
    check([isolate, gnp({ order: 1001, ingress: [{ action: 'Allow' }] })], [['y/a', 'x/a', 'TCP/80', true]]);
  });

  it('tiers: order, default action, pass, and policies that wait for a tier', () => {
    const tier = (name: string, order: number, defaultAction?: string): World['tiers'] => [
      { name, order, ...(defaultAction === undefined ? {} : { defaultAction }) },
    ];
    const early = gnp({
      tier: 'early',
      selector: app,
      ingress: [{ action: 'Pass', source: { selector: 'app == "b"' } }],
    });
    const late = gnp({ selector: app, ingress: [{ action: 'Allow' }] }, 'late');
    check(
      [early, late],
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['y/a', 'x/a', 'TCP/80', false],
      ],
      { tiers: tier('early', 5) },
    );
    check([early, late], [['y/a', 'x/a', 'TCP/80', true]], { tiers: tier('early', 5, 'Pass') });
    check([early, late], [['y/a', 'x/a', 'TCP/80', true]]);
    const engine = engineOf([early]);
    expect(engine.problemsOf('GlobalNetworkPolicy', '', 'g').map((problem) => problem.message)).to.deep.equal([
      'spec.tier: Invalid value: "early": must be the name of a Tier that exists',
    ]);
    expect(engine.problems()).to.have.length(1);
    engine.apply(upsert('Tier', { metadata: { name: 'early' }, spec: { order: 5 } } as KubeObject));
    expect(engine.problems()).to.deep.equal([]);
  });

  it('a namespaced policy means its own namespace as soon as it selects anything', () => {
    check(
      [np({ selector: app, ingress: [{ action: 'Allow', source: { selector: 'app == "b"' } }] })],
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['y/b', 'x/a', 'TCP/80', false],
      ],
    );
    check(
      [
        np({
          selector: app,
          ingress: [{ action: 'Allow', source: { selector: 'app == "b"', namespaceSelector: 'all()' } }],
        }),
      ],
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['y/b', 'x/a', 'TCP/80', true],
        ['out', 'x/a', 'TCP/80', false],
      ],
    );
    check(
      [
        np({
          selector: app,
          ingress: [{ action: 'Allow', source: { namespaceSelector: 'projectcalico.org/name == "y"' } }],
        }),
      ],
      [
        ['x/b', 'x/a', 'TCP/80', false],
        ['y/b', 'x/a', 'TCP/80', true],
      ],
    );
    check(
      [np({ selector: app, ingress: [{ action: 'Allow', source: { notSelector: 'app == "b"' } }] })],
      [
        ['x/b', 'x/a', 'TCP/80', false],
        ['y/a', 'x/a', 'TCP/80', false],
        ['out', 'x/a', 'TCP/80', false],
      ],
    );
    check(
      [gnp({ selector: app, ingress: [{ action: 'Allow', source: { notSelector: 'app == "b"' } }] })],
      [
        ['x/b', 'x/a', 'TCP/80', false],
        ['y/a', 'x/a', 'TCP/80', true],
        ['out', 'x/a', 'TCP/80', true],
      ],
    );
  });

  it('network sets are meant by selectors, global() means those of no namespace', () => {
    const networkSets = [
      { name: 'g', labels: { kind: 'net' }, nets: ['192.0.2.0/24', '2001:db8::/32'] },
      { namespace: 'x', name: 'own', labels: { kind: 'net' }, nets: ['198.51.100.0/24'] },
    ];
    const externals = [
      { name: 'out', ips: ['192.0.2.9', '2001:db8::9'] },
      { name: 'own', ips: ['198.51.100.1', '2001:db8:ffff::1'] },
    ];
    const from = (source: unknown): WorldPolicy => np({ selector: app, ingress: [{ action: 'Allow', source }] });
    check(
      [from({ selector: 'kind == "net"' })],
      [
        ['out', 'x/a', 'TCP/80', false, 4],
        ['own', 'x/a', 'TCP/80', true, 4],
      ],
      { networkSets, externals },
    );
    check(
      [from({ selector: 'kind == "net"', namespaceSelector: 'global()' })],
      [
        ['out', 'x/a', 'TCP/80', true],
        ['own', 'x/a', 'TCP/80', false, 4],
        ['x/b', 'x/a', 'TCP/80', false],
      ],
      { networkSets, externals },
    );
    check(
      [
        gnp({
          selector: app,
          ingress: [{ action: 'Deny', source: { selector: 'kind == "net"' } }, { action: 'Allow' }],
        }),
      ],
      [
        ['out', 'x/a', 'TCP/80', false],
        ['own', 'x/a', 'TCP/80', false, 4],
        ['x/b', 'x/a', 'TCP/80', true],
      ],
      { networkSets, externals },
    );
  });

  it('service accounts: names, labels, both, and as subjects', () => {
    const base = smallWorld();
    const pods = base.pods.map((pod) => ({ ...pod, serviceAccount: pod.name === 'b' ? 'web' : 'db' }));
    const serviceAccounts = [
      { namespace: 'x', name: 'web', labels: { trust: 'high' } },
      { namespace: 'y', name: 'web', labels: { trust: 'low' } },
    ];
    const from = (accounts: unknown): WorldPolicy =>
      gnp({ selector: app, ingress: [{ action: 'Allow', source: { serviceAccounts: accounts } }] });
    const cells = (x: boolean, y: boolean): readonly Cell[] => [
      ['x/b', 'x/a', 'TCP/80', x],
      ['y/b', 'x/a', 'TCP/80', y],
      ['out', 'x/a', 'TCP/80', false],
    ];
    check([from({ names: ['web'] })], cells(true, true), { pods, serviceAccounts });
    check([from({ selector: 'trust == "high"' })], cells(true, false), { pods, serviceAccounts });
    check([from({ names: ['db'], selector: 'trust == "high"' })], cells(false, false), { pods, serviceAccounts });
    check([from({})], cells(true, true), { pods, serviceAccounts });
    check(
      [gnp({ serviceAccountSelector: 'trust == "high"', ingress: [] })],
      [
        ['y/a', 'x/b', 'TCP/80', false],
        ['y/a', 'y/b', 'TCP/80', true],
      ],
      { pods, serviceAccounts },
    );
  });

  it('ports: numbers, ranges, names and their negations', () => {
    const to = (rule: unknown): WorldPolicy => np({ selector: app, ingress: [rule] });
    check(
      [to({ action: 'Allow', protocol: 'TCP', destination: { ports: ['http', 443, '8000:8100'] } })],
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['x/b', 'x/a', 'TCP/443', true],
        ['x/b', 'x/a', 'TCP/8050', true],
        ['x/b', 'x/a', 'TCP/81', false],
        ['x/b', 'x/a', 'UDP/443', false],
      ],
    );
    check(
      [to({ action: 'Allow', protocol: 'TCP', destination: { notPorts: ['http', '90:99'] } })],
      [
        ['x/b', 'x/a', 'TCP/80', false],
        ['x/b', 'x/a', 'TCP/95', false],
        ['x/b', 'x/a', 'TCP/81', true],
      ],
    );
    check(
      [to({ action: 'Allow', protocol: 6, source: { ports: [40000] } })],
      [
        ['x/b', 'x/a', 'TCP/7', true],
        ['x/b', 'x/a', 'UDP/7', false],
      ],
    );
    check(
      [np({ selector: app, egress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: ['http'] } }] })],
      [
        ['x/a', 'y/b', 'TCP/80', true],
        ['x/a', 'y/b', 'TCP/81', false],
        ['x/a', 'out', 'TCP/80', false],
      ],
    );
    check(
      [
        np({
          selector: app,
          egress: [
            {
              action: 'Allow',
              protocol: 'TCP',
              destination: { selector: 'app == "b"', namespaceSelector: 'all()', ports: ['http'] },
            },
          ],
        }),
      ],
      [
        ['x/a', 'y/b', 'TCP/80', true],
        ['x/a', 'y/a', 'TCP/80', false],
      ],
    );
  });

  it('nets, notNets, ipVersion, protocol numbers and notProtocol', () => {
    const to = (rule: unknown): WorldPolicy => np({ selector: app, ingress: [rule] });
    check(
      [to({ action: 'Allow', source: { nets: ['192.0.2.9', '10.65.1.99/24'] } })],
      [
        ['out', 'x/a', 'TCP/80', true, 4],
        ['x/b', 'x/a', 'TCP/80', true, 4],
        ['y/a', 'x/a', 'TCP/80', false, 4],
        ['out', 'x/a', 'TCP/80', false, 6],
      ],
    );
    check(
      [to({ action: 'Allow', source: { notNets: ['10.65.1.0/24'] } })],
      [
        ['x/b', 'x/a', 'TCP/80', false, 4],
        ['out', 'x/a', 'TCP/80', true],
        ['x/b', 'x/a', 'TCP/80', true, 6],
      ],
    );
    check(
      [to({ action: 'Allow', ipVersion: 6 })],
      [
        ['x/b', 'x/a', 'TCP/80', true, 6],
        ['x/b', 'x/a', 'TCP/80', false, 4],
      ],
    );
    check(
      [to({ action: 'Allow', notProtocol: 'UDP' })],
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['x/b', 'x/a', 'UDP/80', false],
      ],
    );
  });

  it('ICMP types and codes, and their negations', () => {
    const outcome = (rule: unknown, icmp: Packet['icmp'], family: 4 | 6 = 4): string =>
      intoA(engineOf([np({ selector: app, ingress: [rule] })]), { protocol: family === 4 ? 1 : 58, icmp }, family);
    const [ping, other, unreachable] = [
      { type: 8, code: 0 },
      { type: 13, code: 0 },
      { type: 3, code: 4 },
    ];
    expect([
      outcome({ action: 'Allow', protocol: 'ICMP', icmp: { type: 8 } }, ping),
      outcome({ action: 'Allow', protocol: 'ICMP', icmp: { type: 8 } }, other),
    ]).to.deep.equal(['accept', 'drop']);
    expect([
      outcome({ action: 'Allow', protocol: 'ICMP', icmp: { type: 3, code: 4 } }, unreachable),
      outcome({ action: 'Allow', protocol: 'ICMP', icmp: { type: 3, code: 3 } }, unreachable),
    ]).to.deep.equal(['accept', 'drop']);
    expect([
      outcome({ action: 'Allow', protocol: 'ICMP', notICMP: { type: 8 } }, ping),
      outcome({ action: 'Allow', protocol: 'ICMP', notICMP: { type: 8 } }, other),
    ]).to.deep.equal(['drop', 'accept']);
    expect([
      outcome({ action: 'Allow', protocol: 'ICMPv6', icmp: { type: 128 } }, { type: 128, code: 0 }, 6),
      outcome({ action: 'Allow', protocol: 'ICMPv6', icmp: { type: 128 } }, { type: 129, code: 0 }, 6),
    ]).to.deep.equal(['accept', 'drop']);
    expect(outcome({ action: 'Allow', protocol: 'ICMP' }, other)).to.equal('accept');
    const verdict = engineOf([
      np({ selector: app, ingress: [{ action: 'Allow', protocol: 'ICMP', icmp: { type: 8 } }] }),
    ]).verdict({
      from: { type: 'address', address: '192.0.2.9' },
      to: { type: 'pod', namespace: 'x', name: 'a' },
      family: 4,
      protocol: 'ICMP',
      port: 0,
      icmp: ping,
    });
    expect(verdict.allowed).to.equal(true);
  });

  it('Services: endpoints with their ports as destinations, by address as sources, following their slices', () => {
    const slice = (addresses: readonly string[], service = 's', name = 'slice'): PolicyEvent =>
      upsert('EndpointSlice', {
        metadata: { namespace: 'y', name, labels: { 'kubernetes.io/service-name': service } },
        ports: [{ port: 80, protocol: 'TCP' }],
        endpoints: addresses.map((one) => ({ addresses: [one] })),
      } as KubeObject);
    const engine = engineOf(
      [
        gnp({
          selector: 'app == "a"',
          egress: [{ action: 'Allow', destination: { services: { namespace: 'y', name: 's' } } }],
        }),
      ],
      [slice(['10.65.1.4'])],
    );
    const ask = (name: string, port = 80): boolean =>
      engine.verdict({
        from: { type: 'pod', namespace: 'x', name: 'a' },
        to: { type: 'pod', namespace: 'y', name },
        family: 4,
        protocol: 'TCP',
        port,
      }).allowed;
    const kernel = (destination: string, destinationPort = 80): string => {
      engine.flush();
      return run(programOf(engine.ruleset(), 4), {
        family: 4,
        table: 'filter',
        builtin: 'FORWARD',
        in: interfaceOf('x', 'a'),
        out: 'eth0',
        source: '10.65.0.1',
        destination,
        protocol: 6,
        sourcePort: 1,
        destinationPort,
        state: 'new',
      });
    };
    expect([
      ask('b'),
      ask('b', 81),
      ask('a'),
      kernel('10.65.1.4'),
      kernel('10.65.1.4', 81),
      kernel('10.65.0.3'),
    ]).to.deep.equal([true, false, false, 'accept', 'drop', 'drop']);
    engine.apply(slice(['10.65.1.77', '10.65.1.4'], 's', 'second'));
    engine.apply(slice([], 'other'));
    expect([kernel('10.65.1.4'), kernel('10.65.1.77')]).to.deep.equal(['accept', 'accept']);
    engine.apply({ type: 'delete', kind: 'EndpointSlice', namespace: 'y', name: 'second' });
    expect([kernel('10.65.1.4'), ask('b')]).to.deep.equal(['drop', false]);
  });

  it('Log goes on, staged policies log what they would do, and both are limited', () => {
    check([np({ selector: app, ingress: [{ action: 'Log' }, { action: 'Allow' }] })], [['x/b', 'x/a', 'TCP/80', true]]);
    check(
      [calicoPolicy('StagedNetworkPolicy', 'x', 's', { selector: app, ingress: [{ action: 'Deny' }] })],
      [['x/b', 'x/a', 'TCP/80', true]],
    );
    const engine = engineOf([
      calicoPolicy('StagedNetworkPolicy', 'x', 's', { selector: app, ingress: [{ action: 'Deny', protocol: 'TCP' }] }),
    ]);
    const rules: readonly Rule[] =
      [...engine.ruleset().chains.values()].find((chain) => chain.name.startsWith('TORTIE-PI-'))?.rules ?? [];
    expect(rules.map((rule) => rule.action)).to.deep.equal([
      { type: 'log', prefix: 'tortie staged ingress rule 0 deny ' },
      { type: 'return' },
      { type: 'log', prefix: 'tortie staged ingress no rule ' },
    ]);
    expect(
      rules
        .filter((rule) => rule.action.type === 'log')
        .every((rule) => rule.matches.some((match) => match.type === 'limit')),
    ).to.equal(true);
    const explained = engine.explain({
      from: { type: 'pod', namespace: 'x', name: 'b' },
      to: { type: 'pod', namespace: 'x', name: 'a' },
      family: 4,
      protocol: 'TCP',
      port: 80,
    });
    expect(explained.ingress).to.deep.equal([
      {
        tier: 'default',
        policy: { kind: 'StagedNetworkPolicy', namespace: 'x', name: 's' },
        outcome: 'staged',
        rules: [{ rule: 0, action: 'deny', outcome: 'matched' }],
      },
    ]);
  });

  it('staged deletions and ignored ones add nothing; a staged NetworkPolicy only watches', () => {
    for (const stagedAction of ['Delete', 'Ignore'])
      expect(
        [
          ...engineOf([calicoPolicy('StagedNetworkPolicy', 'x', 's', { stagedAction, ingress: [] })])
            .ruleset()
            .chains.keys(),
        ].some((key) => key.includes('TORTIE-PI-')),
      ).to.equal(false);
    check(
      [
        calicoPolicy('StagedKubernetesNetworkPolicy', 'x', 's', {
          podSelector: {},
          policyTypes: ['Ingress', 'Egress'],
        }),
      ],
      [
        ['y/a', 'x/a', 'TCP/80', true],
        ['x/a', 'y/a', 'TCP/80', true],
      ],
    );
  });
});
