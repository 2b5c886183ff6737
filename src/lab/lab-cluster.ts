/**
 * The lab's API server, embedded or somebody's own: how it is reached, and the lab's objects in it. Nothing outside this file
 * knows which of the two it is.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Datastore } from '../datastore/datastore.js';
import { KubernetesClient } from '../datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../datastore/kubernetes-datastore.js';
import { messageOf, UserError } from '../errors.js';
import { createCrds, createObject, removeObjects } from './api-objects.js';
import type { Daemon, DaemonSpec } from './daemon.js';
import { Forwarder, type Target } from './forwarder.js';
import { nodeKubeconfig } from './node-kubeconfig.js';
import { podObjects, rackObjects } from './rack-objects.js';
import type { Rack } from './rack.js';
import { writePrivate, type LabPaths, type LabRecord } from './state-dir.js';
import { packageFile } from './tortie-argv.js';

/** The embedded server has to start, on a busy machine; somebody's own is there or is not. */
const EMBEDDED_WITHIN = 30_000;
const REAL_WITHIN = 5_000;
/** In the node's namespace, so the same on every node. */
const MANAGEMENT_PORT = 6443;
export const API_SERVER_PROCESS = 'apiserver';

export class LabCluster {
  readonly datastore: Datastore;

  private constructor(
    readonly client: KubernetesClient,
    private readonly kubeconfig: string,
    private readonly directory: string,
    private readonly target: Target,
    private readonly forwarders: Forwarder[],
  ) {
    this.datastore = new KubernetesDatastore(client);
  }

  /** Starts the embedded server, or finds the real one, and waits until it answers. */
  static async open(record: LabRecord, paths: LabPaths, run: (spec: DaemonSpec) => Daemon): Promise<LabCluster> {
    return record.kubeconfig === undefined
      ? LabCluster.embedded(paths, run)
      : LabCluster.real(record.kubeconfig, paths);
  }

  private static async embedded(paths: LabPaths, run: (spec: DaemonSpec) => Daemon): Promise<LabCluster> {
    const target: Target = { type: 'unix', path: join(paths.root, 'apiserver.sock') };
    run({
      name: API_SERVER_PROCESS,
      argv: [process.execPath, packageFile('dist/src/apiserver/main.js'), '--listen-unix', target.path],
    });
    const front = new Forwarder(undefined, 0, target);
    const kubeconfig = kubeconfigOf(await front.open());
    await writePrivate(paths.kubeconfig, kubeconfig);
    const client = KubernetesClient.load(paths.kubeconfig);
    await waitUntilServing(client, EMBEDDED_WITHIN);
    return new LabCluster(client, kubeconfig, paths.root, target, [front]);
  }

  private static async real(file: string, paths: LabPaths): Promise<LabCluster> {
    const text = await readFile(file, 'utf8');
    const { server, original } = nodeKubeconfig(text, dirname(file), MANAGEMENT_PORT);
    await writePrivate(paths.kubeconfig, original);
    const client = KubernetesClient.load(paths.kubeconfig);
    await waitUntilServing(client, REAL_WITHIN);
    return new LabCluster(client, original, paths.root, { type: 'tcp', ...server }, []);
  }

  get url(): string {
    return this.client.url;
  }

  /** Opens the management link of a node; returns the node's kubeconfig. */
  async connectNode(netns: string): Promise<string> {
    const forwarder = new Forwarder(netns, MANAGEMENT_PORT, this.target);
    this.forwarders.push(forwarder);
    await forwarder.open();
    return nodeKubeconfig(this.kubeconfig, this.directory, MANAGEMENT_PORT).text;
  }

  /** The API server goes away or comes back, for the nodes and everybody who uses the lab's kubeconfig. */
  async setReachable(isReachable: boolean): Promise<void> {
    await Promise.all(this.forwarders.map((forwarder) => (isReachable ? forwarder.open() : forwarder.sever())));
  }

  async createRack(rack: Rack): Promise<void> {
    await createCrds(this.client, rack.lab);
    for (const object of rackObjects(rack)) await createObject(this.client, object);
  }

  async createPods(rack: Rack): Promise<void> {
    for (const object of podObjects(rack)) await createObject(this.client, object);
  }

  async close(): Promise<void> {
    await this.setReachable(false);
  }
}

/** Removes the lab's objects from a real API server: what `down` does there. */
export async function clearRealServer(record: LabRecord, nodes: readonly string[]): Promise<void> {
  if (record.kubeconfig !== undefined)
    await removeObjects(KubernetesClient.load(record.kubeconfig), record.name, nodes);
}

/** The client library takes plain HTTP only when told not to check certificates; on the machine's own loopback there are none. */
const kubeconfigOf = (port: number): string => `apiVersion: v1
kind: Config
current-context: lab
contexts: [{ name: lab, context: { cluster: lab, user: lab } }]
clusters: [{ name: lab, cluster: { server: "http://127.0.0.1:${port}", insecure-skip-tls-verify: true } }]
users: [{ name: lab, user: {} }]
`;

async function waitUntilServing(client: KubernetesClient, within: number): Promise<void> {
  const deadline = Date.now() + within;
  for (;;) {
    const problem = await client.request('GET', '/version').then(() => undefined, messageOf);
    if (problem === undefined) return;
    if (Date.now() > deadline) throw new UserError(`Cannot use the API server at ${client.url}: ${problem}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
