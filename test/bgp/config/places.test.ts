/** Addresses that no host can have are refused wherever a host is meant. */
import { expect } from 'chai';
import { formatProblem, validateConfig } from 'node-bgp/config/validate';

const base = { localAs: 64512, routerId: '10.0.0.1' };

const problemsOf = (more: object): readonly string[] => {
  const validated = validateConfig({ ...base, ...more });
  return validated.type === 'valid' ? [] : validated.problems.map(formatProblem);
};

const NOWHERE = ['0.0.0.1', '224.0.0.5', '239.255.255.255', '255.255.255.255', 'ff02::1', '::ffff:192.0.2.1'];
const UNSPECIFIED = ['0.0.0.0', '::'];
const SOMEWHERE = ['192.0.2.1', '127.0.0.1', '127.1.2.3', '240.0.0.1', '2001:db8::1', '::1'];

describe('bgp/config, places', () => {
  for (const address of SOMEWHERE)
    it(`takes ${address}`, () => {
      const localAddress = address.includes(':') ? 'fd00::1' : '10.0.0.1';
      expect(problemsOf({ peers: [{ address, remoteAs: 64513, localAddress }] })).to.deep.equal([]);
      expect(problemsOf({ listen: [{ address }], bmp: [{ address }] })).to.deep.equal([]);
    });
  for (const address of [...NOWHERE, ...UNSPECIFIED])
    it(`refuses ${address}`, () => {
      const [good, is] = [
        address.includes(':') ? 'fd00::1' : '10.0.0.1',
        `"${address}"; expected the address of a host`,
      ];
      expect(problemsOf({ peers: [{ address, remoteAs: 64513 }] })).to.deep.equal([`peers[0].address is ${is}`]);
      expect(problemsOf({ peers: [{ address: good, remoteAs: 64513, localAddress: address }] })).to.deep.equal([
        `peers[0].localAddress is ${is}`,
      ]);
      expect(problemsOf({ bmp: [{ address }] })).to.deep.equal([`bmp[0].address is ${is}`]);
    });
  it('listens on all addresses, or on one of a host', () => {
    for (const address of UNSPECIFIED) expect(problemsOf({ listen: [{ address }] })).to.deep.equal([]);
    for (const address of NOWHERE)
      expect(problemsOf({ listen: [{ address: '::' }, { address }] })).to.deep.equal([
        `listen[1].address is "${address}"; expected an address of this host, or 0.0.0.0 or :: for all of them`,
      ]);
  });

  for (const range of ['0.0.0.0/0', '::/0', '127.0.0.0/8', '10.0.0.0/24', 'fd00::/64'])
    it(`takes peers out of ${range}`, () =>
      expect(problemsOf({ dynamicPeers: [{ name: 'r', range, remoteAs: 64513 }] })).to.deep.equal([]));
  for (const range of ['0.0.0.0/8', '224.0.0.0/24', '255.255.255.255/32', 'ff00::/8', '::ffff:10.0.0.0/104'])
    it(`refuses peers out of ${range}`, () =>
      expect(problemsOf({ dynamicPeers: [{ name: 'r', range, remoteAs: 64513 }] })).to.deep.equal([
        `dynamicPeers[0].range is "${range}"; expected a range of addresses that hosts can have`,
      ]));

  it('originates no prefix in which no host could be', () => {
    for (const prefix of ['0.0.0.0/0', '::/0', '0.0.0.0/7', '240.0.0.0/4', '128.0.0.0/1', '::/96'])
      expect(problemsOf({ originate: [{ prefix }] }), prefix).to.deep.equal([]);
    for (const prefix of [
      ...['0.0.0.0/8', '0.0.0.1/32', '127.0.0.0/8', '127.0.0.1/32', '224.0.0.0/4', '255.255.255.255/32'],
      ...['::/128', '::1/128', '::ffff:10.0.0.0/104', 'fe80::/64', 'ff02::/16'],
    ])
      expect(problemsOf({ originate: [{ prefix }] }), prefix).to.deep.equal([
        `originate[0].prefix is "${prefix}"; expected a unicast prefix that may leave the link`,
      ]);
  });

  it('ignores interfaces by patterns that can match some, and not all', () => {
    for (const pattern of ['eth0', 'docker*', 'kube-ipvs?', '*.100', 'e?h*', '?', 'br-lan@if7', '*-very-long-nam-*'])
      expect(problemsOf({ ignoredInterfaces: [pattern] }), pattern).to.deep.equal([]);
    for (const pattern of ['', '(eth', 'eth[0-9]', '^eth', 'eth.*$', 'a|b', 'e h', 'a/b', 'eth0:1', 'sixteen-letters-'])
      expect(problemsOf({ ignoredInterfaces: [pattern] }), pattern).to.deep.equal([
        `ignoredInterfaces[0] is "${pattern}"; expected an interface name of at most 15 characters, with * and ? as wildcards`,
      ]);
    for (const pattern of ['*', '***', '?*', '*?*'])
      expect(problemsOf({ ignoredInterfaces: [pattern] }), pattern).to.deep.equal([
        `ignoredInterfaces[0] is "${pattern}"; expected a pattern that does not hold every interface`,
      ]);
  });
});
