/** sessionAffinity ClientIP with packets: a client keeps its endpoint, by whatever address it comes, until it has been silent so long. */
import { expect } from 'chai';
import type { Ruleset } from '@tortie/policy/ruleset';
import { changeBetween } from '@tortie/policy/ruleset-change';
import { ServicesEngine } from '@tortie/services';
import { createNetfilter } from '../../src/dataplane/netfilter/netfilter.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { ScratchNamespaces } from '../dataplane/scratch-namespaces.js';
import { ask } from './answers.js';
import { buildRack, type Rack } from './rack.js';
import { destinationOf, eventsOf, NODE_PORT, type From, type Row, type RowEndpoint, type To } from './rows.js';

const namespaces = new ScratchNamespaces('taf');
/** Without affinity two endpoints look like one in so many connections once in 4,000 million. */
const MANY = 32;
const SHORT_SECONDS = 1;

const row = (timeoutSeconds: number, ...places: readonly RowEndpoint['at'][]): Row => ({
  title: 'affinity',
  spec: { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds } } },
  endpoints: places.map((at) => ({ at })),
  probes: [],
});

describe('services: session affinity, with packets', function () {
  this.timeout(120_000);
  let rack: Rack;
  before(async () => {
    rack = await buildRack(namespaces);
  });
  after(() => {
    rack?.close();
    namespaces.removeAll();
  });

  for (const backend of ['nftables', 'nft', 'legacy'] as const)
    for (const family of [4, 6] as const)
      it(`on ${backend}, IPv${family}`, async () => {
        const netfilter = await createNetfilter({
          families: [4, 6],
          backend,
          within: (work) => inNamespace(rack.node, work),
          patrolInterval: 0,
        });
        let held: Ruleset = { sets: new Map(), chains: new Map(), maps: new Map(), hooks: [] };
        await netfilter.sync(held, 'services');
        const serve = async (world: Row): Promise<void> => {
          const engine = new ServicesEngine({ nodeName: 'n1' });
          for (const event of eventsOf(world, family)) engine.apply(event);
          const now = engine.ruleset();
          expect((await netfilter.apply(changeBetween(held, now), 'services')).failures).to.deep.equal([]);
          held = now;
        };
        /** Which endpoint answers. */
        const reach = async (from: From, to: To): Promise<string> => {
          const port = to === 'node-port' ? NODE_PORT : 80;
          const said = await ask(rack, family, from, destinationOf(family, to), port, new Set());
          expect(said).to.match(/^[LR][12] /);
          return said.slice(0, 2);
        };
        try {
          await serve(row(3_600, 'L1', 'L2', 'R1', 'R2'));
          for (const from of ['pod', 'outside', 'node'] as const) {
            const first = await reach(from, 'cluster-ip');
            for (let times = 0; times < MANY; times++) expect(await reach(from, 'cluster-ip'), from).to.equal(first);
            for (const to of ['external-ip', 'load-balancer', 'node-port'] as const)
              expect(await reach(from, to), `${from} by ${to}`).to.equal(first);
          }

          // An endpoint that comes takes nobody away; one that goes is left at once.
          const kept = await reach('pod', 'cluster-ip');
          const rest = (['L1', 'L2', 'R1', 'R2'] as const).filter((place) => place !== kept);
          await serve(row(3_600, ...rest));
          const next = await reach('pod', 'cluster-ip');
          expect(rest).to.include(next);
          await serve(row(3_600, 'L1', 'L2', 'R1', 'R2'));
          for (let times = 0; times < MANY; times++) expect(rest).to.include(await reach('pod', 'cluster-ip'));

          await serve(row(SHORT_SECONDS, 'R1', 'R2'));
          const seen = new Set<string>();
          for (let times = 0; times < MANY && seen.size < 2; times++) {
            seen.add(await reach('pod', 'cluster-ip'));
            await new Promise((resolve) => setTimeout(resolve, SHORT_SECONDS * 1_000 + 200));
          }
          expect([...seen].sort(), 'after silence').to.deep.equal(['R1', 'R2']);
        } finally {
          await netfilter.sync({ sets: new Map(), chains: new Map(), maps: new Map(), hooks: [] }, 'services');
          await netfilter.stop();
        }
      });
});
