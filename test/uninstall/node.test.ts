/** `tortie uninstall --this-node` in a namespace with everything that Tortie makes, beside what others have made. Needs root. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import { installConflist } from '../../src/cni/conflist.js';
import { HOST_FILES } from '../../src/cni/host-files.js';
import { installPlugins } from '../../src/cni/install.js';
import { hostInterfaceName } from '../../src/dataplane/endpoint-name.js';
import { EndpointPlumbing } from '../../src/dataplane/endpoint-plumbing.js';
import { createNetfilter } from '../../src/dataplane/netfilter/netfilter.js';
import type { BackendSetting } from '../../src/dataplane/netfilter/status.js';
import { NetlinkSocket } from '../../src/dataplane/netlink/netlink-socket.js';
import { createNexthop } from '../../src/dataplane/netlink/nexthop.js';
import { PROTOCOL_TORTIE_BGP } from '../../src/dataplane/netlink/route.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { OwnRouteTable } from '../../src/dataplane/own-routes.js';
import { Shaper } from '../../src/dataplane/shaper.js';
import { packageFile } from '../../src/lab/tortie-argv.js';
import type { UninstallPlan } from '../../src/uninstall/traces.js';
import { small } from '../dataplane/netfilter/rulesets.js';
import { exec, ip, nameOf, ScratchNamespaces } from '../dataplane/scratch-namespaces.js';

const FOREIGN_RULES = Object.entries({
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
})
  .flatMap(([table, chains]) => [
    '*' + table,
    ':KUBE-X - [0:0]',
    ...chains.map((chain) => `-A ${chain} -j KUBE-X`),
    'COMMIT',
    '',
  ])
  .join('\\n');
const namespaces = new ScratchNamespaces('tuninst');

describe('tortie uninstall --this-node', function () {
  this.timeout(60_000);
  let node: string;
  let files: string;
  const folder = (path: string): string => join(files, path);
  beforeEach(() => {
    node = namespaces.create();
    files = mkdtempSync(join(tmpdir(), `tortie-uninstall-${process.pid}-`));
  });
  afterEach(() => rmSync(files, { recursive: true }));
  after(() => namespaces.removeAll());

  const uninstall = (...argv: readonly string[]): { readonly status: number | null; readonly text: string } => {
    const flags = [
      ['--cni-conf-dir', 'cni/net.d'],
      ['--cni-bin-dir', 'cni/bin'],
      ['--run-dir', 'run/tortie'],
      ['--state-dir', 'lib/tortie'],
      ['--host-etc-dir', 'etc'],
    ].flatMap(([flag = '', path = '']) => [flag, folder(path)]);
    const program = [process.execPath, packageFile('dist/src/cli.js'), 'uninstall', '--this-node', ...flags, ...argv];
    const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', nameOf(node), ...program], {
      encoding: 'utf8',
    });
    return { status, text: stdout + stderr };
  };

  /** Whatever a person would look at, in an order that does not depend on history. */
  const state = (): string => {
    const kernel = [
      ['ip', '-o', 'link'],
      ['ip', 'route'],
      ['ip', '-6', 'route', 'show', 'proto', 'static'],
      ['ip', '-6', 'route', 'show', 'proto', '171'],
      ['ip', '-6', 'route', 'show', 'proto', '172'],
      ['ip', 'nexthop'],
      ['nft', '-s', 'list', 'ruleset'],
      ['iptables-legacy-save'],
      ['ipset', 'list', '-name'],
    ].map((argv) => exec(node, ...argv));
    // Counters and dates; indexes of interfaces that came later.
    const text = kernel
      .join('\n')
      .replace(/^#.*\n/gm, '')
      .replace(/\[\d+:\d+\]/g, '');
    return `${text}\n${readdirSync(files, { recursive: true, encoding: 'utf8' }).sort().join('\n')}`;
  };

  function makeForeign(): void {
    ip(node, 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'torto');
    ip(node, 'link', 'set', 'uplink', 'up');
    ip(node, 'link', 'set', 'torto', 'up', 'alias', 'cable to tortie');
    ip(node, 'addr', 'add', '192.0.2.1/24', 'dev', 'uplink');
    ip(node, 'route', 'add', '198.51.100.0/24', 'via', '192.0.2.2', 'proto', 'static');
    ip(node, '-6', 'route', 'add', 'blackhole', 'fd00:66::/64', 'proto', 'static');
    ip(node, 'link', 'add', 'vxlan.calico', 'type', 'vxlan', 'id', '4097', 'dstport', '4790', 'local', '192.0.2.1');
    ip(node, 'nexthop', 'add', 'id', '7', 'via', '192.0.2.2', 'dev', 'uplink');
    exec(node, 'ipset', 'create', 'theirs', 'hash:ip');
    // Where Tortie hooks in, tables come to be and stay, as they do on a node with kube-proxy.
    for (const tool of ['iptables-nft', 'ip6tables-nft', 'iptables-legacy', 'ip6tables-legacy'])
      exec(node, 'sh', '-c', `printf '${FOREIGN_RULES}' | ${tool}-restore`);
    exec(node, 'nft', 'add', 'table', 'inet', 'firewall');
    for (const path of ['cni/net.d', 'cni/bin', 'run', 'lib', 'etc/NetworkManager/conf.d', 'etc/systemd/network'])
      mkdirSync(folder(path), { recursive: true });
    mkdirSync(folder('etc/systemd/networkd.conf.d'));
    writeFileSync(folder('cni/net.d/99-other.conflist'), '{}');
    writeFileSync(folder('cni/bin/bridge'), 'bridge');
    writeFileSync(folder('etc/systemd/network/10-uplink.network'), '[Match]');
  }

  async function makeOurs(backend: BackendSetting): Promise<void> {
    const within = <T>(work: () => T): T => inNamespace(node, work);
    const plumbing = within(() => new EndpointPlumbing((error) => expect.fail(error.message)));
    const hostInterface = hostInterfaceName('shop', 'web');
    const addresses = [parseAddress('10.65.0.1'), parseAddress('fd00:65::1')];
    const pod = {
      containerId: 'c1',
      podInterface: 'eth0',
      hostInterface,
      netns: namespaces.create(),
      addresses,
      label: 'shop/web',
    };
    within(() => plumbing.add(pod));
    await plumbing.close();
    const socket = within(() => new NetlinkSocket());
    const blackholes = ['10.65.0.0/26', 'fd00:65::/122'].map((text) => ({
      type: 'blackhole' as const,
      prefix: parsePrefix(text),
    }));
    const pods = ['10.65.0.1/32', 'fd00:65::1/128'].map((text) => ({
      type: 'pod' as const,
      prefix: parsePrefix(text),
      hostInterface,
    }));
    expect(new OwnRouteTable(socket).level([...pods, ...blackholes])).to.deep.equal([]);
    expect(new Shaper(socket).level(new Map([[hostInterface, { egress: { rate: 1e6, burst: 1e6 } }]]))).to.deep.equal(
      [],
    );
    const interfaceIndex = Number(exec(node, 'cat', '/sys/class/net/uplink/ifindex'));
    const via = parseAddress('192.0.2.2');
    createNexthop(socket, {
      type: 'way',
      id: 1_720_000_002,
      family: 4,
      via,
      interfaceIndex,
      protocol: PROTOCOL_TORTIE_BGP,
    });
    createNexthop(socket, {
      type: 'group',
      id: 1_720_000_003,
      members: [{ id: 1_720_000_002, weight: 1 }],
      protocol: PROTOCOL_TORTIE_BGP,
    });
    socket.close();
    ip(node, 'link', 'add', 'vxlan.tortie', 'type', 'vxlan', 'id', '4096', 'dstport', '4789', 'local', '192.0.2.1');
    ip(node, 'route', 'add', '10.65.9.0/26', 'nhid', '1720000003', 'proto', '172');
    const netfilter = await createNetfilter({ families: [4, 6], backend, within, patrolInterval: 0 });
    expect((await netfilter.sync(small)).failures).to.deep.equal([]);
    await netfilter.stop();
    installPlugins(folder('cni/bin'));
    installConflist(folder('cni/net.d'), { socketPath: '/run/tortie/agent.sock' });
    writeFileSync(folder('cni/net.d/.10-tortie.conflist.77'), 'draft');
    for (const { path } of HOST_FILES) writeFileSync(folder(join('etc', path)), 'ours');
    for (const path of ['run/tortie', 'lib/tortie']) mkdirSync(folder(path));
    writeFileSync(folder('lib/tortie/journal'), '10.65.0.1');
  }

  for (const backend of ['nft', 'legacy', 'nftables'] as const)
    it(`leaves nothing of ours, and all that others have, with policy by ${backend}`, async () => {
      makeForeign();
      const before = state();
      await makeOurs(backend);
      const plan = JSON.parse(uninstall('-o', 'json').text) as UninstallPlan;
      const kinds = new Set(plan.traces.map(({ kind }) => kind));
      const rules = backend === 'nftables' ? ['table'] : ['rules', 'ipset'];
      expect([...kinds]).to.have.members(['interface', 'route', 'nexthop', ...rules, 'file', 'folder']);
      expect(plan.warnings.join()).to.contain('lose their network');
      const installed = state();
      const said = uninstall();
      expect([said.status, said.text]).to.deep.equal([0, said.text]);
      expect(said.text).to.contain('Nothing is changed; --yes does it.').and.to.contain('10.65.0.0/26');
      expect(state(), 'a plan changes nothing').to.equal(installed);
      const done = uninstall('--yes');
      expect(done.status, done.text).to.equal(0);
      expect(done.text).to.match(/Removed \d+; nothing is left\.\n$/);
      expect(state()).to.equal(before);
      expect(uninstall('--yes').text).to.match(/^Nothing of Tortie is on /);
    });

  it('keeps a loopback plugin of others', () => {
    mkdirSync(folder('cni/bin'), { recursive: true });
    writeFileSync(folder('cni/bin/loopback'), 'theirs');
    installPlugins(folder('cni/bin'));
    expect(uninstall('--yes').status).to.equal(0);
    expect(readdirSync(folder('cni/bin'))).to.deep.equal(['loopback']);
  });

  it('empties a folder that has a file system of its own, and leaves the mount', () => {
    const path = folder('lib of others/tortie');
    mkdirSync(path, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', path]);
    try {
      mkdirSync(join(path, 'queue'));
      writeFileSync(join(path, 'queue/journal'), '10.65.0.1');
      const { status, text } = uninstall('--yes', '--state-dir', path);
      expect(status, text).to.equal(0);
      expect(readdirSync(path)).to.deep.equal([]);
      expect(uninstall('--state-dir', path).text).to.match(/^Nothing of Tortie is on /);
    } finally {
      execFileSync('umount', [path]);
    }
  });

  it('says what it could not remove, and is not done', () => {
    mkdirSync(folder('lib/tortie/theirs'), { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder('lib/tortie/theirs')]);
    try {
      const { status, text } = uninstall('--yes');
      expect(status, text).to.equal(1);
      expect(text)
        .to.contain(`Cannot remove "${folder('lib/tortie')}"`)
        .and.to.contain('Still there:');
    } finally {
      execFileSync('umount', [folder('lib/tortie/theirs')]);
    }
  });

  it('does not work against a daemon that runs', async () => {
    mkdirSync(folder('run/tortie'), { recursive: true });
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(folder('run/tortie/agent.sock'), resolve));
    try {
      // Another process: this one cannot answer while it waits for it.
      const { status, text } = uninstall('--yes');
      expect(status, text).to.equal(1);
      expect(text).to.contain('tortie agent runs on this node');
      expect(existsSync(folder('run/tortie'))).to.equal(true);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
