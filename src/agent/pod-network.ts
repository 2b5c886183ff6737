/**
 * A pod's network on this node, from nothing to its first packet and back: the order that every CNI call follows.
 *
 *   ADD   address (journal, fsync) -> policy in the kernel -> veth, routes -> answer
 *   DEL   veth gone -> policy gone -> address to rest (journal) -> answer; its connections are forgotten behind that
 *
 * Policy goes first: when the veth comes up its chain is there, so there is no moment in which a new pod is open, and an
 * interface that nothing knows is dropped. Whatever fails is undone in reverse and the call fails closed.
 *
 * The allocator's journal is the one record of who lives here; after a restart everything else is derived from it. Calls for one
 * pod run one after another, calls for different pods side by side.
 */
import type { Allocator, Owner } from '@tortie/ipam';
import type { EndpointState, PolicyEvent } from '@tortie/policy';
import type { Family } from 'node-bgp/address';
import type { Pod } from '../api/core.js';
import type { Logger } from '../log.js';
import { KeyedQueue } from './keyed-queue.js';
import type { NetfilterFailure } from './policy-loop.js';

/** The kernel side of one endpoint: src/dataplane/endpoint.ts. */
export interface EndpointDataplane {
  /** Name of the host side of a pod's veth. */
  interfaceName(namespace: string, pod: string): string;
  /** Makes veth, addresses, routes, neighbours; doing it again changes nothing. */
  plumb(endpoint: EndpointRequest): Promise<PlumbedEndpoint>;
  /** Removes the owner's host side and with it the rest; no error when it is gone, or somebody else's by now. */
  unplumb(owner: Owner): Promise<void>;
  /** Sentences about what is not as it should be, and what is there. */
  check(endpoint: EndpointRequest): Promise<EndpointCheck>;
}

export interface EndpointRequest {
  readonly containerId: string;
  readonly namespace: string;
  readonly pod: string;
  /** Path of the pod's network namespace. */
  readonly netns: string;
  /** Name inside the pod. */
  readonly interfaceName: string;
  readonly addresses: readonly string[];
  readonly mtu?: number;
}

export interface PlumbedEndpoint {
  readonly hostInterface: string;
  readonly hostMac: string;
  readonly podMac: string;
  readonly mtu: number;
}

export interface EndpointCheck {
  readonly problems: readonly string[];
  /** Undefined when there is no such interface. */
  readonly endpoint: PlumbedEndpoint | undefined;
}

export interface PodRequest {
  readonly containerId: string;
  readonly netns: string;
  readonly interfaceName: string;
  readonly namespace: string;
  readonly pod: string;
  readonly mtu?: number;
}

export interface PodNetworkOptions {
  readonly allocator: Allocator;
  readonly assign: (owner: Owner, pools: ReadonlyMap<Family, readonly string[]>) => Promise<readonly string[]>;
  readonly dataplane: EndpointDataplane;
  readonly policy: { take(event: PolicyEvent): void; settled(): Promise<readonly NetfilterFailure[]> };
  /** Those refusals of the kernel that concern one endpoint. */
  readonly concerning: (hostInterface: string, failures: readonly NetfilterFailure[]) => readonly NetfilterFailure[];
  /** Connections of an address are forgotten before it changes hands. */
  readonly connections: {
    mark(addresses: Iterable<string>): void;
    ensure(addresses: readonly string[]): Promise<void>;
  };
  readonly endpointState: (namespace: string, pod: string) => EndpointState;
  readonly pod: (namespace: string, name: string) => Pod | undefined;
  /** Resolves at the next change of the cluster copy or after so many milliseconds. */
  readonly nextChange: (timeout: number) => Promise<void>;
  readonly log: Logger;
  /** The set of local endpoints changed. */
  readonly onChange: () => void;
}

/** Something that will pass: the runtime should call again (CNI error code 11). */
export class TryAgainError extends Error {
  override readonly name = 'TryAgainError';
}

/** How long an ADD waits for the pod to appear in the watch, and for the kernel to take its policy. */
const POD_WAIT = 5_000;
const POLICY_WAIT = 10_000;

