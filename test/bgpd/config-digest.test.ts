import { expect } from 'chai';
import type { SpeakerConfig } from 'node-bgp/config';
import { configDigest } from '../../src/bgpd/config-digest.js';

const CONFIG: SpeakerConfig = {
  localAs: 64512,
  routerId: '10.0.0.1',
  peers: [{ address: '10.0.0.2', remoteAs: 64513, password: 'one' }],
  originate: [{ prefix: '10.65.0.0/24' }, { prefix: '10.65.1.0/24' }],
};

describe('config digest', () => {
  it('does not mind the order of keys, what is null, nor a default that is spelt out', () => {
    const [peer] = CONFIG.peers ?? [];
    const turned = {
      originate: CONFIG.originate,
      peers: [Object.fromEntries(Object.entries({ ...peer, description: null }).reverse())],
      requirePolicy: true,
      routerId: '10.0.0.1',
      localAs: 64512,
    } as unknown as SpeakerConfig;
    expect(configDigest(turned)).to.equal(configDigest(CONFIG));
  });

  for (const [what, other] of [
    ['a password', { peers: [{ address: '10.0.0.2', remoteAs: 64513, password: 'two' }] }],
    ['the order of a list', { originate: [{ prefix: '10.65.1.0/24' }, { prefix: '10.65.0.0/24' }] }],
    ['a default that is overruled', { requirePolicy: false }],
  ] as const)
    it(`minds ${what}`, () => expect(configDigest({ ...CONFIG, ...other })).to.not.equal(configDigest(CONFIG)));
});
