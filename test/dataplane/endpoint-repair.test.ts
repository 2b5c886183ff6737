import { expect } from 'chai';
import { parseAddress } from 'node-bgp/address';
import { hostInterfaceName } from '../../src/dataplane/endpoint-name.js';
import { EndpointPlumbing } from '../../src/dataplane/endpoint-plumbing.js';
import type { EndpointSpec } from '../../src/dataplane/endpoint-spec.js';
import { EndpointWatch } from '../../src/dataplane/endpoint-watch.js';
import { NetlinkSocket } from '../../src/dataplane/netlink/netlink-socket.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { exchange } from './exchange.js';
import { exec, ip, ScratchNamespaces, until } from './scratch-namespaces.js';

/** What somebody may do to a pod's connection: on the node, or in the pod. */
interface Damage {
  readonly what: string;
  readonly side: 'node' | 'pod';
  readonly argv: (spec: EndpointSpec) => readonly (readonly string[])[];
}

const conf = (family: 'ipv4' | 'ipv6', key: string, value: number): Damage => ({
  what: `${family} ${key} is ${value}`,
  side: 'node',
  argv: ({ hostInterface }) => [['sysctl', '-qw', `net/${family}/conf/${hostInterface}/${key}=${value}`]],
});
const onNode = (what: string, ...words: readonly string[]): Damage => ({
  what,
  side: 'node',
  argv: ({ hostInterface }) => [['ip', ...words.map((word) => (word === 'IF' ? hostInterface : word))]],
});
const inPod = (what: string, ...words: readonly string[]): Damage => ({
  what,
  side: 'pod',
  argv: () => [['ip', ...words]],
});

const DAMAGES: readonly Damage[] = [
  onNode('the link is down', 'link', 'set', 'IF', 'down'),
  {
    what: 'the link is flapped',
    side: 'node',
    argv: ({ hostInterface }) => [
      ['ip', 'link', 'set', hostInterface, 'down'],
      ['ip', 'link', 'set', hostInterface, 'up'],
    ],
  },
  {
    what: 'the link is renamed',
    side: 'node',
    argv: ({ hostInterface }) => [
      ['ip', 'link', 'set', hostInterface, 'down'],
      ['ip', 'link', 'set', hostInterface, 'name', 'veth-lost'],
      ['ip', 'link', 'set', 'veth-lost', 'up'],
    ],
  },
  onNode('the alias is gone', 'link', 'set', 'IF', 'alias', ''),
  onNode('the MAC address is another', 'link', 'set', 'IF', 'address', '02:00:00:00:00:09'),
  onNode('the MTU is smaller', 'link', 'set', 'IF', 'mtu', '1400'),
  onNode("the gateway's link-local address is gone", '-6', 'addr', 'flush', 'dev', 'IF'),
  onNode('the IPv4 route is gone', 'route', 'flush', 'dev', 'IF'),
  onNode('the IPv6 route is gone', '-6', 'route', 'flush', 'dev', 'IF', 'proto', '171'),
  onNode('the interface is gone', 'link', 'del', 'IF'),
  conf('ipv4', 'proxy_arp', 0),
  conf('ipv4', 'forwarding', 0),
  conf('ipv4', 'route_localnet', 0),
  conf('ipv4', 'rp_filter', 0),
  conf('ipv6', 'disable_ipv6', 1),
  conf('ipv6', 'forwarding', 0),
  conf('ipv6', 'accept_ra', 2),
  conf('ipv6', 'proxy_ndp', 0),
  conf('ipv6', 'accept_dad', 1),
  {
    what: 'proxy_delay is 80',
    side: 'node',
    argv: ({ hostInterface }) => [['sysctl', '-qw', `net/ipv4/neigh/${hostInterface}/proxy_delay=80`]],
  },
  inPod('the link is down', 'link', 'set', 'eth0', 'down'),
  {
    what: 'the link is renamed',
    side: 'pod',
    argv: () => [
      ['ip', 'link', 'set', 'eth0', 'down'],
      ['ip', 'link', 'set', 'eth0', 'name', 'lost'],
    ],
  },
  inPod('the addresses are gone', 'addr', 'flush', 'dev', 'eth0'),
  inPod('the IPv4 neighbour is gone', 'neigh', 'del', '169.254.1.1', 'dev', 'eth0'),
  inPod('the IPv6 neighbour is gone', 'neigh', 'del', 'fe80::ecee:eeff:feee:eeee', 'dev', 'eth0'),
  inPod('the neighbour is another', 'neigh', 'replace', '169.254.1.1', 'lladdr', '02:00:00:00:00:07', 'dev', 'eth0'),
  inPod('the IPv4 routes are gone', 'route', 'flush', 'dev', 'eth0'),
  inPod('the IPv6 default route is gone', '-6', 'route', 'del', 'default'),
  {
    what: 'IPv6 is off',
    side: 'pod',
    argv: () => [['sysctl', '-qw', 'net/ipv6/conf/eth0/disable_ipv6=1']],
  },
];

