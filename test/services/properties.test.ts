/** The engine on random clusters: its rules do what its model says, and do not depend on how it came to know. */
import { expect } from 'chai';
import fc from 'fast-check';
import { ServicesEngine, type ServiceEvent, type Verdict } from '@tortie/services';
import { arbitraryOptions, arbitraryWorld, connections, NODE } from './world.js';
import { programOf, walk, type Outcomes } from './walk.js';
import { renderIptables } from '@tortie/policy/render/iptables';
import { renderNftables } from '@tortie/policy/render/nftables';
import { parseIptables } from './iptables-text.js';
import { parseNft } from './nft-text.js';
import { applyDelta, emptyRuleset, plain } from './ruleset-state.js';

/** What a verdict looks like from outside. */
function outcomesOf(verdict: Verdict): Outcomes {
  if (verdict.type === 'none') return new Map([['none', 1]]);
  if (verdict.type === 'refused') return new Map([[verdict.by === 'source-range' ? 'drop' : verdict.by, 1]]);
  const { choices } = verdict;
  return new Map(
    choices.map(({ endpoint, masquerade }) => [
      `${endpoint.address},${endpoint.port}${masquerade ? ' masqueraded' : ''}`,
      1 / choices.length,
    ]),
  );
}

function engineOf(options: ConstructorParameters<typeof ServicesEngine>[0], events: readonly ServiceEvent[]) {
  const engine = new ServicesEngine(options);
  for (const event of events) engine.apply(event);
  return engine;
}

const rounded = (outcomes: Outcomes): object =>
  Object.fromEntries([...outcomes].map(([outcome, share]) => [outcome, share.toFixed(6)]).sort());

/** Text is slow to walk: one connection in so many. */
const SAMPLE = 7;

describe('services engine, random clusters', () => {
  it('the compiled rules do what the model says', function () {
    this.timeout(120_000);
    fc.assert(
      fc.property(arbitraryOptions, arbitraryWorld, (options, events) => {
        const engine = engineOf(options, events);
        const ruleset = engine.ruleset();
        const programs = { 4: programOf(ruleset, 4), 6: programOf(ruleset, 6) };
        for (const packet of connections()) {
          const verdict = engine.verdict(packet);
          expect(rounded(walk(programs[packet.family], packet)), JSON.stringify(packet)).to.deep.equal(
            rounded(outcomesOf(verdict)),
          );
        }
      }),
      { numRuns: 25 },
    );
  });

  it('iptables and nft text do what the model says', function () {
    this.timeout(120_000);
    fc.assert(
      fc.property(arbitraryOptions, arbitraryWorld, fc.nat(SAMPLE - 1), (options, events, offset) => {
        const engine = engineOf(options, events);
        const ruleset = engine.ruleset();
        const nft = renderNftables(ruleset);
        const programs = ([4, 6] as const).map((family) => ({
          iptables: parseIptables(renderIptables(ruleset, family), ruleset.sets, family),
          nft: parseNft(nft, family),
        }));
        let index = offset;
        for (const packet of connections()) {
          if (index++ % SAMPLE !== 0) continue;
          const { iptables, nft: table } = programs[packet.family === 4 ? 0 : 1] as (typeof programs)[number];
          const wanted = rounded(outcomesOf(engine.verdict(packet)));
          expect(rounded(walk(iptables, packet)), `iptables ${JSON.stringify(packet)}`).to.deep.equal(wanted);
          expect(rounded(walk(table, packet)), `nft ${JSON.stringify(packet)}`).to.deep.equal(wanted);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('any order of events, with repetitions and detours, ends in the same rules', function () {
    this.timeout(120_000);
    fc.assert(
      fc.property(
        arbitraryOptions,
        arbitraryWorld,
        arbitraryWorld,
        fc.infiniteStream(fc.nat(1_000)),
        (options, before, events, random) => {
          const wanted = plain(engineOf(options, events).ruleset());
          const engine = new ServicesEngine(options);
          const held = emptyRuleset();
          const next = (): number => random.next().value ?? 0;
          for (const event of before) {
            engine.apply(event);
            if (next() % 2 === 0) applyDelta(held, engine.flush());
          }
          for (const event of before) {
            if (event.type !== 'upsert') continue;
            const { namespace, name = '' } = event.object.metadata ?? {};
            engine.apply({ type: 'delete', kind: event.kind, namespace, name });
            if (next() % 3 === 0) applyDelta(held, engine.flush());
          }
          const shuffled = [...events, ...events].sort(() => (next() % 2) - 0.5);
          // What comes last for an object counts; each comes as it is in the end.
          for (const event of shuffled) {
            engine.apply(event);
            if (next() % 3 === 0) applyDelta(held, engine.flush());
          }
          applyDelta(held, engine.flush());
          expect(plain(engine.ruleset())).to.deep.equal(wanted);
          expect(plain(held)).to.deep.equal(wanted);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('nothing happens without news', () => {
    fc.assert(
      fc.property(arbitraryOptions, arbitraryWorld, (options, events) => {
        const engine = engineOf(options, events);
        engine.flush();
        for (const event of events) engine.apply(event);
        const { hooks, ...lists } = engine.flush();
        expect(hooks).to.equal(undefined);
        expect(Object.values(lists).flat()).to.deep.equal([]);
      }),
      { numRuns: 30 },
    );
    expect(NODE).to.equal('n1');
  });
});
