/** The rows of rows.ts with packets: each backend, both families. Needs root. */
import { expect } from 'chai';
import { ServicesEngine } from '@tortie/services';
import { createNetfilter, type Netfilter } from '../../src/dataplane/netfilter/netfilter.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { ScratchNamespaces } from '../dataplane/scratch-namespaces.js';
import { buildRack, type Rack } from './rack.js';
import { destinationOf, eventsOf, NET, NODE_PORT, ROWS, sourceOf, type Row } from './rows.js';

const namespaces = new ScratchNamespaces('tsv');

/** For an answer that must come; for one that must not. */
const PATIENT = 5_000;
const IMPATIENT = 300;
/** Of three endpoints one is missed in so many connections once in 20 million runs. */
const MOST_TRIES = 40;

/** "L1 R1 masq" as servers say it: "L1 192.0.2.1", "R1 192.0.2.1". */
function expectedAnswers(family: 4 | 6, from: Row['probes'][number][0], outcome: string): ReadonlySet<string> {
  if (!/^[LR]\d/.test(outcome)) return new Set([outcome]);
  const words = outcome.split(' ');
  const isMasqueraded = words[words.length - 1] === 'masq';
  const places = isMasqueraded ? words.slice(0, -1) : words;
  const source = sourceOf(family, from);
  // To a pod's link a node has no address but the gateway's; in IPv6 the kernel takes one of global scope.
  const isNode = isMasqueraded || from === 'node';
  return new Set(places.map((place) => `${place} ${isNode ? 'node' : source}`));
}

describe("services: kube-proxy's rules, with packets", function () {
  this.timeout(60_000);
  let rack: Rack;
  let netfilter: Netfilter | undefined;
  before(async () => {
    rack = await buildRack(namespaces);
  });
  after(async () => {
    await netfilter?.stop();
    rack?.close();
    namespaces.removeAll();
  });

  const answer = async (family: 4 | 6, from: Row['probes'][number][0], to: string, port: number, patience: number) => {
    const said = await rack.connect(family, from, to, port, patience);
    const [place, source = ''] = said.split(' ');
    const nodeSources = [NET[family].node, '169.254.1.1'];
    const isNode = nodeSources.includes(source) || source.startsWith('fe80:');
    return source === '' ? said : `${place} ${isNode ? 'node' : source}`;
  };

  for (const backend of ['nftables', 'nft', 'legacy'] as const)
    describe(backend, () => {
      before(async () => {
        netfilter = await createNetfilter({
          families: [4, 6],
          backend,
          within: (work) => inNamespace(rack.node, work),
          patrolInterval: 0,
        });
      });
      after(async () => {
        await netfilter?.sync({ sets: new Map(), chains: new Map(), maps: new Map(), hooks: [] }, 'services');
        await netfilter?.stop();
        netfilter = undefined;
      });
      for (const row of ROWS)
        for (const family of [4, 6] as const)
          it(`${row.title} (IPv${family})`, async () => {
            const engine = new ServicesEngine({ nodeName: 'n1', ...row.options });
            for (const event of eventsOf(row, family)) engine.apply(event);
            const result = await netfilter?.sync(engine.ruleset(), 'services');
            expect(result?.failures).to.deep.equal([]);
            await Promise.all(
              row.probes.map(async ([from, to, outcome]) => {
                // Nobody answers there, in more ways than one.
                if (outcome === 'none') return;
                const expected = expectedAnswers(family, from, outcome);
                const port = to === 'node-port' ? NODE_PORT : 80;
                const seen = new Set<string>();
                for (let tries = 0; tries < MOST_TRIES && seen.size < expected.size; tries++) {
                  const patience = outcome === 'drop' ? IMPATIENT : PATIENT;
                  seen.add(await answer(family, from, destinationOf(family, to), port, patience));
                  if (![...seen].every((one) => expected.has(one))) break;
                }
                expect([...seen].sort(), `${from} to ${to}`).to.deep.equal([...expected].sort());
              }),
            );
          });
    });
});
