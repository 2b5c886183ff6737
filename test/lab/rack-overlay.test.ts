/**
 * Racks that do not route pods' addresses: no block is announced to anybody, so what pods say to each other has to go through tunnels. Real
 * agents, real packets, both families.
 */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { patch, readyPod, soon, useRack } from './rack-fixture.js';

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

describe('lab, pools with vxlanMode', function () {
  this.timeout(120_000);
  const rack = useRack('v', {
    topology: fileURLToPath(new URL('../../../test/lab/fixtures/two-nodes.yaml', import.meta.url)),
  });
  const netnsOf = (where: string): string => `tl-${rack().record.name}-${where}`;
  const inside = (where: string, ...argv: readonly string[]): string =>
    execFileSync('ip', ['netns', 'exec', netnsOf(where), ...argv], { encoding: 'utf8' });
  const podNetns = (pod: string): string => {
    const names = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n');
    const prefix = netnsOf(`default.${pod}.`);
    return names.map((line) => line.split(' ')[0] ?? '').find((name) => name.startsWith(prefix)) ?? 'none';
  };
  const pings = (netns: string, address: string, ...options: readonly string[]): boolean =>
    spawnSync('ip', ['netns', 'exec', netns, 'ping', '-c1', '-W1', ...options, address]).status === 0;
  const addresses = new Map<string, readonly string[]>();
  const pools = ['pods-ipv4', 'pods-ipv6'];

  before(async function () {
    this.timeout(90_000);
    for (const pool of pools) await patch(rack(), `ippool/${pool}`, { disableBGPExport: true });
    for (const [pod, nodeName] of [
      ['near', 'node1'],
      ['far', 'node2'],
    ] as const) {
      const { status } = await readyPod(rack(), pod, { spec: { nodeName } });
      addresses.set(
        pod,
        (status.podIPs ?? []).map(({ ip }) => ip),
      );
    }
  });

  const SIZE = '3000';

  it('reach nobody on another node without it', async () => {
    await soon('the routes to go', async () => !/^10\.65\.\S+ via/m.test(inside('node1', 'ip', 'route')));
    for (const address of addresses.get('far') ?? []) expect(pings(podNetns('near'), address), address).to.equal(false);
  });

  it('carries packets of pods, and of nodes, through the tunnel, in both families', async () => {
    for (const pool of pools) await patch(rack(), `ippool/${pool}`, { vxlanMode: 'Always' });
    expect(addresses.get('far')).to.have.length(2);
    for (const address of addresses.get('far') ?? []) {
      const [device, own] = address.includes(':') ? ['vxlan-v6.tortie', 'fd00:65:'] : ['vxlan.tortie', '10.65.'];
      await soon(`near to reach ${address}`, async () => pings(podNetns('near'), address));
      // From an address in the tunnel: what answers needs no way outside it.
      const route = new RegExp(`dev ${device.replace('.', '\\.')} .*src ${own.replaceAll('.', '\\.')}`);
      await soon(`node1 to have an address in ${device}`, async () =>
        route.test(inside('node1', 'ip', 'route', 'get', address)),
      );
      await soon(`node1 to reach ${address}`, async () => pings(netnsOf('node1'), address));
      await soon(`near to reach ${address} with packets in pieces`, async () =>
        pings(podNetns('near'), address, '-s', SIZE),
      );
    }
    // Nobody between the nodes has heard of pods.
    expect(inside('tor1', 'ip', 'route')).to.not.include('10.65.');
  });

  it('leaves room for what wraps them, in pods that come now', async () => {
    const { status } = await readyPod(rack(), 'later', { spec: { nodeName: 'node2' } });
    // IPv6 wraps in 70 octets.
    expect(execFileSync('ip', ['-n', podNetns('later'), 'link', 'show', 'eth0'], { encoding: 'utf8' })).to.include(
      'mtu 1430',
    );
    for (const { ip } of status.podIPs ?? [])
      await soon(`near to reach ${ip}`, async () =>
        pings(podNetns('near'), ip, '-M', 'do', '-s', ip.includes(':') ? '1382' : '1402'),
      );
  });

  it('goes on while an agent is away, and is put right when it is back', async () => {
    const tunnel = (): string => inside('node1', 'ip', '-d', 'link', 'show', 'vxlan.tortie');
    const before = tunnel();
    const [address = ''] = addresses.get('far') ?? [];
    execFileSync(process.execPath, [CLI, 'lab', 'kill', '--name', rack().record.name, 'node1', 'agent']);
    expect(pings(podNetns('near'), address)).to.equal(true);
    await readyPod(rack(), 'after', { spec: { nodeName: 'node1' } });
    expect(tunnel()).to.equal(before);
    inside('node1', 'ip', 'link', 'del', 'vxlan.tortie');
    await soon(`near to reach ${address}`, async () => pings(podNetns('near'), address));
  });

  it('ends with the pools that ask for it, and everything of it is gone', async () => {
    for (const pool of pools) await patch(rack(), `ippool/${pool}`, { vxlanMode: 'Never', disableBGPExport: false });
    for (const node of ['node1', 'node2'])
      await soon(`${node} to have no tunnel`, async () => !inside(node, 'ip', 'link').includes('vxlan'));
    for (const address of addresses.get('far') ?? [])
      await soon(`near to reach ${address} as BGP has it`, async () => pings(podNetns('near'), address));
    expect(inside('node1', 'ip', 'route', 'show', 'proto', 'tortie')).to.not.include('metric 5');
  });
});
