import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cannot, type Feature, type Site, type Vendor } from './vendor.js';
import { VendorDaemon } from './vendor-daemon.js';

export class Openbgpd extends VendorDaemon implements Vendor {
  /** The portable version writes no routes into Linux. */
  readonly features: ReadonlySet<Feature> = new Set<Feature>([
    'bounce',
    'refresh',
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
    mkdirSync(this.root.outside('/run/openbgpd'), { recursive: true, mode: 0o755 });
    writeFileSync(join(site.directory, 'openbgpd.conf'), config(site), { mode: 0o600 });
    await this.run();
  }

  async restart(): Promise<void> {
    await this.run();
  }

  routeText(prefix: string): Promise<string> {
    return this.bgpctl('show', 'rib', 'detail', prefix);
  }

  async refresh(): Promise<void> {
    await this.bgpctl('neighbor', this.own.ipv4.dut, 'refresh');
  }

  async bounce(): Promise<void> {
    await this.bgpctl('neighbor', this.own.ipv4.dut, 'clear');
  }

  async nudge(address: string): Promise<void> {
    await this.bgpctl('neighbor', address, 'up');
  }

  community(high: number, low: number): string {
    return `${high}:${low}`;
  }

  status(): Promise<string> {
    return this.bgpctl('show', 'neighbor');
  }

  private bgpctl(...words: readonly string[]): Promise<string> {
    return this.ask('bgpctl', '-s', join(this.own.directory, 'openbgpd.sock'), ...words);
  }

  private async run(): Promise<void> {
    this.spawn(['/usr/sbin/bgpd', '-d', '-f', join(this.own.directory, 'openbgpd.conf')]);
    await Promise.resolve();
  }
}

const config = (site: Site): string => `
AS ${site.as}
router-id 10.255.0.${site.index}
fib-update no
socket "${join(site.directory, 'openbgpd.sock')}"
listen on ${site.ipv4.local}
listen on ${site.ipv6.local}
network ${site.prefix4} set { community ${site.as}:1 large-community ${site.as}:1:2 }
network ${site.prefix6}
neighbor ${site.ipv4.dut} {
  remote-as ${site.dutAs}
  tcp md5sig password "${site.password}"
  announce IPv4 unicast
  announce IPv6 unicast
  local-address ${site.ipv4.local}
  local-address ${site.ipv6.local}
  announce add-path recv yes
  announce add-path send all
}
neighbor ${site.ipv6.dut} {
  remote-as ${site.dutAs}
  ttl-security yes
  announce IPv4 none
  announce IPv6 unicast
}
allow from any
allow to any
`;
