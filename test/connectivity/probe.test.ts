import { expect } from 'chai';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { probeAll, serveName } from '../../src/connectivity/probe.js';
import type { Target } from '../../src/connectivity/targets.js';
import { listenInNamespace } from '../../src/dataplane/netns.js';
import { exec, ScratchNamespaces } from '../dataplane/scratch-namespaces.js';

const QUICK = { within: 1, attempt: 300 };
const portOf = (server: Server): number => (server.address() as AddressInfo).port;

describe('connectivity test: its client and server', function () {
  this.timeout(30_000);
  const servers: Server[] = [];
  const keep = (server: Server): Server => {
    servers.push(server);
    return server;
  };
  const listen = (server: Server): Promise<number> =>
    new Promise((resolve) => keep(server).listen(0, '127.0.0.1', () => resolve(portOf(server))));
  const closedPort = async (): Promise<number> => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => server.listen(0, '127.0.0.1', () => resolve(portOf(server))));
    await new Promise((resolve) => server.close(resolve));
    return port;
  };
  const target = (more: Partial<Target>): Target => ({
    path: 'other-node',
    address: '127.0.0.1',
    port: 1,
    expect: 'answer',
    names: ['ns/a'],
    ...more,
  });
  const met = async (...targets: readonly Target[]) =>
    (await probeAll(targets, QUICK)).failures.map(([index, text]) => `${index} ${text}`);
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  it('agree on the right name, in both families', async () => {
    const port = portOf(keep(await serveName('ns/a', 0)));
    expect(await probeAll([target({ port }), target({ port, address: '::1' })], QUICK)).to.deep.equal({
      tried: 2,
      failures: [],
    });
  });
  it('tell a wrong name, a refusal, silence and an early end', async () => {
    const wrong = portOf(keep(await serveName('ns/b', 0)));
    const silent = await listen(createServer(() => undefined));
    const rude = await listen(createServer((socket) => socket.end('ns')));
    const closed = await closedPort();
    expect(await met(...[wrong, closed, silent, rude].map((port) => target({ port })))).to.deep.equal([
      '0 "ns/b" answered',
      '1 the connection was refused',
      '2 nothing came back',
      '3 no whole name: "ns"',
    ]);
  });
  it('take for silence nothing but silence', async () => {
    const answers = portOf(keep(await serveName('ns/a', 0)));
    const silent = await listen(createServer(() => undefined));
    const closed = await closedPort();
    expect(await met(...[silent, answers, closed].map((port) => target({ port, expect: 'silence' })))).to.deep.equal([
      '1 "ns/a" answered',
      '2 the connection was refused',
    ]);
  });
  it('take a refusal for a sign that the packet came', async () => {
    const silent = await listen(createServer(() => undefined));
    const closed = await closedPort();
    expect(await met(...[closed, silent].map((port) => target({ port, expect: 'reach' })))).to.deep.equal([]);
  });
  it('go on until it is as it shall be', async () => {
    const port = await closedPort();
    const result = probeAll([target({ port })], { within: 20_000, attempt: 300 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    keep(await serveName('ns/a', port));
    expect(await result).to.deep.equal({ tried: 1, failures: [] });
  });
  it('tell of a packet that is dropped', async () => {
    const namespaces = new ScratchNamespaces('connect');
    try {
      const netns = namespaces.create();
      keep(createServer((socket) => socket.end('ns/a\n')).listen({ fd: listenInNamespace(netns, '127.0.0.1', 8080) }));
      exec(netns, 'iptables', '-A', 'INPUT', '-p', 'tcp', '--dport', '8080', '-j', 'DROP');
      const script = `import { probeAll } from ${JSON.stringify(new URL('../../src/connectivity/probe.js', import.meta.url).href)};
        const target = { path: 'service', address: '127.0.0.1', port: 8080, names: ['ns/a'] };
        const targets = ['answer', 'silence'].map((expect) => ({ ...target, expect }));
        console.log(JSON.stringify((await probeAll(targets, { within: 1, attempt: 500 })).failures));`;
      expect(JSON.parse(exec(netns, process.execPath, '--input-type=module', '-e', script))).to.deep.equal([
        [0, 'nothing came back'],
      ]);
    } finally {
      namespaces.removeAll();
    }
  });
});
