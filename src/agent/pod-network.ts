/**
 * A pod's network on this node, from nothing to its first packet and back: the order that every CNI call follows.
 *
 *   ADD   whose call is it -> address -> journal on disk, and beside it policy in the kernel -> veth, routes -> answer
 *   DEL   veth gone -> policy gone -> address to rest (journal) -> answer; its connections are forgotten behind that
 *
 * Policy goes first: when the veth comes up its chain is there, so there is no moment in which a new pod is open, and an
 * interface that nothing knows is dropped. Whatever fails is undone in reverse and the call fails closed.
 *
 * An attachment is one interface of one sandbox in one network, as the CNI specification has it; no call touches another's. A pod's
 * sandboxes follow one another: the one whose pod has the UID of the API object is current (pod-identity.ts), and a new one takes the place
 * of its predecessor, never of its successor. All interfaces of the current sandbox are one endpoint to the policy engine.
 *
 * The allocator's journal is the one record of who lives here; after a restart everything else is derived from it. Calls for one
 * pod run one after another, calls for different pods side by side.
 */
import type { Allocator, Attachment, Keep, Owner, OwnerHostPort } from '@tortie/ipam';
import type { EndpointState, PolicyEvent } from '@tortie/policy';
import type { Namespace, Pod } from '../api/core.js';
import type { Logger } from '../log.js';
import type { EndpointCheck, EndpointDataplane, EndpointRequest, PlumbedEndpoint } from './endpoint-dataplane.js';
import { FormerSandboxes } from './former-sandboxes.js';
import { KeyedQueue } from './keyed-queue.js';
import { awaitPod, FormerPodError, isPodOf, TryAgainError, type PodIdentityOptions } from './pod-identity.js';
import type { NetfilterFailure } from './policy-loop.js';
import { addressesAskedFor, type AddressRequest } from './pool-annotations.js';

export interface PodRequest extends Attachment {
  readonly netns: string;
  readonly namespace: string;
  readonly pod: string;
  /** K8S_POD_UID. */
  readonly uid?: string;
  readonly mtu?: number;
  /** Ports of the node that are to lead to it. */
  readonly hostPorts?: readonly OwnerHostPort[];
  /** Aborted when nobody will read the answer. */
  readonly signal?: AbortSignal;
  /** Hears what the call waits for now, as what follows "waits for". */
  readonly onWait?: (what: string) => void;
}

/** What DEL says. The pod's name is there when the runtime still knows it. */
export interface RemoveRequest extends Attachment {
  readonly namespace?: string;
  readonly pod?: string;
}

export interface PodNetworkOptions extends PodIdentityOptions {
  readonly allocator: Allocator;
  /** `onTaken` hears when the addresses are chosen; they are on disk when the promise resolves. */
  readonly assign: (owner: Owner, request: AddressRequest, onTaken: () => void) => Promise<readonly string[]>;
  /** May pods name addresses past the account of who has them (ipAddrsNoIpam)? Default false. */
  readonly mayBypassIpam?: boolean;
  readonly namespace: (name: string) => Namespace | undefined;
  /** What the addresses of a pod's interface are kept as when it goes. @throws Error that names the annotation */
  readonly keepOf?: (pod: Pod, namespace: Namespace, interfaceName: string) => Keep | undefined;
  readonly dataplane: EndpointDataplane;
  readonly policy: { take(event: PolicyEvent): void; settled(): Promise<readonly NetfilterFailure[]> };
  /** Those refusals of the kernel that concern one endpoint. */
  readonly concerning: (hostInterface: string, failures: readonly NetfilterFailure[]) => readonly NetfilterFailure[];
  /** Connections of an address are forgotten before it changes hands. */
  readonly connections: {
    mark(addresses: Iterable<string>): void;
    ensure(addresses: readonly string[]): Promise<void>;
  };
  /** Of interfaces whose network configuration names none, in octets; undefined: the kernel's default. */
  readonly mtu: () => number | undefined;
  readonly endpointState: (namespace: string, pod: string) => EndpointState;
  /** Resolves when the kernel translates as the local endpoints ask, with what it refuses. */
  readonly translated?: () => Promise<readonly NetfilterFailure[]>;
  readonly log: Logger;
  /** The set of local endpoints changed. */
  readonly onChange: () => void;
}

