import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { validateConfig } from 'node-bgp/config/validate';
import { renderBird } from '../../src/lab/bird.js';
import { run } from '../../src/lab/command.js';
import { renderFrr } from '../../src/lab/frr.js';
import { buildRack, type Rack, type RackTor } from '../../src/lab/rack.js';
import { parseTopology } from '../../src/lab/topology.js';
import { tortieTorConfig } from '../../src/lab/tortie-tor.js';
import { DEFAULT_TOPOLOGY } from '../../src/lab/tortie-argv.js';

const defaults = (): Rack => buildRack('t', parseTopology('default.yaml', readFileSync(DEFAULT_TOPOLOGY, 'utf8')));
const guarded = (): Rack =>
  buildRack(
    't',
    parseTopology(
      'guarded.yaml',
      `
tors: [{ name: spine-1, as: 4200000001, password: "k3y with blanks" }]
nodes: [{ name: n-1, as: 4200000002, tors: [spine-1] }]
pools: [{ name: p, cidr: 10.65.0.0/16, blockSize: 26 }]
`,
    ),
  );
const first = (rack: Rack): RackTor => {
  const [tor] = rack.tors;
  if (tor === undefined) throw new Error('Cannot test a rack without routers');
  return tor;
};

describe('lab/routers', () => {
  let directory = '';
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'tortie-routers-'))));
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  for (const [name, rack] of [
    ['the default rack', defaults()],
    ['a rack with a key and 4-byte AS numbers', guarded()],
  ] as const) {
    it(`writes a configuration that BIRD accepts: ${name}`, async () => {
      const file = join(directory, 'bird.conf');
      writeFileSync(file, renderBird(rack, first(rack)));
      await run(['/usr/sbin/bird', '-p', '-c', file]);
    });

    it(`writes a configuration that our bgpd accepts: ${name}`, () => {
      expect(validateConfig(tortieTorConfig(rack, first(rack)))).to.have.property('type', 'valid');
    });
  }

  it('configures a session per family with every node and neighbouring router, in every flavour', () => {
    const rack = defaults();
    const neighbors = [
      '10.1.1.1',
      '10.1.1.3',
      '10.1.1.5',
      '10.1.1.7',
      'fd00:1:0:1::1',
      'fd00:1:0:1::3',
      'fd00:1:0:1::5',
      'fd00:1:0:1::7',
    ];
    const bird = renderBird(rack, first(rack));
    const frr = renderFrr(rack, first(rack)).bgpd;
    expect([...bird.matchAll(/neighbor (\S+) as/g)].map((match) => match[1]).sort()).to.deep.equal(neighbors);
    expect([...frr.matchAll(/neighbor (\S+) remote-as/g)].map((match) => match[1]).sort()).to.deep.equal(neighbors);
    expect(
      tortieTorConfig(rack, first(rack))
        .peers?.map((peer) => peer.address)
        .sort(),
    ).to.deep.equal(neighbors);
  });

  it("refuses a key that BIRD's quoting cannot carry", () => {
    const rack = buildRack(
      't',
      parseTopology('k', `tors: [{ name: t, as: 1, password: 'a"b' }]\nnodes: [{ name: n, tors: [t] }]\npools: []`),
    );
    expect(() => renderBird(rack, first(rack))).to.throw('double quote');
  });
});
