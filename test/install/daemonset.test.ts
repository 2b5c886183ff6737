/**
 * The DaemonSet on a node: its containers from the image, by Debian's containerd and runc, with exactly the rights and mounts of the
 * manifest; the lab's API server stands for the cluster, behind TLS as a real one is.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiClient } from '../../bench/node/api-client.js';
import { NodeProcess } from '../../bench/node/process.js';
import { World } from '../../bench/node/world.js';
import type { Diagnosis } from '../../src/doctor/doctor.js';
import { packageFile } from '../../src/lab/tortie-argv.js';
import { VERSION } from '../../src/version.js';
import { Containerd, whyNoContainerd } from '../cni/containerd.js';
import type { ContainerConfig, SandboxConfig } from '../cni/cri-client.js';
import { cleanerOf, type NodeDaemonSet } from '../../src/uninstall/node-cleaner.js';
import { daemonSetPlan, installedDaemonSet } from './daemonset-plan.js';

const NODE = 'node1';
const READY_WITHIN = 60_000;
const PODS = '/api/v1/namespaces/default/pods';
const TOKEN = 'token-that-nobody-may-see';
const MD5_KEY = 'md5-key-that-nobody-may-see';
/** linux/capability.h */
const CAPABILITIES: Readonly<Record<string, number>> = {
  NET_BIND_SERVICE: 10,
  NET_BROADCAST: 11,
  NET_ADMIN: 12,
  NET_RAW: 13,
  SYS_ADMIN: 21,
};
/** TLS in front of the lab's API server, which speaks HTTP: argv is key, certificate, port, port behind. */
const TLS = `const [key, cert, port, behind] = process.argv.slice(1), fs = require('fs'), net = require('net');
require('tls').createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) }, (outer) => {
  const inner = net.connect(behind, '127.0.0.1');
  outer.pipe(inner).pipe(outer);
  for (const each of [outer, inner]) each.on('error', () => (outer.destroy(), inner.destroy()));
}).listen(port, '127.0.0.1');`;

