import { expect } from 'chai';
import type { CalicoRule, GlobalNetworkPolicySpec } from '../../src/api/calico-policy.js';
import { shadowFindings } from '../../src/plan/shadow-plan.js';
import { worldOf } from '../../src/plan/world.js';

type Given = readonly [name: string, spec: GlobalNetworkPolicySpec, namespace?: string];

const worldWith = (...policies: readonly Given[]) =>
  worldOf(
    policies.map(([name, spec, namespace]) => ({
      apiVersion: 'projectcalico.org/v3',
      kind: namespace === undefined ? 'GlobalNetworkPolicy' : 'NetworkPolicy',
      metadata: { name, ...(namespace && { namespace }) },
      spec,
    })),
  );
const found = (...policies: readonly Given[]): readonly string[] =>
  shadowFindings(worldWith(), worldWith(...policies)).map(
    ({ object, field, evidence }) => `${object} ${field} by ${evidence}`,
  );
const oneOf = (...ingress: readonly CalicoRule[]): readonly string[] => found(['p', { ingress }]);

describe('plan: rules that can never match', () => {
  it('are those after one of the same list that matches at least as much', () => {
    const never = ['GlobalNetworkPolicy/p spec.ingress[1] by spec.ingress[0]'];
    const tcp = { action: 'Allow', protocol: 'TCP' } as const;
    expect(oneOf({ action: 'Deny' }, tcp)).to.deep.equal(never);
    expect(oneOf(tcp, { action: 'Deny' })).to.deep.equal([]);
    expect(oneOf({ action: 'Log' }, tcp)).to.deep.equal([]);
    expect(oneOf({ action: 'Pass' }, tcp)).to.deep.equal(never);
    const from = (...nets: readonly string[]): CalicoRule => ({ ...tcp, source: { nets } });
    expect(oneOf(from('10.0.0.0/8', 'fd00::/8'), from('10.1.0.0/16', 'fd00:1::/32'))).to.deep.equal(never);
    expect(oneOf(from('10.0.0.0/8'), from('10.1.0.0/16', '11.0.0.0/8'))).to.deep.equal([]);
    expect(oneOf(from('10.0.0.0/8'), tcp)).to.deep.equal([]);
    const to = (...ports: readonly (string | number)[]): CalicoRule => ({ ...tcp, destination: { ports } });
    expect(oneOf(to('80:90', 'http'), to(80, '85:88', 'http'))).to.deep.equal(never);
    expect(oneOf(to('80:90'), to(79))).to.deep.equal([]);
    expect(oneOf(to(80), to('http'))).to.deep.equal([]);
    expect(
      oneOf({ ...tcp, source: { selector: 'a' } }, { ...tcp, source: { selector: 'a', nets: ['10.0.0.0/8'] } }),
    ).to.deep.equal(never);
    expect(oneOf({ ...tcp, source: { selector: 'a' } }, { ...tcp, source: { selector: 'b' } })).to.deep.equal([]);
    expect(oneOf({ ...tcp, source: { notNets: ['10.0.0.0/8'] } }, tcp)).to.deep.equal([]);
    expect(oneOf({ ...tcp, ipVersion: 4 }, { ...tcp, ipVersion: 6 })).to.deep.equal([]);
    expect(oneOf({ action: 'Allow', http: { methods: ['GET'] } }, tcp)).to.deep.equal([]);
  });

  it('are all of a policy behind one that decides everything, for at least the same endpoints', () => {
    const wall: Given = ['wall', { order: 1, ingress: [{ action: 'Allow', protocol: 'UDP' }, { action: 'Deny' }] }];
    const rules: GlobalNetworkPolicySpec = { order: 2, selector: 'app == "web"', ingress: [{ action: 'Allow' }] };
    const behind = 'spec.ingress by GlobalNetworkPolicy/wall spec.ingress[1], which has no condition';
    expect(found(wall, ['web', rules])).to.deep.equal([`GlobalNetworkPolicy/web ${behind}`]);
    expect(found(wall, ['web', rules, 'shop'])).to.deep.equal([`CalicoNetworkPolicy/shop/web ${behind}`]);
    const apart: readonly (readonly [
      what: string,
      wall: Partial<GlobalNetworkPolicySpec>,
      web: Partial<GlobalNetworkPolicySpec>,
    ])[] = [
      ['later', { order: 3 }, {}],
      ['of equal order', { order: 2 }, {}],
      ['in another tier', { tier: 'a' }, {}],
      ['of fewer endpoints', { selector: 'app == "db"' }, {}],
      ['of fewer namespaces', { namespaceSelector: 'a' }, {}],
      ['of fewer accounts', { serviceAccountSelector: 'a' }, {}],
      ['of the other direction', { types: ['Egress'] }, {}],
      ['for host endpoints before translation', { preDNAT: true }, {}],
    ];
    for (const [what, more, web] of apart)
      expect(found(['wall', { ...wall[1], ...more }], ['web', { ...rules, ...web }]), what).to.deep.equal([]);
    expect(found(['wall', wall[1], 'other'], ['web', rules, 'shop'])).to.deep.equal([]);
  });

  it('are told where the change makes them so, and not again', () => {
    const wall: Given = ['wall', { order: 1, ingress: [{ action: 'Deny' }] }];
    const web: Given = ['web', { order: 2, ingress: [{ action: 'Allow' }] }];
    expect(shadowFindings(worldWith(web), worldWith(wall, web))).to.have.length(1);
    expect(
      shadowFindings(worldWith(wall, web), worldWith(wall, web, ['more', { order: 0, egress: [] }])),
    ).to.deep.equal([]);
  });
});
