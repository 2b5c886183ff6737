/** policy-traps 35-56: nodes, NAT and time. The number in a title is the trap's. */
import { expect } from 'chai';
import { isEmptyDelta, PolicyEngine, type Flow, type PolicyEvent, type Rule } from '@tortie/policy';
import { expectCells } from './cells.js';
import { programOf, run, type Packet } from './interpreter.js';
import { Replica, rulesetText } from './node.js';
import {
  endpointEvent,
  eventsOf,
  interfaceOf,
  namespaceEvent,
  networkPolicy,
  podObject,
  smallWorld,
  upsert,
  type World,
  type WorldPod,
} from './world.js';

const app = { podSelector: { matchLabels: { app: 'a' } } };
const closed = networkPolicy('x', 'closed', { ...app, policyTypes: ['Ingress', 'Egress'] });

function engineOf(world: World, node = 'n1'): PolicyEngine {
  const engine = new PolicyEngine();
  for (const event of eventsOf(world, node)) engine.apply(event);
  engine.flush();
  return engine;
}

const podOf = (world: World, key: string): WorldPod => {
  const pod = world.pods.find((one) => `${one.namespace}/${one.name}` === key);
  if (pod === undefined) throw new Error(`No pod ${key}`);
  return pod;
};

const flow = (from: string, to: string, port = 80): Flow => {
  const end = (text: string): Flow['from'] =>
    text.includes('/')
      ? { type: 'pod', namespace: text.split('/')[0] ?? '', name: text.split('/')[1] ?? '' }
      : { type: 'address', address: text };
  return { from: end(from), to: end(to), family: 4, protocol: 'TCP', port };
};

/** Members of the one address set whose note names this selector. */
const membersOf = (engine: PolicyEngine, note: string, family = 4): readonly string[] => {
  const sets = [...engine.ruleset().sets.values()].filter((set) => set.family === family && set.note.includes(note));
  expect(sets, `sets about ${note}`).to.have.length(1);
  return [...(sets[0]?.members.keys() ?? [])].sort();
};

const packet = (change: Partial<Packet>): Packet => ({
  family: 4,
  table: 'filter',
  builtin: 'FORWARD',
  source: '10.65.0.1',
  destination: '10.65.1.2',
  protocol: 6,
  sourcePort: 40000,
  destinationPort: 80,
  state: 'new',
  ...change,
});

