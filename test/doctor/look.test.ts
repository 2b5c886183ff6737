/** What the doctor sees of a real machine: a namespace that is made the way it shall be seen. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HOST_FILES } from '../../src/cni/host-files.js';
import { inNamespace, listenInNamespace } from '../../src/dataplane/netns.js';
import { CHECKS } from '../../src/doctor/finding.js';
import { sentences } from '../../src/doctor/foreign-chains.js';
import { lookAtNode } from '../../src/doctor/gather-node.js';
import { KernelWitness, type LinkFact, type RouteFact } from '../../src/doctor/kernel-witness.js';
import { socketsIn } from '../../src/doctor/listeners.js';
import type { NodeFacts } from '../../src/doctor/node-facts.js';
import { exec, ip, ScratchNamespaces } from '../dataplane/scratch-namespaces.js';

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

describe('doctor: what it sees', function () {
  this.timeout(60_000);
  const namespaces = new ScratchNamespaces('doctor');
  let netns: string;
  let directory: string;
  let server: Server | undefined;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-doctor-'));
    netns = namespaces.create();
    ip(netns, 'link', 'add', 'up0', 'mtu', '1400', 'type', 'veth', 'peer', 'name', 'far0');
    ip(netns, 'link', 'add', 'cali0123', 'type', 'veth', 'peer', 'name', 'tort0123');
    for (const name of ['up0', 'far0', 'cali0123', 'tort0123']) ip(netns, 'link', 'set', name, 'up');
    ip(netns, 'addr', 'add', '192.0.2.1/24', 'dev', 'up0');
    ip(netns, 'addr', 'add', '2001:db8::1/64', 'dev', 'up0', 'nodad');
    ip(netns, 'route', 'add', 'default', 'via', '192.0.2.254');
    ip(netns, 'route', 'add', '203.0.113.0/26', 'via', 'inet6', '2001:db8::2', 'dev', 'up0');
    ip(
      netns,
      'route',
      'add',
      '203.0.113.64/26',
      'nexthop',
      'via',
      '192.0.2.2',
      'nexthop',
      'via',
      'inet6',
      '2001:db8::3',
      'dev',
      'up0',
    );
    ip(netns, 'route', 'add', 'blackhole', '10.0.0.0/26', 'proto', '171');
    ip(netns, 'route', 'add', '10.0.0.5', 'dev', 'tort0123', 'proto', '171');
    ip(netns, 'route', 'add', '10.8.0.0/16', 'via', '192.0.2.2', 'table', '77');
    ip(netns, '-6', 'route', 'add', 'fd00::/64', 'via', '2001:db8::2');
    ip(netns, 'neigh', 'add', '192.0.2.254', 'lladdr', '02:00:00:00:00:01', 'dev', 'up0', 'nud', 'stale');
    ip(netns, 'neigh', 'add', '192.0.2.253', 'lladdr', '02:00:00:00:00:02', 'dev', 'up0', 'nud', 'permanent');
    exec(netns, 'iptables-nft', '-N', 'cali-FORWARD');
  });
  after(() => {
    server?.close();
    namespaces.removeAll();
    rmSync(directory, { recursive: true, force: true });
  });

  describe('of the kernel, by the other library', () => {
    let links: readonly LinkFact[];
    let routes: readonly RouteFact[];
    let neighbours: Readonly<Record<4 | 6, number>>;
    before(async () => {
      const witness = inNamespace(netns, () => new KernelWitness());
      try {
        links = await witness.links();
        routes = await witness.routes();
        neighbours = await witness.neighbours();
      } finally {
        witness.close();
      }
    });
    const indexOf = (name: string): number | undefined => links.find((link) => link.name === name)?.index;
    const hops = (prefix: string) =>
      routes
        .filter((route) => route.prefix === prefix)
        .map(({ protocol, type, nextHops }) => ({ protocol, type, nextHops }));

    it('links with MTU and addresses', () => {
      const up = links.find(({ name }) => name === 'up0');
      expect(up?.mtu).to.equal(1400);
      expect(up?.addresses).to.deep.include({ address: '192.0.2.1', prefixLength: 24 });
      expect(up?.addresses).to.deep.include({ address: '2001:db8::1', prefixLength: 64 });
      expect(links.filter(({ isLoopback }) => isLoopback).map(({ name }) => name)).to.deep.equal(['lo']);
    });
    it('routes, with gateways of the other family and of several next hops', () => {
      const up = indexOf('up0');
      expect(hops('0.0.0.0/0')).to.deep.equal([
        { protocol: 3, type: 1, nextHops: [{ interfaceIndex: up, via: '192.0.2.254' }] },
      ]);
      expect(hops('203.0.113.0/26')).to.deep.equal([
        { protocol: 3, type: 1, nextHops: [{ interfaceIndex: up, via: '2001:db8::2' }] },
      ]);
      expect(hops('203.0.113.64/26')).to.deep.equal([
        {
          protocol: 3,
          type: 1,
          nextHops: [
            { interfaceIndex: up, via: '192.0.2.2' },
            { interfaceIndex: up, via: '2001:db8::3' },
          ],
        },
      ]);
      expect(hops('10.0.0.0/26')).to.deep.equal([{ protocol: 171, type: 6, nextHops: [] }]);
      expect(hops('10.0.0.5/32')).to.deep.equal([
        { protocol: 171, type: 1, nextHops: [{ interfaceIndex: indexOf('tort0123') }] },
      ]);
      expect(hops('fd00::/64')).to.deep.equal([
        { protocol: 3, type: 1, nextHops: [{ interfaceIndex: up, via: '2001:db8::2' }] },
      ]);
    });
    it('no routes of other tables', () => expect(hops('10.8.0.0/16')).to.deep.equal([]));
    it('neighbours that count', () => expect(neighbours[4]).to.equal(1));
  });

  it('all of a machine', async () => {
    mkdirSync(join(directory, 'root/run/systemd/netif'), { recursive: true });
    mkdirSync(join(directory, 'root/etc/systemd/network'), { recursive: true });
    const [, networkFile] = HOST_FILES;
    writeFileSync(join(directory, 'root/etc', networkFile?.path ?? ''), networkFile?.content ?? '');
    mkdirSync(join(directory, 'net.d'));
    for (const name of ['10-tortie.conflist', '05-x.conf', 'README']) writeFileSync(join(directory, 'net.d', name), '');
    server = createServer().listen({ fd: listenInNamespace(netns, '192.0.2.1', 179) });
    const facts: NodeFacts = await lookAtNode({
      node: 'a',
      netns,
      runDir: directory,
      hostRoot: join(directory, 'root'),
      cniConfDir: join(directory, 'net.d'),
    });
    expect(facts.unread).to.deep.equal([]);
    expect(facts.cniFiles).to.deep.equal(['05-x.conf', '10-tortie.conflist']);
    expect(facts.managers).to.deep.equal([
      { name: 'systemd-networkd', missing: ['/etc/systemd/networkd.conf.d/90-tortie.conf'] },
    ]);
    expect(facts.chains).to.deep.equal(['1 chain of Calico in iptables-nft, such as cali-FORWARD']);
    expect(facts.listeners).to.deep.equal([
      { address: '192.0.2.1', port: 179, owner: { pid: process.pid, name: facts.listeners?.[0]?.owner?.name } },
    ]);
    expect(facts.sysctls.get('net.ipv4.ip_forward')).to.match(/^[01]$/);
    expect(facts.sysctls.has('net.ipv4.conf.up0.rp_filter')).to.equal(true);
    expect(facts.features?.length).to.be.greaterThan(5);
    expect('problem' in facts.bgpd && facts.bgpd.problem).to.match(/does not exist/);
  });

  it('is what the command says, with its exit code', () => {
    const doctor = (...args: readonly string[]) => {
      const result = spawnSync(process.execPath, [CLI, 'doctor', ...args], {
        encoding: 'utf8',
        env: { ...process.env, KUBECONFIG: join(directory, 'none'), TORTIE_RUN_DIR: directory, NODE_NAME: 'a' },
      });
      return { code: result.status, text: result.stdout, error: result.stderr };
    };
    const sick = doctor('--node', 'a', '--netns', netns, '--cni-conf-dir', join(directory, 'net.d'), '-o', 'json');
    expect(sick.code, sick.error).to.equal(1);
    const { looked, findings } = JSON.parse(sick.text) as {
      looked: string[];
      findings: { check: string; evidence: string }[];
    };
    expect(looked).to.deep.equal(['node "a"']);
    const found = new Set(findings.map(({ check }) => check));
    for (const check of ['bgpd', 'leftover', 'cni-config', 'mtu', 'unread']) expect(found).to.include(check);
    const ignored = doctor('--node', 'a', '--netns', netns, ...[...found].flatMap((check) => ['--ignore', check]));
    expect(ignored.code, ignored.text).to.equal(0);
    expect(ignored.text).to.match(/^Looked at node "a": 0 errors, 0 warnings, 0 notes\.\n$/);
    expect(doctor('--ignore', 'nonsense').code).to.equal(2);
    const nowhere = doctor();
    expect(nowhere.code).to.equal(1);
    expect(nowhere.error).to.match(/^There is nothing to look at: this machine runs no Tortie/);
  });

  it('leaves a namespace as it was: no table of iptables is made by looking', async () => {
    const clean = namespaces.create();
    await lookAtNode({ node: 'a', netns: clean, runDir: directory, cniConfDir: join(directory, 'net.d') });
    expect(exec(clean, 'nft', 'list', 'tables')).to.equal('');
    expect(exec(clean, 'cat', '/proc/net/ip_tables_names')).to.equal('');
  });
});

describe('doctor: its checks', () =>
  it('are those that docs/operations.md lists', () => {
    const text = readFileSync(fileURLToPath(new URL('../../../docs/operations.md', import.meta.url)), 'utf8');
    for (const [name, what] of Object.entries(CHECKS)) expect(text).to.include(`| \`${name}\` | ${what} |`);
  }));

describe('doctor: texts of /proc and iptables', () => {
  it('listening sockets, of both families', () => {
    const table = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 0100007F:00B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1',
      '   1: 0100007F:00B3 0200007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1',
      '   2: B80D0120000000000000000001000000:00B3 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4713 1',
    ].join('\n');
    expect(socketsIn(table)).to.deep.equal([
      { address: '127.0.0.1', port: 179, inode: '4711' },
      { address: '2001:db8::1', port: 179, inode: '4713' },
    ]);
  });
  it('chains, by whose they are', () =>
    expect(
      sentences(['INPUT', 'cali-a', 'cali-b', 'FLANNEL-FWD', 'TORTIE-IN', 'KUBE-FORWARD'], 'iptables-legacy'),
    ).to.deep.equal([
      '2 chains of Calico in iptables-legacy, such as cali-a',
      '1 chain of flannel in iptables-legacy, such as FLANNEL-FWD',
    ]));
});
