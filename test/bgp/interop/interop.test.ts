/**
 * Our bgpd against other people's, all of them at once around it: one table of scenarios, run on every vendor that can do it.
 * Real processes, real TCP, real kernels; needs root and the daemons that the bootstrap installs.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Feature } from './vendor.js';
import { DUT_ADDRESS4, DUT_AS, DUT_PREFIX4, DUT_PREFIX6, World, type Party } from './world.js';

interface Scenario {
  readonly name: string;
  /** Only for vendors that can. */
  readonly needs?: Feature;
  readonly run: (world: World, party: Party) => Promise<void>;
}

const SCENARIOS: readonly Scenario[] = [
  { name: 'sessions over IPv4 (with TCP-MD5) and IPv6 (with GTSM) come up', run: async (world, { vendor }) => {
    await world.up(`${vendor.name}4`);
    await world.up(`${vendor.name}6`);
  } },
  { name: 'both families go over one session, with a four-octet AS', run: async (world, party) => {
    await world.heard(party, DUT_PREFIX4, String(DUT_AS));
    await world.heard(party, DUT_PREFIX6, String(DUT_AS));
    await world.learned(party.site.prefix4, ({ asPath }) => asPath === String(party.site.as));
    await world.learned(party.site.prefix6, ({ asPath }) => asPath === String(party.site.as));
  } },
  { name: 'routes of the others pass through us, with our AS in front', run: async (world, party) => {
    for (const other of world.parties)
      if (other !== party) await world.heard(party, other.site.prefix4, new RegExp(`${DUT_AS},? ${other.site.as}`));
  } },
  { name: 'communities arrive, both ways', needs: 'communities', run: async (world, party) => {
    await world.heard(party, DUT_PREFIX4, party.vendor.community(64512, 100));
    await world.learned(party.site.prefix4, ({ communities }) => communities?.includes(`${party.site.as}:1`) === true);
  } },
  { name: 'large communities arrive, both ways', needs: 'large-communities', run: async (world, party) => {
    await world.heard(party, DUT_PREFIX4, new RegExp(`${DUT_AS} ?[:,] ?1 ?[:,] ?2`));
    await world.learned(party.site.prefix4, ({ largeCommunities }) => largeCommunities?.includes(`${party.site.as}:1:2`) === true);
  } },
  { name: 'learned routes are in our kernel and packets take them', needs: 'kernel', run: async (world, party) => {
    const { site } = party;
    expect(world.dutNamespace.ip('route', 'show', site.prefix4)).to.match(new RegExp(`proto (172|tortie-bgp) [^]*via 10\\.200\\.${site.index}\\.2 dev d${site.index}|via 10\\.200\\.${site.index}\\.2 dev d${site.index} proto (172|tortie-bgp)`));
    expect(world.dutNamespace.ip('-6', 'route', 'show', site.prefix6)).to.match(/proto (172|tortie-bgp)/);
    await ping(world, site.index);
  } },
  { name: 'they refresh from us, we from them, and nothing flaps', needs: 'refresh', run: async (world, party) => {
    const name = `${party.vendor.name}4`;
    const before = await world.bgpd.neighbor(name);
    await party.vendor.refresh();
    await world.bgpd.clear(name, true);
    await pause(1000);
    const after = await world.bgpd.neighbor(name);
    expect(after.establishedCount).to.equal(before.establishedCount);
    expect(after.received?.routeRefresh ?? 0).to.be.greaterThan(before.received?.routeRefresh ?? 0);
    expect(after.families.ipv4?.accepted).to.equal(before.families.ipv4?.accepted);
    await world.heard(party, DUT_PREFIX4, String(DUT_AS));
  } },
  { name: 'IPv4 prefixes come with IPv6 next hops (8950)', needs: 'extended-next-hop', run: async (world, { vendor, site }) => {
    expect((await world.bgpd.neighbor(`${vendor.name}6`)).capabilities['extendedNextHop']).to.equal(true);
    const routes = await world.bgpd.routes(`received=${vendor.name}6&prefix=${encodeURIComponent(site.prefix4)}`);
    expect(routes[0]?.nextHop).to.match(/^(fd20|fe80):/);
  } },
  { name: 'a cleared session is back at once', run: async (world, { vendor }) => {
    const name = `${vendor.name}6`;
    const { establishedCount } = await world.bgpd.neighbor(name);
    await world.bgpd.clear(name, false);
    await pause(100);
    await world.up(name);
    expect((await world.bgpd.neighbor(name)).establishedCount).to.equal(establishedCount + 1);
  } },
];

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** One packet each way between the loopbacks. */
async function ping(world: World, index: number): Promise<void> {
  const answer = await world.dutNamespace.ask('ping', '-n', '-c', '3', '-i', '0.2', '-W', '2', '-I', DUT_ADDRESS4, `192.168.${index}.1`);
  expect(answer).to.contain(' 0% packet loss');
}

function lacking(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const programs = ['bird', 'gobgpd', 'exabgp', '/usr/lib/frr/bgpd', '/usr/sbin/bgpd', 'vtysh', 'bgpctl', 'ping'];
  const missing = programs.filter((program) => {
    if (program.startsWith('/')) return !existsSync(program);
    try {
      execFileSync('which', [program], { stdio: 'ignore' });
      return false;
    } catch {
      return true;
    }
  });
  return missing.length === 0 ? undefined : `needs ${missing.join(', ')}`;
}

const lack = lacking();
const NAMES = ['bird', 'frr', 'gobgp', 'openbgpd', 'exabgp'];

(lack === undefined ? describe : describe.skip)(`bgp/interop${lack === undefined ? '' : ` (${lack})`}`, function () {
  this.timeout(90_000);
  const world = new World();
  before(() => world.start());
  after(() => world.stop());

  const partyOf = (name: string): Party => world.parties.find(({ vendor }) => vendor.name === name) ?? (() => { throw new Error(`There is no ${name}`); })();

  for (const { name, needs, run } of SCENARIOS)
    describe(name, () => {
      for (const vendor of NAMES)
        it(vendor, async function () {
          const party = partyOf(vendor);
          if (needs !== undefined && !party.vendor.features.has(needs)) this.skip();
          else await run(world, party);
        });
    });
});
