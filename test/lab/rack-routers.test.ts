import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { Narrator } from '../../src/lab/tour/narrator.js';
import { tellNodeTable, tellReachability, tellRouterTable, tellSessions } from '../../src/lab/tour/routing.js';
import { tellBgpdKill, tellLinkCut } from '../../src/lab/tour/survival.js';
import { useRack } from './rack-fixture.js';

/** The same rack with other routers: FRR, and our own bgpd as somebody without Kubernetes runs it. */
for (const tor of ['frr', 'tortie'] as const)
  describe(`lab, a rack whose routers run ${tor}`, function () {
    this.timeout(90_000);
    before(function () {
      if (tor === 'frr' && !existsSync('/usr/lib/frr/bgpd')) this.skip();
    });
    const rack = useRack(tor === 'frr' ? 'r' : 's', { tor });

    it('routes, and survives a cut link and a killed bgpd', async () => {
      let story = '';
      const narrator = new Narrator((text) => (story += text));
      for (const tell of [tellSessions, tellReachability, tellNodeTable, tellRouterTable, tellLinkCut, tellBgpdKill])
        await tell(rack(), narrator);
      expect(narrator.failures, story).to.deep.equal([]);
    });
  });
