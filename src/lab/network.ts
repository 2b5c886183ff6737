/**
 * The rack's namespaces, cables and addresses in the kernel, by iproute2 in batches: a few processes for a whole rack, and
 * what they were told can be read in an error message.
 *
 * Every veth is created with both ends already in their namespaces, so no name ever shows in the root namespace and labs
 * cannot collide. `/etc/netns/<namespace>/iproute2` is what `ip netns exec` shows as /etc/iproute2: a node has the file that
 * names Tortie's route protocols without the machine's own /etc being touched.
 */
import { existsSync } from 'node:fs';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { run } from './command.js';
import { devicesOf, LINK_PREFIX_LENGTH, type Device, type Link, type LinkEnd, type Rack } from './rack.js';

/** Names for `ip route show`; the numbers are those of node-view (dataplane). */
export const RT_PROTOS = '171 tortie\n172 tortie-bgp\n';

/** Makes everything; on failure the caller sweeps (sweep.ts), which finds a half-made rack by its names. */
export async function buildNetwork(rack: Rack): Promise<void> {
  for (const device of devicesOf(rack)) await addNamespace(device.netns);
  // Before there are interfaces: they take their settings from `default` when they are made.
  await Promise.all(devicesOf(rack).map(applySysctls));
  await run(['ip', '-batch', '-'], rack.links.map(renderVeth).join('\n'));
  await Promise.all(
    devicesOf(rack).map((device) =>
      run(['ip', '-n', device.netns, '-batch', '-'], renderAddresses(rack, device).join('\n')),
    ),
  );
}

/** A namespace with its own view of /etc/iproute2; a machine without that directory has nothing to lay it over. */
async function addNamespace(netns: string): Promise<void> {
  const view = `/etc/netns/${netns}/iproute2`;
  if (existsSync('/etc/iproute2')) {
    await mkdir(`${view}/rt_protos.d`, { recursive: true });
    await cp('/etc/iproute2', view, { recursive: true });
    await writeFile(`${view}/rt_protos.d/tortie.conf`, RT_PROTOS);
  }
  await run(['ip', 'netns', 'add', netns]);
}

/** Takes a namespace away with everything in it; one that is not there is fine. */
export async function removeNamespace(netns: string): Promise<void> {
  await run(['ip', 'netns', 'delete', netns]).catch((error: unknown) => {
    if (!/No such file or directory/.test(String(error))) throw error;
  });
  await rm(`/etc/netns/${netns}`, { recursive: true, force: true });
}

/** Shuts or opens the router's port of a link, as an engineer would; the far end loses carrier. */
export async function setLink(link: Link, state: 'up' | 'down'): Promise<void> {
  await run(['ip', '-n', link.near.netns, 'link', 'set', 'dev', link.near.interface, state]);
}

const renderVeth = ({ near, far }: Link): string =>
  `link add name ${near.interface} netns ${near.netns} type veth peer name ${far.interface} netns ${far.netns}`;

async function applySysctls(device: Device): Promise<void> {
  const settings = sysctlsOf(device).map(([key, value]) => `echo ${value} > /proc/sys/${key.replaceAll('.', '/')}`);
  await run(['ip', 'netns', 'exec', device.netns, 'sh', '-e', '-s'], settings.join('\n'));
}

/**
 * accept_dad: a port that comes up must not spend two seconds on finding out whether its link-local address is taken, for so
 * long the kernel resolves no IPv6 neighbour there and drops what it should forward (ndisc_send_ns wants a source address).
 * keep_addr_on_down: a port that is shut keeps its IPv6 addresses, as a router's does. ignore_routes_with_linkdown: only
 * where routes are static (the outside host); on nodes and routers this is the routing daemon's business. The hash
 * policy spreads flows, not hosts, over equal paths, as racks are set up.
 */
function sysctlsOf(device: Device): readonly (readonly [string, number])[] {
  const common = [
    ['net.ipv6.conf.all.keep_addr_on_down', 1],
    ['net.ipv6.conf.default.keep_addr_on_down', 1],
    ['net.ipv6.conf.default.accept_ra', 0],
    ['net.ipv6.conf.all.accept_dad', 0],
    ['net.ipv6.conf.default.accept_dad', 0],
    ['net.ipv4.fib_multipath_hash_policy', 1],
    ['net.ipv6.fib_multipath_hash_policy', 1],
  ] as const;
  switch (device.type) {
    case 'tor':
    case 'node':
      return [...common, ['net.ipv4.ip_forward', 1], ['net.ipv6.conf.all.forwarding', 1]];
    case 'outside':
      return [
        ...common,
        ['net.ipv4.conf.all.ignore_routes_with_linkdown', 1],
        ['net.ipv4.conf.default.ignore_routes_with_linkdown', 1],
        ['net.ipv6.conf.all.ignore_routes_with_linkdown', 1],
        ['net.ipv6.conf.default.ignore_routes_with_linkdown', 1],
      ];
  }
}

function renderAddresses(rack: Rack, device: Device): readonly string[] {
  const ends = rack.links.flatMap(({ near, far }) => [near, far]).filter((end) => end.device === device.name);
  return [
    'link set dev lo up',
    `address add ${device.loopback.ipv4}/32 dev lo`,
    `address add ${device.loopback.ipv6}/128 dev lo nodad`,
    ...ends.flatMap((end) => [
      `address add ${end.address.ipv4}/${LINK_PREFIX_LENGTH.ipv4} dev ${end.interface}`,
      `address add ${end.address.ipv6}/${LINK_PREFIX_LENGTH.ipv6} dev ${end.interface} nodad`,
      `link set dev ${end.interface} up`,
    ]),
    ...(device.type === 'outside' ? renderDefaults(rack, device) : []),
  ];
}

/**
 * Both families over all its routers at once, from its own address, whatever link a packet leaves by. A batch knows the
 * family by the prefix.
 */
function renderDefaults(rack: Rack, device: Device): readonly string[] {
  const routers = rack.links.filter((link) => link.far.device === device.name);
  const hops = (family: 'ipv4' | 'ipv6'): string =>
    routers
      .map(
        ({ near, far }: { near: LinkEnd; far: LinkEnd }) => `nexthop via ${near.address[family]} dev ${far.interface}`,
      )
      .join(' ');
  return [
    `route add 0.0.0.0/0 src ${device.loopback.ipv4} ${hops('ipv4')}`,
    `route add ::/0 src ${device.loopback.ipv6} ${hops('ipv6')}`,
  ];
}
