/** policy-traps 19-34: ports and ipBlock. The number in a title is the trap's. */
import { expect } from 'chai';
import { formatPrefix, parsePrefix } from 'node-bgp/address';
import { PolicyEngine, renderIptables } from '@tortie/policy';
import { unionNetworks } from '@tortie/policy/model/networks';
import { chunkPorts } from '@tortie/policy/model/ports';
import { expectCells } from './cells.js';
import { eventsOf, networkPolicy, smallWorld, type World, type WorldPod, type WorldPort } from './world.js';

const app = { podSelector: { matchLabels: { app: 'a' } } };
const ingress = (...rules: readonly unknown[]): World =>
  smallWorld({ policies: [networkPolicy('x', 'p', { ...app, policyTypes: ['Ingress'], ingress: rules })] });
const egress = (...rules: readonly unknown[]): World =>
  smallWorld({ policies: [networkPolicy('x', 'p', { ...app, policyTypes: ['Egress'], egress: rules })] });
const ports = (...list: readonly unknown[]): World => ingress({ ports: list });

const withPorts = (base: World, key: string, list: readonly WorldPort[]): World => ({
  ...base,
  pods: base.pods.map((pod): WorldPod => (`${pod.namespace}/${pod.name}` === key ? { ...pod, ports: list } : pod)),
});

