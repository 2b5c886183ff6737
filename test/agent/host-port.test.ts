/** Host ports and bandwidths by the real agent: a CNI call, a kill -9, an annotation that changes, a DEL. Needs root. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, Socket, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Write } from '../../bench/node/api-client.js';
import { BenchNode, NODE } from '../../bench/node/node.js';
import { World } from '../../bench/node/world.js';
import { AF_INET } from '../../src/dataplane/libc.js';
import { listenInNamespace, socketInNamespace } from '../../src/dataplane/netns.js';
import { CNI_BIN } from '../../src/lab/tortie-argv.js';
import { runPlugin } from '../cni/plugin.js';
import { until } from '../dataplane/scratch-namespaces.js';

const PODS = '/api/v1/namespaces/default/pods';
const objects: readonly Write[] = [
  {
    path: '/api/v1/nodes',
    object: {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: NODE },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    },
  },
  {
    path: '/apis/projectcalico.org/v3/ippools',
    object: {
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: { name: 'v4' },
      spec: { cidr: '10.65.0.0/24', natOutgoing: true },
    },
  },
  {
    path: PODS,
    object: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'default', annotations: { 'kubernetes.io/ingress-bandwidth': '80M' } },
      spec: { nodeName: NODE, containers: [{ name: 'main', image: 'main' }] },
    },
  },
];

describe('the agent and host ports', function () {
  this.timeout(120_000);
  const world = new World('thport');
  const directory = mkdtempSync(join(tmpdir(), `tortie-hport-${process.pid}-`));
  let netns: string;
  let pod: string;
  let node: BenchNode;
  let server: Server | undefined;

  before(async () => {
    netns = world.node('node');
    [pod = ''] = world.pods(1);
    node = await BenchNode.start({ netns, directory, policyBackend: 'auto' }, [objects]);
  });
  after(async () => {
    server?.close();
    await node.stop();
    world.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  const inNode = (...argv: readonly string[]): string =>
    execFileSync('nsenter', [`--net=${netns}`, ...argv], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const nat = (): string =>
    inNode('sh', '-c', 'iptables-nft-save -t nat; iptables-legacy-save -t nat; nft list ruleset');
  const call = async (command: string): Promise<void> => {
    const config = {
      cniVersion: '1.0.0',
      name: 'tortie',
      type: 'tortie',
      socket: node.socketPath,
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'TCP', hostIP: '' }] },
    };
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: pod,
      CNI_IFNAME: 'eth0',
      CNI_PATH: CNI_BIN,
      CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web',
    };
    const { code, stdout } = await runPlugin(join(CNI_BIN, 'tortie'), env, JSON.stringify(config), [
      'nsenter',
      `--net=${netns}`,
    ]);
    expect(code, stdout).to.equal(0);
  };
  const ask = (host: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = new Socket({
        fd: socketInNamespace(netns, AF_INET),
        manualStart: true,
      } as ConstructorParameters<typeof Socket>[0]);
      let text = '';
      socket
        .setTimeout(5_000, () => socket.destroy(new Error('no answer')))
        .setEncoding('utf8')
        .on('data', (chunk) => (text += chunk))
        .on('end', () => resolve(text))
        .on('error', (error) => resolve(error.message))
        .connect({ host, port: 8080 });
    });

  it('stand when ADD answers, over a kill -9, and go with DEL', async () => {
    await call('ADD');
    const serving = (server = createServer((connection) => connection.on('error', () => undefined).end('web')));
    await new Promise<void>((resolve) => serving.listen({ fd: listenInNamespace(pod, '0.0.0.0', 80) }, resolve));
    for (const host of ['10.0.0.1', '127.0.0.1']) expect(await ask(host), host).to.equal('web');
    expect(nat()).to.include('natOutgoing').and.include('host port tcp/8080 of pod default/web');
    await until('the bandwidth', () => /tbf 7071: dev tort\w+ .*rate 80Mbit/.test(inNode('tc', 'qdisc', 'show')));

    await node.replaceAgent();
    for (const host of ['10.0.0.1', '127.0.0.1']) expect(await ask(host), host).to.equal('web');
    await node.api.patch(`${PODS}/web`, { metadata: { annotations: { 'kubernetes.io/ingress-bandwidth': '40M' } } });
    await until('another bandwidth', () => /tbf 7071: dev tort\w+ .*rate 40Mbit/.test(inNode('tc', 'qdisc', 'show')));

    await call('DEL');
    await until('the host port to go', () => !nat().includes('host port tcp/8080'));
    expect(await ask('10.0.0.1')).to.match(/ECONNREFUSED/);
  });
});
