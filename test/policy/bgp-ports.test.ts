import { expect } from 'chai';
import { PolicyEngine, type EngineOptions, type Flow } from '@tortie/policy';
import { run, type Packet } from './interpreter.js';
import { programFor, READINGS } from './node.js';
import { eventsOf, interfaceOf, smallWorld } from './world.js';

const [TCP, UDP] = [6, 17];
const NODES = { 4: ['172.18.0.1', '172.18.0.2'], 6: ['fc00::1', 'fc00::2'] } as const;
const POD = { 4: '10.65.0.3', 6: 'fd00:65::a:3' } as const;
const PORTS = [
  { protocol: TCP, destinationPort: 179 },
  { protocol: UDP, destinationPort: 3784 },
  { protocol: UDP, destinationPort: 3785 },
  { protocol: UDP, destinationPort: 4784 },
];

function engineOf(options: EngineOptions = {}): PolicyEngine {
  const engine = new PolicyEngine(options);
  for (const event of eventsOf(smallWorld(), 'n1')) engine.apply(event);
  engine.flush();
  return engine;
}

/** From pod y/a on node n1, which no policy holds, to another node or its own. */
function verdicts(engine: PolicyEngine, family: 4 | 6, reading: (typeof READINGS)[number], change: Partial<Packet>) {
  const program = programFor(engine, family, reading);
  const [own, other] = NODES[family];
  const packet: Packet = {
    family,
    table: 'filter',
    builtin: 'FORWARD',
    in: interfaceOf('y', 'a'),
    out: 'eth0',
    source: POD[family],
    destination: other,
    protocol: TCP,
    sourcePort: 40000,
    destinationPort: 179,
    state: 'new',
    ...change,
  };
  return {
    other: run(program, packet),
    own: run(program, { ...packet, builtin: 'INPUT', out: undefined, destination: own, localDestination: true }),
  };
}

describe('policy, BGP and BFD ports of nodes', () => {
  for (const reading of READINGS)
    for (const family of [4, 6] as const)
      it(`are out of the reach of pods that are no peers: ${reading}, IPv${family}`, () => {
        const engine = engineOf();
        for (const change of PORTS)
          expect(verdicts(engine, family, reading, change), `${change.destinationPort}`).to.deep.equal({
            other: 'drop',
            own: 'drop',
          });
        for (const change of [
          { protocol: UDP, destinationPort: 179 },
          { protocol: TCP, destinationPort: 3784 },
          { protocol: TCP, destinationPort: 1179 },
          { state: 'established' as const },
        ])
          expect(verdicts(engine, family, reading, change), JSON.stringify(change)).to.deep.equal({
            other: 'accept',
            own: 'accept',
          });
        const elsewhere = family === 4 ? '192.0.2.1' : '2001:db8::1';
        expect(verdicts(engine, family, reading, { destination: elsewhere }).other, 'no node').to.equal('accept');
        // The peer of this node, then that of others too, then nobody's.
        const peers = (ofNode: readonly string[], ofAny: readonly string[]) => {
          engine.apply({ type: 'bgp-peers', peers: { ofNode, ofAny, listenPorts: [1179] } });
          engine.flush();
        };
        peers(Object.values(POD), []);
        for (const change of PORTS)
          expect(verdicts(engine, family, reading, change)).to.deep.equal({ other: 'drop', own: 'accept' });
        peers([], [...Object.values(POD), ...Object.values(POD), '192.0.2.77', 'nonsense']);
        for (const change of [...PORTS, { destinationPort: 1179 }])
          expect(verdicts(engine, family, reading, change)).to.deep.equal({ other: 'accept', own: 'drop' });
        peers([], []);
        for (const change of [...PORTS, { destinationPort: 1179 }])
          expect(verdicts(engine, family, reading, change)).to.deep.equal({ other: 'drop', own: 'drop' });
      });

  it('are for no peer at an address that no kernel takes into a set', () => {
    const engine = engineOf();
    const everywhere = ['0.0.0.0', '::', '0:0::0', ...Object.values(POD)];
    engine.apply({ type: 'bgp-peers', peers: { ofNode: everywhere, ofAny: everywhere, listenPorts: [] } });
    expect(engine.flush().setsChanged.map(({ name, added }) => [name, added])).to.have.deep.members(
      ['bgp-peers', 'bgp-peers-any'].flatMap((set) => [
        [`tortie4-${set}`, [POD[4]]],
        [`tortie6-${set}`, [POD[6]]],
      ]),
    );
    engine.apply({ type: 'bgp-peers', peers: { ofNode: ['0.0.0.0'], ofAny: [], listenPorts: [] } });
    for (const { added, removed } of engine.flush().setsChanged) expect([added, removed.length]).to.deep.equal([[], 1]);
  });

  it('are open where the operator says so', () => {
    const engine = engineOf({ podBgp: 'accept' });
    for (const reading of READINGS)
      expect(verdicts(engine, 4, reading, {})).to.deep.equal({ other: 'accept', own: 'accept' });
  });

  it('are closed in the verdict, too, and it says why', () => {
    const engine = engineOf();
    const flow = (node: string, port: number): Flow => ({
      from: { type: 'pod', namespace: 'y', name: 'a' },
      to: { type: 'node', name: node },
      family: 4,
      protocol: 'TCP',
      port,
    });
    const closed = { type: 'closed', why: 'a BGP or BFD port of a node, and the pod is no peer there' };
    for (const node of ['n1', 'n2'])
      expect(engine.verdict(flow(node, 179)).egress).to.deep.include({ allowed: false, decision: closed });
    expect(engine.verdict(flow('n2', 180)).allowed).to.equal(true);
    engine.apply({ type: 'bgp-peers', peers: { ofNode: ['10.65.0.3'], ofAny: ['10.65.0.3'], listenPorts: [] } });
    for (const node of ['n1', 'n2']) expect(engine.verdict(flow(node, 179)).allowed).to.equal(true);
  });
});

describe("policy, a pod's share of connections", () => {
  const atMangle = (engine: PolicyEngine, reading: (typeof READINGS)[number], change: Partial<Packet>) =>
    run(programFor(engine, change.family ?? 4, reading), {
      family: 4,
      table: 'mangle',
      builtin: 'PREROUTING',
      in: interfaceOf('y', 'a'),
      source: POD[change.family ?? 4],
      destination: NODES[change.family ?? 4][1],
      protocol: TCP,
      sourcePort: 40000,
      destinationPort: 80,
      state: 'new',
      ...change,
    });

  for (const reading of READINGS)
    it(`is nobody's by default, and a bound where set: ${reading}`, () => {
      expect(atMangle(engineOf(), reading, { connections: 1_000_000 })).to.equal('continue');
      const engine = engineOf({ podConnections: 100 });
      for (const family of [4, 6] as const) {
        expect(atMangle(engine, reading, { family, connections: 100 })).to.equal('continue');
        expect(atMangle(engine, reading, { family, connections: 101 })).to.equal('drop');
        expect(atMangle(engine, reading, { family, connections: 101, state: 'established' })).to.equal('continue');
        expect(atMangle(engine, reading, { family, connections: 101, in: 'eth0' })).to.equal('continue');
      }
    });
});
