/** Address translation and parts that come one after another, on all three ways of writing rules, in namespaces. Needs root. */
import type { Family, Rule, Ruleset } from '@tortie/policy/ruleset';
import { renderNftables } from '@tortie/policy/render/nftables';
import { expect } from 'chai';
import { writeFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNetfilter, type Netfilter, type NetfilterOptions } from '../../../src/dataplane/netfilter/netfilter.js';
import type { BackendSetting, DriftRepair } from '../../../src/dataplane/netfilter/status.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { exec, ScratchNamespaces } from '../scratch-namespaces.js';
import { chain, delta, jump, ruleset, set, small } from './rulesets.js';

const namespaces = new ScratchNamespaces('tna');

const dnat = (to: string, family: Family, port?: number): Rule => ({
  family,
  matches: port === undefined ? [] : [{ type: 'protocol', protocol: 6 }],
  action: port === undefined ? { type: 'dnat', to } : { type: 'dnat', to, port },
});
const gotoIn = (family: Family, name: string): Rule => ({ family, matches: [], action: { type: 'goto', chain: name } });

/** Every action and map of translation, in both families. `ports` are those of the map. */
const nat = (ports: readonly number[] = [8080]): Ruleset =>
  ruleset({
    sets: [set(4, 'nat-pools', 'network', ['10.65.0.0/16']), set(6, 'nat-pools', 'network', ['fd00:65::/64'])],
    chains: [
      chain('nat', 'TORTIE-NAT-PREROUTING', [gotoIn(4, 'TORTIE-NPORT'), gotoIn(6, 'TORTIE-NPORT6')]),
      chain('nat', 'TORTIE-NAT-OUTPUT', [jump('TORTIE-NLOCAL')]),
      chain('nat', 'TORTIE-NAT-4', [dnat('10.65.0.7', 4, 80)]),
      chain('nat', 'TORTIE-NAT-6', [dnat('fd00:65::7', 6, 80)]),
      chain('nat', 'TORTIE-NAT-PLAIN', [dnat('10.65.0.7', 4), dnat('fd00:65::7', 6)]),
      chain('nat', 'TORTIE-NAT-RANDOM', [
        { matches: [{ type: 'random', oneIn: 3 }], action: { type: 'jump', chain: 'TORTIE-NAT-4' } },
        { matches: [{ type: 'random', oneIn: 2 }], action: { type: 'return' } },
      ]),
      chain('nat', 'TORTIE-NAT-POSTROUTING', [
        {
          matches: [
            { type: 'set', side: 'source', set: 'nat-pools' },
            { type: 'set', side: 'destination', set: 'nat-pools', not: true },
            { type: 'protocol', protocol: 6 },
          ],
          action: { type: 'masquerade', ports: { from: 30_000, to: 30_999 }, fullyRandom: true },
        },
        { matches: [{ type: 'set', side: 'source', set: 'nat-pools' }], action: { type: 'masquerade' } },
        { family: 4, matches: [{ type: 'out-interface', name: 'eth9' }], action: { type: 'snat', to: '192.0.2.9' } },
        {
          family: 6,
          matches: [{ type: 'protocol', protocol: 17 }],
          action: { type: 'snat', to: '2001:db8::9', ports: { from: 1_000, to: 2_000 } },
        },
      ]),
    ],
    maps: [
      {
        table: 'nat',
        name: 'TORTIE-NPORT',
        key: 'destination-port',
        family: 4,
        entries: new Map(ports.map((port) => [`192.0.2.1,tcp:${port}`, 'TORTIE-NAT-4'])),
        otherwise: 'return',
      },
      {
        table: 'nat',
        name: 'TORTIE-NPORT6',
        key: 'destination-port',
        family: 6,
        entries: new Map(ports.map((port) => [`2001:db8::1,tcp:${port}`, 'TORTIE-NAT-6'])),
        otherwise: 'return',
      },
      {
        table: 'nat',
        name: 'TORTIE-NLOCAL',
        key: 'port',
        entries: new Map([
          ['udp:53', 'TORTIE-NAT-RANDOM'],
          ['sctp:53', 'TORTIE-NAT-RANDOM'],
        ]),
        otherwise: 'return',
      },
      {
        table: 'nat',
        name: 'TORTIE-NADDR',
        key: 'destination',
        family: 4,
        entries: new Map([['192.0.2.77', 'TORTIE-NAT-PLAIN']]),
        otherwise: 'return',
      },
    ],
    hooks: [
      { table: 'nat', builtin: 'PREROUTING', chain: 'TORTIE-NAT-PREROUTING' },
      { table: 'nat', builtin: 'OUTPUT', chain: 'TORTIE-NAT-OUTPUT' },
      { table: 'nat', builtin: 'POSTROUTING', chain: 'TORTIE-NAT-POSTROUTING' },
    ],
  });

