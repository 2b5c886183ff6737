/**
 * Unnumbered peers over real links: neither side is told an address. The kernel makes the link-local ones, Router Advertisements carry
 * them, and IPv4 goes with IPv6 next hops (RFC 8950).
 */
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PeerConfig, SessionConfig, SpeakerConfig } from 'node-bgp/config';
import { BgpdProcess } from './bgpd-process.js';
import { cable, eventually, Namespace, sweepOld } from './namespace.js';
import { UnnumberedFrr } from './unnumbered-frr.js';

/** A node with one address of its own, on its loopback, and an unnumbered peer at eth0. */
const nodeConfig = (
  as: number,
  own: readonly [ipv4: string, ipv6: string],
  more: Partial<SessionConfig> = {},
): SpeakerConfig => ({
  localAs: as,
  routerId: own[0],
  installRoutes: true,
  originate: [{ prefix: `${own[0]}/32` }, { prefix: `${own[1]}/128` }],
  peers: [{ interface: 'eth0', remoteAs: 'external', ...more } as PeerConfig],
});

(process.getuid?.() === 0 ? describe : describe.skip)('bgp/unnumbered', function () {
  this.timeout(90_000);
  let directory: string;
  const namespaces: Namespace[] = [];

  before(() => {
    sweepOld();
  });
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-unnumbered-'));
    chmodSync(directory, 0o755); // FRR's daemons drop to the user frr
  });
  afterEach(async () => {
    await Promise.all(namespaces.splice(0).map((namespace) => namespace.remove()));
    rmSync(directory, { recursive: true, force: true });
  });

  function node(role: string, own: readonly [ipv4: string, ipv6: string]): Namespace {
    const namespace = new Namespace(role);
    namespaces.push(namespace);
    namespace.ip('addr', 'add', `${own[0]}/32`, 'dev', 'lo');
    namespace.ip('addr', 'add', `${own[1]}/128`, 'dev', 'lo');
    return namespace;
  }

  const ping = async (from: Namespace, source: string, to: string): Promise<string> =>
    await from.ask('ping', '-n', '-c', '2', '-i', '0.2', '-W', '2', '-I', source, to);
  const linkLocal = (namespace: Namespace): string =>
    /inet6 (fe80:\S+)\//.exec(namespace.ip('-6', 'addr', 'show', 'dev', 'eth0', 'scope', 'link'))?.[1] ?? '';

  const A: readonly [string, string] = ['10.65.1.1', 'fd00:65::1'];
  const B: readonly [string, string] = ['10.65.2.1', 'fd00:65::2'];
  const C: readonly [string, string] = ['10.65.3.1', 'fd00:65::3'];

  for (const [length, ours, theirs] of [
    [30, '192.0.2.1', '192.0.2.2'],
    [31, '192.0.2.1', '192.0.2.0'],
  ] as const)
    it(`a link with a /${length}: FRR has the session there and not at its link-local address, and so have we`, async () => {
      const [left, right] = [node('una', A), node('unf', B)];
      cable(left, 'eth0', right, 'eth0');
      left.ip('addr', 'add', `${ours}/${length}`, 'dev', 'eth0');
      right.ip('addr', 'add', `${theirs}/${length}`, 'dev', 'eth0');
      const bgpd = new BgpdProcess(left, join(directory, 'a'));
      const frr = new UnnumberedFrr(right, join(directory, 'f'), {
        as: 65002,
        routerId: B[0],
        interfaceName: 'eth0',
        prefixes: [`${B[0]}/32`, `${B[1]}/128`],
      });
      await Promise.all([bgpd.start(), frr.start()]);
      await bgpd.configure(nodeConfig(65001, A));
      const detail = async (): Promise<string> =>
        `${bgpd.log}\n${await frr.vtysh('show bgp summary', 'show bgp neighbors', 'show ip route')}\n${left.ip('route')}`;
      await eventually('the session is up', () => bgpd.isEstablished('eth0'), detail);
      expect(await bgpd.neighbor('eth0')).to.include({ address: `${theirs}%eth0`, establishedCount: 1 });
      await eventually(
        'routes are in both kernels',
        () =>
          [left.ip('route', 'show', B[0]), left.ip('-6', 'route', 'show', B[1])].every((text) => text !== '') &&
          right.ip('route', 'show', A[0]) !== '' &&
          right.ip('-6', 'route', 'show', A[1]) !== '',
        detail,
      );
      expect(await ping(left, A[0], B[0])).to.contain(' 0% packet loss');
      expect(await ping(left, A[1], B[1])).to.contain(' 0% packet loss');
    });

  it('FRR and we find each other; IPv4 and IPv6 are forwarded over link-local next hops', async () => {
    const [left, right] = [node('una', A), node('unf', B)];
    cable(left, 'eth0', right, 'eth0');
    const bgpd = new BgpdProcess(left, join(directory, 'a'));
    const frr = new UnnumberedFrr(right, join(directory, 'f'), {
      as: 65002,
      routerId: B[0],
      interfaceName: 'eth0',
      prefixes: [`${B[0]}/32`, `${B[1]}/128`],
    });
    await Promise.all([bgpd.start(), frr.start()]);
    await bgpd.configure(nodeConfig(65001, A));
    const detail = async (): Promise<string> =>
      `${bgpd.log}\n${await frr.vtysh('show bgp summary', 'show bgp neighbors', 'show ip route')}\n${left.ip('route')}`;
    await eventually('the session is up', () => bgpd.isEstablished('eth0'), detail);
    await eventually(
      'routes are in both kernels',
      () =>
        [left.ip('route', 'show', B[0]), left.ip('-6', 'route', 'show', B[1])].every((text) =>
          text.includes(linkLocal(right)),
        ) &&
        right.ip('route', 'show', A[0]).includes(`inet6 ${linkLocal(left)}`) &&
        right.ip('-6', 'route', 'show', A[1]).includes(linkLocal(left)),
      detail,
    );
    expect(await ping(left, A[0], B[0])).to.contain(' 0% packet loss');
    expect(await ping(left, A[1], B[1])).to.contain(' 0% packet loss');
    const summary = await bgpd.neighbor('eth0');
    expect(summary).to.include({
      name: 'eth0',
      interface: 'eth0',
      address: `${linkLocal(right)}%eth0`,
      remoteAs: 65002,
      type: 'ebgp',
    });
    expect(summary.capabilities.extendedNextHop).to.equal(true);
    expect(await frr.vtysh('show bgp neighbors eth0')).to.match(
      new RegExp(`BGP neighbor on eth0: ${linkLocal(left)}, remote AS 65001`),
    );
    // Nobody became anybody's default router.
    expect(right.ip('-6', 'route', 'show', 'default')).to.equal('');

    right.ip('link', 'set', 'eth0', 'down');
    await eventually(
      'the session is gone with the link',
      async () => !(await bgpd.isEstablished('eth0')) && left.ip('route', 'show', B[0]) === '',
      detail,
    );
    right.ip('link', 'set', 'eth0', 'up');
    await eventually('the session is back', () => bgpd.isEstablished('eth0'), detail, 40_000);
    await eventually(
      'routes are back',
      () =>
        left.ip('route', 'show', B[0]).includes(linkLocal(right)) &&
        right.ip('route', 'show', A[0]).includes(linkLocal(left)),
      detail,
    );
    expect(await ping(left, A[0], B[0])).to.contain(' 0% packet loss');
  });

  it('two of ours find each other, through a link that goes and comes, as soon as duplicate detection lets them', async () => {
    const [left, right] = [node('una', A), node('unb', B)];
    for (const each of [left, right])
      each.exec('sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=1', 'net.ipv6.conf.default.accept_dad=1');
    cable(left, 'eth0', right, 'eth0');
    const [a, b] = [new BgpdProcess(left, join(directory, 'a')), new BgpdProcess(right, join(directory, 'b'))];
    await Promise.all([a.start(), b.start()]);
    const secured = { password: 'first-key', bfd: { transmitInterval: 100, receiveInterval: 100 }, ttlSecurityHops: 1 };
    await Promise.all([a.configure(nodeConfig(65001, A, secured)), b.configure(nodeConfig(65002, B, secured))]);
    const detail = (): string => `${a.log}\n${b.log}\n${left.ip('route')}\n${left.ip('-6', 'route')}`;
    const isThere = (): boolean =>
      [left.ip('route', 'show', B[0]), left.ip('-6', 'route', 'show', B[1])].every((text) =>
        text.includes(linkLocal(right)),
      );
    await eventually('routes are in the kernel', isThere, detail);
    expect(await ping(left, A[0], B[0])).to.contain(' 0% packet loss');

    right.ip('link', 'set', 'eth0', 'down');
    await eventually('the session is gone with the link', async () => !(await a.isEstablished('eth0')), detail);
    expect((await a.neighbor('eth0')).heldDown).to.equal('Interface eth0 is down or has lost its carrier');
    expect((await a.neighbor('eth0')).address).to.equal('eth0');
    right.ip('link', 'set', 'eth0', 'up');
    await eventually('routes are back in the kernel', isThere, detail);
    expect(await ping(left, A[1], B[1])).to.contain(' 0% packet loss');
    await eventually('BFD watches', async () => (await a.neighbor('eth0')).bfd === 'up', detail);
  });

  it('a killed daemon finds its neighbour again before it lets go of its routes', async () => {
    const [left, right] = [node('una', A), node('unb', B)];
    cable(left, 'eth0', right, 'eth0');
    const [a, b] = [new BgpdProcess(left, join(directory, 'a')), new BgpdProcess(right, join(directory, 'b'))];
    await Promise.all([a.start(), b.start()]);
    await Promise.all([a.configure(nodeConfig(65001, A)), b.configure(nodeConfig(65002, B))]);
    const detail = (): string => `${a.log}\n${b.log}\n${left.ip('route')}`;
    const isThere = (): boolean =>
      left.ip('route', 'show', B[0]).includes(linkLocal(right)) &&
      right.ip('route', 'show', A[0]).includes(linkLocal(left));
    await eventually('routes are in both kernels', isThere, detail);
    const changes = spawn('ip', ['-n', left.name, 'monitor', 'route']);
    let seen = '';
    changes.stdout.on('data', (bytes: Buffer) => {
      seen += bytes.toString();
    });
    await a.kill();
    await a.start();
    await eventually('the restart is over', () => a.log.includes('restart is over'), detail);
    expect(await a.isEstablished('eth0')).to.equal(true);
    expect(a.log).to.match(/restart is over: (?!.*time)/);
    changes.kill();
    expect(isThere()).to.equal(true);
    expect(seen).to.not.contain(`Deleted ${B[0]}`);
  });

  it('another router on the cable is found, with the address that it has', async () => {
    const [left, first, second] = [node('una', A), node('unb', B), node('unc', C)];
    cable(left, 'eth0', first, 'eth0');
    const [a, b, c] = [
      new BgpdProcess(left, join(directory, 'a')),
      new BgpdProcess(first, join(directory, 'b')),
      new BgpdProcess(second, join(directory, 'c')),
    ];
    await Promise.all([a.start(), b.start(), c.start()]);
    await Promise.all([
      a.configure(nodeConfig(65001, A)),
      b.configure(nodeConfig(65002, B)),
      c.configure(nodeConfig(65003, C)),
    ]);
    const detail = (): string => `${a.log}\n${b.log}\n${c.log}\n${left.ip('route')}`;
    await eventually(
      'the first is a peer',
      async () => (await a.neighbor('eth0')).remoteAs === 65002 && left.ip('route', 'show', B[0]) !== '',
      detail,
    );
    const before = (await a.neighbor('eth0')).address;

    first.ip('link', 'del', 'eth0');
    await eventually(
      'the interface is gone',
      async () => (await a.neighbor('eth0')).heldDown === 'Interface eth0 does not exist',
      detail,
    );
    cable(left, 'eth0', second, 'eth0');
    await eventually(
      'the second is a peer',
      async () =>
        (await a.neighbor('eth0')).remoteAs === 65003 && left.ip('route', 'show', C[0]).includes(linkLocal(second)),
      detail,
    );
    expect((await a.neighbor('eth0')).address)
      .to.equal(`${linkLocal(second)}%eth0`)
      .and.not.equal(before);
    expect(left.ip('route', 'show', B[0])).to.equal('');
    expect(await ping(left, A[0], C[0])).to.contain(' 0% packet loss');
  });
});
