import { expect } from 'chai';
import { GRACE, NodeRemains } from '../../src/agent/node-remains.js';
import type { Pod } from '../../src/api/core.js';
import type { IPAMBlock, IPAMBlockSpec } from '../../src/api/ipam.js';
import type { KindName, ObjectOf } from '../../src/api/kinds.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { createLogger } from '../../src/log.js';

describe('agent/node-remains', () => {
  let cluster: Cluster;
  let now: number;
  let isLeader: boolean;
  let deleted: string[];
  let statuses: string[];
  let served: Set<string>;
  let replaced: IPAMBlockSpec[];
  let remains: NodeRemains;

  const block = (cidr: string, node: string): void =>
    cluster.upsert('ipamBlocks', { metadata: { name: cidr, uid: `uid-${cidr}` }, spec: { cidr, node, pool: 'p' } });
  const pod = (phase: 'Running' | 'Succeeded'): Pod => ({
    metadata: { name: 'web', namespace: 'shop' },
    spec: { nodeName: 'node3', containers: [] },
    status: { phase },
  });
  const pass = async (milliseconds: number): Promise<void> => {
    now += milliseconds;
    await remains.look();
  };

  beforeEach(() => {
    cluster = new Cluster(['nodes', 'pods', 'ipamBlocks']);
    now = 0;
    isLeader = true;
    deleted = [];
    statuses = ['node1', 'node3'];
    served = new Set(['node1']);
    replaced = [];
    remains = make();
    cluster.upsert('nodes', { metadata: { name: 'node1' } });
    block('a', 'node1');
    block('b', 'node3');
    block('c', 'node3');
  });
  afterEach(() => remains.stop());

  const make = (isDoneByOthers?: () => Promise<boolean>): NodeRemains =>
    new NodeRemains({
      ...(isDoneByOthers === undefined ? {} : { isDoneByOthers }),
      cluster,
      isLeader: () => isLeader,
      now: () => now,
      log: createLogger('test', { level: 'silent' }),
      datastore: {
        get: async <K extends KindName>(kind: K, name: string) =>
          kind === 'ipamBlocks'
            ? cluster.get(kind, name)
            : served.has(name)
              ? ({ metadata: { name } } as ObjectOf[K])
              : undefined,
        replace: async (_, object) => {
          replaced.push((object as IPAMBlock).spec);
          return object;
        },
        list: async <K extends KindName>() => statuses.map((name) => ({ metadata: { name } }) as ObjectOf[K]),
        delete: async (kind, name, options = {}) =>
          void deleted.push(`${kind} ${name}${options.uid === undefined ? '' : ` ${options.uid}`}`),
      },
    });

  it('leaves it to a controller that leads, and begins anew when none does', async () => {
    let isHeld = true;
    remains.stop();
    remains = make(async () => isHeld);
    await pass(0);
    await pass(2 * GRACE);
    expect(deleted).to.deep.equal([]);
    isHeld = false;
    await pass(0);
    await pass(GRACE - 1);
    expect(deleted, 'the grace counts from when nobody else did it').to.deep.equal([]);
    await pass(1);
    expect(deleted).to.deep.equal(all);
  });

  const all = ['ipamBlocks b uid-b', 'ipamBlocks c uid-c', 'nodeAddresses node3', 'nodeStatuses node3'];

  it('deletes blocks and status of a Node that has been gone for long enough, and nobody else', async () => {
    await pass(0);
    await pass(GRACE - 1);
    expect(deleted).to.deep.equal([]);
    await pass(1);
    expect(deleted).to.deep.equal(all);
  });

  it('hands a block of which a living node has borrowed to that node, with the loans of the others', async () => {
    const loans = ['10.0.0.1 node9', '10.0.0.2 node1', '10.0.0.3 node1'].map((text) => {
      const [address = '', node = ''] = text.split(' ');
      return { address, node };
    });
    cluster.upsert('ipamBlocks', { metadata: { name: 'b' }, spec: { cidr: 'b', node: 'node3', pool: 'p', loans } });
    await pass(0);
    await pass(GRACE);
    expect(deleted).to.deep.equal([
      'ipamBlocks c uid-c',
      'nodeAddresses node3',
      'nodeStatuses node3',
      'nodeAddresses node9',
      'nodeStatuses node9',
    ]);
    expect(replaced).to.deep.include({ cidr: 'b', node: 'node1', pool: 'p', loans: loans.slice(0, 1) });
  });

  it('returns what a deleted Node had borrowed to the owner', async () => {
    const spec = { cidr: 'a', node: 'node1', pool: 'p' };
    const kept = { address: '10.0.0.1', node: 'node1' };
    const loans = [kept, { address: '10.0.0.2', node: 'node9' }];
    cluster.upsert('ipamBlocks', { metadata: { name: 'a' }, spec: { ...spec, loans } });
    await pass(0);
    await pass(GRACE - 1);
    expect(replaced).to.deep.equal([]);
    await pass(1);
    expect(replaced).to.deep.equal([{ ...spec, loans: [kept] }]);
  });

  it('deletes the status of a Node that had no block', async () => {
    for (const name of ['b', 'c'])
      cluster.delete('ipamBlocks', { metadata: { name }, spec: { cidr: name, node: 'node3', pool: 'p' } });
    await pass(0);
    await pass(GRACE);
    await pass(GRACE);
    expect(deleted).to.deep.equal(['nodeAddresses node3', 'nodeStatuses node3']);
  });

  it('waits for the pods that may run there', async () => {
    cluster.upsert('pods', pod('Running'));
    await pass(0);
    await pass(10 * GRACE);
    expect(deleted).to.deep.equal([]);
    cluster.upsert('pods', pod('Succeeded'));
    await pass(1);
    expect(deleted).to.deep.equal(all);
  });

  const never: readonly (readonly [string, () => void])[] = [
    ['is not elected', () => (isLeader = false)],
    ['does not see all Nodes', () => cluster.health('nodes', 'connection refused')],
    ['is told by the API server that the Node is there', () => served.add('node3')],
    ['sees the Node again', () => cluster.upsert('nodes', { metadata: { name: 'node3' } })],
  ];
  for (const [when, change] of never)
    it(`deletes nothing when it ${when}`, async () => {
      await pass(0);
      change();
      await pass(GRACE);
      await pass(GRACE);
      expect(deleted).to.deep.equal([]);
    });

  it('begins to count anew when it was not elected meanwhile', async () => {
    await pass(0);
    isLeader = false;
    await pass(GRACE);
    isLeader = true;
    await pass(1);
    expect(deleted).to.deep.equal([]);
    await pass(GRACE);
    expect(deleted).to.deep.equal(all);
  });
});
