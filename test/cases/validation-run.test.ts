/** Objects of every kind that case files hold, by the rules of crd-facts.json. */
import { expect } from 'chai';
import { runValidation } from '../../src/cases/validation-run.js';

const subject = { namespaces: {} };
const cnp = (spec: object): object => ({
  apiVersion: 'policy.networking.k8s.io/v1alpha2',
  kind: 'ClusterNetworkPolicy',
  metadata: { name: 'c' },
  spec,
});
const anp = (spec: object): object => ({
  apiVersion: 'policy.networking.k8s.io/v1alpha1',
  kind: 'AdminNetworkPolicy',
  metadata: { name: 'a' },
  spec,
});
const accept = (spec: object = {}): object => ({ action: 'Accept', from: [{ namespaces: {} }], ...spec });

const objects: readonly (readonly [what: string, isValid: boolean, object: object])[] = [
  ['a ClusterNetworkPolicy', true, cnp({ tier: 'Admin', priority: 5, subject, ingress: [accept()] })],
  ['one without peers', false, cnp({ tier: 'Admin', priority: 5, subject, ingress: [accept({ from: [] })] })],
  ['one of an unknown tier', false, cnp({ tier: 'Other', priority: 5, subject })],
  [
    "one with v1alpha1's word for an action",
    false,
    cnp({ tier: 'Admin', priority: 5, subject, ingress: [accept({ action: 'Allow' })] }),
  ],
  [
    'one with a range that does not rise',
    false,
    cnp({
      tier: 'Admin',
      priority: 5,
      subject,
      ingress: [accept({ protocols: [{ tcp: { destinationPort: { range: { start: 9, end: 9 } } } }] })],
    }),
  ],
  [
    'an AdminNetworkPolicy',
    true,
    anp({ priority: 5, subject, ingress: [{ action: 'Deny', from: [{ namespaces: {} }] }] }),
  ],
  [
    "one with v1alpha2's word for an action",
    false,
    anp({ priority: 5, subject, ingress: [{ action: 'Accept', from: [{ namespaces: {} }] }] }),
  ],
  [
    'a NetworkPolicy',
    true,
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: 'x', name: 'n' },
      spec: { podSelector: {} },
    },
  ],
];

describe('runValidation', () => {
  for (const [what, isValid, object] of objects)
    it(`${isValid ? 'accepts' : 'refuses'} ${what}`, () => {
      const { found } = runValidation({ id: 'v', isValid, object });
      expect(found.length === 0, found.join('; ')).to.equal(isValid);
    });

  it('is wrong when it disagrees with the file', () => {
    const [, , object] = objects[0] ?? ['', true, {}];
    expect(runValidation({ id: 'v', isValid: true, object }).isRight).to.equal(true);
    expect(runValidation({ id: 'v', isValid: false, object }).isRight).to.equal(false);
  });

  it('says so when it knows no validation for a kind', () => {
    const outcome = runValidation({ id: 'v', isValid: true, object: { apiVersion: 'apps/v1', kind: 'Deployment' } });
    expect(outcome).to.deep.include({ isRight: false, found: ['no validation for kind "Deployment" of "apps/v1"'] });
  });
});
