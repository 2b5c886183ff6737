/**
 * Connects pods to the node and disconnects them: a veth pair whose far end is made directly in the pod's namespace,
 * addresses, routes, neighbours and sysctls (endpoint-layout.ts), all by netlink from this process; 0.7 ms a pod.
 *
 * Everything is idempotent and finds its state in the kernel, so a crash at any instant needs no repair but the same call
 * again. An interface is ours if its alias says so (endpoint-name.ts); any other interface is never touched: a taken name is
 * an error. Removal is two-phase: at once the interface goes down, which removes its routes, and into the group of the doomed;
 * its deletion, which blocks, happens in the background. If its name is wanted before that, it is renamed.
 *
 * Works in the namespace of the thread that makes it. Synchronous where the kernel is fast, so calls cannot interleave.
 * Does not choose addresses, program policy or remember anything.
 */
import {
  hostConf,
  POD_CONF,
  podSideRules,
  podTablesOf,
  writeHostSide,
  writeHostSysctls,
  writePodSide,
} from './endpoint-layout.js';
import {
  DOOMED_GROUP,
  doomedInterfaceName,
  type EndpointOwner,
  endpointOwnerOf,
  formatAlias,
  GATEWAY_MAC,
  isHostInterfaceName,
  ownerKey,
  ownerOfAlias,
} from './endpoint-name.js';
import { endpointOf, isPair, observeEndpoint, observeHostSide, sysctlProblems } from './endpoint-observation.js';
import { EndpointReaper } from './endpoint-reaper.js';
import { repairHostSide, repairIdentity, repairPodSide } from './endpoint-repair.js';
import { EndpointError, type Endpoint, type EndpointSpec, type PodNamespace } from './endpoint-spec.js';
import { closeFd } from './libc.js';
import { findLink, type Link, listLinks, writeLinkDeletion, writeLinkSettings, writeVeth } from './netlink/link.js';
import { findLinkWithConf, type ConfPlace, type LinkWithConf } from './netlink/link-conf.js';
import { NetlinkError } from './netlink/netlink-error.js';
import { netlinkMemory, NetlinkSocket } from './netlink/netlink-socket.js';
import { listRoutes } from './netlink/route-list.js';
import { writeSourceRule } from './netlink/rule.js';
import { inNamespace, NamespaceError, openNamespace } from './netns.js';
import { ensureSysctl, SysctlError } from './sysctl.js';

/** A host-side interface of ours, as found. */
export interface ObservedEndpoint {
  readonly hostInterface: string;
  readonly index: number;
  /** "<container id>/<pod interface>", comparable with `ownerKey`. */
  readonly owner: string;
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
}

export class EndpointPlumbing {
  private readonly socket: NetlinkSocket;
  private readonly reaper: EndpointReaper;
  /** Of the sockets in pods' namespaces, which live one after another. */
  private readonly podMemory = netlinkMemory();

  /** @param onReapFailure hears why retired interfaces remain; they are tried again. */
  constructor(onReapFailure: (error: Error) => void) {
    this.socket = new NetlinkSocket();
    this.reaper = new EndpointReaper(onReapFailure);
    // A predecessor may have died between retiring interfaces and deleting them.
    if (listLinks(this.socket, { kind: 'veth' }).some((link) => link.group === DOOMED_GROUP)) this.reaper.schedule();
  }

  /**
   * Connects the pod and returns how. If exactly this connection exists, it is left alone; an older one of the same pod, or
   * an incomplete one, is replaced. Throws EndpointError.
   */
  add(spec: EndpointSpec): Endpoint {
    return this.inPod(spec, (pod) => {
      const existing = findLink(this.socket, { name: spec.hostInterface });
      if (existing !== undefined) {
        this.expectOurs(existing, spec.label ?? '');
        if (!isDoomed(existing)) {
          const { problems, podEnd } = observeEndpoint(this.socket, spec, existing, pod);
          if (problems.length === 0 && podEnd !== undefined) return endpointOf(spec, existing, podEnd.link);
          this.doom(existing);
        }
        this.moveAside(existing);
      }
      return this.create(spec, pod);
    });
  }

