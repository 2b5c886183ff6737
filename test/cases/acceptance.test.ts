/** The case files against the engine, and with packets on both iptables backends (root). */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { CaseFile } from '../../src/cases/case-file.js';
import { runOnEngine } from '../../src/cases/engine-run.js';
import { KernelRun } from '../../src/cases/kernel/kernel-run.js';
import { isPassed, type CaseOutcome } from '../../src/cases/outcome.js';
import { readCaseFile } from '../../src/cases/read-case-file.js';
import { formatOutcome } from '../../src/cases/report.js';
import { runValidation } from '../../src/cases/validation-run.js';

const load = (name: string): CaseFile => readCaseFile(readFileSync(fileURLToPath(new URL(`../../../test/fixtures/netpol/${name}`, import.meta.url)), 'utf8'));
const files: ReadonlyMap<string, CaseFile> = new Map(['k8s-e2e.json', 'corners.json'].map((name) => [name, load(name)]));

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

for (const backend of ['nft', 'legacy'] as const) {
  describe(`cases with packets on iptables-${backend}`, function () {
    this.timeout(60_000);
    let run: KernelRun;
    before(async () => (run = await KernelRun.start({ backend })));
    after(() => run.stop());
    for (const [name, file] of files) for (const one of file.cases) it(`${name} ${one.id}`, async () => expectPassed(await run.run(one)));

    it('tells a wrong expectation from a right one', async () => {
      const one = file('k8s-e2e.json').cases[0];
      if (one === undefined || !('steps' in one)) throw new Error('the first case is broken');
      const steps = one.steps.map((step) => ({ ...step, cells: step.cells.slice(0, 4).map((cell, i) => (i === 0 ? { ...cell, allow: !cell.allow } : cell)) }));
      const outcome = await run.run({ ...one, steps });
      expect(outcome.wrong.map((wrong) => wrong.got)).to.deep.equal(['dropped']);
    });
  });
}

function file(name: string): CaseFile {
  const found = files.get(name);
  if (found === undefined) throw new Error(`no file ${name}`);
  return found;
}