/** A reject in front of policy, and a translation in front of part "nat". */
const services: Ruleset = ruleset({
  chains: [
    chain('filter', 'TORTIE-SVC-FORWARD', [
      {
        family: 4,
        matches: [{ type: 'network', side: 'destination', prefix: '10.96.0.9/32' }],
        action: { type: 'reject', with: 'port-unreachable' },
      },
      {
        matches: [
          { type: 'protocol', protocol: 6 },
          { type: 'mark', value: 0x100000, mask: 0x100000 },
        ],
        action: { type: 'reject', with: 'tcp-reset' },
      },
    ]),
    chain('nat', 'TORTIE-SVC-PREROUTING', [
      {
        family: 4,
        matches: [{ type: 'network', side: 'destination', prefix: '10.96.0.1/32' }],
        action: { type: 'dnat', to: '10.65.0.9' },
      },
    ]),
  ],
  hooks: [
    { table: 'filter', builtin: 'FORWARD', chain: 'TORTIE-SVC-FORWARD' },
    { table: 'nat', builtin: 'PREROUTING', chain: 'TORTIE-SVC-PREROUTING' },
  ],
});

const nothing = ruleset({});

async function until(isSo: () => boolean, explain = (): unknown => expect.fail('waited in vain')): Promise<void> {
  const end = Date.now() + 10_000;
  while (!isSo()) {
    if (Date.now() > end) explain();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

for (const backend of ['legacy', 'nft', 'nftables'] as const satisfies readonly BackendSetting[])
  describe(`Address translation on ${backend === 'nftables' ? backend : `iptables-${backend}`}`, function () {
    this.timeout(30_000);
    let path: string;
    let drifts: DriftRepair[];
    const open: Netfilter[] = [];
    beforeEach(() => {
      path = namespaces.create();
      drifts = [];
    });
    afterEach(async () => {
      for (const netfilter of open.splice(0)) await netfilter.stop();
    });
    after(() => namespaces.removeAll());

    async function start(options: Partial<NetfilterOptions> = {}): Promise<Netfilter> {
      const netfilter = await createNetfilter({
        families: [4, 6],
        backend,
        within: (work) => inNamespace(path, work),
        patrolInterval: 50,
        onDrift: (drift) => drifts.push(drift),
        ...options,
      });
      open.push(netfilter);
      return netfilter;
    }
    const isNftables = backend === 'nftables';
    const sh = (command: string): string =>
      exec(path, 'sh', '-e', '-c', command.replaceAll(/\b(ip6?tables)\b/g, isNftables ? '$1-nft' : `$1-${backend}`));
    /** Our rules without counts. */
    const state = (): string =>
      isNftables
        ? sh('nft -s list table inet tortie || true')
        : sh('for t in nat filter; do iptables-save -t $t; ip6tables-save -t $t; done; ipset save')
            .split('\n')
            .filter((line) => !line.startsWith('#'))
            .map((line) => line.replace(/ \[\d+:\d+\]$/, ''))
            .join('\n');

    it('writes all of it, and nothing twice', async () => {
      const netfilter = await start();
      expect(await netfilter.sync(nat(), 'nat')).to.deep.equal({ failures: [] });
      const written = state();
      for (const word of ['10.65.0.7:80', '[fd00:65::7]:80', '192.0.2.9', '30000-30999'])
        expect(written, word).to.include(word);
      const { counters } = netfilter.status();
      expect(await netfilter.sync(nat(), 'nat')).to.deep.equal({ failures: [] });
      expect(netfilter.status().counters.chainsWritten).to.equal(counters.chainsWritten);
      expect(state()).to.equal(written);
      // What is read back is what was written: nothing to repair.
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      expect(drifts).to.deep.equal([]);
      expect(state()).to.equal(written);
    });

    it('adopts what a predecessor wrote and leaves nothing when told to hold nothing', async () => {
      await (await start()).sync(nat(), 'nat');
      const before = state();
      await open.splice(0)[0]?.stop();
      const netfilter = await start();
      await netfilter.sync(nat(), 'nat');
      expect(netfilter.status().counters.chainsWritten).to.equal(0);
      expect(state()).to.equal(before);
      await netfilter.sync(nothing, 'nat');
      // iptables-nft lets go of a deleted rule's set a moment later.
      await until(
        () => !/TORTIE|nat-pools/.test(state()),
        () => expect(state()).to.not.match(/TORTIE|nat-pools/),
      );
    });

    it('changes maps by their differences, hundreds of keys at once', async () => {
      const netfilter = await start();
      await netfilter.sync(nat(), 'nat');
      const many = Array.from({ length: 300 }, (_, i) => 1_000 + i * 7);
      const { failures } = await netfilter.apply(delta({ mapsUpserted: [...nat(many).maps.values()] }), 'nat');
      expect(failures).to.deep.equal([]);
      await netfilter.apply(delta({ mapsUpserted: [...nat([81, 8080]).maps.values()] }), 'nat');
      const changed = state();
      await netfilter.sync(nothing, 'nat');
      await netfilter.sync(nat([81, 8080]), 'nat');
      expect(sorted(state())).to.deep.equal(sorted(changed));
    });

    it('repairs what somebody breaks and leaves what is not ours', async () => {
      if (!isNftables)
        sh('iptables -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE; iptables -t nat -N KUBE-SERVICES');
      const netfilter = await start();
      await netfilter.sync(nat(), 'nat');
      const written = state();
      for (const harm of isNftables
        ? [
            'nft flush chain inet tortie nat-TORTIE-NAT-POSTROUTING',
            'nft flush map inet tortie nat-TORTIE-NPORT-map',
            'nft delete table inet tortie',
          ]
        : [
            'iptables -t nat -F TORTIE-NAT-POSTROUTING',
            'iptables -t nat -D PREROUTING 1',
            'iptables -t nat -I POSTROUTING 1 -j ACCEPT',
          ]) {
        sh(harm);
        if (harm.includes('-j ACCEPT'))
          await until(() => /-A POSTROUTING .*TORTIE-NAT-POSTROUTING\n-A POSTROUTING -j ACCEPT/.test(state()));
        else
          await until(
            () => state() === written,
            () => expect(state(), harm).to.equal(written),
          );
      }
      expect(drifts).to.not.be.empty;
      if (!isNftables)
        expect(state()).to.include('-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE').and.include(':KUBE-SERVICES');
    });

    it('keeps the rules of a part until it is handed over, and each part to itself', async () => {
      const first = await start();
      await Promise.all([first.sync(nat(), 'nat'), first.sync(services, 'services'), first.sync(small)]);
      const whole = state();
      await open.splice(0)[0]?.stop();

      const netfilter = await start();
      const changed = { ...small, chains: new Map(small.chains), hooks: small.hooks };
      await netfilter.sync(changed);
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(sorted(state()), 'policy alone').to.deep.equal(sorted(whole));
      await netfilter.sync(nat(), 'nat');
      await netfilter.sync(services, 'services');
      expect(sorted(state()), 'everything').to.deep.equal(sorted(whole));
      expect(netfilter.status().counters.chainsWritten).to.equal(0);
      await netfilter.sync(nothing, 'services');
      expect(state()).to.not.match(/TORTIE-S/);
      expect(state()).to.include('TORTIE-NAT-POSTROUTING').and.include('TORTIE-FORWARD');
      await netfilter.sync(nothing, 'nat');
      await netfilter.sync(nothing);
      await until(
        () => !/TORTIE|tortie4-/.test(state()),
        () => expect(state()).to.not.match(/TORTIE|tortie4-/),
      );
      expect(drifts).to.deep.equal([]);
    });

    it('puts services before policy, and both before anybody', async () => {
      const netfilter = await start();
      await netfilter.sync(small);
      await netfilter.sync(services, 'services');
      await netfilter.sync(nat(), 'nat');
      if (isNftables) {
        const priorities = [
          ...sh('nft list table inet tortie').matchAll(/chain (\S+) \{\n\s+type (\S+) hook (\S+) priority ([^;]+);/g),
        ].map(([, name, type, hook, priority]) => `${name} ${type} ${hook} ${priority}`);
        expect(priorities.sort()).to.deep.equal([
          'filter-FORWARD filter forward filter - 5',
          'filter-FORWARD-services filter forward filter - 6',
          'nat-OUTPUT nat output -105',
          'nat-POSTROUTING nat postrouting srcnat - 5',
          'nat-PREROUTING nat prerouting dstnat - 5',
          'nat-PREROUTING-services nat prerouting dstnat - 6',
        ]);
      } else {
        const jumps = (table: string, builtin: string): readonly string[] =>
          [...sh(`iptables-save -t ${table}`).matchAll(new RegExp(`-A ${builtin} .*-j (\\S+)`, 'g'))].map(
            ([, name = '']) => name,
          );
        expect(jumps('filter', 'FORWARD')).to.deep.equal(['TORTIE-SVC-FORWARD', 'TORTIE-FORWARD']);
        expect(jumps('nat', 'PREROUTING')).to.deep.equal(['TORTIE-SVC-PREROUTING', 'TORTIE-NAT-PREROUTING']);
      }
    });

    it('closes no translation: a refused chain of the table is passed over', async () => {
      const netfilter = await start();
      const bad: Rule = {
        family: 4,
        matches: [{ type: 'set', side: 'source', set: 'nat-none' }],
        action: { type: 'dnat', to: '10.65.0.9' },
      };
      const { failures } = await netfilter.sync(
        ruleset({
          chains: [
            chain('nat', 'TORTIE-NAT-PREROUTING', [jump('TORTIE-NAT-BAD'), dnat('10.65.0.7', 4)]),
            chain('nat', 'TORTIE-NAT-BAD', [bad]),
          ],
          hooks: [{ table: 'nat', builtin: 'PREROUTING', chain: 'TORTIE-NAT-PREROUTING' }],
        }),
        'nat',
      );
      expect(failures.map(({ subject }) => subject)).to.deep.equal([
        isNftables ? 'inet tortie nat-TORTIE-NAT-BAD' : 'nat/TORTIE-NAT-BAD',
      ]);
      expect(state()).to.match(/to(-destination)? 10\.65\.0\.7/);
    });

    if (isNftables)
      it('writes what the rendered text says', async () => {
        for (const [part, rules] of [
          ['nat', nat([80, 443, 8080])],
          ['services', services],
        ] as const) {
          const netfilter = await start();
          await netfilter.sync(rules, part);
          await open.splice(0)[0]?.stop();
          const native = sorted(state());
          const file = join(tmpdir(), `tna-${process.pid}.nft`);
          writeFileSync(file, renderNftables(rules));
          try {
            sh(`nft -f ${file}`);
          } finally {
            rmSync(file);
          }
          expect(native).to.deep.equal(sorted(state()));
          sh('nft delete table inet tortie');
        }
      });
  });

/** Lines in one order, elements too; without the comments of hooks, which only we write. */
function sorted(text: string): readonly string[] {
  return text
    .replaceAll(/ comment "tortie:hook[A-Za-z0-9]*"/g, '')
    .replaceAll(/elements = \{([^}]*)\}/g, (_, inner: string) =>
      inner
        .split(',')
        .map((one) => one.trim())
        .sort()
        .join(', '),
    )
    .split('\n')
    .map((line) => line.trim())
    .sort();
}
