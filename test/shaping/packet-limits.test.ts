import { expect } from 'chai';
import { PACKET_ANNOTATIONS, packetLimitsOf } from '../../src/shaping/packet-limits.js';

const QOS = 'qos.projectcalico.org/';

describe('packet and connection annotations', () => {
  it("are Calico's", () => {
    for (const [annotations, limits] of [
      [{}, {}],
      [{ [`${QOS}ingressPacketRate`]: '200' }, { ingress: { packets: { perSecond: 200, burst: 5 } } }],
      [
        { [`${QOS}egressPacketRate`]: '2k', [`${QOS}egressPacketBurst`]: '100' },
        { egress: { packets: { perSecond: 2000, burst: 100 } } },
      ],
      [
        { [`${QOS}ingressMaxConnections`]: '7', [`${QOS}egressMaxConnections`]: '1M' },
        { ingress: { connections: 7 }, egress: { connections: 1_000_000 } },
      ],
    ] as const)
      expect(packetLimitsOf(annotations), JSON.stringify(annotations)).to.deep.equal({ limits, problems: [] });
    expect(PACKET_ANNOTATIONS).to.have.length(6);
  });

  it('that are wrong are named, and limit nothing', () => {
    for (const [word, value] of [
      ['ingressPacketRate', '0'],
      ['ingressPacketRate', '10001'],
      ['ingressPacketRate', '1.5'],
      ['egressPacketRate', '-1'],
      ['egressPacketRate', ''],
      ['egressPacketBurst', '5'],
      ['ingressMaxConnections', '0'],
      ['egressMaxConnections', '2M'],
      ['egressMaxConnections', 'many'],
    ] as const) {
      const { limits, problems } = packetLimitsOf({ [`${QOS}${word}`]: value });
      expect(limits, word).to.deep.equal({});
      expect(problems.map(({ annotation }) => annotation)).to.deep.equal([`${QOS}${word}`]);
    }
  });
});
