/** Addresses of Services, from what users write to their status, condition and events. */
import { expect } from 'chai';
import type { Cluster } from '../../../src/cluster/cluster.js';
import type { AddressLoop, AddressLoopOptions } from '../../../src/controller/load-balancer/address-loop.js';
import { loopOf, newCluster, poolOf, serviceOf, ServiceServer, settle } from './world.js';

describe('controller/load-balancer', () => {
  let cluster: Cluster;
  let server: ServiceServer;
  let loops: AddressLoop[];

  const start = (more: Partial<AddressLoopOptions> = {}): AddressLoop => {
    const loop = loopOf(cluster, server.datastore, { record: server.record, ...more });
    loops.push(loop);
    loop.start();
    return loop;
  };
  const pools = (...objects: ReturnType<typeof poolOf>[]): void => {
    for (const object of objects) cluster.upsert('ipPools', object);
  };

  beforeEach(() => {
    cluster = newCluster();
    server = new ServiceServer([cluster]);
    loops = [];
    cluster.upsert('namespaces', { metadata: { name: 'shop', labels: { team: 'a' } } });
    pools(poolOf('lb', '198.51.100.0/28'), poolOf('lb6', '2001:db8::/124'));
  });
  afterEach(() => {
    for (const loop of loops) loop.stop();
  });

  it('gives each Service an address of its own, and says so', async () => {
    start();
    for (const name of ['a', 'b']) server.apply(serviceOf(name));
    await settle();
    expect([server.ingressOf('a'), server.ingressOf('b')]).to.deep.equal([['198.51.100.0'], ['198.51.100.1']]);
    expect(server.conditionOf('a')).to.equal('True Assigned: Has 198.51.100.0');
    expect(
      server.events.map(({ type, reason, note, object }) => [type, reason, note, object.metadata.name]),
    ).to.deep.equal([
      ['Normal', 'IPAllocated', 'Has 198.51.100.0', 'a'],
      ['Normal', 'IPAllocated', 'Has 198.51.100.1', 'b'],
    ]);
  });

  it('keeps an address over restarts, changes, and disabled pools; frees it on deletion', async () => {
    start().stop();
    server.apply(serviceOf('z', { loadBalancerIP: '198.51.100.9' }));
    start();
    await settle();
    expect(server.ingressOf('z')).to.deep.equal(['198.51.100.9']);
    const kept = serviceOf('z');
    server.apply(kept);
    pools(poolOf('lb', '198.51.100.0/28', { disabled: true }));
    await settle();
    expect(server.ingressOf('z')).to.deep.equal(['198.51.100.9']);
    server.apply(serviceOf('next'));
    await settle();
    expect(server.conditionOf('next')).to.include('False NoPool').and.include('"lb" is disabled');
    pools(poolOf('lb', '198.51.100.0/28'));
    server.apply(serviceOf('wants', { loadBalancerIP: '198.51.100.9' }));
    await settle();
    expect(server.conditionOf('wants')).to.equal(
      'False AddressInUse: Cannot assign an address: 198.51.100.9 is in use: Service "shop/z" has it',
    );
    server.delete('shop/z');
    await settle();
    expect([server.ingressOf('wants'), server.conditionOf('wants')]).to.deep.equal([
      ['198.51.100.9'],
      'True Assigned: Has 198.51.100.9',
    ]);
  });

  it('writes nothing when there is nothing new, after a restart neither', async () => {
    start();
    server.apply(serviceOf('a'));
    server.apply(serviceOf('b', { loadBalancerIP: '192.0.2.1' }));
    await settle();
    const versions = (): readonly unknown[] =>
      [...server.services.values()].map(({ metadata }) => metadata.resourceVersion);
    const [before, events] = [versions(), server.events.length];
    start().everything();
    await settle();
    expect([versions(), server.events.length]).to.deep.equal([before, events]);
  });

  for (const [what, spec, annotations, expected] of [
    ['spec.loadBalancerIP', { loadBalancerIP: '198.51.100.5' }, {}, ['198.51.100.5']],
    ["Calico's loadBalancerIPs", {}, { 'projectcalico.org/loadBalancerIPs': '["198.51.100.6"]' }, ['198.51.100.6']],
    ["Calico's ipv4pools", {}, { 'projectcalico.org/ipv4pools': '["manual"]' }, ['203.0.113.0']],
    ["MetalLB's loadBalancerIPs", {}, { 'metallb.io/loadBalancerIPs': '198.51.100.7' }, ['198.51.100.7']],
    ["MetalLB's former prefix", {}, { 'metallb.universe.tf/loadBalancerIPs': '198.51.100.8' }, ['198.51.100.8']],
    ["MetalLB's address-pool", {}, { 'metallb.io/address-pool': 'manual' }, ['203.0.113.0']],
    ["MetalLB's former address-pool", {}, { 'metallb.universe.tf/address-pool': 'manual' }, ['203.0.113.0']],
    ["Calico's ipv6pools", { ipFamilies: ['IPv6'] }, { 'projectcalico.org/ipv6pools': '["lb6"]' }, ['2001:db8::']],
    [
      "the first of Calico's pools that has one",
      {},
      { 'projectcalico.org/ipv4pools': '["full","lb"]' },
      ['198.51.100.0'],
    ],
    [
      "MetalLB's list of both families",
      { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'PreferDualStack' },
      { 'metallb.io/loadBalancerIPs': '198.51.100.7, 2001:db8::7' },
      ['198.51.100.7', '2001:db8::7'],
    ],
    [
      "Calico's list of both families",
      { ipFamilies: ['IPv6', 'IPv4'], ipFamilyPolicy: 'RequireDualStack' },
      { 'projectcalico.org/loadBalancerIPs': '["198.51.100.7","2001:DB8:0::7"]' },
      ['2001:db8::7', '198.51.100.7'],
    ],
    [
      'one address that two annotations ask for',
      { loadBalancerIP: '198.51.100.5' },
      { 'metallb.io/loadBalancerIPs': '198.51.100.5', 'projectcalico.org/loadBalancerIPs': '["198.51.100.5"]' },
      ['198.51.100.5'],
    ],
    ["Calico's class", { loadBalancerClass: 'calico' }, {}, ['198.51.100.0']],
    ["another controller's class", { loadBalancerClass: 'example.com/other' }, {}, []],
  ] as const)
    it(`does as ${what} asks`, async () => {
      pools(poolOf('manual', '203.0.113.0/30', { assignmentMode: 'Manual' }));
      pools(poolOf('full', '203.0.113.9/32'));
      server.apply(serviceOf('other', { loadBalancerIP: '203.0.113.9' }));
      start();
      await settle();
      server.apply(serviceOf('a', spec, { ...annotations }));
      await settle();
      expect(server.ingressOf('a')).to.deep.equal(expected);
    });

  for (const [what, spec, annotations, reason, text] of [
    [
      'an address that is none',
      { loadBalancerIP: 'x' },
      {},
      'InvalidRequest',
      'spec.loadBalancerIP is "x"; expected an address',
    ],
    [
      'a list that is no JSON',
      {},
      { 'projectcalico.org/ipv4pools': 'lb' },
      'InvalidRequest',
      'projectcalico.org/ipv4pools is "lb"; expected a JSON list',
    ],
    [
      'two addresses of one family',
      { loadBalancerIP: '198.51.100.5' },
      { 'metallb.io/loadBalancerIPs': '198.51.100.6' },
      'InvalidRequest',
      'asks for 198.51.100.6, and 198.51.100.5 is asked for, too',
    ],
    ['an address of a family it is not of', { loadBalancerIP: '2001:db8::1' }, {}, 'InvalidRequest', 'not of IPv6'],
    [
      'an address outside all pools',
      { loadBalancerIP: '192.0.2.1' },
      {},
      'AddressOutsidePools',
      '192.0.2.1 is in no IPPool',
    ],
    [
      'an address of another pool than it names',
      { loadBalancerIP: '198.51.100.5' },
      { 'metallb.io/address-pool': 'other' },
      'AddressOutsidePools',
      '198.51.100.5 is in pool "lb", and "other" is asked for',
    ],
    [
      'a pool that is not there',
      {},
      { 'metallb.io/address-pool': 'other' },
      'PoolNotUsable',
      'there is no IPv4 IPPool "other"',
    ],
    [
      'a pool for pods',
      {},
      { 'projectcalico.org/ipv4pools': '["pods"]' },
      'PoolNotUsable',
      'there is no IPv4 IPPool "pods" with allowedUses LoadBalancer',
    ],
  ] as const)
    it(`says why it waits: ${what}`, async () => {
      pools(poolOf('pods', '10.65.0.0/16', { allowedUses: ['Workload'] }));
      start();
      server.apply(serviceOf('a', spec, { ...annotations }));
      await settle();
      expect(server.ingressOf('a')).to.deep.equal([]);
      expect(server.conditionOf('a'))
        .to.match(new RegExp(`^False ${reason}: `))
        .and.include(text);
      expect(server.events.map((event) => event.reason)).to.deep.equal(['AllocationFailed']);
      expect(loops[0]?.waiting.has('shop/a')).to.equal(true);
    });

  it('says that a pool is full, and gives the first address that is free again to who waits', async () => {
    start();
    for (let index = 0; index < 17; index++) server.apply(serviceOf(`s${index}`));
    await settle(300);
    const waiting = [...(loops[0]?.waiting ?? [])].map((key) => key.slice('shop/'.length));
    expect(waiting).to.have.length(1);
    const [last = ''] = waiting;
    expect(server.conditionOf(last)).to.include('no address is left in pool "lb" (198.51.100.0/28)');
    server.delete(last === 's3' ? 'shop/s4' : 'shop/s3');
    await settle();
    expect(server.ingressOf(last)).to.have.length(1);
  });

  it('shares an address only when both ask for it, their ports differ, and any node will do', async () => {
    const key = { 'metallb.io/allow-shared-ip': 'k' };
    const at = { loadBalancerIP: '198.51.100.5' };
    start();
    server.apply(serviceOf('first', at, key));
    await settle();
    const refused: readonly (readonly [string, Parameters<typeof serviceOf>[1], Record<string, string>, string])[] = [
      ['unasked', { ...at, ports: [{ port: 81 }] }, {}, 'Service "shop/first" has it'],
      ['otherkey', { ...at, ports: [{ port: 81 }] }, { 'metallb.io/allow-shared-ip': 'l' }, 'under another key'],
      ['sameport', at, key, 'with port TCP/80'],
      ['local', { ...at, ports: [{ port: 81 }], externalTrafficPolicy: 'Local' }, key, 'their selectors are equal'],
    ];
    for (const [name, spec, annotations, why] of refused) {
      server.apply(serviceOf(name, spec, annotations));
      await settle();
      expect(server.conditionOf(name), name)
        .to.match(/^False AddressInUse/)
        .and.include(why);
    }
    server.apply(serviceOf('second', { ...at, ports: [{ port: 80, protocol: 'UDP' }] }, key));
    server.apply(serviceOf('third', { ports: [{ port: 443 }] }, key));
    await settle();
    for (const name of ['second', 'third']) expect(server.ingressOf(name), name).to.deep.equal(['198.51.100.5']);
    const pods = { externalTrafficPolicy: 'Local', selector: { app: 'x' } } as const;
    const other = { 'metallb.io/allow-shared-ip': 'm' };
    server.apply(serviceOf('l1', { ...pods, loadBalancerIP: '198.51.100.6' }, other));
    await settle();
    server.apply(serviceOf('l2', { ...pods, loadBalancerIP: '198.51.100.6', ports: [{ port: 81 }] }, other));
    await settle();
    expect(server.ingressOf('l2')).to.deep.equal(['198.51.100.6']);
  });

  it('gives both families, what there is of them, or nothing where both are needed', async () => {
    start();
    const both = { ipFamilies: ['IPv6', 'IPv4'] } as const;
    server.apply(serviceOf('both', { ...both, ipFamilyPolicy: 'RequireDualStack' }));
    await settle();
    expect(server.ingressOf('both')).to.deep.equal(['2001:db8::', '198.51.100.0']);
    cluster.delete('ipPools', poolOf('lb6', '2001:db8::/124'));
    await settle();
    expect(server.ingressOf('both'), 'what it has of the pool that stands').to.deep.equal(['198.51.100.0']);
    server.apply(serviceOf('prefers', { ...both, ipFamilyPolicy: 'PreferDualStack' }));
    server.apply(serviceOf('needs', { ...both, ipFamilyPolicy: 'RequireDualStack' }));
    await settle();
    expect([server.ingressOf('prefers'), server.ingressOf('needs')]).to.deep.equal([['198.51.100.1'], []]);
    expect(server.conditionOf('prefers')).to.equal(
      'True Assigned: Has 198.51.100.1; there is no IPv6 IPPool with allowedUses LoadBalancer',
    );
    expect(server.conditionOf('needs')).to.match(/^False NoPool: .*there is no IPv6 IPPool/);
    pools(poolOf('lb6', '2001:db8::/124'));
    await settle();
    for (const name of ['both', 'prefers', 'needs']) expect(server.ingressOf(name), name).to.have.length(2);
  });

  it('chooses pools by namespace, and leaves out what is reserved', async () => {
    cluster.upsert('ipReservations', {
      metadata: { name: 'r' },
      spec: { reservedCIDRs: ['198.51.100.0/30', '198.51.100.4'] },
    });
    pools(poolOf('a', '192.0.2.0/30', { namespaceSelector: "team == 'b'" }));
    start();
    server.apply(serviceOf('a'));
    server.apply(serviceOf('asks', { loadBalancerIP: '198.51.100.2' }));
    await settle();
    expect([server.ingressOf('a'), server.ingressOf('asks')]).to.deep.equal([['198.51.100.5'], ['198.51.100.2']]);
    cluster.delete('ipPools', poolOf('lb', '198.51.100.0/28'));
    await settle();
    expect(server.conditionOf('a')).to.include('"a" does not select the Service\'s namespace');
    cluster.upsert('namespaces', { metadata: { name: 'shop', labels: { team: 'b' } } });
    await settle();
    expect(server.ingressOf('a')).to.deep.equal(['192.0.2.0']);
  });

  it('leaves Services of other classes alone, and takes none of their addresses', async () => {
    start();
    const other = serviceOf('other', { loadBalancerClass: 'example.com/lb' });
    server.put({ ...other, status: { loadBalancer: { ingress: [{ ip: '198.51.100.0' }] } } });
    server.apply(serviceOf('ours', { loadBalancerClass: 'calico' }));
    server.apply(serviceOf('clash', { loadBalancerIP: '198.51.100.0' }));
    await settle();
    expect([server.ingressOf('other'), server.ingressOf('ours')]).to.deep.equal([['198.51.100.0'], ['198.51.100.1']]);
    expect(server.conditionOf('other')).to.equal('');
    expect(server.conditionOf('clash')).to.include('Service "shop/other" has it');
  });

  it('leaves alone what has an address from elsewhere, and everybody where there is no pool', async () => {
    start();
    const elsewhere = [{ ip: '192.0.2.1' }, { hostname: 'a.example' }];
    for (const [index, entry] of elsewhere.entries())
      server.put({ ...serviceOf(`cloud${index}`), status: { loadBalancer: { ingress: [entry] } } });
    await settle();
    for (const [index, entry] of elsewhere.entries())
      expect(server.services.get(`shop/cloud${index}`)?.status).to.deep.equal({ loadBalancer: { ingress: [entry] } });
    for (const pool of ['lb', 'lb6']) cluster.delete('ipPools', poolOf(pool, '198.51.100.0/28'));
    server.apply(serviceOf('later'));
    await settle();
    expect(server.services.get('shop/later')?.status).to.equal(undefined);
    pools(poolOf('lb', '198.51.100.0/28'));
    await settle();
    expect(server.ingressOf('later')).to.deep.equal(['198.51.100.0']);
  });

  it('serves with RequestedServicesOnly those that ask by name', async () => {
    start({ assignIPs: 'RequestedServicesOnly' });
    server.apply(serviceOf('a'));
    server.apply(serviceOf('b', {}, { 'projectcalico.org/ipv4pools': '["lb"]' }));
    server.apply(serviceOf('c', { loadBalancerClass: 'calico' }));
    await settle();
    expect([server.ingressOf('a'), server.conditionOf('a')]).to.deep.equal([[], '']);
    for (const name of ['b', 'c']) expect(server.ingressOf(name), name).to.have.length(1);
  });

  it('moves a Service to what it asks for now, and lets go of one that is no load balancer any more', async () => {
    start();
    server.apply(serviceOf('a'));
    await settle();
    server.apply(serviceOf('a', { loadBalancerIP: '198.51.100.12' }));
    await settle();
    expect(server.ingressOf('a')).to.deep.equal(['198.51.100.12']);
    server.apply(serviceOf('a', { type: 'ClusterIP' }));
    await settle();
    expect([server.ingressOf('a'), server.conditionOf('a')]).to.deep.equal([[], '']);
    server.apply(serviceOf('b', { loadBalancerIP: '198.51.100.12' }));
    await settle();
    expect(server.ingressOf('b')).to.deep.equal(['198.51.100.12']);
  });

  it('takes an address that two have, and may not share, from the younger', async () => {
    const ingress = [{ ip: '198.51.100.4' }];
    const [older, younger] = [serviceOf('older'), serviceOf('younger')];
    server.put({ ...younger, status: { loadBalancer: { ingress } } });
    server.put({ ...older, status: { loadBalancer: { ingress } } });
    start();
    await settle();
    expect([server.ingressOf('older'), server.ingressOf('younger')]).to.deep.equal([
      ['198.51.100.4'],
      ['198.51.100.0'],
    ]);
  });

  it('writes nothing in a dry run, or when it does not lead', async () => {
    start({ isDryRun: true });
    start({ isLeader: () => false });
    server.apply(serviceOf('a'));
    await settle();
    expect([server.ingressOf('a'), server.events]).to.deep.equal([[], []]);
  });
});
