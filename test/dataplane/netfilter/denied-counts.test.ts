/** Denied packets in a real kernel: those that are reported and those that are not, on each backend. */
import { expect } from 'chai';
import { PolicyEngine } from '@tortie/policy';
import { compileDeniedChain, denyId, reportPrefix, type DenyPoint } from '@tortie/policy/compile/denied-chain';
import { DeniedCounts } from '../../../src/dataplane/netfilter/denied-counts.js';
import { createNetfilter, type Netfilter } from '../../../src/dataplane/netfilter/netfilter.js';
import { openPacketLog, type PacketLog } from '../../../src/dataplane/netlink/packet-log.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { exec, ScratchNamespaces, until } from '../scratch-namespaces.js';
import { chain, ruleset } from './rulesets.js';

const GROUP = 1778;
const POINT: DenyPoint = { type: 'tier-end', direction: 'ingress', tier: 'default' };
const denied = compileDeniedChain('filter', POINT, { group: GROUP, perSecond: 1, burst: 5 });

describe('denied packets that are not reported', () => {
  const namespaces = new ScratchNamespaces('tdenied');
  let netfilter: Netfilter | undefined;
  let log: PacketLog | undefined;
  let counts: DeniedCounts | undefined;

  afterEach(async () => {
    counts?.close();
    log?.close();
    await netfilter?.stop();
    counts = undefined;
    log = undefined;
    netfilter = undefined;
  });
  after(() => namespaces.removeAll());

  for (const backend of ['legacy', 'nft', 'nftables'] as const)
    it(`are counted to the packet with ${backend}`, async () => {
      const node = namespaces.create();
      const prefixes: string[] = [];
      log = inNamespace(node, () =>
        openPacketLog({
          group: GROUP,
          onPacket: ({ prefix }) => prefixes.push(prefix),
          onLost: () => undefined,
          onFault: (error) => {
            throw error;
          },
        }),
      );
      netfilter = await createNetfilter({ families: [4, 6], backend, within: (task) => inNamespace(node, task) });
      await netfilter.start();
      const { failures } = await netfilter.sync(
        ruleset({
          chains: [
            chain('filter', 'TORTIE-INPUT', [
              {
                matches: [
                  { type: 'protocol', protocol: 17 },
                  { type: 'ports', side: 'destination', ports: [{ from: 9, to: 9 }] },
                ],
                action: { type: 'goto', chain: denied.name },
              },
            ]),
            denied,
          ],
          hooks: [{ table: 'filter', builtin: 'INPUT', chain: 'TORTIE-INPUT' }],
        }),
      );
      expect(failures).to.deep.equal([]);
      counts = inNamespace(node, () => new DeniedCounts([4, 6]));
      const since = (): number | undefined =>
        counts?.since(
          new Map([
            [4, backend],
            [6, backend],
          ]),
          [denied, { table: 'filter', name: 'TORTIE-D-nowhere' }],
          reportPrefix,
        );
      expect(since()).to.equal(0);
      const send = (address: string, times: number): string =>
        exec(
          node,
          'python3',
          '-c',
          `import socket
s = socket.socket(socket.AF_INET6 if ':' in '${address}' else socket.AF_INET, socket.SOCK_DGRAM)
for i in range(${times}):
  try: s.sendto(b'x', ('${address}', 9))
  except OSError: pass`,
        );
      send('127.0.0.1', 200);
      send('::1', 100);
      await until('reports', () => prefixes.length >= 5);
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(new Set(prefixes)).to.deep.equal(new Set([`tortie-denied:${denyId(POINT)}`]));
      expect((since() ?? 0) + prefixes.length).to.equal(300);
      expect(since()).to.equal(0);
    });

  it('have chains in every ruleset that denies', () => {
    const engine = new PolicyEngine({ denyReports: { group: GROUP, perSecond: 1, burst: 5 } });
    engine.flush();
    expect(engine.deniedChains().map(reportPrefix)).to.deep.equal([
      `tortie-denied:${denyId({ type: 'closed', direction: 'egress' })}`,
    ]);
  });
});
