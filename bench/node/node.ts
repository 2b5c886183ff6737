/**
 * One node as in production, but for its API server: the real `tortie agent` in a namespace, the lab's API server beside it. The
 * objects exist before the agent starts, as they do when a node joins a cluster.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CNI_BIN, packageFile, tortieArgv } from '../../src/lab/tortie-argv.js';
import { runPlugin } from '../../test/cni/plugin.js';
import { ApiClient, type Write } from './api-client.js';
import { NodeProcess } from './process.js';

export const NODE = 'node1';
const API = '127.0.0.1:6443';
const READY_WITHIN = 60_000;

export interface NodePlan {
  /** Path of the node's namespace. */
  readonly netns: string;
  /** For its files; removed afterwards by the caller. */
  readonly directory: string;
  /** The agent's --policy-backend. */
  readonly policyBackend: string;
  /** Further ones of the agent's. */
  readonly agentFlags?: readonly string[];
  /** What Node of the agent's process is told beside its own: NODE_OPTIONS. */
  readonly agentNodeOptions?: string;
  /** Events that the API server remembers of each kind. */
  readonly history?: number;
}

const KUBECONFIG = `apiVersion: v1
kind: Config
current-context: bench
contexts: [{ name: bench, context: { cluster: bench, user: bench } }]
clusters: [{ name: bench, cluster: { server: "http://${API}", insecure-skip-tls-verify: true } }]
users: [{ name: bench, user: {} }]
`;

export class BenchNode {
  readonly api: ApiClient;
  private apiServer: NodeProcess | undefined;
  private agent: NodeProcess | undefined;

  private constructor(private readonly plan: NodePlan) {
    this.api = new ApiClient(join(plan.directory, 'api.sock'));
  }

  /** @param stages what the cluster consists of before the agent sees it; the objects of a stage are written at once */
  static async start(plan: NodePlan, stages: readonly Iterable<Write>[]): Promise<BenchNode> {
    mkdirSync(plan.directory, { recursive: true });
    const node = new BenchNode(plan);
    try {
      await node.startApiServer();
      for (const objects of stages) await node.api.createAll(objects);
      writeFileSync(join(plan.directory, 'kubeconfig'), KUBECONFIG);
      await node.startAgent();
      return node;
    } catch (error) {
      await node.stop();
      throw error;
    }
  }

  /** The agent's. */
  get socketPath(): string {
    return join(this.plan.directory, 'agent.sock');
  }

  get agentPid(): number {
    return this.agent?.pid ?? 0;
  }

  /** How the agent ended, if it did. */
  agentProblem(): string | undefined {
    return this.agent?.problem();
  }

  /** kill -9 and a new process, with other flags if they are given; settles when it serves. */
  async replaceAgent(agentFlags = this.plan.agentFlags): Promise<void> {
    await this.agent?.stop('SIGKILL');
    await this.startAgent(agentFlags);
  }

  async stop(): Promise<void> {
    this.api.close();
    await this.agent?.stop();
    await this.apiServer?.stop();
  }

  private async startApiServer(): Promise<void> {
    const { netns, directory, history } = this.plan;
    const argv = [
      process.execPath,
      packageFile('dist/src/apiserver/main.js'),
      '--listen',
      API,
      '--listen-unix',
      join(directory, 'api.sock'),
      '--crds',
      packageFile('manifests/crds'),
      ...(history === undefined ? [] : ['--history', `${history}`]),
    ];
    this.apiServer = new NodeProcess(netns, directory, 'apiserver', argv);
    await serving(this.apiServer, () => this.api.isReady());
  }

  private async startAgent(agentFlags = this.plan.agentFlags ?? []): Promise<void> {
    const { netns, directory, policyBackend, agentNodeOptions } = this.plan;
    const flags = [
      '--node',
      NODE,
      '--kubeconfig',
      join(directory, 'kubeconfig'),
      '--run-dir',
      directory,
      '--state-dir',
      join(directory, 'state'),
      '--policy-backend',
      policyBackend,
      ...agentFlags,
    ];
    // env becomes the program, as nsenter does.
    const environment = agentNodeOptions === undefined ? [] : ['env', `NODE_OPTIONS=${agentNodeOptions}`];
    this.agent = new NodeProcess(netns, directory, 'agent', [...environment, ...tortieArgv('agent', ...flags)]);
    const config = JSON.stringify({ cniVersion: '1.1.0', name: 'tortie', type: 'tortie', socket: this.socketPath });
    await serving(
      this.agent,
      async () =>
        (await runPlugin(join(CNI_BIN, 'tortie'), { CNI_COMMAND: 'STATUS' }, config, ['nsenter', `--net=${netns}`]))
          .code === 0,
    );
  }
}

async function serving(process: NodeProcess, isReady: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + READY_WITHIN;
  while (!(await isReady())) {
    const problem = process.problem();
    if (problem !== undefined) throw new Error(`Cannot start ${process.name}: ${problem}`);
    if (Date.now() > end)
      throw new Error(
        `Cannot start ${process.name}: it does not serve within ${READY_WITHIN / 1000} s: ${process.tail()}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
