import { expect } from 'chai';
import { parseFailsafePorts } from '../../src/agent/failsafe-ports.js';

describe('agent/failsafe-ports', () => {
  it('reads ports, none, and nothing', () => {
    expect(parseFailsafePorts('tcp:22,udp:68,sctp:9', '--x')).to.deep.equal([
      { protocol: 6, port: 22 },
      { protocol: 17, port: 68 },
      { protocol: 132, port: 9 },
    ]);
    expect(parseFailsafePorts('none', '--x')).to.deep.equal([]);
    expect(parseFailsafePorts(undefined, '--x')).to.equal(undefined);
  });
  for (const bad of ['', 'tcp', 'tcp:0', 'tcp:65536', 'icmp:1', '22', 'tcp:22,', 'tcp:22 '])
    it(`refuses "${bad}"`, () =>
      expect(() => parseFailsafePorts(bad, '--failsafe-inbound')).to.throw(/--failsafe-inbound/));
});
