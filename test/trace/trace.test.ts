/** Traces of worlds at rest; held against packets in test/lab/rack-trace.test.ts. */
import { expect } from 'chai';
import type { KubeObject } from '../../src/api/meta.js';
import { worldOf, type World } from '../../src/plan/world.js';
import { exitCodeOf, formatTrace, type Trace } from '../../src/trace/trace-result.js';
import { questionOf, type AskedQuestion } from '../../src/trace/question.js';
import { Tracer } from '../../src/trace/trace.js';

const object = (kind: string, apiVersion: string, name: string, rest: object, namespace?: string): KubeObject =>
  ({ kind, apiVersion, metadata: { name, ...(namespace === undefined ? {} : { namespace }) }, ...rest }) as KubeObject;
const CALICO = 'projectcalico.org/v3';
const node = (name: string, address: string): KubeObject =>
  object('Node', 'v1', name, { status: { addresses: [{ type: 'InternalIP', address }] } });
const pod = (name: string, nodeName: string, ip: string | undefined, phase = 'Running'): KubeObject =>
  object(
    'Pod',
    'v1',
    name,
    {
      spec: { nodeName, containers: [{ name: 'main', ports: [{ containerPort: 8080 }] }] },
      status: { phase, ...(ip === undefined ? {} : { podIPs: [{ ip }] }) },
    },
    'shop',
  );
const block = (nodeName: string, cidr: string): KubeObject =>
  object('IPAMBlock', 'tortie.dev/v1alpha1', cidr.replace(/[./]/g, '-'), {
    spec: { cidr, node: nodeName, pool: 'pods' },
  });
const status = (name: string, peers: readonly object[]): KubeObject =>
  object('NodeStatus', 'tortie.dev/v1alpha1', name, { status: { bgp: { peers } } });
const session = (name: string, address: string, state: string, lastError?: string): object => ({
  name,
  address,
  state,
  ...(lastError === undefined ? {} : { lastError }),
});

const BASE = [
  object('Namespace', 'v1', 'shop', {}),
  object('IPPool', CALICO, 'pods', { spec: { cidr: '10.65.0.0/16', natOutgoing: true } }),
  node('n1', '10.0.0.1'),
  node('n2', '10.0.0.2'),
  pod('cart', 'n1', '10.65.0.1'),
  pod('web', 'n2', '10.65.0.65'),
  block('n1', '10.65.0.0/26'),
  block('n2', '10.65.0.64/26'),
];

