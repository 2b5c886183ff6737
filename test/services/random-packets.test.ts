/**
 * Random worlds in the kernel: what packets find is what the model says, world after world by deltas, on each backend, in both
 * families. Needs root. What text says is in properties.test.ts.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { ServicesEngine, type ServiceEvent, type Verdict } from '@tortie/services';
import { createNetfilter, type Netfilter } from '../../src/dataplane/netfilter/netfilter.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { ScratchNamespaces } from '../dataplane/scratch-namespaces.js';
import { answerOf, ask } from './answers.js';
import { buildRack, type Rack } from './rack.js';
import { addressOf, destinationOf, eventsOf, NODE_PORT, sourceOf, type From, type Place, type Row } from './rows.js';

const namespaces = new ScratchNamespaces('trp');
const PLACES = ['L1', 'L2', 'R1', 'R2'] as const;
const SOURCES = ['L1', 'pod', 'node', 'outside', 'other outside'] as const;
const DESTINATIONS = ['cluster-ip', 'external-ip', 'load-balancer', 'node-port'] as const;
/** Each must be one of the model's choices; that all of them come is asked in packets.test.ts. */
const TRIES = 3;
const WORLDS = 5;

const condition = fc.constantFrom(undefined, true, true, false);
const policy = fc.constantFrom('Cluster', 'Local');
const arbitraryRow: fc.Arbitrary<Row> = fc.record({
  title: fc.constant('a random world'),
  probes: fc.constant([]),
  spec: fc.record({
    externalTrafficPolicy: policy,
    internalTrafficPolicy: policy,
    sessionAffinity: fc.constantFrom('None', 'None', 'ClientIP'),
    loadBalancerSourceRanges: fc.constantFrom([], ['$RANGE'], ['$NODERANGE']),
  }),
  knowsPods: fc.boolean(),
  zone: fc.constantFrom('a', 'b'),
  endpoints: fc.subarray([...PLACES]).chain((places) =>
    fc.tuple(
      ...places.map((at) =>
        fc.record({
          at: fc.constant<Place>(at),
          ready: condition,
          serving: condition,
          terminating: fc.constantFrom(undefined, false, true),
          zones: fc.constantFrom(undefined, ['a'], ['b']),
        }),
      ),
    ),
  ),
});

/** What servers say of a verdict; undefined: nobody answers there, in more ways than one. */
function answersOf(verdict: Verdict, family: 4 | 6, from: From): ReadonlySet<string> | undefined {
  if (verdict.type === 'none') return undefined;
  if (verdict.type === 'refused') return new Set([verdict.by === 'source-range' ? 'drop' : verdict.by]);
  return new Set(
    verdict.choices.map(({ endpoint, masquerade }) => {
      const place = PLACES.find((one) => addressOf(family, one) === endpoint.address);
      if (place === undefined) throw new Error(`No place has ${endpoint.address}`);
      return answerOf(family, from, place, masquerade);
    }),
  );
}

/** Objects of the world before that this one has not. */
const departures = (before: readonly ServiceEvent[], after: readonly ServiceEvent[]): readonly ServiceEvent[] => {
  const nameOf = (event: ServiceEvent): string =>
    event.type === 'upsert' ? `${event.kind} ${event.object.metadata?.name ?? ''}` : '';
  const names = new Set(after.map(nameOf));
  return before.flatMap((event): readonly ServiceEvent[] => {
    if (event.type !== 'upsert' || names.has(nameOf(event))) return [];
    const { namespace = '', name = '' } = event.object.metadata ?? {};
    return [{ type: 'delete', kind: event.kind, namespace, name }];
  });
};

describe('services: random worlds, with packets', function () {
  this.timeout(120_000);
  let rack: Rack;
  before(async () => {
    rack = await buildRack(namespaces);
  });
  after(() => {
    rack?.close();
    namespaces.removeAll();
  });

  const open = (backend: 'nftables' | 'nft' | 'legacy'): Promise<Netfilter> =>
    createNetfilter({
      families: [4, 6],
      backend,
      within: (work) => inNamespace(rack.node, work),
      patrolInterval: 0,
    });

  const probe = (engine: ServicesEngine, family: 4 | 6): Promise<unknown> =>
    Promise.all(
      SOURCES.flatMap((from) =>
        DESTINATIONS.map(async (to) => {
          const [source, destination] = [sourceOf(family, from), destinationOf(family, to)];
          const port = to === 'node-port' ? NODE_PORT : 80;
          const ends = { isFromNode: from === 'node', isToNode: to === 'node-port' };
          const verdict = engine.verdict({ source, destination, protocol: 'tcp', port, ...ends });
          const expected = answersOf(verdict, family, from);
          if (expected === undefined) return;
          for (let tries = 0; tries < TRIES; tries++)
            expect([...expected], `${from} to ${to}, IPv${family}`).to.include(
              await ask(rack, family, from, destination, port, expected),
            );
        }),
      ),
    );

  for (const backend of ['nftables', 'nft', 'legacy'] as const)
    it(`${backend} does what the model says, and a clean start finds nothing to write`, async () => {
      const netfilter = await open(backend);
      let successor: Netfilter | undefined;
      try {
        const engine = new ServicesEngine({ nodeName: 'n1' });
        engine.flush();
        await netfilter.sync(engine.ruleset(), 'services');
        let before: readonly ServiceEvent[] = [];
        await fc.assert(
          fc.asyncProperty(arbitraryRow, fc.constantFrom<4 | 6>(4, 6), async (row, family) => {
            const events = eventsOf(row, family);
            for (const event of [...departures(before, events), ...events]) engine.apply(event);
            before = events;
            const { failures } = await netfilter.apply(engine.flush(), 'services');
            expect(failures).to.deep.equal([]);
            await probe(engine, family);
          }),
          { numRuns: WORLDS, endOnFailure: true },
        );
        await netfilter.stop();
        successor = await open(backend);
        await successor.sync(engine.ruleset(), 'services');
        expect(successor.status().counters.chainsWritten).to.equal(0);
        await successor.sync({ sets: new Map(), chains: new Map(), maps: new Map(), hooks: [] }, 'services');
      } finally {
        await netfilter.stop();
        await successor?.stop();
      }
    });
});
