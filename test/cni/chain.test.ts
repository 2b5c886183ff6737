import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ChainedPlugin, commonVersion, installPlugin, renderConflist } from '../../src/cni/conflist.js';
import { CniRuntime, type NetworkConfigList } from '../../src/lab/cni-runtime.js';
import { exchange } from '../dataplane/exchange.js';
import { exec, ip, ScratchNamespaces, until } from '../dataplane/scratch-namespaces.js';
import { runPlugin } from './plugin.js';
import { ReferenceAgent } from './reference-agent.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const DEBIAN_PLUGINS = '/usr/lib/cni';

/** A runtime that executes the real client in a node's namespace, alone and in chains with Debian's plugins. */
describe('CNI chain', function () {
  this.timeout(90_000);
  const namespaces = new ScratchNamespaces('tchain');
  let directory: string;
  let node: string;
  let agent: ReferenceAgent;

  before(async () => {
    execFileSync(process.execPath, [join(root, 'scripts/build-cni.mjs')]);
    directory = mkdtempSync(join(tmpdir(), 'tortie-chain-'));
    node = namespaces.create();
    exec(node, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    ip(node, 'addr', 'add', '10.0.0.1/32', 'dev', 'lo');
    ip(node, 'addr', 'add', 'fd00::1/128', 'dev', 'lo');
    agent = new ReferenceAgent(node, join(directory, 'agent.sock'));
    await agent.server.listen();
    installPlugin(join(directory, 'bin'), join(root, 'dist/cni/tortie'));
  });
  after(async () => {
    await agent.stop();
    namespaces.removeAll();
    rmSync(directory, { recursive: true });
  });
  afterEach(() => expect(agent.faults).to.deep.equal([]));

  const runtime = async (chained: readonly ChainedPlugin[] = []): Promise<CniRuntime> => {
    const cniVersion = await commonVersion(DEBIAN_PLUGINS, chained);
    const list = JSON.parse(
      renderConflist({ socketPath: join(directory, 'agent.sock'), cniVersion, chained }),
    ) as NetworkConfigList;
    const inNode = ['nsenter', `--net=${node}`];
    return new CniRuntime(
      list,
      [join(directory, 'bin'), DEBIAN_PLUGINS],
      join(directory, 'cache'),
      async (program, env, input) => ({ ...(await runPlugin(program, env, input, inNode)), signal: null }),
    );
  };
  let serial = 0;
  const attachment = (): Parameters<CniRuntime['add']>[0] & { readonly netns: string } => {
    serial += 1;
    return {
      containerId: `chain${serial}`,
      netns: namespaces.create(),
      interface: 'eth0',
      args: { IgnoreUnknown: '1', K8S_POD_NAMESPACE: 'shop', K8S_POD_NAME: `web-${serial}` },
    };
  };
  const rejection = async (work: Promise<unknown>): Promise<string> => {
    const outcome: unknown = await work.then(
      () => 'no error',
      (error: unknown) => error,
    );
    return outcome instanceof Error ? outcome.message : String(outcome);
  };

  it('adds, checks, reports and deletes by the newest specification', async () => {
    const cni = await runtime();
    await cni.checkVersions();
    await cni.status();
    const pod = attachment();
    const result = await cni.add(pod);
    expect(result.cniVersion).to.equal('1.1.0');
    expect(result.ips).to.deep.equal([
      { address: '10.65.0.1/32', interface: 1 },
      { address: 'fd00:65::1/128', interface: 1 },
    ]);
    expect(result.interfaces?.[1]).to.include({ name: 'eth0', sandbox: pod.netns });
    await cni.check(pod);
    expect(await exchange(pod.netns, node, '10.0.0.1')).to.equal('hello');
    expect(await exchange(node, pod.netns, 'fd00:65::1')).to.equal('hello');
    await cni.delete(pod);
    await cni.delete(pod);
    expect(await rejection(cni.check(pod))).to.include('it was never added');
    await until('the interface to go', () => !ip(pod.netns, '-br', 'link').includes('eth0'));
  });

  it('adds the same attachment twice with the same result', async () => {
    const cni = await runtime();
    const pod = attachment();
    const first = await cni.add(pod);
    expect(await cni.add(pod)).to.deep.equal(first);
    await cni.delete(pod);
  });

  it('finds by CHECK what somebody broke', async () => {
    const cni = await runtime();
    const pod = attachment();
    await cni.add(pod);
    const host = agent.attachments.get(`${pod.containerId}/eth0`)?.hostInterface ?? '';
    ip(node, 'link', 'set', host, 'down');
    expect(await rejection(cni.check(pod))).to.equal(
      [
        `Cannot CHECK by CNI plugin "tortie": Interface "${host}" is down: Interface "${host}" is down`,
        `Interface "${host}" lacks the gateway's address fe80::ecee:eeff:feee:eeee`,
        `The route 10.65.0.3/32 dev ${host} is missing`,
        `The route fd00:65::3/128 dev ${host} is missing (code 100)`,
      ].join('\n'),
    );
    await cni.delete(pod);
  });

  it('collects what the runtime no longer knows', async () => {
    const cni = await runtime();
    const [kept, lost] = [attachment(), attachment()];
    for (const pod of [kept, lost]) await cni.add(pod);
    rmSync(join(directory, 'cache', `tortie-${lost.containerId}-eth0`));
    await cni.collectGarbage([kept]);
    expect([...agent.attachments.keys()]).to.deep.equal([`${kept.containerId}/eth0`]);
    await cni.check(kept);
    await cni.delete(kept);
  });

  it('fails closed when the namespace has gone, and DEL succeeds all the same', async () => {
    const cni = await runtime();
    const [never, later] = [attachment(), attachment()];
    namespaces.remove(never.netns);
    expect(await rejection(cni.add(never))).to.equal(
      `Cannot ADD by CNI plugin "tortie": Cannot open network namespace "${never.netns}": there is none at that path (code 5)`,
    );
    await cni.delete(never);
    await cni.add(later);
    namespaces.remove(later.netns);
    await cni.delete(later);
    expect(agent.attachments.size).to.equal(0);
  });

  it('carries fifty pods at once', async () => {
    const cni = await runtime();
    const pods = Array.from({ length: 50 }, attachment);
    const results = await Promise.all(pods.map((pod) => cni.add(pod)));
    expect(new Set(results.map((result) => result.ips?.[0]?.address)).size).to.equal(50);
    await Promise.all(pods.map((pod) => cni.check(pod)));
    await Promise.all(pods.map((pod) => cni.delete(pod)));
    await until('all interfaces to go', () => !/tort/.test(ip(node, '-br', 'link')));
  });

  describe("with Debian's plugins", () => {
    const portmap = { type: 'portmap', capabilities: { portMappings: true }, snat: true };
    const bandwidth = { type: 'bandwidth', capabilities: { bandwidth: true } };
    const tuning = { type: 'tuning', sysctl: { 'net.ipv4.conf.eth0.arp_notify': '1' } };

    it('portmap reaches the pod by a host port', async () => {
      const cni = await runtime([portmap]);
      const pod = {
        ...attachment(),
        runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
      };
      const { cniVersion, ips } = await cni.add(pod);
      expect(cniVersion).to.equal('1.0.0');
      const address = ips?.[0]?.address.split('/')[0] ?? '';
      expect(exec(node, 'iptables-save', '-t', 'nat')).to.include(
        `--dport 8080 -j DNAT --to-destination ${address}:80`,
      );
      // No CHECK: portmap 1.1.1 looks for the IPv4 rules among the IPv6 ones when a pod has both families.
      await cni.delete(pod);
      expect(exec(node, 'iptables-save', '-t', 'nat')).not.to.include('8080');
    });

    it('bandwidth finds the host side and shapes it', async () => {
      const cni = await runtime([bandwidth]);
      const pod = {
        ...attachment(),
        runtimeConfig: { bandwidth: { ingressRate: 8_000_000, ingressBurst: 8_000_000 } },
      };
      await cni.add(pod);
      const host = agent.attachments.get(`${pod.containerId}/eth0`)?.hostInterface ?? '';
      expect(exec(node, 'tc', 'qdisc', 'show', 'dev', host)).to.include('tbf');
      await cni.delete(pod);
    });

    it('tuning, portmap and bandwidth follow each other', async () => {
      const cni = await runtime([tuning, portmap, bandwidth]);
      // Bandwidth 1.1.1 crashes in CHECK when it has nothing to do.
      const pod = { ...attachment(), runtimeConfig: { bandwidth: { egressRate: 8_000_000, egressBurst: 8_000_000 } } };
      const result = await cni.add(pod);
      expect(result.interfaces?.slice(0, 2).map((item) => item.name)).to.deep.equal([
        agent.attachments.get(`${pod.containerId}/eth0`)?.hostInterface,
        'eth0',
      ]);
      expect(exec(pod.netns, 'cat', '/proc/sys/net/ipv4/conf/eth0/arp_notify').trim()).to.equal('1');
      await cni.check(pod);
      await cni.delete(pod);
    });
  });
});
