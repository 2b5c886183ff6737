/** The kernel side, in a namespace of its own. */
import { expect } from 'chai';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseAddress, parsePrefix, type Family, type IpPrefix } from 'node-bgp/address';
import type { ForwardingEntry, ForwardingSink } from 'node-bgp/rib/contract';
import { FibWriter, type FibProblem } from '../../src/bgpd/fib-writer.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { applyRouteChanges, NetlinkSocket, PROTOCOL_TORTIE_BGP } from '../../src/dataplane/netlink/index.js';

const NAMESPACE = `tfib${process.pid}`;

class Changes {
  private queue: { readonly prefix: IpPrefix; readonly entry: ForwardingEntry | undefined }[] = [];

  set(prefix: string, ...hops: readonly string[]): void {
    const entry = hops.length === 0 ? undefined : { hops: hops.map((hop) => {
      const [address = '', interfaceName] = hop.split('%');
      return { address: parseAddress(address), interfaceName, weight: 1 };
    }) };
    this.queue.push({ prefix: parsePrefix(prefix), entry });
  }

  readonly take = (sink: ForwardingSink, limit: number): boolean => {
    for (const { prefix, entry } of this.queue.splice(0, limit)) sink(prefix.family, wordsOf(prefix), 0, prefix.length, entry);
    return this.queue.length > 0;
  };
}

function wordsOf({ family, value }: IpPrefix): Uint32Array {
  return family === 4 ? Uint32Array.of(Number(value)) : Uint32Array.from([96n, 64n, 32n, 0n], (shift) => Number((value >> shift) & 0xffffffffn));
}

const isRoot = process.getuid?.() === 0;

