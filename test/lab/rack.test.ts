import { expect } from 'chai';
import fc from 'fast-check';
import { containsAddress, parseAddress, parsePrefix } from 'node-bgp/address';
import { buildRack, devicesOf, linksOf } from '../../src/lab/rack.js';
import { parseTopology } from '../../src/lab/topology.js';

const POOLS = 'pools: [{ name: p, cidr: 10.65.0.0/16, blockSize: 26 }]';

/** A rack of any legal size, every node cabled to some routers. */
const racks = fc
  .record({
    tors: fc.integer({ min: 1, max: 16 }),
    nodes: fc.array(fc.uniqueArray(fc.nat(15), { minLength: 1 }), { maxLength: 60 }),
    outside: fc.nat(3),
  })
  .map(({ tors, nodes, outside }) => {
    const torNames = Array.from({ length: tors }, (_, i) => `tor${i}`);
    const cabled = nodes.map((choice) => [...new Set(choice.map((index) => torNames[index % tors] ?? 'tor0'))]);
    return parseTopology(
      'generated',
      [
        `tors: ${JSON.stringify(torNames.map((name, i) => ({ name, as: 65001 + i })))}`,
        `torLinks: ${JSON.stringify(torNames.slice(1).map((name) => ['tor0', name]))}`,
        `nodes: ${JSON.stringify(cabled.map((names, i) => ({ name: `node${i}`, tors: names })))}`,
        `outside: ${JSON.stringify(Array.from({ length: outside }, (_, i) => ({ name: `outside${i}`, tors: torNames })))}`,
        POOLS,
      ].join('\n'),
    );
  });

describe('lab/rack', () => {
  it('gives every interface and loopback an address of its own, inside its range', () => {
    fc.assert(
      fc.property(racks, (topology) => {
        const rack = buildRack('t', topology);
        const ends = rack.links.flatMap(({ near, far }) => [near, far]);
        const all = [...ends.map((end) => end.address), ...devicesOf(rack).map((device) => device.loopback)];
        expect(new Set(all.map((pair) => pair.ipv4)).size).to.equal(all.length);
        expect(new Set(all.map((pair) => pair.ipv6)).size).to.equal(all.length);
        for (const end of ends) {
          expect(containsAddress(topology.ranges.links.ipv4, parseAddress(end.address.ipv4))).to.equal(true);
          expect(containsAddress(topology.ranges.links.ipv6, parseAddress(end.address.ipv6))).to.equal(true);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("makes both ends of a link each other's only neighbour", () => {
    fc.assert(
      fc.property(racks, (topology) => {
        for (const { near, far } of buildRack('t', topology).links) {
          expect(containsAddress(parsePrefix(`${near.address.ipv4}/31`), parseAddress(far.address.ipv4))).to.equal(
            true,
          );
          expect(containsAddress(parsePrefix(`${near.address.ipv6}/127`), parseAddress(far.address.ipv6))).to.equal(
            true,
          );
        }
      }),
      { numRuns: 60 },
    );
  });

  it('names an interface once per device and keeps names short enough for the kernel', () => {
    fc.assert(
      fc.property(racks, (topology) => {
        const rack = buildRack('twelveletter', topology);
        for (const device of devicesOf(rack)) {
          const names = linksOf(rack, device.name).map(({ own }) => own.interface);
          expect(new Set(names).size).to.equal(names.length);
          for (const name of names) expect(name.length).to.be.at.most(15);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keeps labs apart', () => {
    const topology = parseTopology(
      'one',
      `tors: [{ name: tor1, as: 65001 }]\nnodes: [{ name: node1, tors: [tor1] }]\n${POOLS}`,
    );
    const names = (lab: string): readonly string[] => devicesOf(buildRack(lab, topology)).map((device) => device.netns);
    expect(names('a').some((name) => names('ab').includes(name) || name.startsWith('tl-ab-'))).to.equal(false);
  });
});
