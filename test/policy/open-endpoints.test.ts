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

  describe('which pod an endpoint is', () => {
    const named = (uid: string, labels: Record<string, string>, nodeName = 'n1'): PolicyEvent => ({
      type: 'upsert',
      kind: 'Pod',
      object: { metadata: { namespace: 'x', name: 'a', uid, labels }, spec: { nodeName } } as never,
    });
    const plumbed = (uid: string, furtherInterfaces?: readonly string[], ...more: string[]): PolicyEvent => ({
      type: 'endpoint-upsert',
      endpoint: {
        namespace: 'x',
        name: 'a',
        interface: 'torta',
        ...(furtherInterfaces && { furtherInterfaces }),
        addresses: ['10.65.0.1', ...more],
        uid,
      },
    });
    const chainsOf = (name: string): readonly string[] =>
      [...engine.ruleset().chains.keys()].filter((chain) => chain.endsWith(name)).sort();
    beforeEach(() => {
      engine = new PolicyEngine({ nodeName: 'n1' });
      take({ type: 'upsert', kind: 'Namespace', object: { metadata: { name: 'x' } } });
    });

    it('closes an endpoint while the object of its name is another pod, and opens it for its own', () => {
      take(named('u1', {}), plumbed('u2'));
      expect([members('ingress'), engine.endpointState('x', 'a')]).to.deep.equal([[], 'pod-unknown']);
      take(named('u2', {}));
      expect([members('ingress'), engine.endpointState('x', 'a')]).to.deep.equal([['10.65.0.1'], 'ready']);
      // Made anew on another node: what is still here is its predecessor's.
      take(named('u3', {}, 'n2'));
      expect([members('ingress'), engine.endpointState('x', 'a')]).to.deep.equal([[], 'pod-unknown']);
      expect(chainsOf('torta')).to.have.length(2);
    });

    it('holds the policy of a pod on every interface it has', () => {
      take(named('u1', { app: 'a' }), denyIngress({ app: 'a' }), plumbed('u1', ['tortb'], '10.65.0.2'));
      expect([chainsOf('torta').length, chainsOf('tortb').length]).to.deep.equal([1, 1]);
      expect(members('egress')).to.deep.equal(['10.65.0.1', '10.65.0.2']);
      take(plumbed('u1'));
      expect([chainsOf('torta').length, chainsOf('tortb').length]).to.deep.equal([1, 0]);
      expect(members('egress')).to.deep.equal(['10.65.0.1']);
    });
  });
});