(isRoot ? describe : describe.skip)('bgpd fib-writer', () => {
  let socket: NetlinkSocket;
  const indexes = new Map<string, number>();
  const ip = (...argv: readonly string[]): string => execFileSync('ip', ['-n', NAMESPACE, ...argv], { encoding: 'utf8' });
  const routes = (family: Family = 4): readonly string[] =>
    ip(family === 4 ? '-4' : '-6', '-o', 'route', 'show', 'proto', String(PROTOCOL_TORTIE_BGP)).split('\n').map((line) => line.replace(/\\\t/g, ' ').replace(/ +/g, ' ').replace(' pref medium', '').trim()).filter((line) => line !== '').sort();
  let problems: FibProblem[];

  before(() => {
    execFileSync('ip', ['netns', 'add', NAMESPACE]);
    for (const [index, name] of ['eth0', 'eth1'].entries()) {
      ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`);
      ip('addr', 'add', `10.0.${index}.1/24`, 'dev', name);
      ip('addr', 'add', `fd00:${index}::1/64`, 'dev', name, 'nodad');
      ip('link', 'set', name, 'up');
      ip('link', 'set', `${name}p`, 'up');
      indexes.set(name, Number(ip('-o', 'link', 'show', name).split(':')[0]));
    }
    socket = inNamespace(`/run/netns/${NAMESPACE}`, () => new NetlinkSocket());
  });
  after(() => {
    socket.close();
    execFileSync('ip', ['netns', 'del', NAMESPACE]);
  });

  function writer(changes: Changes, metric = 20): FibWriter {
    problems = [];
    return new FibWriter({
      socket, context: () => ({ metric, preferredSource: {}, indexOf: (name) => indexes.get(name) }), take: changes.take, onProblem: (problem) => problems.push(problem),
    });
  }
  afterEach(() => writer(new Changes()).removeAll());

  it('writes, replaces and deletes single and multipath routes of both families', () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    changes.set('10.2.0.0/16', '10.0.0.9%eth0', '10.0.1.9%eth1');
    changes.set('fd01::/48', 'fd00:0::9%eth0', 'fd00:1::9%eth1');
    fib.sweep();
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20', '10.2.0.0/16 metric 20 nexthop via 10.0.0.9 dev eth0 weight 1 nexthop via 10.0.1.9 dev eth1 weight 1']);
    expect(routes(6)).to.deep.equal(['fd01::/48 metric 20 nexthop via fd00::9 dev eth0 weight 1 nexthop via fd00:1::9 dev eth1 weight 1']);
    changes.set('10.1.0.0/16', '10.0.1.9%eth1');
    changes.set('10.2.0.0/16');
    changes.set('fd01::/48', 'fd00:1::9%eth1');
    fib.sweep();
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.1.9 dev eth1 metric 20']);
    expect(routes(6)).to.deep.equal(['fd01::/48 via fd00:1::9 dev eth1 metric 20']);
    expect(fib.status()).to.deep.equal({ routes: 2, refused: 0, stale: 0 });
    fib.removeAll();
    expect([routes(), routes(6)]).to.deep.equal([[], []]);
  });

  it('adopts what a former process left without a write, corrects what differs, and sweeps the rest', async () => {
    const first = new Changes();
    const killed = writer(first);
    killed.start();
    for (const prefix of ['10.1.0.0/16', '10.2.0.0/16', '10.3.0.0/16']) first.set(prefix, '10.0.0.9%eth0');
    killed.sweep();
    killed.stop();

    const second = new Changes();
    const fib = writer(second);
    expect(fib.start()).to.equal(3);
    second.set('10.1.0.0/16', '10.0.0.9%eth0');
    second.set('10.2.0.0/16', '10.0.1.9%eth1');
    const monitor = await watchRoutes(NAMESPACE);
    expect(fib.sweep()).to.equal(1);
    expect(await monitor.changes()).to.deep.equal(['10.2.0.0/16', 'Deleted 10.3.0.0/16']);
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20', '10.2.0.0/16 via 10.0.1.9 dev eth1 metric 20']);
    fib.stop();
  });

  it('puts back what the kernel dropped with an interface, and deletes what is not wanted', () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    fib.sweep();
    ip('link', 'set', 'eth0', 'down');
    ip('link', 'set', 'eth0', 'up');
    ip('addr', 'add', 'fd00:0::1/64', 'dev', 'eth0', 'nodad'); // IPv6 addresses go with the link
    expect(routes()).to.deep.equal([]);
    ip('route', 'add', '10.9.0.0/16', 'via', '10.0.1.9', 'proto', String(PROTOCOL_TORTIE_BGP));
    expect(fib.resync()).to.equal(2);
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20']);
    expect(fib.resync()).to.equal(0);
    fib.stop();
  });

  it('leaves a prefix at our metric to somebody else, says so, and takes it when it is free', () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    applyRouteChanges(socket, [{ type: 'add', route: { prefix: parsePrefix('10.1.0.0/16'), protocol: 4, metric: 20, nextHops: [{ via: parseAddress('10.0.1.9') }] } }]);
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    fib.sweep();
    expect(problems).to.deep.equal([{ prefix: '10.1.0.0/16', reason: 'somebody else has a route to it with metric 20' }]);
    expect([routes(), fib.status().refused]).to.deep.equal([[], 1]);
    expect(ip('route', 'show', '10.1.0.0/16')).to.contain('proto static');
    ip('route', 'del', '10.1.0.0/16');
    fib.resync();
    expect(problems.at(-1)).to.deep.equal({ prefix: '10.1.0.0/16', reason: undefined });
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20']);
    fib.stop();
  });

  it('says in words what the kernel refuses', () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '172.16.0.1%eth0');
    fib.sweep();
    expect(problems[0]?.reason).to.match(/^Cannot add route 10\.1\.0\.0\/16: .*(unreachable|gateway)/i);
    changes.set('10.1.0.0/16');
    fib.sweep();
    expect(fib.status()).to.deep.equal({ routes: 0, refused: 0, stale: 0 });
    fib.stop();
  });

  it('never touches a foreign route, also when it sweeps', () => {
    ip('route', 'add', '10.8.0.0/16', 'via', '10.0.0.9', 'proto', 'static');
    const fib = writer(new Changes());
    fib.start();
    fib.sweep();
    fib.resync();
    fib.removeAll();
    expect(ip('route', 'show', '10.8.0.0/16')).to.contain('proto static');
    ip('route', 'del', '10.8.0.0/16');
    fib.stop();
  });

  it('takes many routes in slices', () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    for (let i = 0; i < 5000; i++) changes.set(`10.${100 + (i >> 8)}.${i & 255}.0/24`, '10.0.0.9%eth0');
    fib.sweep();
    expect(routes()).to.have.length(5000);
    fib.removeAll();
    expect(routes()).to.deep.equal([]);
  });
});

/** What happens to routes in 10.0.0.0/8 from here on, by `ip monitor`. */
async function watchRoutes(namespace: string): Promise<{ changes(): Promise<readonly string[]> }> {
  const child = spawn('ip', ['-n', namespace, '-o', '-4', 'monitor', 'route'], { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString(); });
  await new Promise((resolve) => setTimeout(resolve, 300)); // it says nothing when it is ready
  return {
    changes: async () => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      child.kill();
      await once(child, 'exit');
      return text.split('\n').filter((line) => line.includes('10.')).map((line) => line.split(' via ')[0]?.trim() ?? '').sort();
    },
  };
}
