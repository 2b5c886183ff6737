/** A speaker with a BMP station (RFC 7854), over real TCP; the station reads by its own lights. */
import { parseConfig, type ParsedConfig } from 'node-bgp/config/validate';
import { expect } from 'chai';
import { Speaker } from 'node-bgp/speaker/speaker';
import { Station } from '../bmp/station.js';

const PORT = 30_000 + (process.pid % 2_000);

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 25));
  expect(holds(), what).to.equal(true);
}

describe('bgp/speaker monitoring', () => {
  it('tells a station of sessions, of what is received, sent and chosen, and of the end', async () => {
    const station = new Station();
    const stationPort = await station.listen();
    const [a, b] = [new Speaker(), new Speaker()];
    const config = (self: number, other: number, more: object): ParsedConfig =>
      parseConfig({
        localAs: 64500 + self,
        routerId: `10.0.0.${self}`,
        listen: [{ address: `127.0.1.${self}`, port: PORT }],
        peers: [
          {
            address: `127.0.1.${other}`,
            port: PORT,
            localAddress: `127.0.1.${self}`,
            remoteAs: 64500 + other,
            multihop: 2,
          },
        ],
        originate: [{ prefix: `10.65.${self}.0/24` }],
        ...more,
      });
    const bmp = [
      {
        address: '127.0.0.1',
        port: stationPort,
        monitor: ['adj-rib-in', 'adj-rib-out', 'loc-rib'],
        statisticsInterval: 0,
      },
    ];
    try {
      await a.configure(config(2, 3, { bmp }));
      await b.configure(config(3, 2, {}));
      await until('a session', () => a.summary().peers[0]?.isEstablished === true);
      await until('peer up', () => station.of('peer-up').some(({ peer }) => peer.includes('127.0.1.3')));
      const told = (part: string): boolean =>
        station
          .of('route-monitoring')
          .some(({ peer, body }) => peer.includes(part) && body.includes(Buffer.from([24, 10, 65, 3])));
      await until('what b sent', () => told('127.0.1.3'));
      expect(a.summary().bmp).to.deep.equal([{ station: `127.0.0.1:${stationPort}`, isUp: true }]);
      await until('what was chosen', () => told('loc-rib'));
      b.originate([{ prefix: '10.65.3.0/24' }, { prefix: '10.65.99.0/24' }]);
      await until('a later change', () =>
        station.of('route-monitoring').some(({ body }) => body.includes(Buffer.from([24, 10, 65, 99]))),
      );
      await b.stop();
      await until('peer down', () => station.of('peer-down').some(({ peer }) => peer.includes('127.0.1.3')));
      // Without the station nothing is told any more, and the session does not care.
      await a.configure(config(2, 3, {}));
      await until('termination', () => station.of('termination').length === 1);
    } finally {
      await Promise.all([a.stop(), b.stop(), station.close()]);
    }
  });
});
