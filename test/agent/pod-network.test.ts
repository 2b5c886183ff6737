import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Allocator } from '@tortie/ipam';
import { parsePrefix } from 'node-bgp/address';
import { TryAgainError } from '../../src/agent/pod-identity.js';
import type { EndpointDataplane } from '../../src/agent/endpoint-dataplane.js';
import { PodNetwork, type PodNetworkOptions, type PodRequest } from '../../src/agent/pod-network.js';
import type { NetfilterFailure } from '../../src/agent/policy-loop.js';
import type { Pod } from '../../src/api/core.js';
import { addressesAskedFor, type AddressRequest } from '../../src/agent/pool-annotations.js';
import { createLogger } from '../../src/log.js';

const request = (containerId: string, pod = 'web'): PodRequest => ({
  network: 'tortie',
  containerId,
  netns: `/run/netns/${containerId}`,
  interfaceName: 'eth0',
  namespace: 'shop',
  pod,
});

const POOL = { name: 'v4', prefix: parsePrefix('10.65.0.0/16') };

describe('agent/pod-network', () => {
  let directory: string;
  let allocator: Allocator;
  /** What happened, in order. */
  let trace: string[];
  let faults: Set<string>;
  let pods: Map<string, Pod>;
  let failures: readonly NetfilterFailure[];
  let uplinkMtu: number | undefined;
  let network: PodNetwork;
  let gone: Set<string>;
  let asked: number;
  /** What the API server says, where that is not what the watch has brought. */
  let api: Map<string, Pod> | undefined;

  const act = async (what: string): Promise<void> => {
    trace.push(what);
    if (faults.has(what.split(' ')[0] ?? '')) throw new Error(`${what} failed`);
  };
  const endpoint = (name: string) => ({
    hostInterface: name,
    hostMac: 'ee:ee:ee:ee:ee:ee',
    podMac: '02:00:00:00:00:01',
    mtu: 1500,
  });
  const dataplane: EndpointDataplane = {
    interfaceName: (namespace, pod, podInterface) =>
      `tort-${namespace}-${pod}${podInterface === 'eth0' ? '' : `-${podInterface}`}`,
    hasNamespace: (netns) => !gone.has(netns),
    plumb: async ({ pod, netns }) => {
      await act(`plumb ${pod} ${netns}`);
      return endpoint(`tort-shop-${pod}`);
    },
    unplumb: (_, hostInterface) => act(`unplumb ${hostInterface}`),
    suspects: () => [],
    repair: async ({ netns }) => {
      await act(`repair ${netns}`);
      return ['link is down'];
    },
    check: async ({ pod }) => ({
      problems: faults.has('check') ? ['route is missing'] : [],
      endpoint: endpoint(`tort-shop-${pod}`),
    }),
  };

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-pods-'));
    allocator = await Allocator.open({ journalPath: join(directory, 'ipam.journal'), now: Date.now });
    await allocator.addBlock({ prefix: parsePrefix('10.65.0.0/29'), pool: 'v4' });
    trace = [];
    faults = new Set();
    failures = [];
    uplinkMtu = undefined;
    gone = new Set();
    asked = 0;
    api = undefined;
    pods = new Map([['shop/web', { metadata: { name: 'web', namespace: 'shop' }, spec: { containers: [] } }]]);
    network = new PodNetwork(options());
  });
  const options = (): PodNetworkOptions => ({
    allocator,
    dataplane,
    log: createLogger('test', { level: 'silent' }),
    assign: async (owner, { pools: wanted }, onTaken) => {
      const pools = wanted.get(4)?.map((name) => ({ name, prefix: parsePrefix('10.66.0.0/16') })) ?? [POOL];
      const addresses = await allocator.assign({ owner, families: [4], pools, onTaken });
      trace.push('on disk');
      return addresses;
    },
    namespace: (name) => ({ metadata: { name } }),
    policy: { take: (event) => void trace.push(event.type), settled: () => act('settled').then(() => failures) },
    connections: {
      mark: (addresses) => void trace.push(`mark ${[...addresses].join()}`),
      ensure: async (addresses) => {
        trace.push(`clean ${addresses.join()}`);
        if (faults.has('clean')) throw new Error('clean failed');
      },
    },
    concerning: (_, all) => all,
    endpointState: () => 'ready',
    mtu: () => uplinkMtu,
    pod: (namespace, name) => pods.get(`${namespace}/${name}`),
    fetchPod: async (namespace, name) => {
      asked++;
      return (api ?? pods).get(`${namespace}/${name}`);
    },
    nextChange: (timeout) => new Promise((resolve) => setTimeout(resolve, Math.min(timeout, 10))),
    onChange: () => {},
  });
  afterEach(async () => {
    await allocator.close();
    rmSync(directory, { recursive: true });
  });

  it('has the policy in the kernel before the interface', async () => {
    expect((await network.add(request('c1'))).addresses).to.deep.equal(['10.65.0.0']);
    expect(trace).to.deep.equal([
      'endpoint-upsert',
      'settled',
      'on disk',
      'clean 10.65.0.0',
      'plumb web /run/netns/c1',
    ]);
  });

  it('waits for the disk as for the policy, and takes the policy back when the disk fails', async () => {
    await allocator.close();
    const error = await network.add(request('c1')).catch((thrown: unknown) => thrown);
    expect(String(error)).to.include('Cannot write journal');
    expect(allocator.owners()).to.deep.equal([]);
    expect(trace).to.deep.equal(['endpoint-upsert', 'settled', 'endpoint-delete']);
    allocator = await Allocator.open({ journalPath: join(directory, 'ipam.journal'), now: Date.now });
    expect(allocator.owners()).to.deep.equal([]);
  });

  it('repeats an ADD with the same answer, and forgets no connection of a running pod', async () => {
    const first = await network.add(request('c1'));
    trace = [];
    expect(await network.add(request('c1'))).to.deep.equal(first);
    expect(trace).to.deep.equal(['endpoint-upsert', 'settled', 'on disk', 'plumb web /run/netns/c1']);
  });

  it('takes host ports and namespace of a repeated ADD for what is wanted now, also over a restart', async () => {
    const port = { protocol: 'tcp', hostPort: 8080, containerPort: 80 } as const;
    let translations = 0;
    network = new PodNetwork({
      ...options(),
      translated: async () => {
        translations++;
        return [];
      },
    });
    await network.add({ ...request('c1'), hostPorts: [port] });
    await network.add({ ...request('c1'), hostPorts: [{ ...port, hostPort: 9090 }], netns: '/run/netns/moved' });
    const owner = () =>
      allocator.owners().map(({ owner: { hostPorts, netns }, addresses }) => [hostPorts, netns, addresses]);
    const wanted = [[[{ ...port, hostPort: 9090 }], '/run/netns/moved', ['10.65.0.0']]];
    expect([owner(), translations]).to.deep.equal([wanted, 2]);
    await allocator.close();
    allocator = await Allocator.open({ journalPath: join(directory, 'ipam.journal'), now: Date.now });
    expect(owner()).to.deep.equal(wanted);
    await new PodNetwork(options()).add({ ...request('c1'), netns: '/run/netns/moved' });
    expect(owner()).to.deep.equal([[undefined, '/run/netns/moved', ['10.65.0.0']]]);
  });

  it("remembers over a restart where a connection is, and puts it right in its pod's turn", async () => {
    await network.add({ ...request('c1'), mtu: 1400 });
    await allocator.close();
    allocator = await Allocator.open({ journalPath: join(directory, 'ipam.journal'), now: Date.now });
    network = new PodNetwork(options());
    const [connection] = network.connections();
    if (connection === undefined) throw new Error('No connection');
    expect(connection.request).to.include({ netns: '/run/netns/c1', mtu: 1400, hostInterface: 'tort-shop-web' });
    trace = [];
    const answers = await Promise.all([
      network.repair(connection.owner, connection.request),
      network.remove(request('c1')),
    ]);
    expect(answers[0]).to.deep.equal(['link is down']);
    expect(trace.slice(0, 2)).to.deep.equal(['repair /run/netns/c1', 'unplumb tort-shop-web']);
    expect(await network.repair(connection.owner, connection.request), 'one that has gone').to.deep.equal([]);
  });

  it('remembers the MTU that a connection was made with, whatever the uplinks carry by now', async () => {
    uplinkMtu = 8950;
    await network.add(request('c1'));
    uplinkMtu = 1400;
    await network.add(request('c1'));
    expect(network.connections().map(({ request: { mtu } }) => mtu)).to.deep.equal([8950]);
  });

  for (const fault of ['settled', 'clean', 'plumb'])
    it(`leaves nothing behind when "${fault}" fails`, async () => {
      faults.add(fault);
      expect(String(await network.add(request('c1')).catch((error: unknown) => error))).to.include(`${fault}`);
      expect(allocator.owners()).to.deep.equal([]);
      expect(trace.slice(-3)).to.deep.equal(['unplumb tort-shop-web', 'endpoint-delete', 'mark 10.65.0.0']);
    });

  it("fails closed, with the kernel's words, when its policy is not taken", async () => {
    failures = [{ subject: 'filter/TORTIE-TO-tort-shop-web', message: 'No chain/target/match by that name' }];
    const error = await network.add(request('c1')).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(TryAgainError);
    expect(String(error)).to.include('the kernel does not take its policy: No chain/target/match by that name');
    expect(allocator.owners()).to.deep.equal([]);
  });

  it('keeps the address when the undoing fails too, until DEL', async () => {
    faults = new Set(['plumb', 'unplumb']);
    await network.add(request('c1')).catch(() => {});
    expect(allocator.owners()).to.have.length(1);
    faults.clear();
    await network.remove(request('c1'));
    expect(allocator.owners()).to.deep.equal([]);
  });

  it('replaces a sandbox whose DEL has not come', async () => {
    await network.add(request('c1'));
    expect((await network.add(request('c2'))).addresses).to.deep.equal(['10.65.0.1']);
    expect(allocator.owners().map(({ owner }) => owner.containerId)).to.deep.equal(['c2']);
    expect(await network.remove(request('c1'))).to.equal(undefined);
    expect(allocator.owners()).to.have.length(1);
  });

  it('detaches an unknown container without a word', async () => {
    expect(await network.remove(request('never'))).to.equal(undefined);
    expect(trace).to.deep.equal([]);
  });

  it('waits for the watch to bring the pod', async () => {
    api = new Map(pods);
    pods.clear();
    setTimeout(
      () => pods.set('shop/web', { metadata: { name: 'web', namespace: 'shop' }, spec: { containers: [] } }),
      40,
    );
    expect((await network.add(request('c1'))).addresses).to.have.length(1);
  });

  it('fails closed when it never does', async function () {
    this.timeout(60_000);
    api = new Map(pods);
    pods.clear();
    const error = await network.add(request('c1')).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(TryAgainError);
    expect(String(error)).to.include('Cannot attach pod "shop/web": the API server has not told this node of it');
    expect(allocator.owners()).to.deep.equal([]);
  });

  it('reads the pools a pod asks for, and names an annotation it cannot read', async () => {
    const annotated = (text: string): void =>
      void pods.set('shop/web', {
        metadata: { name: 'web', namespace: 'shop', annotations: { 'cni.projectcalico.org/ipv4pools': text } },
        spec: { containers: [] },
      });
    annotated('["other"]');
    expect(String(await network.add(request('c1')).catch((error: unknown) => error))).to.include('from pool "other"');
    annotated('other');
    expect(String(await network.add(request('c1')).catch((error: unknown) => error))).to.include(
      'Cannot read annotation cni.projectcalico.org/ipv4pools: it is "other"; expected a JSON list',
    );
  });

  it('asks for what the namespace says where the pod says nothing, a family at a time', () => {
    const of = (pod: Record<string, string>, namespace: Record<string, string>): AddressRequest =>
      addressesAskedFor(
        { metadata: { name: 'web', annotations: pod }, spec: { containers: [] } },
        { metadata: { name: 'shop', annotations: namespace } },
      );
    const [v4, v6] = ['cni.projectcalico.org/ipv4pools', 'cni.projectcalico.org/ipv6pools'];
    const addresses = 'cni.projectcalico.org/ipAddrs';
    expect([...of({ [v4]: '["a"]' }, { [v4]: '["b"]', [v6]: '["c"]' }).pools]).to.deep.equal([
      [4, ['a']],
      [6, ['c']],
    ]);
    expect([...of({ [v4]: '', [v6]: '[]' }, { [v4]: '["b"]' }).pools]).to.deep.equal([[4, ['b']]]);
    expect(of({ [addresses]: '["10.65.0.7", "FD00::0007"]' }, {}).addresses).to.deep.equal(['10.65.0.7', 'fd00::7']);
    for (const wrong of ['10.65.0.7', '["10.65.0.7/32"]', '["10.65.0.7", "10.65.0.8"]', '{}'])
      expect(() => of({ [addresses]: wrong }, {})).to.throw(
        `Cannot read annotation ${addresses}: it is ${JSON.stringify(wrong)}; expected a JSON list of addresses, one a family`,
      );
    const unkept = 'cni.projectcalico.org/ipAddrsNoIpam';
    expect(() => of({ [unkept]: '["10.65.0.7"]' }, {})).to.throw(
      `Cannot use annotation ${unkept}: it is "[\\"10.65.0.7\\"]"; expected none`,
    );
  });

  it('checks what ADD made', async () => {
    expect((await network.check(request('c1'))).problems).to.deep.equal([
      'container "c1" of pod "shop/web" has no interface "eth0" in network "tortie" here',
    ]);
    await network.add(request('c1'));
    expect((await network.check(request('c1'))).problems).to.deep.equal([]);
    faults.add('check');
    expect((await network.check(request('c1'))).problems).to.deep.equal(['route is missing']);
  });

  it('collects everything but what is valid', async () => {
    for (const name of ['a', 'b', 'c']) {
      pods.set(`shop/${name}`, { metadata: { name, namespace: 'shop' }, spec: { containers: [] } });
      await network.add(request(`c-${name}`, name));
    }
    expect(await network.collect('tortie', [{ containerId: 'c-b', interfaceName: 'eth0' }])).to.equal(2);
    expect(allocator.owners().map(({ owner }) => owner.pod)).to.deep.equal(['b']);
  });

  it('tells policy of everybody after a restart', async () => {
    await network.add(request('c1'));
    trace = [];
    network.restore();
    expect(trace).to.deep.equal(['endpoint-upsert']);
    expect(network.owners().map(({ pod }) => pod)).to.deep.equal(['web']);
  });

  describe('whose call it is', () => {
    const pod = (uid: string, annotations: Record<string, string> = {}): Pod => ({
      metadata: { name: 'web', namespace: 'shop', uid, annotations },
      spec: { containers: [] },
    });
    const containers = (): readonly string[] =>
      allocator.owners().map(({ owner }) => `${owner.network}/${owner.containerId}/${owner.interfaceName}`);
    const failure = (work: Promise<unknown>): Promise<string> => work.then(() => 'none', String);
    beforeEach(() => pods.set('shop/web', pod('u1')));

    it('refuses the sandbox of a pod that is gone, and leaves the living one alone', async () => {
      await network.add({ ...request('c1'), uid: 'u1' });
      trace = [];
      expect(await failure(network.add({ ...request('c0'), uid: 'u0' }))).to.equal(
        'FormerPodError: Cannot attach pod "shop/web" with UID u0: the pod of that name is now another, with UID u1',
      );
      expect(trace).to.deep.equal([]);
      expect(containers()).to.deep.equal(['tortie/c1/eth0']);
    });

    it('waits for the pod of the call when the watch still has its predecessor', async () => {
      await network.add({ ...request('c1'), uid: 'u1' });
      api = new Map([['shop/web', pod('u2')]]);
      setTimeout(() => pods.set('shop/web', pod('u2')), 400);
      await network.add({ ...request('c2'), uid: 'u2' });
      expect(asked).to.equal(1);
      expect(containers()).to.deep.equal(['tortie/c2/eth0']);
      expect(allocator.owners()[0]?.owner.uid).to.equal('u2');
    });

    it('fails closed when the watch never brings it, whatever the API server says', async function () {
      this.timeout(60_000);
      api = new Map([['shop/web', pod('u2')]]);
      expect(await failure(network.add({ ...request('c2'), uid: 'u2' }))).to.include(
        'with UID u2: the API server has not told this node of it within 5 s (it knows one with UID u1)',
      );
      expect(containers()).to.deep.equal([]);
    });

    it('knows a static pod by the mirror annotation of its object', async () => {
      pods.set('shop/web', pod('u1', { 'kubernetes.io/config.mirror': 'hash' }));
      await network.add({ ...request('c1'), uid: 'hash' });
      expect(allocator.owners()[0]?.owner.uid).to.equal('u1');
    });

    it('refuses a former sandbox of the same pod, and one whose namespace is gone', async () => {
      await network.add({ ...request('c1'), uid: 'u1' });
      await network.add({ ...request('c2'), uid: 'u1' });
      expect(await failure(network.add({ ...request('c1'), uid: 'u1' }))).to.include(
        'container "c2" has taken its place',
      );
      gone.add('/run/netns/c3');
      expect(await failure(network.add({ ...request('c3'), uid: 'u1' }))).to.include('no network namespace at');
      expect(await failure(network.add({ ...request('c4'), uid: 'u1', signal: AbortSignal.abort() }))).to.include(
        'whoever asked for it has gone away',
      );
      expect(containers()).to.deep.equal(['tortie/c2/eth0']);
    });

    it('takes a sandbox again after its DEL when there is no other', async () => {
      await network.add(request('c1'));
      await network.remove(request('c1'));
      expect((await network.add(request('c1'))).addresses).to.have.length(1);
    });

    it('refuses the container of another pod, and an interface that another network has', async () => {
      await network.add(request('c1'));
      pods.set('shop/db', { metadata: { name: 'db', namespace: 'shop', uid: 'u9' }, spec: { containers: [] } });
      expect(await failure(network.add(request('c1', 'db')))).to.equal(
        'ForeignAttachmentError: Cannot attach interface "eth0" of container "c1" for pod "shop/db": it is pod "shop/web"\'s',
      );
      expect(await failure(network.add({ ...request('c1'), network: 'other' }))).to.include(
        'to network "other": network "tortie" has it already',
      );
      expect(await network.remove({ ...request('c1'), network: 'other' })).to.equal(undefined);
      expect(await network.remove({ ...request('c1'), pod: 'db' })).to.equal(undefined);
      expect(containers()).to.deep.equal(['tortie/c1/eth0']);
    });

    it('gives a pod a second interface, tells policy of both, and takes them away one by one', async () => {
      const events: unknown[] = [];
      const first = request('c1');
      const second = { ...first, network: 'storage', interfaceName: 'net1' };
      network = new PodNetwork({
        ...options(),
        policy: { take: (event) => void events.push(event), settled: async () => [] },
      });
      await network.add(first);
      await network.add(second);
      await network.remove(first);
      await network.remove(second);
      const endpoint = {
        namespace: 'shop',
        name: 'web',
        interface: 'tort-shop-web',
        uid: 'u1',
        addresses: ['10.65.0.0'],
      };
      expect(events).to.deep.equal([
        { type: 'endpoint-upsert', endpoint },
        {
          type: 'endpoint-upsert',
          endpoint: { ...endpoint, furtherInterfaces: ['tort-shop-web-net1'], addresses: ['10.65.0.0', '10.65.0.1'] },
        },
        {
          type: 'endpoint-upsert',
          endpoint: { ...endpoint, interface: 'tort-shop-web-net1', addresses: ['10.65.0.1'] },
        },
        { type: 'endpoint-delete', namespace: 'shop', name: 'web' },
      ]);
    });

    it('collects in the network that is named, and nowhere else', async () => {
      await network.add(request('c1'));
      await network.add({ ...request('c1'), network: 'storage', interfaceName: 'net1' });
      expect(await network.collect('second-net', [])).to.equal(0);
      expect(await network.collect('storage', [])).to.equal(1);
      expect(containers()).to.deep.equal(['tortie/c1/eth0']);
    });

    it('gives a pod another interface name when its own is taken', async () => {
      const collide = {
        ...dataplane,
        interfaceName: (_: string, __: string, ___: string, attempt: number) => `tort${attempt}`,
      };
      network = new PodNetwork({ ...options(), dataplane: collide });
      pods.set('shop/db', { metadata: { name: 'db', namespace: 'shop', uid: 'u9' }, spec: { containers: [] } });
      await network.add(request('c1'));
      await network.add(request('c2', 'db'));
      expect(network.endpoints().map(({ hostInterface }) => hostInterface)).to.deep.equal(['tort0', 'tort1']);
    });
  });
});