describe('policy/traps: nodes and NAT', () => {
  const world = smallWorld({ policies: [closed] });

  it('35: the own node always gets in, other nodes do not', () => {
    expectCells(world, [
      ['node:n1', 'x/a', 'TCP/80', true],
      ['node:n2', 'x/a', 'TCP/80', false],
      ['node:n2', 'y/a', 'TCP/80', true],
    ]);
  });

  it('35: whatever local address the node uses', () => {
    const program = programOf(engineOf(world).ruleset(), 4);
    for (const source of ['172.18.0.1', '10.99.0.1', '127.0.0.1'])
      expect(
        run(
          program,
          packet({
            builtin: 'OUTPUT',
            out: interfaceOf('x', 'a'),
            source,
            destination: '10.65.0.1',
            localSource: true,
          }),
        ),
      ).to.equal('accept');
  });

  it('36: egress to the own node follows egress policy, then the setting', () => {
    const input = (podToHost: 'accept' | 'drop' | 'return', name: string): string => {
      const engine = new PolicyEngine({ podToHost });
      for (const event of eventsOf(world, 'n1')) engine.apply(event);
      engine.flush();
      return run(
        programOf(engine.ruleset(), 4),
        packet({
          builtin: 'INPUT',
          in: interfaceOf(name.split('/')[0] ?? '', name.split('/')[1] ?? ''),
          source: podOf(world, name).ips[0] ?? '',
          destination: '172.18.0.1',
          localDestination: true,
        }),
      );
    };
    expect(input('accept', 'x/a')).to.equal('drop');
    expect(input('accept', 'y/a')).to.equal('accept');
    expect(input('drop', 'y/a')).to.equal('drop');
    expect(input('return', 'y/a')).to.equal('continue');
  });

  it('37: hostNetwork pods are neither targets nor peers', () => {
    const host = { ...podOf(world, 'y/a'), hostNetwork: true, ips: ['172.18.0.1', 'fc00::1'] };
    const other = { ...podOf(world, 'x/b'), hostNetwork: true, ips: ['172.18.0.2', 'fc00::2'] };
    const policies = [
      networkPolicy('x', 'p', {
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ podSelector: {} }, { namespaceSelector: {} }] }],
      }),
    ];
    const pods = [podOf(world, 'x/a'), host, other, podOf(world, 'y/b')];
    expectCells({ ...world, pods, policies }, [
      ['x/b', 'x/a', 'TCP/80', false],
      ['y/b', 'x/a', 'TCP/80', true],
      ['y/b', 'x/b', 'TCP/80', true],
      ['node:n2', 'x/a', 'TCP/80', false],
    ]);
    const engine = engineOf({ ...world, pods, policies });
    // Those of all nodes are where pods may send no tunnels; no policy looks there.
    for (const set of [...engine.ruleset().sets.values()].filter(({ note }) => note !== 'addresses of nodes'))
      for (const member of set.members.keys()) expect(member).to.not.match(/^(172\.18|fc00)/);
  });

  it('38: the exemption is for what the node itself sends, not for a source that is a node address', () => {
    const program = programOf(engineOf(world).ruleset(), 4);
    const masqueraded = { source: '172.18.0.1', destination: '10.65.0.1', out: interfaceOf('x', 'a') };
    expect(run(program, packet({ ...masqueraded, in: 'eth0' }))).to.equal('drop');
    expect(run(program, packet({ ...masqueraded, builtin: 'OUTPUT', localSource: true }))).to.equal('accept');
  });

  it('39: only filter hooks judge, so Service addresses are gone before policy looks', () => {
    const hooks = engineOf(world)
      .ruleset()
      .hooks.filter((hook) => hook.table !== 'raw');
    expect(hooks.map((hook) => `${hook.table} ${hook.builtin}`).sort()).to.deep.equal([
      'filter FORWARD',
      'filter INPUT',
      'filter OUTPUT',
    ]);
  });

  it('40: what leaves through OUTPUT without a local source (IPVS) is judged like a forwarded packet', () => {
    const program = programOf(engineOf(world).ruleset(), 4);
    expect(
      run(
        program,
        packet({
          builtin: 'OUTPUT',
          out: interfaceOf('x', 'a'),
          source: '10.65.1.4',
          destination: '10.65.0.1',
          localSource: false,
        }),
      ),
    ).to.equal('drop');
    expect(
      run(
        program,
        packet({
          builtin: 'OUTPUT',
          out: interfaceOf('y', 'a'),
          source: '10.65.1.4',
          destination: '10.65.0.3',
          localSource: false,
        }),
      ),
    ).to.equal('accept');
  });

  it('41: a pod reaches itself, also through a Service', () => {
    const engine = engineOf(world);
    expect(engine.verdict(flow('x/a', 'x/a')).allowed).to.equal(true);
    const own = interfaceOf('x', 'a');
    expect(
      run(programOf(engine.ruleset(), 4), packet({ in: own, out: own, source: '10.65.0.1', destination: '10.65.0.1' })),
    ).to.equal('accept');
  });

  it('42: neighbour discovery and related errors pass whatever the policy', () => {
    const program = programOf(engineOf(world).ruleset(), 6);
    const icmp = (type: number, state: Packet['state']): string =>
      run(
        program,
        packet({
          family: 6,
          builtin: 'INPUT',
          in: interfaceOf('x', 'a'),
          source: 'fe80::1',
          destination: 'fe80::ecee:eeff:feee:eeee',
          protocol: 58,
          icmp: { type, code: 0 },
          state,
        }),
      );
    for (const type of [133, 135, 136, 143]) expect(icmp(type, 'untracked'), `type ${type}`).to.equal('accept');
    for (const type of [1, 2, 3]) expect(icmp(type, 'related'), `type ${type}`).to.equal('accept');
    expect(icmp(128, 'new')).to.equal('drop');
  });

  it('43: denial drops; no rule anywhere rejects', () => {
    const types = new Set(
      [...engineOf(world).ruleset().chains.values()].flatMap((chain) =>
        chain.rules.map((rule: Rule) => rule.action.type),
      ),
    );
    expect(types.has('drop')).to.equal(true);
    expect([...types].sort()).to.deep.equal(['accept', 'drop', 'goto', 'jump', 'return', 'set-mark']);
  });
});