describe('the DaemonSet on a node', function () {
  this.timeout(240_000);
  const directory = mkdtempSync(join(tmpdir(), `tortie-daemonset-${process.pid}-`));
  const host = join(directory, 'host');
  const image = `tortie.test/tortie:${VERSION}`;
  const world = new World('tdset');
  const madeFolders: string[] = [];
  const processes: NodeProcess[] = [];
  const ids = new Map<string, string>();
  let netns: string;
  let api: ApiClient;
  let runtime: Containerd;
  const token = join(directory, 'token');
  const options = {
    image,
    fields: { 'spec.nodeName': NODE, 'metadata.namespace': 'tortie-system' },
    apiServer: { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '6444' },
    tokenFolder: token,
  };
  const plan = daemonSetPlan(options);
  const sandbox = (): SandboxConfig => ({
    name: 'tortie-node',
    namespace: 'tortie-system',
    uid: '11111111-2222-4333-8444-555555555555',
    attempt: 0,
    cgroupParent: runtime.cgroupParent,
    isOnHost: true,
    logFolder: join(directory, 'logs'),
  });
  let sandboxId: string;

  const onNode = (...argv: readonly string[]): string =>
    execFileSync('nsenter', [`--net=${netns}`, ...argv], { encoding: 'utf8', timeout: 20_000 }).trim();
  const health = (port: number): { readonly status: number; readonly text: string } =>
    JSON.parse(
      onNode(
        process.execPath,
        '-e',
        `fetch('http://127.0.0.1:${port}/readyz').then(async (r) => ({ status: r.status, text: await r.text() }),
          (e) => ({ status: 0, text: String(e.cause ?? e) })).then((r) => console.log(JSON.stringify(r)))`,
      ),
    ) as { readonly status: number; readonly text: string };
  const eventually = async (what: string, look: () => Promise<string | undefined>): Promise<void> => {
    const end = Date.now() + READY_WITHIN;
    for (;;) {
      const missing = await look();
      if (missing === undefined) return;
      if (Date.now() > end) throw new Error(`${what}: ${missing}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };

  /** The machine's paths that the volumes name: those that are not there are made, to be mounted over, and taken away again. */
  const nodeFiles = (): Readonly<Record<string, string>> => {
    const own = [...plan.hostPaths, { path: '/run/netns', type: 'DirectoryOrCreate' }].filter(
      ({ path }) => !path.startsWith('/proc/'),
    );
    return Object.fromEntries(
      own.map(({ path, type }) => {
        const inside = join(host, path);
        mkdirSync(type === 'FileOrCreate' ? join(inside, '..') : inside, { recursive: true });
        if (type === 'FileOrCreate') {
          writeFileSync(inside, '');
          if (!existsSync(path)) writeFileSync(path, '');
        } else {
          const first = mkdirSync(path, { recursive: true });
          if (first !== undefined) madeFolders.push(path);
        }
        return [path, inside];
      }),
    );
  };
  const startCluster = async (): Promise<void> => {
    const [key, certificate] = [join(directory, 'key'), join(token, 'ca.crt')];
    mkdirSync(token);
    const subject = ['-subj', '/CN=api', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const newKey = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key];
    execFileSync('openssl', ['req', '-x509', '-days', '2', ...newKey, '-out', certificate, ...subject], {
      stdio: 'ignore',
    });
    writeFileSync(join(token, 'token'), TOKEN);
    writeFileSync(join(token, 'namespace'), 'tortie-system');
    const server = ['--listen', '127.0.0.1:6443', '--listen-unix', join(directory, 'api.sock')];
    const argv = [
      process.execPath,
      packageFile('dist/src/apiserver/main.js'),
      ...server,
      '--crds',
      packageFile('manifests/crds'),
    ];
    processes.push(
      new NodeProcess(netns, directory, 'apiserver', argv),
      new NodeProcess(netns, directory, 'tls', [process.execPath, '-e', TLS, key, certificate, '6444', '6443']),
    );
    api = new ApiClient(join(directory, 'api.sock'));
    await eventually('the API server', async () => ((await api.isReady()) ? undefined : 'does not answer'));
    const pool = (name: string, cidr: string, blockSize: number): Promise<void> =>
      api.create('/apis/projectcalico.org/v3/ippools', {
        apiVersion: 'projectcalico.org/v3',
        kind: 'IPPool',
        metadata: { name },
        spec: { cidr, blockSize },
      });
    await api.create('/api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: NODE },
      status: {
        addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
        nodeInfo: { containerRuntimeVersion: 'containerd://1.6.20' },
        conditions: [{ type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated' }],
      },
    });
    await pool('v4', '10.65.0.0/24', 26);
    await pool('v6', 'fd00:65::/112', 122);
  };
  const run = async (container: ContainerConfig): Promise<string> => {
    const id = await runtime.cri.runContainer(sandboxId, sandbox(), container);
    ids.set(container.name, id);
    return id;
  };

  before(async function () {
    const why = whyNoContainerd();
    if (why !== undefined) {
      console.log(`      skipped: ${why}`);
      return this.skip();
    }
    const archive = join(directory, 'tortie.tar');
    const flags = ['--base', 'machine', '--uncompressed', '--bare', '--image', image, '--output', archive];
    execFileSync(process.execPath, [packageFile('scripts/image/main.mjs'), ...flags], { stdio: 'pipe' });
    netns = world.node('node');
    mkdirSync(join(directory, 'logs'));
    runtime = new Containerd({
      netns,
      directory: join(directory, 'containerd'),
      cniConfDir: '/etc/cni/net.d',
      cniBinDir: '/opt/cni/bin',
      hostPaths: nodeFiles(),
    });
    await startCluster();
    await runtime.start();
    runtime.importArchive(archive);
    rmSync(archive);
    sandboxId = await runtime.cri.runPodSandbox(sandbox());
  });
  after(async () => {
    for (const id of ids.values()) await runtime.cri.stopContainer(id, 5).catch(() => undefined); // Ended below otherwise.
    await runtime?.stop();
    api?.close();
    for (const each of processes) await each.stop();
    world.remove();
    for (const folder of madeFolders.reverse())
      try {
        rmdirSync(folder);
      } catch {
        // Somebody else uses it by now.
      }
    rmSync(directory, { recursive: true, force: true });
  });

  it('installs the plugins first, and no conflist', async () => {
    for (const container of plan.init) {
      const id = await run(container);
      await eventually(container.name, async () => {
        const { state, exitCode } = await runtime.cri.container(id);
        return state === 'exited' && exitCode === 0 ? undefined : `is ${state} with ${exitCode}`;
      });
    }
    expect(statSync(join(host, 'opt/cni/bin/tortie')).mode & 0o777).to.equal(0o755);
    expect(existsSync(join(host, 'opt/cni/bin/loopback'))).to.equal(true);
    expect(existsSync(join(host, 'etc/cni/net.d/10-tortie.conflist'))).to.equal(false);
  });

  it('becomes ready with the rights of the manifest, and no others', async () => {
    for (const container of plan.containers) await run(container);
    for (const { name, env, capabilities } of plan.containers) {
      const port = Number(env['TORTIE_HEALTH_ADDRESS']?.split(':')[1]);
      await eventually(name, async () => {
        const { state } = await runtime.cri.container(ids.get(name) ?? '');
        const { status, text } = health(port);
        return status === 200 ? undefined : `is ${state}, /readyz answers ${status} ${text}`;
      });
      const rights = capabilities.add.reduce((sum, right) => sum | (1n << BigInt(CAPABILITIES[right] ?? 63)), 0n);
      const status = readFileSync(`/proc/${runtime.pidOf(ids.get(name) ?? '')}/status`, 'utf8');
      for (const set of ['CapEff', 'CapPrm', 'CapBnd'])
        expect(BigInt(`0x${new RegExp(`${set}:\\s*(\\w+)`).exec(status)?.[1] ?? '0'}`), `${name} ${set}`).to.equal(
          rights,
        );
      expect(status).to.match(/NoNewPrivs:\s*1/);
      expect(status).to.match(/Seccomp:\s*2/);
    }
    expect(existsSync(join(host, 'etc/cni/net.d/10-tortie.conflist'))).to.equal(true);
  });

  it('tells the cluster', () =>
    eventually('the Node', async () => {
      const { status } = (await api.get(`/api/v1/nodes/${NODE}`)) as {
        readonly status: { readonly conditions: readonly { readonly type: string; readonly reason: string }[] };
      };
      const [condition] = status.conditions.filter(({ type }) => type === 'NetworkUnavailable');
      return condition?.reason === 'TortieIsUp' ? undefined : JSON.stringify(condition);
    }));

  it('answers `tortie doctor` in the container of the agent, which sees what the runtime reads', () => {
    const { status, stdout } = runtime.exec(ids.get('agent') ?? '', 'tortie', 'doctor', '-o', 'json');
    const { looked, findings } = JSON.parse(stdout) as Diagnosis;
    expect(looked).to.deep.equal([`node "${NODE}"`, 'the cluster']);
    const unread = findings.filter(({ check, severity }) => check === 'unread' && severity !== 'info');
    expect(unread, 'parts that were not looked at').to.deep.equal([]);
    expect(findings.filter(({ check }) => check === 'cni-config')).to.deep.equal([]);
    expect(status).to.equal(findings.every(({ severity }) => severity === 'info') ? 0 : 1);
  });

  it('tells its secrets to nobody: token, MD5 key', async () => {
    await api.create('/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'tortie-system' },
    });
    await api.create('/api/v1/namespaces/tortie-system/secrets', {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'bgp' },
      data: { key: Buffer.from(MD5_KEY).toString('base64'), bad: Buffer.from(`\u0000${MD5_KEY}`).toString('base64') },
    });
    const peer = (name: string, peerIP: string, key: string): Promise<void> =>
      api.create('/apis/projectcalico.org/v3/bgppeers', {
        apiVersion: 'projectcalico.org/v3',
        kind: 'BGPPeer',
        metadata: { name },
        spec: { peerIP, asNumber: 65001, password: { secretKeyRef: { name: 'bgp', key } } },
      });
    await peer('keyed', '10.0.0.9', 'key');
    await peer('broken', '10.0.0.10', 'bad');
    const bgpd = (path: string): Promise<string> => textOf(join(host, 'run/tortie/bgpd.sock'), path);
    await eventually('bgpd', async () => {
      const text = await bgpd('/v1/neighbors');
      return text.includes('10.0.0.9') ? undefined : text;
    });
    const saved = join(host, 'var/lib/tortie/bgpd.json');
    await eventually('the saved state', () =>
      Promise.resolve(
        readFileSync(saved, 'utf8').includes(MD5_KEY) ? undefined : 'does not have the key: this test looks in vain',
      ),
    );
    const paths = ['/v1/status', '/v1/neighbors', '/v1/routes', '/v1/history', '/v1/changes', '/v1/bfd', '/metrics'];
    const objects = ['nodestatuses', 'nodeaddresses', 'ipamblocks'].map(
      (plural) => `/apis/tortie.dev/v1alpha1/${plural}`,
    );
    const told: Readonly<Record<string, string>> = {
      ...Object.fromEntries(await Promise.all(paths.map(async (path) => [`bgpd ${path}`, await bgpd(path)]))),
      ...Object.fromEntries(
        await Promise.all(
          [...objects, '/apis/projectcalico.org/v3/bgppeers', '/apis/events.k8s.io/v1/events'].map(async (path) => [
            path,
            JSON.stringify(await api.get(path)),
          ]),
        ),
      ),
      ...Object.fromEntries(
        plan.containers.flatMap(({ name, env }) => {
          const pid = runtime.pidOf(ids.get(name) ?? '');
          const port = Number(env['TORTIE_HEALTH_ADDRESS']?.split(':')[1]);
          return [
            [`log of ${name}`, readFileSync(join(directory, 'logs', `${name}.log`), 'utf8')],
            [`process list: ${name}`, readFileSync(`/proc/${pid}/cmdline`, 'utf8')],
            [`environment of ${name}`, readFileSync(`/proc/${pid}/environ`, 'utf8')],
            [`health of ${name}`, health(port).text],
          ];
        }),
      ),
    };
    for (const [where, text] of Object.entries(told)) {
      expect(text, where).to.not.equal('');
      for (const secret of [TOKEN, MD5_KEY, ...[TOKEN, MD5_KEY].map((each) => Buffer.from(each).toString('base64'))])
        expect(text, where).to.not.contain(secret);
    }
    expect(told['log of agent']).to.contain('broken');
    for (const path of [saved, ...['agent.sock', 'bgpd.sock'].map((name) => join(host, 'run/tortie', name))]) {
      const { uid, mode } = statSync(path);
      expect([uid, mode & 0o077], path).to.deep.equal([0, 0]);
    }
    for (const name of ['keyed', 'broken']) await api.delete(`/apis/projectcalico.org/v3/bgppeers/${name}`);
  });

  it('gives a pod its addresses, which answer when all of it has ended', async () => {
    await api.create(PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'default' },
      spec: { nodeName: NODE, containers: [{ name: 'main', image: 'main' }] },
    });
    const { metadata } = (await api.get(`${PODS}/web`)) as { readonly metadata: { readonly uid: string } };
    const pod = {
      name: 'web',
      namespace: 'default',
      uid: metadata.uid,
      attempt: 0,
      cgroupParent: runtime.cgroupParent,
    };
    const ready = async (): Promise<string | undefined> => {
      const network = (await runtime.cri.conditions()).find(({ type }) => type === 'NetworkReady');
      return network?.isTrue === true ? undefined : network?.message;
    };
    await eventually('the network', ready);
    const id = await runtime.cri.runPodSandbox(pod);
    const { addresses } = await runtime.cri.sandbox(id);
    expect(addresses).to.have.length(2);
    for (const { name } of plan.containers) {
      await runtime.cri.stopContainer(ids.get(name) ?? '', 15);
      ids.delete(name);
    }
    for (const address of addresses) onNode('ping', '-c1', '-W5', address);
    for (const container of plan.containers) await run(container);
    await eventually('the end of the pod', () => runtime.cri.removePodSandbox(id).then(() => undefined, String));
    expect(onNode('ip', '-br', 'link', 'show', 'up', 'type', 'veth')).to.equal('');
  });

  it('is taken off the node by the DaemonSet of `tortie uninstall`, with its rights', async () => {
    const traces = (): string =>
      [
        ['ip', 'link'],
        ['ip', 'route', 'show', 'proto', '171'],
        ['iptables-save'],
        ['ip6tables-save'],
        ['nft', 'list', 'tables'],
        ['ipset', 'list', '-name'],
      ]
        .map((argv) => onNode(...argv))
        .join('\n')
        .split('\n')
        .filter((line) => /TORTIE-|tort[0-9a-f]{11}|tortie|blackhole/.test(line))
        .join('\n');
    expect(traces()).to.match(/TORTIE-/);
    const [clean] = daemonSetPlan(options, cleanerOf(installedDaemonSet() as NodeDaemonSet)).init;
    if (clean === undefined) throw new Error('The DaemonSet cleans nothing');
    // The host's folders are those of this node.
    const mounts = clean.mounts.map((mount) => ({ ...mount, hostPath: join(host, mount.hostPath) }));
    const ends = async (name: string, exitCode: number): Promise<void> => {
      const id = await run({ ...clean, name, mounts });
      await eventually(name, async () => {
        const found = await runtime.cri.container(id);
        return found.state === 'exited' ? undefined : `is ${found.state}`;
      });
      const said = readFileSync(join(directory, 'logs', `${name}.log`), 'utf8');
      expect((await runtime.cri.container(id)).exitCode, said).to.equal(exitCode);
    };
    await ends('too-early', 1);
    for (const { name } of plan.containers) {
      await runtime.cri.stopContainer(ids.get(name) ?? '', 15);
      ids.delete(name);
    }
    await ends('clean', 0);
    expect(traces()).to.equal('');
    for (const path of [
      'run/tortie',
      'var/lib/tortie',
      'opt/cni/bin/tortie',
      'opt/cni/bin/loopback',
      'etc/cni/net.d/10-tortie.conflist',
    ])
      expect(existsSync(join(host, path)), path).to.equal(false);
    expect(existsSync(join(host, 'opt/cni/bin'))).to.equal(true);
  });
});

/** What is answered on a unix socket. */
async function textOf(socketPath: string, path: string): Promise<string> {
  const outgoing = request({ socketPath, path, timeout: 10_000 }).end();
  const [response] = (await once(outgoing, 'response')) as [AsyncIterable<Buffer>];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
