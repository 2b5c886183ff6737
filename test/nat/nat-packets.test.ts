/**
 * natOutgoing and host ports with packets, on all three ways of writing rules: a pod, its node, and somebody outside, in
 * namespaces. Needs root.
 *
 *   outside 192.0.2.2, 2001:db8::2 --- 192.0.2.1, 2001:db8::1 node (tort...) --- pod 10.65.0.7, fd00:65::7
 */
import { PolicyEngine } from '@tortie/policy/engine';
import { expect } from 'chai';
import { createServer, Socket, type Server } from 'node:net';
import { AF_INET, AF_INET6 } from '../../src/dataplane/libc.js';
import { createNetfilter, type Netfilter } from '../../src/dataplane/netfilter/netfilter.js';
import type { BackendSetting } from '../../src/dataplane/netfilter/status.js';
import { inNamespace, listenInNamespace, socketInNamespace } from '../../src/dataplane/netns.js';
import type { Pod } from '../../src/api/core.js';
import type { HostPort } from '../../src/nat/host-ports.js';
import { NatEngine } from '../../src/nat/nat-engine.js';
import type { OutgoingSettings } from '../../src/nat/nat-rules.js';
import { exec, ip, nameOf, ScratchNamespaces } from '../dataplane/scratch-namespaces.js';

const namespaces = new ScratchNamespaces('tnp');
const POD = { 4: '10.65.0.7', 6: 'fd00:65::7' } as const;
const NODE = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;
const OUTSIDE = { 4: '192.0.2.2', 6: '2001:db8::2' } as const;
const FAMILIES = [4, 6] as const;

interface Places {
  readonly outside: string;
  readonly node: string;
  readonly pod: string;
}

