import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import * as fc from 'fast-check';
import { parseConfig, readConfigFile } from '../../src/bgpd/config-file.js';
import { hasRepeatedKey } from '../../src/bgpd/json-keys.js';

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
    expect(
      parseConfig(
        'localAs: 64512\nrouterId: 10.0.0.1\npeers:\n  - address: 10.0.0.2\n    remoteAs: 64513\n    password:\n',
        'x',
      ),
    ).to.deep.equal(wanted);
  });

  it('reports every problem at its line, all at once, and no secret', () => {
    expect(
      problemsOf(`localAs: 0
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
`),
    ).to.deep.equal([
      'rack.yaml:1: localAs is 0; expected an AS number from 1 to 4294967295, not 23456',
      'rack.yaml:6: peers[0].holdTim: expected a known field; did you mean "holdTime"?',
      'rack.yaml:7: peers[0].password is "[redacted]"; expected 1 to 80 bytes of text',
      'rack.yaml:8: peers[1].address is "fe80::1"; expected a link-local address with its interface, such as "fe80::1%eth0"',
      'rack.yaml:9: peers[1].remoteAs is 23456; expected an AS number from 1 to 4294967295, not 23456',
      'rack.yaml:11: originate[0].prefix is "10.65.0.1/24"; expected 10.65.0.0/24',
      'rack.yaml:12: originate[1].prefix: expected a value: the field is required',
      'rack.yaml:16: filters.out.rules[0].action is "maybe"; expected one of accept, reject, next',
    ]);
  });

  it('reports what fields mean together', () => {
    expect(
      problemsOf(`localAs: 64512
routerId: 10.0.0.1
peers:
  - {address: 10.0.0.2, remoteAs: 64512, multihop: 3, role: peer}
  - {address: 10.0.0.2, remoteAs: 64513, import: [nowhere, constructor]}
  - {address: 10.0.0.4, remoteAs: 64513, nextHopSelf: true, nextHopUnchanged: true, localAddress: "fd00::1"}
originate:
  - prefix: 10.65.0.0/24
  - prefix: 10.65.0.0/24
`),
    ).to.deep.equal([
      'rack.yaml:4: peers[0].multihop is 3; expected nothing: an internal session may cross any number of hops',
      'rack.yaml:4: peers[0].role is "peer"; expected an external peer (RFC 9234 section 4)',
      'rack.yaml:5: peers[1].address is "10.0.0.2"; expected an address or a "name" of its own; peers[0].address has the same',
      'rack.yaml:5: peers[1].import[0] is "nowhere"; expected the name of an entry of "filters"',
      'rack.yaml:5: peers[1].import[1] is "constructor"; expected the name of an entry of "filters"',
      'rack.yaml:6: peers[2].localAddress is "fd00::1"; expected an address of the same family as the peer\'s, IPv4',
      'rack.yaml:6: peers[2].nextHopUnchanged is true; expected nothing beside nextHopSelf',
      'rack.yaml:9: originate[1].prefix is "10.65.0.0/24"; expected each prefix once; originate[0] has it',
    ]);
  });

  it('reports what the sound parts mean together while others are no such fields', () => {
    expect(
      problemsOf(`localAs: 64512
routerId: 10.0.0.1
holdTimes: 3
filters:
  out: {rules: [{action: pass}]}
peers:
  - {address: 10.0.0.2, remoteAs: x, import: [out, gone]}
  - {address: 10.0.0.3, remoteAs: 64513, export: [nowhere, out]}
  - {address: 10.0.0.3, remoteAs: 64513}
  - {address: 10.0.0.4, remoteAs: 64513, import: [1, gone]}
dynamicPeers:
  - {name: r, range: 10.1.0.0/24, remoteAs: 64514, import: [missing]}
originate:
  - prefix: 10.65.0.0/33
  - prefix: 10.65.0.0/24
  - prefix: 10.65.0.0/24
`),
    ).to.deep.equal([
      'rack.yaml:3: holdTimes: expected a known field',
      'rack.yaml:5: filters.out.rules[0].action is "pass"; expected one of accept, reject, next',
      'rack.yaml:7: peers[0].remoteAs is "x"; expected one of external, internal',
      'rack.yaml:8: peers[1].export[0] is "nowhere"; expected the name of an entry of "filters"',
      'rack.yaml:9: peers[2].address is "10.0.0.3"; expected an address or a "name" of its own; peers[1].address has the same',
      'rack.yaml:10: peers[3].import[0] is 1; expected 1 to 128 printable characters without blanks',
      'rack.yaml:12: dynamicPeers[0].import[0] is "missing"; expected the name of an entry of "filters"',
      'rack.yaml:14: originate[0].prefix is "10.65.0.0/33"; expected CIDR notation such as 10.65.0.0/26 or fd00:65::/122',
      'rack.yaml:16: originate[2].prefix is "10.65.0.0/24"; expected each prefix once; originate[1] has it',
    ]);
    expect(
      problemsOf(`localAs: 0
routerId: 10.0.0.1
peers:
  - {address: 10.0.0.2, remoteAs: 64512, routeReflectorClient: true, import: [gone]}
`),
    ).to.deep.equal([
      'rack.yaml:1: localAs is 0; expected an AS number from 1 to 4294967295, not 23456',
      'rack.yaml:4: peers[0].import[0] is "gone"; expected the name of an entry of "filters"',
    ]);
  });

  it('wants one TCP-MD5 key to an address, whatever the ports and links, and says neither key', () => {
    const withKeys = (second: string): readonly string[] =>
      problemsOf(`localAs: 64512
routerId: 10.0.0.1
peers:
  - {name: a, address: "fe80::2%eth0", remoteAs: 64513, password: sesame}
  - {name: b, address: "fe80::3%eth0", remoteAs: 64513, password: barley}
  - {name: c, ${second}, remoteAs: 64513}
`);
    for (const good of [
      'address: "fe80::2%eth1", password: sesame',
      'address: "fe80::2%eth0", port: 1790',
      'address: 10.0.0.2, password: oats',
    ])
      expect(withKeys(good)).to.deep.equal([]);
    for (const address of ['address: "fe80::2%eth1"', 'address: "fe80::2%eth0", port: 1790'])
      expect(withKeys(`${address}, password: oats`)).to.deep.equal([
        'rack.yaml:6: peers[2].password is "[redacted]"; expected that of peers[0].password, a peer at the same address',
      ]);
  });

  it('wants a key where connections from an address need one, of who waits for them', () => {
    const withKeys = (peers: string, ranges: string): readonly string[] =>
      problemsOf(`localAs: 64512
routerId: 10.0.0.1
peers:
  - {address: 10.0.0.2, remoteAs: 64513, password: sesame}
  - {name: b, ${peers}, remoteAs: 64513}
dynamicPeers:
  - {name: r, range: 10.9.0.0/16, remoteAs: 64514, password: barley}
  - {name: s, ${ranges}, remoteAs: 64514}
`);
    const [peer, range] = ['address: 10.0.0.3', 'range: 10.8.0.0/16'];
    for (const [goodPeer, goodRange] of [
      [peer, range],
      ['address: 10.0.0.2, port: 1790', range],
      ['address: 10.0.0.2, port: 1790, passive: true, password: sesame', range],
      ['address: 10.9.0.2', 'range: 10.9.1.0/24, password: oats'],
      ['address: 10.9.0.2, passive: true, password: oats', 'range: 10.8.0.0/15'],
    ] as const)
      expect(withKeys(goodPeer, goodRange), `${goodPeer}; ${goodRange}`).to.deep.equal([]);
    expect(withKeys('address: 10.0.0.2, port: 1790, passive: true', range)).to.deep.equal([
      'rack.yaml:5: peers[1].passive is true; expected false, or a password: without that of peers[0].password no ' +
        'connection from there is taken',
    ]);
    expect(withKeys('address: 10.9.0.2, passive: true', range)).to.deep.equal([
      'rack.yaml:5: peers[1].passive is true; expected false, or a password: without that of dynamicPeers[0].password ' +
        'no connection from there is taken',
    ]);
    expect(withKeys(peer, 'range: 10.9.1.0/24')).to.deep.equal([
      'rack.yaml:8: dynamicPeers[1].range is "10.9.1.0/24"; expected another range, or a password: without that of ' +
        'dynamicPeers[0].password no connection from there is taken',
    ]);
    expect(withKeys(peer, 'range: 10.9.0.0/16, password: oats, interface: eth1').join()).to.include(
      'dynamicPeers[1].password is "[redacted]"; expected that of dynamicPeers[0].password, the same range on another link',
    );
  });

  it('wants a link-local source address on the interface of the peer', () => {
    const withSource = (source: string): readonly string[] =>
      problemsOf(
        `localAs: 64512\nrouterId: 10.0.0.1\npeers:\n  - {address: "fe80::2%eth0", localAddress: "${source}", remoteAs: 64513}\n`,
      );
    expect(withSource('fe80::1%eth0')).to.deep.equal([]);
    expect(withSource('fe80::1%eth1')).to.deep.equal([
      'rack.yaml:4: peers[0].localAddress is "fe80::1%eth1"; expected an address of the peer\'s own interface, eth0',
    ]);
  });

  it('says where YAML itself is broken', () => {
    expect(problemsOf('localAs: 64512\nrouterId: [10.0.0.1\n')[0]).to.match(/^rack\.yaml:[23]: /);
    expect(problemsOf('localAs: 1\nlocalAs: 2\n')[0]).to.match(/^rack\.yaml:2: .*twice/);
    expect(problemsOf('')).to.deep.equal([
      'rack.yaml:1: The file is empty; expected at least "localAs" and "routerId"',
    ]);
  });

  it('does not follow alias bombs', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghij'
      .split('')
      .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghij'[i]}`).join(',')}]`)
      .join('\n')}\n`;
    expect(problemsOf(bomb)[0]).to.match(/alias/i);
  });

  it('guesses what was meant: a slip, a field one level too high, a filter that is called otherwise', () => {
    expect(
      problemsOf(`localAs: 64512