/** The attachment that a call names is another pod's, or its interface another network's. */
export class ForeignAttachmentError extends Error {
  override readonly name = 'ForeignAttachmentError';
}

/** How long an ADD waits for the kernel to take its policy. */
const POLICY_WAIT = 10_000;

const NAMESPACE_WAIT = 5_000;

/** The name that every pod's first interface has, whatever order its attachments are listed in. */
const FIRST_INTERFACE = 'eth0';

export class PodNetwork {
  private readonly queue = new KeyedQueue();
  private readonly former = new FormerSandboxes();
  private readonly hostInterfaces = new WeakMap<Owner, string>();

  constructor(private readonly options: PodNetworkOptions) {}

  /** Tells the policy engine of everybody who lives here; call once, before the first write to the kernel. */
  restore(): void {
    const pods = new Map(this.options.allocator.owners().map(({ owner }) => [podKey(owner), owner]));
    for (const { namespace, pod } of pods.values()) this.announce(namespace, pod);
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
    return this.options.allocator
      .owners()
      .map(({ owner, addresses }) => ({ owner, addresses, hostInterface: this.hostInterfaceOf(owner) }));
  }

  /** @throws TryAgainError, FormerPodError, ForeignAttachmentError, NoAddressError, or what the kernel said */
  add(request: PodRequest): Promise<{ readonly addresses: readonly string[]; readonly endpoint: PlumbedEndpoint }> {
    const waitsFor = request.onWait ?? (() => undefined);
    waitsFor('another call about the pod');
    return this.queue.run(podKey(request), async () => {
      waitsFor('the API server to tell this node of the pod');
      const pod = await awaitPod(request, this.options);
      this.expectCurrent(request, pod);
      waitsFor('its former sandbox to be taken down');
      await this.removePredecessors(request);
      waitsFor('the API server to tell this node of its namespace');
      const known = await this.amended(request);
      const namespace = await this.namespaceOf(request);
      const asked = addressesAskedFor(pod, namespace, this.options.mayBypassIpam);
      const owner = known ?? this.newOwner(request, pod, asked.withoutIpam === undefined ? namespace : undefined);
      let enforced: Promise<void> | undefined;
      const enforce = (): void => {
        this.announce(request.namespace, request.pod);
        enforced = this.awaitPolicy(request, this.hostInterfaceOf(owner));
        // Awaited below, if the addresses get to the disk.
        enforced.catch(() => undefined);
      };
      try {
        waitsFor('an address');
        const addresses = await this.options.assign(owner, asked, enforce);
        this.former.delete(request.containerId);
        if (enforced === undefined) enforce();
        waitsFor('the kernel to take its policy');
        await enforced;
        waitsFor('the kernel to connect it');
        if (known === undefined) await this.options.connections.ensure(addresses);
        // An interface that stands keeps what it has: another MTU is no reason to take a running pod's network down.
        const mtu = request.mtu ?? owner.mtu;
        const endpoint = await this.options.dataplane.plumb(
          this.endpointRequest({ ...request, ...(mtu === undefined ? {} : { mtu }) }, owner, addresses),
        );
        this.options.onChange();
        waitsFor('the kernel to take its host ports');
        if (owner.hostPorts !== undefined) await this.awaitTranslation(request);
        return { addresses, endpoint };
      } catch (error) {
        if (known === undefined && enforced !== undefined) await this.undo(request);
        throw error;
      }
    });
  }

  /** Never fails for something unknown. Returns who was detached. */
  async remove(request: RemoveRequest): Promise<Owner | undefined> {
    const owner = this.options.allocator.ownerOf(request);
    if (owner === undefined || isOfAnother(owner, request)) return undefined;
    await this.queue.run(podKey(owner), () => this.removeOwner(owner));
    return owner;
  }