describe('policy/traps: ports', () => {
  it('19: a missing protocol is TCP, {} is all of TCP, {protocol} is all of that protocol', () => {
    expectCells(ports({ port: 80 }), [
      ['x/b', 'x/a', 'TCP/80', true],
      ['x/b', 'x/a', 'UDP/80', false],
      ['x/b', 'x/a', 'SCTP/80', false],
    ]);
    expectCells(ports({}), [
      ['x/b', 'x/a', 'TCP/1', true],
      ['x/b', 'x/a', 'TCP/65535', true],
      ['x/b', 'x/a', 'UDP/1', false],
    ]);
    expectCells(ports({ protocol: 'UDP' }), [
      ['x/b', 'x/a', 'UDP/7', true],
      ['x/b', 'x/a', 'TCP/7', false],
    ]);
  });

  it('20: endPort is inclusive and may equal port; one that the API would refuse matches nothing and is named', () => {
    expectCells(ports({ port: 80, endPort: 82 }), [
      ['x/b', 'x/a', 'TCP/79', false],
      ['x/b', 'x/a', 'TCP/80', true],
      ['x/b', 'x/a', 'TCP/82', true],
      ['x/b', 'x/a', 'TCP/83', false],
    ]);
    expectCells(ports({ port: 80, endPort: 80 }), [
      ['x/b', 'x/a', 'TCP/80', true],
      ['x/b', 'x/a', 'TCP/81', false],
    ]);
    for (const port of [{ endPort: 90 }, { port: 'http', endPort: 90 }, { port: 90, endPort: 80 }]) {
      const world = ports(port, { port: 7 });
      expectCells(
        world,
        [
          ['x/b', 'x/a', 'TCP/80', false],
          ['x/b', 'x/a', 'TCP/85', false],
          ['x/b', 'x/a', 'TCP/7', true],
        ],
        { reference: false },
      );
      const engine = new PolicyEngine();
      for (const event of eventsOf(world)) engine.apply(event);
      expect(engine.problemsOf('NetworkPolicy', 'x', 'p').map((problem) => problem.field)).to.deep.equal([
        'spec.ingress[0].ports[0].endPort',
      ]);
    }
  });

  it("21: a named port is the destination pod's, with name and protocol both", () => {
    const named = withPorts(ports({ port: 'http' }), 'x/a', [
      { name: 'http', port: 8080, protocol: 'TCP' },
      { name: 'http', port: 53, protocol: 'UDP' },
    ]);
    expectCells(named, [
      ['x/b', 'x/a', 'TCP/8080', true],
      ['x/b', 'x/a', 'TCP/80', false],
      ['x/b', 'x/a', 'UDP/53', false],
      ['x/b', 'x/a', 'TCP/53', false],
    ]);
    // Egress: per peer pod; the sender's own port of that name counts for nothing.
    const out = withPorts(
      withPorts(egress({ to: [{ namespaceSelector: {} }], ports: [{ port: 'http' }] }), 'x/b', [
        { name: 'http', port: 8080, protocol: 'TCP' },
      ]),
      'x/a',
      [{ name: 'http', port: 9999, protocol: 'TCP' }],
    );
    expectCells(out, [
      ['x/a', 'x/b', 'TCP/8080', true],
      ['x/a', 'x/b', 'TCP/80', false],
      ['x/a', 'y/b', 'TCP/80', true],
      ['x/a', 'y/b', 'TCP/8080', false],
      ['x/a', 'y/b', 'TCP/9999', false],
    ]);
  });

  it('22: a named egress port without peers means every pod that has it, and nothing outside', () => {
    expectCells(egress({ ports: [{ port: 'http' }] }), [
      ['x/a', 'x/b', 'TCP/80', true],
      ['x/a', 'y/a', 'TCP/80', true],
      ['x/a', 'out', 'TCP/80', false],
      ['x/a', 'node:n2', 'TCP/80', false],
    ]);
  });

  it('23: a named egress port with a block never widens to pods, and is reported', () => {
    const world = egress({
      to: [{ ipBlock: { cidr: '0.0.0.0/0' } }, { ipBlock: { cidr: '::/0' } }],
      ports: [{ port: 'http' }, { port: 81 }],
    });
    expectCells(world, [
      ['x/a', 'x/b', 'TCP/80', false],
      ['x/a', 'out', 'TCP/80', false],
      ['x/a', 'out', 'TCP/81', true],
    ]);
    const engine = new PolicyEngine();
    for (const event of eventsOf(world)) engine.apply(event);
    expect(engine.problemsOf('NetworkPolicy', 'x', 'p')).to.have.length(1);
  });

  it('24: names on sidecars count', () => {
    expectCells(
      withPorts(ports({ port: 'metrics' }), 'x/a', [{ name: 'metrics', port: 9090, protocol: 'TCP', sidecar: true }]),
      [
        ['x/b', 'x/a', 'TCP/9090', true],
        ['x/b', 'x/a', 'TCP/80', false],
      ],
    );
  });

  it('24: names on init containers that end do not', () => {
    const engine = new PolicyEngine();
    for (const event of eventsOf(ports({ port: 'metrics' }))) engine.apply(event);
    engine.apply({
      type: 'upsert',
      kind: 'Pod',
      object: {
        metadata: { namespace: 'x', name: 'a', labels: { app: 'a' } },
        spec: { nodeName: 'n1', initContainers: [{ ports: [{ name: 'metrics', containerPort: 9090 }] }] },
        status: { podIPs: [{ ip: '10.65.0.1' }] },
      } as never,
    });
    const flow = {
      from: { type: 'pod', namespace: 'x', name: 'b' },
      to: { type: 'pod', namespace: 'x', name: 'a' },
      family: 4,
      protocol: 'TCP',
      port: 9090,
    } as const;
    expect(engine.verdict(flow).allowed).to.equal(false);
  });

  it('25: one number may have several names and one name several numbers', () => {
    const list: readonly WorldPort[] = [
      { name: 'http', port: 80, protocol: 'TCP' },
      { name: 'web', port: 80, protocol: 'TCP' },
      { name: 'http', port: 8080, protocol: 'TCP' },
    ];
    expectCells(withPorts(ports({ port: 'web' }), 'x/a', list), [
      ['x/b', 'x/a', 'TCP/80', true],
      ['x/b', 'x/a', 'TCP/8080', false],
    ]);
    expectCells(withPorts(ports({ port: 'http' }), 'x/a', list), [
      ['x/b', 'x/a', 'TCP/80', true],
      ['x/b', 'x/a', 'TCP/8080', true],
    ]);
  });

  it('26: an SCTP rule isolates and is neither TCP nor anything else', () => {
    expectCells(ports({ protocol: 'SCTP', port: 80 }), [
      ['x/b', 'x/a', 'SCTP/80', true],
      ['x/b', 'x/a', 'SCTP/81', false],
      ['x/b', 'x/a', 'TCP/80', false],
      ['x/b', 'x/a', 'UDP/80', false],
    ]);
    expectCells(ports({ protocol: 'SCTP' }), [
      ['x/b', 'x/a', 'SCTP/1', true],
      ['x/b', 'x/a', 'TCP/1', false],
    ]);
  });

  it('27: more than 15 ports are several rules, a range counts two', () => {
    const many = Array.from({ length: 40 }, (_, i) =>
      i % 3 === 0 ? { port: 1000 + i * 10, endPort: 1004 + i * 10 } : { port: 1000 + i * 10 },
    );
    expectCells(ports(...many), [
      ['x/b', 'x/a', 'TCP/1000', true],
      ['x/b', 'x/a', 'TCP/1004', true],
      ['x/b', 'x/a', 'TCP/1005', false],
      ['x/b', 'x/a', 'TCP/1390', true],
      ['x/b', 'x/a', 'TCP/1394', true],
      ['x/b', 'x/a', 'TCP/1391', true],
      ['x/b', 'x/a', 'TCP/1380', true],
      ['x/b', 'x/a', 'TCP/1381', false],
    ]);
    const chunks = chunkPorts(Array.from({ length: 20 }, (_, i) => ({ from: i * 10, to: i * 10 + (i % 2) })));
    for (const chunk of chunks)
      expect(chunk.reduce((sum, range) => sum + (range.from === range.to ? 1 : 2), 0)).to.be.at.most(15);
    expect(chunks.flat()).to.have.length(20);
  });

  it('27: touching and overlapping ranges are joined, and nothing else is', () => {
    expectCells(ports({ port: 80, endPort: 82 }, { port: 83 }, { port: 85, endPort: 87 }, { port: 86, endPort: 90 }), [
      ['x/b', 'x/a', 'TCP/83', true],
      ['x/b', 'x/a', 'TCP/84', false],
      ['x/b', 'x/a', 'TCP/90', true],
      ['x/b', 'x/a', 'TCP/91', false],
    ]);
  });
});

