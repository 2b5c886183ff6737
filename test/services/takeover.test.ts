/**
 * From kube-proxy to Tortie and back, with a connection that stays open and new ones all the while. Runs where kube-proxy is
 * ($KUBE_PROXY) and is left out elsewhere.
 */
import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServicesEngine } from '@tortie/services';
import { ApiClient } from '../../bench/node/api-client.js';
import { NodeProcess } from '../../bench/node/process.js';
import { kubeProxyRules } from '../../src/dataplane/netfilter/kube-proxy-rules.js';
import { createNetfilter, type Netfilter } from '../../src/dataplane/netfilter/netfilter.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { packageFile } from '../../src/lab/tortie-argv.js';
import { exec, ScratchNamespaces } from '../dataplane/scratch-namespaces.js';
import { buildRack, ECHO_PORT, type HeldConnection, type Rack } from './rack.js';
import { addressOf, NET, TARGET_PORT } from './rows.js';

const KUBE_PROXY = process.env['KUBE_PROXY'] ?? '';
const namespaces = new ScratchNamespaces('tto');
const WITHIN = 20_000;
const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

interface ApiObject {
  readonly path: string;
  readonly kind: string;
  readonly metadata: object;
  readonly [part: string]: unknown;
}

describe('taking over from kube-proxy, and handing back', function () {
  this.timeout(120_000);
  const directory = mkdtempSync(join(tmpdir(), 'tortie-takeover-'));
  const processes: NodeProcess[] = [];
  let rack: Rack;
  let api: ApiClient;
  let netfilter: Netfilter | undefined;
  let held: HeldConnection | undefined;

  before(async function () {
    if (KUBE_PROXY === '') this.skip();
    rack = await buildRack(namespaces);
    api = new ApiClient(join(directory, 'api.sock'));
    const argv = [process.execPath, packageFile('dist/src/apiserver/main.js'), '--listen', '127.0.0.1:6443'];
    const unix = ['--listen-unix', join(directory, 'api.sock')];
    processes.push(new NodeProcess(rack.node, directory, 'apiserver', [...argv, ...unix]));
    const end = Date.now() + WITHIN;
    while (!(await api.isReady()) && Date.now() < end) await pause(50);
    writeFileSync(
      join(directory, 'kubeconfig'),
      'apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{ name: a, context: { cluster: a, user: a } }]\n' +
        'clusters: [{ name: a, cluster: { server: "http://127.0.0.1:6443" } }]\nusers: [{ name: a, user: {} }]\n',
    );
    await api.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
    for (const { metadata, path, kind, ...rest } of objects())
      await api.create(path, {
        apiVersion: kind === 'EndpointSlice' ? 'discovery.k8s.io/v1' : 'v1',
        kind,
        metadata,
        ...rest,
      });
  });
  after(async () => {
    held?.close();
    await netfilter?.stop();
    for (const process of processes.reverse()) await process.stop();
    api?.close();
    rack?.close();
    namespaces.removeAll();
    rmSync(directory, { recursive: true, force: true });
  });

  /** A Service of one local endpoint that answers, and one whose connections stay open. */
  function objects(): readonly ApiObject[] {
    const services = '/api/v1/namespaces/shop/services';
    const slices = '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices';
    const of = (name: string, address: string, port: number) => [
      {
        path: services,
        kind: 'Service',
        metadata: { name, namespace: 'shop' },
        spec: { clusterIP: address, clusterIPs: [address], ports: [{ name: 'http', protocol: 'TCP', port: 80 }] },
      },
      {
        path: slices,
        kind: 'EndpointSlice',
        metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        ports: [{ name: 'http', protocol: 'TCP', port }],
        endpoints: [{ addresses: [addressOf(4, 'L1')], nodeName: 'n1', conditions: { ready: true } }],
      },
    ];
    return [
      {
        path: '/api/v1/nodes',
        kind: 'Node',
        metadata: { name: 'n1' },
        status: { addresses: [{ type: 'InternalIP', address: NET[4].node }] },
      },
      ...of('short', NET[4].cluster, TARGET_PORT),
      ...of('long', '10.96.0.2', ECHO_PORT),
    ];
  }

  const startKubeProxy = (mode: string): NodeProcess => {
    const proxy = new NodeProcess(rack.node, directory, `kube-proxy-${mode}`, [
      KUBE_PROXY,
      ...['--kubeconfig', join(directory, 'kubeconfig'), '--hostname-override', 'n1', '--proxy-mode', mode],
      ...['--cluster-cidr', '10.65.0.0/16,fd00:65::/64', '--conntrack-max-per-core', '0'],
    ]);
    processes.push(proxy);
    return proxy;
  };
  /** Beside the connections, which a child that is waited for would hold up. */
  const cleanUp = async (): Promise<void> => {
    const cleaning = new NodeProcess(rack.node, directory, 'cleanup', [KUBE_PROXY, '--cleanup']);
    while (cleaning.problem() === undefined) await pause(50);
  };
  const short = (): Promise<string> => rack.connect(4, 'pod', NET[4].cluster, 80, 5_000);
  const eventually = async (what: string, check: () => Promise<boolean>): Promise<void> => {
    const end = Date.now() + WITHIN;
    while (!(await check())) {
      if (Date.now() > end) throw new Error(`Waited in vain for ${what}`);
      await pause(100);
    }
  };
  /** Every new connection is answered until `work` is done. */
  const whileAnswered = async (work: () => Promise<void>): Promise<number> => {
    let isDone = false;
    let count = 0;
    const working = work().finally(() => (isDone = true));
    while (!isDone) {
      expect(await short()).to.match(/^L1 /);
      count++;
    }
    await working;
    return count;
  };

  for (const mode of ['nftables', 'iptables'] as const)
    it(`${mode}: nothing is lost on the way, and nothing of the other is left`, async () => {
      const within = <T>(work: () => T): T => inNamespace(rack.node, work);
      let proxy = startKubeProxy(mode);
      await eventually('kube-proxy to serve', async () => (await short()).startsWith('L1'));
      held = await rack.hold(4, 'pod', '10.96.0.2', 80);
      expect(await kubeProxyRules(within)).to.be.a('string');

      const engine = new ServicesEngine({ nodeName: 'n1' });
      for (const { path, ...object } of objects())
        engine.apply({ type: 'upsert', kind: object.kind as 'Node' | 'Service' | 'EndpointSlice', object });
      const taken = await whileAnswered(async () => {
        netfilter = await createNetfilter({ families: [4, 6], backend: 'auto', within, patrolInterval: 0 });
        expect((await netfilter.sync(engine.ruleset(), 'services')).failures).to.deep.equal([]);
        await proxy.stop();
        await cleanUp();
      });
      expect(taken).to.be.greaterThan(0);
      expect(await kubeProxyRules(within)).to.equal(undefined);
      await held.echo('tortie');
      expect(await short()).to.match(/^L1 /);

      await whileAnswered(async () => {
        proxy = startKubeProxy(mode);
        await eventually("kube-proxy's rules", async () => (await kubeProxyRules(within)) !== undefined);
        await pause(2_000);
        await netfilter?.sync({ sets: new Map(), chains: new Map(), maps: new Map(), hooks: [] }, 'services');
        await netfilter?.stop();
        netfilter = undefined;
      });
      await held.echo('kube-proxy again');
      const left = `${exec(rack.node, 'iptables-save')}${exec(rack.node, 'nft', 'list', 'ruleset')}`;
      expect(left).not.to.match(/TORTIE-S/);
      held.close();
      await proxy.stop();
      await cleanUp();
    });
});