  /** What is wrong with an attachment that ADD made; no problems when all is well. */
  async check(request: PodRequest): Promise<EndpointCheck & { readonly addresses: readonly string[] }> {
    const owner = this.options.allocator.ownerOf(request);
    if (owner === undefined || isOfAnother(owner, request))
      return {
        addresses: [],
        endpoint: undefined,
        problems: [
          `container "${request.containerId}" of pod "${podKey(request)}" has no interface ` +
            `"${request.interfaceName}" in network "${request.network}" here`,
        ],
      };
    const addresses = this.options.allocator.addressesOfOwner(request);
    const { problems, endpoint } = await this.options.dataplane.check(this.endpointRequest(request, owner, addresses));
    const state = this.options.endpointState(request.namespace, request.pod);
    return {
      addresses,
      endpoint,
      problems: state === 'no-endpoint' ? [`policy does not know pod "${podKey(request)}"`, ...problems] : problems,
    };
  }

  /** Removes every attachment of the network that is not in the list, as CNI GC asks. Returns how many. */
  async collect(
    network: string,
    valid: readonly { readonly containerId: string; readonly interfaceName: string }[],
  ): Promise<number> {
    const keep = new Set(valid.map((attachment) => `${attachment.containerId}/${attachment.interfaceName}`));
    const stale = this.options.allocator
      .owners()
      .filter(({ owner }) => owner.network === network && !keep.has(`${owner.containerId}/${owner.interfaceName}`));
    for (const { owner } of stale) await this.release(owner);
    return stale.length;
  }

  /** Every connection that can be looked at, as it was asked for. Journals of before do not say where the namespace is. */
  connections(): readonly { readonly owner: Owner; readonly request: EndpointRequest }[] {
    return this.options.allocator.owners().flatMap(({ owner, addresses }) => {
      const { netns } = owner;
      return netns === undefined
        ? []
        : [{ owner, request: this.endpointRequest({ ...owner, netns }, owner, addresses) }];
    });
  }

  /** Puts a connection right, in its pod's turn; says what was wrong. */
  repair(owner: Owner, request: EndpointRequest): Promise<readonly string[]> {
    return this.queue.run(podKey(owner), async () =>
      this.options.allocator.ownerOf(owner) === undefined ? [] : this.options.dataplane.repair(request),
    );
  }

  /** Detaches one of `owners()`, in its pod's turn. */
  release(owner: Owner): Promise<void> {
    return this.queue.run(podKey(owner), () => this.removeOwner(owner));
  }

  /** Is this call about what is current? Touches nothing. */
  private expectCurrent(request: PodRequest, pod: Pod): void {
    const { containerId, interfaceName, network, netns } = request;
    const key = podKey(request);
    if (request.signal?.aborted === true)
      throw new TryAgainError(`Cannot attach pod "${key}": whoever asked for it has gone away`);
    for (const { owner } of this.options.allocator.owners()) {
      const isSameInterface = owner.containerId === containerId && owner.interfaceName === interfaceName;
      if (isSameInterface && !isSamePod(owner, request))
        throw new ForeignAttachmentError(
          `Cannot attach interface "${interfaceName}" of container "${containerId}" for pod "${key}": ` +
            `it is pod "${podKey(owner)}"'s`,
        );
      if (isSameInterface && owner.network !== network)
        throw new ForeignAttachmentError(
          `Cannot attach interface "${interfaceName}" of container "${containerId}" to network "${network}": ` +
            `network "${owner.network}" has it already`,
        );
      const isSuccessor = isSamePod(owner, request) && owner.containerId !== containerId && isPodOf(pod, owner.uid);
      if (isSuccessor && this.former.has(containerId))
        throw new FormerPodError(
          `Cannot attach container "${containerId}" of pod "${key}": container "${owner.containerId}" has taken its place`,
        );
    }
    if (!this.options.dataplane.hasNamespace(netns))
      throw new FormerPodError(`Cannot attach pod "${key}": there is no network namespace at "${netns}"`);
  }

  /** The runtime replaced a sandbox and its DEL has not come yet: the name of the veth is the pod's, so the old one goes first. */
  private async removePredecessors(request: PodRequest): Promise<void> {
    for (const { owner } of this.options.allocator.owners())
      if (isSamePod(owner, request) && owner.containerId !== request.containerId) await this.removeOwner(owner);
  }

