import { expect } from 'chai';
import { GRACE, NodeRemains } from '../../src/agent/node-remains.js';
import type { Pod } from '../../src/api/core.js';
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
    remains = new NodeRemains({
      cluster,
      isLeader: () => isLeader,
      now: () => now,
      log: createLogger('test', { level: 'silent' }),
      datastore: {
        get: async <K extends KindName>(_: K, name: string) =>
          served.has(name) ? ({ metadata: { name } } as ObjectOf[K]) : undefined,
        list: async <K extends KindName>() => statuses.map((name) => ({ metadata: { name } }) as ObjectOf[K]),
        delete: async (kind, name, options = {}) =>
          void deleted.push(`${kind} ${name}${options.uid === undefined ? '' : ` ${options.uid}`}`),
      },
    });
    cluster.upsert('nodes', { metadata: { name: 'node1' } });
    block('a', 'node1');
    block('b', 'node3');
    block('c', 'node3');
  });
  afterEach(() => remains.stop());

  const all = ['ipamBlocks b uid-b', 'ipamBlocks c uid-c', 'nodeStatuses node3'];

  it('deletes blocks and status of a Node that has been gone for long enough, and nobody else', async () => {
    await pass(0);
    await pass(GRACE - 1);
    expect(deleted).to.deep.equal([]);
    await pass(1);
    expect(deleted).to.deep.equal(all);
  });

  it('deletes the status of a Node that had no block', async () => {
    for (const name of ['b', 'c'])
      cluster.delete('ipamBlocks', { metadata: { name }, spec: { cidr: name, node: 'node3', pool: 'p' } });
    await pass(0);
    await pass(GRACE);
    await pass(GRACE);
    expect(deleted).to.deep.equal(['nodeStatuses node3']);
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
