/** The search for what was refused, against an iptables made of a predicate: whatever is bad, only that is refused. */
import { expect } from 'chai';
import fc from 'fast-check';
import { renderChain } from '@tortie/policy/render/iptables';
import type { IptablesProgram, RestoreOutcome } from '../../../src/dataplane/netfilter/iptables-program.js';
import type { TableChange } from '../../../src/dataplane/netfilter/restore-script.js';
import { writeTables } from '../../../src/dataplane/netfilter/table-writer.js';
import { accept, chain, jump } from './rulesets.js';

/** How iptables tells what it did not like. */
type Blame = 'exact' | 'commit' | 'next line';

class FakeIptables implements IptablesProgram {
  readonly backend = 'legacy';
  readonly family = 4;
  readonly version = '1.8.9';
  readonly chains = new Map<string, readonly string[]>();
  restores = 0;

  constructor(
    private readonly isBad: (line: string) => boolean,
    private readonly blame: Blame,
  ) {}

  save(): Promise<string> {
    return Promise.reject(new Error('not asked for'));
  }

  close(): void {}

  async restore(input: string): Promise<RestoreOutcome> {
    this.restores++;
    const lines = input.split('\n');
    const next = new Map(this.chains);
    let bad = 0;
    lines.forEach((line, i) => {
      const [word = '', name = ''] = line.split(' ');
      if (word.startsWith(':')) next.set(word.slice(1), []);
      if (word === '-A') next.set(name, [...(next.get(name) ?? []), line]);
      if (word === '-X') next.delete(name);
      const target = / -j (TORTIE-\S+)$/.exec(line)?.[1];
      if (
        bad === 0 &&
        (this.isBad(line) ||
          (target !== undefined && !lines.includes(`:${target} - [0:0]`) && !this.chains.has(target)))
      )
        bad = i + 1;
    });
    if (bad === 0) {
      this.chains.clear();
      for (const [name, rules] of next) this.chains.set(name, rules);
      return { type: 'done' };
    }
    const lineNumber =
      this.blame === 'exact' ? bad : this.blame === 'commit' ? lines.lastIndexOf('COMMIT') + 1 : bad + 1;
    return { type: 'refused', lines: [lineNumber], text: `line ${lineNumber} failed` };
  }
}

const write = (name: string, ...targets: string[]): TableChange => {
  const rendered = renderChain(chain('filter', name, [...targets.map(jump), accept]), 4);
  return { type: 'write', table: 'filter', chain: rendered };
};
const nameOf = (change: TableChange): string => (change.type === 'write' ? change.chain.name : '');

describe('writeTables', () => {
  it('writes everything in one restore when nothing is wrong', async () => {
    const program = new FakeIptables(() => false, 'exact');
    const changes = [write('TORTIE-A', 'TORTIE-B'), write('TORTIE-B')];
    const outcome = await writeTables(changes, { program, isInKernel: () => false, onStart: () => undefined });
    expect(outcome).to.deep.equal({ done: changes, refused: [] });
    expect(program.restores).to.equal(1);
  });

  it('refuses exactly the bad chains, creates them closed, and brings the rest in', async () => {
    const names = ['TORTIE-A', 'TORTIE-B', 'TORTIE-C', 'TORTIE-D', 'TORTIE-E', 'TORTIE-F'];
    await fc.assert(
      fc.asyncProperty(
        fc.subarray(names),
        fc.constantFrom<Blame>('exact', 'commit', 'next line'),
        async (bad, blame) => {
          const changes = names.map((name, i) => write(name, ...names.slice(i + 1, i + 3)));
          const program = new FakeIptables(
            (line) => bad.some((name) => line.startsWith(`-A ${name} `) && !line.includes('tortie:closed')),
            blame,
          );
          const outcome = await writeTables(changes, { program, isInKernel: () => false, onStart: () => undefined });
          expect(outcome.broken).to.equal(undefined);
          expect(outcome.refused.map((one) => nameOf(one.change)).sort()).to.deep.equal(bad);
          for (const name of names) {
            const rules = program.chains.get(name) ?? [];
            if (bad.includes(name))
              expect(rules).to.deep.equal([`-A ${name} -m comment --comment tortie:closed -j DROP`]);
            else
              expect(rules).to.deep.equal(
                changes
                  .filter((one) => nameOf(one) === name)
                  .flatMap((one) => (one.type === 'write' ? one.chain.lines : [])),
              );
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('leaves a refused chain that exists as it is', async () => {
    const program = new FakeIptables((line) => line.startsWith('-A TORTIE-A '), 'commit');
    program.chains.set('TORTIE-A', ['old']);
    const outcome = await writeTables([write('TORTIE-A'), write('TORTIE-B')], {
      program,
      isInKernel: (change) => nameOf(change) === 'TORTIE-A',
      onStart: () => undefined,
    });
    expect(outcome.refused).to.have.length(1);
    expect(program.chains.get('TORTIE-A')).to.deep.equal(['old']);
    expect(program.chains.get('TORTIE-B')).to.have.length(1);
  });

  it('finds the rule itself where nobody is blamed', async () => {
    const program = new FakeIptables((line) => line.endsWith('-j TORTIE-X4'), 'commit');
    const names = Array.from({ length: 9 }, (_, i) => `TORTIE-X${i}`);
    for (const name of names) program.chains.set(name, []);
    const outcome = await writeTables([write('TORTIE-A', ...names)], {
      program,
      isInKernel: () => false,
      onStart: () => undefined,
    });
    expect(outcome.refused[0]?.message).to.match(
      /^Cannot write filter\/TORTIE-A at "-A TORTIE-A .* -j TORTIE-X4": the kernel refused it/,
    );
    expect(program.chains.has('TORTIE-TRIAL')).to.equal(false);
  });

  it('gives up after a bounded number of tries', async () => {
    const program = new FakeIptables((line) => line.startsWith('-A ') && !line.includes('tortie:closed'), 'exact');
    const changes = Array.from({ length: 300 }, (_, i) => write(`TORTIE-${i}`));
    const outcome = await writeTables(changes, { program, isInKernel: () => false, onStart: () => undefined });
    expect(outcome.broken).to.match(/gave up after 64 attempts/);
    expect(program.restores).to.be.lessThan(70);
  });
});
