import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Feature, Site, Vendor } from './vendor.js';
import { VendorDaemon } from './vendor-daemon.js';

export class Bird extends VendorDaemon implements Vendor {
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
    'churn',
    'local-as',
  ]);
  readonly bfdFamily = 6;

  async start(site: Site): Promise<void> {
    this.settle(site);
    writeFileSync(join(site.directory, 'bird.conf'), config(site));
    await this.run([]);
  }

  async restart(): Promise<void> {
    await this.run(['-R']);
  }

  routeText(prefix: string): Promise<string> {
    return this.birdc('show', 'route', 'for', prefix, 'all');
  }

  async refresh(): Promise<void> {
    await this.birdc('reload', 'in', 'dut4');
  }

  async nudge(): Promise<void> {
    await Promise.resolve();
  }

  async setBfd(): Promise<void> {
    await Promise.resolve();
  }

  async bounce(): Promise<void> {
    await this.birdc('restart', 'dut4');
  }

  async churn(on: boolean): Promise<void> {
    await this.birdc(on ? 'enable' : 'disable', 'churn');
  }

  async setInternal(on: boolean): Promise<void> {
    const { directory, dutAs } = this.own;
    const text = config(this.own);
    const [before, dut6 = ''] = text.split('protocol bgp dut6');
    writeFileSync(
      join(directory, 'bird.conf'),
      on
        ? `${before ?? ''}protocol bgp ` +
            `dut6${dut6.replace('{', `{ local as ${dutAs};`).replace('ttl security on;', 'direct; ttl security on;')}`
        : text,
    );
    await this.birdc('configure');
  }

  community(high: number, low: number): string {
    return `(${high},${low})`;
  }

  status(): Promise<string> {
    return this.birdc('show', 'protocols', 'all');
  }

  birdc(...words: readonly string[]): Promise<string> {
    return this.ask('birdc', '-s', join(this.own.directory, 'bird.ctl'), ...words);
  }

  private async run(more: readonly string[]): Promise<void> {
    const { directory } = this.own;
    this.spawn(['bird', '-f', '-c', join(directory, 'bird.conf'), '-s', join(directory, 'bird.ctl'), ...more]);
    await Promise.resolve();
  }
}

const config = (site: Site): string => `
log stderr all;
router id 10.255.0.${site.index};
graceful restart wait 20;
protocol device { scan time 5; }
protocol direct { disabled; }
protocol kernel k4 { persist; graceful restart on; ipv4 { import none; export where source = RTS_BGP; }; merge paths on; }
protocol kernel k6 { persist; graceful restart on; ipv6 { import none; export where source = RTS_BGP; }; merge paths on; }
protocol bfd { interface "*" { interval 200 ms; multiplier 5; }; }
protocol static s4 {
  ipv4;
  route ${site.prefix4} blackhole { bgp_community.add((${site.as},1)); bgp_large_community.add((${site.as},1,2)); };
}
protocol static s6 { ipv6; route ${site.prefix6} blackhole; }
protocol static churn {
  disabled; ipv4;
include "churn.conf";
}
template bgp dut {
  local as ${site.as};
  graceful restart on;
  long lived graceful restart on;
  connect delay time 1; connect retry time 2; error wait time 1, 5;
}
protocol bgp dut4 from dut {
  neighbor ${site.ipv4.dut} as ${site.dutAs};
  password "${site.password}";
  local role customer;
  ipv4 { import all; export where source = RTS_STATIC; add paths on; };
  ipv6 { import all; export where source = RTS_STATIC; next hop address ${site.ipv6.local}; add paths on; };
}
protocol bgp dut6 from dut {
  neighbor ${site.ipv6.dut} as ${site.dutAs};
  ttl security on;
  bfd on;
  ipv6 { import all; export where source = RTS_STATIC; };
  ipv4 { import all; export where source = RTS_STATIC; extended next hop on; };
}
`;

/** Static routes that a scenario switches on and off. */
export function writeChurn(directory: string, prefixes: readonly string[]): void {
  writeFileSync(
    join(directory, 'churn.conf'),
    `${prefixes.map((prefix) => `route ${prefix} blackhole;`).join('\n')}\n`,
  );
}
