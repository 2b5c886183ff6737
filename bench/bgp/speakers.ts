/** The speakers: how each is configured for a topology and started, in the foreground, inside the speaker's namespace. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { receiverAddress, senderAddress, speakerAddresses } from './network.js';
import { RECEIVER_AS, SENDER_AS, SPEAKER_AS, type Topology } from './scenarios.js';

export interface Launch {
  /** Files to write first, by path. */
  readonly files: Readonly<Record<string, string>>;
  readonly mode?: number;
  /** Directories to make, with their owner. */
  readonly directories?: readonly { readonly path: string; readonly owner: string }[];
  readonly commands: readonly (readonly string[])[];
  /** Milliseconds between commands. */
  readonly stagger?: number;
}

export interface Speaker {
  /** A file without which it cannot run, and what brings it: a Debian package. */
  readonly needs: { readonly file: string; readonly package: string };
  /** Argument vector that prints the version. */
  readonly version: readonly string[];
  readonly canInstall: boolean;
  readonly launch: (topology: Topology, directory: string) => Launch;
}

const cli = fileURLToPath(new URL('../../src/cli.js', import.meta.url));
/** For profiles of our own process: BENCH_NODE_ARGS="--cpu-prof --cpu-prof-dir=/tmp/prof". */
const nodeArguments = (process.env['BENCH_NODE_ARGS'] ?? '').split(' ').filter((text) => text !== '');
const each = <T>(count: number, make: (k: number) => T): T[] => Array.from({ length: count }, (_, k) => make(k));
const neighbours = (
  topology: Topology,
): readonly { readonly address: string; readonly as: number; readonly isReceiver: boolean }[] => [
  ...each(topology.senders, (k) => ({
    address: senderAddress(topology.family, k),
    as: SENDER_AS + k,
    isReceiver: false,
  })),
  ...(topology.hasReceiver ? [{ address: receiverAddress(topology.family), as: RECEIVER_AS, isReceiver: true }] : []),
];

function launchTortie(topology: Topology, directory: string): Launch {
  const family = topology.family === 4 ? 'ipv4' : 'ipv6';
  const config = {
    localAs: SPEAKER_AS,
    routerId: '10.255.0.1',
    installRoutes: topology.installs,
    gracefulRestartTime: 0,
    requirePolicy: false,
    listen: speakerAddresses(topology.family).map((address) => ({ address })),
    filters: { all: { rules: [{ action: 'accept' }] }, none: { rules: [{ action: 'reject' }] } },
    peers: neighbours(topology).map(({ address, as, isReceiver }) => ({
      address,
      remoteAs: as,
      passive: true,
      holdTime: 180,
      families: [family],
      maxPrefixes: 5_000_000,
      import: ['all'],
      export: [isReceiver || topology.sendersReceive ? 'all' : 'none'],
    })),
  };
  return {
    files: { [join(directory, 'tortie.json')]: JSON.stringify(config) },
    commands: [
      [
        process.execPath,
        ...nodeArguments,
        cli,
        'bgpd',
        '--config',
        join(directory, 'tortie.json'),
        '--run-dir',
        directory,
        '--state-dir',
        directory,
        '--log-level',
        'warn',
      ],
    ],
  };
}

function launchBird(topology: Topology, directory: string): Launch {
  const channel = `ipv${topology.family}`;
  const protocol = (address: string, as: number, name: string, exports: string): string =>
    `protocol bgp ${name} { local as ${SPEAKER_AS}; neighbor ${address} as ${as}; passive yes; hold time 180; ` +
    `${channel} { import all; export ${exports}; }; }`;
  const text = [
    'log stderr { warning, error, fatal, bug };',
    'router id 10.255.0.1;',
    'protocol device { scan time 60; }',
    topology.installs ? `protocol kernel { ${channel} { export all; import none; }; }` : '',
    ...neighbours(topology).map(({ address, as, isReceiver }, k) =>
      protocol(address, as, `p${k}`, isReceiver || topology.sendersReceive ? 'all' : 'none'),
    ),
  ];
  return {
    files: { [join(directory, 'bird.conf')]: `${text.join('\n')}\n` },
    commands: [['/usr/sbin/bird', '-f', '-c', join(directory, 'bird.conf'), '-s', join(directory, 'bird.ctl')]],
  };
}

