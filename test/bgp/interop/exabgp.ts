import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cannot, type Feature, type Site, type Vendor } from './vendor.js';
import { VendorDaemon } from './vendor-daemon.js';

/** An injector, not a router: what it has heard is what its log of received UPDATEs says. */
export class Exabgp extends VendorDaemon implements Vendor {
  readonly features: ReadonlySet<Feature> = new Set<Feature>(['communities', 'large-communities', 'gtsm']);
  readonly refresh = cannot('ask for routes again');
  readonly bounce = cannot('reset a session');
  readonly nudge = cannot('be told to connect');
  readonly churn = cannot('announce so much');
  readonly setBfd = cannot('run BFD');
  readonly setInternal = cannot('change its AS');

  async start(site: Site): Promise<void> {
    this.settle(site);
    writeFileSync(join(site.directory, 'exabgp.conf'), config(site));
    await this.run();
  }

  async restart(): Promise<void> {
    await this.run();
  }

  async routeText(prefix: string): Promise<string> {
    const lines = this.heard().filter((line) => line.includes(`"${prefix}"`));
    return await Promise.resolve(lines.at(-1) ?? '');
  }

  community(high: number, low: number): string {
    return `[ ${high}, ${low} ]`;
  }

  async status(): Promise<string> {
    return await Promise.resolve(this.heard().slice(-20).join('\n'));
  }

  private heard(): readonly string[] {
    const file = join(this.own.directory, 'heard.json');
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  }

  private async run(): Promise<void> {
    const { directory } = this.own;
    const env = {
      ...process.env,
      exabgp_daemon_user: 'root',
      exabgp_tcp_attempts: '0',
      exabgp_api_cli: 'false',
      exabgp_log_level: 'WARNING',
      exabgp_api_ack: 'false',
    };
    this.spawn(['exabgp', join(directory, 'exabgp.conf')], env);
    await Promise.resolve();
  }
}

const neighbor = (
  site: Site,
  addresses: Site['ipv4'],
  more: string,
  families: readonly string[],
  announcements: string,
): string => `
neighbor ${addresses.dut} {
  router-id 10.255.0.${site.index};
  local-address ${addresses.local};
  local-as ${site.as};
  peer-as ${site.dutAs};
  hold-time 30;
  ${more}
  capability { asn4 enable; route-refresh enable; graceful-restart 60; }
  family { ${families.map((family) => `${family} unicast;`).join(' ')} }
  api { processes [ log ]; receive { parsed; update; } }
  ${announcements}
}`;

const config = (site: Site): string => `
process log {
  run /bin/sh -c "cat >> ${join(site.directory, 'heard.json')}";
  encoder json;
}
${neighbor(
  site,
  site.ipv4,
  `md5-password "${site.password}";`,
  ['ipv4', 'ipv6'],
  `announce {
    ipv4 { unicast ${site.prefix4} next-hop ${site.ipv4.local} community [ ${site.as}:1 ] large-community [ ${site.as}:1:2 ]; }
    ipv6 { unicast ${site.prefix6} next-hop ${site.ipv6.local}; }
  }`,
)}
${neighbor(
  site,
  site.ipv6,
  'outgoing-ttl 255;',
  ['ipv6'],
  `announce {
    ipv6 { unicast ${site.prefix6} next-hop ${site.ipv6.local}; }
  }`,
)}
`;
