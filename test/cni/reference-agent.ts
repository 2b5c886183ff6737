/**
 * The smallest honest implementation of CniHandlers: real veths in a real namespace, addresses counted upwards, nothing on
 * disk. Shows what the agent has to do, and serves the CNI tests in its place.
 */
import { addressAt, type IpAddress, parsePrefix } from 'node-bgp/address';
import { CniError } from '../../src/cni/cni-error.js';
import { CniServer, type CniServerOptions } from '../../src/cni/cni-server.js';
import type { CniAddRequest, CniAttachment, CniHandlers } from '../../src/cni/contract.js';
import { attachmentResult, type CniResult } from '../../src/cni/result.js';
import { hostInterfaceName } from '../../src/dataplane/endpoint-name.js';
import { EndpointPlumbing } from '../../src/dataplane/endpoint-plumbing.js';
import { type Endpoint, EndpointError, type EndpointSpec } from '../../src/dataplane/endpoint-spec.js';
import { inNamespace } from '../../src/dataplane/netns.js';

const POOLS = [parsePrefix('10.65.0.0/20'), parsePrefix('fd00:65::/116')];

export class ReferenceAgent {
  readonly faults: unknown[] = [];
  readonly attachments = new Map<string, EndpointSpec>();
  readonly server: CniServer;
  readonly plumbing: EndpointPlumbing;
  private next = 1;

  constructor(
    private readonly node: string,
    socketPath: string,
    options: Partial<CniServerOptions> = {},
  ) {
    this.plumbing = this.inNode(() => new EndpointPlumbing((error) => this.faults.push(error)));
    this.server = new CniServer({
      socketPath,
      handlers: this.handlers(),
      onFault: (error) => this.faults.push(error),
      ...options,
    });
  }

  async stop(): Promise<void> {
    await this.server.close();
    await this.plumbing.close();
  }

  handlers(): CniHandlers {
    return {
      add: async (request) => {
        const spec = this.attachments.get(keyOf(request)) ?? this.specOf(request);
        const endpoint = this.connect(spec);
        this.attachments.set(keyOf(request), spec);
        return resultOf(endpoint);
      },
      del: async (request) => this.remove(keyOf(request)),
      check: async (request) => {
        const spec = this.attachments.get(keyOf(request));
        if (spec === undefined)
          throw new CniError('unknownContainer', `Container "${request.containerId}" is not connected`);
        const problems = this.inNode(() => this.plumbing.check(spec));
        if (problems.length > 0) throw new CniError('checkFailed', problems[0] ?? '', problems.join('\n'));
        return resultOf(this.connect(spec));
      },
      status: async () => undefined,
      gc: async ({ valid }) => {
        const kept = new Set(valid.map(keyOf));
        for (const key of this.attachments.keys()) if (!kept.has(key)) this.remove(key);
      },
    };
  }

  private connect(spec: EndpointSpec): Endpoint {
    try {
      return this.inNode(() => this.plumbing.add(spec));
    } catch (error) {
      if (error instanceof EndpointError) throw new CniError('ioFailure', error.message, '', { cause: error });
      throw error;
    }
  }

  private remove(key: string): void {
    const spec = this.attachments.get(key);
    if (spec === undefined) return;
    this.plumbing.remove(spec);
    this.attachments.delete(key);
  }

  private specOf(request: CniAddRequest): EndpointSpec {
    const { podNamespace = 'default', podName = request.containerId } = request.arguments;
    const addresses = POOLS.map((pool): IpAddress => addressAt(pool, this.next));
    this.next += 1;
    return {
      containerId: request.containerId,
      podInterface: request.interfaceName,
      hostInterface: hostInterfaceName(podNamespace, podName, request.interfaceName),
      netns: request.netns,
      addresses,
      mtu: request.config.mtu,
      label: `${podNamespace}/${podName}`,
    };
  }

  private inNode<T>(task: () => T): T {
    return inNamespace(this.node, task);
  }
}

const keyOf = (attachment: CniAttachment): string => `${attachment.containerId}/${attachment.interfaceName}`;

function resultOf({ host, pod, addresses, routes }: Endpoint): CniResult {
  return attachmentResult({ host, pod, addresses, routes });
}
