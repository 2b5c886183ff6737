/** Sessions whose key cannot be had are left out and named (left-out.test.ts). */
import { expect } from 'chai';
import type { BGPPeer } from '../../src/api/bgp.js';
import { topology, MESH, names, peer, sentences } from './left-out-scene.js';

describe('topology, of passwords that cannot be', () => {
  describe('a password that names no secret', () => {
    it('leaves out the peer, which must not come up in the open', () => {
      const result = topology({ peers: { r: { peerIP: '192.0.2.1', asNumber: 65001, password: {} } } });
      expect(names(result)).to.deep.equal(MESH);
      expect(sentences(result, 'problem')).to.deep.equal([
        'BGPPeer/r spec.password has no secretKeyRef; expected the name and key of a secret, or no password at all; ' +
          'left out until it has one',
      ]);
    });
    it('leaves out the mesh', () => {
      const result = topology({ configuration: { nodeMeshPassword: {} } });
      expect(names(result)).to.deep.equal([]);
      expect(sentences(result, 'problem').join()).to.include(
        'BGPConfiguration/default spec.nodeMeshPassword has no secretKeyRef',
      );
    });
  });

  describe('two TCP-MD5 keys for one address, of which the kernel has one', () => {
    const secrets = { 'one/k': 'sesame', 'two/k': 'barley' };
    const made = (name: string, year: number, peerIP: string, secret?: string): BGPPeer => ({
      metadata: { name, creationTimestamp: `${year}-01-01T00:00:00Z` },
      spec: {
        peerIP,
        asNumber: 65001,
        ...(secret === undefined ? {} : { password: { secretKeyRef: { name: secret, key: 'k' } } }),
      },
    });

    for (const [family, address, second] of [
      ['IPv4', '192.0.2.1', '192.0.2.1:1790'],
      ['IPv6', '2001:db8::1', '[2001:db8::1]:1790'],
    ] as const)
      it(`${family}: the older resource's holds, in whatever order they come`, () => {
        const both = [made('a', 2026, second, 'two'), made('z', 2025, address, 'one')];
        for (const bgpPeers of [both, [...both].reverse()]) {
          const result = topology({ bgpPeers, secrets });
          expect(peer(result, 'z')).to.include({ address, password: 'sesame' });
          expect(peer(result, 'a')).to.equal(undefined);
          expect(sentences(result)).to.deep.equal([
            `BGPPeer/a spec.password.secretKeyRef gives ${address} another TCP-MD5 key than ` +
              'BGPPeer/z spec.password.secretKeyRef; expected one to an address, whatever its ports; left out',
          ]);
        }
      });

    it('is told of the mesh too, which a resource goes before', () => {
      const result = topology({
        bgpPeers: [made('r', 2026, '10.0.0.2:1790', 'two')],
        configuration: { nodeMeshPassword: { secretKeyRef: { name: 'one', key: 'k' } } },
        secrets,
      });
      expect(names(result)).to.include.members(['r', 'mesh-node2-v6']).and.not.to.include('mesh-node2-v4');
      expect(sentences(result, 'problem')).to.deep.equal([
        'BGPConfiguration/default spec.nodeMeshPassword.secretKeyRef gives 10.0.0.2 another TCP-MD5 key than ' +
          'BGPPeer/r spec.password.secretKeyRef; expected one to an address, whatever its ports; left out',
      ]);
    });

    it('lets a second session have the same key', () => {
      const result = topology({
        bgpPeers: [made('a', 2025, '192.0.2.1', 'one'), made('b', 2026, '192.0.2.1:1790', 'one')],
        secrets,
      });
      expect(names(result)).to.include.members(['a', 'b']);
      expect(sentences(result)).to.deep.equal([]);
    });

    for (const [years, when] of [
      [[2025, 2026], 'later'],
      [[2026, 2025], 'earlier'],
    ] as const)
      for (const passive of [undefined, true])
        it(`a session without a key, made ${when}, opens its connections itself${passive ? ', though it is to wait' : ''}`, () => {
          const other = made('b', years[1], '192.0.2.1:1790');
          const result = topology({
            bgpPeers: [
              made('a', years[0], '192.0.2.1', 'one'),
              { ...other, spec: { ...other.spec, ...(passive ? { passive } : {}) } },
            ],
            secrets,
          });
          expect(peer(result, 'a')).to.include({ password: 'sesame' });
          expect(peer(result, 'b')).to.include({ address: '192.0.2.1', port: 1790 }).and.not.include({ passive: true });
          const why = 'no TCP-MD5 key for 192.0.2.1, to which BGPPeer/a gives one';
          expect(sentences(result, passive ? 'problem' : 'notice')).to.deep.equal([
            passive
              ? `BGPPeer/b spec.passive is "true" with ${why}; expected the same key, or false: no connection from ` +
                'there is taken; using false'
              : `BGPPeer/b has ${why}; only connections that this node opens can come up`,
          ]);
        });
  });

  describe('a password', () => {
    const bad: readonly (readonly [string, string | undefined, string])[] = [
      ['that is missing', undefined, 'expected that secret with that key'],
      ['that is empty', '', 'which is empty; expected 1 to 80 octets'],
      ['of 81 octets', 'x'.repeat(81), 'which has 81 octets; expected 1 to 80'],
      ['of 82 octets in 41 letters', 'ä'.repeat(41), 'which has 82 octets'],
      ['with a NUL', 'a\0b', 'which holds a control character'],
      ['with the line break of echo', 'sesame\n', 'which holds a control character (a line break at its end?)'],
      ['that is no text', 'a\ufffd', 'which is not UTF-8'],
    ];
    const reference = { secretKeyRef: { name: 'bgp', key: 'password' } };
    for (const [what, password, sentence] of bad) {
      const secrets: Readonly<Record<string, string>> = password === undefined ? {} : { 'bgp/password': password };
      it(`${what} costs that session alone, and says where it was looked for`, () => {
        const result = topology({ secrets, peers: { r: { peerIP: '192.0.2.1', asNumber: 1, password: reference } } });
        expect(names(result)).to.deep.equal(MESH);
        const told = sentences(result, 'problem').join();
        expect(told).to.include(
          'BGPPeer/r spec.password.secretKeyRef names key "password" of secret "tortie-system/bgp"',
        );
        expect(told).to.include(sentence).and.not.to.include('sesame');
      });
      it(`of the mesh ${what} costs the mesh`, () => {
        const result = topology({
          secrets,
          configuration: { nodeMeshPassword: reference },
          peers: { r: { peerIP: '192.0.2.1', asNumber: 1 } },
        });
        expect(names(result)).to.deep.equal(['r']);
        expect(sentences(result, 'problem').join()).to.include(
          'BGPConfiguration/default spec.nodeMeshPassword.secretKeyRef names',
        );
      });
    }
    it('of 80 octets is taken', () => {
      const secrets = { 'bgp/password': 'x'.repeat(80) };
      const result = topology({ secrets, peers: { r: { peerIP: '192.0.2.1', asNumber: 1, password: reference } } });
      expect(peer(result, 'r')?.password).to.have.length(80);
    });
  });
});
