import { expect } from 'chai';
import fc from 'fast-check';
import { ControllerLease } from '../../src/cluster/controller-lease.js';
import { LEASE_TIMES, LeaderElection } from '../../src/controller/leader-election.js';
import { createLogger } from '../../src/log.js';
import { LeaseStore } from './lease-store.js';

const { leaseDuration, renewDeadline, retryPeriod } = LEASE_TIMES;

describe('controller/leader-election', () => {
  let store: LeaseStore;
  let now: number;
  let told: string[];
  let all: LeaderElection[];

  beforeEach(() => {
    store = new LeaseStore();
    now = 0;
    told = [];
    all = [];
  });
  afterEach(() => Promise.all(all.map((each) => each.stop())));

  /** `skew`: how far its clock is from ours. */
  const candidate = (identity: string, skew = 0): LeaderElection => {
    const election = new LeaderElection({
      lease: { namespace: 'tortie-system', name: 'tortie-controller' },
      identity,
      datastore: store.datastore,
      log: createLogger('test', { level: 'silent' }),
      onElected: () => told.push(`${identity} leads`),
      onLost: () => told.push(`${identity} lost`),
      now: () => now + skew,
    });
    all.push(election);
    return election;
  };

  it('makes the lease, renews it, and tells the leader once', async () => {
    const a = candidate('a');
    await a.contend();
    expect(a.isLeader()).to.equal(true);
    expect(store.lease?.spec).to.include({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
    expect(store.lease?.spec?.renewTime).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    const { acquireTime } = store.lease?.spec ?? {};
    now += retryPeriod;
    await a.contend();
    expect(store.lease?.spec?.acquireTime).to.equal(acquireTime);
    expect([told, store.lease?.metadata.resourceVersion]).to.deep.equal([['a leads'], '2']);
  });

  it('gives another the lease only when nobody renewed it for its duration, whatever the clocks say', async () => {
    const [a, b] = [candidate('a'), candidate('b', 1e9)];
    await a.contend();
    await b.contend();
    now += leaseDuration - 1;
    await b.contend();
    expect(b.isLeader(), 'a moment too early').to.equal(false);
    now += 1;
    await b.contend();
    expect([a.isLeader(), b.isLeader()]).to.deep.equal([false, true]);
    expect(store.lease?.spec).to.include({ holderIdentity: 'b', leaseTransitions: 1 });
    await a.contend();
    expect(told).to.deep.equal(['a leads', 'b leads', 'a lost']);
  });

  it('goes by the duration that the holder wrote', async () => {
    const a = candidate('a');
    await a.contend();
    store.lease = {
      ...store.lease,
      metadata: store.lease?.metadata ?? { name: '' },
      spec: { ...store.lease?.spec, leaseDurationSeconds: 60 },
    };
    const b = candidate('b');
    await b.contend();
    now += 59_999;
    await b.contend();
    expect(b.isLeader()).to.equal(false);
    now += 1;
    await b.contend();
    expect(b.isLeader()).to.equal(true);
  });

  it('leads no longer than it may when the API server is away, also while a renewal hangs', async () => {
    const a = candidate('a');
    await a.contend();
    store.isAway = true;
    now += renewDeadline - 1;
    await a.contend();
    expect(a.isLeader()).to.equal(true);
    now += 1;
    expect(a.isLeader()).to.equal(false);
    store.isAway = false;
    await a.contend();
    expect(a.isLeader()).to.equal(true);
    let answer: () => void = () => undefined;
    store.beforeWrite = () => new Promise((resolve) => (answer = resolve));
    now += retryPeriod;
    const renewal = a.contend();
    await new Promise(setImmediate);
    now += renewDeadline;
    expect(a.isLeader()).to.equal(false);
    answer();
    await renewal;
    expect(a.isLeader(), 'it counts from when the renewal was begun').to.equal(false);
  });

  it('gives the lease back when it ends, so that the next leads at once', async () => {
    const [a, b] = [candidate('a'), candidate('b')];
    await a.contend();
    await b.contend();
    await a.stop();
    expect(told).to.deep.equal(['a leads', 'a lost']);
    expect(store.lease?.spec).to.include({ holderIdentity: '', leaseDurationSeconds: 1 });
    await b.contend();
    expect(b.isLeader()).to.equal(true);
    await a.stop();
    expect(store.lease?.spec?.holderIdentity, 'it gives back nothing that is not its own').to.equal('b');
  });

  it('never has two leaders, whatever order rounds, outages and clocks come in', () => {
    const step = fc.record({
      who: fc.nat(2),
      pause: fc.integer({ min: 0, max: 9_000 }),
      isAway: fc.boolean(),
      ends: fc.integer({ min: 0, max: 9 }).map((each) => each === 0),
    });
    return fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        store = new LeaseStore();
        now = 0;
        const candidates = ['a', 'b', 'c'].map((name, index) => candidate(name, index * 12_345_678));
        for (const { who, pause, isAway, ends } of steps) {
          now += pause;
          store.isAway = isAway;
          await (ends ? candidates[who]?.stop() : candidates[who]?.contend());
          expect(candidates.filter((each) => each.isLeader()).length).to.be.at.most(1);
        }
      }),
    );
  });

  it('is seen by agents while it lives', async () => {
    const [a, agent] = [candidate('a'), new ControllerLease(store.datastore, 'tortie-system', () => now)];
    expect(await agent.isHeld()).to.equal(false);
    await a.contend();
    expect(await agent.isHeld()).to.equal(true);
    now += leaseDuration - 1;
    expect(await agent.isHeld()).to.equal(true);
    await a.contend();
    now += 1;
    expect(await agent.isHeld(), 'it was renewed').to.equal(true);
    now += leaseDuration;
    expect(await agent.isHeld()).to.equal(false);
    await a.contend();
    expect(await agent.isHeld()).to.equal(true);
    await a.stop();
    expect(await agent.isHeld()).to.equal(false);
  });
});
