import { expect } from 'chai';
import pino from 'pino';
import { candidatesOf, LEASE_NAME, StatusElection } from '../../src/agent/status-election.js';
import type { Lease, Node } from '../../src/api/core.js';
import { ApiError, type Datastore } from '../../src/datastore/datastore.js';

const node = (name: string, ready?: 'True' | 'False'): Node => ({
  metadata: { name },
  ...(ready === undefined ? {} : { status: { conditions: [{ type: 'Ready', status: ready }] } }),
});

/** One Lease with compare-and-swap, as an API server keeps it. */
class LeaseStore {
  lease: Lease | undefined;
  asked = 0;
  isAway = false;
  private version = 0;

  readonly datastore = {
    get: async () => this.answer(() => this.lease),
    create: async (_: unknown, lease: Lease) =>
      this.answer(() => {
        if (this.lease !== undefined) throw new ApiError('exists', 409, 'AlreadyExists');
        return this.keep(lease);
      }),
    replace: async (_: unknown, lease: Lease) =>
      this.answer(() => {
        if (lease.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
          throw new ApiError('stale', 409, 'Conflict');
        return this.keep(lease);
      }),
  } as unknown as Pick<Datastore, 'get' | 'create' | 'replace'>;

  private answer<T>(make: () => T): T {
    this.asked += 1;
    if (this.isAway) throw new Error('no route to the API server');
    return make();
  }

  private keep(lease: Lease): Lease {
    this.version += 1;
    this.lease = { ...lease, metadata: { ...lease.metadata, uid: 'u', resourceVersion: String(this.version) } };
    return this.lease;
  }
}

describe('agent/status-election', () => {
  const nodes = ['e', 'd', 'c', 'b', 'a'].map((name) => node(name));
  let now = 0;
  let store: LeaseStore;
  const elected: string[] = [];

  beforeEach(() => {
    now = 0;
    store = new LeaseStore();
    elected.length = 0;
  });

  const election = (name: string): StatusElection =>
    new StatusElection({
      node: name,
      namespace: 'tortie-system',
      nodes: () => nodes,
      datastore: store.datastore,
      log: pino({ level: 'silent' }),
      onElected: () => elected.push(name),
      now: () => now,
    });

  it('lets the first three ready nodes stand, whatever the size of the cluster', () => {
    const many = Array.from({ length: 5000 }, (_, i) =>
      node(`node${String(i).padStart(4, '0')}`, i === 1 ? 'False' : 'True'),
    );
    expect(candidatesOf(many.toReversed())).to.deep.equal(['node0000', 'node0002', 'node0003']);
  });

  it('asks nothing of the API server where a node does not stand', async () => {
    const last = election('e');
    await last.contend();
    expect([store.asked, last.isLeader()]).to.deep.equal([0, false]);
  });

  it('has one leader, and tells it once', async () => {
    const [a, b] = [election('a'), election('b')];
    for (let round = 0; round < 10; round += 1) {
      await b.contend();
      await a.contend();
      now += 5_000;
      expect([a.isLeader(), b.isLeader()].filter(Boolean)).to.have.length(1);
    }
    expect(elected).to.deep.equal(['b']);
    expect(store.lease?.metadata.name).to.equal(LEASE_NAME);
  });

  it('is taken over when the holder has been silent, who by then no longer believes in itself', async () => {
    const [a, b] = [election('a'), election('b')];
    await a.contend();
    for (let waited = 0; !b.isLeader(); waited += 1_000) {
      expect(waited).to.be.below(60_000);
      now += 1_000;
      await b.contend();
      expect(a.isLeader() && b.isLeader()).to.equal(false);
    }
    await a.contend();
    expect([a.isLeader(), b.isLeader()]).to.deep.equal([false, true]);
    expect(store.lease?.spec?.leaseTransitions).to.equal(1);
  });

  it('steps down when the API server is away', async () => {
    const a = election('a');
    await a.contend();
    store.isAway = true;
    now += 15_000;
    await a.contend();
    expect(a.isLeader()).to.equal(false);
    store.isAway = false;
    await a.contend();
    expect(a.isLeader()).to.equal(true);
    expect(elected).to.deep.equal(['a', 'a']);
  });

  it('is told again when its belief ran out unseen: it stood back while others went before it, and nobody took the lease', async () => {
    const standing = ['d', 'c'].map((name) => node(name));
    const d = new StatusElection({
      node: 'd',
      namespace: 'tortie-system',
      nodes: () => standing,
      datastore: store.datastore,
      log: pino({ level: 'silent' }),
      onElected: () => elected.push('d'),
      now: () => now,
    });
    await d.contend();
    // Two Node objects that nobody answers for sort before it.
    standing.push(node('a'), node('b'));
    now += 11_000;
    await d.contend();
    now += 2_000;
    expect(d.isLeader()).to.equal(false);
    standing.splice(2);
    await d.contend();
    expect([d.isLeader(), elected]).to.deep.equal([true, ['d', 'd']]);
    now += 5_000;
    await d.contend();
    expect(elected).to.deep.equal(['d', 'd']);
  });

  it('is told again when its belief ran out while it asked', async () => {
    const a = election('a');
    await a.contend();
    now += 10_000;
    const { get } = store.datastore;
    store.datastore.get = async (...args) => {
      now += 4_000;
      return get(...args);
    };
    await a.contend();
    expect([a.isLeader(), elected]).to.deep.equal([true, ['a', 'a']]);
  });

  it('loses to whoever wrote first', async () => {
    const [a, b] = [election('a'), election('b')];
    await Promise.all([a.contend(), b.contend()]);
    expect([a.isLeader(), b.isLeader()].filter(Boolean)).to.have.length(1);
  });
});