  /**
   * Disconnects the pod: its interface is down and its routes are gone when this returns. Returns false if there is no
   * interface of that name, or it is not this owner's (a successor of the same name may have been connected already).
   */
  remove(key: EndpointOwner & { readonly hostInterface: string }): boolean {
    const link = findLink(this.socket, { name: key.hostInterface });
    if (link === undefined || isDoomed(link) || ownerOfAlias(link.alias) !== ownerKey(key)) return false;
    this.doom(link);
    return true;
  }

  /** Everything that is not as `add` would make it, as sentences; empty when all is well. */
  check(spec: EndpointSpec): readonly string[] {
    try {
      return this.inPod(spec, (pod) => {
        const link = findLink(this.socket, { name: spec.hostInterface });
        if (link === undefined || isDoomed(link)) return [`Interface "${spec.hostInterface}" does not exist`];
        const { problems } = observeEndpoint(this.socket, spec, link, pod);
        return [...problems, ...sysctlProblems(spec)];
      });
    } catch (error) {
      if (error instanceof EndpointError) return [error.message];
      throw error;
    }
  }

  /**
   * Puts right what is not as `add` made it, in place; returns what was wrong, empty when all was well. A connection that is not there any
   * more is made anew, unless the pod's namespace has gone too: then nothing is wrong that could be put right. Throws EndpointError.
   */
  repair(spec: EndpointSpec): readonly string[] {
    try {
      return this.inPod(spec, (pod) => this.repairWith(spec, pod));
    } catch (error) {
      if (error instanceof EndpointError && error.reason === 'namespace-gone') return this.repairWith(spec, undefined);
      throw asEndpointError(spec, error);
    }
  }

  private repairWith(spec: EndpointSpec, pod: PodNamespace | undefined): readonly string[] {
    const found = this.findOurs(spec, pod);
    if (found === undefined) {
      // A path of /proc may be another process's by now, and its namespace no pod's.
      if (pod === undefined || spec.netns.startsWith('/proc/')) return [];
      const taken = findLink(this.socket, { name: spec.hostInterface });
      if (taken !== undefined) {
        this.expectOurs(taken, spec.label ?? '');
        this.moveAside(taken);
      }
      this.create(spec, pod);
      return [`Interface "${spec.hostInterface}" does not exist`];
    }
    const name =
      found.name === spec.hostInterface ? [] : [`Interface "${spec.hostInterface}" is named "${found.name}"`];
    const mark = ownerOfAlias(found.alias) === ownerKey(spec) ? [] : [`Interface "${found.name}" has lost its alias`];
    repairIdentity(this.socket, spec, found);
    const link = findLink(this.socket, { index: found.index });
    if (link === undefined) return [];
    const { problems, podEnd } =
      pod === undefined
        ? { problems: observeHostSide(this.socket, spec, link), podEnd: undefined }
        : observeEndpoint(this.socket, spec, link, pod);
    const all = [...name, ...mark, ...problems, ...sysctlProblems(spec)];
    if (all.length === 0) return [];
    repairHostSide(this.socket, spec, link, podEnd?.link.mtu);
    if (pod !== undefined) repairPodSide(this.socket, spec, link, pod);
    return all;
  }

  /** The node's side by its mark, whatever its name; or by its name and its other end, when the mark is lost. */
  private findOurs(spec: EndpointSpec, pod: PodNamespace | undefined): Link | undefined {
    const named = findLink(this.socket, { name: spec.hostInterface });
    const key = ownerKey(spec);
    if (named !== undefined && !isDoomed(named)) {
      if (ownerOfAlias(named.alias) === key) return named;
      const end = pod === undefined ? undefined : findLink(pod.socket, { name: spec.podInterface });
      if (named.alias === undefined && end !== undefined && isPair(named, end)) return named;
    }
    // A sandbox that has gone took its interface along, whatever its name: not worth a look at all of them, again and again.
    if (pod === undefined) return undefined;
    return listLinks(this.socket, { kind: 'veth' }).find((link) => ownerOfAlias(link.alias) === key && !isDoomed(link));
  }