routerId: 10.0.0.1
holdTime: 9
gracefulRestarttime: 5
peers:
  - {address: 10.0.0.2, remoteAs: 64513, passwrod: secret, import: [take-al]}
  - 10.0.0.3
`),
    ).to.deep.equal([
      'rack.yaml:3: holdTime: expected a known field; this one belongs in "peers" or "dynamicPeers"',
      'rack.yaml:4: gracefulRestarttime: expected a known field; did you mean "gracefulRestartTime"?',
      'rack.yaml:6: peers[0].passwrod: expected a known field; did you mean "password"?',
      'rack.yaml:7: peers[1] is "10.0.0.3"; expected a mapping with "remoteAs"',
    ]);
    expect(
      problemsOf(
        'localAs: 1\nrouterId: 10.0.0.1\npeers: [{address: 10.0.0.2, remoteAs: 2, export: [take-al]}]\nfilters: {take-all: {rules: []}}\n',
      ),
    ).to.deep.equal([
      'rack.yaml:3: peers[0].export[0] is "take-al"; expected the name of an entry of "filters"; did you mean "take-all"?',
    ]);
  });

  it('finds the line of a filter whose name has dots, brackets and quotes', () => {
    for (const name of ['a.b', 'a[0]', 'a"b', '["x"].y'])
      expect(
        problemsOf(
          `localAs: 1\nrouterId: 10.0.0.1\nfilters:\n  first: {rules: []}\n  ${JSON.stringify(name)}:\n    rules:\n   ` +
            `   - action: accpet\n`,
        )[0],
        name,
      ).to.match(/^rack\.yaml:7: filters/);
  });

  it('takes what several peers share from an anchor', () => {
    const { peers } = parseConfig(
      `localAs: 64512
