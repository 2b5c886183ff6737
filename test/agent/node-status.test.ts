import { expect } from 'chai';
import { conditionsOf, NodeStatusWriter, type NodeReport } from '../../src/agent/node-status.js';
import { SILENCE, SilentAgents } from '../../src/agent/silent-agents.js';
import type { NodeStatus } from '../../src/api/node-status.js';
import { ApiError, type Datastore } from '../../src/datastore/datastore.js';
import { createLogger } from '../../src/log.js';

const log = createLogger('test', { level: 'silent' });

/** NodeStatuses as an API server keeps them, and what was asked of it. */
class Statuses {
  readonly objects = new Map<string, NodeStatus>();
  readonly calls: string[] = [];
  private version = 0;

  readonly datastore = {
    get: async (_: string, name: string) => this.noted(`get ${name}`, this.objects.get(name)),
    list: async () => this.noted('list', [...this.objects.values()]),
    create: async (_: string, object: NodeStatus) => this.put('create', object),
    replaceStatus: async (_: string, object: NodeStatus) => {
      const { name, resourceVersion } = object.metadata;
      if (this.objects.get(name)?.metadata.resourceVersion !== resourceVersion)
        throw new ApiError('the object has been modified', 409, 'Conflict');
      return this.put('put', object);
    },
  } as unknown as Datastore;

  put(verb: string, object: NodeStatus): NodeStatus {
    const { name } = object.metadata;
    const stored = { ...object, metadata: { name, uid: `uid-${name}`, resourceVersion: String(++this.version) } };
    this.objects.set(name, stored);
    return this.noted(`${verb} ${name}`, stored);
  }

  /** The words of one node's conditions. */
  words(name: string): readonly string[] {
    return (this.objects.get(name)?.status?.conditions ?? []).map(({ type, status }) => `${type}=${status}`);
  }

  private noted<T>(call: string, answer: T): T {
    this.calls.push(call);
    return answer;
  }
}

