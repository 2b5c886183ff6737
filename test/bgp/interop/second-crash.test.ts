/**
 * A daemon that is killed again while it restarts, in a rack of real links: the other node of its mesh is reached by loopbacks that only
 * the router knows, and the router keeps nothing over a crash, as FRR keeps nothing over the second of two (RFC 4724 section 4.2).
 */
import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PeerConfig, SpeakerConfig } from 'node-bgp/config';
import { BgpdProcess } from './bgpd-process.js';
import { cable, eventually, Namespace, sweepOld } from './namespace.js';

const [A, C] = ['10.65.1.1', '10.65.3.1'] as const;

const onLink = (name: string, more: object): PeerConfig =>
  ({ interface: name, remoteAs: 'external', families: ['ipv4'], ...more }) as PeerConfig;

const nodeConfig = (own: string, other: string): SpeakerConfig => ({
  localAs: 64512,
  routerId: own,
  installRoutes: true,
  // The mesh must not carry the address that it is reached by.
  originate: [{ prefix: `${own}/32`, tags: ['node'] }],
  filters: { blocks: { rules: [{ match: { tags: ['block'] }, action: 'accept' }], default: 'reject' } },
  peers: [
    onLink('eth0', { allowLocalAs: 1 }),
    { name: 'mesh', address: other, localAddress: own, remoteAs: 64512, families: ['ipv4'], export: ['blocks'] },
  ],
});

const ROUTER: SpeakerConfig = {
  localAs: 65010,
  routerId: '10.65.2.1',
  installRoutes: true,
  peers: ['eth0', 'eth1'].map((name) => onLink(name, { gracefulRestart: false })),
};

(process.getuid?.() === 0 ? describe : describe.skip)('bgp/second crash', function () {
  this.timeout(120_000);
  let directory = '';
  const namespaces: Namespace[] = [];

  before(() => {
    sweepOld();
  });
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-second-crash-'));
  });
  afterEach(async () => {
    await Promise.all(namespaces.splice(0).map((namespace) => namespace.remove()));
    rmSync(directory, { recursive: true, force: true });
  });

  it('the mesh is back before the restart is given up: its own address was said first', async () => {
    const [left, middle, right] = ['sca', 'scr', 'scb'].map((role) => new Namespace(role)) as [
      Namespace,
      Namespace,
      Namespace,
    ];
    namespaces.push(left, middle, right);
    left.ip('addr', 'add', `${A}/32`, 'dev', 'lo');
    right.ip('addr', 'add', `${C}/32`, 'dev', 'lo');
    middle.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    cable(left, 'eth0', middle, 'eth0');
    cable(right, 'eth0', middle, 'eth1');
    const [a, router, c] = [left, middle, right].map(
      (namespace, i) => new BgpdProcess(namespace, join(directory, String(i))),
    ) as [BgpdProcess, BgpdProcess, BgpdProcess];
    await Promise.all([a.start(), router.start(), c.start()]);
    await Promise.all([a.configure(nodeConfig(A, C)), router.configure(ROUTER), c.configure(nodeConfig(C, A))]);
    const detail = (): string => [a, router, c].map(({ log }) => log).join('\n---\n') + left.ip('route');
    await eventually(
      'the mesh is up and its way in both kernels',
      async () =>
        (await a.isEstablished('mesh')) && left.ip('route', 'show', C) !== '' && right.ip('route', 'show', A) !== '',
      detail,
      40_000,
    );

    await a.kill();
    await a.start();
    await a.kill();
    const before = a.log.length;
    await a.start();
    await eventually('the restart is over', () => a.log.slice(before).includes('restart is over'), detail, 60_000);
    expect(await a.isEstablished('mesh'), detail()).to.equal(true);
    expect(left.ip('route', 'show', C)).to.not.equal('');
    expect(right.ip('route', 'show', A)).to.not.equal('');
  });
});