describe('trace', () => {
  const ask = (world: World, from: string, to: string, more: Partial<AskedQuestion> = {}): Trace =>
    new Tracer(world, { secretNamespace: 'tortie-system' }).trace(
      questionOf(world, { from, to, port: undefined, family: undefined, ...more }),
    );
  const traced = (more: readonly KubeObject[], from: string, to: string, asked: Partial<AskedQuestion> = {}): Trace =>
    ask(worldOf([...BASE, ...more]), from, to, asked);
  const end = ({ ways }: Trace): string =>
    ways
      .flatMap(({ hops }) => hops.filter(({ outcome }) => outcome !== 'goes on'))
      .map(({ step, object: whose, message }) => `${step} ${whose}: ${message}`)
      .join('; ');

  it('goes by the block of the other node, told in the mesh, to the port that the pod declares', () => {
    const trace = traced([], 'shop/cart', 'shop/web');
    expect([trace.verdict, trace.port, exitCodeOf(trace)]).to.deep.equal(['arrives', 8080, 0]);
    const [way] = trace.ways;
    expect(way?.hops.map(({ step, node: at }) => `${step} ${at}`)).to.deep.equal([
      'source n1',
      'policy n1',
      'route n1',
      'policy n2',
      'destination n2',
    ]);
    expect(way?.hops[2]).to.include({
      message: '10.65.0.64/26, told by n2 over mesh-n2-v4',
      object: 'IPAMBlock/10-65-0-64-26',
    });
    expect(formatTrace(trace)).to.match(/^ARRIVES {2}shop\/cart -> shop\/web 8080\/TCP IPv4\n\n 1 {2}n1 {2}source/);
  });

  it('ends where the session is down that would tell, with its last error', () => {
    const down = [
      status('n1', [session('mesh-n2-v4', '10.0.0.2', 'Active')]),
      status('n2', [session('mesh-n1-v4', '10.0.0.1', 'Active', 'hold timer expired')]),
    ];
    const trace = traced(down, 'shop/cart', 'shop/web');
    expect(end(trace)).to.equal('route Node/n2: n1 does not hear of 10.65.0.64/26: sessions of n2 are down');
    expect(trace.ways[0]?.hops.find(({ step }) => step === 'route')?.evidence).to.deep.equal([
      'n2: session mesh-n1-v4 is Active: hold timer expired',
    ]);
    expect(exitCodeOf(trace)).to.equal(1);
  });

  it('with routers alone between the nodes it cannot say, and names who is told', () => {
    const routers = [
      object('BGPConfiguration', CALICO, 'default', { spec: { nodeToNodeMeshEnabled: false } }),
      object('BGPPeer', CALICO, 'rack', { spec: { peerIP: '192.0.2.1', asNumber: 65001 } }),
    ];
    const trace = traced(routers, 'shop/cart', 'shop/web');
    expect([trace.verdict, exitCodeOf(trace)]).to.deep.equal(['cannot say', 2]);
    expect(trace.ways[0]?.hops.find(({ step }) => step === 'route')?.evidence).to.include('n2 tells 192.0.2.1');
    expect(traced(routers, '203.0.113.9', 'shop/web').verdict).to.equal('arrives');
    const lost = [...routers, status('n2', [session('rack', '192.0.2.1', 'Idle', 'no route to host')])];
    expect(end(traced(lost, '203.0.113.9', '10.65.0.65'))).to.equal(
      'entry Node/n2: no router hears of 10.65.0.64/26: sessions of n2 are down',
    );
  });

  it('tells of natOutgoing, and of an address of a pool that nobody has', () => {
    const out = traced([], 'shop/cart', '203.0.113.9');
    expect(out.ways[0]?.hops.map(({ step }) => step)).to.deep.equal([
      'source',
      'policy',
      'nat',
      'route',
      'destination',
    ]);
    expect(out.verdict).to.equal('cannot say');
    expect(end(traced([], 'shop/cart', '10.65.9.9'))).to.equal(
      'route IPPool/pods: 10.65.9.9 is in a pool, and nobody has it',
    );
  });

  it('a pod without an address, or that has ended, is no end of anything', () => {
    const more = [pod('new', 'n2', undefined, 'Pending'), pod('done', 'n2', '10.65.0.66', 'Succeeded')];
    expect(end(traced(more, 'shop/cart', 'shop/new'))).to.equal(
      'destination Pod shop/new: shop/new has no IPv4 address',
    );
    expect(end(traced(more, 'shop/new', 'shop/web'))).to.equal('source Pod shop/new: shop/new has no IPv4 address');
    expect(end(traced(more, 'shop/cart', 'shop/done'))).to.include('shop/done is Succeeded');
  });

  it('a Service that masquerades is judged at the other node by the address of the first', () => {
    const service = [
      object(
        'Service',
        'v1',
        'web',
        {
          spec: { clusterIP: '10.96.0.7', externalIPs: ['192.0.2.130'], ports: [{ port: 80, targetPort: 8080 }] },
        },
        'shop',
      ),
      object(
        'EndpointSlice',
        'discovery.k8s.io/v1',
        'web-1',
        {
          addressType: 'IPv4',
          ports: [{ port: 8080, protocol: 'TCP', name: '' }],
          endpoints: [{ addresses: ['10.65.0.65'], nodeName: 'n2', conditions: { ready: true } }],
        },
        'shop',
      ),
      object('BGPConfiguration', CALICO, 'default', { spec: { serviceExternalIPs: [{ cidr: '192.0.2.128/25' }] } }),
      object('BGPPeer', CALICO, 'rack', { spec: { peerIP: '192.0.2.1', asNumber: 65001 } }),
    ];
    const labelled = service.map((each) =>
      each.kind === 'EndpointSlice'
        ? { ...each, metadata: { ...each.metadata, labels: { 'kubernetes.io/service-name': 'web' } } }
        : each,
    );
    const inside = traced(labelled, 'shop/cart', 'shop/web:80');
    expect([inside.verdict, inside.port, inside.ways.map(({ to }) => to)]).to.deep.equal([
      'arrives',
      80,
      ['10.65.0.65:8080 on n2'],
    ]);
    const outside = traced(labelled, '203.0.113.9', '192.0.2.130', { port: '80' });
    expect(outside.ways.map(({ hops }) => hops.map(({ step, node: at }) => `${step} ${at ?? '-'}`))).to.deep.include([
      'source -',
      'entry -',
      'service n1',
      'nat n1',
      'route n1',
      'policy n2',
      'destination n2',
    ]);
    expect(outside.ways).to.have.length(2);
    const drained = object('NodeStatus', 'tortie.dev/v1alpha1', 'n1', { status: { drain: { phase: 'Withdrawn' } } });
    const left = traced([...labelled, drained], '203.0.113.9', '192.0.2.130', { port: '80' });
    expect(left.ways.map(({ hops }) => hops[1]?.message)).to.deep.equal(['routers send 192.0.2.130 to n2']);
    expect(() => traced(labelled, 'shop/cart', 'shop/web:81')).to.throw(
      /port "81" of Service "shop\/web": expected one of 80/,
    );
  });

  for (const [from, to, more, words] of [
    ['shop/nobody', 'shop/web', {}, /from "shop\/nobody": expected NAMESPACE\/POD/],
    ['shop/cart', 'shop/nothing', {}, /to "shop\/nothing"/],
    ['shop/cart', 'fd00::1', { family: '4' }, /--family 4/],
    ['shop/cart', 'shop/web', { port: 'x' }, /port "x"/],
  ] as const)
    it(`refuses from ${from} to ${to} ${JSON.stringify(more)}`, () =>
      expect(() => traced([], from, to, more)).to.throw(words));
});
