import { expect } from 'chai';
import { PolicyEngine, type PodObject, type PolicyEvent } from '@tortie/policy';
import type { Flow, LabelSet } from '../../src/flows/flow.js';
import { formatReplay, replayFlows, type Replay } from '../../src/flows/replay.js';
import { suggestPolicies } from '../../src/flows/suggest.js';
import { DENY_PREFIX, denyId } from '@tortie/policy';
import { begins, clusterEvents, networkPolicy, PODS, reported, testNode } from './world.js';

const CLOSED_DB = networkPolicy('shop', 'db', {
  podSelector: { matchLabels: { app: 'db' } },
  ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 5432 }] }],
});

/** What a node records of some talk under these policies. */
function record(policies: readonly PolicyEvent[] = []): {
  readonly flows: readonly Flow[];
  readonly labels: ReadonlyMap<string, LabelSet['labels']>;
} {
  const { recorder, identities } = testNode(policies);
  const talks = [
    { from: '10.65.0.1', to: '10.65.0.10', port: 5432 },
    { from: '10.65.0.2', to: '10.65.0.10', port: 5432 },
    { from: '10.65.0.1', to: '10.65.1.1', port: 8080 },
    { from: '10.65.0.10', to: '198.51.100.1', port: 443 },
    { from: '10.65.0.10', to: '198.51.100.1', port: 53, protocol: 17 },
    { from: '10.65.1.1', to: '10.65.0.2', port: 80 },
    { from: '192.0.2.11', to: '10.65.0.2', port: 80 },
    { from: '10.65.0.1', to: '10.65.0.10', port: 0, protocol: 1 },
  ];
  for (const [id, talk] of talks.entries()) recorder.takeConnection(begins({ ...talk, id }), 1);
  if (policies.includes(CLOSED_DB))
    recorder.takeDenied(
      reported(`${DENY_PREFIX}${denyId({ type: 'tier-end', direction: 'ingress', tier: 'default' })}`, {
        from: '10.65.1.1',
        to: '10.65.0.10',
        port: 5432,
      }),
      2,
    );
  return {
    flows: recorder.close(),
    labels: new Map([...identities.allLabels()].map(({ id, labels }) => [id, labels])),
  };
}

const engineOf = (...events: readonly PolicyEvent[]): PolicyEngine => {
  const engine = new PolicyEngine();
  for (const event of events) engine.apply(event);
  return engine;
};
const podObjects = (events: readonly PolicyEvent[]): readonly PodObject[] =>
  events.flatMap((event) => (event.type === 'upsert' && event.kind === 'Pod' ? [event.object as PodObject] : []));

