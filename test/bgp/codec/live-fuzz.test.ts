import { expect } from 'chai';
import { attack } from './live-fuzzer.js';

describe('bgp: a live speaker under attack', function () {
  this.timeout(120_000);
  // The long run is `node --expose-gc dist/bench/fuzz-session.js --connections 5000`.
  it('ends 150 attacks without the honest neighbour noticing', async () => {
    const report = await attack(150, 1);
    expect([report.honestDowns, report.honestPrefixes]).to.deep.equal([0, 50]);
    expect(report.established, 'attacks that got to Established').to.be.above(60);
    expect(report.messages).to.be.above(1_000);
    expect(report.notifications.size, 'different NOTIFICATIONs').to.be.above(3);
  });
});
