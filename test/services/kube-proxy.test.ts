/**
 * The rows of rows.ts asked of the real kube-proxy, by the same packets: what they expect is what it does. Runs where kube-proxy is
 * ($KUBE_PROXY) and is left out elsewhere.
 */
import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiClient } from '../../bench/node/api-client.js';
import { NodeProcess } from '../../bench/node/process.js';
import { packageFile } from '../../src/lab/tortie-argv.js';
import { exec, ScratchNamespaces } from '../dataplane/scratch-namespaces.js';
import { DATAGRAM_PROTOCOLS, DatagramRack } from './datagrams.js';
import { buildRack, type Rack } from './rack.js';
import { destinationOf, eventsOf, NET, NODE_PORT, ROWS, sourceOf, type Row } from './rows.js';

const KUBE_PROXY = process.env['KUBE_PROXY'] ?? '';
const namespaces = new ScratchNamespaces('tkp');
const SETTLED_WITHIN = 20_000;
/** A refusal that comes while connect() still holds the socket counts only at the next SYN, a second later. */
const PATIENT = 5_000;
const IMPATIENT = 300;

/** Rows about options that this kube-proxy does not run with, and those in which nobody answers. */
const isAsked = (row: Row): boolean =>
  row.options === undefined && row.knowsPods !== false && row.probes.some(([, , outcome]) => outcome !== 'none');

/**
 * What kube-proxy's iptables mode does otherwise than its nftables mode: it refuses external addresses without endpoints in INPUT and
 * FORWARD alone, so the node's own connections to them leave; and it holds source ranges only on the way that its load balancer's
 * rule leads, which an external IP of the same address comes before. We do as nftables does.
 */
const isElse = (mode: string, { spec }: Row, from: string, to: string, outcome: string): boolean =>
  mode === 'iptables' &&
  ((from === 'node' && to !== 'cluster-ip' && to !== 'node-port' && outcome === 'reject') ||
    (outcome === 'drop' && JSON.stringify(spec?.['externalIPs']) === '["$BALANCER"]'));

