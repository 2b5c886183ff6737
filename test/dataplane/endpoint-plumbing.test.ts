import { expect } from 'chai';
import { formatAddress, parseAddress } from 'node-bgp/address';
import { hostInterfaceName } from '../../src/dataplane/endpoint-name.js';
import { EndpointPlumbing } from '../../src/dataplane/endpoint-plumbing.js';
import { EndpointError, type EndpointSpec } from '../../src/dataplane/endpoint-spec.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { exchange } from './exchange.js';
import { newDescriptors, ownDescriptors } from './own-descriptors.js';
import { exec, ip, ScratchNamespaces, until } from './scratch-namespaces.js';

describe('endpoint plumbing', () => {
  const namespaces = new ScratchNamespaces('tplumb');
  const reapFailures: Error[] = [];
  let node: string;
  let plumbing: EndpointPlumbing;

  before(() => {
    node = namespaces.create();
    plumbing = inNamespace(node, () => new EndpointPlumbing((error) => reapFailures.push(error)));
    exec(node, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    ip(node, 'addr', 'add', '10.0.0.1/32', 'dev', 'lo');
    ip(node, 'addr', 'add', 'fd00::1/128', 'dev', 'lo');
  });

  after(async () => {
    await plumbing.close();
    namespaces.removeAll();
  });

  let serial = 0;
  const specOf = (overrides: Partial<EndpointSpec> = {}): EndpointSpec => {
    serial += 1;
    return {
      containerId: `c${serial}`,
      podInterface: 'eth0',
      hostInterface: hostInterfaceName('shop', `web-${serial}`),
      netns: overrides.netns ?? namespaces.create(),
      addresses: [parseAddress(`10.65.0.${serial}`), parseAddress(`fd00:65::${serial}`)],
      label: `shop/web-${serial}`,
      ...overrides,
    };
  };
  /** In the node's namespace, where the agent runs. */
  const add = (spec: EndpointSpec): ReturnType<EndpointPlumbing['add']> => inNamespace(node, () => plumbing.add(spec));
  const check = (spec: EndpointSpec): readonly string[] => inNamespace(node, () => plumbing.check(spec));

  it('connects a dual-stack pod as the node view promises', () => {
    const spec = specOf();
    const endpoint = add(spec);

    const link = ip(node, '-d', 'link', 'show', spec.hostInterface);
    expect(link)
      .to.match(/<BROADCAST,MULTICAST,UP,LOWER_UP>/)
      .and.to.include('link/ether ee:ee:ee:ee:ee:ee')
      .and.to.include(`alias tortie:${spec.containerId}/eth0 shop/web-1`);
    expect(ip(node, '-br', 'addr', 'show', spec.hostInterface)).to.match(/UP\s+fe80::ecee:eeff:feee:eeee\/64\s*$/);
    expect(ip(node, 'route', 'show', 'proto', '171')).to.match(
      new RegExp(`^10\\.65\\.0\\.1 dev ${spec.hostInterface} scope link\\s*$`),
    );
    expect(ip(node, '-6', 'route', 'show', 'proto', '171')).to.match(
      new RegExp(`^fd00:65::1 dev ${spec.hostInterface} `),
    );

    const pod = spec.netns;
    expect(ip(pod, '-br', 'addr', 'show', 'eth0'))
      .to.include('10.65.0.1/32')
      .and.to.include('fd00:65::1/128');
    expect(ip(pod, 'route')).to.match(
      /^default via 169\.254\.1\.1 dev eth0\s*\n169\.254\.1\.1 dev eth0 scope link\s*$/,
    );
    expect(ip(pod, '-6', 'route', 'show', 'default')).to.match(/^default via fe80::ecee:eeff:feee:eeee dev eth0/);
    expect(ip(pod, 'neigh', 'show', '169.254.1.1')).to.match(/dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT/);
    expect(ip(pod, 'neigh', 'show', 'fe80::ecee:eeff:feee:eeee')).to.match(
      /dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT/,
    );
    expect(ip(pod, 'link', 'show', 'eth0')).to.include(endpoint.pod.mac);
    expect(check(spec)).to.deep.equal([]);
  });

  it('sets every parameter of the host side', () => {
    const spec = specOf();
    add(spec);
    const name = spec.hostInterface;
    const read = (path: string): string => exec(node, 'cat', `/proc/sys/net/${path}`).trim();
    const values = ['proxy_arp', 'forwarding', 'route_localnet', 'rp_filter'].map((key) =>
      read(`ipv4/conf/${name}/${key}`),
    );
    expect(values).to.deep.equal(['1', '1', '1', '1']);
    expect(read(`ipv4/neigh/${name}/proxy_delay`)).to.equal('0');
    expect(
      ['forwarding', 'accept_ra', 'proxy_ndp', 'accept_dad'].map((key) => read(`ipv6/conf/${name}/${key}`)),
    ).to.deep.equal(['1', '0', '1', '0']);
  });

  it('carries packets between two pods and the node, in both families, at once', async () => {
    const [first, second] = [specOf(), specOf()];
    for (const spec of [first, second]) add(spec);
    for (const [from, to, address] of [
      [first.netns, second.netns, '10.65.0.4'],
      [first.netns, second.netns, 'fd00:65::4'],
      [second.netns, node, '10.0.0.1'],
      [second.netns, node, 'fd00::1'],
      [node, first.netns, '10.65.0.3'],
      [node, first.netns, 'fd00:65::3'],
    ] as const)
      expect(await exchange(from, to, address)).to.equal('hello');
  });

  it('connects a pod of one family, either one', () => {
    const ipv4 = specOf({ addresses: [parseAddress('10.65.1.1')] });
    const ipv6 = specOf({ addresses: [parseAddress('fd00:65:1::1')] });
    for (const spec of [ipv4, ipv6]) add(spec);
    expect([check(ipv4), check(ipv6)]).to.deep.equal([[], []]);
    expect(ip(ipv4.netns, '-6', 'route', 'show', 'default')).to.equal('');
    expect(ip(ipv6.netns, '-4', 'route')).to.equal('');
  });

  it('connects an IPv6 pod where the runtime has turned IPv6 off', () => {
    const spec = specOf();
    exec(spec.netns, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1', 'net.ipv6.conf.all.disable_ipv6=1');
    add(spec);
    expect(check(spec)).to.deep.equal([]);
  });

  it('returns the same connection when asked again, and touches nothing', () => {
    const spec = specOf();
    expect(add(spec)).to.deep.equal(add(spec));
  });

  it('completes what a crash or a person left incomplete', () => {
    const spec = specOf();
    add(spec);
    ip(spec.netns, 'route', 'del', 'default');
    expect(check(spec)).to.deep.equal(['The pod lacks the route 0.0.0.0/0 via 169.254.1.1 dev eth0']);
    add(spec);
    expect(check(spec)).to.deep.equal([]);
  });

  it('gives a successor of the same pod name its interface, and does not remove it for the predecessor', async () => {
    const old = specOf();
    add(old);
    const successor = specOf({ hostInterface: old.hostInterface, label: old.label });
    add(successor);
    expect(inNamespace(node, () => plumbing.remove(old))).to.equal(false);
    expect(check(successor)).to.deep.equal([]);
    await plumbing.drain();
    expect(check(successor)).to.deep.equal([]);
  });

  it('knows a removed pod no more, though its interface waits for deletion', () => {
    const spec = specOf();
    add(spec);
    expect([plumbing.remove(spec), plumbing.remove(spec)]).to.deep.equal([true, false]);
    expect(check(spec)).to.deep.equal([`Interface "${spec.hostInterface}" does not exist`]);
    expect(plumbing.list().map((endpoint) => endpoint.hostInterface)).not.to.include(spec.hostInterface);
    add(spec);
    expect(check(spec)).to.deep.equal([]);
  });

  it('reconnects the same namespace at once after a removal', () => {
    const spec = specOf();
    add(spec);
    expect(plumbing.remove(spec)).to.equal(true);
    const again = specOf({ netns: spec.netns });
    add(again);
    expect(check(again)).to.deep.equal([]);
  });

  it('removes at once what forwards, and the interface soon after', async () => {
    const spec = specOf({ addresses: [parseAddress('10.65.2.1')] });
    add(spec);
    expect(plumbing.remove(spec)).to.equal(true);
    expect(ip(node, 'route', 'show', '10.65.2.1')).to.equal('');
    expect(plumbing.list().map((endpoint) => endpoint.hostInterface)).not.to.include(spec.hostInterface);
    await until('the veth to go', () => !/\beth0\b/.test(ip(spec.netns, '-br', 'link')));
    expect(ip(node, '-br', 'link')).not.to.include(spec.hostInterface);
    expect(plumbing.remove(spec)).to.equal(false);
    expect(reapFailures).to.deep.equal([]);
  });

  it('deletes what a predecessor retired and did not live to delete', async () => {
    const spec = specOf();
    const dying = inNamespace(node, () => new EndpointPlumbing(() => undefined));
    inNamespace(node, () => dying.add(spec));
    dying.remove(spec);
    await dying.close();
    expect(ip(node, '-br', 'link')).to.include(spec.hostInterface);
    const next = inNamespace(node, () => new EndpointPlumbing((error) => reapFailures.push(error)));
    await until('the leftover to go', () => !ip(node, '-br', 'link').includes(spec.hostInterface));
    await next.close();
  });

  it('lists what it made, with its owner', () => {
    const spec = specOf();
    add(spec);
    const found = plumbing.list().find((endpoint) => endpoint.hostInterface === spec.hostInterface);
    expect(found).to.include({ owner: `${spec.containerId}/eth0`, isUp: true, hasCarrier: true });
  });

  it('refuses a name that a foreign interface has, and leaves that interface alone', () => {
    const spec = specOf();
    ip(node, 'link', 'add', spec.hostInterface, 'type', 'bridge');
    expect(() => add(spec)).to.throw(
      EndpointError,
      `Cannot use "${spec.hostInterface}" for pod "${spec.label}": an interface of that name exists and is not Tortie's`,
    );
    expect(ip(node, '-d', 'link', 'show', spec.hostInterface)).to.include('bridge');
    expect(plumbing.remove(spec)).to.equal(false);
  });

  it("refuses a name that another pod's interface has, and leaves that pod alone", () => {
    const living = specOf();
    add(living);
    expect(() => add(specOf({ hostInterface: living.hostInterface }))).to.throw(
      EndpointError,
      `has the alias "tortie:${living.containerId}/eth0 ${living.label}"`,
    );
    expect(check(living)).to.deep.equal([]);
  });

  it('gives a pod a second interface that answers from its own address, on its own routes', () => {
    const first = specOf();
    const second = specOf({ netns: first.netns, containerId: first.containerId, podInterface: 'net1' });
    add(first);
    add(second);
    add(second);
    expect(check(first).concat(check(second))).to.deep.equal([]);
    const [address = ''] = second.addresses.map(formatAddress);
    // With strict reverse-path checks on the host side, an answer that left by eth0 would be dropped.
    for (const name of [first.hostInterface, second.hostInterface])
      exec(node, 'sysctl', '-qw', `net.ipv4.conf.${name}.rp_filter=1`);
    for (const { family } of second.addresses)
      for (const spec of [first, second]) {
        const to = formatAddress(spec.addresses.find((one) => one.family === family) ?? parseAddress('::'));
        expect(exec(node, 'ping', `-${family}`, '-c1', '-W2', to), to).to.include(' 0% packet loss');
      }
    exec(first.netns, 'ip', 'rule', 'del', 'from', address);
    expect(check(second)).to.have.length(1);
    expect(check(second)[0]).to.match(new RegExp(`^The pod lacks the rule from ${address} lookup 10`));
    add(second);
    expect(check(second)).to.deep.equal([]);
    expect(plumbing.remove(second)).to.equal(true);
    expect(check(first)).to.deep.equal([]);
  });

  it('refuses a pod that has a foreign interface of the name, and leaves nothing behind', () => {
    const spec = specOf();
    ip(spec.netns, 'link', 'add', 'eth0', 'type', 'bridge');
    expect(() => add(spec)).to.throw(EndpointError, 'Cannot create "eth0" in');
    expect(ip(node, '-br', 'link')).not.to.include(spec.hostInterface);
  });

  it('holds no descriptor of a pod, whatever became of it', () => {
    const [good, taken, gone] = [specOf(), specOf(), specOf()];
    ip(taken.netns, 'link', 'add', 'eth0', 'type', 'bridge');
    namespaces.remove(gone.netns);
    const cycle = (): void => {
      add(good);
      check(good);
      plumbing.remove(good);
      for (const spec of [taken, gone]) expect(() => add(spec)).to.throw(EndpointError);
    };
    cycle();
    const before = ownDescriptors();
    for (let i = 0; i < 10; i++) cycle();
    expect(newDescriptors(before)).to.deep.equal([]);
  });

  it('says so when the namespace has gone, and leaves nothing behind', () => {
    const spec = specOf();
    namespaces.remove(spec.netns);
    expect(() => add(spec))
      .to.throw(EndpointError, `Cannot open network namespace "${spec.netns}": there is none at that path`)
      .with.property('reason', 'namespace-gone');
    expect(check(spec)).to.deep.equal([`Cannot open network namespace "${spec.netns}": there is none at that path`]);
  });

  it('forgets a pod whose namespace went first', async () => {
    const spec = specOf();
    add(spec);
    namespaces.remove(spec.netns);
    await until('the kernel to dismantle the namespace', () => !ip(node, '-br', 'link').includes(spec.hostInterface));
    expect(plumbing.remove(spec)).to.equal(false);
  });

  it('takes an address over from a stale route of ours, never from a foreign one', async () => {
    const [stale, foreign] = [specOf(), specOf()];
    const [ours = '', theirs = ''] = [stale, foreign].map((spec) =>
      String(spec.addresses[0] && formatAddress(spec.addresses[0])),
    );
    ip(node, 'route', 'add', 'blackhole', ours, 'proto', '171');
    ip(node, 'route', 'add', 'blackhole', theirs, 'proto', 'static');
    add(stale);
    expect(check(stale)).to.deep.equal([]);
    expect(() => add(foreign)).to.throw(EndpointError, `Cannot add route ${theirs}/32: file already exists`);
    expect(ip(node, 'route', 'show', theirs)).to.match(/^blackhole .* proto static/);
    await plumbing.drain();
    expect(ip(node, '-br', 'link')).not.to.include(foreign.hostInterface);
  });

  it('leaves nothing behind when the kernel refuses a step', () => {
    const spec = specOf({ mtu: 20 });
    expect(() => add(spec)).to.throw(EndpointError, 'Cannot connect the pod in');
    expect(ip(node, '-br', 'link')).not.to.include(spec.hostInterface);
    expect(ip(spec.netns, '-br', 'link')).not.to.match(/eth0/);
  });
});
