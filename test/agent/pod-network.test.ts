import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Allocator } from '@tortie/ipam';
import { parsePrefix } from 'node-bgp/address';
import { PodNetwork, TryAgainError, type EndpointDataplane, type PodRequest } from '../../src/agent/pod-network.js';
import type { NetfilterFailure } from '../../src/agent/policy-loop.js';
import type { Pod } from '../../src/api/core.js';
import { createLogger } from '../../src/log.js';

const request = (containerId: string, pod = 'web'): PodRequest => ({
  containerId,
  netns: `/run/netns/${containerId}`,
  interfaceName: 'eth0',
  namespace: 'shop',
  pod,
});

describe('agent/pod-network', () => {
  let directory: string;
  let allocator: Allocator;
  /** What happened, in order. */
  let trace: string[];
  let faults: Set<string>;
  let pods: Map<string, Pod>;
  let failures: readonly NetfilterFailure[];
  let network: PodNetwork;

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
    interfaceName: (namespace, pod) => `tort-${namespace}-${pod}`,
    plumb: async ({ pod, netns }) => {
      await act(`plumb ${pod} ${netns}`);
      return endpoint(`tort-shop-${pod}`);
    },
    unplumb: ({ namespace, pod }) => act(`unplumb tort-${namespace}-${pod}`),
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
    pods = new Map([['shop/web', { metadata: { name: 'web', namespace: 'shop' }, spec: { containers: [] } }]]);
    network = new PodNetwork({
      allocator,
      dataplane,
      log: createLogger('test', { level: 'silent' }),
      assign: (owner, wanted) => allocator.assign({ owner, families: [4], pools: wanted.get(4) ?? ['v4'] }),
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
      pod: (namespace, name) => pods.get(`${namespace}/${name}`),
      nextChange: (timeout) => new Promise((resolve) => setTimeout(resolve, Math.min(timeout, 10))),
      onChange: () => {},
    });
  });
  afterEach(async () => {
    await allocator.close();
    rmSync(directory, { recursive: true });
  });

  it('has the policy in the kernel before the interface', async () => {
    expect((await network.add(request('c1'))).addresses).to.deep.equal(['10.65.0.0']);
    expect(trace).to.deep.equal(['endpoint-upsert', 'settled', 'clean 10.65.0.0', 'plumb web /run/netns/c1']);
  });

  it('repeats an ADD with the same answer, and forgets no connection of a running pod', async () => {
    const first = await network.add(request('c1'));
    trace = [];
    expect(await network.add(request('c1'))).to.deep.equal(first);
    expect(trace).to.deep.equal(['endpoint-upsert', 'settled', 'plumb web /run/netns/c1']);
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
    pods.clear();
    setTimeout(
      () => pods.set('shop/web', { metadata: { name: 'web', namespace: 'shop' }, spec: { containers: [] } }),
      40,
    );
    expect((await network.add(request('c1'))).addresses).to.have.length(1);
  });

  it('fails closed when it never does', async function () {
    this.timeout(15_000);
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

  it('checks what ADD made', async () => {
    expect((await network.check(request('c1'))).problems).to.deep.equal([
      'container "c1" has no interface "eth0" here',
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
    expect(await network.collect([{ containerId: 'c-b', interfaceName: 'eth0' }])).to.equal(2);
    expect(allocator.owners().map(({ owner }) => owner.pod)).to.deep.equal(['b']);
  });

  it('tells policy of everybody after a restart', async () => {
    await network.add(request('c1'));
    trace = [];
    network.restore();
    expect(trace).to.deep.equal(['endpoint-upsert']);
    expect(network.owners().map(({ pod }) => pod)).to.deep.equal(['web']);
  });
});
