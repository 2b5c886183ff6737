/** The applier against real kernels' tables, in namespaces of its own, on both iptables backends. Needs root. */
import { expect } from 'chai';
import type { Chain, DispatchMap, Ruleset, RulesetDelta } from '@tortie/policy/ruleset';
import { createNetfilter, type Netfilter, type NetfilterOptions } from '../../../src/dataplane/netfilter/netfilter.js';
import type { Backend, DriftRepair } from '../../../src/dataplane/netfilter/status.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { exec, ScratchNamespaces } from '../scratch-namespaces.js';
import { accept, chain, delta, drop, forward, fromSet, jump, misplaced, ruleset, set, small } from './rulesets.js';

const namespaces = new ScratchNamespaces('tnf');

/** A namespace with an applier in it. */
class Bench {
  readonly path = namespaces.create();
  readonly drifts: DriftRepair[] = [];
  private readonly open: Netfilter[] = [];

  constructor(readonly backend: Backend) {}

  async start(options: Partial<NetfilterOptions> = {}): Promise<Netfilter> {
    const netfilter = await createNetfilter({
      families: [4, 6],
      backend: this.backend,
      within: (work) => inNamespace(this.path, work),
      patrolInterval: 50,
      onDrift: (drift) => this.drifts.push(drift),
      ...options,
    });
    this.open.push(netfilter);
    return netfilter;
  }

  sh(command: string): string {
    return exec(this.path, 'sh', '-e', '-c', command.replaceAll(/\b(ip6?tables)\b/g, `$1-${this.backend}`));
  }

  /** One table without counters and comments of the program. */
  saved(table = 'filter', program = `iptables-${this.backend}`): readonly string[] {
    return exec(this.path, `${program}-save`, '-t', table)
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.replace(/ \[\d+:\d+\]$/, ''));
  }

  members(name: string): readonly string[] {
    return (
      exec(this.path, 'ipset', 'list', name)
        .split('Members:\n')[1]
        ?.trim()
        .split('\n')
        .filter((line) => line !== '')
        .sort() ?? []
    );
  }

  /** Everything there is, for comparing. */
  state(): readonly string[] {
    const sets = exec(this.path, 'ipset', 'save').split('\n').sort();
    return [
      ...this.saved('raw'),
      ...this.saved('filter'),
      ...this.saved('filter', `ip6tables-${this.backend}`),
      ...sets,
    ];
  }

  /** Waits, without blocking the applier, until everything is as it was. */
  async restored(state: readonly string[]): Promise<void> {
    await until(
      () => this.state().join('\n') === state.join('\n'),
      () => expect(this.state()).to.deep.equal(state),
    );
  }

  async close(): Promise<void> {
    for (const netfilter of this.open.splice(0)) await netfilter.stop();
  }
}

const endpointChain = (name: string): Chain =>
  chain('filter', `TORTIE-FROM-${name}`, [
    { matches: [{ type: 'out-interface', name }], action: { type: 'return' }, note: 'to itself' },
    jump('TORTIE-ALLOWED'),
    { matches: [{ type: 'mark', value: 0x10000, mask: 0x10000 }], action: { type: 'return' } },
    {
      matches: [{ type: 'mark', value: 0x20000, mask: 0x20000, not: true }],
      action: { type: 'drop' },
      note: 'the end',
    },
  ]);
const dispatch = (names: readonly string[]): DispatchMap => ({
  table: 'filter',
  name: 'TORTIE-FROM',
  key: 'in-interface',
  entries: new Map(names.map((name) => [name, `TORTIE-FROM-${name}`])),
  otherwise: 'drop',
});
const endpoints = (...names: readonly string[]): Ruleset =>
  ruleset({
    chains: [
      chain('filter', 'TORTIE-FORWARD', [jump('TORTIE-FROM')]),
      chain('filter', 'TORTIE-ALLOWED', [drop]),
      ...names.map(endpointChain),
    ],
    maps: [dispatch(names)],
    hooks: [forward],
  });
const endpointAdded = (...names: readonly string[]): RulesetDelta =>
  delta({ chainsUpserted: names.map(endpointChain), mapsUpserted: [dispatch(names)] });