function launchFrr(topology: Topology, directory: string): Launch {
  const text = [
    'frr defaults traditional',
    `router bgp ${SPEAKER_AS}`,
    ' bgp router-id 10.255.0.1',
    ' no bgp ebgp-requires-policy',
    ' no bgp default ipv4-unicast',
    ' neighbor S peer-group',
    ' neighbor S passive',
    ' neighbor R peer-group',
    ' neighbor R passive',
    ...neighbours(topology).flatMap(({ address, as, isReceiver }) => [
      ` neighbor ${address} remote-as ${as}`,
      ` neighbor ${address} peer-group ${isReceiver ? 'R' : 'S'}`,
    ]),
    ` address-family ipv${topology.family} unicast`,
    '  neighbor S activate',
    topology.sendersReceive ? '' : '  neighbor S route-map DENY out',
    '  neighbor R activate',
    ' exit-address-family',
    '!',
    'route-map DENY deny 10',
    '!',
  ];
  const sockets = join(directory, 'frr');
  const common = (name: string): string[] => [
    '-i',
    join(sockets, `${name}.pid`),
    '-z',
    join(sockets, 'zserv.api'),
    '--vty_socket',
    sockets,
    '-A',
    '127.0.0.1',
    '-u',
    'frr',
    '-g',
    'frr',
    '--log',
    'stdout',
    '--log-level',
    'warnings',
  ];
  return {
    files: {
      [join(directory, 'zebra.conf')]: 'hostname dut\n',
      [join(directory, 'bgpd.conf')]: `${text.join('\n')}\n`,
    },
    directories: [{ path: sockets, owner: 'frr' }],
    commands: [
      ['/usr/lib/frr/zebra', '-f', join(directory, 'zebra.conf'), ...common('zebra')],
      [
        '/usr/lib/frr/bgpd',
        '-f',
        join(directory, 'bgpd.conf'),
        ...common('bgpd'),
        ...(topology.installs ? [] : ['-n']),
      ],
    ],
    stagger: 700,
  };
}

function launchOpenBgpd(topology: Topology, directory: string): Launch {
  const announce =
    `announce IPv4 ${topology.family === 4 ? 'unicast' : 'none'}\n  announce IPv6 ` +
    `${topology.family === 6 ? 'unicast' : 'none'}`;
  const text = [
    `AS ${SPEAKER_AS}`,
    'router-id 10.255.0.1',
    'fib-update no',
    `socket "${join(directory, 'openbgpd.sock')}"`,
    ...speakerAddresses(topology.family).map((address) => `listen on ${address}`),
    ...neighbours(topology).map(
      ({ address, as, isReceiver }) =>
        `neighbor ${address} {\n  remote-as ${as}\n  passive\n  holdtime 180\n  ` +
        `${announce}\n${isReceiver || topology.sendersReceive ? '' : '  export none\n'}}`,
    ),
    'allow from any',
    'allow to any',
  ];
  return {
    files: { [join(directory, 'openbgpd.conf')]: `${text.join('\n')}\n` },
    mode: 0o600,
    directories: [{ path: '/run/openbgpd', owner: 'root' }],
    commands: [['/usr/sbin/bgpd', '-d', '-f', join(directory, 'openbgpd.conf')]],
  };
}

function launchGoBgp(topology: Topology, directory: string): Launch {
  const denyToSenders = `[global.apply-policy.config]
export-policy-list = ["no-export-to-senders"]
default-export-policy = "accept-route"
[[defined-sets.neighbor-sets]]
neighbor-set-name = "senders"
neighbor-info-list = ["10.10.0.0/16", "fd00:10::/64"]
[[policy-definitions]]
name = "no-export-to-senders"
[[policy-definitions.statements]]
name = "s1"
[policy-definitions.statements.conditions.match-neighbor-set]
neighbor-set = "senders"
[policy-definitions.statements.actions]
route-disposition = "reject-route"
`;
  const neighbour = (address: string, as: number): string => `[[neighbors]]
[neighbors.config]
neighbor-address = "${address}"
peer-as = ${as}
[neighbors.transport.config]
passive-mode = true
[neighbors.timers.config]
hold-time = 180
keepalive-interval = 60
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv${topology.family}-unicast"
`;
  const text = [
    `[global.config]\nas = ${SPEAKER_AS}\nrouter-id = "10.255.0.1"\nport = 179\n`,
    topology.sendersReceive ? '' : denyToSenders,
    ...neighbours(topology).map(({ address, as }) => neighbour(address, as)),
  ].join('');
  return {
    files: { [join(directory, 'gobgpd.toml')]: text },
    commands: [['/usr/bin/gobgpd', '-f', join(directory, 'gobgpd.toml'), '--log-level=error', '--pprof-disable']],
  };
}

export const SPEAKERS: Readonly<Record<string, Speaker>> = {
  tortie: {
    needs: { file: process.execPath, package: 'nodejs' },
    version: [process.execPath, '--version'],
    canInstall: true,
    launch: launchTortie,
  },
  bird: {
    needs: { file: '/usr/sbin/bird', package: 'bird2' },
    version: ['/usr/sbin/bird', '--version'],
    canInstall: true,
    launch: launchBird,
  },
  frr: {
    needs: { file: '/usr/lib/frr/bgpd', package: 'frr' },
    version: ['/usr/lib/frr/bgpd', '--version'],
    canInstall: true,
    launch: launchFrr,
  },
  // Debian's OpenBGPD has no kernel back-end on Linux, GoBGP needs zebra for one.
  openbgpd: {
    needs: { file: '/usr/sbin/bgpctl', package: 'openbgpd' },
    version: ['/usr/sbin/bgpctl', '-V'],
    canInstall: false,
    launch: launchOpenBgpd,
  },
  gobgp: {
    needs: { file: '/usr/bin/gobgpd', package: 'gobgpd' },
    version: ['/usr/bin/gobgpd', '--version'],
    canInstall: false,
    launch: launchGoBgp,
  },
};