routerId: 10.0.0.1
peers:
  - &spine {address: 10.0.0.2, remoteAs: 65100, holdTime: 9}
${Array.from({ length: 500 }, (_, index) => `  - {<<: *spine, address: 10.1.${index >> 8}.${index & 255}}`)
  .join('\n')
  .replace('10.1.0.0}', '10.2.0.1}')}
`,
      'x',
    );
    expect(peers?.[500]).to.deep.equal({ address: '10.1.1.243', remoteAs: 65100, holdTime: 9 });
  });

  it('says what kind of broken the text is, once per line', () => {
    expect(problemsOf('localAs: 1\nrouterId: 10.0.0.1\npeers:\n  - address: 10.0.0.2\n\tremoteAs: 5\n')).to.deep.equal([
      'rack.yaml:5: A tab indents this line; expected blanks',
    ]);
    expect(problemsOf('localAs: 1\nrouterId: 10.0.0.1\nlocalAs: 2\n')).to.deep.equal([
      'rack.yaml:3: The key "localAs" stands twice in one mapping; expected it once',
    ]);
    expect(
      problemsOf(
        '{"localAs": 1, "routerId": "10.0.0.1",\n"peers": [{"address": "10.0.0.2", "remoteAs": 1,\n"remoteAs": 2}]}',
      ),
    ).to.deep.equal(['rack.yaml:3: The key "remoteAs" stands twice in one mapping; expected it once']);
    expect(problemsOf('localAs: 1\nrouterId: 10.0.0.1\n---\nlocalAs: 2\n')).to.deep.equal([
      'rack.yaml:3: A second document begins here; expected one in the file',
    ]);
    expect(problemsOf('localAs: 1\nrouterId: !include id.yaml\n')[0]).to.match(
      /^rack\.yaml:2: .*!include.*expected no tags$/,
    );
  });

  it('counts what is too much to read', () => {
    const problems = problemsOf(`localAs: 1\nrouterId: 10.0.0.1\noriginate:\n${'  - prefix: nonsense\n'.repeat(250)}`);
    expect(problems).to.have.length(101);
    expect(problems.at(-1)).to.equal('rack.yaml: and 150 more problems');
  });

  it('refuses what is no text, or has no end', () => {
    const directory = mkdtempSync(join(tmpdir(), 'tortie-config-'));
    try {
      const binary = join(directory, 'image');
      writeFileSync(binary, Buffer.concat([Buffer.from([0xff, 0xfe]), randomBytes(1000)]));
      expect(() => readConfigFile(binary)).to.throw(
        `Cannot read configuration "${binary}": it is not UTF-8 text; expected YAML or JSON`,
      );
      expect(() => readConfigFile('/dev/zero')).to.throw(
        'Cannot read configuration "/dev/zero": it is longer than 134217728 bytes',
      );
      expect(() => readConfigFile(directory)).to.throw(`Cannot read configuration "${directory}": EISDIR`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('sees a key that stands twice, wherever it is, and no other', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => !hasRepeatedKey(JSON.stringify(value))));
    for (const text of [
      '{"a":1,"a":2}',
      '{"x":[{"a":{"b":[]},"c":",","a":1}]}',
      '{"a":1,"\\u0061":2}',
      '[{"q\\"":1,"q\\"":1}]',
    ])
      expect(hasRepeatedKey(text), text).to.equal(true);
    for (const text of ['{"a":{"a":{"a":"a"}}}', '[{"a":1},{"a":1}]', '{"a":"b","b":["a","a"],"c":"{,\\"a\\""}'])
      expect(hasRepeatedKey(text), text).to.equal(false);
  });
});
