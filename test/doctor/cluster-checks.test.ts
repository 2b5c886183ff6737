import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { checkCluster, GUARDS } from '../../src/doctor/checks/cluster.js';
import { readClusterFacts, type ClusterFacts } from '../../src/doctor/cluster-facts.js';
import type { CheckName, Severity } from '../../src/doctor/finding.js';
import { ApiError } from '../../src/datastore/datastore.js';
import { nodeNamed, soundCluster, statusNamed } from './world.js';

const condition = (type: string, status: 'True' | 'False' | 'Unknown', reason: string, message: string) => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: '2026-01-01T00:00:00Z',
});
const says = (...conditions: readonly ReturnType<typeof condition>[]): Partial<ClusterFacts> => ({
  nodeStatuses: [{ metadata: { name: 'a' }, status: { conditions } }, ...soundCluster.nodeStatuses.slice(1)],
});
const meshOff = [{ metadata: { name: 'default' }, spec: { nodeToNodeMeshEnabled: false } }];

const CASES: readonly (readonly [CheckName, Severity, string, Partial<ClusterFacts>, RegExp])[] = [
  [
    'duplicate-address',
    'error',
    'two Nodes with one address',
    {
      nodes: [nodeNamed('a', '192.0.2.1'), nodeNamed('b', '192.0.2.1')],
      nodeStatuses: [statusNamed('a', '192.0.2.1'), statusNamed('b', '192.0.2.1')],
    },
    /^Nodes "a", "b" have one address, 192\.0\.2\.1$/,
  ],
  [
    'duplicate-router-id',
    'error',
    'two speakers with one identifier',
    { nodeStatuses: [statusNamed('a', '7.7.7.7'), statusNamed('b', '7.7.7.7')] },
    /^Nodes "a", "b" have the BGP identifier 7\.7\.7\.7/,
  ],
  [
    'as-loop',
    'warning',
    'one AS, no mesh, routers of another',
    { bgpConfigurations: meshOff },
    /^Nodes "a", "b" are all AS 64512 .*\(BGPPeer\/rack\)/,
  ],
  [
    'node-status',
    'error',
    'nobody reports',
    { nodeStatuses: soundCluster.nodeStatuses.slice(1) },
    /No agent has reported/,
  ],
  [
    'node-status',
    'error',
    'an agent is silent',
    says(
      condition('Ready', 'Unknown', 'AgentSilent', 'The agent has not reported'),
      condition('BGPReady', 'Unknown', 'AgentSilent', 'x'),
    ),
    /^The agent has not reported$/,
  ],
  [
    'node-status',
    'error',
    'a problem',
    says(condition('Ready', 'False', 'Problems', 'x'), condition('BGPReady', 'False', 'Problems', 'a session is down')),
    /^BGPReady is False: a session is down$/,
  ],
  [
    'node-status',
    'warning',
    'a warning',
    says(condition('Ready', 'True', 'Ok', 'x'), condition('PolicyReady', 'False', 'Warnings', 'an odd policy')),
    /^PolicyReady is False/,
  ],
  [
    'object',
    'warning',
    'a refused field',
    {
      judged: [
        {
          name: 'BGPPeer/rack',
          conditions: [
            condition('Accepted', 'False', 'FieldInvalid', 'spec.x is "y"'),
            condition('InUse', 'False', 'NotUsed', 'nobody'),
          ],
        },
      ],
    },
    /^BGPPeer\/rack is not accepted as a whole: spec\.x is "y"$/,
  ],
  ['pool', 'error', 'no pool', { ipPools: [] }, /^There is no IPPool$/],
  [
    'pool',
    'error',
    'all pools are disabled',
    { ipPools: [{ metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/24', disabled: true } }] },
    /^All 1 IPPools are disabled$/,
  ],
  [
    'guard',
    'warning',
    'a guard was taken away',
    { guards: GUARDS.slice(1) },
    /ValidatingAdmissionPolicy changes\.tortie\.dev:/,
  ],
  [
    'uninstallation',
    'error',
    'an uninstallation that was broken off',
    { daemonSets: ['tortie-node', 'tortie-uninstall'] },
    /^The DaemonSet tortie-uninstall is there/,
  ],
  ['other-network', 'warning', 'another network', { daemonSets: ['tortie-node', 'calico-node'] }, /: calico-node$/],
  [
    'unread',
    'warning',
    'something could not be read',
    { unread: [{ what: 'x', why: '500' }] },
    /^Not looked at: x: 500$/,
  ],
];

describe('doctor: the cluster', () => {
  it('finds nothing wrong with a sound one', () => expect(checkCluster(soundCluster)).to.deep.equal([]));
  for (const [check, severity, what, facts, evidence] of CASES)
    it(`${check}: ${what}`, () => {
      const findings = checkCluster({ ...soundCluster, ...facts });
      expect(findings.map((each) => [each.check, each.severity])).to.deep.equal([[check, severity]]);
      expect(findings[0]?.evidence).to.match(evidence);
    });
  for (const [what, facts] of [
    [
      'each node has its own AS',
      {
        nodes: soundCluster.nodes.map((node, at) => ({
          ...node,
          metadata: { ...node.metadata, annotations: { 'projectcalico.org/ASNumber': `${64600 + at}` } },
        })),
      },
    ],
    [
      'a route may come back',
      {
        bgpPeers: soundCluster.bgpPeers.map((peer) => ({
          ...peer,
          spec: { ...peer.spec, numAllowedLocalASNumbers: 1 },
        })),
      },
    ],
    [
      'reflectors stand between them',
      { bgpPeers: [...soundCluster.bgpPeers, { metadata: { name: 'rr' }, spec: { peerSelector: 'rr' } }] },
    ],
  ] as const)
    it(`as-loop: not where ${what}`, () =>
      expect(checkCluster({ ...soundCluster, bgpConfigurations: meshOff, ...facts })).to.deep.equal([]));

  it('knows the guards of the manifests', () => {
    const folder = fileURLToPath(new URL('../../../manifests/base/', import.meta.url));
    const text = readdirSync(folder)
      .map((name) => readFileSync(`${folder}${name}`, 'utf8'))
      .join('\n---\n');
    const names = [...text.matchAll(/kind: ValidatingAdmissionPolicy\nmetadata:\n {2}name: (\S+)/g)].map(
      ([, name]) => name,
    );
    expect(names.sort()).to.deep.equal(GUARDS);
  });

  it('reads what it may, and says what it may not', async () => {
    const asked: string[] = [];
    const request = async <T>(_: string, path: string): Promise<T> => {
      asked.push(path);
      if (path.includes('daemonsets')) throw new ApiError('forbidden', 403, 'Forbidden');
      if (path.includes('ippools')) throw new ApiError('broken', 500, 'InternalError');
      if (path.includes('validatingadmission')) throw new ApiError('none', 404, 'NotFound');
      return { items: path.endsWith('/tiers') ? [{ metadata: { name: 't' }, status: { conditions: [] } }] : [] } as T;
    };
    const facts = await readClusterFacts({ request }, 'a b');
    expect(asked).to.include('/api/v1/pods?fieldSelector=spec.nodeName%3Da%20b');
    expect(facts.judged).to.deep.equal([{ name: 'Tier/t', conditions: [] }]);
    expect(facts.guards).to.equal(undefined);
    expect(facts.daemonSets).to.equal(undefined);
    expect(facts.unread).to.deep.equal([
      { what: 'ippools', why: 'broken', isExpected: false },
      { what: 'DaemonSets', why: 'forbidden', isExpected: true },
    ]);
  });
});
