import { expect } from 'chai';
import fc from 'fast-check';
import { validateConfig } from 'node-bgp/config/validate';
import { acceptableConfig } from '../../src/bgpd/acceptable-config.js';

describe('bgpd acceptable-config', () => {
  const good = { address: '10.0.0.2', remoteAs: 64513 };
  const base = { localAs: 64512, routerId: '10.0.0.1', peers: [good], originate: [{ prefix: '10.65.0.0/24' }] };

  it('takes a good configuration as it is', () => {
    expect(acceptableConfig(base)).to.deep.equal({ config: base, leftOut: [] });
  });

  const cases: readonly (readonly [string, object, object, readonly RegExp[]])[] = [
    [
      'a peer that cannot be',
      { peers: [{ name: 'odd', address: '10.0.0.3', remoteAs: 'x' }, good] },
      {},
      [/^peers\[0\]\.remoteAs .*peer "odd" is left out$/],
    ],
    [
      'the second of two peers with one address',
      { peers: [good, { ...good, name: 'again' }] },
      {},
      [/peer "again" is left out$/],
    ],
    [
      'a field that is not known, and nothing else of its peer',
      { peers: [{ ...good, quantum: true }] },
      {},
      [/^peers\[0\]\.quantum: .*the field is left out$/],
    ],
    ['a field that is not known at the top', { quantum: {} }, {}, [/^quantum: .*the field is left out$/]],
    ['a prefix that is none', { originate: [{ prefix: '10.65.0.0/24' }, { prefix: 'x' }] }, {}, [/"x" is left out$/]],
    ['a part that has become another', { multipath: 'yes' }, {}, [/"multipath" is left out$/]],
    [
      'peers whose filter is not there',
      { peers: [good, { address: '10.0.0.4', remoteAs: 64514, import: ['gone'] }] },
      {},
      [/peer "10\.0\.0\.4" is left out$/],
    ],
    [
      'a filter that cannot be understood: it rejects everything',
      { filters: { f: { rules: [{ match: { quantum: 1 }, action: 'accept' }] } }, peers: [{ ...good, import: ['f'] }] },
      { filters: { f: { rules: [], default: 'reject' } }, peers: [{ ...good, import: ['f'] }] },
      [/filter "f" rejects everything$/],
    ],
  ];
  for (const [what, more, less, told] of cases)
    it(`leaves out ${what}`, () => {
      const acceptable = acceptableConfig({ ...base, ...more });
      expect(JSON.parse(JSON.stringify(acceptable?.config))).to.deep.equal({ ...base, ...less });
      expect(acceptable?.leftOut).to.have.length(told.length);
      for (const [index, pattern] of told.entries()) expect(acceptable?.leftOut[index]).to.match(pattern);
    });

  for (const nothing of [undefined, null, [], 'text', {}, { ...base, localAs: 0 }, { ...base, routerId: 'x' }])
    it(`can do nothing with ${JSON.stringify(nothing)}`, () => expect(acceptableConfig(nothing)).to.equal(undefined));

  it('never says a password', () => {
    const peers = [{ ...good, password: 'a'.repeat(81) }];
    expect(acceptableConfig({ ...base, peers })?.leftOut.join()).to.not.contain('aaaa');
  });

  it('is a configuration that bgpd takes, whatever there was, and keeps the good peers', () => {
    const odd = fc.oneof(fc.jsonValue(), fc.constant(good), fc.record({ address: fc.string(), remoteAs: fc.nat() }));
    const field = fc.constantFrom(
      'peers',
      'dynamicPeers',
      'originate',
      'filters',
      'listen',
      'bmp',
      'mrt',
      'multipath',
      'x',
    );
    fc.assert(
      fc.property(fc.dictionary(field, fc.oneof(fc.jsonValue(), fc.array(odd, { maxLength: 4 }))), (more) => {
        const acceptable = acceptableConfig({ ...base, ...more, localAs: 64512, routerId: '10.0.0.1' });
        expect(validateConfig(acceptable?.config).type).to.equal('valid');
        if (!Object.hasOwn(more, 'peers')) expect(acceptable?.config.peers).to.deep.equal([good]);
      }),
      { numRuns: 500 },
    );
  });
});
