/** The rehearsal must be of the real thing: sessions that fail would warm up the wrong code. */
import { expect } from 'chai';
import { warmUpSessions } from 'node-bgp/speaker/session-warm-up';

describe('bgp/speaker session-warm-up', () => {
  it('brings every session of every round up', async () => {
    expect(await warmUpSessions()).to.equal(24 * 6);
  });
});