const POOL_ANNOTATIONS: readonly (readonly [Family, string])[] = [
  [4, 'cni.projectcalico.org/ipv4pools'],
  [6, 'cni.projectcalico.org/ipv6pools'],
];

export class PodNetwork {
  private readonly queue = new KeyedQueue();

  constructor(private readonly options: PodNetworkOptions) {}

  /** Tells the policy engine of everybody who lives here; call once, before the first write to the kernel. */
  restore(): void {
    for (const { owner, addresses } of this.options.allocator.owners())
      this.announce(owner.namespace, owner.pod, addresses);
  }

  /** Everybody who lives here, for the sweep of the others. */
  owners(): readonly Owner[] {
    return this.options.allocator.owners().map(({ owner }) => owner);
  }

  /** Addresses of every local endpoint with its host interface. */
  endpoints(): readonly {
    readonly hostInterface: string;
    readonly addresses: readonly string[];
    readonly owner: Owner;
  }[] {
    return this.options.allocator.owners().map(({ owner, addresses }) => ({
      owner,
      addresses,
      hostInterface: this.options.dataplane.interfaceName(owner.namespace, owner.pod),
    }));
  }

  /** @throws TryAgainError, NoAddressError, or what the kernel said */
  add(request: PodRequest): Promise<{ readonly addresses: readonly string[]; readonly endpoint: PlumbedEndpoint }> {
    return this.queue.run(podKey(request), async () => {
      await this.removePredecessors(request);
      const isNew = this.options.allocator.addressesOfOwner(request.containerId, request.interfaceName).length === 0;
      const pod = await this.awaitPod(request);
      const owner: Owner = {
        containerId: request.containerId,
        interfaceName: request.interfaceName,
        namespace: request.namespace,
        pod: request.pod,
      };
      const addresses = await this.options.assign(owner, poolsAskedFor(pod));
      try {
        this.announce(request.namespace, request.pod, addresses);
        await this.awaitPolicy(request);
        if (isNew) await this.options.connections.ensure(addresses);
        const endpoint = await this.options.dataplane.plumb({ ...request, addresses });
        this.options.onChange();
        return { addresses, endpoint };
      } catch (error) {
        if (isNew) await this.undo(request);
        throw error;
      }
    });
  }

  /** Never fails for something unknown. Returns who was detached. */
  async remove({
    containerId,
    interfaceName,
  }: {
    readonly containerId: string;
    readonly interfaceName: string;
  }): Promise<Owner | undefined> {
    const owner = this.ownerOf(containerId, interfaceName);
    if (owner !== undefined) await this.queue.run(podKey(owner), () => this.removeOwner(owner));
    return owner;
  }

  /** What is wrong with an attachment that ADD made; no problems when all is well. */
  async check(request: PodRequest): Promise<EndpointCheck & { readonly addresses: readonly string[] }> {
    const addresses = this.options.allocator.addressesOfOwner(request.containerId, request.interfaceName);
    if (addresses.length === 0)
      return {
        addresses,
        endpoint: undefined,
        problems: [`container "${request.containerId}" has no interface "${request.interfaceName}" here`],
      };
    const { problems, endpoint } = await this.options.dataplane.check({ ...request, addresses });
    const state = this.options.endpointState(request.namespace, request.pod);
    return {
      addresses,
      endpoint,
      problems:
        state === 'no-endpoint'
          ? [`policy does not know pod "${request.namespace}/${request.pod}"`, ...problems]
          : problems,
    };
  }

  /** Removes every attachment that is not in the list, as CNI GC asks. Returns how many. */
  async collect(valid: readonly { readonly containerId: string; readonly interfaceName: string }[]): Promise<number> {
    const keep = new Set(valid.map((attachment) => `${attachment.containerId}/${attachment.interfaceName}`));
    const stale = this.options.allocator
      .owners()
      .filter(({ owner }) => !keep.has(`${owner.containerId}/${owner.interfaceName}`));
    for (const { owner } of stale) await this.queue.run(podKey(owner), () => this.removeOwner(owner));
    return stale.length;
  }

