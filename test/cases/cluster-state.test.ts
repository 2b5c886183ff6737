import { expect } from 'chai';
import type { PodObject, PolicyEvent } from '@tortie/policy/objects';
import type { Action, CasePod, World } from '../../src/cases/case-file.js';
import { ActionError, ClusterState } from '../../src/cases/cluster-state.js';

const pod = (namespace: string, name: string, more: Partial<CasePod> = {}): CasePod => ({
  namespace,
  name,
  labels: { app: name },
  ips: ['10.0.0.1'],
  node: 'n1',
  ports: [],
  ...more,
});

const world: World = {
  nodes: [{ name: 'n1', ips: ['172.18.0.1', 'fc00::1'], labels: {} }],
  namespaces: [{ name: 'x', labels: { team: 'x' } }],
  pods: [pod('x', 'a'), pod('x', 'h', { hostNetwork: true, ips: ['172.18.0.1'] })],
  externals: [{ name: 'out', ips: ['203.0.113.1'] }],
};
const policy = (namespace: string, name: string): Action => ({
  op: 'createPolicy',
  object: { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace, name } },
});

function running(...actions: readonly Action[]): {
  readonly state: ClusterState;
  readonly events: readonly PolicyEvent[];
} {
  const state = new ClusterState(world);
  state.start();
  return { state, events: actions.flatMap((action) => state.apply(action)) };
}
const names = (events: readonly PolicyEvent[]): readonly string[] =>
  events.map((event) =>
    event.type === 'delete'
      ? `delete ${event.kind} ${event.namespace ?? ''}/${event.name}`
      : event.type === 'upsert'
        ? `upsert ${event.kind} ${event.object.metadata?.name ?? ''}`
        : event.type,
  );

describe('ClusterState', () => {
  it('starts with nodes, then namespaces, then pods', () => {
    expect(names(new ClusterState(world).start())).to.deep.equal([
      'upsert Node n1',
      'upsert Namespace x',
      'upsert Pod a',
      'upsert Pod h',
    ]);
  });

  it('keeps the name label on a namespace whatever its labels become', () => {
    const [event] = running({
      op: 'setNamespaceLabels',
      name: 'x',
      labels: { 'kubernetes.io/metadata.name': 'lie' },
    }).events;
    expect(event?.type === 'upsert' && event.object.metadata?.labels).to.deep.equal({
      'kubernetes.io/metadata.name': 'x',
    });
  });

  it('takes pods and policies away with their namespace', () => {
    const { events } = running(policy('x', 'p'), { op: 'deleteNamespace', name: 'x' });
    expect(names(events).slice(1)).to.deep.equal([
      'delete Pod x/a',
      'delete Pod x/h',
      'delete NetworkPolicy x/p',
      'delete Namespace /x',
    ]);
  });

  it('says phases, deletion and sidecars as the API does', () => {
    const { events } = running(
      { op: 'setPodPhase', namespace: 'x', name: 'a', phase: 'Failed' },
      { op: 'setPodTerminating', namespace: 'x', name: 'a' },
      {
        op: 'createPod',
        pod: pod('x', 's', {
          ports: [
            { name: 'm', port: 9100, protocol: 'TCP', sidecar: true },
            { port: 80, protocol: 'UDP' },
          ],
        }),
      },
    );
    const objects = events.map((event) => (event.type === 'upsert' ? (event.object as PodObject) : undefined));
    expect(objects[0]?.status?.phase).to.equal('Failed');
    expect(objects[1]?.metadata).to.have.property('deletionTimestamp');
    expect(objects[2]?.spec?.initContainers).to.deep.equal([
      { restartPolicy: 'Always', ports: [{ name: 'm', containerPort: 9100, protocol: 'TCP' }] },
    ]);
    expect(objects[2]?.spec?.containers).to.deep.equal([{ ports: [{ containerPort: 80, protocol: 'UDP' }] }]);
  });

  it("knows everybody's address, a hostNetwork pod's being its node's", () => {
    const { state } = running();
    expect([
      state.addressOf('x/a', 4),
      state.addressOf('x/a', 6),
      state.addressOf('x/h', 6),
      state.addressOf('node:n1', 4),
      state.addressOf('ext:out', 4),
    ]).to.deep.equal(['10.0.0.1', undefined, 'fc00::1', '172.18.0.1', '203.0.113.1']);
  });

  const impossible: readonly Action[] = [
    { op: 'deletePod', namespace: 'x', name: 'none' },
    { op: 'setPodLabels', namespace: 'x', name: 'none', labels: {} },
    { op: 'createPod', pod: pod('nowhere', 'a') },
    { op: 'createPod', pod: pod('x', 'b', { node: 'none' }) },
    { op: 'deletePolicy', kind: 'NetworkPolicy', namespace: 'x', name: 'none' },
  ];
  for (const action of impossible)
    it(`refuses ${JSON.stringify(action)}`, () => expect(() => running(action)).to.throw(ActionError));
  it('refuses endpoints that nobody is', () => expect(() => running().state.party('x/none')).to.throw(ActionError));
});
