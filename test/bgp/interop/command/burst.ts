/**
 * A table of one UPDATE per route, told to FRR at once. FRR 10 leaves what is past its input queue (10,000 messages) in its own
 * buffer until new bytes come from us: the table is complete within seconds only if we send some. A limit in seconds makes this
 * no test for CI.
 */
import { mkdirSync, mkdtempSync, rmSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BgpdProcess } from '../bgpd-process.js';
import { Frr } from '../frr.js';
import { cable, eventually, Namespace, sweepOld } from '../namespace.js';
import { Root } from '../root.js';
import type { Site } from '../vendor.js';

const ROUTES = 100_000;
const LIMIT = 5_000;
const PREFIX = (i: number): string => `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`;

describe('bgp/burst', function () {
  this.timeout(120_000);
  const directory = mkdtempSync(join(tmpdir(), 'tortie-burst-'));
  const namespaces: Namespace[] = [];
  after(async () => {
    await Promise.all(namespaces.map((namespace) => namespace.remove()));
    rmSync(directory, { recursive: true, force: true });
  });

  describe(`${ROUTES} routes of one UPDATE each are all there within ${LIMIT / 1000} s`, () => {
    it('frr', async () => {
      sweepOld();
      chmodSync(directory, 0o755); // FRR's daemons work as another user
      const [ours, theirs] = [new Namespace('bua'), new Namespace('bub')];
      namespaces.push(ours, theirs);
      cable(ours, 'eth0', theirs, 'eth0');
      const site = siteOf(theirs, join(directory, 'frr'));
      for (const [each, end] of [
        [ours, 'dut'],
        [theirs, 'local'],
      ] as const) {
        each.ip('addr', 'add', `${site.ipv4[end]}/30`, 'dev', 'eth0');
        each.ip('addr', 'add', `${site.ipv6[end]}/64`, 'dev', 'eth0', 'nodad');
      }
      const bgpd = new BgpdProcess(ours, join(directory, 'dut'));
      const frr = new Frr('frr', Root.ofEnvironment());
      await Promise.all([bgpd.start(), frr.start(site)]);
      // A pair of communities that no other route has: none shares an UPDATE.
      await bgpd.configure({
        localAs: site.dutAs,
        routerId: site.ipv4.dut,
        originate: Array.from({ length: ROUTES }, (_, i) => ({
          prefix: PREFIX(i),
          communities: [`64512:${i & 0xffff}`, `64513:${i >> 16}`],
        })),
        peers: [
          { name: 'frr', address: site.ipv4.local, remoteAs: site.as, password: site.password, families: ['ipv4'] },
        ],
      });
      await eventually(
        'the session is up',
        () => bgpd.isEstablished('frr'),
        () => bgpd.log,
      );
      const up = Date.now();
      let received = 0;
      await eventually(
        `FRR has ${ROUTES} routes`,
        async () => {
          const summary = await frr.vtysh('show bgp ipv4 unicast summary json');
          received = Number(/"pfxRcd":(\d+)/.exec(summary)?.[1] ?? 0);
          return received >= ROUTES;
        },
        async () => `${received}; ${JSON.stringify((await bgpd.neighbor('frr')).families)}`,
        90_000,
      );
      const took = Date.now() - up;
      process.stderr.write(`      ${ROUTES} routes after ${took} ms\n`);
      if (took > LIMIT)
        throw new Error(`Not within ${LIMIT / 1000} s: all ${ROUTES} routes; they took ${(took / 1000).toFixed(1)} s`);
    });
  });
});

function siteOf(namespace: Namespace, directory: string): Site {
  mkdirSync(directory, { recursive: true });
  return {
    namespace,
    directory,
    index: 1,
    as: 65001,
    dutAs: 65000,
    password: 'right-key',
    ipv4: { local: '10.200.1.2', dut: '10.200.1.1' },
    ipv6: { local: 'fd20:1::2', dut: 'fd20:1::1' },
    prefix4: '192.168.1.0/24',
    prefix6: 'fd99:1::/64',
  };
}
