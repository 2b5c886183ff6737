import { expect } from 'chai';
import type { ClusterFacts } from '../../src/doctor/cluster-facts.js';
import { checkNode } from '../../src/doctor/doctor.js';
import type { CheckName, Severity } from '../../src/doctor/finding.js';
import type { NodeFacts } from '../../src/doctor/node-facts.js';
import { link, peer, route, soundCluster, soundNode, summary } from './world.js';

type Spoilt = Partial<NodeFacts>;
const sysctl = (name: string, value: string): Spoilt => ({ sysctls: new Map([...soundNode.sysctls, [name, value]]) });
const links = soundNode.links ?? [];
const routes = soundNode.routes ?? [];
const second = {
  links: [...links, link(4, 'eth1')],
  routes: [...routes, route('10.9.0.0/16', { nextHops: [{ interfaceIndex: 4, via: '198.51.100.1' }] })],
};

const CASES: readonly (readonly [CheckName, Severity, string, Spoilt, RegExp, Partial<ClusterFacts>?])[] = [
  [
    'kernel-feature',
    'error',
    'a feature is missing',
    {
      features: [
        { name: 'veth interfaces', kernelPart: 'CONFIG_VETH', purpose: 'pods', isRequired: true, problem: 'ENODEV' },
      ],
    },
    /lacks veth interfaces: ENODEV/,
  ],
  [
    'kernel-feature',
    'info',
    'one that is not needed is missing',
    {
      features: [
        { name: 'IPv6', kernelPart: 'CONFIG_IPV6', purpose: 'dual-stack pods', isRequired: false, problem: 'none' },
      ],
    },
    /lacks IPv6/,
  ],
  ['forwarding', 'error', 'IPv4 is not forwarded', sysctl('net.ipv4.ip_forward', '0'), /^net\.ipv4\.ip_forward is 0/],
  [
    'forwarding',
    'error',
    'IPv6 is not forwarded and has a pool',
    sysctl('net.ipv6.conf.all.forwarding', '0'),
    /^net\.ipv6/,
    { ipPools: [{ metadata: { name: 'q' }, spec: { cidr: 'fd00::/112' } }] },
  ],
  ['rp-filter', 'warning', 'loose for all', sysctl('net.ipv4.conf.all.rp_filter', '2'), /all\.rp_filter is 2/],
  [
    'rp-filter',
    'warning',
    'strict on one of two uplinks',
    second,
    /leave by eth0, eth1, and rp_filter is 1 \(strict\) on eth0:/,
  ],
  [
    'multipath-hash',
    'info',
    'several next hops by address alone',
    {
      routes: [
        ...routes,
        route('10.9.0.0/16', {
          nextHops: [
            { interfaceIndex: 2, via: '192.0.2.8' },
            { interfaceIndex: 2, via: '192.0.2.9' },
          ],
        }),
      ],
    },
    /1 routes have several next hops \(10\.9\.0\.0\/16\)/,
  ],
  [
    'optmem-max',
    'error',
    'more keys than room',
    sysctl('net.core.optmem_max', '200'),
    /Up to 2 peers have TCP-MD5 keys; net\.core\.optmem_max 200 holds about 1/,
    {
      bgpPeers: [1, 2].map((n) => ({
        metadata: { name: `k${n}` },
        spec: { peerIP: `192.0.2.${n}`, asNumber: 65001, password: {} },
      })),
    },
  ],
  [
    'conntrack',
    'warning',
    'the table of connections fills',
    sysctl('net.netfilter.nf_conntrack_count', '850'),
    /^850 connections are tracked, 85 % of/,
  ],
  [
    'conntrack',
    'error',
    'the table of connections is full',
    sysctl('net.netfilter.nf_conntrack_count', '1000'),
    /100 %/,
  ],
  [
    'neighbours',
    'warning',
    'the table of ARP fills',
    { neighbours: { 4: 81, 6: 0 } },
    /^81 neighbours of IPv4 are known, 81 % of net\.ipv4\.neigh/,
  ],
  [
    'network-manager',
    'warning',
    'networkd has not been told',
    { managers: [{ name: 'systemd-networkd', missing: ['/etc/x'] }] },
    /^systemd-networkd runs, and \/etc\/x is not there/,
  ],
  [
    'mtu',
    'error',
    'pods send more than the link takes',
    { links: links.map((each) => (each.name === 'eth0' ? { ...each, mtu: 1400 } : each)) },
    /^1 pods have interfaces of MTU 1500 \(tort0123456789a\); routes leave by eth0 with 1400$/,
  ],
  [
    'node-address',
    'error',
    'another machine',
    { links: links.map((each) => ({ ...each, addresses: [] })) },
    /^Node "a" has the address 192\.0\.2\.1, and no interface/,
  ],
  ['node-address', 'error', 'no such Node', {}, /knows no Node "a"/, { nodes: [] }],
  ['bgpd', 'error', 'bgpd is away', { bgpd: { problem: 'no socket' } }, /^bgpd does not answer: no socket$/],
  ['bgpd', 'error', 'bgpd was never told', { bgpd: { summary: { isConfigured: false } } }, /no configuration/],
  [
    'bgp-port',
    'error',
    'somebody else has the port',
    {
      bgpd: summary({ listen: [{ address: '0.0.0.0', port: 179, problem: 'EADDRINUSE' }] }),
      listeners: [{ address: '0.0.0.0', port: 179, owner: { pid: 7, name: 'bird' } }],
    },
    /cannot listen on 0\.0\.0\.0 port 179: EADDRINUSE; there: 0\.0\.0\.0 by bird \(pid 7\)$/,
  ],
  ['bgp-port', 'error', 'bgpd listens elsewhere', { listeners: [] }, /nobody does in this network namespace/],
  [
    'bgp-session',
    'error',
    'a session is down',
    { bgpd: summary({ peers: [peer({ state: 'Active', isEstablished: false, lastError: 'refused' })] }) },
    /^The session with rack \(192\.0\.2\.254, AS 65001\) is Active: refused$/,
  ],
  [
    'bgp-session',
    'error',
    'a session carries nothing',
    { bgpd: summary({ peers: [peer({ problem: 'no family in common' })] }) },
    /no family in common/,
  ],
  [
    'bgp-routes',
    'error',
    'the kernel refuses routes',
    { bgpd: summary({ kernel: { routes: 1, refused: 2, stale: 0, contested: 0, repaired: 0 } }) },
    /refuses 2 learned routes/,
  ],
  [
    'bgp-routes',
    'error',
    'somebody takes routes away',
    { bgpd: summary({ kernel: { routes: 1, refused: 0, stale: 0, contested: 3, repaired: 9 } }) },
    /keeps changing 3/,
  ],
  [
    'bgp-routes',
    'warning',
    'routes of an earlier bgpd',
    { bgpd: summary({ kernel: { routes: 1, refused: 0, stale: 4, contested: 0, repaired: 0 } }) },
    /^4 routes in the kernel are of an earlier bgpd/,
  ],
  [
    'pod-route',
    'error',
    'a pod has no route',
    { routes: routes.filter(({ prefix }) => prefix !== '10.0.0.5/32') },
    /10\.0\.0\.5 of pod "shop\/web"/,
  ],
  [
    'pod-route',
    'error',
    "a pod's route leads elsewhere",
    { routes: [...routes.slice(0, 2), route('10.0.0.5/32')] },
    /10\.0\.0\.5 of pod "shop\/web"/,
  ],
  [
    'pod-route',
    'warning',
    'a block has no blackhole',
    { routes: routes.filter(({ type }) => type !== 6) },
    /no blackhole for 1 blocks of this node: 10\.0\.0\.0\/26/,
  ],
  [
    'leftover',
    'warning',
    'an interface of another network',
    { links: [...links, link(9, 'flannel.1')] },
    /^1 interfaces of other networks are there: flannel\.1 \(flannel\)$/,
  ],
  [
    'leftover',
    'warning',
    'routes of another network',
    { routes: [...routes, route('10.244.0.0/24', { protocol: 80 })] },
    /1 routes of Calico's Felix are in the main table: 10\.244\.0\.0\/24/,
  ],
  [
    'leftover',
    'warning',
    'rules of another network',
    { chains: ['3 chains of Calico in iptables-nft, such as cali-FORWARD'] },
    /cali-FORWARD/,
  ],
  [
    'cni-config',
    'error',
    'another network is read first',
    { cniFiles: ['05-cilium.conflist', '10-tortie.conflist'] },
    /reads 05-cilium\.conflist first/,
  ],
  ['cni-config', 'error', 'ours is missing', { cniFiles: [] }, /no 10-tortie\.conflist .*\(there: none\)/],
  [
    'unread',
    'warning',
    'something could not be read',
    { unread: [{ what: 'x', why: 'EPERM' }] },
    /^Not looked at: x: EPERM$/,
  ],
  [
    'unread',
    'info',
    'something was not to be read here',
    { unread: [{ what: 'x', why: 'y', isExpected: true }] },
    /^Not looked at: x: y$/,
  ],
];

describe('doctor: a node', () => {
  it('finds nothing wrong with a sound one', () => expect(checkNode(soundNode, soundCluster)).to.deep.equal([]));
  it('finds nothing wrong with a sound one of which the cluster is not known', () =>
    expect(checkNode(soundNode, undefined)).to.deep.equal([]));
  for (const [check, severity, what, facts, evidence, cluster = {}] of CASES)
    it(`${check}: ${what}`, () => {
      const findings = checkNode({ ...soundNode, ...facts }, { ...soundCluster, ...cluster });
      expect(findings.map((each) => [each.check, each.severity, each.where])).to.deep.equal([
        [check, severity, 'node "a"'],
      ]);
      expect(findings[0]?.evidence).to.match(evidence);
      expect(findings[0]?.remedy).to.match(/^(bgpd|[A-Z`]).*\.$/);
    });
  it('says nothing of what it could not see', () => {
    const { features: _f, links: _l, routes: _r, neighbours: _n, listeners: _s, cniFiles: _c, ...rest } = soundNode;
    expect(checkNode({ ...rest, sysctls: new Map() }, soundCluster)).to.deep.equal([]);
  });
});
