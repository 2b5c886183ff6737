import { expect } from 'chai';
import { DENY_PREFIX, deniedChainName, isEmptyDelta, PolicyEngine, type Flow } from '@tortie/policy';
import { calicoPolicy, eventsOf, networkPolicy, smallWorld } from './world.js';

const REPORTS = { group: 7, perSecond: 10, burst: 20 };

describe('policy: reports of what is denied', () => {
  const world = smallWorld({
    policies: [
      networkPolicy('x', 'np', { ingress: [{ ports: [{ port: 80 }] }] }),
      calicoPolicy('GlobalNetworkPolicy', '', 'gnp', {
        order: 5,
        types: ['Ingress'],
        ingress: [
          { action: 'Allow', protocol: 'TCP', destination: { ports: [80] } },
          { action: 'Deny', protocol: 'UDP' },
        ],
      }),
      calicoPolicy('StagedNetworkPolicy', 'x', 'staged', {
        order: 1,
        selector: 'all()',
        types: ['Ingress'],
        ingress: [{ action: 'Deny', protocol: 'TCP' }],
      }),
    ],
  });
  const engine = new PolicyEngine({ denyReports: REPORTS });
  for (const event of eventsOf(world, 'n1')) engine.apply(event);
  engine.flush();

  const reports = (of: PolicyEngine): readonly string[] =>
    [...of.ruleset().chains.values()].flatMap(({ rules }) =>
      rules.flatMap(({ action }) => (action.type === 'report' ? [action.prefix] : [])),
    );

  it('name the rule, the end of a tier, or the closed endpoint', () => {
    const points = reports(engine).map((prefix) => engine.denyPoint(prefix.slice(DENY_PREFIX.length)));
    expect(points).to.deep.include({
      type: 'rule',
      direction: 'ingress',
      tier: 'default',
      policy: { kind: 'GlobalNetworkPolicy', namespace: '', name: 'gnp' },
      rule: 1,
    });
    expect(points).to.deep.include({ type: 'tier-end', direction: 'ingress', tier: 'default' });
    expect(points).to.deep.include({ type: 'closed', direction: 'egress' });
    for (const prefix of reports(engine)) expect(prefix.length).to.be.at.most(63);
    expect(deniedChainName('x'.repeat(18)).length).to.be.at.most(28);
  });

  it('come before the drop, so many a second, and are there only while a rule leads to them', () => {
    const chain = [...engine.ruleset().chains.values()].find(({ name }) => name.startsWith(deniedChainName('')));
    expect(chain?.rules.map(({ action, matches }) => [action.type, matches.map(({ type }) => type)])).to.deep.equal([
      ['report', ['limit']],
      ['drop', []],
    ]);
    const before = reports(engine).length;
    engine.apply({ type: 'delete', kind: 'GlobalNetworkPolicy', name: 'gnp' });
    engine.flush();
    expect(reports(engine)).to.have.length(before - 1);
    for (const event of eventsOf(world, 'n1')) engine.apply(event);
    engine.flush();
    expect(reports(engine)).to.have.length(before);
    expect(isEmptyDelta(engine.flush())).to.equal(true);
  });

  it('cost nothing where nobody asked', () => {
    const quiet = new PolicyEngine();
    for (const event of eventsOf(world, 'n1')) quiet.apply(event);
    quiet.flush();
    expect(reports(quiet)).to.deep.equal([]);
    expect([...quiet.ruleset().chains.keys()].filter((key) => key.includes(deniedChainName('')))).to.deep.equal([]);
  });

  it('one end is judged as both are, with what staged policies would have done', () => {
    const [a, b] = world.pods.filter(({ namespace }) => namespace === 'x');
    const flow: Flow = {
      from: { type: 'address', address: '192.0.2.1' },
      to: { type: 'pod', namespace: 'x', name: (b ?? a)?.name ?? '' },
      family: 4,
      protocol: 'TCP',
      port: 80,
    };
    const judged = engine.judge(flow, 'ingress');
    expect({ direction: judged.direction, allowed: judged.allowed, decision: judged.decision }).to.deep.equal(
      engine.verdict(flow).ingress,
    );
    expect(judged.staged).to.deep.equal([
      {
        tier: 'default',
        policy: { kind: 'StagedNetworkPolicy', namespace: 'x', name: 'staged' },
        rule: 0,
        action: 'deny',
      },
    ]);
    expect(engine.judge({ ...flow, protocol: 'UDP' }, 'ingress').staged[0]).to.deep.include({ action: 'none' });
  });
});
