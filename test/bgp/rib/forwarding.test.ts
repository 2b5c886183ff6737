import { expect } from 'chai';
import { parsePrefix } from 'node-bgp/address';
import type { AttributeSets } from 'node-bgp/rib/attribute-sets';
import type { Decision } from 'node-bgp/rib/decision';
import { FamilyTable } from 'node-bgp/rib/family-table';
import { Forwarding } from 'node-bgp/rib/forwarding';
import type { ForwardingEntry, ForwardingSink } from 'node-bgp/rib/index';
import type { NextHops } from 'node-bgp/rib/next-hops';
import { reach, ribPeer, RibWorld, sequence } from './rib-world.js';

const PATH = { asPath: sequence(65001) };

function world(): RibWorld {
  const made = new RibWorld();
  made.connect([{ prefix: parsePrefix('10.1.0.0/24'), interfaceName: 'eth1' }]);
  made.up(ribPeer('a', { role: 'ebgp', at: '10.1.0.1' }));
  return made;
}

/** What the next calls hand out. */
function drain(made: RibWorld, limit = 1000): (readonly [number, ForwardingEntry | undefined])[] {
  const changes: (readonly [number, ForwardingEntry | undefined])[] = [];
  const sink: ForwardingSink = (_family, words, offset, _length, entry) =>
    void changes.push([words[offset] as number, entry]);
  while (made.rib.run());
  while (made.rib.takeForwarding(sink, limit));
  return changes;
}

describe('Forwarding', () => {
  it('hands out each change once, with one entry object for equal next hops', () => {
    const made = world();
    for (let i = 0; i < 100; i++) made.announce('a', reach(`20.0.${i}.0/24`, '10.1.0.1', { ...PATH, med: i }));
    const changes = drain(made, 7);
    expect(changes.length).to.equal(100);
    expect(new Set(changes.map(([, entry]) => entry)).size).to.equal(1);
    expect(changes[0]?.[1]?.hops).to.deep.equal([
      { address: { family: 4, value: 0x0a010001n }, interfaceName: 'eth1', weight: 1 },
    ]);
    expect(drain(made)).to.deep.equal([]);
  });

  it('says nothing when attributes change but not the way', () => {
    const made = world();
    made.announce('a', reach('20.0.0.0/24', '10.1.0.1', PATH));
    drain(made);
    made.announce('a', reach('20.0.0.0/24', '10.1.0.1', { ...PATH, med: 5 }));
    expect(drain(made)).to.deep.equal([]);
  });

  it('takes out what is gone, and nothing that came and went unseen', () => {
    const made = world();
    made.announce('a', reach('20.0.0.0/24', '10.1.0.1', PATH));
    drain(made);
    made.withdraw('a', '20.0.0.0/24');
    made.announce('a', reach('20.0.1.0/24', '10.1.0.1', PATH));
    made.withdraw('a', '20.0.1.0/24');
    expect(drain(made).map(([word, entry]) => [word, entry])).to.deep.equal([[0x14000000, undefined]]);
  });

  it('holds neither log nor prefixes for a consumer that never comes, and tells it all when it does', () => {
    const table = new FamilyTable(4, 8);
    const made = new RibWorld({ patience: 8 });
    made.connect([{ prefix: parsePrefix('10.1.0.0/24'), interfaceName: 'eth1' }]);
    made.up(ribPeer('a', { role: 'ebgp', at: '10.1.0.1' }));
    for (let round = 0; round < 50; round++) {
      made.announce('a', reach(`20.0.${round}.0/24`, '10.1.0.1', PATH));
      while (made.rib.run());
      if (round < 49) made.withdraw('a', `20.0.${round}.0/24`);
      while (made.rib.run());
    }
    expect(drain(made).map(([word]) => word)).to.deep.equal([0x14003100]);
    const { sets, nextHops, decision } = {} as { sets: AttributeSets; nextHops: NextHops; decision: Decision };
    const forwarding = new Forwarding(table, sets, nextHops, decision);
    for (let word = 0; word < 1000; word++) {
      table.log.append(table.intern(Uint32Array.of(word), 0, 32));
      forwarding.loseLongLog();
      table.trimLog(100);
    }
    // Numbers of prefixes that are gone and forgotten are given out again.
    expect(table.prefixes.end).to.be.lessThan(20);
    expect(table.log.length).to.be.lessThan(20);
  });

  it('hands out everything again on replay', () => {
    const made = world();
    for (let i = 0; i < 10; i++) made.announce('a', reach(`20.0.${i}.0/24`, '10.1.0.1', PATH));
    drain(made);
    made.rib.replayForwarding();
    expect(drain(made, 3).length).to.equal(10);
    expect(drain(made)).to.deep.equal([]);
  });

  it('carries the kernel metric that import policy asks for', () => {
    const made = new RibWorld();
    const importPolicy = {
      key: 'metric',
      dependsOnPrefix: false,
      dependsOnPeer: false,
      judge: () => ({ type: 'accept' as const, metric: 50 }),
    };
    made.up(ribPeer('a', { role: 'ebgp', at: '10.1.0.1', importPolicy }));
    made.announce('a', reach('20.0.0.0/24', '10.1.0.1', PATH));
    expect(drain(made)[0]?.[1]?.metric).to.equal(50);
  });

  it('calls once when there is something, and again only after it was found empty', () => {
    let calls = 0;
    const made = new RibWorld({}, { forwardingReady: () => void calls++ });
    made.up(ribPeer('a', { role: 'ebgp', at: '10.1.0.1' }));
    for (let i = 0; i < 3; i++) {
      made.announce('a', reach(`20.0.${i}.0/24`, '10.1.0.1', PATH));
      made.rib.run();
    }
    expect(calls).to.equal(1);
    drain(made);
    made.announce('a', reach('20.1.0.0/24', '10.1.0.1', PATH));
    made.rib.run();
    expect(calls).to.equal(2);
  });
});