describe('policy replay', () => {
  const replay = (before: readonly PolicyEvent[], after: readonly PolicyEvent[], recordedUnder = before): Replay => {
    const { flows, labels } = record(recordedUnder);
    const cluster = clusterEvents();
    return replayFlows(
      flows,
      labels,
      podObjects(cluster),
      engineOf(...cluster, ...before),
      engineOf(...cluster, ...after),
    );
  };

  it('changes nothing where nothing changes', () => {
    const { changes, judged } = replay([CLOSED_DB], [CLOSED_DB]);
    expect(changes).to.deep.equal([]);
    expect(judged).to.be.greaterThan(8);
  });

  it('tells what would be denied, by whom, with counts and examples', () => {
    const isolate = networkPolicy('shop', 'isolate', { podSelector: {}, policyTypes: ['Egress'] });
    const { changes } = replay([], [isolate]);
    expect(changes).to.have.length(1);
    expect(changes[0]).to.include({
      type: 'closed',
      direction: 'egress',
      namespace: 'shop',
      policy: 'end of tier default',
      subjects: 5,
      connections: 6,
    });
    expect(changes[0]?.examples).to.have.length(5);
    expect(changes[0]?.examples[0]?.after.decision).to.deep.include({ type: 'tier-default' });
  });

  it('tells what would be allowed, only where both ends would', () => {
    const open = networkPolicy('shop', 'db', { podSelector: { matchLabels: { app: 'db' } }, ingress: [{}] });
    const { changes } = replay([CLOSED_DB], [open]);
    expect(changes.map(({ type, connections, policy }) => [type, connections, policy])).to.deep.equal([
      ['opened', 1, 'NetworkPolicy shop/db'],
    ]);
    const sender = networkPolicy('other', 'x', { podSelector: {}, policyTypes: ['Egress'] });
    expect(replay([CLOSED_DB], [open, sender]).changes).to.deep.equal([]);
  });

  it('leaves out what the present policies already judge otherwise', () => {
    const isolate = networkPolicy('shop', 'isolate', { podSelector: {}, policyTypes: ['Egress'] });
    const { changes, differsAlready } = replay([isolate], [isolate], []);
    expect(changes).to.deep.equal([]);
    expect(differsAlready).to.equal(5);
  });

  it('judges pods that are gone by the labels that were recorded, and says what it cannot judge', () => {
    const { flows, labels } = record();
    const cluster = clusterEvents(PODS.filter(({ labels: own }) => own['app'] !== 'web'));
    const closes = networkPolicy('shop', 'db', { podSelector: { matchLabels: { app: 'db' } }, ingress: [] });
    const with_ = (known: ReadonlyMap<string, LabelSet['labels']>): Replay =>
      replayFlows(flows, known, podObjects(cluster), engineOf(...cluster), engineOf(...cluster, closes));
    expect(with_(labels).changes[0]).to.include({ type: 'closed', direction: 'ingress', subjects: 2, connections: 3 });
    expect(with_(labels).unjudged).to.equal(0);
    expect(with_(new Map()).unjudged).to.be.greaterThan(3);
    expect(formatReplay(with_(labels))).to.include('closed: shop/Deployment/web -> shop/db-0 5432/TCP, ingress');
  });
});

describe('policy suggest', () => {
  it('covers what was seen, and no more than that', () => {
    const { flows, labels } = record();
    const { policies, uncovered } = suggestPolicies('shop', flows, labels);
    expect(policies.map(({ metadata, spec }) => [metadata.name, spec?.podSelector])).to.deep.equal([
      ['db-0', { matchLabels: { app: 'db' } }],
      ['web', { matchLabels: { app: 'web' } }],
    ]);
    expect(policies[0]?.spec).to.deep.include({
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ protocol: 'TCP', port: 5432 }] }],
      egress: [
        {
          to: [{ ipBlock: { cidr: '198.51.100.1/32' } }],
          ports: [
            { protocol: 'TCP', port: 443 },
            { protocol: 'UDP', port: 53 },
          ],
        },
      ],
    });
    expect(policies[1]?.spec?.ingress).to.deep.equal([
      {
        from: [
          {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'other' } },
            podSelector: { matchLabels: { app: 'x' } },
          },
        ],
        ports: [{ protocol: 'TCP', port: 80 }],
      },
    ]);
    expect(uncovered).to.deep.equal([
      'shop/Deployment/web -> shop/db-0 ICMP: NetworkPolicy names no protocol but TCP, UDP and SCTP',
    ]);
    // The engine's word: nothing that was seen is closed but what could not be said, and strangers are kept out.
    const cluster = clusterEvents();
    const suggested = policies.map(
      (object): PolicyEvent => ({ type: 'upsert', kind: 'NetworkPolicy', object: object as never }),
    );
    const after = engineOf(...cluster, ...suggested);
    const { changes } = replayFlows(flows, labels, podObjects(cluster), engineOf(...cluster), after);
    expect(changes.flatMap(({ examples }) => examples.map(({ flow }) => flow.protocol))).to.deep.equal([
      'ICMP',
      'ICMP',
    ]);
    const stranger = after.verdict({
      from: { type: 'pod', namespace: 'other', name: 'x' },
      to: { type: 'pod', namespace: 'shop', name: 'db-0' },
      family: 4,
      protocol: 'TCP',
      port: 5432,
    });
    expect(stranger.allowed).to.equal(false);
  });

  it('says nothing of denied flows or of other namespaces', () => {
    const { flows, labels } = record([CLOSED_DB]);
    const text = JSON.stringify(suggestPolicies('shop', flows, labels).policies[0]?.spec?.ingress);
    expect(text).to.not.include('other');
    expect(suggestPolicies('other', flows, labels).policies).to.deep.equal([]);
  });
});
