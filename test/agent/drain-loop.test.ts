/** The steps of a drain, by a clock of the test's own; with routes and packets: test/lab/rack-drain.test.ts. */
import { expect } from 'chai';
import { DrainLoop, isTelling, type DrainLoopOptions } from '../../src/agent/drain-loop.js';
import type { Node, Pod, PodCondition } from '../../src/api/core.js';
import type { NodeDrainStatus, NodeStatus } from '../../src/api/node-status.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { createLogger } from '../../src/log.js';

const node = (name: string, annotations?: Readonly<Record<string, string>>, unschedulable = false): Node => ({
  metadata: { name, ...(annotations === undefined ? {} : { annotations }) },
  spec: { unschedulable },
});
const ASKED = { 'tortie.dev/drain': 'now' };
const status = (name: string, more: NodeStatus['status'] = {}): NodeStatus => ({
  metadata: { name },
  status: { bgp: { peers: [{ address: '10.1.1.2', state: 'Established' }] }, ...more },
});
const drained = (cause: string, phase: NodeDrainStatus['phase']): NodeDrainStatus => ({
  cause,
  phase,
  since: '2026-12-01T00:00:00Z',
  message: '',
});
const pod = (reason: string, nodeName = 'n1'): Pod => {
  const condition: PodCondition = { type: 'DisruptionTarget', status: 'True', reason };
  return {
    metadata: { name: 'p', namespace: 'shop' },
    spec: { nodeName, containers: [] },
    status: { conditions: [condition] },
  };
};
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 25));

