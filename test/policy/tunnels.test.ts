import { expect } from 'chai';
import { PolicyEngine, type EngineOptions, type Flow } from '@tortie/policy';
import type { TunnelPeerAddresses } from '@tortie/policy/objects';
import { run, type Packet } from './interpreter.js';
import { programFor, READINGS } from './node.js';
import { eventsOf, hostEndpoint, interfaceOf, networkPolicy, smallWorld, upsert } from './world.js';

const UDP = 17;
const NODES = { 4: ['172.18.0.1', '172.18.0.2'], 6: ['fc00::1', 'fc00::2'] } as const;

function engineOf(options: EngineOptions = {}): PolicyEngine {
  const engine = new PolicyEngine(options);
  for (const event of eventsOf(smallWorld(), 'n1')) engine.apply(event);
  engine.flush();
  return engine;
}

/** From pod y/a, which no policy of this world holds, on node n1. */
const packet = (change: Partial<Packet>): Packet => ({
  family: 4,
  table: 'filter',
  builtin: 'FORWARD',
  in: interfaceOf('y', 'a'),
  out: 'eth0',
  source: '10.65.0.3',
  destination: '172.18.0.2',
  protocol: UDP,
  sourcePort: 40000,
  destinationPort: 4789,
  state: 'new',
  ...change,
});

