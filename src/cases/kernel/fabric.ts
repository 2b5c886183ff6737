/**
 * What connects the hosts of a case: one namespace that routes between them, a veth to each host (a node or an external), and a
 * host route for every address. Hosts are unnumbered: their own addresses are on `lo`, links have link-local ones only, so a case may give
 * its nodes any addresses.
 *
 *    host  lo: own addresses   up0: 169.254.7.2, fe80::2 ---- h<i>: 169.254.7.1, fe80::1  fabric
 */
import { hostPrefix, parseAddress, type Family, type IpAddress, type IpPrefix } from 'node-bgp/address';
import { writeInterfaceAddress, writeInterfaceAddressDeletion } from '../../dataplane/netlink/interface-address.js';
import { findLink, writeLinkDeletion, writeLinkSettings, writeVeth } from '../../dataplane/netlink/link.js';
import { NetlinkSocket } from '../../dataplane/netlink/netlink-socket.js';
import type { RouteChange } from '../../dataplane/netlink/route.js';
import { applyRouteChanges } from '../../dataplane/netlink/route-change.js';
import { inNamespace, openNamespace } from '../../dataplane/netns.js';
import { closeFd } from '../../dataplane/libc.js';
import { enableForwarding } from '../../dataplane/forwarding.js';
import { writeSysctl } from '../../dataplane/sysctl.js';
import { namespacePath } from './namespaces.js';

const NEAR: Readonly<Record<Family, IpAddress>> = { 4: parseAddress('169.254.7.1'), 6: parseAddress('fe80::1') };
const FAR: Readonly<Record<Family, IpAddress>> = { 4: parseAddress('169.254.7.2'), 6: parseAddress('fe80::2') };
const EVERYTHING: Readonly<Record<Family, IpPrefix>> = {
  4: { family: 4, value: 0n, length: 0 },
  6: { family: 6, value: 0n, length: 0 },
};
const LOOPBACK = 1;
/** "boot", as `ip route` writes it: nothing of Tortie's. */
const PROTOCOL = 3;

/** A namespace that hangs on the fabric. */
export interface Host {
  readonly namespace: string;
  readonly addresses: readonly IpAddress[];
  /** Of the fabric's end of its link. */
  readonly port: number;
}

export class Fabric {
  private readonly socket: NetlinkSocket;
  private ports = 0;

  constructor(namespace: string) {
    this.socket = inNamespace(namespacePath(namespace), () => {
      enableForwarding();
      quietNamespace();
      return new NetlinkSocket();
    });
    bringUpLoopback(this.socket);
  }

  /** Gives a namespace these addresses and connects it. */
  attach(namespace: string, addresses: readonly IpAddress[], isRouter: boolean): Host {
    const name = `h${this.ports++}`;
    const fd = openNamespace(namespacePath(namespace));
    try {
      const far = inNamespace(fd, () => {
        if (isRouter) enableForwarding();
        quietNamespace();
        return new NetlinkSocket();
      });
      const { batch } = this.socket;
      batch.clear();
      writeVeth(batch, { name, peer: { name: 'up0', namespaceFd: fd } });
      this.socket.request(batch);
      const port = configureEnd(this.socket, name, NEAR);
      bringUpLoopback(far);
      const up = configureEnd(far, 'up0', FAR);
      far.batch.clear();
      for (const address of addresses) writeInterfaceAddress(far.batch, { interfaceIndex: LOOPBACK, address });
      far.request(far.batch);
      changeRoutes(
        far,
        ([4, 6] as const).map((family) => defaultRoute(family, up)),
      );
      far.close();
      const host: Host = { namespace, addresses, port };
      this.route(host, addresses, 'replace');
      return host;
    } finally {
      closeFd(fd);
    }
  }

  /** Takes addresses and link away; the namespace can be used for something else. */
  detach(host: Host): void {
    this.socket.batch.clear();
    writeLinkDeletion(this.socket.batch, { index: host.port });
    this.socket.request(this.socket.batch);
    const far = inNamespace(namespacePath(host.namespace), () => new NetlinkSocket());
    far.batch.clear();
    for (const address of host.addresses)
      writeInterfaceAddressDeletion(far.batch, { interfaceIndex: LOOPBACK, address });
    far.request(far.batch);
    far.close();
  }

  /** Leads addresses of pods (or a host's own) to a host, or no longer. */
  route(host: Host, addresses: readonly IpAddress[], type: 'replace' | 'delete'): void {
    const changes = addresses.map(
      (address): RouteChange => ({
        type,
        route: {
          prefix: hostPrefix(address),
          protocol: PROTOCOL,
          nextHops: [{ via: FAR[address.family], interfaceIndex: host.port, isOnlink: true }],
        },
      }),
    );
    // A deletion that finds nothing lost a race with a successor of the address: the route is the successor's now.
    const failures = applyRouteChanges(this.socket, changes).filter(
      (failure) => type !== 'delete' || failure.error.code !== 'ESRCH',
    );
    if (failures[0] !== undefined) throw failures[0].error;
  }

  close(): void {
    this.socket.close();
  }
}

function defaultRoute(family: Family, interfaceIndex: number): RouteChange {
  return {
    type: 'replace',
    route: {
      prefix: EVERYTHING[family],
      protocol: PROTOCOL,
      nextHops: [{ via: NEAR[family], interfaceIndex, isOnlink: true }],
    },
  };
}

/** Reverse-path checks of the machine the tests run on are not part of a case; duplicate address detection only delays it. */
function quietNamespace(): void {
  for (const which of ['all', 'default']) writeSysctl(['net', 'ipv4', 'conf', which, 'rp_filter'], 0);
  writeSysctl(['net', 'ipv6', 'conf', 'default', 'accept_dad'], 0);
  writeSysctl(['net', 'ipv6', 'conf', 'default', 'accept_ra'], 0);
}

function bringUpLoopback(socket: NetlinkSocket): void {
  socket.batch.clear();
  writeLinkSettings(socket.batch, { index: LOOPBACK }, { isUp: true });
  socket.request(socket.batch);
}

/** Up, with its link-local addresses; returns the index. */
function configureEnd(socket: NetlinkSocket, name: string, addresses: Readonly<Record<Family, IpAddress>>): number {
  const link = findLink(socket, { name });
  if (link === undefined) throw new Error(`Interface "${name}" vanished while the fabric was being built`);
  const { batch } = socket;
  batch.clear();
  writeLinkSettings(batch, { index: link.index }, { isUp: true });
  writeInterfaceAddress(batch, { interfaceIndex: link.index, address: addresses[4] });
  writeInterfaceAddress(batch, { interfaceIndex: link.index, address: addresses[6], prefixLength: 64 });
  socket.request(batch);
  return link.index;
}

function changeRoutes(socket: NetlinkSocket, changes: readonly RouteChange[]): void {
  const [failure] = applyRouteChanges(socket, changes);
  if (failure !== undefined) throw failure.error;
}
