import { expect } from 'chai';
import { TARGETS } from './fuzz-targets.js';
import { Chance, fuzz, readCorpus } from './fuzzer.js';

describe('bgp/codec: fuzz', () => {
  for (const target of TARGETS) {
    it(`keeps its promises on the corpus of ${target.name}`, () => {
      const corpus = readCorpus(target.name);
      expect(corpus.length).to.be.above(0);
      for (const [index, input] of corpus.entries())
        for (let seed = 0; seed < 16; seed++) target.run(input, new Chance(index * 16 + seed + 1));
    });
    // The long run is `node dist/bench/fuzz-codec.js --inputs 10000000`.
    it(`keeps its promises on 30,000 inputs for ${target.name}`, () => {
      const report = fuzz(target, 30_000, 1, readCorpus(target.name));
      expect(report.signatures, 'inputs that do something of their own').to.be.above(20);
    });
  }
});
