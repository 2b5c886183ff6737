import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { hostInterfaceName } from '../../src/dataplane/endpoint-name.js';
import { createPod, getPod, isReady, soon, useRack } from './rack-fixture.js';

/** What others do to a running pod's connection, with a real agent that nobody calls. */
describe('lab, a connection that somebody disturbs', function () {
  this.timeout(120_000);
  const rack = useRack('p');
  const veth = hostInterfaceName('default', 'p');
  let addresses: readonly string[];

  const node = (): string => `tl-${rack().record.name}-node1`;
  const onNode = (...argv: readonly string[]): string =>
    execFileSync('ip', ['netns', 'exec', node(), ...argv], { encoding: 'utf8' });
  /** In the pod's namespace, which the node's interface leads to. */
  const answers = (address: string): boolean =>
    spawnSync('ip', ['netns', 'exec', node(), 'ping', '-c1', '-W1', address]).status === 0;
  const recovers = (what: string): Promise<boolean> =>
    soon(`${what}: the pod answers again`, async () => addresses.every((address) => answers(address)));

  before(async () => {
    await createPod(rack(), 'p', { spec: { nodeName: 'node1' } });
    const pod = await soon('pod "p" to be ready', async () => {
      const found = await getPod(rack(), 'p');
      return found !== undefined && isReady(found) && found;
    });
    addresses = (pod.status.podIPs ?? []).map(({ ip }) => ip);
    expect(addresses).to.have.length(2);
    // A connection that is not a second old is left to others.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
  });

  for (const [what, ...commands] of [
    ['the link is down', `ip link set ${veth} down`],
    ['another name', `ip link set ${veth} down`, `ip link set ${veth} name lost0`],
    ['no addresses', `ip -6 addr flush dev ${veth}`],
    ['no routes', `ip route flush dev ${veth}`, `ip -6 route flush dev ${veth}`],
    ['another MAC address', `ip link set ${veth} address 02:00:00:00:00:09`],
    ['no proxy ARP, no forwarding', `sysctl -qw net/ipv4/conf/${veth}/proxy_arp=0 net/ipv4/conf/${veth}/forwarding=0`],
    ['no interface at all', `ip link del ${veth}`],
  ] as const)
    it(`mends it: ${what}`, async () => {
      for (const command of commands) onNode(...command.split(' '));
      await recovers(what);
      await soon('everything is as it was', async () => {
        const link = onNode('ip', '-d', 'addr', 'show', veth);
        const forwarding = onNode('cat', `/proc/sys/net/ipv4/conf/${veth}/forwarding`).trim();
        return (
          forwarding === '1' &&
          ['ee:ee:ee:ee:ee:ee', 'fe80::ecee:eeff:feee:eeee', ',UP', 'alias tortie:'].every((part) =>
            link.includes(part),
          )
        );
      });
    });

  it('brings back what a network manager takes away with its restart: foreign routes and addresses', async () => {
    // systemd-networkd removes routes and addresses that are not in its files, of every interface.
    for (const family of ['-4', '-6']) onNode('ip', family, 'route', 'flush', 'proto', '171');
    for (const family of ['-4', '-6']) onNode('ip', family, 'route', 'flush', 'proto', '172');
    onNode('ip', '-6', 'addr', 'flush', 'dev', veth);
    await recovers('flushed');
    await soon('blocks and learned routes are back', async () => {
      const routes = `${onNode('ip', '-N', 'route')}${onNode('ip', '-N', '-6', 'route')}`;
      // With -N the kernel's number of a blackhole (RTN_BLACKHOLE) stands in the word's place.
      return /^(?:6|blackhole) .* proto 171/m.test(routes) && /proto 172/.test(routes);
    });
  });
});
