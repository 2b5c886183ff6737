import { expect } from 'chai';
import { portForwardsOf, type HostPort, type NatEndpoint } from '../../src/nat/host-ports.js';
import { NatEngine } from '../../src/nat/nat-engine.js';

const pod = (name: string, ...hostPorts: readonly HostPort[]): NatEndpoint => ({
  pod: `shop/${name}`,
  addresses: [`10.65.0.${name.length}`, `fd00::${name.length}`],
  hostPorts,
});
const port = (hostPort: number, more: Partial<HostPort> = {}): HostPort => ({
  protocol: 'tcp',
  hostPort,
  containerPort: 80,
  ...more,
});
const brief = (endpoints: readonly NatEndpoint[]): readonly string[] =>
  portForwardsOf(endpoints, [4, 6]).forwards.map(
    ({ family, hostIP = '*', protocol, hostPort, to, containerPort }) =>
      `${family} ${hostIP} ${protocol} ${hostPort} > ${to} ${containerPort}`,
  );

describe('host ports', () => {
  it('are of both families, of one where the host address is of one, and of all its addresses where it is that of none', () => {
    expect(
      brief([
        pod(
          'a',
          port(80),
          port(81, { hostIP: '0.0.0.0' }),
          port(82, { hostIP: '::' }),
          port(83, { hostIP: '192.0.2.1' }),
        ),
      ]),
    ).to.deep.equal([
      '4 * tcp 80 > 10.65.0.1 80',
      '6 * tcp 80 > fd00::1 80',
      '4 * tcp 81 > 10.65.0.1 80',
      '6 * tcp 82 > fd00::1 80',
      '4 192.0.2.1 tcp 83 > 10.65.0.1 80',
    ]);
  });

  it('that two pods want go to the first, and the other is named', () => {
    const endpoints = [pod('a', port(80)), pod('bb', port(80, { containerPort: 81 }), port(80, { protocol: 'udp' }))];
    const { forwards, problems } = portForwardsOf(endpoints, [4]);
    expect(forwards.map((one) => `${one.protocol} ${one.pod}`)).to.deep.equal(['tcp shop/a', 'udp shop/bb']);
    expect(problems).to.deep.equal([
      'Host port tcp/80 (IPv4) of pod "shop/bb" leads to pod "shop/a", which had it first; expected one pod on this node with this port',
    ]);
    expect(portForwardsOf(endpoints.slice(1), [4]).problems).to.deep.equal([]);
  });

  it('at one address and at all of them are the same port; at two addresses they are two', () => {
    const at = (hostIP?: string): HostPort => port(80, hostIP === undefined ? {} : { hostIP });
    expect(portForwardsOf([pod('a', at()), pod('bb', at('192.0.2.1'))], [4]).problems).to.have.length(1);
    expect(portForwardsOf([pod('a', at('192.0.2.1')), pod('bb', at())], [4]).problems).to.have.length(1);
    expect(portForwardsOf([pod('a', at('192.0.2.1')), pod('bb', at('192.0.2.2'))], [4]).problems).to.deep.equal([]);
  });

  it('that move are told once, with the flush that moves them, and only they', () => {
    const engine = new NatEngine({ families: [4], outgoing: {}, podInterfacePrefix: 'tort' });
    const moved = (): string =>
      engine
        .takeMoved()
        .map(({ hostPort, pod: name }) => `${hostPort} ${name}`)
        .join();
    const told = ['bb', 'bb', 'ccc'].map((second) => {
      engine.apply({ type: 'endpoints', endpoints: [pod('a', port(80)), pod(second, port(81))] });
      const early = moved();
      engine.flush();
      return [early, moved(), moved()];
    });
    expect(told).to.deep.equal([
      ['', '80 shop/a,81 shop/bb', ''],
      ['', '', ''],
      ['', '81 shop/bb,81 shop/ccc', ''],
    ]);
  });

  it('and pools make the same rules in whatever order they come', () => {
    const make = (): NatEngine => new NatEngine({ families: [4, 6], outgoing: {}, podInterfacePrefix: 'tort' });
    const [one, two] = [make(), make()];
    const events = [
      {
        type: 'pools',
        pools: [{ cidr: '10.65.0.0/16', natOutgoing: true }, { cidr: '10.65.1.0/24' }, { cidr: 'rubbish' }],
      },
      { type: 'node', name: 'n', addresses: ['192.0.2.1', '2001:db8::1'] },
      { type: 'endpoints', endpoints: [pod('a', port(80))] },
    ] as const;
    for (const event of events) {
      one.apply(event);
      one.flush();
    }
    for (const event of [...events].reverse()) two.apply(event);
    two.flush();
    expect(two.ruleset()).to.deep.equal(one.ruleset());
    expect([...(one.ruleset().sets.get('tortie4-nat-pools')?.members.keys() ?? [])]).to.deep.equal(['10.65.0.0/16']);
    one.apply({ type: 'pools', pools: [] });
    one.apply({ type: 'endpoints', endpoints: [] });
    expect(one.flush().chainsDeleted).to.not.be.empty;
    // What keeps translation on for the connections that stand.
    expect([...one.ruleset().chains.values()]).to.deep.equal([
      { table: 'nat', name: 'TORTIE-NAT-POSTROUTING', rules: [] },
    ]);
    expect(one.ruleset().sets.size + one.ruleset().maps.size).to.equal(0);
  });
});
