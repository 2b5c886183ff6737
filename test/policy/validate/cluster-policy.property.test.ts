/**
 * The engine's validation of the cluster kinds against their CRDs: whatever is written for a peer or a port, both take it or
 * both refuse it. Two exceptions, which the schema takes and Tortie refuses by name: domain names, and in the older kinds a
 * range that ends before it starts, which selects nothing.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { validateClusterPolicy, type ClusterPolicyKind } from '@tortie/policy/validate/cluster-policy';
import { customResourceDefinitions } from '../../../src/api/crds/index.js';
import { checkRules } from '../../../src/apiserver/cel-rules.js';
import { applyDefaults } from '../../../src/apiserver/defaults.js';
import { at, isObject, listAt, textAt, type Json, type JsonObject } from '../../../src/apiserver/json.js';
import type { Schema } from '../../../src/apiserver/schema.js';
import { validateValue } from '../../../src/apiserver/validate.js';

const crds = customResourceDefinitions as unknown as readonly JsonObject[];

function schemaProblems(kind: string, written: JsonObject): readonly string[] {
  const crd = crds.find((each) => textAt(each, 'spec', 'names', 'kind') === kind);
  const schema = at(listAt(crd, 'spec', 'versions')[0], 'schema', 'openAPIV3Schema');
  if (!isObject(schema)) throw new Error(`No schema of ${kind}`);
  const object = applyDefaults(schema as Schema, written);
  const found = validateValue(schema as Schema, object, '', { requiredFields: true });
  return (found.length > 0 ? found : checkRules(schema as Schema, object, undefined)).map(
    ({ field, message }) => `${field}: ${message}`,
  );
}

/** Some of the members, each with one of its values; the known and the odd alike. */
const some = (members: Readonly<Record<string, fc.Arbitrary<Json>>>): fc.Arbitrary<Json> =>
  fc.record(members, { requiredKeys: [] }) as fc.Arbitrary<Json>;
/** One member as a rule, sometimes none or two. */
const oneOrSo = (members: Readonly<Record<string, fc.Arbitrary<Json>>>): fc.Arbitrary<Json> =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.oneof(...Object.entries(members).map(([key, value]) => value.map((one) => ({ [key]: one })))),
    },
    { weight: 1, arbitrary: some(members) },
    { weight: 1, arbitrary: fc.constantFrom<Json>({}, 'text', 7, []) },
  );

const number = fc.constantFrom<Json>(1, 80, 65_535, 0, 65_536, -1, '80', 80.5);
const range = some({ start: number, end: number });
const destination = fc.oneof(
  some({ destinationPort: oneOrSo({ number, range }) }),
  fc.constantFrom<Json>({}, 'tcp', []),
);
const selector = fc.constantFrom<Json>(
  {},
  { matchLabels: { app: 'web' } },
  { matchExpressions: [{ key: 'app', operator: 'Exists' }] },
  'app=web',
  { matchLabels: 'app' },
);
const pods = some({ podSelector: selector, namespaceSelector: selector });
const network = fc.constantFrom<Json>(
  '10.0.0.0/8',
  'fd00::/8',
  '10.0.0.1/8',
  '10.0.0.0',
  '10.0.0.0/33',
  '',
  7,
  '::ffff:1.2.3.4/96',
);
const networks = fc.oneof(
  fc.uniqueArray(network, { maxLength: 3 }) as fc.Arbitrary<Json>,
  fc.constant<Json>('10.0.0.0/8'),
);
const peers = { namespaces: selector, pods };
const cnpPort = oneOrSo({
  tcp: destination,
  udp: destination,
  sctp: destination,
  destinationNamedPort: fc.constantFrom<Json>('http', 7),
});
const anpPort = oneOrSo({
  portNumber: some({ protocol: fc.constantFrom<Json>('TCP', 'UDP', 'SCTP'), port: number }),
  portRange: some({ protocol: fc.constantFrom<Json>('TCP', 'UDP', 'SCTP'), start: number, end: number }),
  namedPort: fc.constantFrom<Json>('http', 7),
});

const listOf = (item: fc.Arbitrary<Json>, empty: number): fc.Arbitrary<Json> =>
  fc.oneof(
    { weight: 9, arbitrary: fc.array(item, { minLength: 1, maxLength: 2 }) as fc.Arbitrary<Json> },
    { weight: empty, arbitrary: fc.constantFrom<Json>([], {}, 'all') },
  );

function ruleOf(portsField: string, port: fc.Arbitrary<Json>, actions: readonly string[]) {
  const rule = (peersField: string, members: Readonly<Record<string, fc.Arbitrary<Json>>>): fc.Arbitrary<Json> => {
    const fields: Readonly<Record<string, fc.Arbitrary<Json>>> = {
      action: fc.constantFrom<Json>(...actions, ...actions, 'Drop'),
      name: fc.constantFrom<Json>('n', 'x'.repeat(100), 'x'.repeat(101), 7),
      [peersField]: listOf(oneOrSo(members), 1),
      [portsField]: listOf(port, 1),
    };
    return fc.record(fields, { requiredKeys: ['action', peersField] }) as fc.Arbitrary<Json>;
  };
  return {
    ingress: rule('from', peers),
    egress: rule('to', { ...peers, nodes: selector, networks }),
  };
}

describe('validation of the cluster kinds agrees with their CRDs', () => {
  for (const [kind, portsField, port, actions, name] of [
    ['ClusterNetworkPolicy', 'protocols', cnpPort, ['Accept', 'Deny', 'Pass'], 'any'],
    ['AdminNetworkPolicy', 'ports', anpPort, ['Allow', 'Deny', 'Pass'], 'any'],
    ['BaselineAdminNetworkPolicy', 'ports', anpPort, ['Allow', 'Deny'], 'default'],
  ] as const satisfies readonly (readonly [ClusterPolicyKind, ...unknown[]])[])
    it(kind, function () {
      this.timeout(60_000);
      const { ingress, egress } = ruleOf(portsField, port, actions);
      const head = {
        ...(kind === 'ClusterNetworkPolicy' ? { tier: 'Admin' } : {}),
        ...(kind === 'BaselineAdminNetworkPolicy' ? {} : { priority: 7 }),
      };
      const spec = fc.record(
        {
          subject: fc.oneof(
            { weight: 5, arbitrary: fc.constant<Json>({ namespaces: {} }) },
            { weight: 1, arbitrary: oneOrSo(peers) },
          ),
          ingress: listOf(ingress, 1),
          egress: listOf(egress, 1),
        },
        { requiredKeys: ['subject'] },
      ) as fc.Arbitrary<JsonObject>;
      const counts = { taken: 0, refused: 0 };
      fc.assert(
        fc.property(spec, (one) => {
          const object = { metadata: { name }, spec: { ...head, ...one } } as JsonObject;
          const bySchema = schemaProblems(kind, object);
          const ours = validateClusterPolicy(kind, object)
            .filter(
              ({ field, message }) => !(/portRange$/.test(field) && message.includes('start must be less than end')),
            )
            .map(({ field, message }) => `${field}: ${message}`);
          counts[bySchema.length > 0 ? 'refused' : 'taken']++;
          expect(ours.length > 0, `ours: ${ours.join('; ')}\nschema: ${bySchema.join('; ')}`).to.equal(
            bySchema.length > 0,
          );
        }),
        { numRuns: 1500 },
      );
      expect(counts.taken, 'most objects were refused: the test asks too little').to.be.greaterThan(20);
      expect(counts.refused).to.be.greaterThan(20);
    });
});
