/**
 * The real `tortie agent` in a namespace, with the lab's API server beside it: the pods to connect exist already, as they do
 * when kubelet calls, and one NetworkPolicy selects them all.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { runPlugin } from '../../test/cni/plugin.js';
import { CNI_BIN, packageFile, tortieArgv } from '../../src/lab/tortie-argv.js';
import type { Place } from './contenders.js';

export const POD_NAMESPACE = 'bench';
const NODE = 'node1';
const API = '127.0.0.1:6443';
const READY_WITHIN = 30_000;

export interface Pool {
  readonly name: string;
  readonly cidr: string;
  readonly blockSize: number;
}

export interface NodeAgent {
  readonly socketPath: string;
  readonly stop: () => Promise<void>;
}

export async function startNodeAgent(place: Place, pools: readonly Pool[], policyBackend: string): Promise<NodeAgent> {
  const { directory, netns } = place;
  mkdirSync(directory, { recursive: true });
  const apiSocket = join(directory, 'api.sock');
  const processes: Process[] = [];
  const stop = async (): Promise<void> => {
    for (const process of processes.reverse()) await process.stop();
  };
  try {
    processes.push(new Process(netns, directory, 'apiserver', [process.execPath, packageFile('dist/src/lab/apiserver/main.js'), '--listen', API, '--listen-unix', apiSocket, '--crds', packageFile('manifests/crds')]));
    await until('the API server', processes, () => get(apiSocket, '/readyz'));
    for (const [path, object] of objects(place.pods, pools)) await post(apiSocket, path, object);
    const kubeconfig = join(directory, 'kubeconfig');
    writeFileSync(kubeconfig, KUBECONFIG);
    const flags = ['--node', NODE, '--kubeconfig', kubeconfig, '--run-dir', directory, '--state-dir', join(directory, 'state'), '--policy-backend', policyBackend];
    processes.push(new Process(netns, directory, 'agent', tortieArgv('agent', ...flags)));
    const socketPath = join(directory, 'agent.sock');
    await until('the agent', processes, () => isServing(netns, socketPath));
    return { socketPath, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const KUBECONFIG = `apiVersion: v1
kind: Config
current-context: bench
contexts: [{ name: bench, context: { cluster: bench, user: bench } }]
clusters: [{ name: bench, cluster: { server: "http://${API}", insecure-skip-tls-verify: true } }]
users: [{ name: bench, user: {} }]
`;

function* objects(pods: readonly string[], pools: readonly Pool[]): Generator<readonly [path: string, object: unknown]> {
  const core = '/api/v1';
  yield [`${core}/namespaces`, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: POD_NAMESPACE } }];
  yield [`${core}/nodes`, { apiVersion: 'v1', kind: 'Node', metadata: { name: NODE }, status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] } }];
  for (const { name, cidr, blockSize } of pools)
    yield ['/apis/projectcalico.org/v3/ippools', { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name }, spec: { cidr, blockSize } }];
  yield [`/apis/networking.k8s.io/v1/namespaces/${POD_NAMESPACE}/networkpolicies`, {
    apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'web' },
    spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'], ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }], egress: [{}] },
  }];
  for (const name of pods)
    yield [`${core}/namespaces/${POD_NAMESPACE}/pods`, { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: 'web' } }, spec: { nodeName: NODE, containers: [{ name: 'web', image: 'web' }] } }];
}

async function isServing(netns: string, socketPath: string): Promise<boolean> {
  const config = JSON.stringify({ cniVersion: '1.1.0', name: 'tortie', type: 'tortie', socket: socketPath });
  return (await runPlugin(join(CNI_BIN, 'tortie'), { CNI_COMMAND: 'STATUS' }, config, ['nsenter', `--net=${netns}`])).code === 0;
}

/** A child in the namespace, its output in a file. */
class Process {
  private readonly child: ChildProcess;
  private readonly log: string;

  constructor(netns: string, directory: string, readonly name: string, argv: readonly string[]) {
    this.log = join(directory, `${name}.log`);
    const fd = openSync(this.log, 'a');
    this.child = spawn('nsenter', [`--net=${netns}`, ...argv], { stdio: ['ignore', fd, fd] });
    closeSync(fd);
  }

  /** How it ended, if it did. */
  problem(): string | undefined {
    const { exitCode, signalCode } = this.child;
    if (exitCode === null && signalCode === null) return undefined;
    return `${this.name} ended with ${exitCode ?? signalCode}: ${this.tail()}`;
  }

  tail(): string {
    return readFileSync(this.log, 'utf8').trim().split('\n').slice(-3).join('\n');
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(timer);
  }
}

async function until(what: string, processes: readonly Process[], isReady: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + READY_WITHIN;
  while (!(await isReady())) {
    const problem = processes.map((process) => process.problem()).find((text) => text !== undefined);
    if (problem !== undefined) throw new Error(`Cannot start ${what}: ${problem}`);
    if (Date.now() > end) throw new Error(`Cannot start ${what}: it does not serve within ${READY_WITHIN / 1000} s: ${processes.at(-1)?.tail() ?? ''}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function get(socketPath: string, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    request({ socketPath, path, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).on('error', () => resolve(false)).end();
  });
}

function post(socketPath: string, path: string, object: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method: 'POST', headers: { 'content-type': 'application/json' }, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => {
        if (response.statusCode === 201) resolve();
        else reject(new Error(`Cannot create an object at ${path}: HTTP ${response.statusCode ?? 0}: ${text.slice(0, 500)}`));
      });
    });
    sent.on('error', reject).end(JSON.stringify(object));
  });
}
