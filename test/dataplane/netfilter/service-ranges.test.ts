/** Services that nobody serves, on all three ways of writing rules: the kernel takes it, drops by it, lets the rest pass. Needs root. */
import { PolicyEngine } from '@tortie/policy';
import { expect } from 'chai';
import { createNetfilter } from '../../../src/dataplane/netfilter/netfilter.js';
import type { BackendSetting } from '../../../src/dataplane/netfilter/status.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { exec, ip, nameOf, ScratchNamespaces, until } from '../scratch-namespaces.js';

const namespaces = new ScratchNamespaces('tsr');
const RANGES = ['10.96.0.0/16', 'fd00:96::/112'];

for (const backend of ['legacy', 'nft', 'nftables'] as const satisfies readonly BackendSetting[])
  describe(`Services that nobody serves, on ${backend === 'nftables' ? backend : `iptables-${backend}`}`, function () {
    this.timeout(60_000);
    after(() => namespaces.removeAll());

    it('are dropped when they are forwarded, and follow what is announced', async () => {
      // client -- node -- host: the host has the addresses, so that what passes is answered.
      const [client, node, host] = [namespaces.create(), namespaces.create(), namespaces.create()];
      const link = (a: string, b: string, net: string, name: string): void => {
        ip(a, 'link', 'add', name, 'type', 'veth', 'peer', 'name', name, 'netns', nameOf(b));
        for (const [at, end] of [
          [a, '1'],
          [b, '2'],
        ] as const) {
          ip(at, 'address', 'add', `192.0.${net}.${end}/24`, 'dev', name);
          ip(at, 'address', 'add', `2001:db8:${net}::${end}/64`, 'dev', name, 'nodad');
          ip(at, 'link', 'set', name, 'up');
        }
      };
      link(client, node, '2', 'eth0');
      link(node, host, '3', 'eth1');
      exec(node, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
      for (const address of ['10.96.0.1/32', '10.97.0.1/32', 'fd00:96::1/128', 'fd00:97::1/128'])
        ip(host, 'address', 'add', address, 'dev', 'eth1', 'nodad');
      for (const [at, four, six] of [
        [client, '192.0.2.2', '2001:db8:2::2'],
        [node, '192.0.3.2', '2001:db8:3::2'],
        [host, '192.0.3.1', '2001:db8:3::1'],
      ] as const) {
        ip(at, 'route', 'add', 'default', 'via', four);
        ip(at, '-6', 'route', 'add', 'default', 'via', six);
      }
      const answers = (from: string, address: string): boolean =>
        / [1-9]\d* received/.test(exec(from, 'sh', '-c', `ping -c2 -i0.2 -W1 ${address} || true`));
      const engine = new PolicyEngine();
      engine.flush();
      const netfilter = await createNetfilter({ families: [4, 6], backend, within: (work) => inNamespace(node, work) });
      try {
        expect((await netfilter.sync(engine.ruleset())).failures).to.deep.equal([]);
        // Links of IPv6 take a moment.
        for (const address of ['10.96.0.1', 'fd00:96::1']) await until(address, () => answers(client, address));
        const announce = async (prefixes: readonly string[]): Promise<void> => {
          engine.apply({ type: 'service-ranges', prefixes });
          expect((await netfilter.apply(engine.flush())).failures).to.deep.equal([]);
        };
        await announce(RANGES);
        for (const address of ['10.96.0.1', 'fd00:96::1']) {
          expect(answers(client, address), address).to.equal(false);
          expect(answers(node, address), `${address} from the node itself`).to.equal(true);
        }
        for (const address of ['10.97.0.1', 'fd00:97::1']) expect(answers(client, address), address).to.equal(true);
        // Wider, over what was there.
        await announce(['10.96.0.0/12', 'fd00:96::/112']);
        expect(answers(client, '10.97.0.1')).to.equal(false);
        await announce([]);
        for (const address of ['10.96.0.1', '10.97.0.1', 'fd00:96::1'])
          expect(answers(client, address), address).to.equal(true);
      } finally {
        await netfilter.stop();
      }
    });
  });
