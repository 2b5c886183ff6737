import { expect } from 'chai';
import { parseNatFlags } from '../../src/agent/nat-flags.js';

describe('options of natOutgoing', () => {
  it('are read', () => {
    expect(
      parseNatFlags({
        natPortRange: '30000:32767',
        natOutgoingInterface: 'bond+',
        natOutgoingAddress: '192.0.2.1,2001:DB8::1',
      }),
    ).to.deep.equal({
      ports: { from: 30_000, to: 32_767 },
      interface: 'bond+',
      addresses: [
        { family: 4, address: '192.0.2.1' },
        { family: 6, address: '2001:db8::1' },
      ],
    });
    expect(parseNatFlags({})).to.deep.equal({});
  });
  it('that are wrong are named', () => {
    for (const [flags, name] of [
      [{ natPortRange: '30000' }, '--nat-port-range "30000"'],
      [{ natPortRange: '3:2' }, '--nat-port-range "3:2"'],
      [{ natPortRange: '0:70000' }, '--nat-port-range "0:70000"'],
      [{ natOutgoingInterface: 'a b' }, '--nat-outgoing-interface "a b"'],
      [{ natOutgoingInterface: 'interface-name-too-long' }, '--nat-outgoing-interface "interface-name-too-long"'],
      [{ natOutgoingAddress: '192.0.2.1,192.0.2.2' }, '--nat-outgoing-address "192.0.2.1,192.0.2.2"'],
      [{ natOutgoingAddress: 'eth0' }, '--nat-outgoing-address "eth0"'],
    ] as const)
      expect(() => parseNatFlags(flags), name).to.throw(`Cannot use ${name}`);
  });
});