  /** Every connected pod's host side. */
  list(): readonly ObservedEndpoint[] {
    return listLinks(this.socket, { kind: 'veth' }).flatMap((link) => {
      const owner = ownerOfAlias(link.alias);
      if (owner === undefined || isDoomed(link) || !isHostInterfaceName(link.name)) return [];
      return [{ hostInterface: link.name, index: link.index, owner, isUp: link.isUp, hasCarrier: link.hasCarrier }];
    });
  }

  /** Resolves when everything removed so far is deleted (or could not be, and was reported). */
  drain(): Promise<void> {
    return this.reaper.drain();
  }

  async close(): Promise<void> {
    await this.reaper.close();
    this.socket.close();
  }

  /** Is there a network namespace at this path? */
  hasNamespace(netns: string): boolean {
    try {
      closeFd(openNamespace(netns));
      return true;
    } catch (error) {
      if (error instanceof NamespaceError) return false;
      throw error;
    }
  }

  /** Runs a task with the pod's namespace open and a netlink socket in it. */
  private inPod<T>(spec: EndpointSpec, task: (pod: PodNamespace) => T): T {
    let fd: number;
    try {
      fd = openNamespace(spec.netns);
    } catch (error) {
      if (!(error instanceof NamespaceError)) throw error;
      throw new EndpointError('namespace-gone', error.message, { cause: error });
    }
    try {
      const socket = inNamespace(
        fd,
        () => new NetlinkSocket({ receiveBufferSize: POD_RECEIVE_BUFFER, memory: this.podMemory }),
      );
      try {
        return task({ fd, socket });
      } finally {
        socket.close();
      }
    } finally {
      closeFd(fd);
    }
  }

  /** An interface of this very pod, from before: what another pod lives on is never replaced. */
  private expectOurs(link: Link, label: string): void {
    const owner = endpointOwnerOf(link.alias);
    if (owner !== undefined && (isDoomed(link) || link.alias === formatAlias(owner, label))) return;
    const whose =
      owner === undefined ? 'is not Tortie\'s (no alias "tortie:...")' : `has the alias "${link.alias ?? ''}"`;
    throw new EndpointError(
      'name-taken',
      `Cannot use "${link.name}" for pod "${label}": an interface of that name exists and ${whose}`,
    );
  }

  private create(spec: EndpointSpec, pod: PodNamespace): Endpoint {
    this.createPair(spec, pod);
    try {
      const host = expectLink(this.socket, spec.hostInterface, hostConf);
      const end = expectLink(pod.socket, spec.podInterface, POD_CONF);
      const podIndex = end.index;
      writeHostSysctls(spec.hostInterface, spec.addresses, host.conf);
      if (end.conf[0] !== 0 && spec.addresses.some((address) => address.family === 6))
        inNamespace(pod.fd, () => ensureSysctl(['net', 'ipv6', 'conf', spec.podInterface, 'disable_ipv6'], 0));
      const tables = podTablesOf(podIndex, listRoutes(pod.socket));
      pod.socket.batch.clear();
      writePodSide(pod.socket.batch, podIndex, spec.addresses, tables);
      pod.socket.request(pod.socket.batch);
      for (const rule of podSideRules(spec.addresses, tables)) {
        pod.socket.batch.clear();
        writeSourceRule(pod.socket.batch, rule);
        tolerate(pod.socket, 'EEXIST');
      }
      this.socket.batch.clear();
      writeHostSide(this.socket.batch, host.index, spec.addresses);
      tolerate(this.socket, 'ESRCH');
      return endpointOf(spec, host, end);
    } catch (error) {
      this.abandon(spec.hostInterface);
      throw asEndpointError(spec, error);
    }
  }

