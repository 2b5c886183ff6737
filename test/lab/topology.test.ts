import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parsePort, parseTopology } from '../../src/lab/topology.js';
import { DEFAULT_TOPOLOGY } from '../../src/lab/tortie-argv.js';
import { FileProblems, formatProblem } from '../../src/lab/yaml-reader.js';

const fixture = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../test/lab/fixtures/${name}`, import.meta.url)), 'utf8');

function problemsOf(text: string): readonly string[] {
  try {
    parseTopology('rack.yaml', text);
  } catch (error) {
    if (error instanceof FileProblems) return error.problems.map(formatProblem);
    throw error;
  }
  return [];
}

describe('lab/topology', () => {
  it('reads the default rack', () => {
    const topology = parseTopology('default.yaml', readFileSync(DEFAULT_TOPOLOGY, 'utf8'));
    expect(topology.tors.map(({ name, as }) => [name, as])).to.deep.equal([
      ['tor1', 65001],
      ['tor2', 65002],
    ]);
    expect(topology.nodes.map(({ name, as, tors }) => [name, as, tors])).to.deep.equal(
      ['node1', 'node2', 'node3'].map((name) => [name, 64512, ['tor1', 'tor2']]),
    );
    expect(topology.outside.map(({ name, tors }) => [name, tors])).to.deep.equal([['outside', ['tor1', 'tor2']]]);
    expect(topology.pools.map(({ cidr, blockSize }) => [cidr, blockSize])).to.deep.equal([
      ['10.65.0.0/16', 26],
      ['fd00:65::/112', 122],
    ]);
  });

  it('reports every value of the wrong form at once, with its line', () => {
    expect(problemsOf(fixture('bad-topology.yaml'))).to.deep.equal([
      'line 3: tors[1].as: expected an AS number that is not AS_TRANS (RFC 6793); is 23456',
      'line 8: nodes[0].name: expected a lower-case name of at most 15 letters, digits and dashes; is "a-name-longer-than-fifteen"',
      'line 9: nodes[1].as: expected an integer from 1 to 4294967294; is 0',
      'line 11: nodes[3].colour: unknown key; known are name, as, tors, labels',
      'line 11: nodes[3]: expected key "name"',
      'line 13: outside[0].name: expected a lower-case name of at most 15 letters, digits and dashes; is "eth0"',
      'line 15: pools[0].cidr: expected CIDR notation such as 10.65.0.0/16; is "10.65.0.0"',
      'line 17: pods[0].ports[0]: expected a port such as 80/TCP, 53/UDP, 9999/SCTP or http=80/TCP; is "80/ICMP"',
      'line 17: pods[0].ports[1]: expected a port such as 80/TCP, 53/UDP, 9999/SCTP or http=80/TCP; is 70000',
    ]);
  });

  it('reports every contradiction between entries at once, with its line', () => {
    expect(problemsOf(fixture('inconsistent-topology.yaml'))).to.deep.equal([
      'line 9: nodes[1].name: expected a name that nothing else in the rack has; is "tor2"',
      'line 15: pools[1].name: expected a name that no other pool has; is "blue"',
      'line 18: pods[1].name: expected a name that no other pod of its namespace has; is "default/web"',
      'line 8: nodes[0].tors[1]: expected each router once; is "tor1"',
      'line 9: nodes[1].tors[0]: expected one of the routers tor1, tor2; is "tor3"',
      'line 10: nodes[2].tors: expected at least one router; is an empty list',
      'line 5: torLinks[0][1]: expected one of the routers tor1, tor2; is "tor9"',
      'line 6: torLinks[1]: expected two different routers; is "tor2"',
      'line 17: pods[0].node: expected one of the nodes node1, tor2, node3; is "node9"',
      'line 12: addressing.links.ipv4: expected a range that does not overlap 10.0.0.0/16 (addressing.loopbacks.ipv4); is 10.0.0.0/16',
      'line 14: pools[0].blockSize: expected 16 to 32; is 33',
      'line 15: pools[1].cidr: expected a range that does not overlap 10.65.0.0/16 (pools[0].cidr); is 10.65.7.0/24',
    ]);
  });

  it('refuses more links than a router has addresses for', () => {
    const nodes = Array.from({ length: 130 }, (_, i) => `  - { name: node${i}, tors: [tor1] }`).join('\n');
    const text = `tors: [{ name: tor1, as: 65001 }]\nnodes:\n${nodes}\npools: []\n`;
    expect(problemsOf(text)).to.deep.equal(['line 1: tors[0]: expected at most 128 links at one router; is 130']);
  });

  it('names the line of broken YAML', () => {
    expect(problemsOf('tors: [\n  {name: a\n')[0]).to.match(/^line [23]: /);
  });

  it('reads ports as people write them', () => {
    expect(parsePort('80')).to.deep.equal({ port: 80, transport: 'TCP' });
    expect(parsePort('53/udp')).to.deep.equal({ port: 53, transport: 'UDP' });
    expect(parsePort('http=8080/TCP')).to.deep.equal({ port: 8080, transport: 'TCP', name: 'http' });
    for (const bad of ['', '0', '65536', '80/ICMP', '-1', '080', 'a b=80', '80/'])
      expect(parsePort(bad), bad).to.equal(undefined);
  });
});
