/**
 * Which tracked UDP and SCTP connections stop being right when endpoints change. A frontend's allowed servers are its serving
 * endpoints, whatever policy or topology would choose now: a flow that has an endpoint keeps it as long as that serves (as TCP does).
 *
 * Only frontends that lost a server, went away, or got their first one since the last drain are of interest, so that the table of
 * connections is walked when there is something to find and no entry of anything else is touched.
 */
export interface StaleDatagrams {
  /** Servers by frontend; those that went away have none. */
  readonly frontends: ReadonlyMap<string, AllowedServers>;
}

export interface AllowedServers {
  /** "10.65.0.1,8080" */
  readonly servers: ReadonlySet<string>;
  /** Nobody's any more: what went through untranslated is not ours to judge. */
  readonly isGone: boolean;
}

/** One tracked connection; addresses are canonical text. */
export interface Datagrams {
  readonly family: 4 | 6;
  readonly protocol: 'udp' | 'sctp';
  readonly destination: string;
  readonly destinationPort: number;
  readonly server: string;
  readonly serverPort: number;
}

const NOBODY: ReadonlySet<string> = new Set();

export class DatagramFrontends {
  /** BOUNDED by the UDP and SCTP frontends of the cluster. */
  private readonly allowed = new Map<string, ReadonlySet<string>>();
  private readonly changed = new Set<string>();

  /** `servers`: undefined when the frontend is nobody's. */
  set(key: string, servers: ReadonlySet<string> | undefined): void {
    const before = this.allowed.get(key);
    if (servers === undefined) {
      if (this.allowed.delete(key)) this.changed.add(key);
      return;
    }
    this.allowed.set(key, servers);
    const lost = [...(before ?? NOBODY)].some((server) => !servers.has(server));
    if (lost || before === undefined || (before.size === 0 && servers.size > 0)) this.changed.add(key);
  }

  /** Undefined when no walk is needed. */
  drain(): StaleDatagrams | undefined {
    if (this.changed.size === 0) return undefined;
    const frontends = new Map<string, AllowedServers>();
    for (const key of this.changed) {
      const servers = this.allowed.get(key);
      frontends.set(key, { servers: servers ?? NOBODY, isGone: servers === undefined });
    }
    this.changed.clear();
    return { frontends };
  }
}

/** Has this connection's server stopped being one of its frontend's? `isNodeAddress` says where ports of the node are. */
export function isStale(
  { frontends }: StaleDatagrams,
  connection: Datagrams,
  isNodeAddress: (address: string) => boolean,
): boolean {
  const { family, protocol, destination, destinationPort, server, serverPort } = connection;
  const found =
    frontends.get(`${family} ${destination},${protocol}:${destinationPort}`) ??
    (isNodeAddress(destination) ? frontends.get(`${family} ${protocol}:${destinationPort}`) : undefined);
  if (found === undefined || found.servers.has(`${server},${serverPort}`)) return false;
  const isTranslated = server !== destination || serverPort !== destinationPort;
  return isTranslated || (!found.isGone && found.servers.size > 0);
}
