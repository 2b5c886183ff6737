/** Policy in a table of nftables, against the real kernel. Needs root. */
import { PolicyEngine } from '@tortie/policy/engine';
import { renderNftables } from '@tortie/policy/render/nftables';
import type { Ruleset } from '@tortie/policy/ruleset';
import { expect } from 'chai';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isBroken, type Case } from '../../../src/cases/case-file.js';
import { ClusterState, isOnHost } from '../../../src/cases/cluster-state.js';
import { readCaseFile } from '../../../src/cases/read-case-file.js';
import { hostInterfaceName } from '../../../src/dataplane/endpoint-name.js';
import { createNetfilter, type Netfilter, type NetfilterOptions } from '../../../src/dataplane/netfilter/netfilter.js';
import type { BackendSetting, DriftRepair } from '../../../src/dataplane/netfilter/status.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { exec, ScratchNamespaces } from '../scratch-namespaces.js';
import { accept, chain, delta, drop, forward, fromSet, jump, ruleset, set, small } from './rulesets.js';

const namespaces = new ScratchNamespaces('tnt');

async function until(isSo: () => boolean, explain = (): unknown => expect.fail('waited in vain')): Promise<void> {
  const end = Date.now() + 10_000;
  while (!isSo()) {
    if (Date.now() > end) explain();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('Netfilter on nftables', function () {
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

  async function start(
    backend: BackendSetting = 'nftables',
    options: Partial<NetfilterOptions> = {},
  ): Promise<Netfilter> {
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
  const nft = (...words: readonly string[]): string => exec(path, 'nft', ...words);
  const sh = (command: string): string => exec(path, 'sh', '-e', '-c', command);
  /** The table without counters; elements and objects in one order, whatever the history. */
  const table = (): string => normalise(nft('-s', 'list', 'ruleset'));

  it('writes nothing before the first whole state, then everything in its own table', async () => {
    nft('add', 'table', 'inet', 'foreign');
    const netfilter = await start();
    expect(await netfilter.start()).to.deep.include({ chains: 0, sets: 0 });
    expect(table()).to.equal(normalise('table inet foreign {\n}'));
    expect(await netfilter.sync(small)).to.deep.equal({ failures: [] });
    expect(table()).to.include('ip saddr @tortie4-web jump TORTIE-WEB').and.to.include('table inet foreign');
    expect(nft('list', 'set', 'inet', 'tortie', 'tortie6-web')).to.include('fd00::1');
  });

  it('adopts what a predecessor wrote and removes what is not wanted', async () => {
    await (await start()).sync(small);
    await open.splice(0)[0]?.stop();
    nft('add', 'chain', 'inet', 'tortie', 'TORTIE-OLD');
    nft('add', 'set', 'inet', 'tortie', 'tortie4-old', '{ type ipv4_addr; }');
    nft('add', 'element', 'inet', 'tortie', 'tortie4-web', '{ 10.0.0.99 }');
    const netfilter = await start();
    expect(await netfilter.sync(small)).to.deep.equal({ failures: [] });
    expect(netfilter.status().counters).to.deep.include({ chainsWritten: 0, membersAdded: 0, membersRemoved: 1 });
    expect(table()).to.not.match(/OLD|-old|\.99/);
  });

  it('applies deltas in one transaction', async () => {
    const netfilter = await start();
    await netfilter.sync(small);
    const networks = ['10.0.0.0/8', '11.0.0.0/8', '128.0.0.0/1', '192.0.2.7/32'];
    expect(
      await netfilter.apply(
        delta({
          setsCreated: [
            set(4, 'net', 'network', networks.slice(0, 2)),
            set(6, 'net', 'network', ['8000::/1', '::/1']),
            set(4, 'port', 'address-port', ['10.0.0.1,tcp:80', '10.0.0.1,sctp:9']),
          ],
          setsChanged: [{ name: 'tortie4-web', added: ['10.0.0.3'], removed: ['10.0.0.1'] }],
          chainsUpserted: [
            chain('filter', 'TORTIE-FORWARD', [jump('TORTIE-NEW')]),
            chain('filter', 'TORTIE-NEW', [fromSet('net'), fromSet('web')]),
          ],
          chainsDeleted: [{ table: 'filter', name: 'TORTIE-WEB' }],
        }),
      ),
    ).to.deep.equal({ failures: [] });
    expect(nft('list', 'set', 'inet', 'tortie', 'tortie4-port'))
      .to.include('10.0.0.1 . tcp . 80')
      .and.to.include('10.0.0.1 . sctp . 9');
    expect(nft('list', 'set', 'inet', 'tortie', 'tortie4-web')).to.include('{ 10.0.0.2, 10.0.0.3 }');
    expect(table()).to.not.include('TORTIE-WEB');
    // A network gives way to its halves within the transaction, and back.
    await netfilter.apply(
      delta({
        setsChanged: [
          {
            name: 'tortie4-net',
            added: ['10.0.0.0/9', '10.128.0.0/9', ...networks.slice(2, 3)],
            removed: ['10.0.0.0/8'],
          },
        ],
      }),
    );
    await netfilter.apply(
      delta({ setsChanged: [{ name: 'tortie4-net', added: ['10.0.0.0/8'], removed: ['10.0.0.0/9', '10.128.0.0/9'] }] }),
    );
    expect(nft('list', 'set', 'inet', 'tortie', 'tortie4-net').replaceAll(/\s+/g, ' ')).to.include(
      '{ 10.0.0.0/8, 11.0.0.0/8, 128.0.0.0/1 }',
    );
    expect(
      await netfilter.apply(
        delta({
          setsDeleted: ['tortie4-net', 'tortie6-net', 'tortie4-port'],
          chainsUpserted: [chain('filter', 'TORTIE-NEW', [accept])],
        }),
      ),
    ).to.deep.equal({ failures: [] });
    expect(table()).to.not.match(/-net|-port/);
    expect(netfilter.status().isClean).to.equal(true);
  });

  it('keeps dispatch maps by their differences', async () => {
    const entries = new Map(
      Array.from({ length: 600 }, (_, i) => [
        `tort${i.toString(16).padStart(11, '0')}`,
        i % 2 === 0 ? 'TORTIE-EVEN' : 'TORTIE-ODD',
      ]),
    );
    const map = {
      table: 'filter' as const,
      name: 'TORTIE-FROM',
      key: 'in-interface' as const,
      entries,
      otherwise: 'drop' as const,
    };
    const netfilter = await start();
    await netfilter.sync(
      ruleset({
        chains: [
          chain('filter', 'TORTIE-FORWARD', [jump('TORTIE-FROM')]),
          chain('filter', 'TORTIE-EVEN', [accept]),
          chain('filter', 'TORTIE-ODD', [drop]),
        ],
        maps: [map],
        hooks: [forward],
      }),
    );
    const listed = (): string => nft('list', 'map', 'inet', 'tortie', 'TORTIE-FROM-map');
    expect(listed().match(/goto/g)).to.have.length(600);
    const changed = new Map(entries).set('tort00000000000', 'TORTIE-ODD');
    changed.delete('tort00000000001');
    await netfilter.apply(delta({ mapsUpserted: [{ ...map, entries: changed }] }));
    expect(listed()).to.include('"tort00000000000" : goto TORTIE-ODD').and.to.not.include('"tort00000000001"');
    await netfilter.apply(
      delta({
        mapsChanged: [
          {
            ...{ table: 'filter', name: 'TORTIE-FROM', key: 'in-interface' },
            added: new Map([
              ['tort00000000001', 'TORTIE-EVEN'],
              ['tort00000000000', 'TORTIE-EVEN'],
            ]),
            removed: ['tort00000000000', 'tort00000000002'],
          },
        ],
      }),
    );
    expect(listed())
      .to.include('"tort00000000000" : goto TORTIE-EVEN')
      .and.to.include('"tort00000000001" : goto TORTIE-EVEN')
      .and.to.not.include('"tort00000000002"');
    expect(listed().match(/goto/g)).to.have.length(599);
    expect(
      await netfilter.apply(
        delta({
          mapsDeleted: [{ table: 'filter', name: 'TORTIE-FROM' }],
          chainsUpserted: [chain('filter', 'TORTIE-FORWARD', [drop])],
        }),
      ),
    ).to.deep.equal({ failures: [] });
    expect(table()).to.not.include('FROM');
  });

  it('names what was refused, keeps the rest, and closes what others go to', async () => {
    const netfilter = await start();
    await netfilter.sync(small);
    const { failures } = await netfilter.apply(
      delta({
        chainsUpserted: [
          chain('filter', 'TORTIE-FORWARD', [jump('TORTIE-BAD'), jump('TORTIE-WEB')]),
          chain('filter', 'TORTIE-BAD', [accept, fromSet('nonesuch')]),
          chain('filter', 'TORTIE-WEB', [drop]),
        ],
      }),
    );
    expect(failures.map((failure) => [failure.subject, failure.message.includes('ENOENT')])).to.deep.equal([
      ['inet tortie TORTIE-BAD', true],
    ]);
    expect(table()).to.match(/chain TORTIE-BAD \{\s+counter drop comment "tortie:closed"/);
    expect(nft('list', 'chain', 'inet', 'tortie', 'TORTIE-WEB')).to.include(' drop ');
    expect(await netfilter.apply(delta({ chainsUpserted: [chain('filter', 'TORTIE-BAD', [accept])] }))).to.deep.equal({
      failures: [],
    });
  });

  it('finds the chains that go in a circle', async () => {
    const netfilter = await start();
    await netfilter.sync(small);
    const { failures } = await netfilter.apply(
      delta({
        chainsUpserted: [
          chain('filter', 'TORTIE-WEB', [jump('TORTIE-ROUND')]),
          chain('filter', 'TORTIE-ROUND', [jump('TORTIE-WEB')]),
          chain('filter', 'TORTIE-FINE', [accept]),
        ],
      }),
    );
    expect(failures.map((failure) => failure.message)).to.have.length(1);
    expect(table()).to.include('chain TORTIE-FINE');
  });

  const injuries: readonly (readonly [what: string, command: string])[] = [
    ['a flushed chain', 'nft flush chain inet tortie TORTIE-FORWARD'],
    ['a foreign rule', 'nft insert rule inet tortie TORTIE-FORWARD accept'],
    [
      'a rule edited under its comment',
      'nft replace rule inet tortie TORTIE-WEB handle $(nft -a list chain inet tortie TORTIE-WEB | sed -n ' +
        '"s/.*accept.*handle //p") drop comment \\"$(nft list chain inet tortie TORTIE-WEB | sed -n "s/.*comment ' +
        '\\"\\(.*\\)\\".*/\\1/p")\\"',
    ],
    ['an extra member', 'nft add element inet tortie tortie4-web "{ 10.0.0.99 }"'],
    ['a missing member', 'nft delete element inet tortie tortie6-web "{ fd00::1 }"'],
    ['a flushed set', 'nft flush set inet tortie tortie4-web'],
    [
      'a foreign set and chain',
      'nft add set inet tortie tortie4-odd "{ type ipv4_addr; }"; nft add chain inet tortie odd',
    ],
    ['a removed jump', 'nft flush chain inet tortie filter-FORWARD'],
    ['a deleted table', 'nft delete table inet tortie'],
    ['a flushed ruleset', 'nft flush ruleset'],
  ];
  // Before the first read-back, and where that matters after it.
  for (const [what, command] of injuries)
    for (const pause of what.includes('comment') ? [0, 1_800] : [0])
      it(`repairs ${what} ${pause === 0 ? 'at once' : 'later'}`, async () => {
        const netfilter = await start();
        await netfilter.sync(small);
        const before = table();
        await new Promise((resolve) => setTimeout(resolve, pause));
        sh(command);
        expect(table()).to.not.equal(before);
        await until(
          () => table() === before,
          () => expect(table()).to.equal(before),
        );
      });

  it('makes the table anew when a set of ours is something else', async () => {
    nft('add', 'table', 'inet', 'tortie');
    nft('add', 'set', 'inet', 'tortie', 'tortie4-web', '{ type inet_service; }');
    nft('add', 'chain', 'inet', 'tortie', 'TORTIE-FORWARD');
    nft('add', 'rule', 'inet', 'tortie', 'TORTIE-FORWARD', 'tcp', 'dport', '@tortie4-web', 'accept');
    const netfilter = await start();
    expect(await netfilter.sync(small)).to.deep.equal({ failures: [] });
    expect(nft('list', 'set', 'inet', 'tortie', 'tortie4-web')).to.include('10.0.0.1');
  });

  it('holds sets that need many messages', async () => {
    const addresses = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    const netfilter = await start('nftables', { patrolInterval: 0 });
    const networks = Array.from({ length: 300 }, (_, i) => `fd00:${(2 * i).toString(16)}::/32`);
    expect(
      await netfilter.sync(
        ruleset({ sets: [set(4, 'big', 'address', addresses), set(6, 'net', 'network', networks)] }),
      ),
    ).to.deep.equal({ failures: [] });
    expect(nft('list', 'set', 'inet', 'tortie', 'tortie4-big').match(/10\.\d+\.\d+\.\d+/g)).to.have.length(20_000);
    expect(
      await netfilter.sync(
        ruleset({ sets: [set(4, 'big', 'address', addresses), set(6, 'net', 'network', networks)] }),
      ),
    ).to.deep.equal({ failures: [] });
    expect(netfilter.status().counters.membersAdded).to.equal(20_300);
  });

  for (const other of ['legacy', 'nft'] as const) {
    it(`takes over from iptables-${other} and leaves nothing there, and back`, async () => {
      await (await start(other)).sync(small);
      await open.splice(0)[0]?.stop();
      expect(await (await start()).sync(small)).to.deep.equal({ failures: [] });
      expect(sh(`iptables-${other}-save; ip6tables-${other}-save; ipset list -n`)).to.not.match(/TORTIE|tortie/);
      await open.splice(0)[0]?.stop();
      expect(await (await start(other)).sync(small)).to.deep.equal({ failures: [] });
      expect(sh(`iptables-${other}-save`)).to.include('TORTIE-FORWARD');
      expect(nft('list', 'tables').split('\n')).to.not.include('table inet tortie');
    });
  }

  it('is chosen when kube-proxy writes nftables itself', async () => {
    nft('add', 'table', 'ip', 'kube-proxy');
    const netfilter = await start('auto');
    expect([...netfilter.status().backends.values()].map((choice) => choice.backend)).to.deep.equal([
      'nftables',
      'nftables',
    ]);
  });

  for (const [name, rules] of rulesetsOfCases())
    it(`writes ${name} as the rendered text does`, async () => {
      const wanted = rules();
      await (await start()).sync(wanted);
      const native = table();
      await open.splice(0)[0]?.stop();
      const file = join(tmpdir(), `tnt-${process.pid}.nft`);
      writeFileSync(file, renderNftables(wanted));
      nft('-f', file);
      rmSync(file);
      expect(native).to.equal(table());
    });
});

/** The rulesets of a node in the end states of the hand-written cases: every match and action a NetworkPolicy becomes. */
function rulesetsOfCases(): readonly (readonly [string, () => Ruleset])[] {
  const text = readFileSync(
    fileURLToPath(new URL('../../../../test/fixtures/netpol/corners.json', import.meta.url)),
    'utf8',
  );
  return readCaseFile(text).cases.flatMap((one) => (isBroken(one) ? [] : [[one.id, () => rulesetOf(one)] as const]));
}

function rulesetOf(one: Case): Ruleset {
  const state = new ClusterState(one.world);
  const engine = new PolicyEngine({ denyReports: { group: 7, perSecond: 100, burst: 500 } });
  const events = [
    ...state.start(),
    ...one.steps.flatMap((step) => step.actions.flatMap((action) => state.apply(action))),
  ];
  for (const event of events) engine.apply(event);
  for (const pod of state.pods)
    if (!isOnHost(pod) && pod.ips.length > 0)
      engine.apply({
        type: 'endpoint-upsert',
        endpoint: {
          namespace: pod.namespace,
          name: pod.name,
          interface: hostInterfaceName(pod.namespace, pod.name),
          addresses: pod.ips,
        },
      });
  engine.flush();
  return engine.ruleset();
}

/** Blocks in the order of their names, elements sorted, lines that say the same in the same words. */
function normalise(text: string): string {
  const lines = text
    .replaceAll(
      /elements = \{([^}]*)\}/g,
      (_, elements: string) =>
        `elements = { ${elements
          .split(',')
          .map((one) => one.trim().replace(/\s+/g, ' '))
          .sort()
          .join(', ')} }`,
    )
    .replaceAll('meta nfproto ipv6 icmpv6', 'icmpv6')
    // Only what we write ourselves comments the jumps of hooks.
    .replaceAll(/ comment "tortie:hook[A-Za-z0-9]*"/g, '')
    .split('\n');
  const blocks: string[][] = [];
  for (const line of lines) {
    if (line === '}') continue; // the table's own
    if (/^\t(chain|set|map) |^table /.test(line)) blocks.push([line]);
    else blocks[blocks.length - 1]?.push(line);
  }
  return blocks
    .map((block) =>
      block
        .map((line) => line.trim())
        .filter((line) => line !== '')
        .join('\n'),
    )
    .sort()
    .join('\n');
}