describe('agent/node-status', () => {
  const report = (problems: readonly string[]) => ({
    aspects: [{ type: 'PolicyReady', problems, wellMessage: 'fine' }],
    blocks: [],
  });

  it('is Ready only when every aspect is, and says why not', () => {
    expect(conditionsOf(report([]), [], 'T1').map((condition) => [condition.type, condition.status])).to.deep.equal([
      ['PolicyReady', 'True'],
      ['Ready', 'True'],
    ]);
    const [, ready] = conditionsOf(report(['a is wrong', 'b is wrong']), [], 'T1');
    expect(ready).to.include({ status: 'False', message: 'a is wrong; b is wrong' });
  });

  it('stays Ready for a warning, which has its say in its own condition', () => {
    const warnings = ['Pool "stock" has ipipMode Always'];
    const [ipam, ready] = conditionsOf(
      { aspects: [{ type: 'IPAMReady', problems: [], warnings, wellMessage: 'fine' }], blocks: [] },
      [],
      'T1',
    );
    expect(ipam).to.include({ status: 'False', reason: 'Warnings', message: 'Pool "stock" has ipipMode Always' });
    expect(ready).to.include({ status: 'True', message: 'The node serves pods; not all is well: see IPAMReady' });
  });

  it('escapes what users wrote', () => {
    const [own] = conditionsOf(report(['a\u001b[2J']), [], 'T1');
    expect(own).to.include({ message: 'a\\u001b[2J' });
  });

  it('moves the transition time only when the word changes', () => {
    const first = conditionsOf(report(['x']), [], 'T1');
    expect(conditionsOf(report(['y']), first, 'T2')[0]).to.include({ lastTransitionTime: 'T1', message: 'y' });
    expect(conditionsOf(report([]), first, 'T2')[0]).to.include({ lastTransitionTime: 'T2', status: 'True' });
  });

  it('cuts a message that no status could hold', () => {
    const [condition] = conditionsOf(
      report(Array.from({ length: 10_000 }, (_, i) => `policy number ${i} is wrong`)),
      [],
      'T',
    );
    expect(condition?.message.length).to.be.lessThan(9_000);
    expect(condition?.message).to.match(/\(10000 problems\)$/);
  });

  describe('heartbeat', () => {
    let statuses: Statuses;
    let writer: NodeStatusWriter;
    let problems: readonly string[];

    const eventually = async (what: string, holds: () => boolean): Promise<void> => {
      for (let i = 0; i < 1_000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
      expect(holds(), what).to.equal(true);
    };
    const reportNow = (): NodeReport => report(problems);

    beforeEach(() => {
      statuses = new Statuses();
      problems = [];
      writer = new NodeStatusWriter('node1', '1.0.0', statuses.datastore, reportNow, log, 30);
    });
    afterEach(() => writer.stop());

    it('says once in a while that it is there, in one write', async () => {
      writer.changed();
      await eventually('heartbeats', () => statuses.calls.length >= 6);
      expect(statuses.calls.slice(0, 5)).to.deep.equal([
        'get node1',
        'create node1',
        'put node1',
        'put node1',
        'put node1',
      ]);
      expect(statuses.objects.get('node1')?.status?.agent?.heartbeatTime).to.match(/^\d{4}-.*Z$/);
    });

    it('writes nothing for a Node that is gone, and all of it when the Node is back', async () => {
      let hasNode = false;
      let isAsked = false;
      const isThere = (): boolean => {
        isAsked = true;
        return hasNode;
      };
      writer = new NodeStatusWriter('node1', '1.0.0', statuses.datastore, reportNow, log, 30, isThere);
      writer.changed();
      await eventually('the question', () => isAsked);
      expect(statuses.calls).to.deep.equal([]);
      hasNode = true;
      writer.changed();
      await eventually('its status', () => statuses.words('node1').includes('Ready=True'));
    }).timeout(10_000);

    it('writes anew what somebody else has made of its status', async () => {
      writer.changed();
      await eventually('its status', () => statuses.words('node1').includes('Ready=True'));
      const mine = statuses.objects.get('node1');
      if (mine === undefined) throw new Error('No status');
      statuses.put('foreign', { ...mine, status: { conditions: [] } });
      await eventually('its status again', () => statuses.words('node1').includes('Ready=True'));
    }).timeout(10_000);
  });

  describe('of an agent that says nothing any more', () => {
    let statuses: Statuses;
    let now: number;
    let isLeader: boolean;
    let silent: SilentAgents;

    const write = (name: string): NodeStatus => {
      const conditions = conditionsOf(report([]), [], '2026-01-01T00:00:00Z');
      const known = statuses.objects.get(name)?.metadata;
      return statuses.put('write', { metadata: known ?? { name }, status: { conditions } });
    };

    beforeEach(() => {
      statuses = new Statuses();
      now = 0;
      isLeader = true;
      silent = new SilentAgents({
        node: 'node1',
        datastore: statuses.datastore,
        isLeader: () => isLeader,
        log,
        now: () => now,
      });
      for (const name of ['node1', 'node2', 'node3']) write(name);
    });

    it('is Unknown in every condition, and only that one', async () => {
      await silent.look();
      now += SILENCE - 1;
      write('node3');
      await silent.look();
      expect(statuses.words('node2')).to.deep.equal(['PolicyReady=True', 'Ready=True']);
      now += 1;
      await silent.look();
      expect(statuses.words('node1'), 'itself').to.deep.equal(['PolicyReady=True', 'Ready=True']);
      expect(statuses.words('node2')).to.deep.equal(['PolicyReady=Unknown', 'Ready=Unknown']);
      expect(statuses.words('node3'), 'one that spoke').to.deep.equal(['PolicyReady=True', 'Ready=True']);
      expect(statuses.objects.get('node2')?.status?.conditions?.[0]).to.include({ reason: 'AgentSilent' });

      const before = statuses.calls.length;
      now += 10 * SILENCE;
      write('node3');
      await silent.look();
      expect(statuses.calls.slice(before), 'it is said once').to.deep.equal(['write node3', 'list']);
    });

    it('is nobody who has not been watched for long enough: the elected one begins anew', async () => {
      await silent.look();
      isLeader = false;
      now += 2 * SILENCE;
      await silent.look();
      isLeader = true;
      await silent.look();
      expect(statuses.words('node2')).to.include('Ready=True');
      now += SILENCE;
      await silent.look();
      expect(statuses.words('node2')).to.include('Ready=Unknown');
    });
  });
});
