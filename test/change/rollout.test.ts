import { expect } from 'chai';
import type { Change, ChangeStatus } from '../../src/api/change.js';
import { rolloutOf, stepsOf, type NodeWord } from '../../src/change/rollout.js';
import { changeOf, peerEntry, T0, word } from './world.js';

const written = (
  changes: readonly Change[],
  nodes: readonly NodeWord[],
  at = T0,
): Readonly<Record<string, ChangeStatus>> =>
  Object.fromEntries(rolloutOf(changes, nodes, at).map(({ change, status }) => [change.metadata.name, status]));

/** As the API server has it after the leader has written it. */
const led = (change: Change, nodes: readonly NodeWord[], at = T0): Change => {
  const [first] = rolloutOf([change], nodes, at);
  return first === undefined ? change : { ...change, status: first.status };
};

describe('rollout of changes', () => {
  const nodes = [word('n1'), word('n2'), word('n3')];

  it('steps: canaries first, then so many at a time, by name; every node once', () => {
    const spec = { confirmSeconds: 60, objects: [peerEntry('p')] };
    const names = ['a', 'b', 'c', 'd', 'e'];
    expect(stepsOf(spec, names)).to.deep.equal([names]);
    expect(stepsOf({ ...spec, canary: ['c'] }, names)).to.deep.equal([['c'], ['a', 'b', 'd', 'e']]);
    expect(stepsOf({ ...spec, stepSize: 2 }, names)).to.deep.equal([['a', 'b'], ['c', 'd'], ['e']]);
    expect(stepsOf({ ...spec, canary: ['e', 'a', 'e'], stepSize: 2 }, names)).to.deep.equal([
      ['e', 'a'],
      ['b', 'c'],
      ['d'],
    ]);
    expect(stepsOf({ ...spec, canary: ['a'] }, ['a'])).to.deep.equal([['a']]);
  });

  it('begins, and goes to the next step only when all of the last are well', () => {
    let change = led(changeOf('c', { spec: { canary: ['n2'] } }), nodes);
    expect(change.status).to.deep.include({ phase: 'Trial', step: 0, steps: 2, well: '0/3', observedGeneration: 1 });
    expect(change.status?.message).to.equal('step 1 of 2: waits for n2');
    change = led(change, [word('n1'), word('n2', 'Taken'), word('n3')]);
    expect(change.status?.step).to.equal(0);
    change = led(change, [word('n1'), word('n2', 'Well'), word('n3')]);
    expect(change.status).to.deep.include({ step: 1, well: '1/3', message: 'step 2 of 2: waits for n1, n3' });
    change = led(change, [word('n1', 'Well'), word('n2', 'Well'), word('n3', 'Well')]);
    expect(change.status).to.deep.include({ phase: 'Trial', well: '3/3' });
    expect(change.status?.message).to.equal('all nodes are well with it; it waits to be confirmed');
    expect(written([change], [word('n1', 'Well'), word('n2', 'Well'), word('n3', 'Well')])).to.deep.equal({});
  });

  it('does not wait for a node whose agent is not heard of, but for one that comes back', () => {
    const away = { ...word('n3'), isHeard: false };
    let change = led(changeOf('c'), [word('n1', 'Well'), word('n2', 'Well'), away]);
    change = led(change, [word('n1', 'Well'), word('n2', 'Well'), away]);
    expect(change.status?.nodes?.map(({ state }) => state)).to.deep.equal(['Well', 'Well', 'Absent']);
    expect(change.status?.message).to.contain('waits to be confirmed');
    change = led(change, [word('n1', 'Well'), word('n2', 'Well'), word('n3')]);
    expect(change.status?.message).to.equal('step 1 of 1: waits for n3');
  });

  it('ends for all when one node went back, and is over when each that had it is back', () => {
    let change = led(changeOf('c'), nodes);
    change = led(change, [word('n1', 'Taken'), word('n2', 'Taken'), word('n3', 'Taken')]);
    change = led(change, [word('n1', 'Taken'), word('n2', 'Reverted', 'c', 'no sessions'), word('n3', 'Taken')]);
    expect(change.status).to.deep.include({ phase: 'Reverting', message: 'node n2: no sessions' });
    change = led(change, [word('n1', 'Reverted'), word('n2', 'Reverted'), word('n3', 'Taken')]);
    expect(change.status?.phase).to.equal('Reverting');
    const done = led(change, [word('n1', 'Reverted'), word('n2', 'Reverted'), word('n3', 'Reverted')]);
    expect(done.status).to.deep.include({ phase: 'Reverted', message: 'node n2: no sessions' });
    const late = led(change, [word('n1', 'Reverted'), word('n2', 'Reverted'), word('n3', 'Taken')], T0 + 61_000);
    expect(late.status?.phase).to.equal('Reverted');
    expect(late.status?.message).to.contain('not heard of: n3');
  });

  it('waits a moment for nodes that may have taken it and not said so', () => {
    const trial = led(changeOf('c'), nodes);
    const ended: Change = { ...trial, status: { ...trial.status, phase: 'Reverting', since: '2026-01-01T00:00:00Z' } };
    expect(led(ended, nodes, T0 + 1_000).status?.phase).to.equal('Reverting');
    expect(led(ended, nodes, T0 + 4_000).status?.phase).to.equal('Reverted');
  });

  it('one at a time: the older first, others say for whom they wait; one that has begun goes on', () => {
    const [old, young] = [changeOf('z', { age: 10 }), changeOf('a')];
    const first = written([young, old], nodes);
    expect(first['z']?.phase).to.equal('Trial');
    expect(first['a']).to.deep.include({ phase: 'Waiting', message: 'waits for Change/z to end' });
    const begun: Change = {
      ...young,
      status: { phase: 'Trial', observedGeneration: 1, since: '2026-01-01T00:00:00Z' },
    };
    expect(written([begun, old], nodes)['z']).to.deep.include({
      phase: 'Waiting',
      message: 'waits for Change/a to end',
    });
    const over: Change = { ...young, status: { phase: 'Confirmed' } };
    expect(written([over, old], nodes)['z']?.phase).to.equal('Trial');
    expect(written([over], nodes)).to.deep.equal({});
  });

  it('leaves what is being confirmed to whoever confirms', () => {
    const confirming = changeOf('c', { status: { phase: 'Confirming' } });
    expect(written([confirming], [word('n1', 'Reverted')], T0 + 1e9)).to.deep.equal({});
    expect(written([confirming, changeOf('later')], nodes)['later']?.phase).to.equal('Waiting');
  });

  it('refuses what no node can take, and says why', () => {
    const of = (spec: Partial<Change['spec']>): string | undefined => {
      const status = written([changeOf('c', { spec })], nodes)['c'];
      expect(status?.phase).to.equal('Reverted');
      return status?.message;
    };
    expect(of({ canary: ['n9'] })).to.equal('nothing was changed: spec.canary names node "n9", which is not there');
    expect(of({ objects: [{ apiVersion: 'v1', kind: 'Secret', name: 's', remove: true }] })).to.contain(
      'spec.objects[0] is a Secret of v1; expected one of',
    );
    expect(of({ objects: [{ apiVersion: 'v1', kind: 'Node', name: 'n1', remove: true }] })).to.contain(
      'is a Node; expected labels or removedLabels',
    );
  });

  it('ends when the spec is changed meanwhile, and when time is up though no node took it', () => {
    const change = led(changeOf('c'), nodes);
    const edited: Change = { ...change, metadata: { ...change.metadata, generation: 2 } };
    expect(led(edited, nodes).status?.message).to.equal('its spec was changed while it was on trial');
    expect(led(change, nodes, T0 + 309_000).status?.phase).to.equal('Trial');
    expect(led(change, nodes, T0 + 311_000).status?.message).to.equal('nobody confirmed it within 300 s');
  });
});
