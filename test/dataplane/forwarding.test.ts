import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { enableForwarding } from '../../src/dataplane/forwarding.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { exec, ip, nameOf, ScratchNamespaces, until } from './scratch-namespaces.js';

/** BIRD as a router that says so in Router Advertisements (RFC 4861). */
const ROUTER = `
router id 192.0.2.1;
protocol device { }
protocol radv { interface "eth0" { min ra interval 3; max ra interval 4; default lifetime 60; prefix 2001:db8:5::/64; }; }
`;

describe('forwarding', function () {
  this.timeout(60_000);
  const namespaces = new ScratchNamespaces('tfwd');
  const directory = mkdtempSync(join(tmpdir(), 'tortie-forwarding-'));
  let host: string;
  let router: ChildProcess | undefined;
  const read = (key: string): string => exec(host, 'sysctl', '-n', `net.${key}`).trim();
  const defaults = (): string => ip(host, '-6', 'route', 'show', 'default', 'proto', 'ra').trim();

  before(() => {
    host = namespaces.create();
    const far = namespaces.create();
    ip(host, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', nameOf(far));
    ip(host, 'link', 'add', 'quiet0', 'type', 'bridge');
    exec(host, 'sysctl', '-qw', 'net.ipv6.conf.quiet0.accept_ra=0');
    for (const namespace of [host, far]) ip(namespace, 'link', 'set', 'eth0', 'up');
    exec(far, 'sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1', 'net.ipv6.conf.eth0.accept_dad=0');
    ip(far, 'addr', 'add', '2001:db8:5::1/64', 'dev', 'eth0');
    const config = join(directory, 'bird.conf');
    writeFileSync(config, ROUTER);
    router = spawn('ip', ['netns', 'exec', nameOf(far), 'bird', '-f', '-c', config, '-s', join(directory, 'ctl')], {
      stdio: 'ignore',
    });
  });
  after(async () => {
    const ended = new Promise((resolve) => router?.once('exit', resolve));
    router?.kill('SIGKILL');
    await ended;
    namespaces.removeAll();
    rmSync(directory, { recursive: true });
  });

  it('leaves the default route that Router Advertisements brought, and goes on hearing them', async () => {
    await until('the router to be heard', () => defaults() !== '', 20_000);
    const result = inNamespace(host, enableForwarding);
    expect(result).to.deep.equal({ families: [4, 6], stillListening: ['eth0'] });
    expect(['ipv4.ip_forward', 'ipv6.conf.all.forwarding', 'ipv6.conf.eth0.accept_ra'].map(read)).to.deep.equal([
      '1',
      '1',
      '2',
    ]);
    expect(read('ipv6.conf.quiet0.accept_ra'), 'who did not listen does not begin to').to.equal('0');
    expect(defaults()).to.include('dev eth0');
    ip(host, '-6', 'route', 'flush', 'default');
    await until('the router to be heard again', () => defaults() !== '', 20_000);
  });

  it('changes nothing the second time', () => {
    expect(inNamespace(host, enableForwarding)).to.deep.equal({ families: [4, 6], stillListening: [] });
  });
});
