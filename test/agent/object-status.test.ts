import { expect } from 'chai';
import pino from 'pino';
import {
  LEADER_MANAGER,
  nodeManager,
  ObjectStatus,
  STATUS_KINDS,
  type NodeProblem,
} from '../../src/agent/object-status.js';
import { selectorMatches } from '../../src/agent/node-selector.js';
import { customResourceDefinitions } from '../../src/api/crds/index.js';
import type { KindName } from '../../src/api/kinds.js';
import type { Condition } from '../../src/api/meta.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { KubernetesClient } from '../../src/datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../../src/datastore/kubernetes-datastore.js';
import type { Watch } from '../../src/datastore/datastore.js';
import { listAt, put, textAt, type JsonObject } from '../../src/apiserver/json.js';
import { ApiClient, eventually } from '../apiserver/api-client.js';
import { Kubectl } from '../apiserver/kubectl-run.js';

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const GROUP = '/apis/projectcalico.org/v3';
/** Longer than an agent waits before it writes an object again. */
const WRITE_PAUSE = 2_500;
const KINDS: readonly KindName[] = [...STATUS_KINDS, 'nodes', 'ipamBlocks'];

/** One agent's half of the matter: its copy of the cluster and its writer. */
interface Writer {
  readonly cluster: Cluster;
  readonly status: ObjectStatus;
  readonly tell: (problems: readonly NodeProblem[]) => void;
  readonly stop: () => void;
}

