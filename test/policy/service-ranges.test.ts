/** What is forwarded to a Service that nobody has translated goes nowhere, as iptables and nft read it. */
import { expect } from 'chai';
import { PolicyEngine } from '@tortie/policy';
import { run, type Packet } from './interpreter.js';
import { programFor, READINGS } from './node.js';
import { eventsOf, interfaceOf, smallWorld } from './world.js';

function engineOf(prefixes: readonly string[]): PolicyEngine {
  const engine = new PolicyEngine();
  for (const event of eventsOf(smallWorld(), 'n1')) engine.apply(event);
  engine.apply({ type: 'service-ranges', prefixes });
  engine.flush();
  return engine;
}

const RANGES = ['10.96.0.0/12', '172.18.0.0/24', 'fd00:96::/112', 'fc00::/120'];

describe('policy: Services that nobody serves', () => {
  for (const reading of READINGS)
    for (const family of [4, 6] as const)
      it(`drops what is forwarded to them, and nothing else: ${reading}, IPv${family}`, () => {
        const program = programFor(engineOf(RANGES), family, reading);
        const [service, pod, router, node] =
          family === 4
            ? ['10.96.0.1', '10.65.0.3', '192.0.2.1', '172.18.0.2']
            : ['fd00:96::1', 'fd00:65::a:3', '2001:db8::1', 'fc00::2'];
        const sent = (change: Partial<Packet>): string =>
          run(program, {
            family,
            table: 'mangle',
            builtin: 'POSTROUTING',
            in: undefined,
            out: 'eth0',
            source: router,
            destination: service,
            protocol: 6,
            sourcePort: 40000,
            destinationPort: 80,
            state: 'new',
            ...change,
          });
        expect(sent({}), 'from a router').to.equal('drop');
        expect(sent({ source: pod, state: 'invalid' }), 'from a pod, of no connection').to.equal('drop');
        expect(sent({ state: 'established' }), 'translated once, and so for ever').to.equal('continue');
        expect(sent({ destination: pod, out: interfaceOf('y', 'a') }), 'translated').to.equal('continue');
        expect(sent({ destination: router }), 'elsewhere').to.equal('continue');
        expect(sent({ localSource: true }), "the node's own").to.equal('continue');
        expect(sent({ destination: node }), 'a node in the range').to.equal('continue');
      });

  it("is in nobody's way where nothing is announced", () => {
    const engine = engineOf(RANGES);
    const hooked = (): boolean => engine.ruleset().hooks.some(({ builtin }) => builtin === 'POSTROUTING');
    expect(hooked()).to.equal(true);
    engine.apply({ type: 'service-ranges', prefixes: [] });
    const { hooks, chainsDeleted } = engine.flush();
    expect([hooked(), hooks?.length, chainsDeleted]).to.deep.equal([
      false,
      4,
      [{ table: 'mangle', name: 'TORTIE-POSTROUTING' }],
    ]);
  });

  it('follows what is announced, range by range', () => {
    const engine = engineOf(['10.96.0.0/16']);
    engine.apply({ type: 'service-ranges', prefixes: ['10.96.0.0/12', 'rubbish', '0.0.0.0/0'] });
    expect(engine.flush().setsChanged).to.deep.equal([
      { name: 'tortie4-service-ranges', added: ['10.96.0.0/12'], removed: ['10.96.0.0/16'] },
    ]);
  });
});
