/**
 * Our bgpd against other people's, all of them at once around it: one table of scenarios, run on every vendor that can do it.
 * Real processes, real TCP, real kernels; needs root and the daemons that the bootstrap installs.
 */
import { expect } from 'chai';
import { castOf, lackingOf } from './cast.js';
import { eventually } from './namespace.js';
import { Root } from './root.js';
import type { Feature } from './vendor.js';
import {
  CHURN,
  churnPrefix,
  DUT_ADDRESS4,
  DUT_AS,
  DUT_PREFIX4,
  DUT_PREFIX6,
  PASSWORD,
  World,
  WRONG_PASSWORD,
  type Party,
} from './world.js';

interface Scenario {
  readonly name: string;
  /** Only for vendors that can. */
  readonly needs?: Feature;
  readonly run: (world: World, party: Party) => Promise<void>;
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a wrong TCP-MD5 key keeps the session down, and is named as a suspect',
    run: async (world, { vendor }) => {
      const name = `${vendor.name}4`;
      await eventually(
        `${name} names the password`,
        async () => /No answer .* password/.test((await world.bgpd.neighbor(name)).errors.local?.text ?? ''),
        () => world.bgpd.log.slice(-2000),
      );
      expect(await world.bgpd.isEstablished(name)).to.equal(false);
      await world.up(`${vendor.name}6`);
      expect(world.bgpd.log).to.not.contain(WRONG_PASSWORD);
    },
  },
  {
    name: 'the right TCP-MD5 key brings it up',
    run: async (world, { vendor }) => {
      await world.bgpd.configure(world.config());
      await world.up(`${vendor.name}4`);
    },
  },
  {
    name: 'sessions over IPv4 (with TCP-MD5) and IPv6 (with GTSM) come up',
    run: async (world, { vendor }) => {
      await world.up(`${vendor.name}4`);
      await world.up(`${vendor.name}6`);
    },
  },
  {
    name: 'both families go over one session, with a four-octet AS',
    run: async (world, party) => {
      await world.heard(party, DUT_PREFIX4, String(DUT_AS));
      await world.heard(party, DUT_PREFIX6, String(DUT_AS));
      await world.learned(party.site.prefix4, ({ asPath }) => asPath === String(party.site.as));
      await world.learned(party.site.prefix6, ({ asPath }) => asPath === String(party.site.as));
    },
  },
  {
    name: 'routes of the others pass through us, with our AS in front',
    run: async (world, party) => {
      for (const other of world.parties)
        if (other !== party) await world.heard(party, other.site.prefix4, new RegExp(`${DUT_AS},? ${other.site.as}`));
    },
  },
  {
    name: 'communities arrive, both ways',
    needs: 'communities',
    run: async (world, party) => {
      await world.heard(party, DUT_PREFIX4, party.vendor.community(64512, 100));
      await world.learned(
        party.site.prefix4,
        ({ communities }) => communities?.includes(`${party.site.as}:1`) === true,
      );
    },
  },
  {
    name: 'large communities arrive, both ways',
    needs: 'large-communities',
    run: async (world, party) => {
      await world.heard(party, DUT_PREFIX4, new RegExp(`${DUT_AS} ?[:,] ?1 ?[:,] ?2`));
      await world.learned(
        party.site.prefix4,
        ({ largeCommunities }) => largeCommunities?.includes(`${party.site.as}:1:2`) === true,
      );
    },
  },
  {
    name: 'learned routes are in our kernel and packets take them',
    needs: 'kernel',
    run: async (world, party) => {
      const { site } = party;
      expect(world.dutNamespace.ip('route', 'show', site.prefix4))
        .to.match(/proto (172|tortie-bgp)/)
        .and.contain(`dev d${site.index}`);
      expect(world.dutNamespace.ip('-6', 'route', 'show', site.prefix6)).to.match(/proto (172|tortie-bgp)/);
      await ping(world, site.index);
    },
  },
  {
    name: 'they refresh from us, we from them, and nothing flaps',
    needs: 'refresh',
    run: async (world, party) => {
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
    },
  },
  {
    name: 'IPv4 prefixes come with IPv6 next hops (8950)',
    needs: 'extended-next-hop',
    run: async (world, { vendor, site }) => {
      expect((await world.bgpd.neighbor(`${vendor.name}6`)).capabilities['extendedNextHop']).to.equal(true);
      const routes = await world.bgpd.routes(`received=${vendor.name}6&prefix=${encodeURIComponent(site.prefix4)}`);
      expect(routes[0]?.nextHop).to.match(/^(fd20|fe80):/);
    },
  },
  {
    name: 'a cleared session comes back',
    needs: 'bounce',
    run: async (world, { vendor, site }) => {
      const name = `${vendor.name}6`;
      const { establishedCount } = await world.bgpd.neighbor(name);
      await world.bgpd.clear(name, false);
      await pause(100);
      await vendor.nudge(site.ipv6.dut);
      await world.up(name);
      expect((await world.bgpd.neighbor(name)).establishedCount).to.equal(establishedCount + 1);
    },
  },
];