describe('policy/traps: ipBlock', () => {
  const block = (cidr: string, ...except: readonly string[]): unknown => ({
    ipBlock: { cidr, ...(except.length > 0 ? { except } : {}) },
  });

  it('28: pods, nodes and the outside alike, of one family only', () => {
    expectCells(ingress({ from: [block('0.0.0.0/0')] }), [
      ['x/b', 'x/a', 'TCP/80', true, 4],
      ['node:n2', 'x/a', 'TCP/80', true, 4],
      ['out', 'x/a', 'TCP/80', true, 4],
      ['x/b', 'x/a', 'TCP/80', false, 6],
      ['node:n2', 'x/a', 'TCP/80', false, 6],
      ['out', 'x/a', 'TCP/80', false, 6],
    ]);
    expectCells(ingress({ from: [block('10.65.1.2/32'), block('fd00:65::b:2/128')] }), [
      ['x/b', 'x/a', 'TCP/80', true],
      ['y/b', 'x/a', 'TCP/80', false],
    ]);
    expectCells(egress({ to: [block('172.18.0.2/32')] }), [
      ['x/a', 'node:n2', 'TCP/80', true, 4],
      ['x/a', 'x/b', 'TCP/80', false, 4],
    ]);
  });

  it('29: an except is a hole in its own block: another peer, rule or policy may allow it again', () => {
    const hole = block('10.65.0.0/16', '10.65.1.0/24');
    expectCells(ingress({ from: [hole] }), [
      ['x/b', 'x/a', 'TCP/80', false, 4],
      ['y/a', 'x/a', 'TCP/80', true, 4],
    ]);
    expectCells(ingress({ from: [hole, block('10.65.1.2/32')] }), [
      ['x/b', 'x/a', 'TCP/80', true, 4],
      ['y/b', 'x/a', 'TCP/80', false, 4],
    ]);
    expectCells(ingress({ from: [hole] }, { from: [{ podSelector: {} }] }), [
      ['x/b', 'x/a', 'TCP/80', true, 4],
      ['y/b', 'x/a', 'TCP/80', false, 4],
    ]);
    const two = smallWorld({
      policies: [
        networkPolicy('x', 'p', { ...app, ingress: [{ from: [hole] }] }),
        networkPolicy('x', 'q', { ...app, ingress: [{ from: [block('10.65.1.0/24')] }] }),
      ],
    });
    expectCells(two, [['x/b', 'x/a', 'TCP/80', true, 4]]);
  });

  it('30: one cidr with different excepts is the union; in two rules with other ports it stays apart', () => {
    const [one, two] = [block('10.65.0.0/16', '10.65.1.2/32'), block('10.65.0.0/16', '10.65.1.4/32')];
    expectCells(ingress({ from: [one, two] }), [
      ['x/b', 'x/a', 'TCP/80', true, 4],
      ['y/b', 'x/a', 'TCP/80', true, 4],
    ]);
    expectCells(ingress({ from: [one], ports: [{ port: 80 }] }, { from: [two], ports: [{ port: 81 }] }), [
      ['x/b', 'x/a', 'TCP/80', false, 4],
      ['x/b', 'x/a', 'TCP/81', true, 4],
      ['y/b', 'x/a', 'TCP/80', true, 4],
      ['y/b', 'x/a', 'TCP/81', false, 4],
    ]);
  });

  it('31: /0 never reaches a set, and keeps its excepts', () => {
    for (const cidr of ['0.0.0.0/0', '::/0']) {
      const except = cidr === '::/0' ? 'fd00:65::b:2/128' : '10.65.1.2/32';
      const world = ingress({ from: [block(cidr, except)] });
      const family = cidr === '::/0' ? 6 : 4;
      expectCells(world, [
        ['x/b', 'x/a', 'TCP/80', false, family],
        ['y/b', 'x/a', 'TCP/80', true, family],
        ['out', 'x/a', 'TCP/80', true, family],
      ]);
      const engine = new PolicyEngine();
      for (const event of eventsOf(world, 'n1')) engine.apply(event);
      engine.flush();
      for (const set of engine.ruleset().sets.values())
        for (const member of set.members.keys()) expect(member).to.not.match(/\/0$/);
      expect(renderIptables(engine.ruleset(), family)).to.not.include('/0 ');
    }
  });

  it('32: host bits are masked', () => {
    expectCells(ingress({ from: [block('10.65.1.99/24')] }), [
      ['x/b', 'x/a', 'TCP/80', true, 4],
      ['y/a', 'x/a', 'TCP/80', false, 4],
    ]);
  });

  it('33: a block of the other family does not hurt the rest of its rule', () => {
    const world: World = { ...ingress({ from: [block('fd00::/8'), block('10.65.1.0/24')] }) };
    expectCells({ ...world, pods: world.pods.map((pod) => ({ ...pod, ips: pod.ips.slice(0, 1) })) }, [
      ['x/b', 'x/a', 'TCP/80', true, 4],
      ['y/a', 'x/a', 'TCP/80', false, 4],
    ]);
  });

  it('34: overlapping entries become disjoint ones', () => {
    const cover = unionNetworks([
      parsePrefix('10.0.0.0/16'),
      parsePrefix('10.0.0.0/24'),
      parsePrefix('10.0.0.7/32'),
      parsePrefix('10.1.2.0/24'),
      parsePrefix('10.1.0.0/16'),
    ]);
    expect(cover.map(formatPrefix)).to.deep.equal(['10.0.0.0/15']);
    expect(unionNetworks([parsePrefix('::/1'), parsePrefix('8000::/1')]).map(formatPrefix)).to.deep.equal(['::/0']);
  });
});
