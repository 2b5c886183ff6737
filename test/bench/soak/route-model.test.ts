import { expect } from 'chai';
import { parseAttributes } from 'node-bgp/codec/parse';
import {
  attributesOf,
  bestOf,
  nextHopOf,
  prefixOf,
  prefixText,
  randomNumbers,
  type ChurnPeer,
} from '../../../bench/soak/route-model.js';

const peer = (name: string, as: number, pathLength: number): ChurnPeer => ({
  name,
  as,
  pathLength,
  localAddress: '10.10.0.2',
  localAddress6: 'fd10::2',
  flaps: 'never',
});

describe('bench/soak/route-model', () => {
  it('gives every index a prefix of its own, in both families, inside the pools that bgpd accepts', () => {
    const texts = Array.from({ length: 100_000 }, (_, index) => prefixText(index));
    expect(new Set(texts).size).to.equal(100_000);
    expect(texts.slice(0, 4)).to.deep.equal(['20.0.0.0/24', '2001:db8::/48', '20.0.1.0/24', '2001:db8:1::/48']);
    expect(
      texts.every((text, index) =>
        (index % 2 === 0 ? /^20\.\d+\.\d+\.0\/24$/ : /^2001:db8:[0-9a-f:]*\/48$/).test(text),
      ),
    ).to.equal(true);
    expect(prefixOf(7).family).to.equal(6);
  });

  it('announces with a path of the peer’s length and a serial number', () => {
    expect(parseAttributes(attributesOf(peer('a', 65101, 3), 77))).to.deep.include({
      med: 77,
      asPath: [{ type: 'sequence', members: [65101, 4_200_000_001, 4_200_000_002] }],
    });
    expect([nextHopOf(peer('a', 1, 1), 0).length, nextHopOf(peer('a', 1, 1), 1).length]).to.deep.equal([4, 16]);
  });

  it('chooses the shortest path, whatever the order, and nothing where nothing is announced', () => {
    const [short, middle, long] = [peer('short', 1, 1), peer('middle', 2, 2), peer('long', 3, 3)];
    const tables = { long: { a: 1, b: 2, c: 3 }, short: { a: 9 }, middle: { a: 5, b: 6 } };
    for (const peers of [
      [short, middle, long],
      [long, middle, short],
      [middle, long, short],
    ]) {
      expect([...bestOf(peers, tables)].map(([prefix, { name }]) => [prefix, name]).sort()).to.deep.equal([
        ['a', 'short'],
        ['b', 'middle'],
        ['c', 'long'],
      ]);
    }
    expect(bestOf([short], {}).size).to.equal(0);
  });

  it('draws numbers that the seed decides, evenly', () => {
    const draw = (seed: number): number[] => {
      const random = randomNumbers(seed);
      return Array.from({ length: 10_000 }, random);
    };
    expect(draw(1)).to.deep.equal(draw(1));
    expect(draw(1)).to.not.deep.equal(draw(2));
    expect(draw(1).every((value) => value >= 0 && value < 1)).to.equal(true);
    const tenths = draw(3).reduce<number[]>((counts, value) => {
      counts[Math.floor(value * 10)] = (counts[Math.floor(value * 10)] ?? 0) + 1;
      return counts;
    }, []);
    expect(tenths.every((count) => count > 850 && count < 1150)).to.equal(true);
  });
});
