/** RFC 9234 between speakers: roles that fit or do not, and OTC against route leaks, over three AS. */
import { expect } from 'chai';
import type { RoleName } from 'node-bgp/config';
import { chain, World } from './world.js';

const PREFIX = '10.65.0.0/24';
const ORIGIN = { self: { originate: [{ prefix: PREFIX }] } };
const [first, second] = ['10.0.0.1', '10.0.0.2'] as const;

describe('bgp/speaker roles (9234)', () => {
  const fits: readonly (readonly [RoleName, RoleName])[] = [
    ['provider', 'customer'],
    ['customer', 'provider'],
    ['peer', 'peer'],
    ['route-server', 'route-server-client'],
  ];
  for (const [ours, theirs] of fits)
    it(`${ours} and ${theirs} come up (4.2)`, async () => {
      const [a] = await chain(new World(), [
        { after: { role: ours, roleStrict: true } },
        { before: { role: theirs, roleStrict: true } },
      ]);
      expect(a?.state(second)).to.equal('Established');
    });

  it('roles that do not fit end the session with Role Mismatch, in words on both ends (4.2)', async () => {
    const [a, b] = await chain(new World(), [
      { after: { role: 'provider' } },
      { before: { role: 'provider', passive: true } },
    ]);
    expect(a?.state(second)).to.not.equal('Established');
    // Whoever sees the OPEN first refuses it; the other end hears so.
    const words = [a?.speaker.neighbor(second), b?.speaker.neighbor(first)].map((peer) => [
      peer?.errors.sent?.text,
      peer?.errors.received?.text,
    ]);
    expect(words.flat().filter((text) => text?.includes('its role is provider; expected customer beside our provider')))
      .to.not.be.empty;
    expect(
      words.every(([sent, received]) => sent !== undefined || received?.includes('Role Mismatch') === true),
      JSON.stringify(words),
    ).to.equal(true);
  });

  it('a peer without a role is taken, but not in strict mode (4.2)', async () => {
    const [a] = await chain(new World(), [{ after: { role: 'provider' } }, {}]);
    expect(a?.state(second)).to.equal('Established');
    const [c] = await chain(new World(), [
      { after: { role: 'provider', roleStrict: true } },
      { before: { passive: true } },
    ]);
    expect(c?.state(second)).to.not.equal('Established');
    expect(c?.speaker.neighbor(second)?.errors.sent?.text).to.contain('it announces no role; expected customer');
  });

  it('what came from a provider is marked with its AS and goes to no other provider or peer (5, ingress 3, egress 2)', async () => {
    for (const role of ['customer', 'peer', 'route-server-client'] as const) {
      const [, b, c] = await chain(new World(), [ORIGIN, { before: { role: 'customer' }, after: { role } }, {}]);
      expect(b?.best(PREFIX)?.attributes.otc).to.equal(64513);
      expect(c?.state(second)).to.equal('Established');
      expect(c?.prefixes(), `to a neighbour to whom we are ${role}`).to.deep.equal([]);
    }
  });

  it('what came from a provider goes to a customer, with the mark as it came (5)', async () => {
    const [, , c] = await chain(new World(), [
      ORIGIN,
      { before: { role: 'customer' }, after: { role: 'provider' } },
      {},
    ]);
    expect(c?.best(PREFIX)?.attributes.otc).to.equal(64513);
  });

  it('we mark what we tell a customer, a peer and a client of our route server, and nobody else (5, egress 1)', async () => {
    const marked: readonly (readonly [RoleName, number | undefined])[] = [
      ['provider', 64513],
      ['peer', 64513],
      ['route-server', 64513],
      ['customer', undefined],
      ['route-server-client', undefined],
    ];
    for (const [role, otc] of marked) {
      const [, b] = await chain(new World(), [{ ...ORIGIN, after: { role } }, {}]);
      expect(b?.best(PREFIX)?.attributes.otc, role).to.equal(otc);
    }
  });

  it('a leak through an AS that knows no roles is seen by the next one (5, ingress 1)', async () => {
    // B is a customer of A and of C and hands C what A has told it.
    const [, b, c] = await chain(new World(), [
      { ...ORIGIN, after: { role: 'provider' } },
      {},
      { before: { role: 'provider' } },
    ]);
    expect(b?.best(PREFIX)?.attributes.otc).to.equal(64513);
    expect([c?.prefixes(), c?.paths(PREFIX).map(({ unusable }) => unusable)]).to.deep.equal([[], ['otc-leak']]);
  });

  it('from a peer only its own mark is believed (5, ingress 2)', async () => {
    const [, , c] = await chain(new World(), [
      { ...ORIGIN, after: { role: 'provider' } },
      {},
      { before: { role: 'peer' } },
    ]);
    expect(c?.paths(PREFIX).map(({ unusable }) => unusable)).to.deep.equal(['otc-leak']);
    const [, e] = await chain(new World(), [{ ...ORIGIN, after: { role: 'peer' } }, { before: { role: 'peer' } }]);
    expect(e?.best(PREFIX)?.attributes.otc).to.equal(64513);
  });
});
