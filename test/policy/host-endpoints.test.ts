import { expect } from 'chai';
import { PolicyEngine, renderIptables, type KubeObject, type PolicyEvent } from '@tortie/policy';
import { parseIptables, programOf, runHook, type Outcome, type Packet } from './interpreter.js';
import { Replica } from './node.js';
import { calicoPolicy, eventsOf, hostEndpoint, interfaceOf, networkPolicy, smallWorld, upsert } from './world.js';

const ALLOW_8080 = { action: 'Allow', protocol: 'TCP', destination: { ports: [8080] } };
const policy = (name: string, spec: unknown): PolicyEvent =>
  upsert(
    'GlobalNetworkPolicy',
    calicoPolicy('GlobalNetworkPolicy', '', name, { selector: 'has(host)', ...(spec as object) }).object,
  );
const eth0 = (profiles: readonly string[] = []): PolicyEvent =>
  hostEndpoint('n1-eth0', { node: 'n1', interfaceName: 'eth0', expectedIPs: ['172.18.0.1'], profiles });

function engineWith(...events: readonly PolicyEvent[]): PolicyEngine {
  const engine = new PolicyEngine({ nodeName: 'n1' });
  for (const event of [...eventsOf(smallWorld(), 'n1'), ...events]) engine.apply(event);
  engine.flush();
  return engine;
}

/** The whole way of a packet through the node, hook after hook, as both readings see it. */
function travel(engine: PolicyEngine, builtins: readonly Packet['builtin'][], change: Partial<Packet>): Outcome {
  const [neutral, iptables] = [
    programOf(engine.ruleset(), 4),
    parseIptables(renderIptables(engine.ruleset(), 4), engine.ruleset().sets),
  ].map((program) => {
    let mark = 0;
    let state: Packet['state'] = change.state ?? 'new';
    for (const builtin of builtins)
      for (const table of ['raw', 'mangle', 'filter'] as const) {
        const packet: Packet = {
          family: 4,
          source: '192.0.2.9',
          destination: '172.18.0.1',
          protocol: 6,
          sourcePort: 40000,
          destinationPort: 8080,
          ...change,
          state,
          table,
          builtin,
        };
        const done = runHook(program, packet, mark);
        mark = done.mark;
        if (done.isUntracked) state = 'untracked';
        if (done.outcome === 'drop') return 'drop';
        if (done.outcome === 'accept') break;
      }
    return state === 'untracked' && change.state === undefined ? 'accept' : 'continue';
  });
  expect(iptables, 'iptables text').to.equal(neutral);
  return neutral ?? 'drop';
}

const toHost = (engine: PolicyEngine, change: Partial<Packet> = {}): Outcome =>
  travel(engine, ['PREROUTING', 'INPUT'], { in: 'eth0', localDestination: true, ...change });
const fromHost = (engine: PolicyEngine, change: Partial<Packet> = {}): Outcome =>
  travel(engine, ['OUTPUT'], {
    out: 'eth0',
    source: '172.18.0.1',
    destination: '192.0.2.9',
    localSource: true,
    ...change,
  });
const forward = (engine: PolicyEngine, change: Partial<Packet> = {}): Outcome =>
  travel(engine, ['PREROUTING', 'FORWARD'], { in: 'eth0', out: 'eth1', destination: '198.51.100.1', ...change });

