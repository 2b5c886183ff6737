/**
 * A link that comes back while the kernel still looks for duplicates of our IPv6 address: its routes are there as soon
 * as the kernel takes them.
 */
import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BgpdProcess } from './bgpd-process.js';
import { cable, eventually, Namespace, sweepOld } from './namespace.js';

(process.getuid?.() === 0 ? describe : describe.skip)('bgp/returning link', function () {
  this.timeout(90_000);
  const directory = mkdtempSync(join(tmpdir(), 'tortie-returning-'));
  const namespaces: Namespace[] = [];
  after(async () => {
    await Promise.all(namespaces.map((namespace) => namespace.remove()));
    rmSync(directory, { recursive: true, force: true });
  });

  for (const [what, side] of [
    ['our interface', 'left'],
    ['the cable', 'right'],
  ] as const)
    it(`${what} was down: IPv6 routes are back with the end of duplicate detection, from our own address`, async () => {
      sweepOld();
      const [left, right] = [new Namespace(`rl${side[0] ?? ''}a`), new Namespace(`rl${side[0] ?? ''}b`)];
      namespaces.push(left, right);
      for (const each of [left, right])
        each.exec(
          'sysctl',
          '-qw',
          ...['all', 'default'].flatMap((name) => [
            `net.ipv6.conf.${name}.accept_dad=1`,
            `net.ipv6.conf.${name}.keep_addr_on_down=1`,
          ]),
        );
      cable(left, 'eth0', right, 'eth0');
      for (const [each, last] of [
        [left, 1],
        [right, 2],
      ] as const) {
        each.ip('addr', 'add', `10.0.0.${last}/24`, 'dev', 'eth0');
        each.ip('addr', 'add', `2001:db8::${last}/64`, 'dev', 'eth0');
      }
      const [a, b] = [
        new BgpdProcess(left, join(directory, `${side}-a`)),
        new BgpdProcess(right, join(directory, `${side}-b`)),
      ];
      await Promise.all([a.start(), b.start()]);
      await Promise.all([
        a.configure({
          localAs: 65001,
          routerId: '10.0.0.1',
          installRoutes: true,
          peers: [{ address: '10.0.0.2', remoteAs: 65002, connectRetryTime: 1 }],
        }),
        b.configure({
          localAs: 65002,
          routerId: '10.0.0.2',
          originate: [{ prefix: '10.65.2.0/24' }, { prefix: 'fd65:2::/64' }],
          peers: [{ address: '10.0.0.1', remoteAs: 65001, connectRetryTime: 1 }],
        }),
      ]);
      const isThere = (): boolean =>
        left.ip('-6', 'route', 'show', 'fd65:2::/64').includes('src 2001:db8::1') &&
        left.ip('route', 'show', '10.65.2.0/24') !== '';
      const detail = (): string => `${a.log}\n${b.log}\n${left.ip('-6', 'addr')}\n${left.ip('-6', 'route')}`;
      await eventually('the routes are there', isThere, detail);
      const end = side === 'left' ? left : right;
      end.ip('link', 'set', 'eth0', 'down');
      await eventually('the session is gone', async () => !(await a.isEstablished('10.0.0.2')), detail);
      end.ip('link', 'set', 'eth0', 'up');
      await eventually('the routes are back', isThere, detail);
      // The last word on each route; a reason may have changed meanwhile.
      const words = [...a.log.matchAll(/the kernel (no longer )?refuses the route to ([\da-f.:]+\/\d+)/g)];
      const last = new Map(words.map(([, isOver, prefix = '']) => [prefix, isOver !== undefined]));
      expect(
        [...last].filter(([, isOver]) => !isOver),
        'refusals that were not taken back',
      ).to.deep.equal([]);
    });
});
