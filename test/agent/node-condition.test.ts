import { expect } from 'chai';
import { NodeCondition, PATIENCE } from '../../src/agent/node-condition.js';
import type { Condition } from '../../src/api/meta.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { createLogger } from '../../src/log.js';

describe('agent/node-condition', () => {
  let cluster: Cluster;
  let now: number;
  let problem: string | undefined;
  let fails: boolean;
  let written: string[];
  let condition: NodeCondition;

  const node = (...conditions: readonly Pick<Condition, 'type' | 'status' | 'reason'>[]): void =>
    cluster.upsert('nodes', { metadata: { name: 'node1' }, status: { conditions } });

  beforeEach(() => {
    cluster = new Cluster(['nodes']);
    now = 0;
    problem = undefined;
    fails = false;
    written = [];
    condition = new NodeCondition({
      node: 'node1',
      cluster,
      problem: () => problem,
      now: () => now,
      log: createLogger('test', { level: 'silent' }),
      datastore: {
        applyStatus: async (kind, object, status, manager) => {
          if (fails) throw new Error('away');
          expect([kind, object.name, manager]).to.deep.equal(['nodes', 'node1', 'tortie-node-condition']);
          for (const { type, status: word, reason } of status?.conditions ?? [])
            written.push(`${type}=${word} ${reason}`);
          node(...(status?.conditions ?? []));
          return { metadata: { name: 'node1' } } as never;
        },
      },
    });
  });
  afterEach(() => condition.stop());

  const UP = 'NetworkUnavailable=False TortieIsUp';
  const DOWN = 'NetworkUnavailable=True TortieIsNotReady';

  it('takes away what a cloud provider has set, once, when the node can serve pods', async () => {
    node({ type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated' });
    await condition.level();
    await condition.level();
    expect(written).to.deep.equal([UP]);
  });

  it('puts it right when somebody changes it', async () => {
    node();
    await condition.level();
    node({ type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated' });
    await condition.level();
    expect(written).to.deep.equal([UP, UP]);
  });

  it('says nothing while an agent starts, and tells the cluster when it cannot for long', async () => {
    node({ type: 'NetworkUnavailable', status: 'False', reason: 'TortieIsUp' });
    problem = 'waiting for pods';
    await condition.level();
    now += PATIENCE - 1;
    await condition.level();
    expect(written).to.deep.equal([]);
    now += 1;
    await condition.level();
    problem = undefined;
    await condition.level();
    expect(written).to.deep.equal([DOWN, UP]);
  });

  it('writes for no Node that is not there, and again after a failure', async () => {
    await condition.level();
    node();
    fails = true;
    await condition.level();
    expect(written).to.deep.equal([]);
    fails = false;
    await condition.level();
    expect(written).to.deep.equal([UP]);
  });
});
