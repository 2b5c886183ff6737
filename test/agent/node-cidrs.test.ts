import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Allocator, MemoryBlockStore } from '@tortie/ipam';
import { formatPrefix, type Family } from 'node-bgp/address';
import { IpamLoop } from '../../src/agent/ipam-loop.js';
import { nodeCidrsOf } from '../../src/agent/node-cidrs.js';
import { addressesAskedFor } from '../../src/agent/pool-annotations.js';
import type { NodeSpec } from '../../src/api/core.js';
import type { IPPoolSpec } from '../../src/api/ipam.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { createLogger } from '../../src/log.js';
import { objectOf, ownerOf } from './ipam-world.js';

describe('agent/node-cidrs', () => {
  let directory: string;
  let store: MemoryBlockStore;
  let cluster: Cluster;
  let allocator: Allocator;
  let loop: IpamLoop;

  const node = (spec: NodeSpec, name = 'a'): void => cluster.upsert('nodes', { metadata: { name }, spec });
  const pool = (name: string, spec: IPPoolSpec): void => cluster.upsert('ipPools', { metadata: { name }, spec });
  const open = async (): Promise<void> => {
    allocator = await Allocator.open({ journalPath: join(directory, 'journal'), now: Date.now });
    loop = new IpamLoop({
      node: 'a',
      cluster,
      usesNodeCidrs: true,
      allocator,
      store,
      matches: () => true,
      log: createLogger('test', { level: 'silent' }),
      onBlocks: () => {},
      onUsedElsewhere: () => {},
      onHealth: () => {},
    });
  };
  const close = async (): Promise<void> => {
    loop.stop();
    await allocator.close();
  };
  const assign = (
    pod: string,
    request: { readonly pools?: ReadonlyMap<Family, readonly string[]>; readonly withoutIpam?: readonly string[] } = {},
  ): Promise<readonly string[]> => loop.assign(ownerOf(pod), { pools: new Map(), addresses: [], ...request });
  const blocks = (): readonly string[] => allocator.ownBlocks().map(({ prefix }) => formatPrefix(prefix));

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-node-cidrs-'));
    store = new MemoryBlockStore();
    cluster = new Cluster(['ipPools', 'ipamBlocks', 'ipReservations', 'ipamConfigurations', 'namespaces', 'nodes']);
    await open();
  });
  afterEach(async () => {
    await close();
    rmSync(directory, { recursive: true });
  });

  it('gives pods addresses of the ranges of the node, both families, and claims them for all to see', async () => {
    node({ podCIDRs: ['10.244.3.0/24', 'fd00:244:0:3::/64'] });
    pool('around', { cidr: '10.244.0.0/16', disabled: true, natOutgoing: true });
    await loop.start();
    const [v4 = '', v6 = ''] = await assign('p');
    expect(v4).to.match(/^10\.244\.3\./);
    expect(v6).to.match(/^fd00:244:0:3:/);
    const records = [...(await store.list())].sort((a, b) => a.cidr.length - b.cidr.length);
    expect(
      records.map(({ cidr, node: of, pool: by }) => `${cidr.replace(/:[0-9a-f:]*\/116$/, '.../116')} ${of} ${by}`),
    ).to.deep.equal(['10.244.3.0/24 a node-cidr-ipv4', 'fd00.../116 a node-cidr-ipv6']);
    expect(loop.problems()).to.deep.equal([]);
  });

  it('keeps pools for those who ask for one, and for families that the node has no range of', async () => {
    node({ podCIDR: '10.244.3.0/24' });
    pool('blue', { cidr: '10.65.0.0/16' });
    pool('six', { cidr: 'fd00:65::/112' });
    await loop.start();
    const [v4 = '', v6 = ''] = await assign('p');
    expect(v4).to.match(/^10\.244\.3\./);
    expect(v6).to.match(/^fd00:65::/);
    const [asked = ''] = await assign('q', { pools: new Map([[4, ['blue']]]) });
    expect(asked).to.match(/^10\.65\./);
  });

  it('is known again after a restart, and its block is no stranger', async () => {
    node({ podCIDRs: ['10.244.3.0/24'] });
    await loop.start();
    const [address] = await assign('p');
    const before = blocks();
    await close();
    rmSync(join(directory, 'journal'));
    for (const record of await store.list()) cluster.upsert('ipamBlocks', objectOf(record));
    await open();
    await loop.start();
    // Taken up from the record: who had addresses was lost with the journal.
    expect(blocks()).to.deep.equal(before);
    expect(loop.problems()).to.deep.equal([]);
    expect(address).to.match(/^10\.244\.3\./);
  });

  it('serves nobody twice: a range that two nodes have is the first one to claim', async () => {
    node({ podCIDRs: ['10.244.3.0/30'] });
    await store.create({ cidr: '10.244.3.0/30', node: 'b', pool: 'node-cidr-ipv4' });
    await loop.start();
    const refusal = await assign('p').catch((error: unknown) => String(error));
    expect(refusal).to.include('pool "node-cidr-ipv4"').and.include('have an owner');
  }).timeout(30_000);

  it('says what is wrong with a Node', () => {
    const messages = (spec: NodeSpec, families: readonly Family[] = [4, 6]): readonly string[] =>
      nodeCidrsOf({ metadata: { name: 'a' }, spec }, families).problems.map(({ message }) => message);
    expect(messages({})[0]).to.match(/^Node "a" has no spec\.podCIDRs; expected ranges/);
    expect(messages({ podCIDRs: ['rubbish', '10.0.0.0/24', '10.0.1.0/24'] })).to.deep.equal([
      'Cannot use spec.podCIDRs[0] of Node "a": it is "rubbish"; expected CIDR notation',
      'Cannot use spec.podCIDRs[2] of Node "a": it is "10.0.1.0/24"; expected one range of IPv4',
    ]);
    expect(messages({ podCIDRs: ['fd00::/64'] }, [4])[0]).to.include(
      "none of IPv6, which this node's kernel does not have",
    );
  });

  it('gives a pod the addresses that nobody keeps account of, where the operator lets it', async () => {
    node({ podCIDRs: ['10.244.3.0/24'] });
    await loop.start();
    const asked = addressesAskedFor(
      {
        metadata: { name: 'p', annotations: { 'cni.projectcalico.org/ipAddrsNoIpam': '["192.0.2.7", "2001:DB8::7"]' } },
        spec: { containers: [] },
      },
      undefined,
      true,
    );
    expect(asked.withoutIpam).to.deep.equal(['192.0.2.7', '2001:db8::7']);
    expect(await assign('p', asked)).to.deep.equal(['192.0.2.7', '2001:db8::7']);
    expect(await assign('p', asked), 'again').to.deep.equal(['192.0.2.7', '2001:db8::7']);
    expect(await assign('q', asked).catch((error: unknown) => String(error))).to.include('pod "default/p" has it');
    // One of the node's own range is taken out of it, so that no other pod gets it.
    expect(await assign('r', { withoutIpam: ['10.244.3.0'] })).to.deep.equal(['10.244.3.0']);
    expect(await assign('s')).to.not.include('10.244.3.0');
    await allocator.release(ownerOf('p'));
    expect(await assign('q', asked)).to.deep.equal(['192.0.2.7', '2001:db8::7']);
    const both = {
      'cni.projectcalico.org/ipAddrsNoIpam': '["192.0.2.7"]',
      'cni.projectcalico.org/ipAddrs': '["192.0.2.8"]',
    };
    expect(() =>
      addressesAskedFor({ metadata: { name: 'p', annotations: both }, spec: { containers: [] } }, undefined, true),
    ).to.throw('at once; expected one of them');
  });
});