function connect(): Places {
  const [outside, node, pod] = [namespaces.create(), namespaces.create(), namespaces.create()];
  for (const place of [outside, node, pod])
    exec(place, 'sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0');
  ip(node, 'link', 'add', 'uplink0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', nameOf(outside));
  ip(node, 'link', 'add', 'tortpod', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', nameOf(pod));
  const set = (place: string, device: string, ...addresses: readonly string[]): void => {
    for (const address of addresses)
      ip(place, 'addr', 'add', address, 'dev', device, ...(address.includes(':') ? ['nodad'] : []));
    ip(place, 'link', 'set', device, 'up');
  };
  set(outside, 'eth0', `${OUTSIDE[4]}/24`, `${OUTSIDE[6]}/64`, '192.0.2.3/32');
  set(node, 'uplink0', `${NODE[4]}/24`, `${NODE[6]}/64`);
  ip(node, 'addr', 'add', '169.254.1.1/32', 'dev', 'tortpod', 'scope', 'link');
  set(node, 'tortpod', 'fe80::ecee:eeff:feee:eeee/64');
  set(pod, 'eth0', `${POD[4]}/32`, `${POD[6]}/128`);
  exec(
    node,
    'sysctl',
    '-qw',
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
    'net.ipv4.conf.tortpod.route_localnet=1',
  );
  ip(node, 'route', 'add', POD[4], 'dev', 'tortpod');
  ip(node, 'route', 'add', POD[6], 'dev', 'tortpod');
  ip(pod, 'route', 'add', '169.254.1.1', 'dev', 'eth0');
  ip(pod, 'route', 'add', 'default', 'via', '169.254.1.1', 'src', POD[4]);
  ip(pod, '-6', 'route', 'add', 'default', 'via', 'fe80::ecee:eeff:feee:eeee', 'dev', 'eth0');
  ip(outside, 'route', 'add', '10.65.0.0/16', 'via', NODE[4]);
  ip(outside, '-6', 'route', 'add', 'fd00:65::/64', 'via', NODE[6]);
  return { outside, node, pod };
}

for (const backend of ['legacy', 'nft', 'nftables'] as const satisfies readonly BackendSetting[])
  describe(`Translation of packets on ${backend === 'nftables' ? backend : `iptables-${backend}`}`, function () {
    this.timeout(60_000);
    let places: Places;
    let netfilter: Netfilter;
    let engine: NatEngine;
    const servers: Server[] = [];
    before(() => void (places = connect()));
    afterEach(async () => {
      for (const server of servers.splice(0)) server.close();
      await netfilter.stop();
    });
    after(() => namespaces.removeAll());

    async function start(outgoing: OutgoingSettings = {}): Promise<void> {
      netfilter = await createNetfilter({
        families: FAMILIES,
        backend,
        within: (work) => inNamespace(places.node, work),
        patrolInterval: 0,
      });
      engine = new NatEngine({ families: FAMILIES, outgoing, podInterfacePrefix: 'tort' });
      engine.apply({ type: 'node', name: 'one', addresses: Object.values(NODE) });
      engine.flush();
      expect(await netfilter.sync(engine.ruleset(), 'nat')).to.deep.equal({ failures: [] });
      await policy();
    }
    async function write(): Promise<void> {
      expect(await netfilter.apply(engine.flush(), 'nat')).to.deep.equal({ failures: [] });
    }
    const pools = (natOutgoing: boolean, ...others: readonly string[]): void =>
      engine.apply({
        type: 'pools',
        pools: [
          ...['10.65.0.0/16', 'fd00:65::/64'].map((cidr) => ({ cidr, natOutgoing })),
          ...others.map((cidr) => ({ cidr, natOutgoing: false })),
        ],
      });
    const hostPorts = (...ports: readonly HostPort[]): void =>
      engine.apply({
        type: 'endpoints',
        endpoints: [{ pod: 'shop/web', addresses: Object.values(POD), hostPorts: ports }],
      });

    /** Serves where `place` is; answers with who asked. Returns the port. */
    async function serve(place: string, address: string, port = 0): Promise<number> {
      const server = createServer((connection) => {
        connection.on('error', () => undefined);
        connection.end(`${connection.remoteAddress?.replace('::ffff:', '')} ${connection.remotePort}`);
      });
      servers.push(server);
      await new Promise<void>((resolve) => server.listen({ fd: listenInNamespace(place, address, port) }, resolve));
      const bound = server.address();
      return typeof bound === 'object' && bound !== null ? bound.port : 0;
    }
    /** What the server says, or how it failed. */
    function ask(from: string, host: string, port: number, patience = 3_000): Promise<string> {
      const fd = socketInNamespace(from, host.includes(':') ? AF_INET6 : AF_INET);
      const socket = new Socket({ fd, manualStart: true } as ConstructorParameters<typeof Socket>[0]);
      return new Promise((resolve) => {
        let text = '';
        socket.setTimeout(patience, () => socket.destroy(new Error('no answer')));
        socket
          .setEncoding('utf8')
          .on('data', (chunk) => (text += chunk))
          .on('end', () => resolve(text))
          .on('error', (error) => resolve(error.message));
        socket.connect({ host, port });
      });
    }
    const asker = async (from: string, host: string, port: number): Promise<string> =>
      (await ask(from, host, port)).split(' ')[0] ?? '';

    it('masquerades what leaves the pools and nothing else', async () => {
      await start();
      pools(false);
      await write();
      for (const family of FAMILIES) {
        const port = await serve(places.outside, OUTSIDE[family]);
        const atNode = await serve(places.node, NODE[family]);
        expect(await asker(places.pod, OUTSIDE[family], port), 'not asked for').to.equal(POD[family]);
        pools(true);
        await write();
        expect(await asker(places.pod, OUTSIDE[family], port), 'masqueraded').to.equal(NODE[family]);
        expect(await asker(places.pod, NODE[family], atNode), 'to a node').to.equal(POD[family]);
        pools(true, `${OUTSIDE[family]}/${family === 4 ? 32 : 128}`);
        await write();
        expect(await asker(places.pod, OUTSIDE[family], port), 'to another pool').to.equal(POD[family]);
        engine.apply({ type: 'node', name: 'two', addresses: [OUTSIDE[family]] });
        pools(true);
        await write();
        expect(await asker(places.pod, OUTSIDE[family], port), 'to another node').to.equal(POD[family]);
        engine.apply({ type: 'node', name: 'two', addresses: [] });
        pools(false);
        await write();
      }
    });

    it('takes the ports, the interface and the address that are set', async () => {
      await start({ ports: { from: 40_000, to: 40_009 } });
      pools(true);
      await write();
      for (const family of FAMILIES) {
        const port = await serve(places.outside, OUTSIDE[family]);
        const [address, source] = (await ask(places.pod, OUTSIDE[family], port)).split(' ');
        expect(address).to.equal(NODE[family]);
        expect(Number(source)).to.be.within(40_000, 40_009);
      }
      await netfilter.stop();
      await start({ interface: 'other+' });
      pools(true);
      await write();
      const port = await serve(places.outside, OUTSIDE[4]);
      expect(await asker(places.pod, OUTSIDE[4], port)).to.equal(POD[4]);
      await netfilter.stop();
      ip(places.node, 'addr', 'replace', '192.0.2.9/32', 'dev', 'lo');
      await start({ interface: 'upl+', addresses: [{ family: 4, address: '192.0.2.9' }] });
      ip(places.outside, 'route', 'replace', '192.0.2.9', 'via', NODE[4]);
      pools(true);
      await write();
      expect(await asker(places.pod, OUTSIDE[4], port)).to.equal('192.0.2.9');
      ip(places.node, 'addr', 'del', '192.0.2.9/32', 'dev', 'lo');
    });

    it('leaves connections that stand as they are when it comes and goes', async () => {
      await start();
      pools(true);
      await write();
      const server = createServer((connection) => {
        connection.on('error', () => undefined).on('data', (data) => connection.write(data));
      });
      servers.push(server);
      await new Promise<void>((resolve) =>
        server.listen({ fd: listenInNamespace(places.outside, OUTSIDE[4], 7_007) }, resolve),
      );
      const fd = socketInNamespace(places.pod, AF_INET);
      const socket = new Socket({ fd, manualStart: true } as ConstructorParameters<typeof Socket>[0]);
      const echo = (text: string): Promise<string> =>
        new Promise((resolve, reject) => {
          socket.once('data', (data) => resolve(data.toString())).once('error', reject);
          socket.write(text);
        });
      socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')));
      socket.connect({ host: OUTSIDE[4], port: 7_007 });
      expect(await echo('one')).to.equal('one');
      pools(false);
      await write();
      expect(await echo('two')).to.equal('two');
      pools(true);
      await write();
      expect(await echo('three')).to.equal('three');
      socket.destroy();
    });

    it("leads a host port to its pod, whoever asks: outside, the node, the node's loopback, the pod itself", async () => {
      await start();
      hostPorts(
        { protocol: 'tcp', hostPort: 8_080, containerPort: 80 },
        { protocol: 'tcp', hostPort: 8_081, containerPort: 80, hostIP: NODE[4] },
      );
      await write();
      for (const family of FAMILIES) {
        await serve(places.pod, POD[family], 80);
        expect(await asker(places.outside, NODE[family], 8_080), 'outside').to.equal(OUTSIDE[family]);
        expect(await asker(places.node, NODE[family], 8_080), 'node').to.equal(NODE[family]);
        expect(await asker(places.pod, NODE[family], 8_080), 'itself').to.not.equal('no answer');
      }
      expect(await asker(places.node, '127.0.0.1', 8_080), 'loopback').to.equal(NODE[4]);
      expect(await asker(places.outside, NODE[4], 8_081), 'an address').to.equal(OUTSIDE[4]);
      expect(await ask(places.outside, NODE[6], 8_081), 'not the other family').to.match(/ECONNREFUSED/);
      expect(await ask(places.outside, NODE[4], 8_082)).to.match(/ECONNREFUSED/);
      // Not for what only passes.
      await serve(places.outside, OUTSIDE[4], 8_080);
      expect(await asker(places.pod, OUTSIDE[4], 8_080), 'through').to.equal(POD[4]);
      hostPorts();
      await write();
      expect(await ask(places.outside, NODE[4], 8_080), 'gone').to.match(/ECONNREFUSED/);
    });

    /** As a node has it: everything of a pod passes the chains of policy, which here allows all, and which keep tracking on. */
    async function policy(): Promise<void> {
      const policies = new PolicyEngine({ nodeName: 'one' });
      policies.apply({ type: 'upsert', kind: 'Namespace', object: { metadata: { name: 'shop' } } });
      const web: Pod = {
        metadata: { namespace: 'shop', name: 'web' },
        spec: { nodeName: 'one', containers: [] },
        status: { podIPs: Object.values(POD).map((address) => ({ ip: address })) },
      };
      policies.apply({ type: 'upsert', kind: 'Pod', object: web });
      policies.apply({
        type: 'endpoint-upsert',
        endpoint: { namespace: 'shop', name: 'web', interface: 'tortpod', addresses: Object.values(POD) },
      });
      policies.flush();
      expect(await netfilter.sync(policies.ruleset())).to.deep.equal({ failures: [] });
    }
  });