  /** Whoever the attachment has, with what this call says of it; an interface that stands keeps the rest. */
  private async amended({ netns, hostPorts = [], ...attachment }: PodRequest): Promise<Owner | undefined> {
    const { allocator } = this.options;
    const known = allocator.ownerOf(attachment);
    if (known === undefined) return undefined;
    const isSamePorts = JSON.stringify(known.hostPorts ?? []) === JSON.stringify(hostPorts);
    if (isSamePorts && known.netns === netns) return known;
    const { hostPorts: _before, ...rest } = known;
    const owner = { ...rest, netns, ...(hostPorts.length === 0 ? {} : { hostPorts }) };
    await allocator.amend(owner);
    return owner;
  }

  /** @param namespace undefined: the pod's addresses are of nobody's account, and are not kept */
  private newOwner(request: PodRequest, pod: Pod, namespace: Namespace | undefined): Owner {
    const { network, containerId, interfaceName, netns, mtu = this.options.mtu() } = request;
    const { uid } = pod.metadata;
    const hostInterface = this.freeInterfaceName(request);
    const keep = namespace && this.options.keepOf?.(pod, namespace, interfaceName);
    return {
      network,
      containerId,
      interfaceName,
      namespace: request.namespace,
      pod: request.pod,
      netns,
      ...(mtu === undefined ? {} : { mtu }),
      ...(uid === undefined ? {} : { uid }),
      ...(hostInterface === undefined ? {} : { hostInterface }),
      ...(request.hostPorts === undefined || request.hostPorts.length === 0 ? {} : { hostPorts: request.hostPorts }),
      ...(keep === undefined ? {} : { keep }),
    };
  }

  /** Two pods' names may have the same hash, by chance or on purpose: the second gets another name. Undefined: the usual one is free. */
  private freeInterfaceName({ namespace, pod, interfaceName }: PodRequest): string | undefined {
    const owners = this.options.allocator.owners();
    for (let attempt = 0; ; attempt++) {
      const name = this.options.dataplane.interfaceName(namespace, pod, interfaceName, attempt);
      const isTaken = owners.some(({ owner }) => this.hostInterfaceOf(owner) === name);
      if (!isTaken) return attempt === 0 ? undefined : name;
    }
  }

  /** Each call asks for everybody's, and a name is a hash. */
  private hostInterfaceOf(owner: Owner): string {
    const { hostInterface, namespace, pod, interfaceName } = owner;
    if (hostInterface !== undefined) return hostInterface;
    const known = this.hostInterfaces.get(owner);
    const name = known ?? this.options.dataplane.interfaceName(namespace, pod, interfaceName, 0);
    if (known === undefined) this.hostInterfaces.set(owner, name);
    return name;
  }

  private endpointRequest(request: PodRequest, owner: Owner, addresses: readonly string[]): EndpointRequest {
    const { containerId, namespace, pod, netns, interfaceName, mtu } = request;
    const hostInterface = this.hostInterfaceOf(owner);
    return {
      containerId,
      namespace,
      pod,
      netns,
      interfaceName,
      hostInterface,
      addresses,
      ...(mtu === undefined ? {} : { mtu }),
    };
  }

  private async removeOwner(owner: Owner): Promise<void> {
    const { allocator, connections, dataplane } = this.options;
    if (allocator.ownerOf(owner) === undefined) return;
    await dataplane.unplumb(owner, this.hostInterfaceOf(owner));
    this.announce(owner.namespace, owner.pod, owner);
    this.former.add(owner.containerId);
    connections.mark(await allocator.release(owner));
    this.options.onChange();
  }

  private async undo(request: PodRequest): Promise<void> {
    const owner = this.options.allocator.ownerOf(request);
    // Its addresses did not get to the disk: nobody has them, so nobody's policy stays.
    if (owner === undefined) return this.announce(request.namespace, request.pod);
    try {
      await this.removeOwner(owner);
    } catch (error) {
      // The address stays with its owner: the runtime sends DEL for a failed ADD, and that tries again.
      this.options.log.error({ pod: podKey(request), err: error }, 'Cannot undo a failed ADD; waiting for its DEL');
    } finally {
      // A failed ADD may be repeated.
      this.former.delete(request.containerId);
    }
  }

