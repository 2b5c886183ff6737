/** Values that people write, and whether the schemas take them: what is taken is for the agent, what is refused names its field. */
import { expect } from 'chai';
import { customResourceDefinitions } from '../../../src/api/crds/index.js';
import { at, isObject, listAt, textAt, type Json, type JsonObject } from '../../../src/apiserver/json.js';
import { checkRules } from '../../../src/apiserver/cel-rules.js';
import type { Schema } from '../../../src/apiserver/schema.js';
import { validateValue } from '../../../src/apiserver/validate.js';

const crds = customResourceDefinitions as unknown as readonly JsonObject[];

function problemsOf(kind: string, spec: Json): readonly string[] {
  const crd = crds.find((each) => textAt(each, 'spec', 'names', 'kind') === kind);
  const schema = at(listAt(crd, 'spec', 'versions')[0], 'schema', 'openAPIV3Schema');
  if (!isObject(schema)) throw new Error(`No schema of ${kind}`);
  const object = { metadata: { name: 'x' }, spec };
  const found = validateValue(schema as Schema, object, '', { requiredFields: true });
  return (found.length > 0 ? found : checkRules(schema as Schema, object, undefined)).map(
    ({ field, message }) => `${field}: ${message}`,
  );
}

const clusterPolicy = (port: Json): Json => ({
  tier: 'Admin',
  priority: 1,
  subject: { namespaces: {} },
  ingress: [{ action: 'Accept', from: [{ namespaces: {} }], protocols: [port] }],
});

const taken: readonly (readonly [string, string, Json])[] = [
  ['an AS number as a number', 'BGPPeer', { peerIP: '192.0.2.1', asNumber: 4294967295 }],
  ['an AS number as asplain text', 'BGPPeer', { peerIP: '192.0.2.1', asNumber: '65001' }],
  ['an AS number as asdot text', 'BGPConfiguration', { asNumber: '64512.10' }],
  ['a link-local peer with its interface', 'BGPPeer', { peerIP: 'fe80::1%eth0', asNumber: 65001 }],
  ['a link-local peer with its interface and a port', 'BGPPeer', { peerIP: '[fe80::1%bond0.12]:1179' }],
  ['an IPv4 peer with a port', 'BGPPeer', { peerIP: '192.0.2.1:1179' }],
  ['all 255 of numAllowedLocalASNumbers', 'BGPPeer', { peerIP: '192.0.2.1', numAllowedLocalASNumbers: 255 }],
  ['who programs routes', 'BGPConfiguration', { programClusterRoutes: 'Disabled' }],
  ['a mesh password beside a mesh', 'BGPConfiguration', { nodeMeshPassword: { secretKeyRef: { key: 'k' } } }],
  [
    'all of TCP by a destination port',
    'ClusterNetworkPolicy',
    clusterPolicy({ tcp: { destinationPort: { number: 80 } } }),
  ],
];

const refused: readonly (readonly [string, string, Json, string])[] = [
  ['AS number 0', 'BGPPeer', { asNumber: 0 }, 'spec.asNumber'],
  ['an AS number with two dots', 'BGPPeer', { asNumber: '1.2.3' }, 'spec.asNumber'],
  [
    'a service range that is no range',
    'BGPConfiguration',
    { serviceClusterIPs: [{ cidr: 'x' }] },
    'serviceClusterIPs[0].cidr',
  ],
  [
    'a service range without a range',
    'BGPConfiguration',
    { serviceExternalIPs: [{}] },
    'spec.serviceExternalIPs[0].cidr: Required',
  ],
  [
    'one service range twice',
    'BGPConfiguration',
    { serviceClusterIPs: [{ cidr: '10.0.0.0/16' }, { cidr: '10.0.0.0/16' }] },
    'spec.serviceClusterIPs[1]: Duplicate value',
  ],
  [
    'a community out of range',
    'BGPConfiguration',
    { communities: [{ name: 'a', value: '65536:1' }] },
    'spec.communities[0].value',
  ],
  [
    'a mesh password without a mesh',
    'BGPConfiguration',
    { nodeToNodeMeshEnabled: false, nodeMeshPassword: { secretKeyRef: { key: 'k' } } },
    'nodeMeshPassword cannot be set when nodeToNodeMeshEnabled is false',
  ],
  [
    'a mesh restart time without a mesh',
    'BGPConfiguration',
    { nodeToNodeMeshEnabled: false, nodeMeshMaxRestartTime: '60s' },
    'nodeMeshMaxRestartTime cannot be set when nodeToNodeMeshEnabled is false',
  ],
  ['a zone that is no interface name', 'BGPPeer', { peerIP: 'fe80::1%a/b' }, 'spec.peerIP'],
  [
    'an empty protocol',
    'ClusterNetworkPolicy',
    clusterPolicy({ tcp: {} }),
    'protocols[0].tcp in body should have at least 1',
  ],
  ['no protocol at all', 'ClusterNetworkPolicy', clusterPolicy({}), 'protocols[0] in body should have at least 1'],
];

describe('CRDs: values', () => {
  for (const [what, kind, spec] of taken)
    it(`${kind} takes ${what}`, () => expect(problemsOf(kind, spec)).to.deep.equal([]));
  for (const [what, kind, spec, message] of refused)
    it(`${kind} refuses ${what}`, () => expect(problemsOf(kind, spec).join('\n')).to.include(message));

  it('every kind that users write has conditions and shows them', () => {
    for (const crd of crds) {
      const kind = textAt(crd, 'spec', 'names', 'kind') ?? '';
      if (['IPAMBlock', 'NodeAddresses', 'NodeStatus', 'Change'].includes(kind)) continue;
      const version = listAt(crd, 'spec', 'versions')[0];
      const columns = listAt(version, 'additionalPrinterColumns').map((column) => textAt(column, 'name'));
      expect(columns, kind).to.include.members(['Accepted', 'InUse']);
      expect(at(version, 'subresources', 'status'), kind).to.not.equal(undefined);
    }
  });
});
