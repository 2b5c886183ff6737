/**
 * Mocha's spec reporter, plus what CI and people look for at the end: which tests passed only when they were run again (`--retries`), and
 * one closing line, `N passed, N failed`.
 */
const { reporters, Runner } = require('mocha');

class ClosingLine extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    /** First failures of tests that were run again, by full title. */
    this.first = new Map();
    this.again = [];
    runner.on(Runner.constants.EVENT_TEST_RETRY, (test, error) => {
      if (!this.first.has(test.fullTitle())) this.first.set(test.fullTitle(), error);
    });
    runner.on(Runner.constants.EVENT_TEST_PASS, (test) => {
      if (this.first.has(test.fullTitle())) this.again.push(test.fullTitle());
    });
  }

  epilogue() {
    super.epilogue();
    if (this.again.length > 0)
      console.log(`\nPassed only when run again, and deserving a look (${this.again.length}):`);
    for (const title of this.again) console.log(`  ${title}\n    ${this.first.get(title)?.stack ?? ''}`);
    const { passes, failures, pending } = this.stats;
    console.log(`${passes} passed, ${failures} failed${pending > 0 ? `, ${pending} skipped` : ''}`);
  }
}
module.exports = ClosingLine;
