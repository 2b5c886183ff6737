import { expect } from 'chai';
import { formatAddress, formatPrefix } from 'node-bgp/address';
import type { Node } from '../../src/api/core.js';
import type { IPAMBlock, IPAMBlockSpec, IPPool, IPPoolSpec } from '../../src/api/ipam.js';
import { macOf, overlayPlanOf, type OverlayInput, type OverlayPlan } from '../../src/overlay/overlay-plan.js';

const node = (name: string, ...addresses: readonly string[]): Node => ({
  metadata: { name },
  spec: {},
  status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
});
const pool = (name: string, spec: Partial<IPPoolSpec>, creationTimestamp = '2026-01-01T00:00:00Z'): IPPool => ({
  metadata: { name, creationTimestamp },
  spec: { cidr: '10.65.0.0/16', ...spec },
});
const block = (cidr: string, of: string, rest: Partial<IPAMBlockSpec> = {}): IPAMBlock => ({
  metadata: { name: cidr },
  spec: { cidr, node: of, pool: 'pods', ...rest },
});

const nodes = [node('a', '10.0.0.1', 'fd00::1'), node('b', '10.0.0.2', 'fd00::2'), node('c', '10.0.1.3', 'fd00:1::3')];
const links = [{ name: 'eth0', prefixes: ['10.0.0.0/24', 'fd00::/64', 'fe80::/64'] }];
const plan = (input: Partial<OverlayInput>): OverlayPlan =>
  overlayPlanOf({ nodeName: 'a', nodes, pools: [], blocks: [], links, ...input });
/** "10.65.1.0/26 vxlan 10.0.0.2"; "-": over the link. */
const routes = ({ routes: all }: OverlayPlan): readonly string[] =>
  all
    .map(({ prefix, gateway, through }) => `${formatPrefix(prefix)} ${through?.kind ?? '-'} ${formatAddress(gateway)}`)
    .sort();

