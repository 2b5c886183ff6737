import { expect } from 'chai';
import { validateNetworkPolicy } from '@tortie/policy';

const policy = (spec: unknown, metadata: unknown = { namespace: 'x', name: 'p' }): unknown => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata,
  spec,
});
const peer = (one: unknown): unknown => policy({ ingress: [{ from: [one] }] });
const port = (one: unknown): unknown => policy({ egress: [{ ports: [one] }] });

/** What the API server says to each; [] for what it takes. */
const cases: readonly (readonly [title: string, object: unknown, messages: readonly string[]])[] = [
  ['the emptiest policy', policy({}), []],
  ['no spec at all', { metadata: { namespace: 'x', name: 'p' } }, []],
  ['null lists', policy({ podSelector: null, ingress: null, egress: null, policyTypes: null }), []],
  ['null ports and peers', policy({ ingress: [{ from: null, ports: null }] }), []],
  [
    'an endPort without a port',
    port({ endPort: 20 }),
    ['spec.egress[0].ports[0].endPort: Invalid value: 20: may not be specified when `port` is not specified'],
  ],
  [
    'an endPort with a name',
    port({ port: 'http', endPort: 20 }),
    ['spec.egress[0].ports[0].endPort: Invalid value: 20: may not be specified when `port` is non-numeric'],
  ],
  [
    'an endPort below its port',
    port({ port: 30, endPort: 20 }),
    ['spec.egress[0].ports[0].endPort: Invalid value: 20: must be greater than or equal to `port`'],
  ],
  [
    'an endPort out of range',
    port({ port: 30, endPort: 70000 }),
    ['spec.egress[0].ports[0].endPort: Invalid value: 70000: must be between 1 and 65535, inclusive'],
  ],
  ['an endPort equal to its port', port({ port: 20, endPort: 20 }), []],
  ['an empty port', port({}), []],
  ['a null port', port(null), []],
  [
    'port zero',
    port({ port: 0 }),
    ['spec.egress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive'],
  ],
  [
    'a port of digits in quotes',
    port({ port: '80' }),
    ['spec.egress[0].ports[0].port: Invalid value: "80": must contain at least one letter (a-z)'],
  ],
  [
    'a port of another type',
    port({ port: [80] }),
    ['spec.egress[0].ports[0].port: Invalid value: [80]: must be a port number or a port name'],
  ],
  [
    'an unknown protocol',
    port({ protocol: 'tcp' }),
    ['spec.egress[0].ports[0].protocol: Unsupported value: "tcp": supported values: "TCP", "UDP", "SCTP"'],
  ],
  ['an empty peer', peer({}), ['spec.ingress[0].from[0]: Required value: must specify a peer']],
  ['a null peer', peer(null), ['spec.ingress[0].from[0]: Required value: must specify a peer']],
  [
    'a peer of nulls',
    peer({ podSelector: null, ipBlock: null }),
    ['spec.ingress[0].from[0]: Required value: must specify a peer'],
  ],
  [
    'a block beside a selector',
    peer({ ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} }),
    ['spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer'],
  ],
  ['a block without cidr', peer({ ipBlock: {} }), ['spec.ingress[0].from[0].ipBlock.cidr: Required value']],
  [
    'an address instead of a cidr',
    peer({ ipBlock: { cidr: '10.0.0.1' } }),
    [
      'spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.1": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
    ],
  ],
  ['host bits and leading zeros', peer({ ipBlock: { cidr: '010.1.02.3/8' } }), []],
  [
    'an except outside, equal, of the other family and broken',
    peer({ ipBlock: { cidr: '10.0.0.0/16', except: ['10.1.0.0/24', '10.0.0.0/16', 'fd00::/64', 'x'] } }),
    [
      'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "10.1.0.0/24": must be a strict subset of `cidr`',
      'spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: "10.0.0.0/16": must be a strict subset of `cidr`',
      'spec.ingress[0].from[0].ipBlock.except[2]: Invalid value: "fd00::/64": must be a strict subset of `cidr`',
      'spec.ingress[0].from[0].ipBlock.except[3]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
    ],
  ],
  [
    'In without values',
    peer({ podSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } }),
    [
      'spec.ingress[0].from[0].podSelector.matchExpressions[0].values: Required value: must be specified when ' +
        "`operator` is 'In' or 'NotIn'",
    ],
  ],
  [
    'Exists with values',
    peer({ podSelector: { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['b'] }] } }),
    [
      'spec.ingress[0].from[0].podSelector.matchExpressions[0].values: Forbidden: may not be specified when ' +
        "`operator` is 'Exists' or 'DoesNotExist'",
    ],
  ],
  [
    'an unknown operator',
    peer({ namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'Like' }] } }),
    [
      'spec.ingress[0].from[0].namespaceSelector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator',
    ],
  ],
  [
    'three policyTypes',
    policy({ policyTypes: ['Ingress', 'Egress', 'Ingress'] }),
    ['spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes'],
  ],
  [
    'an unknown policyType',
    policy({ policyTypes: ['Forward'] }),
    ['spec.policyTypes[0]: Unsupported value: "Forward": supported values: "Ingress", "Egress"'],
  ],
  ['a duplicate policyType', policy({ policyTypes: ['Ingress', 'Ingress'] }), []],
  ['no name', policy({}, { namespace: 'x' }), ['metadata.name: Required value: name or generateName is required']],
  ['a generated name', policy({}, { namespace: 'x', generateName: 'p-' }), []],
  ['no namespace', policy({}, { name: 'p' }), ['metadata.namespace: Required value']],
  [
    'lists of another type',
    policy({ ingress: {}, podSelector: 'x' }),
    ['spec.podSelector: Invalid value: "x": must be an object', 'spec.ingress: Invalid value: {}: must be an array'],
  ],
];

describe('policy/validate/network-policy', () => {
  for (const [title, object, messages] of cases)
    it(`${messages.length === 0 ? 'takes' : 'refuses'} ${title}`, () =>
      expect(validateNetworkPolicy(object).map((problem) => problem.message)).to.deep.equal(messages));

  it('names field, value and what was wanted', () => {
    expect(validateNetworkPolicy(port({ port: 0 }))[0]).to.deep.include({
      field: 'spec.egress[0].ports[0].port',
      value: '0',
      expected: 'must be between 1 and 65535, inclusive',
      reason: 'FieldValueInvalid',
    });
  });

  it('refuses names, labels and selectors that are too long or malformed', () => {
    const fields = (object: unknown): readonly string[] =>
      validateNetworkPolicy(object).map((problem) => problem.field);
    expect(fields(policy({}, { namespace: 'x', name: 'A' }))).to.deep.equal(['metadata.name']);
    expect(fields(policy({}, { namespace: 'x', name: 'a'.repeat(254) }))).to.deep.equal(['metadata.name']);
    expect(fields(policy({}, { namespace: 'x'.repeat(64), name: 'a' }))).to.deep.equal(['metadata.namespace']);
    expect(fields(policy({}, { namespace: 'x', name: 'a', labels: { 'a b': 'c d' } }))).to.deep.equal([
      'metadata.labels',
      'metadata.labels',
    ]);
    expect(fields(policy({ podSelector: { matchLabels: { 'a/b/c': 'x'.repeat(64) } } }))).to.deep.equal([
      'spec.podSelector.matchLabels',
      'spec.podSelector.matchLabels',
    ]);
    expect(fields('nonsense')).to.deep.equal(['']);
  });
});
