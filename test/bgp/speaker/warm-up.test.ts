/** The rehearsal must be of the real thing: routes that a limit or a filter stops would warm up the wrong code. */
import { expect } from 'chai';
import { rehearse } from 'node-bgp/speaker/warm-up';

describe('speaker: rehearsal of routes', () => {
  for (const family of [4, 6] as const)
    it(`carries every IPv${family} prefix to both receivers and to the forwarding table, and takes it back`, async () => {
      const count = 600;
      const { speaker, written, forwarded } = await rehearse(family, count);
      // 20 single ones there and back, the table, its withdrawal, the table again, the lost sender, and the one prefix that stays.
      expect(forwarded).to.equal(2 * 20 + 4 * count + 1);
      expect(
        speaker.summary().peers.map(({ state, families }) => ({ state, ...families[family === 4 ? 'ipv4' : 'ipv6'] })),
      ).to.deep.equal([
        { state: 'Established', received: 1, accepted: 1, stale: 0, advertised: 0 },
        { state: 'Established', received: 0, accepted: 0, stale: 0, advertised: 1 },
        { state: 'Established', received: 0, accepted: 0, stale: 0, advertised: 1 },
      ]);
      // Two receivers, some 20 octets a prefix at least: announced twice and a quarter to the first, twice to the second.
      expect(written).to.be.greaterThan(4 * count * 20);
      await speaker.stop();
    });
});
