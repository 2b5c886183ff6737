import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './namespace.js';
import { cannot, type Feature, type Site, type Vendor } from './vendor.js';
import { VendorDaemon } from './vendor-daemon.js';

export class Gobgp extends VendorDaemon implements Vendor {
  /** Its soft reset works from its own tables and asks nobody. */
  readonly features: ReadonlySet<Feature> = new Set<Feature>([
    'bounce',
    'gtsm',
    'communities',
    'large-communities',
    'add-path',
  ]);
  readonly churn = cannot('announce so much');
  readonly setBfd = cannot('run BFD');
  readonly setInternal = cannot('change its AS');

  async start(site: Site): Promise<void> {
    this.settle(site);
    writeFileSync(join(site.directory, 'gobgpd.toml'), config(site));
    await this.run([]);
  }

  async restart(): Promise<void> {
    await this.run(['-r']);
  }

  routeText(prefix: string): Promise<string> {
    return this.gobgp('global', 'rib', '-a', prefix.includes(':') ? 'ipv6' : 'ipv4', prefix);
  }

  async refresh(): Promise<void> {
    await this.gobgp('neighbor', this.own.ipv4.dut, 'softresetin');
  }

  async bounce(): Promise<void> {
    await this.gobgp('neighbor', this.own.ipv4.dut, 'reset');
  }

  async nudge(): Promise<void> {
    await Promise.resolve();
  }

  community(high: number, low: number): string {
    return `${high}:${low}`;
  }

  status(): Promise<string> {
    return this.gobgp('neighbor');
  }

  private gobgp(...words: readonly string[]): Promise<string> {
    return this.ask('gobgp', ...words);
  }

  private async run(more: readonly string[]): Promise<void> {
    const { directory, prefix4, prefix6, as } = this.own;
    this.spawn(['gobgpd', '-f', join(directory, 'gobgpd.toml'), '--pprof-disable', ...more]);
    await eventually('gobgpd answers', async () => (await this.gobgp('global')) !== '');
    await this.gobgp(
      'global',
      'rib',
      'add',
      '-a',
      'ipv4',
      prefix4,
      'community',
      `${as}:1`,
      'large-community',
      `${as}:1:2`,
    );
    await this.gobgp('global', 'rib', 'add', '-a', 'ipv6', prefix6);
  }
}

const neighbor = (site: Site, address: string, more: string, families: readonly string[]): string => `
[[neighbors]]
[neighbors.config]
neighbor-address = "${address}"
peer-as = ${site.dutAs}
${more}
[neighbors.timers.config]
connect-retry = 1
idle-hold-time-after-reset = 1
[neighbors.graceful-restart.config]
enabled = true
restart-time = 60
${families
  .map(
    (family) => `[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "${family}-unicast"
[neighbors.afi-safis.mp-graceful-restart.config]
enabled = true
[neighbors.afi-safis.add-paths.config]
receive = true
send-max = 8
`,
  )
  .join('')}`;

const config = (site: Site): string => `
[global.config]
as = ${site.as}
router-id = "10.255.0.${site.index}"
${neighbor(site, site.ipv4.dut, `auth-password = "${site.password}"`, ['ipv4', 'ipv6'])}
${neighbor(site, site.ipv6.dut, '[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255', ['ipv6'])}
`;
