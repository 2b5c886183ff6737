/** FRR as its users configure unnumbered peers: an interface, and nothing else. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Namespace } from './namespace.js';
import { Root } from './root.js';

export interface UnnumberedFrrOptions {
  readonly as: number;
  readonly routerId: string;
  readonly interfaceName: string;
  readonly prefixes: readonly string[];
}

export class UnnumberedFrr {
  private readonly root = Root.ofEnvironment();

  constructor(
    private readonly namespace: Namespace,
    private readonly directory: string,
    private readonly options: UnnumberedFrrOptions,
  ) {
    mkdirSync(directory, { recursive: true });
  }

  async start(): Promise<void> {
    const { as, routerId, interfaceName, prefixes } = this.options;
    const networks = (family: 'ipv4' | 'ipv6'): string =>
      prefixes
        .filter((prefix) => prefix.includes(':') === (family === 'ipv6'))
        .map((prefix) => `  network ${prefix}\n`)
        .join('');
    writeFileSync(join(this.directory, 'zebra.conf'), 'frr defaults datacenter\nhostname leaf\n');
    writeFileSync(
      join(this.directory, 'bgpd.conf'),
      `frr defaults datacenter
hostname leaf
router bgp ${as}
 bgp router-id ${routerId}
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor ${interfaceName} interface remote-as external
 neighbor ${interfaceName} timers connect 1
 address-family ipv4 unicast
${networks('ipv4')} exit-address-family
 address-family ipv6 unicast
${networks('ipv6')}  neighbor ${interfaceName} activate
 exit-address-family
`,
    );
    this.namespace.exec(...this.root.argv('chown', '-R', 'frr:frr', this.directory));
    this.run('zebra', ['-r', '-K', '60']);
    await new Promise((resolve) => setTimeout(resolve, 500)); // bgpd gives up on a zebra that is not there yet for seconds
    this.run('bgpd', []);
  }

  vtysh(...commands: readonly string[]): Promise<string> {
    const words = commands.flatMap((command) => ['-c', command]);
    return this.namespace.ask(...this.root.argv('vtysh', '--vty_socket', this.directory, ...words));
  }

  private run(daemon: 'zebra' | 'bgpd', more: readonly string[]): void {
    const { namespace, directory } = this;
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
        ...more,
      ),
    );
  }
}