describe('agent/object-status', () => {
  let api: ApiClient;
  let kubectl: Kubectl;
  let writers: Writer[] = [];

  const crds = customResourceDefinitions as unknown as readonly JsonObject[];

  beforeEach(async () => {
    api = await ApiClient.start();
    kubectl = new Kubectl('kubectl', api.url);
  });
  afterEach(async () => {
    for (const writer of writers) writer.stop();
    writers = [];
    kubectl.dispose();
    await api.close();
  });

  const define = async (definitions: readonly JsonObject[] = crds): Promise<void> => {
    for (const definition of definitions) expect((await api.post(CRDS, definition)).code).to.equal(201);
  };

  const create = async (path: string, kind: string, name: string, spec: JsonObject): Promise<void> => {
    const object = { apiVersion: 'projectcalico.org/v3', kind, metadata: { name }, spec };
    const { code, body } = await api.post(`${GROUP}/${path}`, object);
    expect(code, JSON.stringify(body)).to.equal(201);
  };

  const node = async (name: string, labels: JsonObject = {}): Promise<void> => {
    expect((await api.post('/api/v1/nodes', { metadata: { name, labels } })).code).to.equal(201);
  };

  async function writer(name: string, isLeader: boolean): Promise<Writer> {
    const datastore = new KubernetesDatastore(KubernetesClient.load(kubectl.kubeconfig));
    const cluster = new Cluster(KINDS);
    let problems: readonly NodeProblem[] = [];
    const status = new ObjectStatus({
      node: name,
      cluster,
      datastore,
      isLeader: () => isLeader,
      matches: selectorMatches,
      policyProblems: (kind, object) =>
        kind === 'globalNetworkPolicies' && object.metadata.name === 'bad'
          ? [{ field: 'spec.selector', message: 'spec.selector: Invalid value: "(": must parse' }]
          : [],
      nodeProblems: () => problems,
      log: pino({ level: 'silent' }),
    });
    cluster.onChange((change) => status.changed(change));
    const watches: readonly Watch[] = KINDS.map((kind) => datastore.watch(kind, cluster));
    await cluster.synced;
    status.start();
    const made: Writer = {
      cluster,
      status,
      tell: (now) => {
        problems = now;
        status.problemsChanged();
      },
      stop: () => {
        status.stop();
        for (const watch of watches) watch.stop();
      },
    };
    writers.push(made);
    return made;
  }

  const conditions = async (path: string): Promise<ReadonlyMap<string, Condition>> =>
    new Map(
      listAt((await api.get(`${GROUP}/${path}`)).body, 'status', 'conditions').map((condition) => [
        textAt(condition, 'type') ?? '',
        condition as unknown as Condition,
      ]),
    );

  /** Waits until a condition has this status and words. */
  const says = (path: string, type: string, status: string, words: RegExp): Promise<void> =>
    eventually(`${path} to say ${type} ${status} ${String(words)}`, async () => {
      const found = (await conditions(path)).get(type);
      return found?.status === status && words.test(found.message);
    });

  it('says of every kind whether all of it can be used, and names what is not', async () => {
    await define();
    await node('node1', { rack: 'a' });
    await create('ippools', 'IPPool', 'pods', { cidr: '10.65.0.0/16', ipipMode: 'Always', vxlanMode: 'Always' });
    await create('ipreservations', 'IPReservation', 'kept', { reservedCIDRs: ['10.65.0.0/30', 'rest'] });
    await create('bgppeers', 'BGPPeer', 'tor', { peerIP: '192.0.2.1', asNumber: 65001, nodeSelector: "rack == 'a'" });
    await create('bgppeers', 'BGPPeer', 'lost', { peerIP: '192.0.2.2', asNumber: 65001, nodeSelector: "rack == 'z'" });
    await create('bgppeers', 'BGPPeer', 'named', { peerIP: '192.0.2.3', node: 'node9' });
    await create('bgpconfigurations', 'BGPConfiguration', 'default', {
      programClusterRoutes: 'Disabled',
    });
    await create('bgpconfigurations', 'BGPConfiguration', 'other', {});
    await create('globalnetworkpolicies', 'GlobalNetworkPolicy', 'bad', { selector: '(' });
    await create('tiers', 'Tier', 'security', {});
    await writer('node1', true);
    await says('ippools/pods', 'Accepted', 'False', /^spec\.ipipMode is "Always"; expected Never/);
    await says('ippools/pods', 'InUse', 'False', /^No node owns a block of it$/);
    await says('ipreservations/kept', 'Accepted', 'False', /^spec\.reservedCIDRs is "rest"; expected addresses or/);
    await says('bgppeers/tor', 'Accepted', 'True', /^All of it can be used$/);
    await says('bgppeers/tor', 'InUse', 'True', /^Selects 1 node: node1$/);
    await says('bgppeers/lost', 'InUse', 'False', /^spec\.nodeSelector "rack == 'z'" matches no node$/);
    await says('bgppeers/named', 'InUse', 'False', /^spec\.node names "node9"; expected the name of a node$/);
    await says(
      'bgpconfigurations/default',
      'Accepted',
      'False',
      /^spec\.programClusterRoutes is "Disabled"; expected Enabled/,
    );
    await says(
      'bgpconfigurations/other',
      'InUse',
      'False',
      /^metadata\.name is "other"; expected "default", or "node\."/,
    );
    await says('globalnetworkpolicies/bad', 'Accepted', 'False', /^spec\.selector: Invalid value/);
    await says('tiers/security', 'InUse', 'False', /^No policy names it in spec\.tier$/);
    await create('bgpfilters', 'BGPFilter', 'f', {});
    await api.merge(`${GROUP}/bgppeers/tor`, { spec: { filters: ['f'] } });
    await says('bgpfilters/f', 'InUse', 'True', /^Used by 1 peer: tor$/);
    await says('bgpconfigurations/default', 'InUse', 'True', /^Selects 1 node: node1$/);
    const accepted = (await conditions('bgppeers/tor')).get('Accepted');
    expect(accepted?.observedGeneration).to.be.oneOf([1, 2]);
    expect((await kubectl.run(['get', 'ippools'])).stdout).to.match(/ACCEPTED\s+AGE\npods .*False/);
    expect((await kubectl.run(['get', 'bgppeers', '-o', 'wide'])).stdout).to.match(
      /INUSE[^\n]*\n[^\n]*lost[^\n]*True\s+False/,
    );
    expect((await kubectl.run(['describe', 'ippool', 'pods'])).stdout).to.match(
      /Message:\s+spec\.ipipMode is "Always"/,
    );
  });

  it('follows an edit, and keeps the time of a word that stays', async () => {
    await define();
    await create('ippools', 'IPPool', 'pods', { cidr: '10.65.0.0/16' });
    await writer('node1', true);
    await says('ippools/pods', 'Accepted', 'True', /./);
    const before = (await conditions('ippools/pods')).get('InUse');
    await api.merge(`${GROUP}/ippools/pods`, { spec: { ipipMode: 'Always', vxlanMode: 'CrossSubnet' } });
    await says('ippools/pods', 'Accepted', 'False', /^spec\.ipipMode is "Always"; expected Never/);
    const after = (await conditions('ippools/pods')).get('InUse');
    expect(after?.observedGeneration).to.equal(2);
    expect(after?.lastTransitionTime).to.equal(before?.lastTransitionTime);
  });

  it('writes nothing when nothing has changed, also under a new leader', async () => {
    await define();
    await create('ippools', 'IPPool', 'pods', { cidr: '10.65.0.0/16' });
    const first = await writer('node1', true);
    await says('ippools/pods', 'Accepted', 'True', /./);
    const version = async (): Promise<unknown> =>
      textAt((await api.get(`${GROUP}/ippools/pods`)).body, 'metadata', 'resourceVersion');
    const before = await version();
    first.stop();
    const second = await writer('node2', true);
    await create('ippools', 'IPPool', 'next', { cidr: '10.66.0.0/16' });
    second.status.everything();
    await says('ippools/next', 'Accepted', 'True', /./);
    expect(await version()).to.equal(before);
  });

  it('shows what a node cannot do with an object, until it can', async () => {
    await define();
    await node('node1');
    await node('node2');
    await create('bgppeers', 'BGPPeer', 'tor', { peerIP: '192.0.2.1' });
    await writer('node1', true);
    const second = await writer('node2', false);
    second.tell([
      { kind: 'bgpPeers', key: 'tor', field: 'spec.asNumber', message: 'spec.asNumber is missing; expected one' },
    ]);
    await says('bgppeers/tor', 'node2/InUse', 'False', /^spec\.asNumber is missing; expected one$/);
    await says('bgppeers/tor', 'Accepted', 'False', /^On node2: spec\.asNumber is missing; expected one$/);
    expect((await kubectl.run(['describe', 'bgppeer', 'tor'])).stdout).to.match(
      /spec\.asNumber is missing; expected one/,
    );
    second.tell([]);
    await says('bgppeers/tor', 'Accepted', 'True', /./);
    expect((await conditions('bgppeers/tor')).has('node2/InUse')).to.equal(false);
  });

  it('keeps the words of eight nodes at most', async function () {
    this.timeout(60_000);
    await define();
    await create('bgppeers', 'BGPPeer', 'tor', { peerIP: '192.0.2.1' });
    const problem: NodeProblem = { kind: 'bgpPeers', key: 'tor', field: 'spec.asNumber', message: 'is wrong' };
    for (let i = 1; i <= 12; i += 1) await node(`node${i}`);
    const agents: Writer[] = [];
    for (let i = 1; i <= 12; i += 1) agents.push(await writer(`node${i}`, i === 1));
    for (const agent of agents) agent.tell([problem]);
    const speaking = async (): Promise<number> =>
      [...(await conditions('bgppeers/tor')).keys()].filter((type) => type.endsWith('/InUse')).length;
    await eventually('eight nodes to speak', async () => (await speaking()) === 8);
    // Everybody has had a turn, and those who spoke at once have taken it back.
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect(await speaking()).to.equal(8);
  });

  it('holds nothing back because a turn of its own is minutes away', async () => {
    await define();
    await create('bgppeers', 'BGPPeer', 'tor', { peerIP: '192.0.2.1' });
    const first = await writer('node1', true);
    await says('bgppeers/tor', 'Accepted', 'True', /./);
    for (let i = 0; i < 5_000; i += 1) first.cluster.upsert('nodes', { metadata: { name: `far${i}` } });
    first.tell([{ kind: 'bgpPeers', key: 'tor', field: 'spec.asNumber', message: 'is wrong' }]);
    await create('tiers', 'Tier', 'security', {});
    await says('tiers/security', 'Accepted', 'True', /./);
  });

  it('takes away the words of a node that is gone', async () => {
    await define();
    await node('node1');
    await node('node2');
    await create('bgppeers', 'BGPPeer', 'tor', { peerIP: '192.0.2.1' });
    await writer('node1', true);
    const second = await writer('node2', false);
    second.tell([{ kind: 'bgpPeers', key: 'tor', field: 'spec.asNumber', message: 'is wrong' }]);
    await says('bgppeers/tor', 'Accepted', 'False', /On node2/);
    second.stop();
    await api.delete('/api/v1/nodes/node2');
    await says('bgppeers/tor', 'Accepted', 'True', /./);
    const managers = listAt((await api.get(`${GROUP}/bgppeers/tor`)).body, 'metadata', 'managedFields');
    expect(managers.map((manager) => textAt(manager, 'manager')))
      .to.include(LEADER_MANAGER)
      .and.not.include(nodeManager('node2'));
  });

  it('leaves a kind alone that has no status, and goes on with the others', async () => {
    const without = crds.map((crd) =>
      textAt(crd, 'metadata', 'name') === 'ippools.projectcalico.org'
        ? put(crd, ['spec', 'versions'], [put(listAt(crd, 'spec', 'versions')[0] as JsonObject, ['subresources'], {})])
        : crd,
    );
    await define(without);
    await create('ippools', 'IPPool', 'pods', { cidr: '10.65.0.0/16' });
    await create('tiers', 'Tier', 'security', {});
    await writer('node1', true);
    await says('tiers/security', 'Accepted', 'True', /./);
    expect((await conditions('ippools/pods')).size).to.equal(0);
  });

  it("does not fight over conditions that Calico's own definitions do not merge", async function () {
    this.timeout(60_000);
    const atomic = crds.map((crd) =>
      textAt(crd, 'metadata', 'name') === 'bgppeers.projectcalico.org'
        ? (JSON.parse(
            JSON.stringify(crd).replace(/"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":\["type"\],?/, ''),
          ) as JsonObject)
        : crd,
    );
    await define(atomic);
    await node('node1');
    await create('bgppeers', 'BGPPeer', 'tor', { peerIP: '192.0.2.1' });
    await writer('node1', true);
    await says('bgppeers/tor', 'Accepted', 'True', /./);
    const second = await writer('node2', false);
    const watch = await api.watch(`${GROUP}/bgppeers?watch=true&fieldSelector=metadata.name%3Dtor`);
    try {
      second.tell([{ kind: 'bgpPeers', key: 'tor', field: 'spec.asNumber', message: 'is wrong' }]);
      await eventually('a node to speak, and the leader to speak again', () => watch.events.length >= 3);
      await new Promise((resolve) => setTimeout(resolve, 3 * WRITE_PAUSE));
      const settled = watch.events.length;
      await says('bgppeers/tor', 'Accepted', 'True', /./);
      await new Promise((resolve) => setTimeout(resolve, 3 * WRITE_PAUSE));
      expect(watch.events.length).to.equal(settled);
    } finally {
      watch.stop();
    }
  });
});
