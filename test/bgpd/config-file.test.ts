import { expect } from 'chai';
import { parseConfig } from '../../src/bgpd/config-file.js';

const problemsOf = (text: string): readonly string[] => {
  try {
    parseConfig(text, 'rack.yaml');
    return [];
  } catch (error) {
    return (error as Error).message.split('\n');
  }
};

describe('bgpd config-file', () => {
  it('takes YAML and JSON alike', () => {
    const wanted = { localAs: 64512, routerId: '10.0.0.1', peers: [{ address: '10.0.0.2', remoteAs: 64513 }] };
    expect(parseConfig(JSON.stringify(wanted), 'x')).to.deep.equal(wanted);
    expect(parseConfig('localAs: 64512\nrouterId: 10.0.0.1\npeers:\n  - address: 10.0.0.2\n    remoteAs: 64513\n    password:\n', 'x')).to.deep.equal(wanted);
  });

  it('reports every problem at its line, all at once, and no secret', () => {
    expect(problemsOf(`localAs: 0
routerId: 10.0.0.1
peers:
  - address: 10.0.0.2
    remoteAs: 64513
    holdTim: 9
    password: ${'s'.repeat(81)}
  - address: fe80::1
    remoteAs: 23456
originate:
  - prefix: 10.65.0.1/24
  - tags: [block]
filters:
  out:
    rules:
      - action: maybe
`)).to.deep.equal([
      'rack.yaml:1: localAs is 0; expected an AS number from 1 to 4294967295, not 23456',
      'rack.yaml:6: peers[0].holdTim: expected no field of this name; did you mean "holdTime"?',
      'rack.yaml:7: peers[0].password is "[redacted]"; expected 1 to 80 bytes of text',
      'rack.yaml:8: peers[1].address is "fe80::1"; expected a link-local address with its interface, such as "fe80::1%eth0"',
      'rack.yaml:9: peers[1].remoteAs is 23456; expected an AS number from 1 to 4294967295, not 23456',
      'rack.yaml:11: originate[0].prefix is "10.65.0.1/24"; expected 10.65.0.0/24',
      'rack.yaml:12: originate[1].prefix: expected a value: the field is required',
      'rack.yaml:16: filters.out.rules[0].action is "maybe"; expected one of accept, reject, next',
    ]);
  });

  it('reports what fields mean together', () => {
    expect(problemsOf(`localAs: 64512
routerId: 10.0.0.1
peers:
  - {address: 10.0.0.2, remoteAs: 64512, multihop: 3, role: peer}
  - {address: 10.0.0.2, remoteAs: 64513, import: [nowhere, constructor]}
  - {address: 10.0.0.4, remoteAs: 64513, nextHopSelf: true, nextHopUnchanged: true, localAddress: "fd00::1"}
originate:
  - prefix: 10.65.0.0/24
  - prefix: 10.65.0.0/24
`)).to.deep.equal([
      'rack.yaml:4: peers[0].multihop is 3; expected nothing: an internal session may cross any number of hops',
      'rack.yaml:4: peers[0].role is "peer"; expected an external peer (RFC 9234 section 4)',
      'rack.yaml:5: peers[1].address is "10.0.0.2"; expected a name of its own; peers[0].address has the same',
      'rack.yaml:5: peers[1].import[0] is "nowhere"; expected the name of an entry of "filters"',
      'rack.yaml:5: peers[1].import[1] is "constructor"; expected the name of an entry of "filters"',
      'rack.yaml:6: peers[2].localAddress is "fd00::1"; expected an address of the same family as the peer\'s, IPv4',
      'rack.yaml:6: peers[2].nextHopUnchanged is true; expected nothing beside nextHopSelf',
      'rack.yaml:9: originate[1].prefix is "10.65.0.0/24"; expected each prefix once; originate[0] has it',
    ]);
  });

  it('wants a link-local source address on the interface of the peer', () => {
    const withSource = (source: string): readonly string[] =>
      problemsOf(`localAs: 64512\nrouterId: 10.0.0.1\npeers:\n  - {address: "fe80::2%eth0", localAddress: "${source}", remoteAs: 64513}\n`);
    expect(withSource('fe80::1%eth0')).to.deep.equal([]);
    expect(withSource('fe80::1%eth1')).to.deep.equal(['rack.yaml:4: peers[0].localAddress is "fe80::1%eth1"; expected an address of the peer\'s own interface, eth0']);
  });

  it('says where YAML itself is broken', () => {
    expect(problemsOf('localAs: 64512\nrouterId: [10.0.0.1\n')[0]).to.match(/^rack\.yaml:[23]: /);
    expect(problemsOf('localAs: 1\nlocalAs: 2\n')[0]).to.match(/^rack\.yaml:2: .*unique/);
    expect(problemsOf('')).to.deep.equal(['rack.yaml:1: the configuration is null; expected a mapping']);
  });

  it('does not follow alias bombs', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghij'.split('').map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghij'[i]}`).join(',')}]`).join('\n')}\n`;
    expect(problemsOf(bomb)[0]).to.match(/alias/i);
  });
});
