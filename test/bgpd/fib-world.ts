/** A FibWriter over a real kernel, in a namespace with two interfaces; the test plays the RIB. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseAddress, parsePrefix, type Family, type IpPrefix } from 'node-bgp/address';
import type { ForwardingEntry, ForwardingSink } from 'node-bgp/rib/forwarding-entry';
import type { FibProblem } from '../../src/bgpd/fib-refusals.js';
import type { FibWriterOptions } from '../../src/bgpd/fib-contract.js';
import { FibWriter } from '../../src/bgpd/fib-writer.js';
import type { NexthopKernel } from '../../src/bgpd/nexthop-objects.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import {
  NetlinkError,
  NetlinkSocket,
  PROTOCOL_TORTIE_BGP,
  watchKernel,
  type NetlinkSocketOptions,
} from '../../src/dataplane/netlink/index.js';

export class FibWorld {
  readonly indexes = new Map<string, number>();
  /** For the test's own requests. */
  readonly socket: NetlinkSocket;
  /** What the last writer made has told. */
  problems: FibProblem[] = [];
  private readonly sockets: NetlinkSocket[] = [];
  private readonly writers: FibWriter[] = [];

  constructor(readonly namespace: string) {
    execFileSync('ip', ['netns', 'add', namespace]);
    for (const [index, name] of ['eth0', 'eth1'].entries()) {
      this.ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`);
      this.ip('addr', 'add', `10.0.${index}.1/24`, 'dev', name);
      this.ip('addr', 'add', `fd00:${index}::1/64`, 'dev', name, 'nodad');
      this.ip('link', 'set', name, 'up');
      this.ip('link', 'set', `${name}p`, 'up');
      this.indexes.set(name, Number(this.ip('-o', 'link', 'show', name).split(':')[0]));
    }
    this.socket = inNamespace(`/run/netns/${namespace}`, () => new NetlinkSocket());
  }

  ip(...argv: readonly string[]): string {
    return execFileSync('ip', ['-n', this.namespace, ...argv], { encoding: 'utf8' });
  }

  /** Ours, one a line, without the numbers of nexthop objects. */
  routes(family: Family = 4): readonly string[] {
    const text = this.ip(family === 4 ? '-4' : '-6', '-o', 'route', 'show', 'proto', String(PROTOCOL_TORTIE_BGP));
    const lines = text
      .split('\n')
      .map((line) => line.replace(/\\\t/g, ' ').replace(/ +/g, ' ').replace(' pref medium', '').trim());
    return lines
      .filter((line) => line !== '')
      .map((line) => line.replace(/nhid \d+ /, ''))
      .sort();
  }

  /** With nexthop objects from the first route on, unless told otherwise. */
  writer(changes: Changes, metric = 20, more: Partial<FibWriterOptions> = {}): FibWriter {
    this.problems = [];
    const { problems, indexes } = this;
    const made = new FibWriter({
      open: (options) => this.open(options),
      watch: (...topics) => inNamespace(`/run/netns/${this.namespace}`, () => watchKernel(...topics)),
      nexthopsFrom: 1,
      onNoNexthops: (reason) => {
        throw new Error(reason);
      },
      context: () => ({ metric, preferredSource: {}, indexOf: (name) => indexes.get(name) }),
      ...more,
      take: changes.take,
      onProblem: (problem) => problems.push(problem),
    });
    this.writers.push(made);
    return made;
  }

  /** Between tests. */
  async clear(): Promise<void> {
    for (const writer of this.writers.splice(0)) {
      writer.stop();
      await writer.whenIdle();
    }
    this.writer(new Changes()).removeAll();
    this.writers.splice(0);
    for (const made of this.sockets.splice(0)) made.close();
  }

  close(): void {
    this.socket.close();
    execFileSync('ip', ['netns', 'del', this.namespace]);
  }

  private open(options?: NetlinkSocketOptions): NetlinkSocket {
    const made = inNamespace(`/run/netns/${this.namespace}`, () => new NetlinkSocket(options));
    this.sockets.push(made);
    return made;
  }
}

/** A world for the tests of a `describe`, and short names for what they use most. */
export function fibWorld(
  namespace: string,
): Pick<FibWorld, 'ip' | 'routes' | 'writer'> & { readonly world: () => FibWorld } {
  let made: FibWorld | undefined;
  const world = (): FibWorld => {
    if (made === undefined) throw new Error('The world is there while tests run');
    return made;
  };
  before(() => {
    made = new FibWorld(namespace);
  });
  afterEach(() => world().clear());
  after(() => world().close());
  return {
    world,
    ip: (...argv) => world().ip(...argv),
    routes: (family) => world().routes(family),
    writer: (...options) => world().writer(...options),
  };
}

/** Changes of a RIB that is not there. */
export class Changes {
  private queue: { readonly prefix: IpPrefix; readonly entry: ForwardingEntry | undefined }[] = [];

  set(prefix: string, ...hops: readonly string[]): void {
    this.setWeighted(prefix, ...hops.map((hop) => [hop, 1] as const));
  }

  setWeighted(prefix: string, ...hops: readonly (readonly [string, number])[]): void {
    const entry =
      hops.length === 0
        ? undefined
        : {
            hops: hops.map(([hop, weight]) => {
              const [address = '', interfaceName] = hop.split('%');
              return { address: parseAddress(address), interfaceName, weight };
            }),
          };
    this.queue.push({ prefix: parsePrefix(prefix), entry });
  }

  onTake: (() => void) | undefined;

  readonly take = (sink: ForwardingSink, limit: number): boolean => {
    this.onTake?.();
    for (const { prefix, entry } of this.queue.splice(0, limit))
      sink(prefix.family, wordsOf(prefix), 0, prefix.length, entry);
    return this.queue.length > 0;
  };
}

function wordsOf({ family, value }: IpPrefix): Uint32Array {
  return family === 4
    ? Uint32Array.of(Number(value))
    : Uint32Array.from([96n, 64n, 32n, 0n], (shift) => Number((value >> shift) & 0xffffffffn));
}

/** A kernel before 5.3. */
export const NO_NEXTHOPS: NexthopKernel = {
  list: () => {
    throw new NetlinkError('list nexthops', { errno: 95 });
  },
  create: () => {
    throw new Error('Unexpected');
  },
  remove: () => {
    throw new Error('Unexpected');
  },
};

/** What happens to routes in 10.0.0.0/8 from here on, by `ip monitor`. */
export async function watchRoutes(namespace: string): Promise<{ changes(): Promise<readonly string[]> }> {
  const child = spawn('ip', ['-n', namespace, '-o', '-4', 'monitor', 'route'], { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await new Promise((resolve) => setTimeout(resolve, 300)); // it says nothing when it is ready
  return {
    changes: async () => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      child.kill();
      await once(child, 'exit');
      return text
        .split('\n')
        .filter((line) => line.includes('10.'))
        .map((line) => line.split(/ (nhid|via) /)[0]?.trim() ?? '')
        .sort();
    },
  };
}
