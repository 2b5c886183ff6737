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
import { nodeKubeconfig, type NodeKubeconfig } from './node-kubeconfig.js';
import { podObjects, rackObjects } from './rack-objects.js';
import type { Rack } from './rack.js';
import { writePrivate, type LabPaths, type LabRecord } from './state-dir.js';
import { packageFile } from './tortie-argv.js';

const READY_WITHIN = 30_000;
export const API_SERVER_PROCESS = 'apiserver';

export class LabCluster {
  readonly datastore: Datastore;

  private constructor(readonly client: KubernetesClient, private readonly kubeconfig: string, private readonly kubeconfigText: string) {
    this.datastore = new KubernetesDatastore(client);
  }

  /** Starts the embedded server, or finds the real one, and waits until it answers. */
  static async open(record: LabRecord, paths: LabPaths, run: (spec: DaemonSpec) => Daemon): Promise<LabCluster> {
    if (record.kubeconfig === undefined) {
      run({ name: API_SERVER_PROCESS, argv: [process.execPath, packageFile('dist/src/lab/apiserver/main.js'), '--directory', paths.apiServer, '--kubeconfig', paths.kubeconfig] });
      await waitForFile(paths.kubeconfig);
    } else {
      await writePrivate(paths.kubeconfig, nodeIndependent(await readFile(record.kubeconfig, 'utf8'), record.kubeconfig));
    }
    const client = KubernetesClient.load(paths.kubeconfig);
    await waitUntilServing(client);
    return new LabCluster(client, paths.kubeconfig, await readFile(paths.kubeconfig, 'utf8'));
  }

  get url(): string {
    return this.client.url;
  }

  /** For a node that reaches the server at 127.0.0.1:`port` of its own namespace. */
  kubeconfigFor(port: number): NodeKubeconfig {
    return nodeKubeconfig(this.kubeconfigText, dirname(this.kubeconfig), port);
  }

  async createRack(rack: Rack): Promise<void> {
    await createCrds(this.client, rack.lab);
    for (const object of rackObjects(rack)) await createObject(this.client, object);
  }

  async createPods(rack: Rack): Promise<void> {
    for (const object of podObjects(rack)) await createObject(this.client, object);
  }
}

/** Removes the lab's objects from a real API server: what `down` does there. */
export async function clearRealServer(record: LabRecord, nodes: readonly string[]): Promise<void> {
  if (record.kubeconfig !== undefined) await removeObjects(KubernetesClient.load(record.kubeconfig), record.name, nodes);
}

async function waitForFile(path: string): Promise<void> {
  const deadline = Date.now() + READY_WITHIN;
  while (!(await readFile(path, 'utf8').then((text) => text !== '', () => false))) {
    if (Date.now() > deadline) throw new UserError(`Cannot start the API server: it wrote no ${path} within ${READY_WITHIN / 1000} s; see logs/${API_SERVER_PROCESS}.log beside it`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function waitUntilServing(client: KubernetesClient): Promise<void> {
  const deadline = Date.now() + READY_WITHIN;
  for (;;) {
    const problem = await client.request('GET', '/version').then(() => undefined, messageOf);
    if (problem === undefined) return;
    if (Date.now() > deadline) throw new UserError(`Cannot use the API server at ${client.url}: ${problem}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The kubeconfig with its file names made absolute, because the lab keeps its own copy elsewhere. */
function nodeIndependent(text: string, file: string): string {
  const directory = dirname(file);
  return text.replace(/^(\s*(?:certificate-authority|client-certificate|client-key|tokenFile):\s*)(?!\/)(\S.*)$/gm, (_line, key: string, path: string) => `${key}${join(directory, path)}`);
}
