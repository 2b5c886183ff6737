/** Our own address as next hop, when it comes after the session: a link that has just returned gets its IPv6 address a second later. */
import { expect } from 'chai';
import { parseAddress } from 'node-bgp/address';
import type { LocalInterface } from 'node-bgp/session/interface';
import { World } from './world.js';

const link = (...addresses: readonly string[]): readonly LocalInterface[] => [
  {
    name: 'eth0',
    isUp: true,
    addresses: addresses.map((address) => ({
      address: parseAddress(address),
      length: address.includes(':') ? 64 : 24,
    })),
  },
];

describe('bgp/speaker own address', () => {
  it('that a link gets while its session stands becomes the next hop of what could not be sent without', async () => {
    const world = new World();
    const [a, b] = [world.speaker('10.0.0.1'), world.speaker('10.0.0.2')];
    a.speaker.setInterfaces(link('10.0.0.1', '2001:db8::1'));
    b.speaker.setInterfaces(link('10.0.0.2'));
    await a.configure(a.config(64512, [{ address: '10.0.0.2', port: 1790, remoteAs: 64513 }]));
    await b.configure(
      b.config(64513, [{ address: '10.0.0.1', port: 1790, remoteAs: 64512 }], {
        originate: [{ prefix: '10.65.2.0/24' }, { prefix: 'fd65:2::/64' }],
      }),
    );
    world.seconds(5);
    expect(a.prefixes()).to.deep.equal(['10.65.2.0/24']);
    b.speaker.setInterfaces(link('10.0.0.2', '2001:db8::2'));
    world.seconds(1);
    expect(a.prefixes()).to.deep.equal(['10.65.2.0/24', 'fd65:2::/64']);
    b.speaker.setInterfaces(link('10.0.0.2'));
    world.seconds(1);
    expect(a.prefixes()).to.deep.equal(['10.65.2.0/24']);
    expect([a.told('peer-down').length, b.told('peer-down').length]).to.deep.equal([0, 0]);
  });
});