describe('overlay-plan', () => {
  const blocks = [block('10.65.0.0/26', 'a'), block('10.65.0.64/26', 'b'), block('10.65.0.128/26', 'c')];

  it('asks for nothing where no pool has a mode', () =>
    expect(plan({ pools: [pool('pods', { vxlanMode: 'Never', ipipMode: 'Never' })], blocks })).to.deep.equal({
      tunnels: [],
      routes: [],
      problems: [],
    }));

  it('Always: every other node is a peer, and its blocks are behind the tunnel', () => {
    const found = plan({ pools: [pool('pods', { vxlanMode: 'Always' })], blocks });
    expect(routes(found)).to.deep.equal(['10.65.0.128/26 vxlan 10.0.1.3', '10.65.0.64/26 vxlan 10.0.0.2']);
    const [tunnel] = found.tunnels;
    expect(found.tunnels).to.have.length(1);
    expect(tunnel).to.include({ kind: 'vxlan', family: 4, mac: macOf('a') });
    expect(tunnel?.peers.map(({ address, mac }) => `${formatAddress(address)} ${mac}`)).to.deep.equal([
      `10.0.0.2 ${macOf('b')}`,
      `10.0.1.3 ${macOf('c')}`,
    ]);
    expect(tunnel?.pools).to.deep.equal([{ pool: 'pods', field: 'spec.vxlanMode' }]);
  });

  it('CrossSubnet: who shares a link of the node is reached over it', () =>
    expect(routes(plan({ pools: [pool('pods', { vxlanMode: 'CrossSubnet' })], blocks }))).to.deep.equal([
      '10.65.0.128/26 vxlan 10.0.1.3',
      '10.65.0.64/26 - 10.0.0.2',
    ]));

  it('CrossSubnet: a node whose address is on no subnet has nobody near', () =>
    expect(
      routes(
        plan({
          pools: [pool('pods', { vxlanMode: 'CrossSubnet' })],
          blocks,
          links: [{ name: 'lo', prefixes: ['10.0.0.1/32'] }],
        }),
      ),
    ).to.deep.equal(['10.65.0.128/26 vxlan 10.0.1.3', '10.65.0.64/26 vxlan 10.0.0.2']));

  it('IPv6: a tunnel of its own, with gateways that nobody else has', () => {
    const found = plan({
      pools: [pool('pods', { vxlanMode: 'Always' }), pool('pods6', { cidr: 'fd00:65::/112', vxlanMode: 'Always' })],
      blocks: [...blocks, block('fd00:65::40/122', 'b'), block('fd00:65::80/122', 'c')],
    });
    expect(found.tunnels.map(({ family, local }) => `${family} ${formatAddress(local)}`)).to.deep.equal([
      '4 10.0.0.1',
      '6 fd00::1',
    ]);
    const gateways = found.routes
      .filter(({ prefix }) => prefix.family === 6)
      .map(({ gateway }) => formatAddress(gateway));
    expect(new Set(gateways).size).to.equal(2);
    for (const gateway of gateways) expect(gateway).to.match(/^fe80::/);
    expect(found.tunnels[1]?.peers.map(({ gateway }) => formatAddress(gateway))).to.have.members(gateways);
  });

  it('ipipMode: the same by IP in IP, to the nodes themselves', () => {
    const found = plan({ pools: [pool('pods', { ipipMode: 'Always' })], blocks });
    expect(routes(found)).to.deep.equal(['10.65.0.128/26 ipip 10.0.1.3', '10.65.0.64/26 ipip 10.0.0.2']);
    expect(found.tunnels[0]?.pools).to.deep.equal([{ pool: 'pods', field: 'spec.ipipMode' }]);
  });

  it('leads to who has borrowed an address, and never to itself', () => {
    const lent = block('10.65.0.64/26', 'b', {
      loans: [
        { address: '10.65.0.70', node: 'c' },
        { address: '10.65.0.71', node: 'a' },
        { address: '10.99.0.1', node: 'c' },
      ],
    });
    const own = block('10.65.0.0/26', 'a', { loans: [{ address: '10.65.0.9', node: 'b' }] });
    expect(routes(plan({ pools: [pool('pods', { vxlanMode: 'Always' })], blocks: [own, lent] }))).to.deep.equal([
      '10.65.0.64/26 vxlan 10.0.0.2',
      '10.65.0.70/32 vxlan 10.0.1.3',
      '10.65.0.9/32 vxlan 10.0.0.2',
    ]);
  });

  it('passes over what it cannot use, and says so where a pool wants what the node has not', () => {
    const strange = [block('rubbish', 'b'), block('10.65.0.64/26', 'nobody'), block('10.77.0.0/26', 'b')];
    expect(routes(plan({ pools: [pool('pods', { vxlanMode: 'Always' })], blocks: strange }))).to.deep.equal([]);
    const found = plan({
      nodes: [node('a', '10.0.0.1'), node('b', '10.0.0.2', 'fd00::2')],
      pools: [pool('pods', { vxlanMode: 'Always' }), pool('six', { cidr: 'fd00:65::/112', vxlanMode: 'Always' })],
      blocks: [block('fd00:65::40/122', 'b'), block('10.65.0.64/26', 'b')],
    });
    expect(routes(found)).to.deep.equal(['10.65.0.64/26 vxlan 10.0.0.2']);
    expect(found.problems).to.deep.equal([
      {
        pool: 'six',
        field: 'spec.vxlanMode',
        message:
          'Cannot make the tunnels of pool "six" (spec.vxlanMode): this node has no IPv6 address that other nodes can reach',
      },
    ]);
  });

  it('takes the older of two pools that overlap, and the older of two blocks with one range', () => {
    const pools = [
      pool('young', { vxlanMode: 'CrossSubnet' }, '2026-02-01T00:00:00Z'),
      pool('old', { vxlanMode: 'Always' }, '2026-01-01T00:00:00Z'),
    ];
    const twice = [
      { ...block('10.65.0.64/26', 'c'), metadata: { name: 'x', creationTimestamp: '2026-02-01T00:00:00Z' } },
      { ...block('10.65.0.64/26', 'b'), metadata: { name: 'y', creationTimestamp: '2026-01-01T00:00:00Z' } },
    ];
    expect(routes(plan({ pools, blocks: twice }))).to.deep.equal(['10.65.0.64/26 vxlan 10.0.0.2']);
  });

  it('names every node by an address of one station, locally administered, and no two alike', () => {
    const macs = Array.from({ length: 1000 }, (_, index) => macOf(`node${index}`));
    expect(new Set(macs).size).to.equal(1000);
    for (const mac of macs) expect(parseInt(mac.slice(0, 2), 16) & 3, mac).to.equal(2);
  });
});
