/**
 * A node with two pods in namespaces of their own, plumbed as in production; one per contender, so that all of them stand at
 * the same time and take turns.
 */
import { spawnSync } from 'node:child_process';
import { parseAddress } from 'node-bgp/address';
import { hostInterfaceName } from '../../src/dataplane/endpoint-name.js';
import { EndpointPlumbing } from '../../src/dataplane/endpoint-plumbing.js';
import { enableForwarding } from '../../src/dataplane/forwarding.js';
import type { Within } from '../../src/dataplane/netfilter/child.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import type { PodIdentity } from './cluster.js';

export class Rig {
  readonly namespaces: readonly string[];
  readonly within: Within;
  private readonly plumbing: EndpointPlumbing;

  /** @param name unique among rigs; namespaces are "<name>-node", "-a", "-b". */
  constructor(
    name: string,
    readonly pods: readonly [PodIdentity, PodIdentity],
  ) {
    this.namespaces = ['node', 'a', 'b'].map((part) => `tortie-bench-${process.pid}-${name}-${part}`);
    for (const namespace of this.namespaces) ip('netns', 'add', namespace);
    this.within = (work) => inNamespace(pathOf(this.node), work);
    for (const namespace of this.namespaces) ip('-n', namespace, 'link', 'set', 'lo', 'up');
    this.plumbing = this.within(() => {
      enableForwarding();
      return new EndpointPlumbing((error) => process.stderr.write(`${error.message}\n`));
    });
    for (const [i, pod] of pods.entries())
      this.within(() =>
        this.plumbing.add({
          containerId: pod.name,
          podInterface: 'eth0',
          hostInterface: hostInterfaceName(pod.namespace, pod.name),
          netns: pathOf(this.pod(i)),
          addresses: pod.addresses.map(parseAddress),
        }),
      );
  }

  get node(): string {
    return this.namespaces[0] ?? '';
  }

  /** Namespace of the first or second pod. */
  pod(index: number): string {
    return this.namespaces[1 + index] ?? '';
  }

  async close(): Promise<void> {
    await this.plumbing.close();
    for (const namespace of this.namespaces) ip('netns', 'delete', namespace);
  }
}

export const pathOf = (namespace: string): string => `/run/netns/${namespace}`;

/** A command that must succeed. */
export function ip(...args: readonly string[]): void {
  run('ip', args);
}

export function run(file: string, args: readonly string[], input?: string): string {
  const { status, stdout, stderr, error } = spawnSync(file, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...(input === undefined ? {} : { input }),
  });
  if (status !== 0) throw new Error(`Cannot run "${file} ${args.join(' ')}": ${error?.message ?? stderr.trim()}`);
  return stdout;
}
