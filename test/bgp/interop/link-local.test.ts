/** Peers over link-local addresses, without a number of their own: IPv4 goes with IPv6 next hops (RFC 8950). Both ends are ours. */
import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SpeakerConfig } from 'node-bgp/config';
import { BgpdProcess } from './bgpd-process.js';
import { cable, eventually, Namespace, sweepOld } from './namespace.js';

(process.getuid?.() === 0 ? describe : describe.skip)('bgp/link-local', function () {
  this.timeout(60_000);
  const directory = mkdtempSync(join(tmpdir(), 'tortie-link-local-'));
  const namespaces: Namespace[] = [];
  after(async () => {
    await Promise.all(namespaces.map((namespace) => namespace.remove()));
    rmSync(directory, { recursive: true, force: true });
  });

  it('come up by address and interface, or out of a range on a link, with TCP-MD5; a key is exchanged without a flap', async () => {
    sweepOld();
    const [left, right] = [new Namespace('lla'), new Namespace('llb')];
    namespaces.push(left, right);
    cable(left, 'eth0', right, 'eth0');
    left.ip('addr', 'add', 'fe80::1/64', 'dev', 'eth0', 'nodad');
    right.ip('addr', 'add', 'fe80::2/64', 'dev', 'eth0', 'nodad');
    left.ip('addr', 'add', '10.65.1.1/32', 'dev', 'lo');
    right.ip('addr', 'add', '10.65.2.1/32', 'dev', 'lo');
    const [a, b] = [new BgpdProcess(left, join(directory, 'a')), new BgpdProcess(right, join(directory, 'b'))];
    const configs = (password: string): readonly [SpeakerConfig, SpeakerConfig] => [
      {
        localAs: 64512,
        routerId: '10.65.1.1',
        installRoutes: true,
        originate: [{ prefix: '10.65.1.1/32' }],
        peers: [{ name: 'spine', address: 'fe80::2%eth0', localAddress: 'fe80::1%eth0', remoteAs: 64513, password }],
      },
      {
        localAs: 64513,
        routerId: '10.65.2.1',
        installRoutes: true,
        originate: [{ prefix: '10.65.2.1/32' }],
        dynamicPeers: [{ name: 'leaf', range: 'fe80::/10', interface: 'eth0', remoteAs: 64512, password }],
      },
    ];
    await Promise.all([a.start(), b.start()]);
    const apply = async (password: string): Promise<void> => {
      const [one, two] = configs(password);
      await Promise.all([a.configure(one), b.configure(two)]);
    };
    await apply('first-key');
    await eventually(
      'the session is up',
      () => a.isEstablished('spine'),
      () => `${a.log}\n${b.log}`,
    );
    await eventually(
      'the routes are in the kernels',
      () =>
        left.ip('route', 'show', '10.65.2.1').includes('inet6 fe80::2') &&
        right.ip('route', 'show', '10.65.1.1').includes('inet6 fe80::1'),
      () => `${left.ip('route')}\n${right.ip('route')}\n${a.log}\n${b.log}`,
    );
    expect(await left.ask('ping', '-n', '-c', '2', '-i', '0.2', '-W', '2', '-I', '10.65.1.1', '10.65.2.1')).to.contain(
      ' 0% packet loss',
    );

    await apply('second-key');
    await a.clear('spine', true);
    await eventually(
      'both still talk',
      async () => ((await a.neighbor('spine')).received?.routeRefresh ?? 0) > 0,
      () => `${a.log}\n${b.log}`,
    );
    expect((await a.neighbor('spine')).establishedCount).to.equal(1);
    expect(`${a.log}${b.log}`).to.not.match(/first-key|second-key/);
  });
});
