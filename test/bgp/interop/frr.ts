import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { end } from './namespace.js';
import type { Root } from './root.js';
import { cannot, type Feature, type Site, type Vendor } from './vendor.js';

type Daemon = 'zebra' | 'bfdd' | 'bgpd';

export class Frr implements Vendor {
  readonly features: ReadonlySet<Feature> = new Set<Feature>([
    'kernel',
    'restarts',
    'bounce',
    'roles',
    'refresh',
    'gtsm',
    'add-path',
    'large-communities',
    'communities',
    'bfd',
    'extended-next-hop',
  ]);
  /** Beside ttl-security it would choose the multihop kind. */
  readonly bfdFamily = 4;
  readonly churn = cannot('announce so much');
  readonly setInternal = cannot('change its AS');
  private site: Site | undefined;
  private readonly children = new Map<Daemon, ChildProcess>();

  constructor(
    readonly name: string,
    private readonly root: Root,
  ) {}

  async start(site: Site): Promise<void> {
    this.site = site;
    // FRR's daemons drop to the user frr and must still be able to write here.
    for (const [daemon, text] of Object.entries(configs(site)))
      writeFileSync(join(site.directory, `${daemon}.conf`), text, { mode: 0o644 });
    site.namespace.exec(...this.root.argv('chown', '-R', 'frr:frr', site.directory));
    this.run('zebra');
    this.run('bfdd');
    await new Promise((resolve) => setTimeout(resolve, 500)); // bgpd gives up on a zebra that is not there yet for seconds
    this.run('bgpd');
  }

  async kill(): Promise<void> {
    const child = this.children.get('bgpd');
    if (child !== undefined) await end(child, 'SIGKILL');
  }

  async restart(): Promise<void> {
    this.run('bgpd');
    await Promise.resolve();
  }

  routeText(prefix: string): Promise<string> {
    return this.vtysh(`show bgp ${prefix.includes(':') ? 'ipv6' : 'ipv4'} unicast ${prefix}`);
  }

  async refresh(): Promise<void> {
    await this.vtysh(`clear bgp ipv4 unicast ${this.own.ipv4.dut} soft in`);
  }

  async nudge(): Promise<void> {
    await Promise.resolve();
  }

  /** FRR 10 with `bfd` ends sessions of a peer that does not run it. */
  async setBfd(on: boolean): Promise<void> {
    const { as, ipv4 } = this.own;
    await this.vtysh('configure terminal', `router bgp ${as}`, `${on ? '' : 'no '}neighbor ${ipv4.dut} bfd`);
  }

  async bounce(): Promise<void> {
    await this.vtysh(`clear bgp ${this.own.ipv4.dut}`);
  }

  community(high: number, low: number): string {
    return `${high}:${low}`;
  }

  status(): Promise<string> {
    return this.vtysh('show bgp summary', 'show bgp neighbors');
  }

  vtysh(...commands: readonly string[]): Promise<string> {
    const words = commands.flatMap((command) => ['-c', command]);
    return this.own.namespace.ask(...this.root.argv('vtysh', '--vty_socket', this.own.directory, ...words));
  }

  private get own(): Site {
    if (this.site === undefined) throw new Error('FRR was not started');
    return this.site;
  }

  /** FRR 10 has no such option, FRR 8 a socket outside of our directory without it. */
  private hasBfdctl(): boolean {
    return this.own.namespace.exec(...this.root.argv('/usr/lib/frr/bfdd', '--help')).includes('--bfdctl');
  }

  private run(daemon: Daemon): void {
    const { namespace, directory } = this.own;
    const more = daemon === 'bfdd' && this.hasBfdctl() ? ['--bfdctl', join(directory, 'bfdd.sock')] : [];
    this.children.set(
      daemon,
      namespace.daemon(
        join(directory, `${daemon}.log`),
        this.root.argv(
          `/usr/lib/frr/${daemon}`,
          '-f',
          join(directory, `${daemon}.conf`),
          '-i',
          join(directory, `${daemon}.pid`),
          '-z',
          join(directory, 'zserv.api'),
          '--vty_socket',
          directory,
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
          ...(daemon === 'zebra' ? ['-r', '-K', '60'] : []),
          ...more,
        ),
      ),
    );
  }
}

function configs(site: Site): Readonly<Record<Daemon, string>> {
  const head = 'frr defaults traditional\nhostname frr\n';
  return {
    zebra: head,
    bfdd: head,
    bgpd: `${head}
route-map own permit 10
 set community ${site.as}:1
 set large-community ${site.as}:1:2
router bgp ${site.as}
 bgp router-id 10.255.0.${site.index}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 bgp graceful-restart select-defer-time 3
 bgp long-lived-graceful-restart stale-time 60
 neighbor ${site.ipv4.dut} remote-as ${site.dutAs}
 neighbor ${site.ipv4.dut} password ${site.password}
 neighbor ${site.ipv4.dut} timers connect 1
 neighbor ${site.ipv4.dut} local-role customer
 neighbor ${site.ipv6.dut} remote-as ${site.dutAs}
 neighbor ${site.ipv6.dut} timers connect 1
 neighbor ${site.ipv6.dut} ttl-security hops 1
 neighbor ${site.ipv6.dut} capability extended-nexthop
 address-family ipv4 unicast
  network ${site.prefix4} route-map own
  neighbor ${site.ipv4.dut} activate
  neighbor ${site.ipv4.dut} addpath-tx-all-paths
  neighbor ${site.ipv6.dut} activate
 exit-address-family
 address-family ipv6 unicast
  network ${site.prefix6}
  neighbor ${site.ipv4.dut} activate
  neighbor ${site.ipv6.dut} activate
 exit-address-family
`,
  };
}