describe('endpoint repair', () => {
  const namespaces = new ScratchNamespaces('trepair');
  let node: string;
  let plumbing: EndpointPlumbing;
  let socket: NetlinkSocket;
  let watch: EndpointWatch;

  before(() => {
    node = namespaces.create();
    plumbing = inNamespace(node, () => new EndpointPlumbing(() => undefined));
    socket = inNamespace(node, () => new NetlinkSocket());
    watch = inNamespace(node, () => new EndpointWatch(socket));
    exec(node, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    ip(node, 'addr', 'add', '10.0.0.1/32', 'dev', 'lo');
    ip(node, 'addr', 'add', 'fd00::1/128', 'dev', 'lo');
  });

  after(async () => {
    watch.close();
    socket.close();
    await plumbing.close();
    namespaces.removeAll();
  });

  let serial = 0;
  const connect = (podInterface = 'eth0', netns = namespaces.create()): EndpointSpec => {
    serial += 1;
    const spec = {
      containerId: `c${serial}`,
      podInterface,
      hostInterface: hostInterfaceName('shop', `web-${serial}`),
      netns,
      addresses: [parseAddress(`10.65.0.${serial}`), parseAddress(`fd00:65::${serial}`)],
      label: `shop/web-${serial}`,
      mtu: 1500,
    };
    inNamespace(node, () => plumbing.add(spec));
    return spec;
  };
  const check = (spec: EndpointSpec): readonly string[] => inNamespace(node, () => plumbing.check(spec));
  const repair = (spec: EndpointSpec): readonly string[] => inNamespace(node, () => plumbing.repair(spec));
  const suspects = (specs: readonly EndpointSpec[]): readonly EndpointSpec[] =>
    inNamespace(node, () => watch.suspects(specs, true));
  const harm = (spec: EndpointSpec, { side, argv }: Damage): void => {
    for (const command of argv(spec)) exec(side === 'node' ? node : spec.netns, ...command);
  };
  /** Looks until nothing is suspected any more but whose turn it is. */
  const settle = (specs: readonly EndpointSpec[]): void => {
    for (let i = 0; i < 3; i++) suspects(specs);
  };

  for (const damage of DAMAGES)
    it(`notices, tells and mends, on the ${damage.side}'s side: ${damage.what}`, async () => {
      const spec = connect();
      const others = [connect(), connect(), connect(), connect()];
      const all = [...others, spec];
      settle(all);
      harm(spec, damage);

      // What happened in a pod is taken up one look later.
      const seen = [...suspects(all), ...suspects(all)];
      // The IPv4 and IPv6 routes of the node are the route table's to watch.
      if (!/^the IPv. route is gone/.test(damage.what)) expect(seen).to.include(spec);
      expect(check(spec), 'CHECK').to.not.deep.equal([]);
      expect(repair(spec), 'what was wrong').to.not.deep.equal([]);

      expect(check(spec)).to.deep.equal([]);
      expect(repair(spec), 'a second look').to.deep.equal([]);
      const [ipv4, ipv6] = [`10.65.0.${serial - 4}`, `fd00:65::${serial - 4}`];
      expect(await exchange(node, spec.netns, ipv4)).to.equal('hello');
      expect(await exchange(node, spec.netns, ipv6)).to.equal('hello');
    });

  it('suspects nobody for long while nothing happens', () => {
    const all = Array.from({ length: 8 }, () => connect());
    settle(all);
    const turns = Array.from({ length: 8 }, () => suspects(all));
    expect(turns.map(({ length }) => length)).to.deep.equal(turns.map(() => 1));
    expect(new Set(turns.flat()).size, 'everybody has a turn').to.equal(8);
  });

  it('leaves the other connections as they are', () => {
    const [hurt, well] = [connect(), connect()];
    const before = ip(node, '-d', 'addr', 'show', well.hostInterface);
    ip(node, 'link', 'set', hurt.hostInterface, 'down');
    repair(hurt);
    expect(ip(node, '-d', 'addr', 'show', well.hostInterface)).to.equal(before);
  });

  it('mends the routes and rules of a second interface', () => {
    const first = connect();
    const second = connect('net1', first.netns);
    ip(first.netns, 'rule', 'del', 'from', `10.65.0.${serial}`);
    ip(first.netns, '-6', 'addr', 'flush', 'dev', 'net1', 'scope', 'global');
    expect(repair(second)).to.not.deep.equal([]);
    expect([check(first), check(second)]).to.deep.equal([[], []]);
  });

  it("leaves a pod's interface to whoever took it over: a bridge, or another of its name", () => {
    const spec = connect();
    const pod = spec.netns;
    // As KubeVirt does it.
    ip(pod, 'addr', 'flush', 'dev', 'eth0');
    ip(pod, 'link', 'set', 'eth0', 'down');
    ip(pod, 'link', 'set', 'eth0', 'name', 'eth0-nic');
    ip(pod, 'link', 'add', 'k6t-eth0', 'type', 'bridge');
    ip(pod, 'link', 'set', 'eth0-nic', 'master', 'k6t-eth0', 'up');
    repair(spec);
    expect(ip(pod, '-br', 'link', 'show', 'eth0-nic')).to.include('UP');
    ip(pod, 'link', 'add', 'eth0', 'type', 'bridge');
    const before = ip(pod, 'addr');
    repair(spec);
    expect(ip(pod, 'addr')).to.equal(before);
  });

  it("leaves a pod's own default route alone", () => {
    const spec = connect();
    const pod = spec.netns;
    ip(pod, 'link', 'add', 'tun0', 'type', 'bridge');
    ip(pod, 'link', 'set', 'tun0', 'up');
    ip(pod, 'route', 'replace', 'default', 'dev', 'tun0');
    repair(spec);
    expect(ip(pod, 'route', 'show', 'default').trim()).to.match(/^default dev tun0/);
    expect(ip(pod, 'rule')).to.not.include('lookup 100');
  });

  it('makes nothing anew for a pod whose namespace has gone, and takes no foreign interface', async () => {
    const gone = connect();
    namespaces.remove(gone.netns);
    await until('its interface to go', () => !ip(node, 'link').includes(gone.hostInterface));
    expect(repair(gone)).to.deep.equal([]);
    expect(ip(node, 'link')).to.not.include(gone.hostInterface);

    const robbed = connect();
    ip(node, 'link', 'del', robbed.hostInterface);
    ip(node, 'link', 'add', robbed.hostInterface, 'type', 'bridge');
    expect(() => repair(robbed)).to.throw(/is not Tortie's/);
    expect(ip(node, '-d', 'link', 'show', robbed.hostInterface)).to.include('bridge');
  });
});