/** These change what our bgpd is told, or kill somebody; each puts things right again. */
const LATER: readonly Scenario[] = [
  {
    name: 'ADD-PATH both ways (7911): every path of a prefix is told',
    needs: 'bounce',
    run: async (world, party) => {
      const name = `${party.vendor.name}4`;
      await world.bgpd.configure(
        world.config(PASSWORD, (peer) => (peer.name === name ? { ...peer, addPath: 'both' } : peer)),
      );
      await pause(200);
      await party.vendor.nudge(party.site.ipv4.dut);
      await world.up(name);
      const { capabilities } = await world.bgpd.neighbor(name);
      expect(capabilities).to.include({ addPathSend: true, addPathReceive: true });
      await world.learned(party.site.prefix4, ({ asPath }) => asPath === String(party.site.as));
      const other = world.parties.find((each) => each !== party && each.vendor.features.has('extended-next-hop'));
      if (other === undefined) throw new Error('There is nobody with two paths');
      // That vendor sends its IPv4 prefix over both of its sessions: two paths, two next hops.
      await world.heard(party, other.site.prefix4, String(other.site.as));
      const advertised = async (): Promise<string> =>
        (await world.bgpd.routes(`advertised=${name}&prefix=${encodeURIComponent(other.site.prefix4)}`))
          .map(({ peer }) => peer)
          .sort()
          .join(' ');
      await eventually(
        'both are told',
        async () => (await advertised()) === `${other.vendor.name}4 ${other.vendor.name}6`,
        advertised,
      );
      await eventually(
        `${party.vendor.name} has both`,
        async () => (await party.vendor.routeText(other.site.prefix4)).split(String(other.site.as)).length > 3,
      );
      await world.bgpd.configure(world.config());
      await pause(200);
      await party.vendor.nudge(party.site.ipv4.dut);
      await world.up(name);
    },
  },
  {
    name: 'BFD (5880) comes up, and a path that dies silently takes the session down',
    needs: 'bfd',
    run: async (world, { vendor, site }) => {
      const name = `${vendor.name}${vendor.bfdFamily ?? 6}`;
      const iptables = vendor.bfdFamily === 4 ? 'iptables' : 'ip6tables';
      const bfd = { transmitInterval: 100, receiveInterval: 100, multiplier: 3 };
      await vendor.setBfd(true);
      await world.bgpd.configure(world.config(PASSWORD, (peer) => (peer.name === name ? { ...peer, bfd } : peer)));
      await eventually(
        `BFD with ${name} is up`,
        async () => (await world.bgpd.neighbor(name)).bfd === 'up',
        async () => JSON.stringify(await world.bgpd.ask('GET', '/v1/bfd')),
      );
      const before = (await world.bgpd.neighbor(name)).establishedCount;
      // The peer's packets are lost without the carrier going: only BFD can see it.
      site.namespace.exec(iptables, '-A', 'OUTPUT', '-o', `v${site.index}`, '-p', 'udp', '-j', 'DROP');
      await eventually(
        `${name} is down by BFD`,
        () => new RegExp(`peer ${name} is down: (BFD says|Cease)`).test(world.bgpd.log),
        () => world.bgpd.log.slice(-2000),
      );
      site.namespace.exec(iptables, '-F');
      await vendor.setBfd(false);
      await world.bgpd.configure(world.config());
      await world.up(name);
      expect((await world.bgpd.neighbor(name)).establishedCount).to.be.greaterThan(before);
    },
  },
  {
    name: 'roles (9234): a customer takes us as its provider and marks our routes, and refuses us as its peer',
    needs: 'roles',
    run: async (world, { vendor }) => {
      const name = `${vendor.name}4`;
      const as = async (role: 'provider' | 'peer'): Promise<unknown> =>
        await world.bgpd.configure(
          world.config(PASSWORD, (peer) => (peer.name === name ? { ...peer, role, roleStrict: true } : peer)),
        );
      await as('provider');
      await pause(200);
      await world.up(name);
      const party = partyOf(world, vendor.name);
      await world.heard(party, DUT_PREFIX4, new RegExp(`otc:? ${DUT_AS}`, 'i'));
      await as('peer');
      const words = async (): Promise<string> => JSON.stringify((await world.bgpd.neighbor(name)).errors);
      await eventually(
        'the mismatch is named',
        async () => /role is customer; expected peer|Role Mismatch/.test(await words()),
        words,
      );
      expect(await world.bgpd.isEstablished(name)).to.equal(false);
      await world.bgpd.configure(world.config());
      await world.up(name);
    },
  },
  {
    name: 'sessions opened from both ends at once settle on one connection (4271 6.8)',
    needs: 'bounce',
    run: async (world, party) => {
      const name = `${party.vendor.name}4`;
      for (let i = 0; i < 3; i++) {
        await Promise.all([party.vendor.bounce(), world.bgpd.clear(name, false)]);
        await pause(100);
        await party.vendor.nudge(party.site.ipv4.dut);
        await world.up(name);
      }
      await pause(1000);
      const connections = world.dutNamespace.exec('ss', '-Htn', 'state', 'established', 'dst', party.site.ipv4.local);
      expect(connections.trim().split('\n')).to.have.length(1);
      await world.heard(party, DUT_PREFIX4, String(DUT_AS));
    },
  },
  {
    name: '65,100 changes of routes pass through us to another router and to the kernel',
    needs: 'churn',
    run: async (world, party) => {
      const other = partyOf(world, 'frr');
      const accepted = async (): Promise<number> =>
        (await world.bgpd.neighbor(`${party.vendor.name}4`)).families.ipv4?.accepted ?? 0;
      const advertised = async (): Promise<number> =>
        (await world.bgpd.neighbor(`${other.vendor.name}4`)).families.ipv4?.advertised ?? 0;
      const quiet = await accepted();
      try {
        for (const [round, on] of [true, false, true].entries()) {
          await party.vendor.churn(on);
          const wanted = on ? CHURN : 0;
          await eventually(
            `round ${round}: all changes are in`,
            async () =>
              (await accepted()) === quiet + wanted &&
              (on ? (await advertised()) > CHURN : (await advertised()) < CHURN),
            async () => `${await accepted()} accepted, ${await advertised()} advertised`,
          );
        }
        await world.heard(other, churnPrefix(CHURN - 1), String(party.site.as));
        await eventually(
          'the kernel has them',
          async () =>
            ((await world.bgpd.ask('GET', '/v1/status')) as { readonly kernel: { readonly routes: number } }).kernel
              .routes > CHURN,
        );
        expect(world.dutNamespace.ip('route', 'show', churnPrefix(77))).to.contain(`via ${party.site.ipv4.local}`);
      } finally {
        // The next in the cast begins from none.
        await party.vendor.churn(false);
      }
      await eventually('and lets them go', async () => (await accepted()) === quiet);
      expect((await world.bgpd.neighbor(`${party.vendor.name}4`)).establishedCount).to.be.greaterThan(0);
    },
  },
  {
    name: 'as a route reflector we pass routes between routers of our own AS (4456)',
    needs: 'local-as',
    run: async (world, party) => {
      // Its IPv6 session becomes internal for a while; what the others say comes to it with their path unchanged, what it says goes on.
      const name = `${party.vendor.name}6`;
      await party.vendor.setInternal(true);
      try {
        await world.bgpd.configure(
          world.config(PASSWORD, (peer) =>
            peer.name === name
              ? {
                  ...peer,
                  remoteAs: DUT_AS,
                  multihop: undefined,
                  ttlSecurityHops: 1,
                  routeReflectorClient: true,
                  nextHopUnchanged: undefined,
                  nextHopSelf: true,
                }
              : peer,
          ),
        );
        await world.up(name);
        const { type } = await world.bgpd.neighbor(name);
        expect(type).to.equal('ibgp');
        const frr = partyOf(world, 'frr');
        await eventually(
          'a route of another AS is there, with local preference',
          async () => /(BGP\.as_path|bgp_path): 65002\s/.test(await party.vendor.routeText(frr.site.prefix6)),
          () => party.vendor.routeText(frr.site.prefix6),
        );
      } finally {
        // The scenarios after this one meet the world as it was.
        await party.vendor.setInternal(false);
        await world.bgpd.configure(world.config());
        await world.up(name);
      }
    },
  },
  {
    name: 'we are killed and no packet is lost, either way (4724, restarting)',
    needs: 'kernel',
    run: async (world, party) => {
      // The vendor's own packets towards us, over routes that it has from us.
      const traffic = party.site.namespace.traffic(`192.168.${party.site.index}.1`, DUT_ADDRESS4);
      const back = world.dutNamespace.traffic(DUT_ADDRESS4, `192.168.${party.site.index}.1`);
      await pause(500);
      await world.bgpd.kill();
      const logged = world.bgpd.log.length;
      await pause(500);
      await world.bgpd.start();
      for (const family of [4, 6]) await world.up(`${party.vendor.name}${family}`);
      expect(await traffic).to.contain(' 0% packet loss');
      expect(await back).to.contain(' 0% packet loss');
      // GoBGP and OpenBGPD take their time; they are waited for, but not for long.
      await eventually('the restart is over', () => world.bgpd.log.slice(logged).includes('restart is over'));
    },
  },
  {
    name: 'the peer is killed and no packet is lost (4724, helper)',
    needs: 'restarts',
    run: async (world, party) => {
      const name = `${party.vendor.name}4`;
      // What is tested is our table: the answers take a road that the vendor's own restart does not touch (FRR's has a gap now and then).
      const { site } = party;
      site.namespace.ip('route', 'add', `${DUT_ADDRESS4}/32`, 'via', site.ipv4.dut);
      const traffic = world.dutNamespace.traffic(DUT_ADDRESS4, `192.168.${party.site.index}.1`);
      await pause(500);
      await party.vendor.kill();
      await eventually('the loss is seen', async () => !(await world.bgpd.isEstablished(name)));
      expect((await world.bgpd.neighbor(name)).stale).to.not.deep.equal([]);
      await party.vendor.restart();
      await world.up(name);
      expect(await traffic).to.contain(' 0% packet loss');
      await eventually(
        'nothing is stale any more',
        async () => (await world.bgpd.neighbor(name)).stale.length === 0,
        async () => JSON.stringify(await world.bgpd.neighbor(name)),
      );
      await world.learned(party.site.prefix4, ({ asPath }) => asPath === String(party.site.as));
      site.namespace.ip('route', 'del', `${DUT_ADDRESS4}/32`, 'via', site.ipv4.dut);
    },
  },
];

