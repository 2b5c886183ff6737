import { expect } from 'chai';
import { ratesOf } from '../../src/shaping/pod-limits.js';

describe('bandwidth annotations', () => {
  it("are Kubernetes' and Calico's, which win, in quantities of bits", () => {
    for (const [annotations, rates] of [
      [{}, {}],
      [{ 'kubernetes.io/ingress-bandwidth': '10M' }, { ingress: { rate: 1_250_000, burst: 125_000 } }],
      [{ 'kubernetes.io/egress-bandwidth': '1Gi' }, { egress: { rate: 134_217_728, burst: 13_421_772 } }],
      [
        { 'kubernetes.io/egress-bandwidth': '1G', 'qos.projectcalico.org/egressBandwidth': '8e6' },
        { egress: { rate: 1_000_000, burst: 100_000 } },
      ],
      [
        { 'qos.projectcalico.org/ingressBandwidth': '80000k', 'qos.projectcalico.org/ingressBurst': '8M' },
        { ingress: { rate: 10_000_000, burst: 1_000_000 } },
      ],
      [
        { 'kubernetes.io/ingress-bandwidth': '8M', 'qos.projectcalico.org/ingressPeakrate': '16M' },
        { ingress: { rate: 1_000_000, burst: 100_000, peak: { rate: 2_000_000 } } },
      ],
      [
        {
          'qos.projectcalico.org/egressBandwidth': '8M',
          'qos.projectcalico.org/egressPeakrate': '80G',
          'qos.projectcalico.org/egressMinburst': '9000',
        },
        { egress: { rate: 1_000_000, burst: 100_000, peak: { rate: 10_000_000_000, burst: 9_000 } } },
      ],
      [{ 'kubernetes.io/ingress-bandwidth': '8k' }, { ingress: { rate: 1_000, burst: 65_536 } }],
      [{ 'kubernetes.io/ingress-bandwidth': '1P' }, { ingress: { rate: 125e12, burst: 4_294_967_295 } }],
    ] as const)
      expect(ratesOf(annotations), JSON.stringify(annotations)).to.deep.equal({ rates, problems: [] });
  });

  it('that are wrong are named, and limit nothing', () => {
    for (const [annotations, named] of [
      [{ 'kubernetes.io/ingress-bandwidth': '' }, 'kubernetes.io/ingress-bandwidth'],
      [{ 'kubernetes.io/ingress-bandwidth': '10 M' }, 'kubernetes.io/ingress-bandwidth'],
      [{ 'kubernetes.io/ingress-bandwidth': '-1M' }, 'kubernetes.io/ingress-bandwidth'],
      [{ 'kubernetes.io/ingress-bandwidth': '10Mb' }, 'kubernetes.io/ingress-bandwidth'],
      [{ 'kubernetes.io/egress-bandwidth': '999' }, 'kubernetes.io/egress-bandwidth'],
      [{ 'kubernetes.io/egress-bandwidth': '2P' }, 'kubernetes.io/egress-bandwidth'],
      [{ 'qos.projectcalico.org/egressBurst': '8M' }, 'qos.projectcalico.org/egressBurst'],
      [{ 'qos.projectcalico.org/egressPeakrate': '8M' }, 'qos.projectcalico.org/egressPeakrate'],
      [{ 'qos.projectcalico.org/ingressMinburst': '1500' }, 'qos.projectcalico.org/ingressMinburst'],
    ] as const) {
      const { rates, problems } = ratesOf(annotations);
      expect(rates).to.deep.equal({});
      expect(problems.map(({ annotation }) => annotation)).to.deep.equal([named]);
    }
    for (const [given, named] of [
      [{ Peakrate: '10M' }, ['Peakrate']],
      [{ Peakrate: '2P' }, ['Peakrate']],
      [{ Peakrate: 'fast', Minburst: '1500' }, ['Peakrate', 'Minburst']],
      [{ Peakrate: '20M', Minburst: '0' }, ['Minburst']],
      [{ Peakrate: '20M', Minburst: '1G' }, ['Minburst']],
    ] as const) {
      const own = Object.entries(given).map(([word, value]) => [`qos.projectcalico.org/ingress${word}`, value]);
      const { rates, problems } = ratesOf({ 'kubernetes.io/ingress-bandwidth': '10M', ...Object.fromEntries(own) });
      expect(problems.map(({ annotation }) => annotation)).to.deep.equal(
        named.map((word) => `qos.projectcalico.org/ingress${word}`),
      );
      expect(rates.ingress).to.deep.include({ rate: 1_250_000, burst: 125_000 });
      expect(rates.ingress?.peak?.burst).to.equal(undefined);
    }
    const { rates, problems } = ratesOf({
      'kubernetes.io/ingress-bandwidth': '10M',
      'qos.projectcalico.org/ingressBurst': '10',
    });
    expect(rates.ingress?.burst).to.equal(125_000);
    expect(problems.map(({ annotation }) => annotation)).to.deep.equal(['qos.projectcalico.org/ingressBurst']);
  });
});
