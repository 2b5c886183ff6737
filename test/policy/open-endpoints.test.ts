import { expect } from 'chai';
import { isEmptyDelta, PolicyEngine, type PolicyEvent, type RulesetDelta } from '@tortie/policy';
import { OPEN_SETS } from '@tortie/policy/compile/names';

const pod = (name: string, ip: string, labels: Record<string, string> = {}): PolicyEvent => ({
  type: 'upsert',
  kind: 'Pod',
  object: {
    metadata: { namespace: 'x', name, labels },
    spec: { nodeName: 'n1' },
    status: { phase: 'Running', podIPs: [{ ip }] },
  } as never,
});
const endpoint = (name: string, ...addresses: string[]): PolicyEvent => ({
  type: 'endpoint-upsert',
  endpoint: { namespace: 'x', name, interface: `tort${name}`, addresses },
});
const denyIngress = (labels: Record<string, string>): PolicyEvent => ({
  type: 'upsert',
  kind: 'NetworkPolicy',
  object: {
    metadata: { namespace: 'x', name: 'deny' },
    spec: { podSelector: { matchLabels: labels }, policyTypes: ['Ingress'] },
  } as never,
});

describe('policy/resolve/open-endpoints', () => {
  let engine: PolicyEngine;
  const members = (direction: 'ingress' | 'egress'): string[] =>
    [4, 6]
      .flatMap((family) => [
        ...(engine.ruleset().sets.get(`tortie${family}-${OPEN_SETS[direction]}`)?.members.keys() ?? []),
      ])
      .sort();
  const take = (...events: readonly PolicyEvent[]): RulesetDelta => {
    for (const event of events) engine.apply(event);
    return engine.flush();
  };

  beforeEach(() => {
    engine = new PolicyEngine();
    take({ type: 'upsert', kind: 'Namespace', object: { metadata: { name: 'x' } } });
  });

  it('attaching a pod that no policy holds writes set members and no rule', () => {
    const delta = take(pod('a', '10.65.0.1'), endpoint('a', '10.65.0.1', 'fd00::1'));
    expect([delta.chainsUpserted, delta.mapsUpserted, delta.setsCreated]).to.deep.equal([[], [], []]);
    expect(members('ingress')).to.deep.equal(['10.65.0.1', 'fd00::1']);
    expect(members('egress')).to.deep.equal(['10.65.0.1', 'fd00::1']);
    expect(
      take({ type: 'endpoint-delete', namespace: 'x', name: 'a' }).setsChanged.flatMap((change) => change.removed),
    ).to.have.length(4);
    expect(members('ingress')).to.deep.equal([]);
  });

  it('is closed until the pod is known, and open in one direction only when a policy holds the other', () => {
    take(endpoint('a', '10.65.0.1'));
    expect(members('ingress')).to.deep.equal([]);
    take(pod('a', '10.65.0.1', { app: 'a' }), denyIngress({ app: 'a' }));
    expect([members('ingress'), members('egress')]).to.deep.equal([[], ['10.65.0.1']]);
    take({ type: 'delete', kind: 'NetworkPolicy', namespace: 'x', name: 'deny' });
    expect(members('ingress')).to.deep.equal(['10.65.0.1']);
    expect(isEmptyDelta(take())).to.equal(true);
  });

  it('an address of two pods is as closed as the stricter one', () => {
    take(pod('open', '10.65.0.1'), endpoint('open', '10.65.0.1'), denyIngress({ app: 'shut' }));
    expect(members('ingress')).to.deep.equal(['10.65.0.1']);
    take(pod('shut', '10.65.0.1', { app: 'shut' }), endpoint('shut', '10.65.0.1'));
    expect(members('ingress')).to.deep.equal([]);
    take({ type: 'endpoint-delete', namespace: 'x', name: 'shut' });
    expect(members('ingress')).to.deep.equal(['10.65.0.1']);
  });
});
