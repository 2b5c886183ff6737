/**
 * One node of a running lab: its directories, its way to the API server, the unchanged production processes `tortie bgpd` and
 * `tortie agent`, and its kubelet stand-in.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../log.js';
import { CniRuntime, type NetworkConfigList } from './cni-runtime.js';
import { attempt } from './command.js';
import type { SandboxStatus } from './control.js';
import type { DaemonSpec } from './daemon.js';
import { Forwarder } from './forwarder.js';
import { Kubelet } from './kubelet.js';
import type { LabCluster } from './lab-cluster.js';
import type { Rack, RackNode } from './rack.js';
import { writePrivate, type NodePaths } from './state-dir.js';
import { CNI_BIN, tortieArgv } from './tortie-argv.js';
import { writeWrapper } from './wrapper.js';

/** In the node's namespace, so the same on every node. */
export const MANAGEMENT_PORT = 6443;
/** No CNI call of ours takes near so long; a plugin that hangs must not hang its pod for ever. */
const PLUGIN_TIMEOUT = 60_000;

export class LabNode {
  private readonly kubelet: Kubelet;
  private readonly forwarder: Forwarder;
  private readonly kubeconfig: string;

  constructor(rack: Rack, private readonly device: RackNode, private readonly paths: NodePaths, cluster: LabCluster, log: Logger) {
    const { text, server } = cluster.kubeconfigFor(MANAGEMENT_PORT);
    this.kubeconfig = text;
    this.forwarder = new Forwarder(device.netns, MANAGEMENT_PORT, server);
    const runtime = new CniRuntime(this.configList(), [CNI_BIN, '/opt/cni/bin', '/usr/lib/cni'], paths.cniCache, (program, env, input) =>
      attempt(['ip', 'netns', 'exec', device.netns, program], input, { env: { ...process.env, ...env }, timeout: PLUGIN_TIMEOUT }));
    const place = { lab: rack.lab, node: device.name, netns: device.netns, ips: [device.loopback.ipv4, device.loopback.ipv6], runtime };
    this.kubelet = new Kubelet(place, cluster.datastore, cluster.client, log.child({ node: device.name }));
  }

  /** Files and the management link; returns the processes that are to run. */
  async prepare(): Promise<readonly DaemonSpec[]> {
    const { run, state, cniConfig, root, kubeconfig } = this.paths;
    for (const directory of [run, state, cniConfig]) await mkdir(directory, { recursive: true, mode: 0o700 });
    await writePrivate(kubeconfig, this.kubeconfig);
    await writeFile(join(cniConfig, '10-tortie.conflist'), `${JSON.stringify(this.configList(), null, 2)}\n`);
    await writeWrapper(root, 'tortie', tortieArgv());
    await this.forwarder.start();
    const directories = ['--run-dir', run, '--state-dir', state];
    const { name, netns } = this.device;
    return [
      { name: `${name} bgpd`, netns, argv: tortieArgv('bgpd', ...directories) },
      { name: `${name} agent`, netns, argv: tortieArgv('agent', '--node', name, '--kubeconfig', kubeconfig, ...directories) },
    ];
  }

  start(): Promise<void> {
    return this.kubelet.start();
  }

  async stop(): Promise<void> {
    await this.kubelet.stop();
    await this.forwarder.stop();
  }

  sandboxes(): readonly SandboxStatus[] {
    return this.kubelet.sandboxes();
  }

  restartPod(namespace: string, name: string): boolean {
    return this.kubelet.restartPod(namespace, name);
  }

  /** What an installed node has in /etc/cni/net.d/10-tortie.conflist, with this node's socket. */
  private configList(): NetworkConfigList {
    return { cniVersion: '1.1.0', name: 'tortie', plugins: [{ type: 'tortie', socket: join(this.paths.run, 'agent.sock') }] };
  }
}