const partyOf = (world: World, name: string): Party => {
  const party = world.parties.find(({ vendor }) => vendor.name === name);
  if (party === undefined) throw new Error(`There is no ${name}`);
  return party;
};

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** One packet each way between the loopbacks. */
async function ping(world: World, index: number): Promise<void> {
  const answer = await world.dutNamespace.ask(
    'ping',
    '-n',
    '-c',
    '3',
    '-i',
    '0.2',
    '-W',
    '2',
    '-I',
    DUT_ADDRESS4,
    `192.168.${index}.1`,
  );
  expect(answer).to.contain(' 0% packet loss');
}

const CAST = castOf(Root.ofEnvironment());

function lacking(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const missing = lackingOf(CAST);
  return missing.length === 0 ? undefined : `needs ${missing.join(', ')}`;
}

const lack = lacking();

(lack === undefined ? describe : describe.skip)(`bgp/interop${lack === undefined ? '' : ` (${lack})`}`, function () {
  this.timeout(90_000);
  const world = new World(CAST);
  before(() => world.start());
  after(() => world.stop());

  for (const { name, needs, run } of [...SCENARIOS, ...LATER])
    describe(name, () => {
      for (const { name: vendor } of CAST)
        it(vendor, async function () {
          const party = partyOf(world, vendor);
          if (needs !== undefined && !party.vendor.features.has(needs)) this.skip();
          else await run(world, party);
        });
    });
});