describe('kube-proxy itself, by the same rows', function () {
  this.timeout(120_000);
  const directory = mkdtempSync(join(tmpdir(), 'tortie-kube-proxy-'));
  const processes: NodeProcess[] = [];
  let rack: Rack;
  let datagrams: DatagramRack | undefined;
  let api: ApiClient;

  before(async function () {
    if (KUBE_PROXY === '') this.skip();
    rack = await buildRack(namespaces);
    datagrams = await DatagramRack.start(rack);
    api = new ApiClient(join(directory, 'api.sock'));
    const argv = [process.execPath, packageFile('dist/src/apiserver/main.js'), '--listen', '127.0.0.1:6443'];
    processes.push(
      new NodeProcess(rack.node, directory, 'apiserver', [...argv, '--listen-unix', join(directory, 'api.sock')]),
    );
    const end = Date.now() + 20_000;
    while (!(await api.isReady()) && Date.now() < end) await pause(50);
    await api.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
    await api.create('/api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n1' },
      status: { addresses: [4, 6].map((family) => ({ type: 'InternalIP', address: NET[family as 4 | 6].node })) },
    });
    writeFileSync(
      join(directory, 'kubeconfig'),
      'apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{ name: a, context: { cluster: a, user: a } }]\n' +
        'clusters: [{ name: a, cluster: { server: "http://127.0.0.1:6443" } }]\nusers: [{ name: a, user: {} }]\n',
    );
  });
  after(async () => {
    for (const process of processes.reverse()) await process.stop();
    api?.close();
    await datagrams?.close();
    rack?.close();
    namespaces.removeAll();
    rmSync(directory, { recursive: true, force: true });
  });

  const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const put = async (row: Row, family: 4 | 6): Promise<void> => {
    for (const event of eventsOf(row, family)) {
      if (event.type !== 'upsert') continue;
      const { metadata, ...rest } = event.object;
      if (event.kind === 'Node')
        await api.patch('/api/v1/nodes/n1', {
          metadata: { labels: { 'topology.kubernetes.io/zone': row.zone ?? null } },
        });
      else if (event.kind === 'Service') {
        await api.create('/api/v1/namespaces/shop/services', { apiVersion: 'v1', kind: 'Service', metadata, ...rest });
        await api.patch('/api/v1/namespaces/shop/services/web/status', {
          status: (rest as { readonly status?: unknown }).status,
        });
      } else
        await api.create('/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices', {
          apiVersion: 'discovery.k8s.io/v1',
          kind: 'EndpointSlice',
          metadata,
          ...rest,
        });
    }
  };
  const remove = async (row: Row, family: 4 | 6): Promise<void> => {
    for (const event of eventsOf(row, family)) {
      if (event.type !== 'upsert' || event.kind === 'Node') continue;
      const { name } = event.object.metadata ?? {};
      await api.delete(
        event.kind === 'Service'
          ? `/api/v1/namespaces/shop/services/${name}`
          : `/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/${name}`,
      );
    }
  };

  const answerOf = async (
    family: 4 | 6,
    from: Row['probes'][number][0],
    to: Row['probes'][number][1],
    patience: number,
  ) => {
    const port = to === 'node-port' ? NODE_PORT : 80;
    const said = await rack.connect(family, from, destinationOf(family, to), port, patience);
    const [place, source = ''] = said.split(' ');
    const isNode = source === NET[family].node || source === '169.254.1.1' || source.startsWith('fe80:');
    return source === '' ? said : `${place} ${isNode ? 'node' : source}`;
  };

  /** "L1 R1 masq" as servers say it, sorted. */
  const expectedOf = (family: 4 | 6, from: Row['probes'][number][0], outcome: string): readonly string[] => {
    if (!/^[LR]\d/.test(outcome)) return [outcome];
    const words = outcome.split(' ');
    const isMasqueraded = words[words.length - 1] === 'masq';
    const source = isMasqueraded || from === 'node' ? 'node' : sourceOf(family, from);
    return (isMasqueraded ? words.slice(0, -1) : words).map((place) => `${place} ${source}`).sort();
  };

  for (const mode of ['nftables', 'iptables'] as const)
    describe(mode, () => {
      let proxy: NodeProcess;
      before(() => {
        proxy = new NodeProcess(rack.node, directory, `kube-proxy-${mode}`, [
          KUBE_PROXY,
          ...['--kubeconfig', join(directory, 'kubeconfig'), '--hostname-override', 'n1', '--proxy-mode', mode],
          ...['--cluster-cidr', '10.65.0.0/16,fd00:65::/64', '--conntrack-max-per-core', '0'],
          ...['--nodeport-addresses', '0.0.0.0/0,::/0'],
        ]);
        processes.push(proxy);
      });
      after(async () => {
        await proxy.stop();
        exec(rack.node, KUBE_PROXY, '--cleanup');
      });
      for (const row of ROWS.filter(isAsked))
        for (const family of [4, 6] as const)
          it(`${row.title} (IPv${family})`, async () => {
            await put(row, family);
            try {
              const end = Date.now() + SETTLED_WITHIN;
              const probes = row.probes.filter(([from, to, outcome]) => !isElse(mode, row, from, to, outcome));
              for (const [from, to, outcome] of probes) {
                if (outcome === 'none') continue;
                const expected = expectedOf(family, from, outcome);
                let seen: readonly string[] = [];
                do {
                  const all = new Set<string>();
                  for (let tries = 0; tries < 40 && all.size < expected.length; tries++)
                    all.add(await answerOf(family, from, to, outcome === 'drop' ? IMPATIENT : PATIENT));
                  seen = [...all].sort();
                } while (seen.join() !== expected.join() && Date.now() < end && proxy.problem() === undefined);
                expect(seen, `${from} to ${to}${proxy.problem() ?? ''}`).to.deep.equal(expected);
              }
              for (const protocol of DATAGRAM_PROTOCOLS)
                for (const heard of (await datagrams?.ask({ ...row, probes }, family, protocol)) ?? [])
                  expect(heard.seen, heard.asked).to.equal(heard.expected);
            } finally {
              await remove(row, family);
            }
          });
    });
});
