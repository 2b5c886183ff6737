/** The raw socket on a real link: what the kernel lets through, and what we say when it does not let us. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DiscoveryError } from 'node-bgp/discovery/contract';
import { openRouterSocket } from 'node-bgp/discovery/icmpv6-socket';
import { cable, eventually, Namespace, sweepOld } from '../interop/namespace.js';

const NODE = fileURLToPath(new URL('./router-node.js', import.meta.url));
const NO_EVENTS = { onMessage: () => undefined, onFailure: () => undefined };

(process.getuid?.() === 0 ? describe : describe.skip)('bgp/discovery icmpv6-socket', function () {
  this.timeout(30_000);
  const directory = mkdtempSync(join(tmpdir(), 'tortie-icmpv6-'));
  const namespaces: Namespace[] = [];
  after(async () => {
    await Promise.all(namespaces.map((namespace) => namespace.remove()));
    rmSync(directory, { recursive: true, force: true });
  });

  it('hears routers of its own link, only with hop limit 255, and nobody else', async () => {
    sweepOld();
    const [left, right] = [new Namespace('ica'), new Namespace('icb')];
    namespaces.push(left, right);
    cable(left, 'eth0', right, 'eth0');
    const linkLocal = (each: Namespace): string =>
      /inet6 (fe80:\S+)\//.exec(each.ip('-6', 'addr', 'show', 'dev', 'eth0', 'scope', 'link'))?.[1] ?? '';
    await eventually('both ends have an address', () => [left, right].every((each) => linkLocal(each) !== ''));
    const file = join(directory, 'heard');
    left.daemon(file, [process.execPath, NODE, 'listen', 'eth0']);
    const heard = (): readonly string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1);
    await eventually('somebody listens', () => heard().includes('ready'));
    expect(await right.ask(process.execPath, NODE, 'send', 'eth0')).to.equal('[]\n');
    await eventually('something is heard', () => heard().length >= 3);
    expect(heard()).to.deep.equal(['ready', `${linkLocal(right)} 133 16`, `${linkLocal(right)} 134 24`]);
  });

  it('says which interface does not exist', () =>
    expect(() => openRouterSocket('nowhere0', NO_EVENTS)).to.throw(
      DiscoveryError,
      'Cannot look for a neighbour on interface nowhere0: it does not exist',
    ));

  it('says what it needs where it is not root', () => {
    const { stdout } = spawnSync(
      'setpriv',
      ['--reuid', '65534', '--clear-groups', process.execPath, NODE, 'listen', 'lo'],
      { encoding: 'utf8' },
    );
    expect(stdout).to.equal(
      'Cannot look for a neighbour on interface lo: raw sockets need root or CAP_NET_RAW; one that connects is still accepted\n',
    );
  });
});
