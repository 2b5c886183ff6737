import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  inNamespace,
  inScratchNamespace,
  listenInNamespace,
  NamespaceError,
  namespaceIdentity,
  openNamespace,
} from '../../src/dataplane/netns.js';
import { readSysctl, SysctlError, writeSysctl } from '../../src/dataplane/sysctl.js';
import { exchange } from './exchange.js';
import { newDescriptors, ownDescriptors } from './own-descriptors.js';
import { ip, nameOf, ScratchNamespaces } from './scratch-namespaces.js';

describe('network namespaces', () => {
  const namespaces = new ScratchNamespaces('tnetns');
  let first: string;
  let second: string;
  before(() => {
    first = namespaces.create();
    second = namespaces.create();
  });
  after(() => namespaces.removeAll());

  const here = (): string => namespaceIdentity('/proc/thread-self/ns/net');
  const home = here();

  it('are entered for a task and left again, also when it throws', () => {
    expect(inNamespace(first, here)).to.equal(namespaceIdentity(first));
    expect(here()).to.equal(home);
    expect(() =>
      inNamespace(first, () => {
        throw new Error('inside');
      }),
    ).to.throw('inside');
    expect(here()).to.equal(home);
  });

  it('nest', () => {
    const seen = inNamespace(first, () => [here(), inNamespace(second, here), here()]);
    expect(seen).to.deep.equal([namespaceIdentity(first), namespaceIdentity(second), namespaceIdentity(first)]);
    expect(here()).to.equal(home);
  });

  it('are entered by descriptor, also when the path has gone', () => {
    const path = namespaces.create();
    const fd = openNamespace(path);
    namespaces.remove(path);
    expect(inNamespace(fd, () => readFileSync('/proc/thread-self/net/dev', 'utf8'))).to.include('lo:');
    closeSync(fd);
  });

  it('refuse a task that goes on after its window', () => {
    expect(() => inNamespace(first, async () => 1)).to.throw(TypeError, 'must be synchronous');
    expect(here()).to.equal(home);
  });

  it('keep no thread: the pool is made before the first window', async () => {
    // In a process of its own, where nothing has used the pool yet.
    const script = `
      const { inNamespace } = await import(${JSON.stringify(fileURLToPath(new URL('../../src/dataplane/netns.js', import.meta.url)))});
      const { stat, readlinkSync, readdirSync } = await import('node:fs');
      await new Promise((done) => inNamespace(${JSON.stringify(first)}, () => void stat('/', done)));
      console.log(new Set(readdirSync('/proc/self/task').map((id) => readlinkSync('/proc/self/task/' + id + '/ns/net'))).size);`;
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).trim()).to.equal(
      '1',
    );
    inNamespace(first, here);
    await Promise.all(Array.from({ length: 8 }, () => stat('/')));
    const threads = new Set(readdirSync('/proc/self/task').map((id) => readlinkSync(`/proc/self/task/${id}/ns/net`)));
    expect([...threads]).to.deep.equal([readlinkSync('/proc/self/ns/net')]);
  });

  it('that are not there, or are no namespaces, are named', () => {
    expect(() => inNamespace('/run/netns/nonesuch', here))
      .to.throw(NamespaceError, 'Cannot open network namespace "/run/netns/nonesuch": there is none at that path')
      .with.property('isGone', true);
    const directory = mkdtempSync(join(tmpdir(), 'tortie-netns-'));
    const file = join(directory, 'x');
    writeFileSync(file, '');
    expect(() => inNamespace(file, here)).to.throw(
      NamespaceError,
      `Cannot use "${file}" as a network namespace: expected a file of /proc/<pid>/ns/net or a mount of one`,
    );
    // A namespace, but of another kind.
    expect(() => inNamespace('/proc/self/ns/uts', here)).to.throw('Cannot enter the network namespace');
    expect(() => openNamespace(directory)).to.throw(NamespaceError);
    expect(here()).to.equal(home);
    rmSync(directory, { recursive: true });
  });

  it('leak no descriptor', () => {
    inNamespace(first, here);
    const before = ownDescriptors();
    for (let i = 0; i < 20; i++) {
      inNamespace(first, here);
      expect(() => inNamespace('/run/netns/nonesuch', here)).to.throw();
      inScratchNamespace(here);
    }
    expect(newDescriptors(before)).to.deep.equal([]);
  });

  it('hold listening sockets of a process that stays outside, in both families', async () => {
    for (const [at, cidr] of [
      ['192.0.2.1', '192.0.2.1/32'],
      ['2001:db8::1', '2001:db8::1/128'],
    ] as const) {
      // Without nodad an IPv6 address may be tentative for a moment, also on lo.
      ip(first, 'addr', 'add', cidr, 'dev', 'lo', ...(at.includes(':') ? ['nodad'] : []));
      expect(await exchange(first, first, at)).to.equal('hello');
      await exchange(second, first, at).then(
        () => expect.fail('the other namespace has no way there'),
        (error: unknown) => expect(error).to.be.an('error'),
      );
    }
  });

  it('give their ports once', () => {
    const fd = listenInNamespace(first, '127.0.0.1', 8123);
    expect(() => listenInNamespace(first, '127.0.0.1', 8123)).to.throw('address already in use (EADDRINUSE)');
    const other = listenInNamespace(second, '127.0.0.1', 8123);
    for (const open of [fd, other]) closeSync(open);
  });

  it('can be made for a moment', () => {
    const seen = inScratchNamespace(() => ({ identity: here(), links: readdirSync('/proc/thread-self/net').length }));
    expect([home, namespaceIdentity(first)]).not.to.include(seen.identity);
    expect(here()).to.equal(home);
  });

  describe('and their parameters', () => {
    it('are those of the window', () => {
      const path = ['net', 'ipv4', 'conf', 'lo', 'forwarding'];
      inNamespace(first, () => writeSysctl(path, 1));
      inNamespace(second, () => writeSysctl(path, 0));
      expect([first, second].map((namespace) => inNamespace(namespace, () => readSysctl(path)))).to.deep.equal([
        '1',
        '0',
      ]);
      expect(nameOf(first)).to.match(/^tnetns-/);
    });

    it('that do not exist, or do not take the value, are named as sysctl names them', () => {
      expect(() => inNamespace(first, () => writeSysctl(['net', 'ipv4', 'conf', 'eth0.7', 'forwarding'], 1)))
        .to.throw(SysctlError, 'Cannot set net.ipv4.conf.eth0/7.forwarding to 1: this kernel has no such parameter')
        .with.property('isMissing', true);
      expect(() => inNamespace(first, () => writeSysctl(['net', 'ipv4', 'conf', 'lo', 'forwarding'], 'x')))
        .to.throw(SysctlError, 'Cannot set net.ipv4.conf.lo.forwarding to x: EINVAL')
        .with.property('isMissing', false);
      expect(() => readSysctl(['net', '..', 'kernel'])).to.throw(RangeError, '".." is no segment of a sysctl name');
    });
  });
});
