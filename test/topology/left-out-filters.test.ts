/** What of a BGPFilter cannot be is left out and named (left-out.test.ts); what passes then. */
import { expect } from 'chai';
import type { BGPFilterSpec, BGPPeerSpec } from '../../src/api/bgp.js';
import type { Topology } from '../../src/topology/speaker-config.js';
import { type World, topology, names, peer, sentences, verdict } from './left-out-scene.js';

describe('topology, of filters that cannot be', () => {
  describe('a BGPFilter with a name that the speaker does not take', () => {
    for (const name of ['läuft', 'with a blank', 'line\nbreak', 'ф'.repeat(100)]) {
      const router = { peerIP: '192.0.2.1', asNumber: 65001, filters: [name] };

      it(`holds all the same: ${JSON.stringify(name).slice(0, 20)}`, () => {
        const result = topology({ peers: { r: router }, filters: { [name]: { exportV4: [{ action: 'Reject' }] } } });
        expect(sentences(result)).to.deep.equal([]);
        const rules = (peer(result, 'r')?.export ?? []).flatMap((each) => result.config?.filters?.[each]?.rules ?? []);
        expect(rules.map((rule) => rule.name)).to.include(`BGPFilter/${name} exportV4[0]`);
      });
      it(`is named in one sentence when it is missing: ${JSON.stringify(name).slice(0, 20)}`, () => {
        const result = topology({ peers: { r: router } });
        expect(peer(result, 'r')).to.include({ address: '192.0.2.1' });
        expect(sentences(result)).to.have.length(1);
        expect(sentences(result, 'problem').join()).to.match(
          /^BGPPeer\/r spec\.filters\[0\] is "(.|\n)*"; expected a BGPFilter of that name; until there is one, no route passes/,
        );
      });
    }
  });

  describe('a BGPFilter', () => {
    const tor: Readonly<Record<string, BGPPeerSpec>> = {
      tor: { peerIP: '192.0.2.1', asNumber: 65001, filters: ['f'] },
    };
    const rules: readonly (readonly [string, NonNullable<BGPFilterSpec['exportV4']>[number], string])[] = [
      [
        'lengths the wrong way round',
        { action: 'Accept', cidr: '10.65.0.0/16', matchOperator: 'In', prefixLength: { min: 28, max: 24 } },
        'spec.exportV4[0].prefixLength is',
      ],
      [
        'a CIDR of the other family',
        { action: 'Accept', cidr: 'fd00::/8', matchOperator: 'In' },
        'spec.exportV4[0].cidr is "fd00::/8"',
      ],
      [
        'a community beyond 16 bits',
        { action: 'Accept', communities: { values: ['65536:1'] } },
        'spec.exportV4[0].communities.values[0] is "65536:1"',
      ],
      [
        'AS_TRANS in a path',
        { action: 'Accept', asPathPrefix: [65001, 23456] },
        'spec.exportV4[0].asPathPrefix[1] is "23456"',
      ],
      ['an interface of blanks', { action: 'Accept', interface: 'e h' }, 'spec.exportV4[0].interface is "e h"'],
      [
        'AS 0 to prepend',
        { action: 'Accept', operations: [{ prependASPath: { prefix: [0] } }] },
        'spec.exportV4[0].operations[0].prependASPath.prefix[0] is "0"',
      ],
      [
        'AS 0 to prepend, in one of several operations',
        {
          action: 'Accept',
          operations: [
            { prependASPath: { prefix: [1, 2] } },
            { addCommunity: { value: '1:1' } },
            { prependASPath: { prefix: [3, 0] } },
          ],
        },
        'spec.exportV4[0].operations[2].prependASPath.prefix[1] is "0"',
      ],
      [
        'a community that is none, behind one that is',
        { action: 'Accept', operations: [{ addCommunity: { value: '1:1' } }, { addCommunity: { value: '1' } }] },
        'spec.exportV4[0].operations[1].addCommunity.value is "1"',
      ],
      ...['eth[0-9]', 'eth0|eth1', '^eth', 'eth?', 'sixteen-letters-'].map(
        (name): readonly [string, NonNullable<BGPFilterSpec['exportV4']>[number], string] => [
          `an interface that no node has, ${name}`,
          { action: 'Accept', interface: name },
          `spec.exportV4[0].interface is "${name}"; expected an interface name of at most 15 characters, * as a wildcard`,
        ],
      ),
      ['an operation that is none', { action: 'Accept', operations: [{}] }, 'spec.exportV4[0].operations[0] is empty'],
    ];
    for (const [what, rule, sentence] of rules)
      it(`with ${what}: the rules before stand, from there on nothing passes, and the session stays`, () => {
        const good = { action: 'Reject', cidr: '10.9.0.0/16', matchOperator: 'Equal' } as const;
        const alone = topology({ peers: tor, filters: { f: { exportV4: [rule] } } });
        expect(sentences(alone, 'problem').join()).to.include(`BGPFilter/f ${sentence}`);
        const result = topology({ peers: tor, filters: { f: { exportV4: [good, rule, good], importV4: [good] } } });
        expect(names(result)).to.include('tor');
        const { filters = {} } = result.config ?? {};
        expect(
          filters['f-export-v4']?.rules.map(({ action, match }) => [action, match?.prefixes?.length]),
        ).to.deep.equal([
          ['reject', 1],
          ['reject', undefined],
        ]);
        expect(filters['f-import-v4']?.rules).to.have.length(1);
      });

    it('that sets a priority on export is told so, and holds but for that; on import it acts', () => {
      const rule = {
        action: 'Accept',
        operations: [{ setPriority: { value: 77 } }, { addCommunity: { value: '64512:9' } }],
      } as const;
      const result = topology({ peers: tor, filters: { f: { exportV4: [rule], importV4: [rule] } } });
      expect(sentences(result, 'problem')).to.deep.equal([
        "BGPFilter/f spec.exportV4[0].operations[0].setPriority has no effect: it sets the metric in this node's kernel, and no peer " +
          'hears of that; expected it in importV4; the rest of the rule holds',
      ]);
      const { filters = {} } = result.config ?? {};
      expect(filters['f-export-v4']?.rules.map(({ action, set }) => [action, set])).to.deep.equal([
        ['accept', { addCommunities: ['64512:9'] }],
      ]);
      expect(filters['f-import-v4']?.rules.map(({ set }) => set)).to.deep.equal([
        { kernelMetric: 77, addCommunities: ['64512:9'] },
      ]);
    });

    it('takes as many AS numbers as the API lets it', () => {
      const prefix = Array.from({ length: 10 }, () => 65001);
      const operations = Array.from({ length: 10 }, () => ({ prependASPath: { prefix } }));
      const asPathPrefix = Array.from({ length: 100 }, (_, i) => i + 1);
      const result = topology({
        peers: tor,
        filters: { f: { exportV4: [{ action: 'Accept', asPathPrefix, operations }] } },
      });
      expect(result.problems).to.deep.equal([]);
      expect(result.config?.filters?.['f-export-v4']?.rules[0]?.set?.prependAs).to.have.length(100);
    });

    for (const [what, rules, first] of [
      ['rules', Array.from({ length: 300 }, () => ({ action: 'Accept' as const, cidr: '10.65.0.0/16' })), 256],
      [
        'values',
        Array.from({ length: 60 }, () => ({
          action: 'Accept' as const,
          asPathPrefix: Array.from({ length: 100 }, (_, i) => i + 1),
        })),
        40,
      ],
    ] as const)
      it(`that has more ${what} than it may rejects what comes to the first one too many, and says so`, () => {
        const result = topology({ peers: tor, filters: { f: { exportV4: rules } } });
        expect(sentences(result, 'problem').join()).to.match(
          new RegExp(`BGPFilter/f spec.exportV4\\[${first}\\] is one too many; expected at most \\d+ ${what}`),
        );
        const kept = result.config?.filters?.['f-export-v4']?.rules ?? [];
        expect(kept).to.have.length(first + 1);
        expect(kept.at(-1)).to.deep.include({ action: 'reject' });
      });

    it('that is missing ends no session: nothing passes where it would decide', () => {
      const result = topology({ peers: tor });
      expect(names(result)).to.include('tor');
      expect(sentences(result, 'problem')).to.deep.equal([
        'BGPPeer/tor spec.filters[0] is "f"; expected a BGPFilter of that name; until there is one, no route passes where it would decide',
      ]);
      expect(verdict(result, 'tor', 'export', '10.65.0.0/26', 'local')).to.equal('reject');
      expect(verdict(result, 'tor', 'import', '0.0.0.0/0', 'ebgp')).to.equal('reject');
    });

    it('that never was is not taken for one that has gone: what stands in for it is not its rules', () => {
      const first = topology({ peers: tor });
      const again = topology({ peers: tor, heldFilters: first.config?.filters ?? {} });
      expect(sentences(again, 'problem')).to.deep.equal(sentences(first, 'problem'));
      expect(again.config).to.deep.equal(first.config);
    });

    it('that is missing is told by the nodes that have such a session, and by no other', () => {
      const far = { peerIP: '192.0.2.9', asNumber: 65001, node: 'node2', filters: ['f'] };
      expect(sentences(topology({ peers: { far } }), 'problem')).to.deep.equal([]);
    });

    it('that is wrong is a problem of the nodes that use it, and a notice on all others', () => {
      const f: BGPFilterSpec = { importV4: [{ action: 'Accept', cidr: 'rubbish', matchOperator: 'In' }] };
      const told = (severity: 'problem' | 'notice', result: Topology): number =>
        sentences(result, severity).filter((sentence) => sentence.startsWith('BGPFilter/f spec.importV4[0]')).length;
      expect([
        told('problem', topology({ filters: { f } })),
        told('notice', topology({ filters: { f } })),
      ]).to.deep.equal([0, 1]);
      expect(told('problem', topology({ peers: tor, filters: { f } }))).to.equal(1);
    });

    it('that has gone stands on as the speaker holds it', () => {
      const filters = { f: { exportV4: [{ action: 'Reject', cidr: '10.9.0.0/16', matchOperator: 'In' }] } } as const;
      const before = topology({ peers: tor, filters });
      const after = topology({ peers: tor, heldFilters: before.config?.filters ?? {} });
      expect(after.config).to.deep.equal(before.config);
      expect(sentences(after, 'problem').join()).to.include('its last known rules stand');
    });
  });

  describe('a BGPFilter that was made and deleted before the speaker heard of it', () => {
    const tor = { tor: { peerIP: '192.0.2.1', asNumber: 65001, filters: ['f'] } };
    const f: BGPFilterSpec = { exportV4: [{ action: 'Reject', cidr: '10.9.0.0/16', matchOperator: 'In' }] };

    it('stands on by its last rules, whatever the speaker holds of it', () => {
      const before = topology({ peers: tor, filters: { f } });
      const older = topology({ peers: tor, filters: { f: { exportV4: [{ action: 'Reject' }] } } });
      for (const heldFilters of [{}, older.config?.filters ?? {}]) {
        const after = topology({ peers: tor, goneFilters: { f }, heldFilters });
        expect(after.config).to.deep.equal(before.config);
        expect(sentences(after, 'problem')).to.deep.equal([
          'BGPPeer/tor spec.filters[0] is "f"; expected a BGPFilter of that name; its last known rules stand',
        ]);
      }
    });
    it('is nothing to a peer that names it no more, and no match for one that is there again', () => {
      const plain = topology({ peers: { tor: { peerIP: '192.0.2.1', asNumber: 65001 } } });
      expect(topology({ peers: { tor: { peerIP: '192.0.2.1', asNumber: 65001 } }, goneFilters: { f } })).to.deep.equal(
        plain,
      );
      const again = { f: { importV4: [{ action: 'Reject' }] } } as const;
      expect(topology({ peers: tor, filters: again, goneFilters: { f } })).to.deep.equal(
        topology({ peers: tor, filters: again }),
      );
    });
  });

  describe('what goes out', () => {
    const pools = { v4: { cidr: '10.65.0.0/16' }, quiet: { cidr: '10.76.0.0/16', disableBGPExport: true } };
    const allow: BGPFilterSpec = { exportV4: [{ action: 'Accept', cidr: '203.0.113.0/24', matchOperator: 'In' }] };
    const world: World = {
      pools,
      peers: {
        tor: { peerIP: '192.0.2.1', asNumber: 65001 },
        open: { peerIP: '192.0.2.2', asNumber: 65002, filters: ['allow'] },
        inner: { peerIP: '192.0.2.3', asNumber: 64512 },
      },
      filters: { allow },
    };
    const rows: readonly (readonly [string, string, string, 'local' | 'ebgp' | 'ibgp', 'accept' | 'reject'])[] = [
      ['our own block to a router', 'tor', '10.65.0.0/26', 'local', 'accept'],
      ["another node's block to a router", 'tor', '10.65.9.0/26', 'ibgp', 'accept'],
      ["another node's block to a router of our AS", 'inner', '10.65.9.0/26', 'ibgp', 'accept'],
      ['what another node has learned elsewhere', 'tor', '203.0.113.0/24', 'ibgp', 'reject'],
      ['a block of a pool that stays inside', 'tor', '10.76.0.0/26', 'ibgp', 'reject'],
      ["one router's routes to another", 'tor', '203.0.113.0/24', 'ebgp', 'reject'],
      ["one router's routes of our pools to another", 'tor', '10.65.9.0/26', 'ebgp', 'reject'],
      ['what a BGPFilter lets through', 'open', '203.0.113.0/24', 'ebgp', 'accept'],
      ['what that BGPFilter says nothing about', 'open', '198.51.100.0/24', 'ebgp', 'reject'],
      ['our own block beside a BGPFilter', 'open', '10.65.0.0/26', 'local', 'accept'],
    ];
    for (const [what, to, prefix, source, expected] of rows)
      it(`${what}: ${expected}`, () =>
        expect(verdict(topology(world), to, 'export', prefix, source)).to.equal(expected));
  });
});
