/** Who of those heard on a link is the peer. */
import { expect } from 'chai';
import { parseAddress } from 'node-bgp/address';
import { hear, NEIGHBOUR_LIFETIME, type Neighbour, type Verdict } from 'node-bgp/discovery/neighbour';

const [ONE, TWO] = [parseAddress('fe80::1'), parseAddress('fe80::2')];
const at = (heardAt: number): Neighbour => ({ address: ONE, heardAt, rivals: [] });

describe('bgp/discovery neighbour', () => {
  it('is the first that is heard', () =>
    expect(hear(undefined, { now: 5, from: ONE, isUp: false })).to.deep.equal({ type: 'found', neighbour: at(5) }));

  it('stays the same when it is heard again', () => {
    for (const isUp of [true, false])
      expect(hear(at(5), { now: 5 + 10 * NEIGHBOUR_LIFETIME, from: ONE, isUp })).to.deep.equal({
        type: 'known',
        neighbour: at(5 + 10 * NEIGHBOUR_LIFETIME),
      });
  });

  it('is never replaced while its session stands, however long it was silent', () => {
    const verdict = hear(at(0), { now: 100 * NEIGHBOUR_LIFETIME, from: TWO, isUp: true });
    expect(verdict).to.deep.equal({ type: 'rival', isNew: true, neighbour: { ...at(0), rivals: [TWO] } });
    expect(hear(verdict.neighbour, { now: 100 * NEIGHBOUR_LIFETIME, from: TWO, isUp: true })).to.deep.include({
      type: 'rival',
      isNew: false,
    });
  });

  it('is replaced without a session once it has been silent for three intervals, not before', () => {
    expect(hear(at(0), { now: NEIGHBOUR_LIFETIME, from: TWO, isUp: false }).type).to.equal('rival');
    expect(hear(at(0), { now: NEIGHBOUR_LIFETIME + 1, from: TWO, isUp: false })).to.deep.equal({
      type: 'found',
      neighbour: { address: TWO, heardAt: NEIGHBOUR_LIFETIME + 1, rivals: [] },
    });
  });

  it('remembers eight rivals of however many', () => {
    let verdict: Verdict = hear(undefined, { now: 0, from: ONE, isUp: true });
    for (let i = 2; i < 1000; i++)
      verdict = hear(verdict.neighbour, { now: 0, from: parseAddress(`fe80::${i.toString(16)}`), isUp: true });
    expect(verdict).to.deep.include({ type: 'rival', isNew: false });
    expect(verdict.neighbour.rivals).to.have.length(8);
  });
});