  /** The runtime replaced a sandbox and its DEL has not come yet: the name of the veth is the pod's, so the old one goes first. */
  private async removePredecessors(request: PodRequest): Promise<void> {
    for (const { owner } of this.options.allocator.owners())
      if (
        podKey(owner) === podKey(request) &&
        (owner.containerId !== request.containerId || owner.interfaceName !== request.interfaceName)
      )
        await this.removeOwner(owner);
  }

  private async removeOwner(owner: Owner): Promise<void> {
    const { allocator, connections, dataplane, policy } = this.options;
    if (this.ownerOf(owner.containerId, owner.interfaceName) === undefined) return;
    await dataplane.unplumb(owner);
    policy.take({ type: 'endpoint-delete', namespace: owner.namespace, name: owner.pod });
    connections.mark(await allocator.release(owner.containerId, owner.interfaceName));
    this.options.onChange();
  }

  private async undo(request: PodRequest): Promise<void> {
    const owner = this.ownerOf(request.containerId, request.interfaceName);
    if (owner === undefined) return;
    try {
      await this.removeOwner(owner);
    } catch (error) {
      // The address stays with its owner: the runtime sends DEL for a failed ADD, and that tries again.
      this.options.log.error({ pod: podKey(request), err: error }, 'Cannot undo a failed ADD; waiting for its DEL');
    }
  }

  private ownerOf(containerId: string, interfaceName: string): Owner | undefined {
    return this.options.allocator.ownerOf(containerId, interfaceName);
  }

  private announce(namespace: string, name: string, addresses: readonly string[]): void {
    const endpoint = { namespace, name, interface: this.options.dataplane.interfaceName(namespace, name), addresses };
    this.options.policy.take({ type: 'endpoint-upsert', endpoint });
  }

  /** A pod the watch has not brought yet has no labels, so nobody knows its policy. */
  private async awaitPod({ namespace, pod }: PodRequest): Promise<Pod> {
    const until = Date.now() + POD_WAIT;
    for (;;) {
      const found = this.options.pod(namespace, pod);
      if (found !== undefined) return found;
      if (Date.now() >= until)
        throw new TryAgainError(
          `Cannot attach pod "${namespace}/${pod}": the API server has not told this node of it within ` +
            `${POD_WAIT / 1000} s, so its policy is unknown`,
        );
      await this.options.nextChange(until - Date.now());
    }
  }

  private async awaitPolicy({ namespace, pod }: PodRequest): Promise<void> {
    const late = new Promise<never>((_, reject) => {
      const error = new TryAgainError(
        `Cannot attach pod "${namespace}/${pod}": the kernel has not taken its policy within ${POLICY_WAIT / 1000} s`,
      );
      setTimeout(() => reject(error), POLICY_WAIT).unref();
    });
    const refused = await Promise.race([this.options.policy.settled(), late]);
    const [failure] = this.options.concerning(this.options.dataplane.interfaceName(namespace, pod), refused);
    if (failure !== undefined)
      throw new TryAgainError(
        `Cannot attach pod "${namespace}/${pod}": the kernel does not take its policy: ${failure.message}`,
      );
    const state = this.options.endpointState(namespace, pod);
    if (state === 'pod-unknown' || state === 'namespace-unknown')
      throw new TryAgainError(`Cannot attach pod "${namespace}/${pod}": its policy is not known yet (${state})`);
  }
}

const podKey = (pod: { readonly namespace: string; readonly pod: string }): string => `${pod.namespace}/${pod.pod}`;

/** Calico's annotations: JSON lists of pool names or CIDRs. */
function poolsAskedFor(pod: Pod): ReadonlyMap<Family, readonly string[]> {
  const pools = new Map<Family, readonly string[]>();
  for (const [family, annotation] of POOL_ANNOTATIONS) {
    const text = pod.metadata.annotations?.[annotation];
    if (text !== undefined) pools.set(family, parseNames(text, annotation));
  }
  return pools;
}

function parseNames(text: string, annotation: string): readonly string[] {
  const wrong = new Error(
    `Cannot read annotation ${annotation}: it is ${JSON.stringify(text)}; expected a JSON list of pool names such as ["blue"]`,
  );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong;
  }
  if (!Array.isArray(value) || !value.every((name) => typeof name === 'string')) throw wrong;
  return value as string[];
}