  private createPair(spec: EndpointSpec, pod: PodNamespace): void {
    let failure = this.tryCreatePair(spec, pod);
    if (failure?.code === 'EEXIST') {
      this.clearPodSide(spec, pod);
      failure = this.tryCreatePair(spec, pod);
    }
    if (failure !== undefined) throw asEndpointError(spec, failure);
  }

  /** Creation and mark of ownership travel in one send: there is no instant at which a crash would leave an unmarked pair. */
  private tryCreatePair(spec: EndpointSpec, pod: PodNamespace): NetlinkError | undefined {
    const { batch } = this.socket;
    const { mtu } = spec;
    batch.clear();
    writeVeth(batch, {
      name: spec.hostInterface,
      mac: GATEWAY_MAC,
      mtu,
      peer: { name: spec.podInterface, namespaceFd: pod.fd, mtu },
    });
    writeLinkSettings(batch, { name: spec.hostInterface }, { alias: formatAlias(spec, spec.label ?? '') });
    return this.socket.transact(batch)[0]?.error;
  }

  /** Makes room for the pod-side name, if what has it is the far end of an interface that waits for its deletion. */
  private clearPodSide(spec: EndpointSpec, pod: PodNamespace): void {
    const link = findLink(pod.socket, { name: spec.podInterface });
    if (link === undefined) return;
    const far =
      link.kind === 'veth' && link.peerIndex !== undefined
        ? findLink(this.socket, { index: link.peerIndex })
        : undefined;
    if (far === undefined || far.peerIndex !== link.index || !isDoomed(far))
      throw new EndpointError(
        'name-taken',
        `Cannot create "${spec.podInterface}" in ${spec.netns}: the namespace has an interface of that name, which is not Tortie's`,
      );
    this.socket.batch.clear();
    writeLinkDeletion(this.socket.batch, { index: far.index });
    tolerate(this.socket, 'ENODEV');
  }

  /** Takes an interface out of use at once; the reaper deletes it. */
  private doom(link: Link): void {
    const { batch } = this.socket;
    batch.clear();
    writeLinkSettings(batch, { index: link.index }, { isUp: false, group: DOOMED_GROUP });
    // ENODEV: the pod's namespace is being dismantled and took the pair with it.
    tolerate(this.socket, 'ENODEV');
    this.reaper.schedule();
  }

  /** Frees the name of a doomed interface for a successor that cannot wait for its deletion. */
  private moveAside(link: Link): void {
    this.socket.batch.clear();
    writeLinkSettings(this.socket.batch, { index: link.index }, { name: doomedInterfaceName(link.index) });
    tolerate(this.socket, 'ENODEV');
  }

  /** After a failed `create`: what it made must not stay, and why it failed must not be covered up. */
  private abandon(hostInterface: string): void {
    const link = findLink(this.socket, { name: hostInterface });
    if (link !== undefined) this.doom(link);
  }
}

/** Retired, and waiting for its deletion. */
const isDoomed = (link: Link): boolean => link.group === DOOMED_GROUP && ownerOfAlias(link.alias) !== undefined;

/** A pod's tables are tiny; what its sockets hold counts at a hundred pods at once. */
const POD_RECEIVE_BUFFER = 256 * 1024;

/** Sends the socket's batch; refusals with this code are what the caller expects. */
function tolerate(socket: NetlinkSocket, code: string): void {
  const failure = socket.transact(socket.batch).find((refusal) => refusal.code !== code);
  if (failure !== undefined) throw failure.error;
}

function expectLink(socket: NetlinkSocket, name: string, conf: readonly ConfPlace[]): LinkWithConf {
  const link = findLinkWithConf(socket, { name }, conf);
  if (link === undefined)
    throw new EndpointError('kernel', `Interface "${name}" vanished while its pod was being connected`);
  return link;
}

function asEndpointError(spec: EndpointSpec, error: unknown): unknown {
  if (!(error instanceof NetlinkError) && !(error instanceof SysctlError) && !(error instanceof NamespaceError))
    return error;
  return new EndpointError('kernel', `Cannot connect the pod in ${spec.netns}: ${error.message}`, { cause: error });
}