describe('agent/drain-loop', () => {
  let cluster: Cluster;
  let statuses: NodeStatus[];
  let isTold: boolean;
  let pods: number;
  let marked: string[];
  let isAway: boolean;
  let changes: number;
  let said: string[];
  let loops: DrainLoop[];

  beforeEach(() => {
    cluster = new Cluster(['nodes', 'pods']);
    statuses = ['n1', 'n2'].map((name) => status(name));
    [isTold, pods, marked, isAway, changes, said, loops] = [true, 1, [], false, 0, [], []];
    for (const name of ['n1', 'n2']) cluster.upsert('nodes', node(name));
  });
  afterEach(() => loops.forEach((loop) => loop.stop()));

  const start = async (options: Partial<DrainLoopOptions> = {}): Promise<DrainLoop> => {
    const answer = <T>(value: T): Promise<T> => (isAway ? Promise.reject(new Error('away')) : Promise.resolve(value));
    const loop = new DrainLoop({
      node: 'n1',
      cluster,
      datastore: {
        get: (_kind, name) => answer(statuses.find(({ metadata }) => metadata.name === name) as never),
        list: () => answer(statuses as never),
      },
      podCount: () => pods,
      outcome: () => ({ marked, withdrawn: [] }),
      isTold: () => isTold,
      onChange: () => void changes++,
      record: ({ reason }) => void said.push(reason),
      log: createLogger('test', { level: 'silent' }),
      wait: 0,
      floor: 1,
      ...options,
    });
    loops.push(loop);
    cluster.onChange((change) => loop.changed(change));
    await loop.start();
    return loop;
  };

  it('is in service, cordoned or not', async () => {
    const loop = await start();
    cluster.upsert('nodes', node('n1', undefined, true));
    expect([loop.input(), loop.status(), changes]).to.deep.equal([undefined, undefined, 0]);
  });

  it('marks at once, and settles only after bgpd has told it and the wait is over', async () => {
    isTold = false;
    const loop = await start({ wait: 60 });
    cluster.upsert('nodes', node('n1', ASKED));
    expect(loop.input()).to.include({ hasSettled: false, hasPods: true });
    expect(loop.status()).to.include({ cause: 'Requested', phase: 'Marked' });
    loop.bgpLooked();
    await pause();
    expect(loop.input()?.hasSettled, 'bgpd has not told it').to.equal(false);
    isTold = true;
    loop.bgpLooked();
    await pause();
    expect(loop.input()?.hasSettled, 'within the wait').to.equal(false);
    await pause();
    await pause();
    expect(loop.input()?.hasSettled).to.equal(true);
    expect(['n1', 'n2'].map((name) => loop.input()?.tells(name))).to.deep.equal([false, true]);
    expect(loop.status()?.phase).to.equal('Withdrawn');
    pods = 0;
    expect(loop.status()?.phase).to.equal('Empty');
    marked = ['192.0.2.1/32'];
    expect(loop.status()).to.include({ phase: 'Withdrawn' });
    expect(loop.status()?.kept).to.deep.equal(marked);
    cluster.upsert('nodes', node('n1'));
    expect([loop.input(), loop.status()]).to.deep.equal([undefined, undefined]);
    expect(said).to.deep.equal(['Draining', 'InService']);
  });

  it('an eviction from a cordoned node begins it, whichever is heard of first, and uncordoning ends it', async () => {
    const loop = await start();
    cluster.upsert('pods', pod('EvictionByEvictionAPI'));
    expect(loop.status()).to.equal(undefined);
    cluster.upsert('nodes', node('n1', undefined, true));
    expect(loop.status()?.cause).to.equal('Evicted');
    cluster.upsert('nodes', node('n1'));
    expect(loop.status()).to.equal(undefined);
    cluster.upsert('nodes', node('n1', undefined, true));
    expect(loop.status(), 'another cordon').to.equal(undefined);
    cluster.delete('pods', pod('DeletionByTaintManager'));
    expect(loop.status()?.cause).to.equal('Evicted');
  });

  it('other disruptions, and evictions elsewhere, begin nothing', async () => {
    const loop = await start();
    cluster.upsert('nodes', node('n1', undefined, true));
    cluster.upsert('pods', pod('PreemptionByScheduler'));
    cluster.upsert('pods', pod('EvictionByEvictionAPI', 'n2'));
    expect(loop.status()).to.equal(undefined);
  });

  it('goes on where an agent before it was: evictions are remembered, what was withdrawn stays so', async () => {
    statuses[0] = status('n1', { drain: drained('Evicted', 'Withdrawn') });
    cluster.upsert('nodes', node('n1', undefined, true));
    const loop = await start({ wait: 60_000 });
    expect(loop.input()).to.include({ hasSettled: true });
    expect(loop.input()?.tells('n2')).to.equal(true);
    expect(loop.status()?.since).to.equal('2026-12-01T00:00:00Z');
  });

  it('what an agent before it remembered of a node that is cordoned no more is over', async () => {
    statuses[0] = status('n1', { drain: drained('Evicted', 'Withdrawn') });
    expect((await start()).status()).to.equal(undefined);
  });

  it('an API server that is away leaves the last answer standing', async () => {
    const loop = await start();
    cluster.upsert('nodes', node('n1', ASKED));
    loop.bgpLooked();
    await pause();
    isAway = true;
    cluster.upsert('nodes', node('n2', { other: '' }));
    await pause();
    expect(loop.input()?.tells('n2')).to.equal(true);
    isAway = false;
    cluster.upsert('nodes', node('n2', ASKED));
    await pause();
    expect(loop.input()?.tells('n2')).to.equal(false);
  });

  const other = node('n2');
  const condition = (type: string, is: 'True' | 'False' | 'Unknown', reason = 'Problems') => ({
    conditions: [{ type, status: is, reason, message: '', lastTransitionTime: '' }],
  });
  for (const [what, given, of, tells] of [
    ['in service with a session', status('n2'), other, true],
    ['that has no Node', status('n2'), undefined, false],
    ['that is to be drained', status('n2'), node('n2', ASKED), false],
    ['that drains', status('n2', { drain: drained('Evicted', 'Marked') }), other, false],
    ['without a session', status('n2', { bgp: { peers: [{ address: '10.1.1.2', state: 'Active' }] } }), other, false],
    ['whose agent is silent', status('n2', condition('Ready', 'Unknown', 'AgentSilent')), other, false],
    ['whose kernel lacks Services', status('n2', condition('ServicesReady', 'False')), other, false],
    ['where a Service is odd', status('n2', condition('ServicesReady', 'False', 'Warnings')), other, true],
    [
      'whose kubelet is not ready',
      status('n2'),
      { ...other, status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } } as Node,
      false,
    ],
  ] as const)
    it(`a node ${what} ${tells ? 'counts' : 'does not count'}`, () => expect(isTelling(given, of)).to.equal(tells));
});
