/** Policy sees the pod behind a Service at both ends, and the client's address where it is kept, with packets. Needs root. */
import { expect } from 'chai';
import { PolicyEngine, type PolicyEvent } from '@tortie/policy';
import { ServicesEngine } from '@tortie/services';
import { createNetfilter, type Netfilter } from '../../src/dataplane/netfilter/netfilter.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { ScratchNamespaces } from '../dataplane/scratch-namespaces.js';
import { answerOf, ask } from './answers.js';
import { buildRack, type Rack } from './rack.js';
import { destinationOf, eventsOf, NET, NODE_PORT, sourceOf, type From, type Row, type To } from './rows.js';

const namespaces = new ScratchNamespaces('tpb');
/** Of two outcomes one is missed in so many connections once in 4,000 million. */
const MANY = 32;
const PODS = { pod: 9, L1: 1, L2: 2 } as const;

/** The three pods of the node; L1 and L2 are of app "web" and "other". */
function pods(): readonly PolicyEvent[] {
  const labels = { pod: 'client', L1: 'web', L2: 'other' };
  return Object.entries(PODS).flatMap(([name, host]): readonly PolicyEvent[] => {
    const addresses = [NET[4].pod(host), NET[6].pod(host)];
    const metadata = {
      namespace: 'shop',
      name: name.toLowerCase(),
      labels: { app: labels[name as keyof typeof PODS] },
    };
    const status = { phase: 'Running', podIPs: addresses.map((ip) => ({ ip })) };
    const object = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName: 'n1' }, status };
    const endpoint = { namespace: 'shop', name: metadata.name, interface: `tort${name}`, addresses };
    return [
      { type: 'upsert', kind: 'Pod', object },
      { type: 'endpoint-upsert', endpoint },
    ];
  });
}

function policy(spec: object): PolicyEvent {
  const object = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: 'shop', name: 'p' },
    spec,
  };
  return { type: 'upsert', kind: 'NetworkPolicy', object };
}

const app = (name: string): object => ({ podSelector: { matchLabels: { app: name } } });

const EGRESS = policy({ ...app('client'), policyTypes: ['Egress'], egress: [{ to: [app('web')] }] });
const INGRESS = policy({
  ...app('web'),
  policyTypes: ['Ingress'],
  ingress: [{ from: [app('client'), { ipBlock: { cidr: NET[4].range } }, { ipBlock: { cidr: NET[6].range } }] }],
});

describe('services: policy behind them, with packets', function () {
  this.timeout(120_000);
  let rack: Rack;
  let netfilter: Netfilter;
  before(async () => {
    rack = await buildRack(namespaces);
  });
  after(() => {
    rack?.close();
    namespaces.removeAll();
  });

  for (const backend of ['nftables', 'nft', 'legacy'] as const)
    describe(backend, () => {
      before(async () => {
        netfilter = await createNetfilter({
          families: [4, 6],
          backend,
          within: (work) => inNamespace(rack.node, work),
          patrolInterval: 0,
        });
      });
      after(async () => {
        for (const part of ['services', 'policy'] as const)
          await netfilter?.sync({ sets: new Map(), chains: new Map(), maps: new Map(), hooks: [] }, part);
        await netfilter?.stop();
      });

      const serve = async (family: 4 | 6, row: Partial<Row>, rule: PolicyEvent): Promise<void> => {
        const services = new ServicesEngine({ nodeName: 'n1' });
        for (const event of eventsOf({ title: '', endpoints: [], probes: [], ...row }, family)) services.apply(event);
        const engine = new PolicyEngine({ nodeName: 'n1' });
        const shop = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };
        for (const event of [{ type: 'upsert', kind: 'Namespace', object: shop } as const, ...pods(), rule])
          engine.apply(event);
        engine.flush();
        const results = [
          await netfilter.sync(engine.ruleset(), 'policy'),
          await netfilter.sync(services.ruleset(), 'services'),
        ];
        expect(results.flatMap(({ failures }) => failures)).to.deep.equal([]);
      };
      const reach = (family: 4 | 6, from: From, to: To, ...expected: readonly string[]): Promise<string> =>
        ask(rack, family, from, destinationOf(family, to), to === 'node-port' ? NODE_PORT : 80, new Set(expected));

      for (const family of [4, 6] as const) {
        it(`asks egress of the client about the endpoint that was chosen (IPv${family})`, async () => {
          await serve(family, { endpoints: [{ at: 'L1' }, { at: 'L2' }] }, EGRESS);
          const seen = new Set<string>();
          const expected = [answerOf(family, 'pod', 'L1', false), 'drop'];
          for (let times = 0; times < MANY && seen.size < 2; times++)
            seen.add(await reach(family, 'pod', 'cluster-ip', ...expected));
          expect([...seen].sort()).to.deep.equal(expected.sort());
        });

        for (const externalTrafficPolicy of ['Local', 'Cluster'] as const)
          it(`asks ingress of the endpoint about the client, under ${externalTrafficPolicy} (IPv${family})`, async () => {
            await serve(family, { endpoints: [{ at: 'L1' }], spec: { externalTrafficPolicy } }, INGRESS);
            expect(await reach(family, 'pod', 'cluster-ip')).to.equal(`L1 ${sourceOf(family, 'pod')}`);
            for (const to of ['external-ip', 'load-balancer', 'node-port'] as const) {
              const answer = answerOf(family, 'outside', 'L1', externalTrafficPolicy === 'Cluster');
              expect(await reach(family, 'outside', to), to).to.equal(answer);
              expect(await reach(family, 'other outside', to, 'drop'), to).to.equal('drop');
            }
          });
      }
    });
});
