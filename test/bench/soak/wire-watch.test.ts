import { expect } from 'chai';
import { captureArguments, countPackets, silences } from '../../../bench/soak/wire-watch.js';

const line = (seconds: number, source: string): string =>
  `${seconds.toFixed(6)} IP ${source}.50000 > 10.20.0.9.3784: UDP, length 24`;
const [OURS, PEER] = ['10.20.0.1', '10.20.0.2'];

describe('bench/soak/wire-watch', () => {
  it('finds who was silent, for how long, and until when', () => {
    const capture = [
      'tcpdump: listening on dR',
      line(1000, OURS),
      line(1000.01, PEER),
      line(1000.05, OURS),
      line(1000.1, PEER),
      line(1000.099, OURS),
      line(1000.251, OURS),
      line(1000.2, PEER),
      '7 packets captured',
    ].join('\n');
    expect(silences(capture, OURS)).to.deep.equal([
      { from: 'ours', at: 1000.251 * 1000, milliseconds: 152 },
      { from: 'peer', at: 1000.2 * 1000, milliseconds: 100 },
    ]);
    expect(countPackets(capture, OURS)).to.deep.equal({ ours: 4, peer: 3 });
  });
  it('takes 99 ms for jitter, and the first packet for no silence', () => {
    expect(silences([line(1000, OURS), line(1000.099, OURS), line(1005, PEER)].join('\n'), OURS)).to.deep.equal([]);
  });
  it('finds nothing in an empty or strange capture', () => {
    for (const capture of ['', 'tcpdump: dR: No such device exists', 'IP 10.20.0.1.5 > nonsense']) {
      expect([silences(capture, OURS), countPackets(capture, OURS)]).to.deep.equal([[], { ours: 0, peer: 0 }]);
    }
  });
  it('asks for control packets only, as soon as they come', () => {
    expect(captureArguments('dR').join(' ')).to.equal('tcpdump -i dR -ltt -n -q udp dst port 3784');
  });
});