/** Bounded, and generous: the machine is busy. The event loop turns meanwhile. */
async function until(
  isSo: () => boolean,
  explain = (): unknown => expect.fail('waited in vain'),
  milliseconds = 10_000,
): Promise<void> {
  const end = Date.now() + milliseconds;
  while (!isSo()) {
    if (Date.now() > end) explain();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

for (const backend of ['legacy', 'nft'] as const) {
  describe(`Netfilter on iptables-${backend}`, function () {
    this.timeout(30_000);
    let bench: Bench;
    beforeEach(() => (bench = new Bench(backend)));
    afterEach(() => bench.close());
    after(() => namespaces.removeAll());

    it('writes nothing before the first whole state, then everything, and nothing twice', async () => {
      bench.sh('iptables -A FORWARD -j ACCEPT; iptables -N FOREIGN; iptables -A FOREIGN -j DROP');
      const before = bench.state();
      const netfilter = await bench.start();
      expect(await netfilter.start()).to.deep.include({ chains: 0, sets: 0 });
      expect(bench.state()).to.deep.equal(before);
      expect(await netfilter.sync(small)).to.deep.equal({ failures: [] });
      const saved = bench.saved();
      expect(saved.find((line) => line.startsWith('-A FORWARD'))).to.match(/-j TORTIE-FORWARD$/);
      expect(saved).to.include.members(['-A FORWARD -j ACCEPT', '-A FOREIGN -j DROP']);
      expect(bench.members('tortie4-web')).to.deep.equal(['10.0.0.1', '10.0.0.2']);
      expect(bench.members('tortie6-web')).to.deep.equal(['fd00::1']);
      const { restores } = netfilter.status().counters;
      expect(await netfilter.sync(small)).to.deep.equal({ failures: [] });
      expect(netfilter.status().counters).to.deep.include({ restores, membersAdded: 3, membersRemoved: 0 });
    });

    it('leaves the sets of a family that it does not write, whoever holds them', async () => {
      const both = await bench.start();
      await both.sync(small);
      await both.stop();
      const ipv4 = await bench.start({ families: [4] });
      expect(await ipv4.sync(small)).to.deep.equal({ failures: [] });
      expect(bench.members('tortie6-web')).to.deep.equal(['fd00::1']);
      await until(() => ipv4.status().isClean);
      expect(bench.drifts).to.deep.equal([]);
    });

    it('adopts what a predecessor wrote and sweeps what is not wanted any more', async () => {
      const first = await bench.start();
      await first.sync(small);
      await first.stop();
      bench.sh(
        'iptables -N TORTIE-OLD; iptables -A TORTIE-OLD -j DROP; iptables -I FORWARD 2 -j TORTIE-OLD; ipset create tortie4-old hash:ip',
      );
      const second = await bench.start();
      expect(await second.start()).to.deep.include({ sets: 3 });
      expect(await second.sync(small)).to.deep.equal({ failures: [] });
      expect(second.status().counters).to.deep.include({ chainsWritten: 0, membersAdded: 0 });
      expect(bench.saved().filter((line) => line.includes('OLD'))).to.deep.equal([]);
      expect(bench.sh('ipset list -n').trim().split('\n').sort()).to.deep.equal(['tortie4-web', 'tortie6-web']);
    });

    it('applies deltas: sets, then rules, then what goes', async () => {
      const netfilter = await bench.start();
      await netfilter.sync(small);
      const result = await netfilter.apply(
        delta({
          setsCreated: [
            set(4, 'net', 'network', ['10.0.0.0/8', '10.1.0.7/32', '128.0.0.0/1']),
            set(6, 'net', 'network', []),
          ],
          setsChanged: [{ name: 'tortie4-web', added: ['10.0.0.3'], removed: ['10.0.0.1'] }],
          setsDeleted: [],
          chainsUpserted: [
            chain('filter', 'TORTIE-FORWARD', [jump('TORTIE-NEW')]),
            chain('filter', 'TORTIE-NEW', [fromSet('net'), fromSet('web')]),
          ],
          chainsDeleted: [{ table: 'filter', name: 'TORTIE-WEB' }],
        }),
      );
      expect(result).to.deep.equal({ failures: [] });
      expect(bench.members('tortie4-web')).to.deep.equal(['10.0.0.2', '10.0.0.3']);
      expect(bench.members('tortie4-net')).to.deep.equal(['10.0.0.0/8', '10.1.0.7', '128.0.0.0/1']);
      expect(bench.saved().filter((line) => line.startsWith(':TORTIE'))).to.deep.equal([
        ':TORTIE-FORWARD -',
        ':TORTIE-NEW -',
      ]);
      await netfilter.apply(
        delta({
          setsDeleted: ['tortie4-net', 'tortie6-net', 'tortie4-web', 'tortie6-web'],
          chainsUpserted: [chain('filter', 'TORTIE-NEW', [accept])],
        }),
      );
      // The kernel lets go of a deleted rule's sets a little later.
      await until(() => bench.sh('ipset list -n') === '');
      await until(() => netfilter.status().isClean);
      expect(netfilter.status().failures).to.deep.equal([]);
    });

    it('expands dispatch maps and removes their tree with them', async () => {
      const entries = new Map(
        Array.from({ length: 40 }, (_, i) => [`tort${(i * 977).toString(16).padStart(11, '0')}`, `TORTIE-EP${i}`]),
      );
      const endpoints = [...entries.values()].map((name) => chain('filter', name, [accept]));
      const map = {
        table: 'filter' as const,
        name: 'TORTIE-FROM',
        key: 'in-interface' as const,
        entries,
        otherwise: 'drop' as const,
      };
      const netfilter = await bench.start();
      await netfilter.sync(
        ruleset({
          chains: [chain('filter', 'TORTIE-FORWARD', [jump('TORTIE-FROM')]), ...endpoints],
          maps: [map],
          hooks: [forward],
        }),
      );
      expect(netfilter.status().failures).to.deep.equal([]);
      for (const name of entries.keys())
        expect(
          bench.saved().some((line) => line.includes(`-i ${name} `)),
          name,
        ).to.equal(true);
      await netfilter.apply(
        delta({
          chainsUpserted: [chain('filter', 'TORTIE-FORWARD', [drop])],
          mapsDeleted: [{ table: 'filter', name: 'TORTIE-FROM' }],
          chainsDeleted: endpoints,
        }),
      );
      expect(bench.saved().filter((line) => line.startsWith(':TORTIE'))).to.deep.equal([':TORTIE-FORWARD -']);
    });

    if (backend === 'nft')
      it('writes what needs no extension without the program, as the program would', async () => {
        const netfilter = await bench.start();
        await netfilter.sync(endpoints('tort1'));
        const { restores } = netfilter.status().counters;
        expect(await netfilter.apply(endpointAdded('tort1', 'tort2'))).to.deep.equal({ failures: [] });
        const written = bench.saved();
        expect(netfilter.status().counters.restores).to.equal(restores);
        expect(written.filter((line) => line.startsWith('-A TORTIE-FROM-tort2'))).to.have.length(4);
        for (const program of ['iptables', 'ip6tables'])
          bench.sh(
            `${program}-save -t filter | grep -v "^:[A-Z]* [A-Z]" > /tmp/tnfn-$$; ${program} -F; ${program} -X; ` +
              `${program}-restore --noflush < /tmp/tnfn-$$; rm /tmp/tnfn-$$`,
          );
        expect([...bench.saved()].sort()).to.deep.equal([...written].sort());
        expect(bench.drifts.filter(({ findings }) => findings.some((text) => text.includes('tort2')))).to.deep.equal(
          [],
        );
        await netfilter.apply(delta({ ...endpointAdded('tort1'), chainsDeleted: [endpointChain('tort2')] }));
        expect(bench.saved().filter((line) => line.includes('tort2'))).to.deep.equal([]);
      });

    it('names the refused rule, keeps the rest, and closes what others jump to', async () => {
      const netfilter = await bench.start();
      await netfilter.sync(small);
      const { failures } = await netfilter.apply(
        delta({
          chainsUpserted: [
            chain('filter', 'TORTIE-FORWARD', [jump('TORTIE-BAD'), jump('TORTIE-WEB')]),
            chain('filter', 'TORTIE-BAD', [accept, misplaced, accept]),
            chain('filter', 'TORTIE-WEB', [fromSet('nonesuch')]),
          ],
        }),
      );
      const messages = failures.map((failure) => `${failure.family} ${failure.message}`);
      expect(
        messages.filter((text) =>
          /^4 Cannot write filter\/TORTIE-BAD at "-A TORTIE-BAD .*rpfilter --invert .* -j DROP": /.test(text),
        ),
        messages.join('\n'),
      ).to.have.length(1);
      expect(
        messages.filter((text) =>
          /^6 Cannot write filter\/TORTIE-WEB at ".*tortie6-nonesuch.*": Set tortie6-nonesuch doesn't exist/.test(text),
        ),
        messages.join('\n'),
      ).to.have.length(1);
      expect(failures).to.have.length(4);
      const saved = bench.saved();
      expect(saved).to.include('-A TORTIE-BAD -m comment --comment "tortie:closed" -j DROP');
      expect(saved.filter((line) => line.startsWith('-A TORTIE-WEB'))).to.have.length(1);
      expect(saved.filter((line) => line.startsWith('-A TORTIE-FORWARD'))).to.have.length(2);
      // A new content is tried at once.
      expect(
        await netfilter.apply(
          delta({ chainsUpserted: [chain('filter', 'TORTIE-BAD', [accept]), chain('filter', 'TORTIE-WEB', [accept])] }),
        ),
      ).to.deep.equal({ failures: [] });
    });

    it('tries a refused rule again until it goes in', async () => {
      const netfilter = await bench.start();
      await netfilter.sync(small);
      const { failures } = await netfilter.apply(
        delta({ chainsUpserted: [chain('filter', 'TORTIE-WEB', [fromSet('late')])] }),
      );
      expect(failures).to.have.length(2);
      bench.sh('ipset create late4 hash:ip; ipset create late6 hash:ip family inet6');
      await netfilter.apply(delta({ setsCreated: [set(4, 'late', 'address', []), set(6, 'late', 'address', [])] }));
      await until(() => netfilter.status().failures.length === 0);
      expect(netfilter.status().failures).to.deep.equal([]);
      expect(bench.saved().some((line) => line.startsWith('-A TORTIE-WEB') && line.includes('tortie4-late'))).to.equal(
        true,
      );
    });

    const injuries: readonly (readonly [what: string, command: string])[] = [
      ['a flushed chain', 'iptables -F TORTIE-FORWARD'],
      ['a deleted rule', 'iptables -D TORTIE-FORWARD 2'],
      [
        'rules in another order',
        'iptables-save -t filter | grep "A TORTIE-FORWARD" | tac > /tmp/tnf-$$; (echo "*filter"; echo ' +
          '":TORTIE-FORWARD - [0:0]"; cat /tmp/tnf-$$; echo COMMIT) | iptables-restore --noflush; rm /tmp/tnf-$$',
      ],
      ['a foreign rule in our chain', 'iptables -I TORTIE-FORWARD -j ACCEPT'],
      ['a missing jump', 'iptables -D FORWARD 1'],
      ['a second jump', 'iptables -A FORWARD -j TORTIE-FORWARD'],
      [
        'a rule edited under its comment',
        'iptables-save -t filter | sed -n "s/^-A TORTIE-WEB\\(.*\\)-j ACCEPT/-A TORTIE-WEB\\1-j DROP/p" > ' +
          '/tmp/tnf-$$; (echo "*filter"; echo ":TORTIE-WEB - [0:0]"; cat /tmp/tnf-$$; echo COMMIT) | iptables-restore ' +
          '--noflush; rm /tmp/tnf-$$',
      ],
      ['everything flushed', 'iptables -F; iptables -X'],
      ['IPv6 flushed', 'ip6tables -F; ip6tables -X'],
      ['a flushed set', 'ipset flush tortie4-web'],
      ['an exchanged member', 'ipset del tortie4-web 10.0.0.1; ipset add tortie4-web 10.0.0.99'],
      ['an extra member', 'ipset add tortie6-web fd00::99'],
      ['a destroyed set', 'iptables -F; iptables -X; ipset destroy tortie4-web'],
      ['a foreign set under our name', 'ipset create tortie4-stranger hash:ip'],
    ];
    for (const [what, command] of injuries)
      it(`repairs ${what}`, async () => {
        const netfilter = await bench.start();
        await netfilter.sync(small);
        // The kernel's spelling of our rules is recorded by a read-back some time after the last write.
        if (what.includes('comment')) await new Promise((resolve) => setTimeout(resolve, 2_000));
        const before = bench.state();
        bench.sh(command);
        expect(bench.state()).to.not.deep.equal(before);
        await bench.restored(before);
        // The kernel is right a moment before the applier hears that its child has ended.
        await until(() => bench.drifts.length > 0);
      });

    it('repairs what is broken while it writes without rest', async function () {
      this.timeout(60_000);
      const netfilter = await bench.start();
      await netfilter.sync(small);
      let isStormy = true;
      const storm = (async () => {
        for (let i = 0; isStormy; i++) {
          await netfilter.apply(
            delta({
              chainsUpserted: [
                chain('filter', 'TORTIE-STORM', [fromSet('web', i % 2 === 0 ? { type: 'accept' } : { type: 'drop' })]),
              ],
            }),
          );
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      })();
      await new Promise((resolve) => setTimeout(resolve, 300));
      const forwardRules = (): readonly string[] =>
        bench.saved().filter((line) => line.startsWith('-A TORTIE-FORWARD'));
      const before = forwardRules();
      bench.sh('iptables -w -F TORTIE-FORWARD');
      expect(forwardRules()).to.deep.equal([]);
      // Under a second as a rule. What strikes in the moment of a write of ours is found by the reading that even a
      // storm cannot put off: 30 s.
      await until(() => forwardRules().length === before.length, undefined, 45_000);
      isStormy = false;
      await storm;
    });

    it('keeps its jump first and leaves what others insert', async () => {
      const netfilter = await bench.start();
      await netfilter.sync(small);
      bench.sh('iptables -I FORWARD -s 10.9.9.9 -j ACCEPT');
      const rules = (): readonly string[] => bench.saved().filter((line) => line.startsWith('-A FORWARD'));
      await until(() => /TORTIE-FORWARD$/.test(rules()[0] ?? ''));
      expect(rules()).to.have.length(2);
      expect(rules()[1]).to.equal('-A FORWARD -s 10.9.9.9/32 -j ACCEPT');
    });

    it('leaves nothing behind when it is told to hold nothing', async () => {
      bench.sh('iptables -A FORWARD -j ACCEPT; ipset create foreign hash:ip');
      const before = bench.saved();
      const netfilter = await bench.start();
      await netfilter.sync(small);
      expect(await netfilter.sync(ruleset({}))).to.deep.equal({ failures: [] });
      expect(bench.saved()).to.deep.equal(before);
      await until(() => bench.sh('ipset list -n').trim() === 'foreign');
    });

    it('takes over from the other backend and leaves nothing there', async () => {
      const other: Backend = backend === 'nft' ? 'legacy' : 'nft';
      const first = await bench.start({ backend: other });
      await first.sync(small);
      await first.stop();
      const second = await bench.start();
      expect(await second.sync(small)).to.deep.equal({ failures: [] });
      expect(bench.saved().filter((line) => line.startsWith(':TORTIE'))).to.have.length(2);
      expect(bench.saved('filter', `iptables-${other}`).filter((line) => line.includes('TORTIE'))).to.deep.equal([]);
      expect(bench.saved('filter', `ip6tables-${other}`).filter((line) => line.includes('TORTIE'))).to.deep.equal([]);
    });

    it('finds the backend that kube-proxy uses', async () => {
      bench.sh('iptables -t mangle -N KUBE-IPTABLES-HINT');
      const netfilter = await bench.start({ backend: 'auto' });
      expect([...netfilter.status().backends.values()].map((choice) => choice.backend)).to.deep.equal([
        backend,
        backend,
      ]);
    });

    it('holds large sets', async () => {
      const members = Array.from({ length: 70_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
      const netfilter = await bench.start({ patrolInterval: 0 });
      expect(await netfilter.sync(ruleset({ sets: [set(4, 'big', 'address', members)] }))).to.deep.equal({
        failures: [],
      });
      expect(bench.sh('ipset list -t tortie4-big')).to.match(/Number of entries: 70000/);
    });
  });
}
