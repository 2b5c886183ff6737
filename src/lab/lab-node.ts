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
import { Kubelet } from './kubelet.js';
import type { LabCluster } from './lab-cluster.js';
import { SYSTEM_NAMESPACE } from './rack-objects.js';
import type { Rack, RackNode } from './rack.js';
import { writePrivate, type NodePaths } from './state-dir.js';
import { CNI_BIN, tortieArgv } from './tortie-argv.js';
import { writeWrapper } from './wrapper.js';

/** No CNI call of ours takes near so long; a plugin that hangs must not hang its pod for ever. */
const PLUGIN_TIMEOUT = 60_000;
const READY_WITHIN = 20_000;

export class LabNode {
  private readonly kubelet: Kubelet;

  constructor(
    rack: Rack,
    private readonly device: RackNode,
    private readonly paths: NodePaths,
    private readonly cluster: LabCluster,
    log: Logger,
  ) {
    const runtime = new CniRuntime(
      this.configList(),
      [CNI_BIN, '/opt/cni/bin', '/usr/lib/cni'],
      paths.cniCache,
      (program, env, input) =>
        attempt(['ip', 'netns', 'exec', device.netns, program], input, {
          env: { ...process.env, ...env },
          timeout: PLUGIN_TIMEOUT,
        }),
    );
    const place = {
      lab: rack.lab,
      node: device.name,
      netns: device.netns,
      ips: [device.loopback.ipv4, device.loopback.ipv6],
      runtime,
    };
    this.kubelet = new Kubelet(place, cluster.datastore, cluster.client, log.child({ node: device.name }));
  }

  /** Files and the management link. Returns the processes that are to run. */
  async prepare(): Promise<readonly DaemonSpec[]> {
    const { run, state, cniConfig, root, kubeconfig } = this.paths;
    for (const directory of [run, state, cniConfig]) await mkdir(directory, { recursive: true, mode: 0o700 });
    await writePrivate(kubeconfig, await this.cluster.connectNode(this.device.netns));
    await writeFile(join(cniConfig, '10-tortie.conflist'), `${JSON.stringify(this.configList(), null, 2)}\n`);
    await writeWrapper(root, 'tortie', tortieArgv());
    const directories = ['--run-dir', run, '--state-dir', state];
    const { name, netns } = this.device;
    return [
      { name: `${name} bgpd`, netns, argv: tortieArgv('bgpd', ...directories) },
      {
        name: `${name} agent`,
        netns,
        argv: tortieArgv(
          'agent',
          '--node',
          name,
          '--kubeconfig',
          kubeconfig,
          '--namespace',
          SYSTEM_NAMESPACE,
          '--flows',
          'on',
          ...directories,
        ),
      },
    ];
  }

  /** Settles when the node takes pods, or after a while with the reason why it does not yet. */
  start(): Promise<string | undefined> {
    return this.kubelet.start(READY_WITHIN);
  }

  stop(): Promise<void> {
    return this.kubelet.stop();
  }

  sandboxes(): readonly SandboxStatus[] {
    return this.kubelet.sandboxes();
  }

  restartPod(namespace: string, name: string): boolean {
    return this.kubelet.restartPod(namespace, name);
  }

  /** What an installed node has in /etc/cni/net.d/10-tortie.conflist, with this node's socket. */
  private configList(): NetworkConfigList {
    return {
      cniVersion: '1.1.0',
      name: 'tortie',
      plugins: [{ type: 'tortie', socket: join(this.paths.run, 'agent.sock') }],
    };
  }
}