describe('policy/host-endpoints', () => {
  it('cost nothing where there are none', () => {
    const engine = engineWith(policy('p', { ingress: [ALLOW_8080] }));
    expect([...engine.ruleset().chains.keys()].filter((key) => key.includes('HOST'))).to.deep.equal([]);
    expect(engine.ruleset().hooks).to.have.length(4);
    expect(toHost(engine)).to.equal('continue');
  });

  it('deny without a policy, but failsafe ports, replies and their pods; a profile may allow', () => {
    const engine = engineWith(eth0());
    expect([toHost(engine), fromHost(engine)]).to.deep.equal(['drop', 'drop']);
    expect([
      toHost(engine, { destinationPort: 22 }),
      fromHost(engine, { destinationPort: 179 }),
      fromHost(engine, { protocol: 17, destinationPort: 53 }),
    ]).to.deep.equal(['continue', 'continue', 'continue']);
    expect([toHost(engine, { state: 'established' }), toHost(engine, { state: 'invalid' })]).to.deep.equal([
      'continue',
      'drop',
    ]);
    expect(toHost(engine, { in: 'eth1' }), 'an interface without a host endpoint').to.equal('continue');
    expect(fromHost(engine, { out: interfaceOf('x', 'a'), destination: '10.65.0.1' }), 'node to its pod').to.not.equal(
      'drop',
    );
    expect(forward(engine), 'what only crosses').to.equal('continue');
    const open = engineWith(eth0(['projectcalico-default-allow']));
    expect([toHost(open), fromHost(open)]).to.deep.equal(['continue', 'continue']);
  });

  it('follow the policies that select them, in their directions', () => {
    const engine = engineWith(
      eth0(['projectcalico-default-allow']),
      policy('p', { types: ['Ingress'], ingress: [ALLOW_8080] }),
    );
    expect([
      toHost(engine),
      toHost(engine, { destinationPort: 8081 }),
      fromHost(engine, { destinationPort: 8081 }),
    ]).to.deep.equal(['continue', 'drop', 'continue']);
    const other = engineWith(
      eth0(['projectcalico-default-allow']),
      policy('p', { selector: 'host == "no"', types: ['Ingress'] }),
      upsert('NetworkPolicy', networkPolicy('x', 'np', { policyTypes: ['Ingress', 'Egress'] }).object),
    );
    expect(toHost(other)).to.equal('continue');
  });

  it('judge what crosses only by policies that apply on forward', () => {
    const spec = { types: ['Ingress', 'Egress'], ingress: [ALLOW_8080], egress: [] };
    const local = engineWith(eth0(), policy('p', spec));
    expect(forward(local, { destinationPort: 1 })).to.equal('continue');
    const both = engineWith(eth0(), policy('p', { ...spec, applyOnForward: true }));
    expect([
      forward(both),
      forward(both, { destinationPort: 1 }),
      forward(both, { destinationPort: 22 }),
    ]).to.deep.equal(['continue', 'drop', 'drop']);
    expect(forward(both, { in: 'eth1', out: 'eth0' }), 'leaving through eth0').to.equal('drop');
    expect(forward(both, { in: 'eth1', out: 'eth0', state: 'established' })).to.equal('continue');
    const toPod = { out: interfaceOf('x', 'a'), destination: '10.65.0.1' };
    expect([forward(both, { ...toPod, destinationPort: 1 }), forward(both, toPod)]).to.deep.equal(['drop', 'continue']);
  });

  it('ask preDNAT policies first; what they allow is not asked again, what they do not decide is', () => {
    const early = policy('early', {
      preDNAT: true,
      applyOnForward: true,
      order: 1,
      types: ['Ingress'],
      ingress: [ALLOW_8080, { action: 'Deny', protocol: 'TCP', destination: { ports: [9] } }],
    });
    const engine = engineWith(
      eth0(),
      early,
      policy('late', {
        types: ['Ingress'],
        ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [7] } }],
      }),
    );
    expect([
      toHost(engine),
      toHost(engine, { destinationPort: 9 }),
      toHost(engine, { destinationPort: 7 }),
      toHost(engine, { destinationPort: 8 }),
    ]).to.deep.equal(['continue', 'drop', 'continue', 'drop']);
    expect(forward(engine, { destinationPort: 9 })).to.equal('drop');
    expect(engine.ruleset().hooks.map((hook) => `${hook.table} ${hook.builtin}`)).to.include('mangle PREROUTING');
  });

  it('take packets that doNotTrack policies allow out of connection tracking, both ways', () => {
    const untracked = policy('untracked', {
      doNotTrack: true,
      applyOnForward: true,
      types: ['Ingress', 'Egress'],
      ingress: [ALLOW_8080],
      egress: [{ action: 'Allow', protocol: 'TCP', source: { ports: [8080] } }],
    });
    const engine = engineWith(eth0(), untracked);
    expect([toHost(engine), fromHost(engine, { sourcePort: 8080, destinationPort: 40000 })]).to.deep.equal([
      'accept',
      'accept',
    ]);
    expect([toHost(engine, { destinationPort: 1 }), fromHost(engine, { destinationPort: 1 })]).to.deep.equal([
      'drop',
      'drop',
    ]);
  });

  it('"*" takes every interface that is not a pod\'s, not loopback, and not named by another', () => {
    const engine = engineWith(
      eth0(['projectcalico-default-allow']),
      hostEndpoint('all', { node: 'n1', interfaceName: '*' }),
    );
    expect([toHost(engine), toHost(engine, { in: 'eth1' }), toHost(engine, { in: 'lo' })]).to.deep.equal([
      'continue',
      'drop',
      'continue',
    ]);
    expect(toHost(engine, { in: interfaceOf('x', 'a'), source: '10.65.0.1' }), 'a pod to its node').to.equal(
      'continue',
    );
  });

  it('are found by address when they name no interface, and ignored on other nodes', () => {
    const byAddress = hostEndpoint('addr', { node: 'n1', expectedIPs: ['172.18.0.1'] });
    const engine = engineWith(byAddress, hostEndpoint('other', { node: 'n2', interfaceName: 'eth1' }));
    expect([toHost(engine), toHost(engine, { in: 'eth1' })]).to.deep.equal(['continue', 'continue']);
    engine.apply({
      type: 'host-interfaces',
      interfaces: [
        { name: 'eth0', addresses: ['172.18.0.1'] },
        { name: 'eth1', addresses: [] },
      ],
    });
    engine.flush();
    expect([toHost(engine), toHost(engine, { in: 'eth1' })]).to.deep.equal(['drop', 'continue']);
  });

  it('leave nothing behind', () => {
    const engine = engineWith();
    const before = engine.ruleset();
    const replica = new Replica();
    const untracked = policy('u', {
      doNotTrack: true,
      applyOnForward: true,
      types: ['Ingress'],
      ingress: [ALLOW_8080],
    });
    const fresh = new PolicyEngine({ nodeName: 'n1' });
    for (const event of eventsOf(smallWorld(), 'n1')) fresh.apply(event);
    replica.apply(fresh.flush());
    for (const event of [eth0(), untracked, policy('p', { applyOnForward: true, ingress: [ALLOW_8080] })]) {
      fresh.apply(event);
      replica.apply(fresh.flush());
    }
    expect(replica.ruleset().hooks.length).to.equal(4);
    for (const [kind, name] of [
      ['HostEndpoint', 'n1-eth0'],
      ['GlobalNetworkPolicy', 'u'],
      ['GlobalNetworkPolicy', 'p'],
    ] as const)
      fresh.apply({ type: 'delete', kind, name });
    replica.apply(fresh.flush());
    expect([...replica.ruleset().chains.keys()].sort()).to.deep.equal([...before.chains.keys()].sort());
    expect(replica.ruleset().hooks).to.deep.equal(before.hooks);
  });

  it('are judged by the oracle when they list the address', () => {
    const engine = engineWith(eth0(), policy('p', { types: ['Ingress'], ingress: [ALLOW_8080] }));
    const ask = (port: number, from = '192.0.2.9'): string => {
      const verdict = engine.verdict({
        from: { type: 'address', address: from },
        to: { type: 'node', name: 'n1' },
        family: 4,
        protocol: 'TCP',
        port,
      });
      return `${verdict.allowed} ${verdict.ingress.decision.type}`;
    };
    expect([ask(8080), ask(8081), ask(22), ask(8081, '10.65.0.1')]).to.deep.equal([
      'true rule',
      'false tier-default',
      'true exempt',
      'true exempt',
    ]);
    const out = engine.verdict({
      from: { type: 'node', name: 'n1' },
      to: { type: 'address', address: '192.0.2.9' },
      family: 4,
      protocol: 'TCP',
      port: 80,
    });
    expect([out.allowed, out.egress.decision]).to.deep.equal([false, { type: 'host-default', host: 'n1-eth0' }]);
  });

  it("refuse names that are no interface's, wrong addresses and missing nodes, part by part", () => {
    const problems = (spec: unknown): readonly string[] => {
      const engine = engineWith(upsert('HostEndpoint', { metadata: { name: 'h' }, spec } as KubeObject));
      expect(engine.ruleset().hooks).to.have.length(4);
      return engine.problemsOf('HostEndpoint', '', 'h').map((problem) => problem.field);
    };
    expect(problems({ node: 'n1', interfaceName: 'eth0 -j ACCEPT' })).to.deep.equal(['spec.interfaceName']);
    expect(problems({ node: 'n1', interfaceName: 'a23456789012345678' })).to.deep.equal(['spec.interfaceName']);
    expect(problems({ interfaceName: '', expectedIPs: ['x'] })).to.deep.equal([
      'spec.expectedIPs[0]',
      'spec.node',
      'spec.interfaceName',
    ]);
  });

  it("a policy for hosts alone is none of a pod's", () => {
    const engine = engineWith(
      policy('p', {
        selector: 'all()',
        preDNAT: true,
        applyOnForward: true,
        types: ['Ingress'],
        ingress: [{ action: 'Deny' }],
      }),
    );
    expect(
      engine.verdict({
        from: { type: 'pod', namespace: 'x', name: 'b' },
        to: { type: 'pod', namespace: 'x', name: 'a' },
        family: 4,
        protocol: 'TCP',
        port: 80,
      }).allowed,
    ).to.equal(true);
    expect([...engine.ruleset().chains.keys()].filter((key) => /TO-tort/.test(key))).to.deep.equal([]);
  });
});
