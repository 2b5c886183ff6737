/** Our bgpd in the middle, one namespace and cable per vendor around it. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PeerConfig, SpeakerConfig } from 'node-bgp/config';
import { BgpdProcess } from './bgpd-process.js';
import { writeChurn } from './bird.js';
import { vendorOf, type Role } from './cast.js';
import { cable, eventually, Namespace, sweepOld } from './namespace.js';
import type { Site, Vendor } from './vendor.js';

/** Needs four octets: every session of every scenario is a test of RFC 6793 too. */
export const DUT_AS = 4_200_000_001;
export const DUT_PREFIX4 = '10.65.0.0/24';
export const DUT_PREFIX6 = 'fd65::/64';
export const DUT_ADDRESS4 = '10.65.0.1';
export const DUT_ADDRESS6 = 'fd65::1';
export const PASSWORD = 'right-key';
export const WRONG_PASSWORD = 'wrong-key';
export const CHURN = 21_700;

export const churnPrefix = (i: number): string => `20.${i >> 8}.${i & 255}.0/24`;

export interface Party {
  readonly vendor: Vendor;
  readonly site: Site;
}

export class World {
  readonly directory = mkdtempSync(join(tmpdir(), 'tortie-interop-'));
  readonly parties: Party[] = [];
  private dutNamespaceOrNone: Namespace | undefined;
  private bgpdOrNone: BgpdProcess | undefined;

  constructor(private readonly cast: readonly Role[]) {}

  get dutNamespace(): Namespace {
    return this.dutNamespaceOrNone ?? missing();
  }
  get bgpd(): BgpdProcess {
    return this.bgpdOrNone ?? missing();
  }

  async start(): Promise<void> {
    sweepOld();
    chmodSync(this.directory, 0o755); // FRR's daemons work as another user
    const dut = new Namespace('dut');
    this.dutNamespaceOrNone = dut;
    dut.ip('addr', 'add', `${DUT_ADDRESS4}/32`, 'dev', 'lo');
    dut.ip('addr', 'add', `${DUT_ADDRESS6}/128`, 'dev', 'lo');
    for (const [position, role] of this.cast.entries())
      this.parties.push({ vendor: vendorOf(role), site: this.site(dut, role.name, position + 1) });
    const prefixes = Array.from({ length: CHURN }, (_, i) => churnPrefix(i));
    for (const { vendor, site } of this.parties) if (vendor.features.has('churn')) writeChurn(site.directory, prefixes);
    const bgpd = new BgpdProcess(dut, join(this.directory, 'dut'));
    this.bgpdOrNone = bgpd;
    await bgpd.start();
    // The first scenario is about this.
    await bgpd.configure(this.config(WRONG_PASSWORD));
    await Promise.all(this.parties.map(({ vendor, site }) => vendor.start(site)));
  }

  async stop(): Promise<void> {
    await Promise.all(
      [this.dutNamespaceOrNone, ...this.parties.map(({ site }) => site.namespace)].map((namespace) =>
        namespace?.remove(),
      ),
    );
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** What our bgpd is told; `password` and `more` vary by scenario. */
  config(password = PASSWORD, more: (peer: PeerConfig, vendor: Vendor) => PeerConfig = (peer) => peer): SpeakerConfig {
    return {
      localAs: DUT_AS,
      routerId: DUT_ADDRESS4,
      installRoutes: true,
      gracefulRestartTime: 60,
      peers: this.parties.flatMap(({ vendor, site }) =>
        peersOf(vendor, site, password).map((peer) => more(peer, vendor)),
      ),
      originate: [{ prefix: DUT_PREFIX4, communities: ['64512:100', `${DUT_AS}:1:2`] }, { prefix: DUT_PREFIX6 }],
    };
  }

  async up(peer: string): Promise<void> {
    // GoBGP holds an ended session idle for five seconds, more than once where both ends reset it.
    await eventually(
      `${peer} is up`,
      () => this.bgpd.isEstablished(peer),
      async () => `${JSON.stringify(await this.bgpd.neighbor(peer))}\n${await this.statusOf(peer)}`,
      45_000,
    );
  }

  /** Waits until the vendor shows the route with this text in it. */
  async heard(party: Party, prefix: string, text: string | RegExp): Promise<void> {
    const matches = (answer: string): boolean => (typeof text === 'string' ? answer.includes(text) : text.test(answer));
    let last = '';
    await eventually(
      `${party.vendor.name} shows ${prefix} with ${String(text)}`,
      async () => matches((last = await party.vendor.routeText(prefix))),
      () => `${last}\n${this.bgpd.log.slice(-3000)}`,
    );
  }

  /** Waits until our best path to a prefix passes. */
  async learned(
    prefix: string,
    check: (route: {
      readonly asPath: string;
      readonly nextHop?: string;
      readonly communities?: readonly string[];
      readonly largeCommunities?: readonly string[];
    }) => boolean,
  ): Promise<void> {
    let last = '';
    await eventually(
      `we have learned ${prefix}`,
      async () => {
        const routes = await this.bgpd.routes(`prefix=${encodeURIComponent(prefix)}`);
        last = JSON.stringify(routes);
        return routes.some((route) => route.isBest && check(route));
      },
      () => last,
    );
  }

  private async statusOf(peer: string): Promise<string> {
    const party = this.parties.find(({ vendor }) => [`${vendor.name}4`, `${vendor.name}6`].includes(peer));
    return party === undefined ? '' : await party.vendor.status();
  }

  private site(dut: Namespace, name: string, index: number): Site {
    const namespace = new Namespace(name);
    const directory = join(this.directory, name);
    mkdirSync(directory, { recursive: true });
    const [ours, theirs] = [`d${index}`, `v${index}`];
    cable(dut, ours, namespace, theirs);
    const ipv4 = { dut: `10.200.${index}.1`, local: `10.200.${index}.2` };
    const ipv6 = { dut: `fd20:${index}::1`, local: `fd20:${index}::2` };
    dut.ip('addr', 'add', `${ipv4.dut}/30`, 'dev', ours);
    dut.ip('addr', 'add', `${ipv6.dut}/64`, 'dev', ours, 'nodad');
    namespace.ip('addr', 'add', `${ipv4.local}/30`, 'dev', theirs);
    namespace.ip('addr', 'add', `${ipv6.local}/64`, 'dev', theirs, 'nodad');
    namespace.ip('addr', 'add', `192.168.${index}.1/32`, 'dev', 'lo');
    namespace.ip('addr', 'add', `fd99:${index}::1/128`, 'dev', 'lo');
    return {
      namespace,
      directory,
      index,
      as: 65000 + index,
      dutAs: DUT_AS,
      password: PASSWORD,
      ipv4,
      ipv6,
      prefix4: `192.168.${index}.0/24`,
      prefix6: `fd99:${index}::/64`,
    };
  }
}

function peersOf(vendor: Vendor, site: Site, password: string): readonly PeerConfig[] {
  const common = { remoteAs: site.as, maxPrefixes: 100_000, connectRetryTime: 3 };
  return [
    { ...common, name: `${vendor.name}4`, address: site.ipv4.local, password },
    {
      ...common,
      name: `${vendor.name}6`,
      address: site.ipv6.local,
      ...(vendor.features.has('gtsm') ? { ttlSecurityHops: 1 } : {}),
      families: vendor.features.has('extended-next-hop') ? ['ipv4', 'ipv6'] : ['ipv6'],
    },
  ];
}

function missing(): never {
  throw new Error('The world was not started');
}