  /** Tells the policy engine of all interfaces that a pod has here, but for the one that is leaving. */
  private announce(namespace: string, name: string, leaving?: Attachment): void {
    const attached = this.options.allocator
      .owners()
      .filter(({ owner }) => isSamePod(owner, { namespace, pod: name }) && !isSame(owner, leaving))
      .sort((a, b) => order(a.owner) - order(b.owner));
    const [first] = attached;
    if (first === undefined) return this.options.policy.take({ type: 'endpoint-delete', namespace, name });
    const [hostInterface = '', ...furtherInterfaces] = attached.map(({ owner }) => this.hostInterfaceOf(owner));
    const { uid } = first.owner;
    this.options.policy.take({
      type: 'endpoint-upsert',
      endpoint: {
        namespace,
        name,
        interface: hostInterface,
        ...(furtherInterfaces.length === 0 ? {} : { furtherInterfaces }),
        addresses: attached.flatMap(({ addresses }) => addresses),
        ...(uid === undefined ? {} : { uid }),
      },
    });
  }

  /** Its labels and annotations say which pools serve the pod, so none of them may be missed. */
  private async namespaceOf({ namespace, pod }: PodRequest): Promise<Namespace> {
    const until = Date.now() + NAMESPACE_WAIT;
    for (;;) {
      const found = this.options.namespace(namespace);
      if (found !== undefined) return found;
      const left = until - Date.now();
      if (left <= 0)
        throw new TryAgainError(
          `Cannot attach pod "${namespace}/${pod}": the API server has not told this node of namespace "${namespace}" ` +
            `within ${NAMESPACE_WAIT / 1000} s`,
        );
      await this.options.nextChange(left);
    }
  }

  private async awaitTranslation({ namespace, pod }: PodRequest): Promise<void> {
    const [failure] = (await this.options.translated?.()) ?? [];
    if (failure !== undefined)
      throw new TryAgainError(
        `Cannot attach pod "${namespace}/${pod}": the kernel does not take its host ports: ${failure.message}`,
      );
  }

  private async awaitPolicy({ namespace, pod }: PodRequest, hostInterface: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), POLICY_WAIT).unref();
    });
    const refused = await Promise.race([this.options.policy.settled(), late]).finally(() => clearTimeout(timer));
    if (refused === undefined)
      throw new TryAgainError(
        `Cannot attach pod "${namespace}/${pod}": the kernel has not taken its policy within ${POLICY_WAIT / 1000} s`,
      );
    const [failure] = this.options.concerning(hostInterface, refused);
    if (failure !== undefined)
      throw new TryAgainError(
        `Cannot attach pod "${namespace}/${pod}": the kernel does not take its policy: ${failure.message}`,
      );
    const state = this.options.endpointState(namespace, pod);
    if (state === 'pod-unknown' || state === 'namespace-unknown')
      throw new TryAgainError(`Cannot attach pod "${namespace}/${pod}": its policy is not known yet (${state})`);
  }
}

interface PodName {
  readonly namespace: string;
  readonly pod: string;
}

const podKey = (pod: PodName): string => `${pod.namespace}/${pod.pod}`;

const isSamePod = (a: PodName, b: PodName): boolean => a.pod === b.pod && a.namespace === b.namespace;

const order = ({ interfaceName }: Owner): number => (interfaceName === FIRST_INTERFACE ? 0 : 1);

const isSame = (a: Attachment, b: Attachment | undefined): boolean =>
  b !== undefined && a.network === b.network && a.containerId === b.containerId && a.interfaceName === b.interfaceName;

/** A call that names another pod than the attachment's is about something else, whatever the container's id says. */
const isOfAnother = (
  owner: Owner,
  { namespace, pod }: { readonly namespace?: string; readonly pod?: string },
): boolean => (namespace !== undefined && namespace !== owner.namespace) || (pod !== undefined && pod !== owner.pod);
