import { expect } from 'chai';
import type { BgpLoopStatus } from '../../src/agent/bgp-loop.js';
import { BgpReporter } from '../../src/agent/bgp-status.js';

describe('agent/bgp-status', () => {
  it('has news whenever NodeStatus was told something else, whatever was seen before', () => {
    const well: BgpLoopStatus = { problems: [], stateProblem: undefined, summary: undefined };
    const unseen: BgpLoopStatus = {
      ...well,
      stateProblem: 'bgpd has taken its sessions; how they are has not been seen yet',
    };
    let status = well;
    const reporter = new BgpReporter(() => status);
    expect(reporter.hasNews(), 'nothing was told yet').to.equal(true);
    reporter.report();
    expect(reporter.hasNews()).to.equal(false);
    // bgpd was told; before it is looked at, a change of a pool has NodeStatus written.
    status = unseen;
    expect(reporter.report().aspect.problems).to.deep.equal([unseen.stateProblem]);
    status = well;
    expect(reporter.hasNews(), 'NodeStatus says the old thing').to.equal(true);
    expect(reporter.hasNews(), 'looking is not telling').to.equal(true);
    reporter.report();
    expect(reporter.hasNews()).to.equal(false);
  });
});