describe('policy/traps: time', () => {
  it('44: an endpoint is closed until pod and namespace are known; an unknown interface is dropped both ways', () => {
    const world = smallWorld();
    const engine = new PolicyEngine();
    const pod = podOf(world, 'x/a');
    const own = interfaceOf('x', 'a');
    const outcome = (change: Partial<Packet>): string => {
      engine.flush();
      return run(programOf(engine.ruleset(), 4), packet(change));
    };
    engine.apply(endpointEvent(pod));
    expect(engine.endpointState('x', 'a')).to.equal('pod-unknown');
    expect([outcome({ in: own, out: 'eth0' }), outcome({ in: 'eth0', out: own })]).to.deep.equal(['drop', 'drop']);
    engine.apply(upsert('Pod', podObject(pod)));
    expect(engine.endpointState('x', 'a')).to.equal('namespace-unknown');
    expect(outcome({ in: own, out: 'eth0' })).to.equal('drop');
    engine.apply(namespaceEvent({ name: 'x', labels: {} }));
    expect(engine.endpointState('x', 'a')).to.equal('ready');
    const address = pod.ips[0] ?? '';
    expect([
      outcome({ in: own, out: 'eth0', source: address }),
      outcome({ in: 'eth0', out: own, destination: address }),
    ]).to.deep.equal(['accept', 'accept']);
    expect(outcome({ in: own, out: 'eth0', source: '10.65.9.9' }), 'an address that is not its own').to.equal('drop');
    expect([
      outcome({ in: 'tort00000000000', out: 'eth0', source: '10.65.9.9' }),
      outcome({ in: 'eth0', out: 'tort00000000000', destination: '10.65.9.9' }),
    ]).to.deep.equal(['drop', 'drop']);
    expect(outcome({ in: 'eth0', out: 'eth1' }), 'packets of others are not ours').to.equal('continue');
  });

  it('45: a resync changes nothing, and a change touches only what it changes', () => {
    const world = smallWorld({
      policies: [closed, networkPolicy('x', 'open', { ...app, ingress: [{ from: [{ podSelector: {} }] }] })],
    });
    const engine = engineOf(world);
    for (const event of eventsOf(world, 'n1')) engine.apply(event);
    expect(isEmptyDelta(engine.flush())).to.equal(true);
    engine.apply(upsert('Pod', podObject({ ...podOf(world, 'x/b'), ips: ['10.65.1.77', 'fd00:65::b:2'] })));
    const delta = engine.flush();
    expect(
      delta.chainsUpserted.length + delta.mapsUpserted.length + delta.setsCreated.length + delta.setsDeleted.length,
    ).to.equal(0);
    expect(delta.setsChanged).to.have.length(1);
    expect(delta.setsChanged[0]).to.deep.include({ added: ['10.65.1.77'], removed: ['10.65.1.2'] });
  });

  it('46/47: open connections go on after a change, because established leaves first', () => {
    const program = programOf(engineOf(smallWorld({ policies: [closed] })).ruleset(), 4);
    expect(run(program, packet({ in: interfaceOf('x', 'a'), out: 'eth0', state: 'established' }))).to.equal('accept');
    expect(run(program, packet({ in: 'eth0', out: interfaceOf('x', 'a'), state: 'established' }))).to.equal('accept');
  });

  const peers = networkPolicy('x', 'peers', {
    ...app,
    ingress: [{ from: [{ podSelector: { matchLabels: { role: 'client' } } }] }],
  });
  const withClient = (change: Partial<WorldPod>): World => {
    const world = smallWorld({ policies: [peers] });
    return {
      ...world,
      pods: world.pods.map((pod) =>
        pod.namespace === 'x' && pod.name === 'b' ? { ...pod, labels: { role: 'client' }, ...change } : pod,
      ),
    };
  };

  it('48: terminating pods stay matched', () => {
    const engine = engineOf(withClient({}));
    const object = podObject(podOf(withClient({}), 'x/b'));
    engine.apply(
      upsert('Pod', {
        ...object,
        metadata: { ...object.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } as typeof object.metadata,
      }),
    );
    expect(isEmptyDelta(engine.flush())).to.equal(true);
    expect(engine.verdict(flow('x/b', 'x/a')).allowed).to.equal(true);
  });

  for (const phase of ['Succeeded', 'Failed'])
    it(`49: ${phase} pods leave every set, though still listed with an address`, () => {
      const engine = engineOf(withClient({}));
      expect(membersOf(engine, 'role')).to.deep.equal(['10.65.1.2']);
      engine.apply(upsert('Pod', podObject(podOf(withClient({ phase }), 'x/b'))));
      engine.flush();
      expect(membersOf(engine, 'role')).to.deep.equal([]);
      expect(engine.verdict(flow('10.65.1.2', 'x/a')).allowed).to.equal(false);
    });

  it("50: an address that a new pod took before the old one left stays, with the new one's meaning", () => {
    const engine = engineOf(withClient({}));
    const heir: WorldPod = { ...podOf(withClient({}), 'x/b'), name: 'heir' };
    engine.apply(upsert('Pod', podObject(heir)));
    engine.apply({ type: 'delete', kind: 'Pod', namespace: 'x', name: 'b' });
    expect(isEmptyDelta(engine.flush())).to.equal(true);
    engine.apply({ type: 'delete', kind: 'Pod', namespace: 'x', name: 'heir' });
    expect(engine.flush().setsChanged[0]?.removed).to.deep.equal(['10.65.1.2']);
  });

  it("50: an address that a local endpoint holds is its pod's alone", () => {
    const world = withClient({ node: 'n1' });
    const engine = engineOf(world);
    const heir: WorldPod = { ...podOf(world, 'x/b'), name: 'heir', labels: {}, ips: [] };
    engine.apply({ type: 'endpoint-delete', namespace: 'x', name: 'b' });
    engine.apply(upsert('Pod', podObject(heir)));
    engine.apply({
      type: 'endpoint-upsert',
      endpoint: { namespace: 'x', name: 'heir', interface: interfaceOf('x', 'heir'), addresses: ['10.65.1.2'] },
    });
    engine.flush();
    // x/b is still listed with 10.65.1.2 and is a client; the address is no longer its own.
    expect(membersOf(engine, 'role')).to.deep.equal([]);
    expect(engine.verdict(flow('10.65.1.2', 'x/a')).allowed).to.equal(false);
    engine.apply({ type: 'endpoint-delete', namespace: 'x', name: 'heir' });
    engine.flush();
    expect(membersOf(engine, 'role')).to.deep.equal(['10.65.1.2']);
  });

  it('51: a pod without an address, or with a broken one, breaks nothing', () => {
    for (const ips of [[], ['not an address'], [''], ['10.65.1.2', 'also not']]) {
      const engine = engineOf(withClient({ ips }));
      expect(membersOf(engine, 'role')).to.deep.equal(ips.filter((ip) => ip === '10.65.1.2'));
    }
  });

  it('52: a namespace relabel changes peers, also with a podSelector beside, also by removal', () => {
    const both = { namespaceSelector: { matchLabels: { team: 'green' } }, podSelector: { matchLabels: { app: 'b' } } };
    const engine = engineOf(
      smallWorld({ policies: [networkPolicy('x', 'p', { ...app, ingress: [{ from: [both] }] })] }),
    );
    const allowed = (): readonly boolean[] =>
      [flow('y/b', 'x/a'), flow('y/a', 'x/a')].map((one) => engine.verdict(one).allowed);
    const relabel = (labels: Readonly<Record<string, string>>): readonly string[] => {
      engine.apply(namespaceEvent({ name: 'y', labels }));
      engine.flush();
      return membersOf(engine, 'team');
    };
    expect([relabel({ team: 'green' }), allowed()]).to.deep.equal([['10.65.1.4'], [true, false]]);
    expect([relabel({ team: 'blue' }), allowed()]).to.deep.equal([[], [false, false]]);
    expect([relabel({ team: 'green', more: 'x' }), allowed()]).to.deep.equal([['10.65.1.4'], [true, false]]);
    expect([relabel({}), allowed()]).to.deep.equal([[], [false, false]]);
  });

  it('53: an edit of podSelector or policyTypes releases what it released', () => {
    const world = smallWorld({ policies: [networkPolicy('x', 'p', { policyTypes: ['Ingress', 'Egress'] })] });
    const engine = engineOf(world);
    const edit = (spec: unknown): readonly boolean[] => {
      engine.apply(upsert('NetworkPolicy', networkPolicy('x', 'p', spec).object));
      engine.flush();
      const program = programOf(engine.ruleset(), 4);
      const address = podOf(world, 'x/a').ips[0] ?? '';
      return [
        packet({ in: interfaceOf('x', 'a'), out: 'eth0', source: address }),
        packet({ in: 'eth0', out: interfaceOf('x', 'a'), destination: address }),
      ].map((one) => run(program, one) === 'accept');
    };
    expect(edit({ policyTypes: ['Ingress', 'Egress'] })).to.deep.equal([false, false]);
    expect(edit({ policyTypes: ['Ingress'] })).to.deep.equal([true, false]);
    expect(edit({ podSelector: { matchLabels: { app: 'b' } }, policyTypes: ['Ingress', 'Egress'] })).to.deep.equal([
      true,
      true,
    ]);
    expect(
      [...engine.ruleset().chains.keys()].filter((key) => key.includes('TORTIE-P') && /-[A-Za-z0-9]{18}$/.test(key)),
    ).to.deep.equal([]);
  });

  it('54: a namespace that comes back starts clean', () => {
    const world = smallWorld({ policies: [closed] });
    const engine = engineOf(world);
    const events: readonly PolicyEvent[] = [
      ...world.pods
        .filter((pod) => pod.namespace === 'x')
        .map((pod): PolicyEvent => ({ type: 'delete', kind: 'Pod', namespace: 'x', name: pod.name })),
      { type: 'endpoint-delete', namespace: 'x', name: 'a' },
      { type: 'delete', kind: 'NetworkPolicy', namespace: 'x', name: 'closed' },
      { type: 'delete', kind: 'Namespace', name: 'x' },
    ];
    for (const event of events) engine.apply(event);
    engine.flush();
    for (const event of eventsOf({ ...world, policies: [] }, 'n1')) engine.apply(event);
    engine.flush();
    expect(rulesetText(engine.ruleset())).to.equal(rulesetText(engineOf({ ...world, policies: [] }).ruleset()));
  });

  it('55: identities that look alike stay apart', () => {
    const long = 'a'.repeat(253);
    const names: readonly (readonly [string, string])[] = [
      ['a', 'b-c'],
      ['a-b', 'c'],
      ['a', 'b.c'],
      ['a', 'b'],
      ['b', 'a'],
      ['a', long],
      ['a', `${long.slice(0, 252)}b`],
    ];
    const engine = new PolicyEngine();
    const replica = new Replica();
    for (const [namespace, name] of names) {
      engine.apply(namespaceEvent({ name: namespace, labels: {} }));
      const pod: WorldPod = {
        namespace,
        name,
        labels: {},
        node: 'n1',
        ports: [],
        ips: [`10.65.0.${names.findIndex((one) => one[0] === namespace && one[1] === name) + 1}`],
      };
      engine.apply(upsert('Pod', podObject(pod)));
      engine.apply(endpointEvent(pod));
      engine.apply(
        upsert('NetworkPolicy', networkPolicy(namespace, name, { ingress: [{ ports: [{ port: 1 }] }] }).object),
      );
    }
    replica.apply(engine.flush());
    const chains = [...engine.ruleset().chains.values()].map((chain) => chain.name);
    expect(chains.filter((name) => name.startsWith('TORTIE-PI-'))).to.have.length(names.length);
    for (const name of chains) expect(name.length, name).to.be.at.most(28);
    engine.apply({ type: 'delete', kind: 'NetworkPolicy', namespace: 'a', name: 'b-c' });
    const delta = engine.flush();
    expect(delta.chainsDeleted).to.have.length(1);
  });

  it('56: the families keep to their own sets', () => {
    const engine = engineOf(withClient({}));
    expect([membersOf(engine, 'role', 4), membersOf(engine, 'role', 6)]).to.deep.equal([
      ['10.65.1.2'],
      ['fd00:65::b:2'],
    ]);
    for (const set of engine.ruleset().sets.values())
      for (const member of set.members.keys())
        expect(member.includes(':') && !/^[0-9.]+,/.test(member), `${set.name} ${member}`).to.equal(set.family === 6);
  });
});
