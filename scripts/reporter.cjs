/**
 * Mocha's spec reporter, plus the one closing line that CI and people look for: `N passed, N failed`.
 */
const { reporters } = require('mocha');

class ClosingLine extends reporters.Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures, pending } = this.stats;
    console.log(`${passes} passed, ${failures} failed${pending > 0 ? `, ${pending} skipped` : ''}`);
  }
}
module.exports = ClosingLine;
