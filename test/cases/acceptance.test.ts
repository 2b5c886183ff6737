/** The case files against the engine, and with packets on both iptables backends (root). */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isBroken, type Case, type CaseFile } from '../../src/cases/case-file.js';
import { runOnEngine } from '../../src/cases/engine-run.js';
import { KernelRun } from '../../src/cases/kernel/kernel-run.js';
import { isPassed, type CaseOutcome } from '../../src/cases/outcome.js';
import { readCaseFile } from '../../src/cases/read-case-file.js';
import { formatOutcome } from '../../src/cases/report.js';
import { runValidation } from '../../src/cases/validation-run.js';

const load = (name: string): CaseFile =>
  readCaseFile(readFileSync(fileURLToPath(new URL(`../../../test/fixtures/netpol/${name}`, import.meta.url)), 'utf8'));
const files: ReadonlyMap<string, CaseFile> = new Map(
  ['k8s-e2e.json', 'corners.json'].map((name) => [name, load(name)]),
);

function expectPassed(outcome: CaseOutcome): void {
  expect(isPassed(outcome), formatOutcome(outcome)).to.equal(true);
  expect(outcome.cells, 'a case without cells proves nothing').to.be.greaterThan(0);
}

for (const [name, file] of files) {
  describe(`${name} on the engine`, () => {
    it('has cases', () => expect(file.cases.length).to.be.greaterThan(20));
    for (const one of file.cases) it(`${one.id} ${one.title}`, () => expectPassed(runOnEngine(one)));
    for (const one of file.validation)
      it(`validation ${one.id}`, () => {
        const outcome = runValidation(one);
        expect(outcome.isRight, outcome.found.join('; ')).to.equal(true);
      });
  });
}

/** All backends at once, each with namespaces of its own: most of a case is waiting for packets that must not come. */
describe('cases with packets', function () {
  this.timeout(240_000);
  const backends = ['nft', 'legacy', 'nftables'] as const;
  const outcomes = new Map<string, Promise<CaseOutcome>>();
  const runs: KernelRun[] = [];

  before(async () => {
    for (const backend of backends) {
      const run = await KernelRun.start({ backend });
      runs.push(run);
      let last: Promise<unknown> = Promise.resolve();
      for (const [name, { cases }] of files)
        for (const one of [...cases, ...(name === 'corners.json' ? [wrongCase()] : [])]) {
          const outcome = last.then(() => run.run(one));
          outcomes.set(`${backend} ${name} ${one.id}`, outcome);
          last = outcome;
        }
    }
  });
  after(async () => {
    await Promise.allSettled(outcomes.values());
    for (const run of runs) await run.stop();
  });

  async function outcomeOf(key: string): Promise<CaseOutcome> {
    const outcome = await outcomes.get(key);
    if (outcome === undefined) throw new Error(`nothing ran as "${key}"`);
    return outcome;
  }

  for (const backend of backends) {
    for (const [name, { cases }] of files)
      for (const one of cases)
        it(`${backend}: ${name} ${one.id}`, async () => expectPassed(await outcomeOf(`${backend} ${name} ${one.id}`)));
    it(`${backend}: tells a wrong expectation from a right one`, async () => {
      const { wrong } = await outcomeOf(`${backend} corners.json wrong`);
      expect(wrong.map(({ got }) => got)).to.deep.equal(['dropped']);
    });
  }
});

/**
 * One file of many worlds that share names: nodes with other addresses, pods with one another's, on other nodes. Namespaces
 * are used again by whoever comes next, some after a world that did not need them, and start from what the kernel holds.
 */
describe('a file of mixed worlds with packets', function () {
  this.timeout(240_000);

  const source = JSON.parse(
    readFileSync(fileURLToPath(new URL('../../../test/fixtures/netpol/k8s-e2e.json', import.meta.url)), 'utf8'),
  ) as { readonly worlds: { readonly xyz: MixedWorld }; readonly cases: readonly { readonly id: string }[] };
  const ids = ['e2e-08', 'e2e-09', 'e2e-17'];
  // Drawn once: an order in which nodes rest for one world, for two, and for none.
  const order = [2, 0, 3, 1, 0, 2, 1, 3, 3, 0, 1, 2];

  for (const backend of ['nft', 'legacy', 'nftables'] as const)
    it(`${backend}: every case passes`, async () => {
      const cases = order.map((world, i) => ({
        ...source.cases.find(({ id }) => id === ids[Math.floor(i / 4)]),
        id: `mixed-${i}`,
        world: mixedWorld(source.worlds.xyz, world),
      }));
      const file = readCaseFile(JSON.stringify({ cases }));
      const run = await KernelRun.start({ backend });
      try {
        for (const one of file.cases) expectPassed(await run.run(one));
      } finally {
        await run.stop();
      }
    });
});

interface MixedWorld {
  readonly nodes: readonly { readonly name: string; readonly ips: readonly string[] }[];
  readonly pods: readonly { readonly node: string; readonly ips: readonly string[] }[];
}

/** The world with its nodes readdressed, its pods moved `k` nodes on and given the addresses of the pods 2k further on. */
function mixedWorld({ nodes, pods, ...rest }: MixedWorld, k: number): MixedWorld {
  const names = nodes.map(({ name }) => name);
  return {
    ...rest,
    nodes: nodes.map((node, i) => ({ ...node, ips: [`172.19.${k}.${i + 1}`, `fc00:19:${k}::${i + 1}`] })),
    pods: pods.map((pod, i) => ({
      ...pod,
      node: names[(names.indexOf(pod.node) + k) % names.length] ?? '',
      ips: pods[(i + 2 * k) % pods.length]?.ips ?? [],
    })),
  };
}

/** The first case with its first cell, which must be dropped, expected to be allowed. */
function wrongCase(): Case {
  const one = files.get('k8s-e2e.json')?.cases[0];
  if (one === undefined || isBroken(one)) throw new Error('the first case is broken');
  return {
    ...one,
    id: 'wrong',
    steps: one.steps.map((step) => ({
      ...step,
      cells: step.cells.slice(0, 4).map((cell, i) => (i === 0 ? { ...cell, allow: !cell.allow } : cell)),
    })),
  };
}