describe('policy, tunnels from pods to nodes', () => {
  for (const reading of READINGS)
    for (const family of [4, 6] as const)
      it(`are dropped, and nothing else is: ${reading}, IPv${family}`, () => {
        const program = programFor(engineOf(), family, reading);
        const [own, other] = NODES[family];
        const source = family === 4 ? '10.65.0.3' : 'fd00:65::a:3';
        const toOther = (change: Partial<Packet>): string =>
          run(program, packet({ family, source, destination: other, ...change }));
        const toOwn = (change: Partial<Packet>): string =>
          toOther({ builtin: 'INPUT', out: undefined, destination: own, localDestination: true, ...change });
        for (const to of [toOther, toOwn]) {
          for (const destinationPort of [4789, 8472])
            expect(to({ destinationPort }), `UDP ${destinationPort}`).to.equal('drop');
          for (const protocol of [4, 41]) expect(to({ protocol }), `protocol ${protocol}`).to.equal('drop');
          expect(to({ destinationPort: 4790 })).to.equal('accept');
          expect(to({ protocol: 6 }), 'TCP 4789').to.equal('accept');
          expect(to({ protocol: 47 }), 'GRE').to.equal('accept');
        }
        const elsewhere = family === 4 ? '192.0.2.1' : '2001:db8::1';
        expect(toOther({ destination: elsewhere }), 'not a node').to.equal('accept');
        expect(toOther({ in: 'eth1', out: 'eth0' }), "another interface's").to.equal('continue');
      });

  it('pass where the operator says so', () => {
    const engine = engineOf({ podTunnels: 'accept' });
    for (const reading of READINGS) {
      expect(run(programFor(engine, 4, reading), packet({}))).to.equal('accept');
      expect(run(programFor(engine, 4, reading), packet({ protocol: 4 }))).to.equal('accept');
    }
  });

  it('are dropped whatever a policy allows, and the verdict says why', () => {
    const engine = engineOf();
    const policy = networkPolicy('y', 'all', { podSelector: {}, policyTypes: ['Egress'], egress: [{}] });
    engine.apply(upsert('NetworkPolicy', policy as Parameters<typeof upsert>[1]));
    engine.flush();
    expect(run(programFor(engine, 4, 'neutral'), packet({}))).to.equal('drop');
    const flow: Flow = {
      from: { type: 'pod', namespace: 'y', name: 'a' },
      to: { type: 'node', name: 'n2' },
      family: 4,
      protocol: 'UDP',
      port: 4789,
    };
    expect(engine.verdict(flow).egress).to.deep.include({
      allowed: false,
      decision: { type: 'closed', why: 'a tunnel from a pod to a node' },
    });
    expect(engine.verdict({ ...flow, port: 4790 }).allowed).to.equal(true);
  });

  it('follow the nodes: one that leaves, one whose address another has too', () => {
    const engine = engineOf();
    const node = (name: string, ...addresses: readonly string[]) =>
      upsert('Node', {
        metadata: { name },
        status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
      } as Parameters<typeof upsert>[1]);
    const isDropped = (): boolean => {
      engine.flush();
      return run(programFor(engine, 4, 'iptables'), packet({ destination: '172.18.0.9' })) === 'drop';
    };
    expect(isDropped()).to.equal(false);
    engine.apply(node('n9', '172.18.0.9'));
    expect(isDropped()).to.equal(true);
    engine.apply(node('n9-new', '172.18.0.9'));
    engine.apply({ type: 'delete', kind: 'Node', name: 'n9' });
    expect(isDropped()).to.equal(true);
    engine.apply(node('n9-new', '172.18.0.10'));
    expect(isDropped()).to.equal(false);
  });

  describe('to the ends of tunnels that this node has', () => {
    const peers = { vxlan: ['172.18.0.2', 'fc00::2'] };
    const tunnelled = (event: TunnelPeerAddresses = peers): PolicyEngine => {
      const engine = engineOf({ nodeName: 'n1' });
      engine.apply({ type: 'tunnel-peers', peers: event });
      engine.flush();
      return engine;
    };
    const arriving = (family: 4 | 6, source: string, change: Partial<Packet> = {}): Packet =>
      packet({
        family,
        builtin: 'INPUT',
        in: 'eth0',
        out: undefined,
        source,
        destination: NODES[family][0],
        localDestination: true,
        ...change,
      });
    const STRANGERS = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;

    for (const reading of READINGS)
      for (const family of [4, 6] as const)
        it(`only nodes come in: ${reading}, IPv${family}`, () => {
          const program = programFor(tunnelled(), family, reading);
          const stranger = STRANGERS[family];
          expect(run(program, arriving(family, NODES[family][1]))).to.equal('accept');
          expect(run(program, arriving(family, stranger))).to.equal('drop');
          expect(run(program, arriving(family, stranger, { state: 'established' })), 'established').to.equal('drop');
          expect(run(program, arriving(family, stranger, { destinationPort: 4790 })), 'another port').to.equal(
            'continue',
          );
          expect(run(program, arriving(family, stranger, { protocol: 4 })), 'a tunnel there is not').to.equal(
            'continue',
          );
          const pod = family === 4 ? '10.65.0.3' : 'fd00:65::a:3';
          expect(run(program, arriving(family, pod, { in: interfaceOf('y', 'a') })), 'a pod').to.equal('drop');
        });

    it('no policy of a host endpoint closes them, in either direction', () => {
      const engine = tunnelled();
      engine.apply(hostEndpoint('n1-eth0', { node: 'n1', interfaceName: 'eth0', expectedIPs: ['172.18.0.1'] }));
      engine.flush();
      for (const reading of READINGS) {
        const program = programFor(engine, 4, reading);
        const leaving = packet({ builtin: 'OUTPUT', in: undefined, source: '172.18.0.1', localSource: true });
        expect(run(program, arriving(4, '172.18.0.2')), `${reading}, in`).to.equal('accept');
        expect(run(program, leaving), `${reading}, out`).to.equal('accept');
        expect(run(program, { ...leaving, destination: '192.0.2.1' }), `${reading}, to a stranger`).to.equal('drop');
        expect(run(program, { ...leaving, destinationPort: 9999 }), `${reading}, another port`).to.equal('drop');
      }
    });

    it('follow the nodes, and end with the tunnels', () => {
      const engine = tunnelled();
      const says = (source: string): string => run(programFor(engine, 4, 'neutral'), arriving(4, source));
      engine.apply({ type: 'tunnel-peers', peers: { vxlan: ['172.18.0.3'] } });
      engine.flush();
      expect([says('172.18.0.2'), says('172.18.0.3')]).to.deep.equal(['drop', 'accept']);
      engine.apply({ type: 'tunnel-peers', peers: {} });
      engine.flush();
      expect([says('172.18.0.2'), says('192.0.2.1')]).to.deep.equal(['continue', 'continue']);
    });

    it('IP in IP: the same by its protocol', () => {
      const program = programFor(tunnelled({ ipip: ['172.18.0.2'] }), 4, 'neutral');
      expect(run(program, arriving(4, '172.18.0.2', { protocol: 4 }))).to.equal('accept');
      expect(run(program, arriving(4, '192.0.2.1', { protocol: 4 }))).to.equal('drop');
      expect(run(program, arriving(4, '192.0.2.1')), 'VXLAN').to.equal('continue');
    });
  });
});
